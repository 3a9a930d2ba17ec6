//! Frames of every version and form.

use crate::again;
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, Target, run, within};
use tidelog_protocol::codec::{Codec, Link, Opening, Version};
use tidelog_protocol::{Form, Frame, Limits, Message, NodeId, WireError};

/// What a message takes in memory, in lengths of its frame, while it is read: the most are small
/// objects among the options of an error, which are read as values of their own.
const TIMES: usize = 160;
/// For a text that goes back to the sender, and the like.
const BESIDE: usize = 8 << 10;

/// Two ends of a connection: what the client says the server reads.
pub(crate) fn ends(version: Version) -> (Codec, Codec) {
    let end = |local: &str, remote: &str| {
        let link = Link {
            local: NodeId::new(local).unwrap(),
            remote: NodeId::new(remote).unwrap(),
            base: 1_795_222_838_404,
            time_fix: 0,
            implied_subprotocol: None,
            connected_subprotocol: 10,
        };
        Codec::new(version, link, Arc::new(Limits::default()))
    };
    (end("10:c:t", "server:s"), end("server:s", "10:c:t"))
}

#[derive(Deserialize)]
struct Line {
    frame: Option<String>,
    hex: Option<String>,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Different frames among the recorded ones, and one of each kind that nobody recorded.
fn recorded(lines: &str, form: Form, others: &[&[u8]]) -> Feed {
    let lines = lines.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
    let frames: BTreeSet<Vec<u8>> = match form {
        Form::Text => lines.filter_map(|line| Some(line.frame?.into_bytes())).collect(),
        Form::Binary => lines.filter_map(|line| Some(bytes(&line.hex?))).collect(),
    };
    assert!(frames.len() > 10, "{} recorded frames", frames.len());
    let others = others.iter().map(|frame| frame.to_vec());
    Feed::of(frames.into_iter().chain(others))
}

const TEXTS: [&[u8]; 4] = [
    br#"["error","wrong-subprotocol",{"supported":"^2.0.0","used":3}]"#,
    br#"["error","x",{"a":[1,-2.5,"b",null,{"c":{}}]}]"#,
    br#"["sync",2,{"type":"0/clean","ids":["1 a 0","P6vc3VV 10:cli:t"]},{"id":[-3,"a:b",4],"time":5,"reasons":[]}]"#,
    br#"["sync",3,{"type":"logux/undo","id":"1 a 2","action":{"type":"logux/subscribe","since":{"id":"1P6vc3VV a"}}},{"id":"-","time":0,"subprotocol":4}]"#,
];

const BINARIES: [&[u8]; 5] = [
    b"s\x07\x02C\x02\x0a\x02\x0b\x04\x03a:b\x02\x03\x05c\x0a\x02\x03\x01\x05\x07",
    b"s\x01\x01z0123456789ab\x03abc\x04\x02\x04\x03a:b\x07",
    b"e\x01x\x08{\"a\":[]}",
    b"c\x07\x0610:c:t\x01\x05\x0d{\"token\":\"x\"}",
    b"d\x05error\x03\"x\"",
];

fn fuzz(target: Target, version: Version, form: Form, feed: &Feed) {
    run(target, feed, |bytes| {
        let frame = match form {
            Form::Text => Frame::text(Bytes::copy_from_slice(bytes)),
            Form::Binary => Frame::binary(Bytes::copy_from_slice(bytes)),
        };
        look_at(version, &frame);
    });
}

fn look_at(version: Version, frame: &Frame) {
    let (client, server) = ends(version);
    let memory = frame.len() * TIMES + BESIDE;
    let early = within(memory, || Opening::read(frame, Some(version), &Limits::default()));
    let first = within(memory, || Opening::read(frame, None, &Limits::default()));
    let read = within(memory, || server.decode(frame));
    for error in [early.as_ref().err(), first.as_ref().err(), read.as_ref().err()] {
        let Some(error) = error else { continue };
        let answer = version.error(frame.form(), error);
        assert_eq!(client.decode(&answer), Ok(Message::Error(error.clone())), "an answer");
    }
    let Ok(message) = read else { return };
    let expected = opening(&message);
    assert_eq!((early, first), (Ok(expected.clone()), Ok(expected)), "the same, seen early");
    again::check(&message, frame.form(), &client, &server);
}

fn opening(message: &Message) -> Opening {
    match message {
        Message::Ping(_)
        | Message::Pong(_)
        | Message::Sync(_)
        | Message::Synced(_)
        | Message::Ready(_) => Opening::Later,
        message => Opening::Message(message.clone()),
    }
}

const V4: &str = include_str!("../data/v4-frames.jsonl");
const V5: &str = include_str!("../data/v5-frames.jsonl");
const V7: &str = include_str!("../data/v7-frames.jsonl");

#[test]
fn text_of_protocol_4() {
    fuzz(check!(), Version::V4, Form::Text, &recorded(V4, Form::Text, &TEXTS));
}

#[test]
fn text_of_protocol_5() {
    fuzz(check!(), Version::V5, Form::Text, &recorded(V5, Form::Text, &TEXTS));
}

#[test]
fn text_of_protocol_7() {
    fuzz(check!(), Version::V7, Form::Text, &recorded(V7, Form::Text, &TEXTS));
}

#[test]
fn binary_of_protocol_7() {
    fuzz(check!(), Version::V7, Form::Binary, &recorded(V7, Form::Binary, &BINARIES));
}

#[test]
fn what_is_fed_is_read() {
    for (version, form, lines, others) in [
        (Version::V4, Form::Text, V4, &TEXTS[..3]),
        (Version::V7, Form::Text, V7, &TEXTS[3..]),
        (Version::V7, Form::Binary, V7, &BINARIES[..]),
    ] {
        let (_, server) = ends(version);
        let read = |bytes: &[u8]| -> Result<Message, WireError> {
            let bytes = Bytes::copy_from_slice(bytes);
            server.decode(&match form {
                Form::Text => Frame::text(bytes),
                Form::Binary => Frame::binary(bytes),
            })
        };
        for other in others {
            read(other).unwrap_or_else(|error| panic!("{}: {error:?}", other.escape_ascii()));
        }
        drop(recorded(lines, form, others));
    }
}
