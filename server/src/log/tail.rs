//! The newest part of the log, in memory: the rows of the feed above the checkpoint, and where each
//! log's entries and each node's ids are in them.
//!
//! Entries stay encoded: decoded ones would take four times the memory.

use super::entry::Entry;
use super::prefix::{Hash, Key, Prefix};
use super::row::Row;
use super::run::{Item, Order};
use super::usage::{Changes, author_and_bytes};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use tidelog_crdt::Position;

/// About what one entry of the maps below takes.
const SLOT_BYTES: usize = 12;
const LOG_BYTES: usize = 36;
const ID_BYTES: usize = 60;
const CHANGE_BYTES: usize = 48;

/// Rows and what is to be known about their records.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) rows: Vec<Row>,
    pub(super) logs: Vec<(Prefix, Position)>,
    pub(super) ids: Vec<(Key, Position)>,
    /// By how much the bytes of which user changed.
    pub(super) changes: Vec<(Prefix, i64)>,
}

impl Staged {
    /// Counts the bytes of an entry for its author.
    pub(super) fn count(&mut self, entry: &Entry, hash: &Hash) {
        self.changes.extend(author_and_bytes(entry, hash));
    }
}

/// Where a record is: which row, and where in it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    row: usize,
    start: u32,
    end: u32,
}

/// Rows without a gap from `first` on.
#[derive(Debug)]
pub(super) struct Tail {
    first: Position,
    rows: Vec<Bytes>,
    slots: Vec<Slot>,
    /// The entries of each log, and what was hidden below `first`.
    by_log: BTreeSet<(Prefix, Position)>,
    by_id: BTreeMap<Key, Position>,
    changes: Changes,
    bytes: usize,
}

impl Tail {
    /// An empty tail, whose first position will be `first`.
    pub(super) fn new(first: Position) -> Self {
        Self {
            first,
            rows: Vec::new(),
            slots: Vec::new(),
            by_log: BTreeSet::new(),
            by_id: BTreeMap::new(),
            changes: Changes::default(),
            bytes: 0,
        }
    }

    /// The position that its first record has.
    pub(super) fn first(&self) -> Position {
        self.first
    }

    /// The position after its last record.
    pub(super) fn next(&self) -> Position {
        self.first.plus(self.slots.len() as u64)
    }

    /// The position of its last record, or the one before its first.
    pub(super) fn last(&self) -> Position {
        Position::new(self.next().get() - 1).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds rows that follow the last one.
    pub(super) fn extend(&mut self, staged: Staged) {
        for row in staged.rows {
            debug_assert_eq!(row.first(), self.next(), "rows follow each other");
            for range in row.ranges() {
                self.add_slot(range.start, range.end);
            }
            self.bytes += row.value().len();
            self.rows.push(row.value().clone());
        }
        self.bytes += staged.logs.len() * LOG_BYTES + staged.ids.len() * ID_BYTES;
        self.by_log.extend(staged.logs);
        self.by_id.extend(staged.ids);
        staged.changes.into_iter().for_each(|(user, change)| self.change(user, change));
    }

    /// The bytes of `user` grew or shrank by `change`.
    pub(super) fn change(&mut self, user: Prefix, change: i64) {
        if self.changes.add(user, change) {
            self.bytes += CHANGE_BYTES;
        }
    }

    /// By how much the bytes of which user changed.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    fn add_slot(&mut self, start: usize, end: usize) {
        self.slots.push(self.slot(start, end));
        self.bytes += SLOT_BYTES;
    }

    fn slot(&self, start: usize, end: usize) -> Slot {
        let number = |at| u32::try_from(at).expect("a row is at most 240 KiB");
        Slot { row: self.rows.len(), start: number(start), end: number(end) }
    }

    /// Hides the entry at `target` from `logs`; `without_body` stands for it from now on.
    pub(super) fn hide(&mut self, target: Position, logs: &[Prefix], without_body: Bytes) {
        if let Some(nth) = self.nth(target) {
            let slot = self.slot(0, without_body.len());
            self.bytes += without_body.len();
            self.rows.push(without_body);
            if let Some(old) = self.slots.get_mut(nth) {
                *old = slot;
            }
            for log in logs {
                self.by_log.remove(&(*log, target));
            }
        } else {
            self.bytes += logs.len() * LOG_BYTES;
            self.by_log.extend(logs.iter().map(|log| (*log, target)));
        }
    }

    /// Whether it hides an entry of `log` that is below its first.
    pub(super) fn hides(&self, log: Prefix, position: Position) -> bool {
        position < self.first && self.by_log.contains(&(log, position))
    }

    fn nth(&self, position: Position) -> Option<usize> {
        let nth = usize::try_from(position.get().checked_sub(self.first.get())?).ok()?;
        (nth < self.slots.len()).then_some(nth)
    }

    /// The record at `position`; it shares the memory of the tail.
    pub(super) fn record(&self, position: Position) -> Option<Bytes> {
        let slot = self.slots.get(self.nth(position)?)?;
        let row = self.rows.get(slot.row)?;
        Some(row.slice(slot.start as usize..slot.end as usize))
    }

    /// Where the action is.
    pub(super) fn find(&self, id: Key) -> Option<Position> {
        self.by_id.get(&id).copied()
    }

    /// The greatest ids of `node`, at most `count`, and where they are.
    pub(super) fn greatest_ids(&self, node: Prefix, count: usize) -> Vec<(Key, Position)> {
        let ids = self.by_id.range(Key::first_of(node)..=Key::last_of(node)).rev();
        ids.take(count).map(|(key, position)| (*key, *position)).collect()
    }

    /// The greatest id of `node`.
    pub(super) fn greatest(&self, node: Prefix) -> Option<Key> {
        let ids = self.by_id.range(Key::first_of(node)..=Key::last_of(node));
        ids.last().map(|(key, _)| *key)
    }

    /// What `log` has in `first..=last`, at most `count` entries, and all that is hidden below them.
    pub(super) fn entries(
        &self,
        log: Prefix,
        (first, last): (Position, Position),
        order: Order,
        count: usize,
    ) -> Vec<Item> {
        if first > last {
            return Vec::new();
        }
        let here = self.first.max(first);
        let item = |(prefix, position): &(Prefix, Position)| self.item(*prefix, *position);
        let mut items = Vec::new();
        if here <= last {
            let entries = self.by_log.range((log, here)..=(log, last));
            match order {
                Order::Ascending => items.extend(entries.take(count).map(item)),
                Order::Descending => items.extend(entries.rev().take(count).map(item)),
            }
        }
        if first < self.first {
            let hidden = self.by_log.range((log, first)..(log, self.first)).map(item);
            match order {
                Order::Ascending => drop(items.splice(0..0, hidden)),
                Order::Descending => items.extend(hidden.rev()),
            }
        }
        items
    }

    /// Everything that a run of entries has to say, in order.
    pub(super) fn all_entries(&self) -> impl Iterator<Item = Item> + '_ {
        self.by_log.iter().map(|(prefix, position)| self.item(*prefix, *position))
    }

    /// Everything that a run of ids has to say, in order.
    pub(super) fn all_ids(&self) -> impl Iterator<Item = (Key, Position)> + '_ {
        self.by_id.iter().map(|(key, position)| (*key, *position))
    }

    /// An entry, or, below `first`, that it is gone.
    fn item(&self, prefix: Prefix, position: Position) -> Item {
        let key = Key { prefix, major: position.get(), minor: 0 };
        Item { key, value: self.record(position).unwrap_or_default() }
    }
}
