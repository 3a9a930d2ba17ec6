//! Reading on from a position: several logs merged, or a map folded; and how the entries of maps among
//! them are shown.

mod own;

pub(crate) use own::{OwnOrder, OwnPart, Remaining};

use crate::app::Parts;
use crate::clock;
use crate::log::{Channel, Entry, Log, LogName, Page, PageLimit, ReadError};
use crate::session::ReadOrder;
use crate::sync_map::{Fates, Fold, Loaded, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_crdt::Position;

/// How much of a channel is folded at once.
const FOLD_PAGE: PageLimit = PageLimit { entries: 1000, bytes: 1 << 20 };
/// How much is folded in passing.
const SMALL_FOLD: PageLimit = PageLimit { entries: 100, bytes: 64 << 10 };
/// So many logs are looked up in passing.
const FEW_LOGS: usize = 8;

/// What a session asked the log for.
pub(crate) enum Reading {
    /// Entries.
    Page(Page, Fates),
    /// Items of a map.
    Loaded(Loaded),
    /// A part of a user's own log, and of what documents say of it.
    Own(OwnPart),
}

/// What a session asked for, if it takes neither the disk nor long.
pub(crate) fn at_once(app: &Parts, order: &ReadOrder) -> Option<Reading> {
    match order {
        ReadOrder::Head => Some(Reading::Page(only_head(app.log.head()), Fates::default())),
        ReadOrder::Stretch { logs, above } if logs.len() <= FEW_LOGS => {
            let between = (*above, app.log.head());
            let page = read_between_cached(&app.log, logs, between, app.page)?;
            let fates = fates_cached(app, page.entries.iter())?;
            Some(Reading::Page(page, fates))
        }
        ReadOrder::Stretch { .. }
        | ReadOrder::States { .. }
        | ReadOrder::Missed { .. }
        | ReadOrder::Own(_) => None,
        ReadOrder::Items { channel, map, single, wanted } => {
            let kept = || app.maps.snapshots.get(channel, wanted.begins(), clock::now_ms());
            let snapshot = if *single { None } else { kept() };
            let snapshot = if let Some(snapshot) = snapshot {
                snapshot
            } else {
                let (fold, through) = fold_cached(&app.log, channel, map)?;
                Snapshot::of(fold, through)
            };
            Some(Reading::Loaded(snapshot.part(wanted, app.page)))
        }
    }
}

/// What a session asked for, by itself. May wait for the disk.
pub(crate) fn patiently(app: &Parts, order: &ReadOrder) -> Result<Reading, ReadError> {
    match order {
        ReadOrder::Head => Ok(Reading::Page(only_head(app.log.head()), Fates::default())),
        ReadOrder::Stretch { logs, above } => {
            let page = read_between(&app.log, logs, (*above, app.log.head()), app.page)?;
            let fates = fates(app, &page.entries)?;
            Ok(Reading::Page(page, fates))
        }
        ReadOrder::Missed { channel, map, most, wanted } => {
            let logs = vec![LogName::Channel(channel.clone())];
            let limit = PageLimit { entries: most.saturating_add(1), ..FOLD_PAGE };
            let between = (wanted.after, app.log.head());
            let missed = read_between(&app.log, &logs, between, limit)?;
            let (channel, wanted) = (channel.clone(), wanted.clone());
            let order = match map.clone() {
                _ if missed.entries.len() <= *most && !missed.more => {
                    ReadOrder::Stretch { logs, above: wanted.after }
                }
                Some(map) => ReadOrder::Items { channel, map, single: true, wanted },
                None => ReadOrder::States { channel, wanted },
            };
            patiently(app, &order)
        }
        ReadOrder::States { channel, wanted } => {
            Ok(Reading::Loaded(app.documents.states(channel, true)?.part(wanted, app.page)))
        }
        ReadOrder::Own(order) => own::read(app, order),
        ReadOrder::Items { channel, map, wanted, .. } => {
            let (fold, through) = fold(&app.log, channel, map)?;
            Ok(Reading::Loaded(Snapshot::of(fold, through).part(wanted, app.page)))
        }
    }
}

fn only_head(head: Position) -> Page {
    Page { entries: Vec::new(), through: head, more: false }
}

/// How those of `entries` are shown that are of maps. May wait for the disk.
fn fates(app: &Parts, entries: &[Arc<Entry>]) -> Result<Fates, ReadError> {
    let log = &app.log;
    let mut read = |name: &LogName, (above, until): (Position, Position), limit: PageLimit| {
        log.read(name, above, until, limit)
    };
    app.maps.lives.fates(entries.iter(), &app.rules, log.head(), &mut read)
}

/// The same, if memory alone tells.
pub(crate) fn fates_cached<'a>(
    app: &Parts,
    entries: impl Iterator<Item = &'a Arc<Entry>>,
) -> Option<Fates> {
    let log = &app.log;
    let mut read = |name: &LogName, (above, until): (Position, Position), limit: PageLimit| {
        log.read_cached(name, above, until, limit).ok_or(())
    };
    app.maps.lives.fates(entries, &app.rules, log.head(), &mut read).ok()
}

/// The entries of `logs` above the first position, up to and including the second, each once, in
/// order of position. May wait for the disk.
pub fn read_between(
    log: &Log,
    logs: &[LogName],
    between: (Position, Position),
    limit: PageLimit,
) -> Result<Page, ReadError> {
    gather(logs, between, limit, |name, (above, until)| log.read(name, above, until, limit))
}

/// The same, if memory alone has it.
pub fn read_between_cached(
    log: &Log,
    logs: &[LogName],
    between: (Position, Position),
    limit: PageLimit,
) -> Option<Page> {
    let read = |name: &LogName, (above, until): (Position, Position)| {
        log.read_cached(name, above, until, limit).ok_or(())
    };
    gather(logs, between, limit, read).ok()
}

/// A map's channel folded, as far as the position that comes with it. May wait for the disk.
pub fn fold(log: &Log, channel: &Channel, name: &str) -> Result<(Fold, Position), ReadError> {
    let (until, logs) = (log.head(), LogName::Channel(channel.clone()));
    let mut fold = Fold::new(name).compacted(log.compacted());
    let mut above = Position::ZERO;
    loop {
        let page = log.read(&logs, above, until, FOLD_PAGE)?;
        page.entries.iter().for_each(|entry| fold.add(entry));
        above = page.through;
        if !page.more {
            return Ok((fold, above));
        }
    }
}

/// The same, if memory alone has it and it is small.
fn fold_cached(log: &Log, channel: &Channel, name: &str) -> Option<(Fold, Position)> {
    let logs = LogName::Channel(channel.clone());
    let page = log.read_cached(&logs, Position::ZERO, log.head(), SMALL_FOLD)?;
    let mut fold = Fold::new(name).compacted(log.compacted());
    page.entries.iter().for_each(|entry| fold.add(entry));
    (!page.more).then_some((fold, page.through))
}

/// One page of several logs, as `read` reads each of them. Where one of them breaks off, or the page
/// is full, it ends, so that nothing is skipped; and the logs that come then are read no further than
/// that: of a thousand logs little more is read than one page has.
fn gather<E>(
    logs: &[LogName],
    (above, mut until): (Position, Position),
    limit: PageLimit,
    mut read: impl FnMut(&LogName, (Position, Position)) -> Result<Page, E>,
) -> Result<Page, E> {
    if let [log] = logs {
        return read(log, (above, until));
    }
    let (mut found, mut bytes, mut more) = (BTreeMap::new(), 0_usize, false);
    for log in logs {
        let page = read(log, (above, until))?;
        for entry in page.entries {
            let size = entry.action.json().len();
            if found.insert(entry.position, entry).is_none() {
                bytes += size;
            }
        }
        if page.more {
            (until, more) = (until.min(page.through), true);
        }
        while found.last_key_value().is_some_and(|(last, _)| {
            let full = found.len() > limit.entries || bytes > limit.bytes;
            *last > until || (full && found.len() > 1)
        }) {
            let dropped = found.pop_last().map_or(0, |(_, entry)| entry.action.json().len());
            bytes -= dropped;
            let last = found.last_key_value().map_or(above, |(last, _)| *last);
            (until, more) = (until.min(last.max(above)), true);
        }
    }
    Ok(Page { entries: found.into_values().collect(), through: until, more })
}

#[cfg(test)]
mod tests;
