//! One commit while it is put together: records in rows, and what is to be known of them.

use super::super::entry::Entry;
use super::super::prefix::{Hash, Key};
use super::super::record::{Clean, put_clean, put_entry};
use super::super::row::{RECORD_BYTES_MAX, RowBuilder};
use super::super::tail::Staged;
use std::collections::HashMap;
use std::sync::Arc;
use tidelog_crdt::Position;

/// What one sync will make durable.
#[derive(Debug)]
pub(super) struct Commit {
    builder: RowBuilder,
    staged: Staged,
    /// What is published, in order.
    entries: Vec<Arc<Entry>>,
    /// What this commit itself brings, so that a duplicate inside it is found.
    fresh: HashMap<Key, Arc<Entry>>,
    record: Vec<u8>,
}

impl Commit {
    /// A commit whose first record will be at `first`.
    pub(super) fn new(first: Position) -> Self {
        Self {
            builder: RowBuilder::new(first),
            staged: Staged::default(),
            entries: Vec::new(),
            fresh: HashMap::new(),
            record: Vec::new(),
        }
    }

    /// The position that the next record gets.
    pub(super) fn next(&self) -> Position {
        self.builder.next()
    }

    /// The entry with this id, if this commit brings it.
    pub(super) fn fresh(&self, id: &Key) -> Option<&Arc<Entry>> {
        self.fresh.get(id)
    }

    /// Adds an entry at [`Commit::next`]; none if it is too large for a row.
    pub(super) fn add(&mut self, entry: Entry, id: Key, hash: &Hash) -> Option<Arc<Entry>> {
        self.record.clear();
        put_entry(&mut self.record, &entry);
        if self.record.len() > RECORD_BYTES_MAX {
            return None;
        }
        self.push_record();
        let logs = entry.addresses.users.iter().map(|user| hash.user(user.as_str()));
        self.staged.logs.extend(logs.map(|log| (log, entry.position)));
        let logs = entry.addresses.channels.iter().map(|name| hash.channel(name.as_str()));
        self.staged.logs.extend(logs.map(|log| (log, entry.position)));
        self.staged.ids.push((id, entry.position));
        let entry = Arc::new(entry);
        self.fresh.insert(id, Arc::clone(&entry));
        self.pass(Arc::clone(&entry));
        Some(entry)
    }

    /// Adds an entry that is published and not stored.
    pub(super) fn pass(&mut self, entry: Arc<Entry>) {
        self.entries.push(entry);
    }

    /// Adds the request to take out a body.
    pub(super) fn clean(&mut self, clean: &Clean) {
        self.record.clear();
        put_clean(&mut self.record, clean);
        self.push_record();
    }

    fn push_record(&mut self) {
        if !self.builder.fits(self.record.len()) {
            let next = self.builder.next();
            self.end_row(next);
        }
        self.builder.push(&self.record);
    }

    fn end_row(&mut self, next: Position) {
        let full = std::mem::replace(&mut self.builder, RowBuilder::new(next));
        self.staged.rows.push(full.finish());
    }

    /// What is to be stored, and what is to be published.
    pub(super) fn finish(mut self) -> (Staged, Vec<Arc<Entry>>) {
        if !self.builder.is_empty() {
            let next = self.builder.next();
            self.end_row(next);
        }
        (self.staged, self.entries)
    }
}
