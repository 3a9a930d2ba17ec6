//! Where actions go, and who may subscribe.

use super::*;

#[test]
fn without_rules_every_action_enters_its_authors_log_and_no_channel_exists() {
    let rules = rules("");
    for json in [r#"{"type":"a"}"#, r#"{"type":"0","d":"","iv":""}"#] {
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
    assert_eq!(channels(&place(&rules, r#"{"type":"tasks/add"}"#).unwrap()), ["tasks"]);
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
    assert_eq!(channels(&placement), ["tasks", "tasks/14"]);
    assert_eq!(placement.clients[0].as_str(), "10:tv");
    assert_eq!(placement.nodes[0].as_str(), "10:phone:tab");
    assert!(placement.kept);
}

#[test]
fn what_a_channel_has_need_not_be_in_its_authors_log() {
    let rules = rules(
        r#"[[action]]
        type     = "*"
        channels = ["{has(action.id) ? ['tasks/' + action.id] : []}"]
        users    = ["{has(action.to) ? action.to : []}"]
        own_log  = false"#,
    );
    let placement = place(&rules, r#"{"type":"a","id":"14"}"#).unwrap();
    assert!(placement.kept && placement.users.is_empty());
    assert_eq!(channels(&placement), ["tasks/14"]);
    for (json, users) in [
        (r#"{"type":"a","id":"14","to":["20"]}"#, &["20"][..]),
        (r#"{"type":"a","id":"14","to":["10"]}"#, &["10"]),
        // What goes to no channel would be lost otherwise.
        (r#"{"type":"a"}"#, &["10"]),
        (r#"{"type":"a","to":["20"]}"#, &["10", "20"]),
    ] {
        assert_eq!(names(&place(&rules, json).unwrap().users), users, "{json}");
    }
}

#[test]
fn a_list_addresses_as_many_as_it_has() {
    let rules = rules(
        "[[action]]\ntype = \"*\"\n\
         users = [\"{has(action.to) ? action.to : []}\"]\nchannels = [\"{action.at.map(c, 'c/' + c)}\"]",
    );
    let placement = place(&rules, r#"{"type":"a","to":["1","2"],"at":["x"]}"#).unwrap();
    assert_eq!(names(&placement.users), ["10", "1", "2"]);
    assert_eq!(channels(&placement), ["c/x"]);
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
        assert_eq!(channels(&placement), ["tasks", "tasks/1"]);
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
        Ok(Access { load, sync_map: Some(sync_map), squash: None })
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
    assert_eq!(
        subscribe(&rules, "users/10"),
        Ok(Access { load: Load::Log, sync_map: None, squash: None })
    );
    assert_eq!(subscribe(&rules, "users/20"), Err(UndoReason::Denied));
    assert_eq!(subscribe(&rules, "live").map(|it| it.load), Ok(Load::None));
    for channel in ["", "users", "live/x", "live\n"] {
        assert_eq!(subscribe(&rules, channel), Err(UndoReason::WrongChannel), "{channel:?}");
    }
}
