//! The feed as another server follows it: entries with their names, and what became of them later.

use super::entry::Entry;
use super::error::ReadError;
use super::record::{Alias, Clean, Record, put_instead};
use super::{Log, PageLimit};
use bytes::Bytes;
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::{ActionId, builtin};

/// One record, as others have to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// An entry, cleaned or not.
    Entry(Arc<Entry>),
    /// An entry that got other names.
    Renamed(Arc<Entry>),
    /// The body of an action was taken out.
    Cleaned(ActionId),
}

/// A stretch of the feed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stretch {
    /// What is in it, ascending.
    pub(crate) records: Vec<Outgoing>,
    /// Up to where it goes.
    pub(crate) through: Position,
}

impl Log {
    /// The records above `above` that `wanted` says are wanted, as many as `limit` allows. Looks at
    /// `looked_max` records at most. May wait for the disk.
    pub(crate) fn outgoing(
        &self,
        above: Position,
        (limit, looked_max): (PageLimit, usize),
        wanted: &mut dyn FnMut(&Outgoing) -> bool,
    ) -> Result<Stretch, ReadError> {
        let (head, feed) = (self.head(), self.shared().feed());
        let mut stretch = Stretch { records: Vec::new(), through: above };
        let (mut bytes, mut looked) = (0, 0);
        for row in feed.rows_above(above)? {
            let row = row?;
            for (position, record) in row.records().filter(|(at, _)| *at > above && *at <= head) {
                let outgoing = self.one(position, &record)?;
                if let Some(outgoing) = outgoing.filter(|it| wanted(it)) {
                    bytes += outgoing.bytes();
                    if !stretch.records.is_empty() && bytes > limit.bytes {
                        return Ok(stretch);
                    }
                    stretch.records.push(outgoing);
                }
                (stretch.through, looked) = (position, looked + 1);
                if stretch.records.len() >= limit.entries || looked >= looked_max {
                    return Ok(stretch);
                }
            }
            if row.next() > head {
                break;
            }
        }
        Ok(stretch)
    }

    fn one(&self, position: Position, record: &Bytes) -> Result<Option<Outgoing>, ReadError> {
        let shared = self.shared();
        let hidden = shared.state().bodies_to_take.get(&position).cloned();
        // A copy, because the whole row would be kept for one record of it.
        let record = Record::decode(position, &Bytes::copy_from_slice(record))
            .map_err(|damage| shared.feed().damaged(position, damage))?;
        Ok(match record {
            Record::Entry(entry) => {
                let entry = match hidden {
                    Some(instead) => put_instead(entry, instead),
                    None => entry,
                };
                let entry = shared.naming.apply(entry);
                Some(Outgoing::Entry(Arc::new(entry)))
            }
            Record::Alias(Alias { target, .. }) => {
                shared.entry(target)?.map(|entry| Outgoing::Renamed(Arc::new(entry)))
            }
            // What undid an action is an entry of its own.
            Record::Clean(Clean { instead, .. }) if instead.kind() == builtin::UNDO => None,
            Record::Clean(Clean { id, .. }) => Some(Outgoing::Cleaned(id)),
            Record::Erased(_) => None,
        })
    }
}

impl Outgoing {
    /// When it was accepted here; only entries know.
    pub(crate) fn accepted_ms(&self) -> Option<u64> {
        match self {
            Self::Entry(entry) => Some(entry.accepted_ms),
            Self::Renamed(_) | Self::Cleaned(_) => None,
        }
    }

    /// What it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Entry(entry) | Self::Renamed(entry) => entry.action.json().len() + 128,
            Self::Cleaned(_) => 128,
        }
    }
}
