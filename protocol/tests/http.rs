//! The bodies of the HTTP interface, in both formats.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use tidelog_protocol::http::{
    ACTIONS_MAX, Cursor, PullResponse, PulledMeta, PushRequest, PushResponse, PushResult,
    PushedMeta, Status, SyncRequest, SyncResponse,
};
use tidelog_protocol::{Action, ActionId};

fn action() -> Action {
    Action::new(Bytes::from_static(br#"{"type":"a", "n":1}"#)).expect("an action")
}

fn id() -> ActionId {
    "1795222838711 10:client:tab 0".parse().expect("an action id")
}

fn pulled(channels: &[&str]) -> (Action, PulledMeta) {
    let channels = channels.iter().map(ToString::to_string).collect();
    let (time, dots) = (1_795_222_838_712, Vec::new());
    let subprotocol = Some(10);
    let meta = PulledMeta { id: id(), time, added: 3, subprotocol, channels, dots, context: None };
    (action(), meta)
}

fn result(status: Status, reason: Option<&str>) -> PushResult {
    let reason = reason.map(Into::into);
    PushResult { id: id(), status, reason, added: None, dots: Vec::new(), context: None }
}

/// The JSON is this, and the value survives both formats.
fn is<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).expect("JSON"), json);
    assert_eq!(&serde_json::from_str::<T>(json).expect("the same"), value);
    let packed = rmp_serde::to_vec_named(value).expect("MessagePack");
    let unpacked: T = rmp_serde::from_slice(&packed).expect("the same");
    // MessagePack keeps what an action says, not its white space.
    let compact = |json: &str| json.replace(", ", ",");
    assert_eq!(
        compact(&serde_json::to_string(&unpacked).expect("JSON")).len(),
        compact(json).len()
    );
}

#[test]
fn a_pull_is_answered_with_pairs_a_cursor_and_two_times() {
    let response = PullResponse {
        actions: vec![pulled(&["tasks/14"]), pulled(&[])],
        cursor: Cursor::new("c1".into()),
        number: 4097,
        more: true,
        time: (1, 2),
    };
    is(
        &response,
        concat!(
            r#"{"actions":[[{"type":"a", "n":1},{"id":"1795222838711 10:client:tab 0","#,
            r#""time":1795222838712,"added":3,"subprotocol":10,"channels":["tasks/14"]}],"#,
            r#"[{"type":"a", "n":1},{"id":"1795222838711 10:client:tab 0","#,
            r#""time":1795222838712,"added":3,"subprotocol":10}]],"#,
            r#""cursor":"c1","number":4097,"more":true,"time":[1,2]}"#
        ),
    );
}

#[test]
fn who_merges_is_told_the_names_of_an_action_and_what_its_author_had_seen() {
    let (action, mut meta) = pulled(&[]);
    meta.dots = vec!["00000000000000ab:7".into()];
    let context = serde_json::json!({"00000000000000ab": [5, [6, 6]]});
    meta.context = context.as_object().cloned();
    is(
        &(action, meta),
        concat!(
            r#"[{"type":"a", "n":1},{"id":"1795222838711 10:client:tab 0","#,
            r#""time":1795222838712,"added":3,"subprotocol":10,"dots":["00000000000000ab:7"],"#,
            r#""context":{"00000000000000ab":[5,[6,6]]}}]"#
        ),
    );
}

#[test]
fn a_push_carries_actions_with_or_without_ids() {
    let named = PushedMeta { id: Some(id()), time: Some(5), subprotocol: Some(1) };
    let request = PushRequest {
        actions: vec![(action(), named), (action(), PushedMeta::default())],
        seen: Some(Cursor::new("c0".into())),
        causality: false,
    };
    is(
        &request,
        concat!(
            r#"{"actions":[[{"type":"a", "n":1},{"id":"1795222838711 10:client:tab 0","#,
            r#""time":5,"subprotocol":1}],[{"type":"a", "n":1},{}]],"seen":"c0"}"#
        ),
    );
    let response = PushResponse {
        results: vec![result(Status::Processed, None), result(Status::Undone, Some("denied"))],
        time: (1, 2),
    };
    is(
        &response,
        concat!(
            r#"{"results":[{"id":"1795222838711 10:client:tab 0","status":"processed"},"#,
            r#"{"id":"1795222838711 10:client:tab 0","status":"undone","reason":"denied"}],"#,
            r#""time":[1,2]}"#
        ),
    );
}

#[test]
fn a_sync_is_a_push_and_a_pull() {
    is(&SyncRequest::default(), r#"{"actions":[]}"#);
    assert_eq!(serde_json::from_str::<SyncRequest>("{}").ok(), Some(SyncRequest::default()));
    let request = SyncRequest {
        actions: vec![(action(), PushedMeta::default())],
        seen: Some(Cursor::new("c0".into())),
        since: Some(Cursor::new("c0".into())),
        limit: Some(50),
        channels: vec!["tasks".into()],
        causality: true,
    };
    is(
        &request,
        concat!(
            r#"{"actions":[[{"type":"a", "n":1},{}]],"seen":"c0","since":"c0","limit":50,"#,
            r#""channels":["tasks"],"causality":true}"#
        ),
    );
    let response = SyncResponse {
        results: vec![result(Status::Processed, None)],
        actions: vec![],
        cursor: Cursor::new("c1".into()),
        number: 0,
        more: false,
        time: (1, 2),
    };
    is(
        &response,
        concat!(
            r#"{"results":[{"id":"1795222838711 10:client:tab 0","status":"processed"}],"#,
            r#""actions":[],"cursor":"c1","number":0,"more":false,"time":[1,2]}"#
        ),
    );
}

#[test]
fn a_request_that_cannot_be_meant_is_refused_with_the_place_of_the_fault() {
    for (json, fault) in [
        (r#"{"actions":[],"sen":"c0"}"#, r#""sen""#),
        (r#"{"actions":[[{"type":1},{}]]}"#, r#"{"type":1}"#),
        (r#"{"actions":[[["type"],{}]]}"#, r#"["type"]"#),
        (r#"{"actions":[[{"type":"a"},null]]}"#, "null"),
        (r#"{"actions":[[{"type":"a"}]]}"#, "]"),
        (r#"{"actions":[[{"type":"a"},{"id":"1 a"}]]}"#, r#""1 a""#),
        (r#"{"actions":[[{"type":"a"},[null,null]]]}"#, "[null"),
        (r#"[[[{"type":"a"},{}]]]"#, "[[["),
        (r#"{"actions":[[{"type":"a"},{"time":-1}]]}"#, "-1"),
        (r#"{"actions":[[{"type":"a"},{"time":9007199254740992}]]}"#, "9007199254740992"),
        (r#"{"actions":[[{"type":"a"},{"channels":[]}]]}"#, r#""channels""#),
    ] {
        let error = serde_json::from_str::<PushRequest>(json).expect_err(json);
        let start = json.find(fault).expect("the fault");
        let place = start..=start + fault.len() + 1;
        assert!(error.line() == 1 && place.contains(&error.column()), "{json}: {error}");
    }
}

#[test]
fn a_response_may_say_more_than_its_reader_knows() {
    let json = r#"{"results":[],"time":[1,2],"more":"news"}"#;
    assert!(serde_json::from_str::<PushResponse>(json).is_ok());
}

#[test]
fn of_too_many_actions_one_too_many_is_read_and_the_rest_takes_no_memory() {
    let body = |count: usize| {
        let pairs = vec![r#"[{"type":""},{}]"#; count].join(",");
        format!(r#"{{"actions":[{pairs}]}}"#)
    };
    for (count, read) in [(ACTIONS_MAX, ACTIONS_MAX), (100_000, ACTIONS_MAX + 1)] {
        let json = body(count);
        let packed = rmp_serde::to_vec_named(
            &serde_json::from_str::<serde_json::Value>(&json).expect("JSON"),
        );
        let packed = packed.expect("MessagePack");
        let from_json =
            tidelog_fuzz::within(8 << 20, || serde_json::from_str::<PushRequest>(&json));
        assert_eq!(from_json.expect("a push").actions.len(), read);
        let unpacked =
            tidelog_fuzz::within(8 << 20, || rmp_serde::from_slice::<SyncRequest>(&packed));
        assert_eq!(unpacked.expect("a sync").actions.len(), read);
    }
    let broken = body(100_000).replace("]]}", "]}");
    assert!(serde_json::from_str::<PushRequest>(&broken).is_err(), "the rest is JSON, too");
}
