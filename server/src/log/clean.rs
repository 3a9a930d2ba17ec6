//! Taking bodies out: first they are hidden, which is durable with the commit of the request; then
//! they leave the rows of the feed, before a checkpoint passes the request. The id stays known.

use super::entry::{Cleaned, Entry};
use super::error::{Damage, Failure, ReadError};
use super::prefix::Prefix;
use super::record::{Record, cleaned_action, put_entry, put_instead};
use super::row::{ROW_BYTES_MAX, Row, RowBuilder};
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
        let rewritten = without_bodies_in_row(&row, &targets)
            .map_err(|damage| ReadError::from(feed.damaged(first, damage)))?;
        shared.put_again(&rewritten)?;
        shared.state_mut().bodies_to_take.retain(|position, _| !targets.contains_key(position));
    }
    Ok(())
}

/// What stands in place of bodies may be longer than they were. Where the row would outgrow what the engine keeps in one
/// place, less stands there: the verdict is an entry of its own.
fn without_bodies_in_row(row: &Row, targets: &BTreeMap<Position, Action>) -> Result<Row, Damage> {
    let rewritten = without_bodies(row, targets)?;
    if rewritten.value().len() <= ROW_BYTES_MAX {
        return Ok(rewritten);
    }
    let bare = targets.keys().map(|position| (*position, cleaned_action())).collect();
    without_bodies(row, &bare)
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

#[cfg(test)]
mod tests {
    use super::super::record::tests::sample;
    use super::*;

    /// A verdict is longer than a small action, and what is too long for the engine it never syncs.
    #[test]
    fn a_row_does_not_outgrow_the_engine_by_what_stands_in_place_of_bodies() {
        let small = sample();
        let mut builder = RowBuilder::new(small.position);
        let mut record = Vec::new();
        put_entry(&mut record, &small);
        while builder.fits(record.len()) {
            builder.push(&record);
        }
        let row = builder.finish();
        let count = row.next().get() - row.first().get();
        let verdict = format!(r#"{{"type":"logux/undo","reason":"{}"}}"#, "r".repeat(1_000));
        let verdict = Action::new(Bytes::from(verdict)).unwrap();
        let targets = |count| (0..count).map(|nth| (row.first().plus(nth), verdict.clone()));
        let few = without_bodies_in_row(&row, &targets(3).collect()).unwrap();
        assert!(few.value().len() > row.value().len(), "the verdicts are in it");
        let all = without_bodies_in_row(&row, &targets(count).collect()).unwrap();
        assert!(all.value().len() <= ROW_BYTES_MAX, "{} bytes", all.value().len());
        assert_eq!(all.next(), row.next());
    }
}
