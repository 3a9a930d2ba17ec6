//! `data/v5-frames.jsonl` is what public npm packages said to each other over a loopback socket:
//! `@logux/client` 0.23.2 and `@logux/redux` 0.8.4 with `@logux/server` 0.14.0.

use super::both_ends;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tidelog_protocol::codec::{Codec, Opening, Version};
use tidelog_protocol::{Connect, Connected, Limits, Message, WireError};

#[derive(Deserialize)]
struct Line {
    session: String,
    connection: u32,
    from: Side,
    frame: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Client,
    Server,
}

type Connection = Vec<(Side, String)>;

fn connections() -> BTreeMap<(String, u32), Connection> {
    let mut connections: BTreeMap<_, Connection> = BTreeMap::new();
    for line in include_str!("../data/v5-frames.jsonl").lines() {
        let Line { session, connection, from, frame } = serde_json::from_str(line).unwrap();
        connections.entry((session, connection)).or_default().push((from, frame));
    }
    connections
}

fn opening(frame: &str) -> Result<Opening, WireError> {
    Version::V5.decode(frame.as_bytes(), &Limits::default())
}

fn handshake(frames: &Connection) -> Option<(Connect, Connected)> {
    let messages = || frames.iter().map(|(_, frame)| opening(frame));
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
fn there_and_back(frame: &str, sender: &Codec, receiver: &Codec) -> Message {
    let message = receiver.decode(frame.as_bytes()).unwrap_or_else(|e| panic!("{frame}: {e:?}"));
    let again = sender.encode(&message);
    let again = std::str::from_utf8(&again).unwrap();
    let subprotocol_first = frame.contains(r#"{"subprotocol":7,"id":"#);
    if again != frame && !extra_keys(&message) {
        let json = |text| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(json(again), json(frame));
        assert!(subprotocol_first, "only the order of meta keys may differ: {again} for {frame}");
    }
    message
}

fn extra_keys(message: &Message) -> bool {
    matches!(message, Message::Sync(sync) if sync.batch.iter().any(|pair| pair.extra_keys))
}

#[test]
fn every_recorded_frame_is_read_and_written_again_as_it_was() {
    let (mut count, mut with_extra_keys) = (0, 0);
    for ((session, number), frames) in connections() {
        let Some((connect, connected)) = handshake(&frames) else {
            continue;
        };
        let (client, server) =
            both_ends(&connect.node, &connected.node, connected.end, &Limits::default());
        for (from, frame) in &frames {
            if frame.contains("duilian") {
                continue;
            }
            let message = match from {
                Side::Client => there_and_back(frame, &client, &server),
                Side::Server => there_and_back(frame, &server, &client),
            };
            let early = opening(frame).unwrap_or_else(|e| panic!("{session} {number}: {e:?}"));
            match &message {
                Message::Ping(_) | Message::Pong(_) | Message::Sync(_) | Message::Synced(_) => {
                    assert_eq!(early, Opening::Later);
                }
                message => assert_eq!(early, Opening::Message(message.clone())),
            }
            count += 1;
            with_extra_keys += usize::from(extra_keys(&message));
        }
    }
    assert_eq!((count, with_extra_keys), (337, 1), "recordings are missing");
}

#[test]
fn what_the_recorded_server_refused_is_refused_with_the_same_frame() {
    let mut refused = 0;
    for frames in connections().values() {
        for pair in frames.windows(2) {
            let [(Side::Client, frame), (Side::Server, reply)] = pair else {
                continue;
            };
            if !reply.starts_with(r#"["error","wrong-format""#)
                && !reply.starts_with(r#"["error","wrong-protocol""#)
                && !reply.starts_with(r#"["error","unknown-message""#)
            {
                continue;
            }
            let error = opening(frame).expect_err(frame);
            assert_eq!(Version::V5.error(&error), reply.as_bytes());
            let told = opening(reply);
            assert_eq!(told, Ok(Opening::Message(Message::Error(error))));
            refused += 1;
        }
    }
    assert_eq!(refused, 5);
}

#[test]
fn the_times_and_ids_of_a_recorded_backlog_are_those_of_its_client() {
    let (client, server) = (super::node("10:lvzqTSjK:SJpRmI9h"), super::node("server:srv"));
    let (_, server) = both_ends(&client, &server, 1_795_222_842_723, &Limits::default());
    let frame = concat!(
        r#"["sync",14,{"type":"posts/rename","id":"1","title":"Off1"},{"id":-54,"time":-53},"#,
        r#"{"type":"posts/rename","id":"1","title":"Off2"},{"id":[-54,1],"time":-53}]"#
    );
    let Ok(Message::Sync(sync)) = server.decode(frame.as_bytes()) else { panic!("a sync") };
    let ids: Vec<_> = sync.batch.iter().map(|pair| pair.meta.id.to_string()).collect();
    assert_eq!(
        ids,
        ["1795222842669 10:lvzqTSjK:SJpRmI9h 0", "1795222842669 10:lvzqTSjK:SJpRmI9h 1"]
    );
    assert!(sync.batch.iter().all(|pair| pair.meta.time == 1_795_222_842_670));
    assert!(sync.batch.iter().all(|pair| pair.meta.subprotocol.is_none()));
}
