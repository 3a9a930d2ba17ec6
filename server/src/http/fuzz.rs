//! What callers send: bodies, query strings, headers.

use super::format::{self, Format};
use super::query::{CHANNELS_MAX, Document, Pull};
use crate::log::Channel;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::{Debug, Write as _};
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, Target, run, within};
use tidelog_protocol::http::{PushRequest, SyncRequest};

/// What a body takes in memory, in lengths of it, while it is read: most for the shortest actions,
/// whose list doubles as it grows.
const TIMES: usize = 80;
const BESIDE: usize = 16 << 10;

const PUSHES: [&str; 4] = [
    r#"{"actions":[[{"type":"note", "x":"1.50"},{"id":"1795222838711 10:a:t 0","time":5,"subprotocol":1}],[{"type":"a"},{}]],"seen":"AQ"}"#,
    r#"{"actions":[[{"type":"crdt/set/add","doc":"d","path":["a"],"values":[1,-2.5,1e300,null,{"b":[]}]},{}]]}"#,
    r#"{"actions":[[{"type":"tasks/create","id":"1","fields":{"a":"\u00e9\n","b":true}},{"time":9007199254740991}]]}"#,
    r#"{"actions":[]}"#,
];

const SYNCS: [&str; 2] = [
    r#"{"actions":[[{"type":"note"},{}]],"seen":"AQ","since":"AQ","limit":50,"channels":["tasks","a/1"]}"#,
    "{}",
];

fn packed(json: &str) -> Vec<u8> {
    rmp_serde::to_vec_named(&serde_json::from_str::<serde_json::Value>(json).unwrap()).unwrap()
}

/// Reads bodies of `T`; what can be read is written and read again.
fn bodies<T>(target: Target, format: Format, feed: &Feed)
where
    T: DeserializeOwned + Serialize + PartialEq + Debug,
{
    // In MessagePack a list says how long it is, and room for it is made before it is read: a MiB at
    // most.
    let ahead = if matches!(format, Format::MessagePack) { 1 << 20 } else { 0 };
    run(target, feed, |bytes| {
        let read = within(bytes.len() * TIMES + BESIDE + ahead, || format.read::<T>(bytes));
        let value = match read {
            Ok(value) => value,
            Err(problem) => {
                let problem = serde_json::to_value(problem).unwrap();
                assert_eq!(
                    (&problem["status"], problem["detail"].is_string()),
                    (&400.into(), true)
                );
                return;
            }
        };
        match format {
            Format::Json => {
                let written = serde_json::to_vec(&value).unwrap();
                assert_eq!(format.read::<T>(&written).unwrap(), value);
            }
            Format::MessagePack => {
                // An action is a map there, whose keys have no order.
                let again: T = format.read(&rmp_serde::to_vec_named(&value).unwrap()).unwrap();
                let written = rmp_serde::to_vec_named(&again).unwrap();
                assert_eq!(format.read::<T>(&written).unwrap(), again);
            }
        }
    });
}

#[test]
fn pushes_in_json() {
    bodies::<PushRequest>(check!(), Format::Json, &Feed::of(PUSHES));
}

#[test]
fn pushes_in_message_pack() {
    bodies::<PushRequest>(check!(), Format::MessagePack, &Feed::of(PUSHES.map(packed)));
}

#[test]
fn syncs_in_json() {
    bodies::<SyncRequest>(check!(), Format::Json, &Feed::of(SYNCS.into_iter().chain(PUSHES)));
}

#[test]
fn syncs_in_message_pack() {
    // A list of channels that says it has 3.7 billion.
    let long = b"\x81\x04\xdd\xdd\x6f\x64\x65\x74\x61\x6e".to_vec();
    let seeds = SYNCS.into_iter().chain(PUSHES).map(packed).chain([long]);
    bodies::<SyncRequest>(check!(), Format::MessagePack, &Feed::of(seeds));
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "%{byte:02x}").unwrap();
        out
    })
}

/// The query string that asks for this.
fn query(since: Option<&str>, limit: Option<usize>, wait: u64, channels: &[&str]) -> Uri {
    let mut pairs = vec![format!("wait={wait}")];
    pairs.extend(since.map(|since| format!("since={}", encoded(since))));
    pairs.extend(limit.map(|limit| format!("limit={limit}")));
    pairs.extend(channels.iter().map(|channel| format!("channel={}", encoded(channel))));
    format!("/v1/log?{}", pairs.join("&")).parse().unwrap()
}

#[test]
fn queries() {
    let feed = Feed::of([
        "since=AQ&limit=10&wait=5&channel=tasks&channel=a%2F1",
        "channel=%c3%a9+x&since=",
        "limit=4294967295&wait=4294967295",
    ]);
    run(check!(), &feed, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(uri) = format!("/v1/log?{text}").parse::<Uri>() else { return };
        let (pull, document) =
            within(text.len() * 64 + BESIDE, || (Pull::read(&uri), Document::read(&uri)));
        if let Ok(document) = document {
            assert!(document.since.is_none_or(|since| since.len() <= text.len()));
        }
        let Ok(pull) = pull else { return };
        assert!(pull.channels.len() <= CHANNELS_MAX && pull.channels.is_sorted());
        let channels: Vec<_> = pull.channels.iter().map(Channel::as_str).collect();
        let uri = query(pull.since.as_deref(), pull.limit, pull.wait.as_secs(), &channels);
        if uri.query().is_some_and(|query| query.len() < 60_000) {
            assert_eq!(Pull::read(&uri).ok(), Some(pull));
        }
    });
}

#[test]
fn headers() {
    let feed = Feed::of([
        "application/json;q=0.5, application/msgpack, text/event-stream;q=0.1, */*",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    ]);
    run(check!(), &feed, |bytes| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let names = [header::ACCEPT, header::CONTENT_TYPE];
        let headers = HeaderMap::from_iter(names.map(|name| (name, value.clone())));
        within(bytes.len() * 64 + BESIDE, || {
            let accepted = Format::accepted(&headers, Format::Json);
            drop(Format::of_content(&headers));
            (accepted, format::wants_events(&headers), format::wants_open_metrics(&headers))
        });
    });
}
