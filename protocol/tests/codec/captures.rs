//! `data/v*-frames.jsonl` is what public npm packages said to each other over a loopback socket:
//! for protocol 5 `@logux/client` 0.23.2 and `@logux/redux` 0.8.4 with `@logux/server` 0.14.0, for 4
//! `@logux/client` 0.21.1 with `@logux/server` 0.13.1, for 7 the two nodes of `@logux/core` 0.12.1.

use super::{both_ends, both_ends_of, opening, text};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tidelog_protocol::codec::{Codec, Opening, Version};
use tidelog_protocol::{Connect, Connected, Form, Frame, Limits, Message, WireError};

const V4: (Version, &str) = (Version::V4, include_str!("../data/v4-frames.jsonl"));
const V5: (Version, &str) = (Version::V5, include_str!("../data/v5-frames.jsonl"));
const V7: (Version, &str) = (Version::V7, include_str!("../data/v7-frames.jsonl"));

#[derive(Deserialize)]
struct Line {
    session: String,
    connection: u32,
    from: Side,
    frame: Option<String>,
    /// Of a binary frame.
    hex: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Client,
    Server,
}

type Connection = Vec<(Side, Frame)>;

fn connections(lines: &str) -> BTreeMap<(String, u32), Connection> {
    let mut connections: BTreeMap<_, Connection> = BTreeMap::new();
    for line in lines.lines() {
        let Line { session, connection, from, frame, hex } = serde_json::from_str(line).unwrap();
        let frame = match (frame, hex) {
            (Some(frame), _) => text(&frame),
            (None, hex) => Frame::binary(bytes(&hex.unwrap())),
        };
        connections.entry((session, connection)).or_default().push((from, frame));
    }
    connections
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn shown(frame: &Frame) -> &str {
    match frame.form() {
        Form::Text => std::str::from_utf8(frame.bytes()).unwrap(),
        Form::Binary => "(binary)",
    }
}

fn early(frame: &Frame, version: Version) -> Result<Opening, WireError> {
    opening(frame, version, &Limits::default())
}

fn handshake(frames: &Connection, version: Version) -> Option<(Connect, Connected)> {
    let messages = || frames.iter().map(|(_, frame)| early(frame, version));
    let connect = messages().find_map(|message| match message {
        Ok(Opening::Message(Message::Connect(connect))) => Some(connect),
        _ => None,
    })?;
    let connected = messages().find_map(|message| match message {
        Ok(Opening::Message(Message::Connected(connected))) => Some(connected),
        _ => None,
    })?;
    Some((connect, connected))
}

/// Reads a frame as its receiver and writes it as its sender.
fn there_and_back(frame: &Frame, sender: &Codec, receiver: &Codec) -> Message {
    let message = receiver.decode(frame).unwrap_or_else(|e| panic!("{}: {e:?}", shown(frame)));
    let again = sender.encode(frame.form(), &message);
    if again != *frame && !extra_keys(&message) {
        let (again, frame) = (shown(&again), said_here(shown(frame)));
        let json = |frame| serde_json::from_str::<Value>(frame).unwrap();
        assert_eq!(json(again), json(&frame));
        let reordered = frame.contains(r#"{"subprotocol":7,"id":"#);
        assert!(again == frame || reordered, "only the order of meta keys may differ: {again}");
    }
    message
}

/// What Tidelog does not say as it was said: the rest of a semantic version, and zeros that lead.
fn said_here(frame: &str) -> String {
    frame
        .replace(r#""subprotocol":"1.2.0""#, r#""subprotocol":"1.0.0""#)
        .replace(r#""id":"-RAkX "#, r#""id":"RAkX "#)
}

fn extra_keys(message: &Message) -> bool {
    matches!(message, Message::Sync(sync) if sync.batch.iter().any(|pair| pair.extra_keys))
}

#[test]
fn every_recorded_frame_is_read_and_written_again_as_it_was() {
    for ((version, lines), expected) in [(V4, (54, 0)), (V5, (337, 1)), (V7, (75, 0))] {
        let (mut count, mut with_extra_keys) = (0, 0);
        for ((session, number), frames) in connections(lines) {
            let Some((connect, connected)) = handshake(&frames, version) else {
                continue;
            };
            let nodes = (&connect.node, &connected.node);
            let (client, server) = both_ends_of(version, nodes, connected.end, &Limits::default());
            for (from, frame) in &frames {
                if shown(frame).contains("duilian") {
                    continue;
                }
                let message = match from {
                    Side::Client => there_and_back(frame, &client, &server),
                    Side::Server => there_and_back(frame, &server, &client),
                };
                let early = early(frame, version);
                let early = early.unwrap_or_else(|e| panic!("{session} {number}: {e:?}"));
                match &message {
                    Message::Ping(_)
                    | Message::Pong(_)
                    | Message::Sync(_)
                    | Message::Synced(_)
                    | Message::Ready(_) => assert_eq!(early, Opening::Later),
                    message => assert_eq!(early, Opening::Message(message.clone())),
                }
                count += 1;
                with_extra_keys += usize::from(extra_keys(&message));
            }
        }
        assert_eq!((count, with_extra_keys), expected, "recordings of {version:?} are missing");
    }
}

#[test]
fn what_a_recorded_server_refused_is_refused_with_the_same_frame() {
    let mut refused = 0;
    for (version, lines) in [V5, V7] {
        for frames in connections(lines).values() {
            for pair in frames.windows(2) {
                let [(Side::Client, frame), (Side::Server, reply)] = pair else {
                    continue;
                };
                let kinds = ["wrong-format", "wrong-protocol", "unknown-message"];
                let said = |kind| shown(reply).starts_with(&format!(r#"["error","{kind}""#));
                if !kinds.into_iter().any(said) {
                    continue;
                }
                let refusal = Opening::read(frame, None, &Limits::default());
                // What that server did not speak is spoken here.
                if let Ok(Opening::Message(Message::Connect(connect))) = &refusal {
                    assert_ne!(connect.version, version);
                    continue;
                }
                let error = refusal.expect_err(shown(frame));
                assert_eq!(version.error(Form::Text, &error), *reply);
                assert_eq!(early(reply, version), Ok(Opening::Message(Message::Error(error))));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 5);
}

#[test]
fn the_names_of_recorded_actions_are_ids_here() {
    let mut ids = Vec::new();
    for ((session, _), frames) in connections(V7.1) {
        let Some((connect, connected)) = handshake(&frames, Version::V7) else { continue };
        let nodes = (&connect.node, &connected.node);
        let (_, server) = both_ends_of(Version::V7, nodes, connected.end, &Limits::default());
        for (_, frame) in frames.iter().filter(|(from, _)| *from == Side::Client) {
            if let Ok(Message::Sync(sync)) = server.decode(frame) {
                let first = &sync.batch[0];
                ids.push(format!("{session}: {} {}", first.action.kind(), first.meta.id));
                if first.action.kind() == "logux/processed" {
                    let body = std::str::from_utf8(first.action.json()).unwrap();
                    assert!(body.contains(r#""id":"7388194 10:cli:t 0""#), "{body}");
                }
            }
        }
    }
    assert_eq!(
        ids[..2],
        [
            "v7-binary: a 1795222949942 10:cli:v7-binary 0",
            "v7-binary: logux/processed 1795222949943 10:cli:v7-binary 0",
        ]
    );
    assert!(ids.contains(&"v7-text: a 1795222947872 10:cli:v7-text 0".to_owned()), "{ids:#?}");
}

#[test]
fn the_times_and_ids_of_a_recorded_backlog_are_those_of_its_client() {
    let (client, server) = (super::node("10:lvzqTSjK:SJpRmI9h"), super::node("server:srv"));
    let (_, server) = both_ends(&client, &server, 1_795_222_842_723, &Limits::default());
    let frame = concat!(
        r#"["sync",14,{"type":"posts/rename","id":"1","title":"Off1"},{"id":-54,"time":-53},"#,
        r#"{"type":"posts/rename","id":"1","title":"Off2"},{"id":[-54,1],"time":-53}]"#
    );
    let Ok(Message::Sync(sync)) = server.decode(&text(frame)) else { panic!("a sync") };
    let ids: Vec<_> = sync.batch.iter().map(|pair| pair.meta.id.to_string()).collect();
    assert_eq!(
        ids,
        ["1795222842669 10:lvzqTSjK:SJpRmI9h 0", "1795222842669 10:lvzqTSjK:SJpRmI9h 1"]
    );
    assert!(sync.batch.iter().all(|pair| pair.meta.time == 1_795_222_842_670));
    assert!(sync.batch.iter().all(|pair| pair.meta.subprotocol.is_none()));
}
