//! The SyncMap convention of `@logux/client`: create, change and delete of items, where the last
//! write of each field wins.
//!
//! An action is stored as its author sent it (`tasks/change`) and rendered to subscribers as what
//! the convention wants to see (`tasks/changed`), with its own time. The rendered id has the
//! author's node, because clients break ties of time by node: with a node of ours two clients would
//! disagree for ever. Its sequence is 2^40 + position, which no client reaches, so it never equals
//! the id of the author's own action.
//!
//! In order of reading: `life` (whether an item is there), `fold` (what a channel adds up to),
//! `standing` (one item of it, and what a subscriber is told), `snapshot` (all of them, loaded in
//! parts), `snapshots` (shared by all who load), `lives` (how single entries are shown).

mod fold;
mod holding;
mod life;
mod lives;
mod snapshot;
mod snapshots;
mod standing;

pub(crate) use fold::Fold;
pub(crate) use holding::Holdings;
pub(crate) use life::Life;
pub(crate) use lives::{Fate, Fates, Lives};
pub(crate) use snapshot::{Loaded, Snapshot, Told, Wanted};
pub(crate) use snapshots::Snapshots;
pub(crate) use standing::{Shown, Standing};

use crate::log::Entry;
use crate::rules::SyncMapOp;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tidelog_crdt::{Position, Stamp};
use tidelog_protocol::{Action, ActionId, Meta};

/// Above every sequence number that a client gives.
pub(crate) const RENDERED_SEQUENCE: u64 = 1 << 40;

/// The body of a SyncMap action.
#[derive(Debug, Deserialize)]
pub(crate) struct Body<'a> {
    /// The item.
    pub id: String,
    /// The fields it sets.
    #[serde(borrow, default)]
    pub fields: Option<BTreeMap<String, &'a RawValue>>,
}

/// `entry` as a subscriber of the map called `name` sees it; none when it is no action of that map.
fn render(entry: &Entry, name: &str) -> Option<(Action, Meta)> {
    let operation = SyncMapOp::of(entry.action.kind(), name)?;
    let mut body: BTreeMap<String, &RawValue> = entry.action.body().ok()?;
    let kind = format!("{name}/{}", operation.rendered());
    let kind_json = serde_json::value::to_raw_value(&kind).ok()?;
    body.insert("type".to_owned(), &kind_json);
    let json = serde_json::to_vec(&body).ok()?;
    Some((Action::from_parts(Bytes::from(json), &kind), rendered_meta(entry)))
}

/// `entry` as a subscriber sees it, of the map called `map` or of a plain channel or log.
pub(crate) fn shown(entry: &Entry, map: Option<&str>) -> (Action, Meta) {
    map.and_then(|name| render(entry, name)).unwrap_or_else(|| {
        let (id, subprotocol) = (entry.id.clone(), Some(entry.subprotocol));
        (entry.action.clone(), Meta { id, time: entry.time, subprotocol })
    })
}

/// The meta under which subscribers see `entry`.
fn rendered_meta(entry: &Entry) -> Meta {
    rendered(&entry.id, entry.position, (entry.time, entry.subprotocol))
}

fn rendered(id: &ActionId, position: Position, (time, subprotocol): (u64, u32)) -> Meta {
    let sequence = RENDERED_SEQUENCE + position.get();
    let id = ActionId { node: id.node.clone(), ms: id.ms, sequence };
    Meta { id, time, subprotocol: Some(subprotocol) }
}

/// When `entry` was made, in the order of clients.
fn stamp(entry: &Entry) -> Stamp {
    Meta { id: entry.id.clone(), time: entry.time, subprotocol: None }.stamp()
}
