//! What is one more than a limit allows is refused with the sentence that names it; what is just
//! within passes.

use super::{BASE, both_ends, node, opening, text};
use tidelog_protocol::codec::Version;
use tidelog_protocol::{Limits, WireError};

fn small() -> Limits {
    Limits {
        frame_bytes_before_sign_in: 200,
        frame_bytes: 300,
        actions_per_frame: 2,
        action_bytes: 60,
        headers_bytes: 40,
        name_bytes: 8,
        json_depth: 4,
        ..Limits::default()
    }
}

fn after_sign_in(frame: &str) -> Option<WireError> {
    let (_, server) = both_ends(&node("1:a:b"), &node("server:q"), BASE, &small());
    server.decode(&text(frame)).err()
}

fn before_sign_in(frame: &str) -> Option<WireError> {
    opening(&text(frame), Version::V5, &small()).err()
}

fn refused(frame: &str, sentence: &str) {
    let expected = Some(WireError::WrongFormat(sentence.into()));
    assert_eq!(after_sign_in(frame), expected, "{frame}");
    assert_eq!(before_sign_in(frame), expected, "{frame}");
}

fn taken(frame: &str) {
    assert_eq!((after_sign_in(frame), before_sign_in(frame)), (None, None), "{frame}");
}

fn sync(action: &str) -> String {
    format!(r#"["sync",1,{action},{{"id":0,"time":0}}]"#)
}

#[test]
fn frames() {
    let frame = |bytes: usize| {
        let frame = format!("{:<bytes$}", r#"["ping",1]"#);
        assert_eq!(frame.len(), bytes);
        frame
    };
    assert_eq!(before_sign_in(&frame(200)), None);
    assert_eq!(
        before_sign_in(&frame(201)),
        Some(WireError::WrongFormat("before sign-in a frame has at most 200 bytes".into()))
    );
    let sync = |bytes: usize| format!("{:<bytes$}", r#"["sync",1]"#);
    assert_eq!(after_sign_in(&frame(200)), None);
    assert_eq!(
        after_sign_in(&frame(201)),
        Some(WireError::WrongFormat("a message other than sync has at most 200 bytes".into()))
    );
    assert_eq!(after_sign_in(&sync(300)), None);
    assert_eq!(
        after_sign_in(&sync(301)),
        Some(WireError::WrongFormat("a frame has at most 300 bytes".into()))
    );
}

#[test]
fn actions_in_a_sync() {
    let frame = |count: usize| {
        format!(r#"["sync",1{}]"#, r#",{"type":"a"},{"id":0,"time":0}"#.repeat(count))
    };
    taken(&frame(2));
    refused(&frame(3), "a sync has at most 2 actions");
    refused(&frame(4), "a sync has at most 2 actions");
}

#[test]
fn bytes_of_an_action() {
    let action = |bytes: usize| {
        let action = format!(r#"{{"type":"a","x":"{}"}}"#, "x".repeat(bytes - 19));
        assert_eq!(action.len(), bytes);
        action
    };
    taken(&sync(&action(60)));
    refused(&sync(&action(61)), "an action has at most 60 bytes");
}

#[test]
fn bytes_of_an_actions_type() {
    taken(&sync(r#"{"type":"12345678"}"#));
    refused(&sync(r#"{"type":"123456789"}"#), "an action's type has at most 8 bytes");
}

#[test]
fn bytes_of_headers() {
    let frame = |bytes: usize| format!(r#"["headers",{{"a":"{}"}}]"#, "x".repeat(bytes - 8));
    taken(&frame(40));
    refused(&frame(41), "headers have at most 40 bytes");
}

#[test]
fn nesting() {
    taken(&sync(r#"{"type":"a","x":[[[1],[2],[3]]]}"#));
    refused(&sync(r#"{"type":"a","x":[[[[]]]]}"#), "arrays and objects nest at most 4 deep");
    refused(r#"["headers",{"x":[[[[]]]]}]"#, "arrays and objects nest at most 4 deep");
}

#[test]
fn a_frame_that_is_not_json_is_that_before_it_is_over_a_limit() {
    let frame = r#"["sync",1,{"type":"123456789"},{"id":0,"time":0}"#;
    assert_eq!(after_sign_in(frame), Some(WireError::WrongFormat(frame.into())));
}
