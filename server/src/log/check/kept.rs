//! The bytes that are kept of each user: what the runs add up to against what the feed does.

use super::super::entry::Entry;
use super::super::error::ReadError;
use super::super::index::merged_of;
use super::super::manifest::{Family, Part};
use super::super::prefix::Hash;
use super::super::record::Record;
use super::super::run::Item;
use super::super::usage::{Changes, author_and_bytes};
use std::collections::HashSet;
use tidelog_crdt::Position;

/// What the feed adds up to.
pub(super) struct Kept {
    hash: Hash,
    bytes: Changes,
    /// Entries that were taken from the runs.
    undecided: HashSet<Position>,
}

impl Kept {
    pub(super) fn new(hash: Hash) -> Self {
        Self { hash, bytes: Changes::default(), undecided: HashSet::new() }
    }

    /// An entry of the feed counts.
    pub(super) fn count(&mut self, entry: &Entry) {
        if let Some((author, bytes)) = author_and_bytes(entry, &self.hash) {
            self.bytes.add(author, bytes);
        }
    }

    /// An entry counts that a run has whole; its body may be gone from the feed. It has one item for
    /// each of its logs.
    pub(super) fn count_item(&mut self, at: Position, item: &Item) {
        if let Ok(Record::Entry(entry)) = Record::decode(at, &item.value)
            && self.undecided.insert(at)
        {
            self.count(&entry);
        }
    }

    /// Of how many users these runs say something else.
    pub(super) fn differing(self, usage: &[Part]) -> Result<usize, ReadError> {
        self.bytes.differ_from(merged_of(Family::Usage, usage))
    }
}
