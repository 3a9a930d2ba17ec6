//! Taking bodies out: first they are hidden, which is durable with the commit of the request; then
//! they leave the rows of the feed, before a checkpoint passes the request. The id stays known.

use super::entry::{Cleaned, Entry};
use super::error::{Damage, Failure, ReadError};
use super::prefix::Prefix;
use super::record::{Record, put_entry, put_instead};
use super::row::{Row, RowBuilder};
use super::shared::Shared;
use bytes::Bytes;
use std::collections::BTreeMap;
use tidelog_crdt::Position;
use tidelog_protocol::{Action, ActionId, UserId};

/// What to answer to who asks to clean `id`, and the entry whose body is still to be taken out.
pub(super) fn judge<'a>(
    owner: &UserId,
    id: &ActionId,
    known: Option<&'a Entry>,
) -> (Cleaned, Option<&'a Entry>) {
    if id.node.user_str() != Some(owner.as_str()) {
        return (Cleaned::NotOwner, None);
    }
    match known {
        Some(entry) => (Cleaned::Done, Some(entry).filter(|entry| !entry.cleaned)),
        None => (Cleaned::Unknown, None),
    }
}

/// Hides the body of `entry`, which counts for `bytes`, from readers: `instead` stands there from now on.
pub(super) fn hide(shared: &Shared, entry: Entry, bytes: u64, instead: Action) {
    let position = entry.position;
    let author = entry.id.node.user_str().map(|user| shared.hash.user(user));
    let in_row = !entry.cleaned;
    let logs: Vec<Prefix> = entry.addresses.logs().map(|log| shared.hash.log(&log)).collect();
    let mut without_body = Vec::new();
    put_entry(&mut without_body, &put_instead(entry, instead.clone()));
    let mut state = shared.state_mut();
    state.active.hide(position, &logs, without_body.into());
    if let Some(author) = author {
        state.active.change(author, 0_i64.saturating_sub_unsigned(bytes));
    }
    if in_row {
        state.bodies_to_take.insert(position, instead);
    }
}

/// Takes hidden bodies out of their rows, of `rows_max` rows at most.
pub(super) fn rewrite(shared: &Shared, rows_max: usize) -> Result<(), Failure> {
    for _ in 0..rows_max {
        let Some(first) = shared.state().bodies_to_take.keys().next().copied() else {
            break;
        };
        let feed = shared.feed();
        let row = feed.row_at(first)?.ok_or_else(|| feed.gap(first)).map_err(ReadError::from)?;
        let targets: BTreeMap<Position, Action> = {
            let state = shared.state();
            let there = state.bodies_to_take.range(first..row.next());
            there.map(|(position, instead)| (*position, instead.clone())).collect()
        };
        let rewritten = without_bodies(&row, &targets)
            .map_err(|damage| ReadError::from(feed.damaged(first, damage)))?;
        shared.put_again(&rewritten)?;
        shared.state_mut().bodies_to_take.retain(|position, _| !targets.contains_key(position));
    }
    Ok(())
}

fn without_bodies(row: &Row, targets: &BTreeMap<Position, Action>) -> Result<Row, Damage> {
    let mut builder = RowBuilder::new(row.first());
    for (position, record) in row.records() {
        match targets.get(&position) {
            Some(instead) => builder.push(&without_body(position, &record, instead)?),
            None => builder.push(&record),
        }
    }
    Ok(builder.finish())
}

fn without_body(position: Position, record: &Bytes, instead: &Action) -> Result<Bytes, Damage> {
    match Record::decode(position, record)? {
        Record::Entry(entry) => {
            let mut out = Vec::new();
            put_entry(&mut out, &put_instead(entry, instead.clone()));
            Ok(out.into())
        }
        Record::Clean(_) | Record::Erased(_) | Record::Alias(_) => Ok(record.clone()),
    }
}
