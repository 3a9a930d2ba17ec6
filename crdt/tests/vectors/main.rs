//! The serialised form stays what it is: documents written by every version are read, and the same
//! entries give the same bytes. Other implementations can check themselves by the same file.
//!
//! `data/documents-1.jsonl` has a line per document: entries (`dot`, further names as `aliases`, what
//! the author had `seen` as prefix and own ranges per server, clock-fixed `time`, action `id`, the
//! `action`), and what they add up to: `value`, the `state` for clients, the bytes in hex. Lines are
//! never changed, only added; to print them anew: `cargo test -p tidelog-crdt --test vectors --
//! --ignored --nocapture`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scenarios;

use serde_json::{Value, json};
use tidelog_crdt::{
    Context, DecodeError, Document, DocumentAction, DocumentName, Dot, Element, Entry, Incarnation,
    Position, Ranges, Seen, Stamp,
};

const VECTORS: &str = include_str!("../data/documents-1.jsonl");

fn vectors() -> impl Iterator<Item = Value> {
    VECTORS.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn entry(json: &Value) -> Entry {
    let id = Element::parse(&json["id"]).unwrap();
    let dots = |value: &Value| dot(value);
    let aliases = json["aliases"].as_array().into_iter().flatten().map(dots).collect();
    let mut context = Context::default();
    for (server, seen) in json["seen"].as_object().into_iter().flatten() {
        let own = seen[1].as_array().unwrap().iter();
        let own = own.map(|range| (position(&range[0]), position(&range[1]))).collect();
        let own = Ranges::from_ranges(own).unwrap();
        context.insert(incarnation(server), Seen { prefix: position(&seen[0]), own });
    }
    let time = json["time"].as_u64().unwrap();
    Entry {
        dot: dot(&json["dot"]),
        aliases,
        context,
        stamp: Stamp { time, node: id.node, sequence: id.sequence, created: id.created },
        changes: DocumentAction::parse(&json["action"]).unwrap().changes,
    }
}

fn dot(value: &Value) -> Dot {
    Dot { incarnation: incarnation(value[0].as_str().unwrap()), position: position(&value[1]) }
}

fn incarnation(text: &str) -> Incarnation {
    Incarnation(u64::from_str_radix(text, 16).unwrap())
}

fn position(value: &Value) -> Position {
    Position::new(value.as_u64().unwrap()).unwrap()
}

fn fold(entries: &Value) -> Document {
    let mut document = Document::default();
    for json in entries.as_array().unwrap() {
        assert_eq!(document.apply(&entry(json)), tidelog_crdt::Applied::Folded);
    }
    document
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn described(document: &Document) -> [Value; 3] {
    let state = document.to_action(&DocumentName::new("d").unwrap())["state"].clone();
    [document.value(), state, hex(&document.encode()).into()]
}

#[test]
fn the_same_entries_give_the_same_bytes_for_ever() {
    for vector in vectors() {
        let name = &vector["name"];
        let [value, state, bytes] = described(&fold(&vector["entries"]));
        assert_eq!(value, vector["value"], "{name}");
        assert_eq!(state, vector["state"], "{name}");
        assert_eq!(bytes, vector["bytes"], "{name}");
    }
}

#[test]
fn what_was_written_once_is_read_for_ever() {
    for vector in vectors() {
        let document = Document::decode(&unhex(vector["bytes"].as_str().unwrap())).unwrap();
        assert_eq!(document.value(), vector["value"], "{}", vector["name"]);
        assert_eq!(document, fold(&vector["entries"]), "{}", vector["name"]);
    }
}

#[test]
fn every_scenario_is_in_the_file() {
    let names: Vec<Value> = vectors().map(|vector| vector["name"].clone()).collect();
    let known: Vec<Value> = scenarios::all().into_iter().map(|(name, _)| name.into()).collect();
    assert_eq!(names, known);
}

#[test]
#[ignore = "prints the file"]
fn print_vectors() {
    for (name, entries) in scenarios::all() {
        let [value, state, bytes] = described(&fold(&entries));
        println!(
            "{}",
            json!({ "name": name, "entries": entries, "value": value, "state": state, "bytes": bytes })
        );
    }
}

/// Whatever is done to the bytes: an error, or a document that can be read and written, in time.
fn try_out(bytes: &[u8]) {
    if let Ok(mut document) = Document::decode(bytes) {
        let _ = (document.value(), document.encode());
        let _ = document.merge(&document.clone());
    }
}

#[test]
fn damaged_bytes_are_refused_or_read_but_never_end_in_a_panic() {
    for vector in vectors() {
        let bytes = unhex(vector["bytes"].as_str().unwrap());
        for len in 0..bytes.len() {
            assert!(Document::decode(&bytes[..len]).is_err(), "{}: {len} bytes", vector["name"]);
        }
        for at in 0..bytes.len() {
            for flip in [1, 2, 4, 8, 16, 32, 64, 128, 0xff, 0x7f] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                try_out(&damaged);
            }
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(Document::decode(&longer), Err(DecodeError::Damaged(_))));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_but_never_end_in_a_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        splice in proptest::prelude::any::<[proptest::sample::Index; 3]>(),
    ) {
        try_out(&[&[1], &bytes[..]].concat());
        // A piece of it in the middle of something that is well formed.
        let all: Vec<Value> = vectors().collect();
        let host = unhex(all[splice[0].index(all.len())]["bytes"].as_str().unwrap());
        let (at, len) = (splice[1].index(host.len()), splice[2].index(8));
        let piece = &bytes[..len.min(bytes.len())];
        try_out(&[&host[..at], piece, &host[(at + len).min(host.len())..]].concat());
    }
}

#[test]
fn versions_that_are_not_known_are_named() {
    assert_eq!(Document::decode(&[]), Err(DecodeError::Empty));
    let error = Document::decode(&[9, 0, 0]).unwrap_err();
    assert_eq!(error, DecodeError::Version(9));
    assert!(error.to_string().contains("use a newer one"), "{error}");
    assert_eq!(hex(&Document::default().encode()), "01000000000000".to_owned() + "00");
}
