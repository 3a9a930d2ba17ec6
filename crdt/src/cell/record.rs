//! Records: fields by last write, creation and deletion by stamp.

use super::Sight;
use super::live::{Both, Live, Ranked, Writes, erase_by_key, merge_by_key};
use crate::{Dot, Fields, Json, RecordOp, Stamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An item as the SyncMap convention of `@logux/client` has it: every field is a last-write-wins
/// register, and deletion is a write too.
///
/// The first creation after the last deletion brings the item back, without what was written before
/// that creation. A later change alone does not: a client that shows the item again would show one
/// field of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub(crate) fields: BTreeMap<Arc<str>, Writes<Json>>,
    pub(crate) created: Live<Stamp>,
    pub(crate) deleted: Live<Stamp>,
}

/// A field that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a str,
    /// What was written.
    pub value: &'a Json,
    /// The entry that wrote it.
    pub dot: Dot,
    /// When and by whom.
    pub stamp: &'a Stamp,
}

impl Record {
    /// The fields that hold, by name; none when the record is deleted.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let over = self.deletion().is_some();
        let since = self.revival();
        self.fields.iter().filter_map(move |(name, writes)| {
            let (dot, Ranked { stamp, value }) = writes.last()?;
            let holds = !over && since.is_none_or(|since| stamp >= since);
            holds.then_some(Field { name, value, dot, stamp })
        })
    }

    /// The entry that deleted it, if it is deleted and was not created again.
    pub fn deletion(&self) -> Option<(Dot, &Stamp)> {
        self.last_deletion().filter(|_| self.revival().is_none())
    }

    /// The last deletion, whether or not the record came back.
    pub fn last_deletion(&self) -> Option<(Dot, &Stamp)> {
        self.deleted.iter().max_by_key(|(_, stamp)| *stamp)
    }

    /// The first creation after the last deletion, if there was a deletion.
    pub(crate) fn revival(&self) -> Option<&Stamp> {
        let (_, deleted) = self.last_deletion()?;
        self.created.iter().map(|(_, stamp)| stamp).filter(|stamp| *stamp > deleted).min()
    }

    /// Takes away what was written before and seen.
    pub(crate) fn retire(&mut self, operation: &RecordOp, sight: &Sight<'_>) {
        let is_before = |dot: Dot, stamp: &Stamp| stamp < sight.stamp && sight.saw(dot);
        match operation {
            RecordOp::Create(written) | RecordOp::Change(written) => {
                for name in written.keys() {
                    if let Some(writes) = self.fields.get_mut(name) {
                        writes.outrank(sight);
                        if writes.is_empty() {
                            self.fields.remove(name);
                        }
                    }
                }
            }
            RecordOp::Delete => {
                self.created.retire(is_before);
                self.deleted.retire(is_before);
                self.fields.retain(|_, writes| {
                    writes.outrank(sight);
                    !writes.is_empty()
                });
            }
        }
    }

    pub(crate) fn admit(&mut self, operation: &RecordOp, sight: &Sight<'_>) {
        match operation {
            RecordOp::Create(written) => {
                self.created.insert(sight.dot, sight.stamp.clone());
                self.write(written, sight);
            }
            RecordOp::Change(written) => self.write(written, sight),
            RecordOp::Delete => self.deleted.insert(sight.dot, sight.stamp.clone()),
        }
    }

    fn write(&mut self, written: &Fields, sight: &Sight<'_>) {
        for (name, value) in written {
            let write = Ranked { stamp: sight.stamp.clone(), value: value.clone() };
            self.fields.entry(name.clone()).or_default().insert(sight.dot, write);
        }
    }

    pub(crate) fn erase(&mut self, sight: &Sight<'_>) {
        self.created.retire(|dot, _| sight.saw(dot));
        self.deleted.retire(|dot, _| sight.saw(dot));
        erase_by_key(&mut self.fields, sight);
    }

    pub(crate) fn merge(&mut self, other: &Self, both: Both<'_>) {
        self.created.merge(&other.created, both);
        self.deleted.merge(&other.deleted, both);
        merge_by_key(&mut self.fields, &other.fields, both);
    }

    /// The fields as an object; none when there is nothing, or no more.
    pub(crate) fn value(&self) -> Option<Value> {
        if self.is_empty() || self.deletion().is_some() {
            return None;
        }
        Some(self.fields().map(|field| (field.name.to_owned(), field.value.to_value())).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.created.is_empty() && self.deleted.is_empty()
    }
}
