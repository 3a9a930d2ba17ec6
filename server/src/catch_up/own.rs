//! A user's own log for who has missed much of it: what documents do not say, entry by entry, and at the
//! end of that the documents.
//!
//! They come last, so that a page which takes actions as they come lays them over entries that are in
//! them, too. And they are as of where the entries end, so that nothing is between.

use super::{FOLD_PAGE, Reading, fates, patiently, read_between};
use crate::app::Parts;
use crate::documents::OwnStates;
use crate::log::{Entry, Log, LogName, Page, PageLimit, ReadError};
use crate::session::ReadOrder;
use crate::sync_map::{Fates, Loaded, Wanted};
use std::sync::Arc;
use tidelog_crdt::Position;

/// What is read of a user's own log, and of others with it.
#[derive(Clone, Debug)]
pub(crate) struct OwnOrder {
    /// The log.
    pub log: LogName,
    /// Logs whose entries come as they are.
    pub others: Vec<LogName>,
    /// Only what is above.
    pub above: Position,
    /// Only if that is more than so many entries; fewer come as they are.
    pub most: Option<usize>,
    /// Which documents.
    pub remaining: Remaining,
}

/// Which documents are still to come.
#[derive(Clone, Debug)]
pub(crate) struct Remaining {
    /// The log ended here when that began.
    pub began: Position,
    /// Those that changed above this, and so on.
    pub wanted: Wanted,
}

/// The next part of a user's own log.
#[derive(Debug)]
pub(crate) struct OwnPart {
    /// Entries that documents do not stand for.
    pub page: Page,
    /// How those are shown.
    pub fates: Fates,
    /// The next documents, when that was the last page.
    pub states: Option<Loaded>,
}

/// What `order` asks for. May wait for the disk.
pub(super) fn read(app: &Parts, order: &OwnOrder) -> Result<Reading, ReadError> {
    let few = match order.most {
        Some(most) => !missed_more(&app.log, &order.log, order.above, most)?,
        // All that there is came by the page itself, or comes from now on.
        None => order.remaining.wanted.begins() && was_empty(&app.log, order)?,
    };
    if few {
        let logs = order.others.iter().chain([&order.log]).cloned().collect();
        return patiently(app, &ReadOrder::Stretch { logs, above: order.above });
    }
    let states = app.documents.own_states(&order.log, order.remaining.began)?;
    let page = rest(app, order, &states)?;
    let fates = fates(app, &page.entries)?;
    let part = || states.snapshot.part(&order.remaining.wanted, app.page);
    let states = (!page.more).then(part);
    Ok(Reading::Own(OwnPart { page, fates, states }))
}

/// Whether there was nothing in the log when it began.
fn was_empty(log: &Log, order: &OwnOrder) -> Result<bool, ReadError> {
    let limit = PageLimit { entries: 1, ..FOLD_PAGE };
    let first = log.read(&order.log, Position::ZERO, order.remaining.began, limit)?;
    Ok(first.entries.is_empty())
}

/// Whether `log` has more than `most` entries above a position, or more bytes than are counted.
fn missed_more(log: &Log, name: &LogName, above: Position, most: usize) -> Result<bool, ReadError> {
    let limit = PageLimit { entries: most.saturating_add(1), ..FOLD_PAGE };
    let missed = log.read(name, above, log.head(), limit)?;
    Ok(missed.more || missed.entries.len() > most)
}

/// What `states` do not say, as far as they go.
fn rest(app: &Parts, order: &OwnOrder, states: &OwnStates) -> Result<Page, ReadError> {
    let logs: Vec<_> = [&order.log].into_iter().chain(&order.others).cloned().collect();
    let until = states.snapshot.through;
    let is_told =
        |entry: &Entry| entry.addresses.includes(&order.log) && states.has(entry, &app.rules);
    let (mut entries, mut bytes, mut above): (Vec<Arc<Entry>>, _, _) = (Vec::new(), 0, order.above);
    while above < until {
        let page = read_between(&app.log, &logs, (above, until), FOLD_PAGE)?;
        for entry in page.entries.iter().filter(|entry| !is_told(entry)) {
            bytes += entry.action.json().len();
            let full = entries.len() >= app.page.entries || bytes > app.page.bytes;
            if let Some(last) = entries.last().filter(|_| full) {
                let through = last.position;
                return Ok(Page { entries, through, more: true });
            }
            entries.push(Arc::clone(entry));
        }
        above = page.through;
    }
    Ok(Page { entries, through: until.max(order.above), more: false })
}
