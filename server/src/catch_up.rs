//! Reading on from a position: several logs merged, or a map folded.

use crate::log::{Channel, Entry, Log, LogName, Page, PageLimit, ReadError};
use crate::rules::Filter;
use crate::sync_map::{Fold, Loaded};
use std::sync::Arc;
use tidelog_crdt::Position;

/// How much of a channel is folded at once.
const FOLD_PAGE: PageLimit = PageLimit { entries: 1000, bytes: 1 << 20 };

/// The entries of `logs` above `above`, each once, in order of position. May wait for the disk.
pub fn read(
    log: &Log,
    logs: &[LogName],
    above: Position,
    limit: PageLimit,
) -> Result<Page, ReadError> {
    read_between(log, logs, (above, log.head()), limit)
}

/// The same, if memory alone has it.
pub fn read_cached(log: &Log, logs: &[LogName], above: Position, limit: PageLimit) -> Option<Page> {
    read_between_cached(log, logs, (above, log.head()), limit)
}

/// The entries of `logs` above the first position, up to and including the second. May wait for the
/// disk.
pub fn read_between(
    log: &Log,
    logs: &[LogName],
    (above, until): (Position, Position),
    limit: PageLimit,
) -> Result<Page, ReadError> {
    let pages: Result<Vec<_>, _> =
        logs.iter().map(|name| log.read(name, above, until, limit)).collect();
    Ok(merge(pages?, until, limit))
}

/// The same, if memory alone has it.
pub fn read_between_cached(
    log: &Log,
    logs: &[LogName],
    (above, until): (Position, Position),
    limit: PageLimit,
) -> Option<Page> {
    let pages: Option<Vec<_>> =
        logs.iter().map(|name| log.read_cached(name, above, until, limit)).collect();
    Some(merge(pages?, until, limit))
}

/// What the actions of a map's channel add up to, as far as the position that comes with it. May
/// wait for the disk.
pub fn fold(
    log: &Log,
    channel: &Channel,
    name: &str,
    filter: &Filter,
    tombstones: bool,
) -> Result<(Loaded, Position), ReadError> {
    let (fold, through) = fold_whole(log, channel, name)?;
    Ok((fold.load(filter, tombstones), through))
}

/// A map's channel folded, as far as the position that comes with it. May wait for the disk.
pub fn fold_whole(log: &Log, channel: &Channel, name: &str) -> Result<(Fold, Position), ReadError> {
    let (until, logs) = (log.head(), LogName::Channel(channel.clone()));
    let mut fold = Fold::new(name);
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

/// Several pages that start at the same position as one. Where one of them breaks off, the others
/// are cut, so that nothing is skipped.
fn merge(mut pages: Vec<Page>, until: Position, limit: PageLimit) -> Page {
    if pages.len() == 1
        && let Some(page) = pages.pop()
    {
        return page;
    }
    let cut = pages.iter().filter(|page| page.more).map(|page| page.through).min();
    let mut page = Page { entries: Vec::new(), through: cut.unwrap_or(until), more: cut.is_some() };
    page.entries = pages.into_iter().flat_map(|page| page.entries).collect();
    page.entries.retain(|entry| entry.position <= page.through);
    page.entries.sort_unstable_by_key(|entry| entry.position);
    page.entries.dedup_by_key(|entry| entry.position);
    shorten(&mut page, limit);
    page
}

fn shorten(page: &mut Page, limit: PageLimit) {
    let mut bytes = 0_usize;
    let mut fits = |entry: &Arc<Entry>| {
        bytes = bytes.saturating_add(entry.action.json().len());
        bytes <= limit.bytes
    };
    let count = page.entries.iter().take(limit.entries).take_while(|entry| fits(entry)).count();
    let count = count.max(1);
    if count < page.entries.len() {
        page.entries.truncate(count);
        page.through = page.entries.last().map_or(page.through, |entry| entry.position);
        page.more = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(through: u64, more: bool) -> Page {
        Page { entries: Vec::new(), through: Position::new(through).unwrap(), more }
    }

    #[test]
    fn a_log_that_breaks_off_cuts_the_others() {
        let limit = PageLimit { entries: 10, bytes: 1000 };
        let until = Position::new(9).unwrap();
        let merged = merge(vec![page(9, false), page(5, true), page(7, true)], until, limit);
        assert_eq!(merged, page(5, true));
        assert_eq!(merge(vec![page(9, false), page(9, false)], until, limit), page(9, false));
        assert_eq!(merge(Vec::new(), until, limit), page(9, false));
    }
}
