//! Files of documents, damaged under a checksum that is right.

use super::*;
use crate::config::{Config, Source};
use crate::log::{Addresses, Causes, Entry, Incarnations, Page};
use crate::rules::Rules;
use serde_json::json;
use std::path::Path;
use tidelog_crdt::{Dot, Incarnation};
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};
use tidelog_protocol::{Action, UserId};

const HERE: Incarnation = Incarnation(7);
/// What a file takes in memory, in lengths of it: most of what is small stands in trees.
const TIMES: usize = 512;
/// A list says how long it is, and room for it is made before it is read: a MiB at most, at each of
/// two levels.
const BESIDE: usize = (2 << 20) + (64 << 10);

fn entry(position: u64, action: &serde_json::Value) -> Arc<Entry> {
    let position = Position::new(position).unwrap();
    Arc::new(Entry {
        position,
        id: format!("{} 10:a:b 0", 1000 + position.get()).parse().unwrap(),
        time: 1000,
        accepted_ms: 1000,
        subprotocol: 1,
        addresses: Addresses::default(),
        dot: Dot { incarnation: HERE, position },
        aliases: Vec::new(),
        causes: Causes::default(),
        action: Action::new(action.to_string().into()).unwrap(),
        kept: true,
        cleaned: false,
    })
}

fn fold(actions: &[serde_json::Value]) -> Fold {
    let entries: Vec<_> = (1..).zip(actions).map(|(at, action)| entry(at, action)).collect();
    let config = Config::parse(Source::new(Path::new("t.toml"), "")).unwrap();
    let rules = Rules::compile(&config).unwrap();
    let mut fold = Fold::default();
    let through = entries.last().map_or(Position::ZERO, |entry| entry.position);
    fold.take(&Page { entries, through, more: false }, &Incarnations::one(HERE), &rules);
    fold
}

#[test]
fn files() {
    let log = LogName::User(UserId::new("10").unwrap());
    let saved = Saved::new(Path::new("nowhere").into(), HERE, 0);
    let set =
        |value| json!({"type": "crdt/set/add", "doc": "cart", "path": ["items"], "value": value});
    let seeds = [
        fold(&[]),
        fold(&[set(1), set(2), json!({"type": "crdt/counter/add", "doc": "likes", "by": 2})]),
        fold(&[
            json!({"type": "crdt/text/insert", "doc": "page", "text": "hello"}),
            json!({"type": "crdt/register/set", "doc": "name", "value": {"a": [1.5, "b"]}}),
        ]),
    ];
    let bodies = seeds.map(|fold| {
        let mut file = saved.file(&log, &fold);
        file.truncate(file.len() - 4);
        file
    });
    run(check!(), &Feed::of(bodies).inputs(4_000), |bytes| {
        let stored = [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat();
        let read = within(stored.len() * TIMES + BESIDE, || saved.read(&log, &stored));
        let Some(fold) = read else { return };
        let written = saved.file(&log, &fold);
        let again = saved.read(&log, &written).expect("it was just written");
        assert_eq!(saved.file(&log, &again), written);
        for folded in fold.documents().values() {
            drop(folded.document.value());
        }
    });
}
