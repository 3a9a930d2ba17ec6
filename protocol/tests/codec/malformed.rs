//! Frames that must be refused, and the exact answer to each.

use super::{BASE, both_ends, node, opening, text};
use tidelog_protocol::codec::{Codec, Opening, Version};
use tidelog_protocol::{Form, Frame, Limits, Message, WireError};

fn server() -> Codec {
    both_ends(&node("1:a:b"), &node("server:q"), BASE, &Limits::default()).1
}

/// What a frame is answered with, before sign-in and after it.
fn answers(frame: &[u8]) -> [Option<String>; 2] {
    let answer = |error: WireError| {
        let answer = Version::V5.error(Form::Text, &error);
        String::from_utf8(answer.bytes().to_vec()).unwrap()
    };
    let frame = Frame::text(frame.to_vec());
    [
        opening(&frame, Version::V5, &Limits::default()).err().map(answer),
        server().decode(&frame).err().map(answer),
    ]
}

fn refused(frame: &str, answer: &str) {
    assert_eq!(answers(frame.as_bytes()), [Some(answer.into()), Some(answer.into())], "{frame}");
}

fn wrong_format(frame: &str) {
    let answer = serde_json::to_string(&["error", "wrong-format", frame]).unwrap();
    refused(frame, &answer);
}

fn taken(frame: &str) {
    assert_eq!(answers(frame.as_bytes()), [None, None], "{frame}");
}

#[test]
fn what_stopped_a_recorded_server_is_a_wrong_format_here() {
    wrong_format(r#"["headers",null]"#);
    wrong_format(r#"["connect",5,"1:a:b",0,null]"#);
    wrong_format(r#"["sync",1,{"type":"a"},null]"#);
}

#[test]
fn what_a_recorded_server_refused_gets_the_same_answer_here() {
    wrong_format("[]");
    wrong_format("null");
    wrong_format("[1]");
    wrong_format(r#"["ping","x"]"#);
    refused(r#"["constructor",1]"#, r#"["error","unknown-message","constructor"]"#);
    refused(r#"["__proto__"]"#, r#"["error","unknown-message","__proto__"]"#);
}

#[test]
fn what_a_recorded_server_let_pass_passes_here() {
    taken(r#"["sync",1]"#);
    taken(r#"["debug","error","x"]"#);
    taken(r#"["error","x"]"#);
    taken(r#"["connected",5,"server:q",[1,2]]"#);
}

#[test]
fn a_message_that_protocol_5_does_not_have_is_unknown() {
    for name in ["ready", "duilian", "Sync", "", "sync "] {
        let frame = serde_json::to_string(&(name, 0)).unwrap();
        refused(&frame, &serde_json::to_string(&["error", "unknown-message", name]).unwrap());
    }
}

#[test]
fn arrays_and_null_are_no_objects() {
    for frame in [
        r#"["headers",[]]"#,
        r#"["headers",["locale","en"]]"#,
        r#"["headers","x"]"#,
        r#"["connect",5,"1:a:b",0,[]]"#,
        r#"["connect",5,"1:a:b",0,["token",1]]"#,
        r#"["connected",5,"1:a:b",[1,2],[]]"#,
        r#"["sync",1,["type"],{"id":0,"time":0}]"#,
        r#"["sync",1,null,{"id":0,"time":0}]"#,
        r#"["sync",1,{"type":"a"},[0,0]]"#,
        r#"["sync",1,{"type":"a"},[]]"#,
        r#"{"0":"ping","1":0}"#,
    ] {
        wrong_format(frame);
    }
}

#[test]
fn every_message_has_its_elements_and_no_more() {
    for frame in [
        r#"["connect"]"#,
        r#"["connect",5]"#,
        r#"["connect",5,"1:a:b"]"#,
        r#"["connect",5,"1:a:b",0,{},{}]"#,
        r#"["connected",5,"server:q"]"#,
        r#"["connected",5,"server:q",[1]]"#,
        r#"["connected",5,"server:q",[1,2,3]]"#,
        r#"["connected",5,"server:q",[1,2],{},0]"#,
        r#"["headers"]"#,
        r#"["headers",{},{}]"#,
        r#"["error"]"#,
        r#"["error","x",1,2]"#,
        r#"["debug","error"]"#,
        r#"["debug","error","x","y"]"#,
        r#"["ping"]"#,
        r#"["ping",1,2]"#,
        r#"["pong",1,2]"#,
        r#"["synced",1,2]"#,
        r#"["sync"]"#,
        r#"["sync",1,{"type":"a"}]"#,
        r#"["sync",1,{"type":"a"},{"id":0,"time":0},{"type":"a"}]"#,
    ] {
        wrong_format(frame);
    }
}

#[test]
fn every_element_is_of_its_kind() {
    for frame in [
        r#"["connect","5","1:a:b",0]"#,
        r#"["connect",-5,"1:a:b",0]"#,
        r#"["connect",5.5,"1:a:b",0]"#,
        r#"["connect",5,1,0]"#,
        r#"["connect",5,"",0]"#,
        r#"["connect",5,"1:a b",0]"#,
        r#"["connect",5,"1:a:b","0"]"#,
        r#"["connect",5,"1:a:b",-1]"#,
        r#"["connect",5,"1:a:b",0,{"token":1}]"#,
        r#"["connect",5,"1:a:b",0,{"token":"x","token":"y"}]"#,
        r#"["connect",5,"1:a:b",0,{"subprotocol":"1.0.0"}]"#,
        r#"["connect",5,"1:a:b",0,{"subprotocol":1.5}]"#,
        r#"["connect",5,"1:a:b",0,{"subprotocol":-1}]"#,
        r#"["connected",5,"server:q",["1",2]]"#,
        r#"["error",1]"#,
        r#"["debug","warning","x"]"#,
        r#"["debug","error",1]"#,
        r#"["ping",null]"#,
        r#"["ping",-1]"#,
        r#"["ping",1.5]"#,
        r#"["ping",9007199254740992]"#,
        r#"["ping",1e300]"#,
        r#"["sync","1"]"#,
        r#"["sync",1,{"type":1},{"id":0,"time":0}]"#,
        r#"["sync",1,{},{"id":0,"time":0}]"#,
        r#"["sync",1,{"type":"a","type":"b"},{"id":0,"time":0}]"#,
    ] {
        wrong_format(frame);
    }
}

#[test]
fn a_meta_has_one_id_and_one_time_and_both_in_range() {
    for meta in [
        r"{}",
        r#"{"id":0}"#,
        r#"{"time":0}"#,
        r#"{"id":null,"time":0}"#,
        r#"{"id":"0","time":0}"#,
        r#"{"id":"1795222838711 1:a:b 0","time":0}"#,
        r#"{"id":{},"time":0}"#,
        r#"{"id":[],"time":0}"#,
        r#"{"id":[0],"time":0}"#,
        r#"{"id":[0,-1],"time":0}"#,
        r#"{"id":[0,0.5],"time":0}"#,
        r#"{"id":[0,null],"time":0}"#,
        r#"{"id":[0,9007199254740992],"time":0}"#,
        r#"{"id":[0,"1:a:b"],"time":0}"#,
        r#"{"id":[0,"1:a:b",0,0],"time":0}"#,
        r#"{"id":[0,0,0],"time":0}"#,
        r#"{"id":[0,"",0],"time":0}"#,
        r#"{"id":[0,"a b",0],"time":0}"#,
        r#"{"id":["0","1:a:b",0],"time":0}"#,
        r#"{"id":0.5,"time":0}"#,
        r#"{"id":0,"id":1,"time":0}"#,
        r#"{"id":0,"time":0,"time":0}"#,
        r#"{"id":0,"time":null}"#,
        r#"{"id":0,"time":"0"}"#,
        r#"{"id":0,"time":0.5}"#,
        r#"{"id":9007199254740992,"time":0}"#,
        r#"{"id":0,"time":-9007199254740992}"#,
        r#"{"id":0,"time":0,"subprotocol":"1.0.0"}"#,
        r#"{"id":0,"time":0,"subprotocol":1.5}"#,
        r#"{"id":0,"time":0,"subprotocol":null}"#,
        r#"{"id":0,"time":0,"subprotocol":-1}"#,
        r#"{"id":0,"time":0,"subprotocol":4294967296}"#,
        r#"{"id":0,"time":0,"subprotocol":1,"subprotocol":1}"#,
    ] {
        wrong_format(&format!(r#"["sync",1,{{"type":"a"}},{meta}]"#));
    }
}

#[test]
fn a_time_or_an_id_outside_of_what_a_javascript_number_holds_is_refused_once_the_base_is_known() {
    let far = 1_u64 << 53;
    for (id, time) in [
        (format!("-{}", BASE + 1), "0".to_owned()),
        ("0".to_owned(), format!("-{}", BASE + 1)),
        (format!("[{},\"2:c:d\",0]", far - BASE), "0".to_owned()),
        ("0".to_owned(), (far - BASE).to_string()),
    ] {
        let frame = format!(r#"["sync",1,{{"type":"a"}},{{"id":{id},"time":{time}}}]"#);
        let [before, after] = answers(frame.as_bytes());
        assert_eq!(before, None, "{frame}");
        let wrong = serde_json::to_string(&["error", "wrong-format", &frame]).unwrap();
        assert_eq!(after, Some(wrong));
    }
    let edge = far - 1 - BASE;
    taken(&format!(r#"["sync",1,{{"type":"a"}},{{"id":-{BASE},"time":{edge}}}]"#));
}

#[test]
fn numbers_that_javascript_writes_no_differently_are_the_same() {
    taken(r#"["ping",5.0]"#);
    taken(r#"["ping",5e0]"#);
    taken(r#"["sync",1,{"type":"a"},{"id":[-0,1.0],"time":-0.0}]"#);
}

#[test]
fn another_protocol_is_named_before_anything_else_is_found_wrong() {
    for (frame, supported, used) in [
        (r#"["connect",99,"40:a:b",0,{"subprotocol":10}]"#, 7, 99),
        (r#"["connect",6,"40:a:b",0,{"subprotocol":10}]"#, 7, 6),
        (r#"["connect",3]"#, 4, 3),
        (r#"["connect",0,null,null,null,null]"#, 4, 0),
        (r#"["connected",7,"server:q",[1,2]]"#, 5, 7),
    ] {
        let error = format!(r#"{{"supported":{supported},"used":{used}}}"#);
        refused(frame, &format!(r#"["error","wrong-protocol",{error}]"#));
    }
    wrong_format(r#"["connect",4,"#);
    wrong_format(r#"["connect",99999999999,"40:a:b",0]"#);
}

#[test]
fn what_is_not_json_comes_back_as_it_was_and_what_is_json_without_its_spaces() {
    wrong_format("");
    wrong_format(" {bad ");
    wrong_format(r#"["ping",1]]"#);
    wrong_format(r#"["hello",1"#);
    wrong_format("\u{feff}[]");
    refused(
        " [ \"ping\" , \"a \\\" b\\\\\" ,\n{ \"z\" : 1, \"a\" : [ ] } ] ",
        r#"["error","wrong-format","[\"ping\",\"a \\\" b\\\\\",{\"z\":1,\"a\":[]}]"]"#,
    );
    let [before, after] = answers(b"[\"ping\",\"\xff\"]");
    assert_eq!(before, after);
    assert_eq!(before.unwrap(), "[\"error\",\"wrong-format\",\"[\\\"ping\\\",\\\"\u{fffd}\\\"]\"]");
}

#[test]
fn a_long_text_is_cut_between_two_characters() {
    for frame in [
        format!("[{}]", "\"ä\",".repeat(1000)),
        format!("[\"{}\"]", "ä".repeat(1000)),
        format!("[1,\"{}\"]", "ä".repeat(1000)),
    ] {
        let [Some(before), Some(after)] = answers(frame.as_bytes()) else { panic!("refused") };
        assert_eq!(before, after);
        let told = server().decode(&text(&before)).unwrap();
        let Message::Error(WireError::WrongFormat(text) | WireError::UnknownMessage(text)) = told
        else {
            panic!("{told:?}");
        };
        assert!((1000..=1024).contains(&text.len()), "{}", text.len());
        assert!(frame.contains(&text));
    }
}

#[test]
fn nesting_as_deep_as_a_frame_is_long_breaks_nothing() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    for frame in [
        deep(30_000),
        "[".repeat(60_000),
        format!(r#"["ping",{}]"#, deep(30_000)),
        format!(r#"["hello",{}]"#, deep(30_000)),
        format!(r#"["error","x",{}]"#, deep(30_000)),
        format!(r#"["connect",5,"1:a:b",0,{{"x":{}}}]"#, deep(30_000)),
        format!(r#"["sync",1,{{"type":"a"}},{{"id":0,"time":0,"x":{}}}]"#, deep(30_000)),
    ] {
        answers(frame.as_bytes());
    }
}

#[test]
fn a_meta_with_more_keys_is_read_and_marked() {
    let frame = r#"["sync",1,{"type":"a"},{"id":5,"time":5,"channels":["x"]},{"type":"b"},{"id":6,"time":6}]"#;
    let Ok(Message::Sync(sync)) = server().decode(&text(frame)) else { panic!("a sync") };
    let marks: Vec<_> = sync.batch.iter().map(|pair| pair.extra_keys).collect();
    assert_eq!(marks, [true, false]);
    let early = opening(&text(frame), Version::V5, &Limits::default());
    assert_eq!(early, Ok(Opening::Later));
}

#[test]
fn options_that_are_null_or_unknown_count_as_absent() {
    let frame = r#"["connect",5,"1:a:b",0,{"token":null,"subprotocol":null,"credentials":1}]"#;
    let Ok(Message::Connect(connect)) = server().decode(&text(frame)) else { panic!("connect") };
    assert_eq!((connect.token, connect.subprotocol), (None, 0));
}
