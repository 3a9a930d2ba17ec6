//! What one item of a map holds, and what an entry that comes takes that from.

use super::OVERHEAD_BYTES;
use crate::rules::SyncMapOp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tidelog_crdt::{Position, Stamp};

/// When an entry was made, and where it is.
pub(super) type Made = Arc<(Stamp, Position)>;

#[derive(Default)]
pub(super) struct Item {
    touched: Option<Made>,
    /// What was made after the last deletion and holds something, least first.
    holding: BTreeMap<Made, Holds>,
    /// The write of each field that has the greatest stamp, if it was made after that.
    fields: HashMap<Arc<str>, Made>,
    deleted: Option<Made>,
    /// What `holding` takes, about.
    bytes: usize,
}

/// What an entry holds.
struct Holds {
    /// The item's being there, should a late deletion come before it.
    created: bool,
    /// How many fields.
    fields: usize,
    /// The fields that it held once.
    names: Vec<Arc<str>>,
}

impl Item {
    /// Takes an entry in. Those that hold nothing from now on.
    pub(super) fn take(
        &mut self,
        operation: SyncMapOp,
        names: Vec<Arc<str>>,
        made: &Made,
    ) -> Vec<Position> {
        let mut lost: Vec<_> = self.touched.replace(Arc::clone(made)).into_iter().collect();
        if operation == SyncMapOp::Delete {
            self.delete(made, &mut lost);
        } else if self.deleted.as_ref().is_none_or(|deleted| deleted.0 < made.0) {
            self.write(operation == SyncMapOp::Create, names, made, &mut lost);
        }
        lost.retain(|made| !self.is_held(made));
        lost.iter().map(|made| made.1).collect()
    }

    fn delete(&mut self, made: &Made, lost: &mut Vec<Made>) {
        if self.deleted.as_ref().is_some_and(|deleted| deleted >= made) {
            return;
        }
        lost.extend(self.deleted.replace(Arc::clone(made)));
        while let Some(first) = self.holding.first_entry().filter(|it| it.key().0 <= made.0) {
            let (before, holds) = first.remove_entry();
            for name in &holds.names {
                if self.fields.get(name) == Some(&before) {
                    self.fields.remove(name);
                }
            }
            self.bytes -= holds.bytes(&before);
            lost.push(before);
        }
    }

    fn write(
        &mut self,
        created: bool,
        mut names: Vec<Arc<str>>,
        made: &Made,
        lost: &mut Vec<Made>,
    ) {
        names.retain(|name| match self.fields.get(name) {
            Some(before) if before >= made => false,
            _ => {
                let before = self.fields.insert(Arc::clone(name), Arc::clone(made));
                lost.extend(before.inspect(|before| self.loses_field(before)));
                true
            }
        });
        if created || !names.is_empty() {
            let holds = Holds { created, fields: names.len(), names };
            self.bytes += holds.bytes(made);
            self.holding.insert(Arc::clone(made), holds);
        }
    }

    /// Another write has a field of this entry.
    fn loses_field(&mut self, made: &Made) {
        let Some(holds) = self.holding.get_mut(made) else { return };
        holds.fields = holds.fields.saturating_sub(1);
        if holds.fields == 0 && !holds.created {
            self.bytes -= holds.bytes(made);
            self.holding.remove(made);
        }
    }

    fn is_held(&self, made: &Made) -> bool {
        self.touched.as_ref() == Some(made)
            || self.deleted.as_ref() == Some(made)
            || self.holding.contains_key(made)
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + OVERHEAD_BYTES
    }
}

impl Holds {
    fn bytes(&self, made: &Made) -> usize {
        OVERHEAD_BYTES + made.0.node.len() + self.names.len() * OVERHEAD_BYTES / 2
    }
}
