//! Which entries of a map still hold something, or may come to: the others can go, and nobody who folds
//! what is left, from wherever on, sees a difference.
//!
//! An entry stays that
//! - holds a field of its item: its write has the greatest stamp. Of an item that was deleted, only
//!   if it was made after that; a later change of mind does not bring back what was before;
//! - is the last deletion of its item, or a creation after that: a deletion that comes late may
//!   make any of those creations count;
//! - was the last to touch its item: loads go on from there.

use super::{Body, stamp};
use crate::log::{Entry, Positions};
use crate::rules::SyncMapOp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tidelog_crdt::{Position, Stamp};

/// The entries of one map that are in its two channels and nowhere else.
pub(crate) struct Holding {
    name: String,
    items: HashMap<Box<str>, Item>,
    names: HashSet<Arc<str>>,
    taken: Positions,
}

type Made = (Stamp, Position);

#[derive(Default)]
struct Item {
    touched: Position,
    fields: Vec<(Arc<str>, Made)>,
    created: Vec<Made>,
    deleted: Option<Made>,
}

impl Holding {
    /// No entries yet of the map called `name`.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            items: HashMap::new(),
            names: HashSet::new(),
            taken: Positions::default(),
        }
    }

    /// Takes an entry in, if it is one of the map's; whether it is. Comes in order of position.
    pub(crate) fn take(&mut self, entry: &Entry) -> bool {
        let Some(operation) = SyncMapOp::of(entry.action.kind(), &self.name) else { return false };
        let Ok(body) = entry.action.body::<Body<'_>>() else { return false };
        if !is_in_its_channels(entry, &self.name, &body.id) {
            return false;
        }
        let made = (stamp(entry), entry.position);
        let item = self.items.entry(body.id.into()).or_default();
        item.touched = entry.position;
        self.taken.insert(entry.position);
        if operation == SyncMapOp::Delete {
            item.deleted = item.deleted.take().max(Some(made));
            return true;
        }
        for name in body.fields.unwrap_or_default().into_keys() {
            let name = match self.names.get(name.as_str()) {
                Some(known) => known.clone(),
                None => Arc::from(name),
            };
            self.names.insert(name.clone());
            item.write(name, made.clone());
        }
        if operation == SyncMapOp::Create {
            item.created.push(made);
        }
        true
    }

    /// The entries that hold nothing and never will.
    pub(crate) fn spent(self) -> Positions {
        let mut spent = self.taken;
        for item in self.items.into_values() {
            item.held().for_each(|position| spent.remove(position));
        }
        spent
    }
}

impl Item {
    fn write(&mut self, name: Arc<str>, made: Made) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, last)) if *last < made => *last = made,
            Some(_) => {}
            None => self.fields.push((name, made)),
        }
    }

    fn held(self) -> impl Iterator<Item = Position> {
        let deleted = self.deleted;
        let after = deleted.as_ref().map(|(stamp, _)| stamp.clone());
        let made = self.fields.into_iter().map(|(_, made)| made).chain(self.created);
        let counts = made.filter(move |(stamp, _)| after.as_ref() < Some(stamp));
        let held = counts.chain(deleted).map(|(_, position)| position);
        held.chain([self.touched])
    }
}

/// Whether it is where the map puts its actions, and nowhere else.
fn is_in_its_channels(entry: &Entry, name: &str, item: &str) -> bool {
    let to = &entry.addresses;
    let nowhere_else = to.users.is_empty() && to.clients.is_empty() && to.nodes.is_empty();
    let [one, two] = &to.channels[..] else { return false };
    let rest = two.as_str().strip_prefix(name).and_then(|rest| rest.strip_prefix('/'));
    nowhere_else && one.as_str() == name && rest == Some(item)
}

#[cfg(test)]
mod tests;
