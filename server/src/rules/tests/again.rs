//! What another server has accepted, judged by what is stored of it.

use super::*;
use std::sync::Arc;

fn admit(rules: &Rules, json: &'static str) -> Result<(), UndoReason> {
    let node = NodeId::new("10:phone:tab").unwrap();
    let user = node.user().unwrap();
    let identity = Identity { user, claims: Arc::default(), expires_ms: None, anonymous: false };
    rules.admit(&Subject::new(&identity, node, 7), &action(json), &meta())
}

#[test]
fn an_action_of_another_server_is_judged_by_what_is_known_of_its_author() {
    let rules = rules(
        r#"
        [[action]]
        type  = "mine"
        allow = "user.id == action.owner && user.client == '10:phone' && !user.anonymous"
        [[action]]
        type  = "claims"
        allow = "user.claims.role == 'admin'"
        [[action]]
        type  = "indexed"
        allow = "user['claims'].role == 'admin'"
        [[action]]
        type  = "headers"
        allow = "headers.locale == 'fr'"
        [[action]]
        type     = "far"
        channels = ["{user.claims.team}"]
        [[sync_map]]
        name  = "tasks"
        allow = "action.id != 'secret'"
        [[merge]]
        type      = "far"
        document  = "far"
        operation = "counter/add"
        by        = "action.by"
        "#,
    );
    let denied = Err(UndoReason::Denied);
    assert_eq!(admit(&rules, r#"{"type":"mine","owner":"10"}"#), Ok(()));
    assert_eq!(admit(&rules, r#"{"type":"mine","owner":"11"}"#), denied);
    // Who signed in elsewhere was asked there.
    for json in [r#"{"type":"claims"}"#, r#"{"type":"indexed"}"#, r#"{"type":"headers"}"#] {
        assert_eq!(admit(&rules, json), Ok(()), "{json}");
    }
    assert_eq!(admit(&rules, r#"{"type":"far","by":1}"#), Ok(()), "it goes where it went");
    assert!(matches!(admit(&rules, r#"{"type":"far"}"#), Err(UndoReason::Malformed(_))));
    assert_eq!(admit(&rules, r#"{"type":"tasks/delete","id":"1"}"#), Ok(()));
    assert_eq!(admit(&rules, r#"{"type":"tasks/delete","id":"secret"}"#), denied);
    assert_eq!(admit(&rules, r#"{"type":"tasks/change","id":"1"}"#), Err(UndoReason::Error));
    assert_eq!(admit(&rules, r#"{"type":"other"}"#), Err(UndoReason::UnknownType));
    assert_eq!(admit(&rules, r#"{"type":"logux/undo","id":"1 a 0"}"#), denied);
    assert!(matches!(
        admit(&rules, r#"{"type":"crdt/counter/add","doc":"a","by":"x"}"#),
        Err(UndoReason::Malformed(_))
    ));
}
