use super::*;
use crate::auth::Identity;
use crate::config::Source;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;

fn compile(text: &str) -> Result<Rules, ConfigError> {
    Rules::compile(&Config::parse(Source::new(Path::new("t.toml"), text))?)
}

fn rules(text: &str) -> Rules {
    compile(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn subject_at(node: &str) -> Subject {
    let node = NodeId::new(node).unwrap();
    let user = node.user().unwrap();
    let claims = json!({ "role": "editor", "teams": ["a", "b"], "level": 3 });
    let serde_json::Value::Object(claims) = claims else { unreachable!() };
    let anonymous = user.as_str() == "anonymous";
    let identity = Identity { user, claims: claims.into(), expires_ms: None, anonymous };
    Subject::new(&identity, node, 7)
}

fn subject() -> Subject {
    let mut subject = subject_at("10:phone:tab");
    subject.set_headers(Bytes::from_static(br#"{"locale":"en"}"#));
    subject
}

fn action(json: impl Into<Bytes>) -> Action {
    Action::new(json.into()).unwrap()
}

fn meta() -> Meta {
    Meta {
        id: "1700000000000 10:phone:tab 0".parse().unwrap(),
        time: 1_700_000_000_001,
        subprotocol: None,
    }
}

fn place(rules: &Rules, json: &'static str) -> Result<Placement, UndoReason> {
    rules.place(&subject(), &action(json), &meta())
}

fn subscribe(rules: &Rules, channel: &str) -> Result<Access, UndoReason> {
    let json = json!({ "type": "logux/subscribe", "channel": channel }).to_string();
    rules.subscribe(&subject(), channel, &action(json), &meta())
}

fn names(ids: &[UserId]) -> Vec<&str> {
    ids.iter().map(UserId::as_str).collect()
}

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
fn without_rules_every_action_enters_its_authors_log_and_no_channel_exists() {
    let rules = rules("");
    for json in [r#"{"type":"a"}"#, r#"{"type":"0","d":"","iv":""}"#, r#"{"type":"crdt/set"}"#] {
        let placement = place(&rules, json).unwrap();
        assert_eq!(names(&placement.users), ["10"]);
        assert!(placement.kept && placement.channels.is_empty() && !placement.sync_map);
    }
    assert_eq!(subscribe(&rules, "a"), Err(UndoReason::WrongChannel));
}

#[test]
fn with_any_rule_an_action_that_none_matches_is_of_unknown_type() {
    for text in [
        "[[action]]\ntype = \"tasks/*\"",
        "[[channel]]\npattern = \"tasks\"",
        "[[sync_map]]\nname = \"tasks\"",
    ] {
        let rules = rules(text);
        assert_eq!(place(&rules, r#"{"type":"other"}"#), Err(UndoReason::UnknownType), "{text}");
        assert_eq!(place(&rules, r#"{"type":"crdt/set"}"#), Err(UndoReason::UnknownType), "{text}");
        assert!(place(&rules, r#"{"type":"0"}"#).unwrap().kept, "{text}");
        let clean = place(&rules, r#"{"type":"0/clean","id":"1 10:phone:tab 0"}"#).unwrap();
        assert!(!clean.kept && names(&clean.users) == ["10"], "{text}");
        assert_eq!(subscribe(&rules, "other"), Err(UndoReason::WrongChannel), "{text}");
    }
}

#[test]
fn logux_types_are_not_a_clients_to_send() {
    let all = rules("[[action]]\ntype = \"*\"");
    for json in [r#"{"type":"logux/processed","id":"1 a 0"}"#, r#"{"type":"logux/undo"}"#] {
        assert_eq!(place(&rules(""), json), Err(UndoReason::Denied));
        assert_eq!(place(&all, json), Err(UndoReason::Denied));
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = rules(
        "[[action]]\ntype = \"tasks/secret\"\nallow = \"false\"\n\
         [[action]]\ntype = \"tasks/*\"\nchannels = [\"tasks\"]\n\
         [[action]]\ntype = \"*\"\nkeep = false",
    );
    assert_eq!(place(&rules, r#"{"type":"tasks/secret"}"#), Err(UndoReason::Denied));
    assert_eq!(&*place(&rules, r#"{"type":"tasks/add"}"#).unwrap().channels[0], "tasks");
    let live = place(&rules, r#"{"type":"cursor"}"#).unwrap();
    assert!(!live.kept && names(&live.users) == ["10"]);
}

#[test]
fn templates_address_logs_and_live_targets_each_once() {
    let rules = rules(
        r#"[[action]]
        type     = "*"
        channels = ["tasks", "tasks/{action.id}", "tasks/{action['id']}"]
        users    = ["{action.assignee}", "10", "boss"]
        clients  = ["{user.id}:tv"]
        nodes    = ["{user.node}"]"#,
    );
    let placement = place(&rules, r#"{"type":"a","id":"14","assignee":"20"}"#).unwrap();
    assert_eq!(names(&placement.users), ["10", "20", "boss"]);
    assert_eq!(placement.channels, [Arc::from("tasks"), Arc::from("tasks/14")]);
    assert_eq!(placement.clients[0].as_str(), "10:tv");
    assert_eq!(placement.nodes[0].as_str(), "10:phone:tab");
    assert!(placement.kept);
}

#[test]
fn a_list_addresses_as_many_as_it_has() {
    let rules = rules(
        "[[action]]\ntype = \"*\"\n\
         users = [\"{has(action.to) ? action.to : []}\"]\nchannels = [\"{action.at.map(c, 'c/' + c)}\"]",
    );
    let placement = place(&rules, r#"{"type":"a","to":["1","2"],"at":["x"]}"#).unwrap();
    assert_eq!(names(&placement.users), ["10", "1", "2"]);
    assert_eq!(placement.channels, [Arc::from("c/x")]);
    assert_eq!(names(&place(&rules, r#"{"type":"a","at":[]}"#).unwrap().users), ["10"]);
    for json in [r#"{"type":"a","to":["1",2],"at":[]}"#, r#"{"type":"a","to":{"a":1},"at":[]}"#] {
        assert_eq!(place(&rules, json), Err(UndoReason::Denied));
    }
}

#[test]
fn an_address_that_cannot_exist_undoes_the_action_with_error() {
    let template =
        |key: &str| rules(&format!("[[action]]\ntype = \"*\"\n{key} = [\"{{action.a}}\"]"));
    let place = |key: &str, value: &str| {
        let json = json!({ "type": "a", "a": value }).to_string();
        template(key).place(&subject(), &action(json), &meta()).map(drop)
    };
    let long = "x".repeat(257);
    for value in ["", "a:b", "a b", "a\n", long.as_str()] {
        assert_eq!(place("users", value), Err(UndoReason::Error), "{value:?}");
    }
    for value in ["", "a\u{0}", "a\u{85}", long.as_str()] {
        assert_eq!(place("channels", value), Err(UndoReason::Error), "{value:?}");
    }
    for key in ["clients", "nodes"] {
        assert_eq!(place(key, "a b"), Err(UndoReason::Error), "{key}");
    }
    assert_eq!(place("channels", &"x".repeat(256)), Ok(()));
    assert_eq!(place("channels", "a b é"), Ok(()));
}

#[test]
fn too_many_addresses_undo_the_action_with_error() {
    let rules = rules(
        "[limits]\naddresses_per_action = 3\n[[action]]\ntype = \"*\"\nusers = [\"{action.to}\"]",
    );
    assert!(place(&rules, r#"{"type":"a","to":["1","2","3","3","10"]}"#).is_ok());
    let crowd = place(&rules, r#"{"type":"a","to":["1","2","3","4"]}"#);
    assert_eq!(crowd, Err(UndoReason::Error));
}

#[test]
fn an_anonymous_user_has_no_log() {
    let text = "[auth]\nanonymous = [\"anonymous\"]\n[[action]]\ntype = \"*\"\n\
                users = [\"anonymous\", \"{has(action.to) ? [action.to] : []}\"]";
    let rules = rules(text);
    let anonymous = subject_at("anonymous:c:t");
    let nowhere = rules.place(&anonymous, &action(r#"{"type":"a"}"#), &meta()).unwrap();
    assert_eq!(nowhere, Placement::default(), "nothing to keep it in");
    let to = rules.place(&anonymous, &action(r#"{"type":"a","to":"10"}"#), &meta()).unwrap();
    assert!(names(&to.users) == ["10"] && to.kept);
    assert_eq!(names(&place(&rules, r#"{"type":"a"}"#).unwrap().users), ["10"]);
    let none = self::rules("").place(&anonymous, &action(r#"{"type":"a"}"#), &meta());
    assert_eq!(none, Ok(Placement::default()));
}

#[test]
fn a_sync_map_action_goes_to_its_channels_and_no_user_log() {
    let rules = rules("[[sync_map]]\nname = \"tasks\"\nallow = \"action.id != 'locked'\"");
    for json in [
        r#"{"type":"tasks/create","id":"1","fields":{}}"#,
        r#"{"type":"tasks/change","id":"1","fields":{"a":1}}"#,
        r#"{"type":"tasks/delete","id":"1"}"#,
    ] {
        let placement = place(&rules, json).unwrap();
        assert_eq!(placement.channels, [Arc::from("tasks"), Arc::from("tasks/1")]);
        assert!(placement.users.is_empty() && placement.kept && placement.sync_map);
    }
    let locked = r#"{"type":"tasks/delete","id":"locked"}"#;
    assert_eq!(place(&rules, locked), Err(UndoReason::Denied));
    for json in [
        r#"{"type":"tasks/create","id":"1"}"#,
        r#"{"type":"tasks/create","fields":{}}"#,
        r#"{"type":"tasks/create","id":1,"fields":{}}"#,
        r#"{"type":"tasks/create","id":"","fields":{}}"#,
        r#"{"type":"tasks/create","id":"a\n","fields":{}}"#,
        r#"{"type":"tasks/change","id":"1","fields":[1]}"#,
        r#"{"type":"tasks/change","id":"1","fields":null}"#,
        r#"{"type":"tasks/delete"}"#,
    ] {
        assert_eq!(place(&rules, json), Err(UndoReason::Error), "{json}");
    }
    for json in [r#"{"type":"tasks/created","id":"1","fields":{}}"#, r#"{"type":"tasks/x/create"}"#]
    {
        assert_eq!(place(&rules, json), Err(UndoReason::UnknownType), "{json}");
    }
    assert_eq!(rules.sync_map("tasks/change").map(|it| it.1.rendered()), Some("changed"));
}

#[test]
fn a_sync_map_has_its_channels_and_a_channel_rule_goes_first() {
    let rules = rules(
        "[[sync_map]]\nname = \"tasks\"\nsubscribe = \"params.id != 'secret'\"\n\
         [[sync_map]]\nname = \"open\"\n\
         [[channel]]\npattern = \"tasks/mine\"\nallow = \"false\"\n\
         [[channel]]\npattern = \"tasks/:id\"\nallow = \"params.id != '13'\"\nload = \"log\"\n",
    );
    let map = |name: &str, item: Option<&str>, load| {
        let sync_map = SyncMapChannel { name: name.into(), item: item.map(str::to_owned) };
        Ok(Access { load, sync_map: Some(sync_map) })
    };
    assert_eq!(subscribe(&rules, "open"), map("open", None, Load::State));
    assert_eq!(subscribe(&rules, "open/a/b"), map("open", Some("a/b"), Load::State));
    assert_eq!(subscribe(&rules, "open/"), Err(UndoReason::WrongChannel));
    assert_eq!(subscribe(&rules, "opened"), Err(UndoReason::WrongChannel));
    assert_eq!(subscribe(&rules, "tasks/mine"), Err(UndoReason::Denied));
    assert_eq!(subscribe(&rules, "tasks/13"), Err(UndoReason::Denied));
    assert_eq!(subscribe(&rules, "tasks/secret"), map("tasks", Some("secret"), Load::Log));
    assert_eq!(subscribe(&rules, "tasks"), Err(UndoReason::Denied), "it has no params.id");
}

#[test]
fn a_channel_says_who_may_subscribe_and_what_they_get() {
    let rules = rules(
        "[[channel]]\npattern = \"users/:id\"\nallow = \"params.id == user.id\"\n\
         [[channel]]\npattern = \"live\"\nload = \"none\"",
    );
    assert_eq!(subscribe(&rules, "users/10"), Ok(Access { load: Load::Log, sync_map: None }));
    assert_eq!(subscribe(&rules, "users/20"), Err(UndoReason::Denied));
    assert_eq!(subscribe(&rules, "live").map(|it| it.load), Ok(Load::None));
    for channel in ["", "users", "live/x", "live\n"] {
        assert_eq!(subscribe(&rules, channel), Err(UndoReason::WrongChannel), "{channel:?}");
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
    let reads = place("[[action]]\ntype = \"*\"\nallow = \"action.type == 'a'\"");
    assert_eq!(reads, Err(UndoReason::Denied));
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
    assert_eq!(place(quadratic, &big), Err(UndoReason::Denied));
    assert_eq!(
        place(&format!("true || {quadratic}"), &big),
        Ok(()),
        "what is not run costs nothing"
    );
    let hidden = format!("!{quadratic} || true");
    assert_eq!(place(&hidden, &big), Err(UndoReason::Denied), "nor does it help to swallow it");
    assert_eq!(place("action.list.all(a, a == 1)", &big), Ok(()), "one walk is fine");
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

/// Each faulty rule, the line that is named, and a word of the reason.
const FAULTS: &[(&str, usize, &str)] = &[
    ("[[action]]\ntype = \"\"", 2, "glob"),
    ("[[action]]\ntype = \"logux/x\"", 2, "protocol's own"),
    ("[[action]]\ntype = \"a\"\n\nallow = \"user.id ==\"", 4, "in the expression"),
    ("[[action]]\ntype = \"a\"\nallow = '''\nuser.id == '1'\n && (\n'''", 6, "in the expression"),
    ("[[action]]\ntype = \"a\"\nallow = \"\"", 3, "in the expression"),
    ("[[action]]\ntype = \"a\"\nallow = \"usr.id == 'a'\"", 3, "\"usr\" is unknown"),
    ("[[action]]\ntype = \"a\"\nallow = \"owner == 'a'\"", 3, "\"owner\" is unknown"),
    ("[[action]]\ntype = \"a\"\nallow = \"params.id == 'a'\"", 3, "[[channel]]"),
    ("[[action]]\ntype = \"a\"\nallow = \"user.id.startWith('a')\"", 3, "no function startWith()"),
    ("[[action]]\ntype = \"a\"\nallow = \"lower(user.id) == 'a'\"", 3, "no function lower()"),
    ("[[action]]\ntype = \"a\"\nallow = \"user.id.matches('(')\"", 3, "no regular expression"),
    ("[[action]]\ntype = \"a\"\nallow = \"user.id.matches(action.re)\"", 3, "written out"),
    ("[[action]]\ntype = \"a\"\nallow = \"action.l.all(x, x.matches('a'))\"", 3, "in a loop"),
    ("[[action]]\ntype = \"a\"\nallow = \"[1].all(a, [1].all(b, [1].all(c, true)))\"", 3, "loops"),
    ("[[action]]\ntype = \"a\"\nallow = \"Foo{a: 1} == 1\"", 3, "is no type"),
    ("[[action]]\ntype = \"a\"\nallow = \"[1].all(x, true) && x == 1\"", 3, "\"x\" is unknown"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"a\",\n\"a/{action.}\"]", 4, "in the expression"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"a/{action.id\"]", 3, "without its }"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"a/action.id}\"]", 3, "without its {"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"a/{}\"]", 3, "in the expression"),
    ("[[action]]\ntype = \"a\"\nchannels = [\"\"]", 3, "name of a channel"),
    ("[[action]]\ntype = \"a\"\nusers = [\"a\", \"b:c\"]", 3, "colon"),
    ("[[action]]\ntype = \"a\"\nclients = [\"a b\"]", 3, "space"),
    ("[[action]]\ntype = \"a\"\nnodes = [\"a b\"]", 3, "space"),
    ("[[channel]]\npattern = \"a/:\"", 2, "parameter"),
    ("[[channel]]\npattern = \"a/:id\"\nallow = \"params.ide == 'a'\"", 3, "no params.ide"),
    ("[[channel]]\npattern = \"a\"\nload = \"state\"", 3, "[[sync_map]]"),
    ("[[sync_map]]\nname = \"\"", 2, "name of a channel"),
    ("[[sync_map]]\nname = \"logux\"", 2, "taken"),
    ("[[sync_map]]\nname = \"crdt/a\"", 2, "taken"),
    ("[[sync_map]]\nname = \"a\"\n[[sync_map]]\nname = \"a\"", 4, "share channels"),
    ("[[sync_map]]\nname = \"a/b\"\n[[sync_map]]\nname = \"a\"", 4, "share channels"),
    ("[[sync_map]]\nname = \"a\"\nallow = \"params.id == '1'\"", 3, "[[channel]]"),
    ("[[sync_map]]\nname = \"a\"\nsubscribe = \"x\"", 3, "unknown"),
];

#[test]
fn an_error_in_a_rule_has_its_line_and_reason() {
    for (text, line, reason) in FAULTS {
        let error = compile(text).expect_err(text).to_string();
        assert!(error.starts_with(&format!("t.toml:{line}: ")), "{text:?}: {error}");
        assert!(error.contains(reason), "{text:?}: {error}");
    }
    let long = format!("[[action]]\ntype = \"a\"\nallow = \"{}true\"", "true && ".repeat(600));
    assert!(compile(&long).unwrap_err().to_string().contains("longer than 4096 bytes"));
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
        assert_eq!(&*placement.channels[0], channel, "{template}");
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

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("id|to|list|fields|n|.{0,4}", inner, 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever a client sends, the rules answer; what they accept has valid addresses.
    #[test]
    fn no_action_makes_a_rule_panic(
        kind in "tasks/(create|change|delete)|lists/[a-z]|odd/.{0,3}|.{0,6}",
        body in prop::collection::btree_map("id|to|list|fields|n", json_value(), 0..6),
        channel in "tasks(/.{0,8})?|users/.{0,8}|.{0,300}",
    ) {
        let rules = rules(
            r#"[[action]]
            type = "lists/*"
            allow = "size(action.list) > 0 && (action.n > 1 || action.n < action.list[0])"
            channels = ["lists/{action.id}", "{action.list}"]
            users = ["{action.to}"]
            [[action]]
            type = "odd/*"
            allow = "action.list.exists(a, timestamp(a.n) - duration(a.id) > timestamp(a.to)) || double(action.n) / int(action.id) % 3 == -action.to || string(action.n).size() > uint(action.fields.n)"
            [[sync_map]]
            name = "tasks"
            allow = "action.fields.n != null"
            [[channel]]
            pattern = "users/:id"
            allow = "action.filter.n == params.id"
            "#,
        );
        let mut json = serde_json::Map::from_iter(body.clone());
        json.insert("type".to_owned(), kind.into());
        let action = action(serde_json::Value::Object(json).to_string());
        if let Ok(placement) = rules.place(&subject(), &action, &meta()) {
            for channel in &placement.channels {
                prop_assert!(address::is_channel(channel));
            }
            prop_assert!(placement.users.len() + placement.channels.len() <= 257);
        }
        let filter = serde_json::Map::from_iter(body);
        let json = json!({ "type": "logux/subscribe", "channel": channel, "filter": filter });
        let subscribe = self::action(json.to_string());
        if let Ok(Some(filter)) = Filter::of(&subscribe) {
            filter.passes(&action, Some("tasks"));
            filter.passes(&action, None);
        }
        let _ = rules.subscribe(&subject(), &channel, &subscribe, &meta());
    }

    /// Whatever stands in a file, compiling answers.
    #[test]
    fn no_expression_makes_compiling_panic(
        text in "[a-z.()\\[\\]{}'\"\\\\&|?:!=<> 0-9,+-]{0,40}|(user\\.id|action\\.n|\\(|\\)|==|&&|'|[{}]| ){0,12}",
    ) {
        for key in ["allow = ", "channels = ["] {
            let end = if key.ends_with('[') { "]" } else { "" };
            let value = serde_json::Value::from(text.as_str());
            let _ = compile(&format!("[[action]]\ntype = \"a\"\n{key}{value}{end}"));
        }
    }
}
