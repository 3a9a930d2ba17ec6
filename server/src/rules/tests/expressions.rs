//! What expressions and templates see and say, and what they may cost.

use super::*;

/// Whether `10` may, by this expression, dispatch this action.
fn allows(expression: &str, json: &'static str) -> bool {
    let rules = rules(&format!("[[action]]\ntype = \"*\"\nallow = '''{expression}'''"));
    match place(&rules, json) {
        Ok(_) => true,
        Err(UndoReason::Denied) => false,
        Err(reason) => panic!("{expression}: {reason:?}"),
    }
}

#[test]
fn expressions_see_user_headers_action_and_meta() {
    let json = r#"{"type":"a","owner":"10","n":14,"big":18446744073709551615,"half":0.5,"tags":["x","y"],"none":null}"#;
    for expression in [
        "user.id == '10' && user.client == '10:phone' && user.node == '10:phone:tab'",
        "!user.anonymous && user.claims.role == 'editor' && 'b' in user.claims.teams",
        "user.claims.level >= 3 && user.claims.level < 3.5",
        "headers.locale == 'en' && !has(headers.theme)",
        "action.type == 'a' && action.owner == user.id && action.n == 14 && action.n == 14.0",
        "action.big == 18446744073709551615u && action.half < 1.0 && action.none == null",
        "has(action.owner) && !has(action.other) && size(action.tags) == 2",
        "action.tags.all(t, t in ['x', 'y']) && action.tags.exists(t, t == 'x')",
        "meta.id == '1700000000000 10:phone:tab 0' && meta.time == 1700000000001",
        "meta.subprotocol == 7",
        "action.owner.matches('^[0-9]+$') && 'abc'.startsWith('a') && string(action.n) == '14'",
        "action.?other.orValue('x') == 'x' && optional.of(1).hasValue()",
        "type(action.n) == int && type(action) == map",
        "action == action && action != {'a': 1}",
    ] {
        assert!(allows(expression, json), "{expression}");
    }
}

#[test]
fn an_expression_that_fails_denies() {
    let json = r#"{"type":"a","n":1,"s":"x","list":[]}"#;
    for expression in [
        "action.missing == 1",
        "action.n",
        "action.s",
        "'true'",
        "action.n + 1",
        "action.s > 1",
        "action.n.x == 1",
        "action.list[0] == 1",
        "1 / 0 == 1",
        "9223372036854775807 + action.n > 0",
        "timestamp(action.s) == timestamp(action.s)",
        "!action.n",
        "action.missing",
        "{}",
        "[]",
        "headers.nothing == 'x'",
        "user.claims.admin",
    ] {
        assert!(!allows(expression, json), "{expression}");
    }
    for template in ["{action.n}", "a{action.list}", "{action.missing}", "{null}", "a{action.n}"] {
        let text = format!("[[action]]\ntype = \"*\"\nchannels = [\"{template}\"]");
        assert_eq!(place(&rules(&text), json), Err(UndoReason::Denied), "{template}");
    }
}

#[test]
fn a_body_is_read_only_when_an_expression_asks() {
    // Well-formed enough to be an action, but nested too deeply to be read.
    let json = format!(r#"{{"type":"a","deep":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let deep = action(json);
    let place = |text: &str| rules(text).place(&subject(), &deep, &meta()).map(drop);
    assert_eq!(place(""), Ok(()));
    assert_eq!(place("[[action]]\ntype = \"*\"\nallow = \"user.id == '10'\""), Ok(()));
    let of = |expression| place(&format!("[[action]]\ntype = \"*\"\nallow = \"{expression}\""));
    for other in ["action.type == 'a'", "has(action.type)", "action['type'] == 'a'"] {
        assert_eq!(of(other), Ok(()), "{other}");
    }
    for all in ["size(action) > 0", "action.deep == 1", "'deep' in action"] {
        assert_eq!(of(all), Err(UndoReason::Denied), "{all}");
    }
}

#[test]
fn a_field_that_a_loop_names_again_costs_what_it_is_long() {
    let tags = vec![r#"{"owner":"10"}"#; 1000].join(",");
    let text = "x".repeat(100 << 10);
    let big = action(format!(r#"{{"type":"a","owner":"10","tags":[{tags}],"text":"{text}"}}"#));
    let place = |expression: &str| {
        let text = format!("[[action]]\ntype = \"*\"\nallow = \"{expression}\"");
        rules(&text).place(&subject(), &big, &meta()).map(drop)
    };
    assert_eq!(place("action.tags.all(tag, tag.owner == action.owner)"), Ok(()));
    let again = "action.tags.all(tag, tag.owner == action.owner && size(action.text) > 0)";
    assert_eq!(place(again), Err(UndoReason::TooCostly));
}

#[test]
fn the_turns_of_loops_are_counted_whatever_they_go_through() {
    let many = vec!["1"; 2_000].join(",");
    let mut subject = subject();
    subject.set_headers(format!(r#"{{"list":[{many}]}}"#).into());
    for expression in [
        "headers.list.all(a, headers.list.all(b, a == b))",
        "!headers.list.exists(a, headers.list.exists(b, a != b))",
        "headers.list.exists_one(a, headers.list.exists_one(b, a != b)) || true",
        "size(headers.list.map(a, size(headers.list.map(b, b)))) > 0",
        "size(headers.list.filter(a, size(headers.list.filter(b, b == a)) > 0)) > 0",
        "size(headers.list.map(a, size(headers.list.map(b, b == a, b)) > 0, a)) > 0",
    ] {
        let rules = rules(&format!("[[action]]\ntype = \"*\"\nallow = \"{expression}\""));
        let placed = rules.place(&subject, &action(r#"{"type":"a"}"#), &meta());
        assert_eq!(placed.map(drop), Err(UndoReason::TooCostly), "{expression}");
    }
}

#[test]
fn loops_say_what_they_say_though_their_turns_are_counted() {
    for expression in [
        "[1, 2].all(x, x > 0) && ![1, 2].all(x, x > 1) && [].all(x, x > 1)",
        "[1, 2].exists(x, x > 1) && ![1, 2].exists(x, x > 2) && ![].exists(x, x > 1)",
        "[1, 2].exists_one(x, x > 1) && ![1, 2].exists_one(x, x > 0)",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "[1, 2, 3].filter(x, x > 1) == [2, 3] && [[1], [2]].map(x, x.map(y, y + 1)) == [[2], [3]]",
        "{'a': 1}.all(name, name == 'a') && {'a': 1}.map(name, name) == ['a']",
        "[0, 1].exists(x, 1 / x == 1) && ![0, 1].all(x, 1 / x == 2)",
        "'x' in action.tags.map(t, t.name)",
    ] {
        let json = r#"{"type":"a","tags":[{"name":"x"}]}"#;
        assert!(allows(expression, json), "{expression}");
    }
}

#[test]
fn a_quadratic_rule_over_a_big_action_is_cut_short() {
    let many = vec!["1"; 40_000].join(",");
    let big = action(format!(r#"{{"type":"a","list":[{many}]}}"#));
    let few = action(r#"{"type":"a","list":[1,1,1,1]}"#);
    let place = |expression: &str, action: &Action| {
        let text = format!("[[action]]\ntype = \"*\"\nallow = \"{expression}\"");
        rules(&text).place(&subject(), action, &meta()).map(drop)
    };
    let quadratic = "action.list.all(a, action.list.all(b, a == b))";
    assert_eq!(place(quadratic, &few), Ok(()));
    // Unbounded, it would compare 1.6 billion times.
    assert_eq!(place(quadratic, &big), Err(UndoReason::TooCostly));
    assert_eq!(
        place(&format!("true || {quadratic}"), &big),
        Ok(()),
        "what is not run costs nothing"
    );
    let hidden = format!("!{quadratic} || true");
    assert_eq!(place(&hidden, &big), Err(UndoReason::TooCostly), "nor does it help to swallow it");
    assert_eq!(place("action.list.all(a, a == 1)", &big), Ok(()), "one walk is fine");
}

#[test]
fn each_expression_of_a_rule_may_walk_a_big_action() {
    let text = "x".repeat(128 << 10);
    let big = action(json!({ "type": "a", "id": "1", "text": text }).to_string());
    let templates = vec!["\"a/{action.id}\""; 40].join(",");
    let rules = rules(&format!("[[action]]\ntype = \"*\"\nchannels = [{templates}]"));
    assert_eq!(rules.place(&subject(), &big, &meta()).map(|it| it.channels.len()), Ok(1));
}

#[test]
fn the_deepest_expression_leaves_room_on_the_stack_of_a_worker() {
    let nested = |levels: usize| {
        let text = format!("{}user.id == '10'{}", "[".repeat(levels), "][0]".repeat(levels));
        compile(&format!("[[action]]\ntype = \"*\"\nallow = \"{text}\""))
    };
    let deepest = (1..100).rev().find_map(|levels| nested(levels).ok()).unwrap();
    let thread = std::thread::Builder::new().stack_size(3 << 19);
    let run = move || place(&deepest, r#"{"type":"a"}"#).map(drop);
    assert_eq!(thread.spawn(run).unwrap().join().unwrap(), Ok(()));
}

#[test]
fn expressions_that_go_too_deep_are_refused_without_filling_the_stack() {
    for (open, middle, close) in
        [("[", "1", "]"), ("(", "1", ")"), ("!", "true", ""), ("-", "1", ""), ("1+", "1", "")]
    {
        for levels in [500, 1300] {
            let text = open.repeat(levels) + middle + &close.repeat(levels);
            let text = format!("[[action]]\ntype = \"a\"\nallow = \"{text}\"");
            match compile(&text) {
                Ok(rules) => drop(place(&rules, r#"{"type":"a"}"#)),
                Err(error) => assert!(error.to_string().starts_with("t.toml:3: "), "{error}"),
            }
        }
    }
}

#[test]
fn braces_in_templates_are_read_as_meant() {
    for (template, channel) in [
        ("{{literal}}", "{literal}"),
        ("{'a}b'}", "a}b"),
        ("x{ {'a': 'm'}.a }y", "xmy"),
        ("{'''it's}'''}", "it's}"),
        (r"{'\'}'}", "'}"),
        (r"{r'\'}", r"\"),
        (r"{'\\'}{user.id}", r"\10"),
        ("{user.id}{user.id}", "1010"),
        ("é{'é}'}é", "éé}é"),
    ] {
        let text = format!(
            "[[action]]\ntype = \"*\"\nchannels = [\n\"\"\"\n{}\"\"\"]",
            template.replace('\\', "\\\\")
        );
        let placement = place(&rules(&text), r#"{"type":"a"}"#).unwrap();
        assert_eq!(channels(&placement), [channel], "{template}");
    }
}

#[test]
fn headers_can_change() {
    let rules = rules("[[action]]\ntype = \"*\"\nallow = \"headers.beta\"");
    let mut subject = subject_at("10:a:b");
    let action = action(r#"{"type":"a"}"#);
    let denied = Err(UndoReason::Denied);
    assert_eq!(rules.place(&subject, &action, &meta()).map(drop), denied);
    subject.set_headers(Bytes::from_static(br#"{"beta":true}"#));
    assert_eq!(rules.place(&subject, &action, &meta()).map(drop), Ok(()));
    subject.set_headers(Bytes::from_static(b"null"));
    assert_eq!(rules.place(&subject, &action, &meta()).map(drop), denied);
}
