//! Which entries of a map still hold something, or may come to: the others can go, and nobody who folds
//! what is left, from wherever on, sees a difference.
//!
//! An entry stays that
//! - holds a field of its item: its write has the greatest stamp. Of an item that was deleted, only
//!   if it was made after that; a later change of mind does not bring back what was before;
//! - is the last deletion of its item, or a creation after that: a deletion that comes late may
//!   make any of those creations count;
//! - was the last to touch its item: loads go on from there.

//!
//! What holds nothing now never will, so it is noted at once, and of an item no more is kept than what holds. If
//! even that is too much for memory, only a share of the items is looked at, and the others in further
//! passes.

use super::{Body, stamp};
use crate::log::{Entry, Positions};
use crate::rules::SyncMapOp;
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::mem;
use std::sync::Arc;
use tidelog_crdt::{Position, Stamp};

/// What an item takes beside its name, and a field or a creation, about.
const OVERHEAD_BYTES: usize = 128;
/// One of so many items is enough, as a power of two: what one item takes cannot be shared.
const SHARE_BITS_MAX: u32 = 24;

/// The maps of a feed, in as many passes over it as memory needs.
pub(crate) struct Holdings {
    maps: BTreeMap<String, Holding>,
    share: Share,
    rest: Vec<Share>,
    bytes_max: usize,
}

/// Some of all items: those whose hash ends with these bits.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    bits: u32,
    end: u64,
}

/// The entries of one map that are in its two channels and nowhere else.
struct Holding {
    name: String,
    items: HashMap<Box<str>, Item>,
    names: HashSet<Arc<str>>,
    spent: Positions,
    /// What the items take, about.
    bytes: usize,
}

type Made = (Stamp, Position);

#[derive(Default)]
struct Item {
    touched: Position,
    fields: Vec<(Arc<str>, Made)>,
    created: Vec<Made>,
    deleted: Option<Made>,
}

impl Holdings {
    /// Nothing yet; items are to take no more than about so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { maps: BTreeMap::new(), share: Share::default(), rest: Vec::new(), bytes_max }
    }

    /// Takes an entry in, if it is one of the map called `name`; whether it is. Comes in order of position.
    pub(crate) fn take(&mut self, name: &str, entry: &Entry) -> bool {
        if !self.maps.contains_key(name) {
            self.maps.insert(name.to_owned(), Holding::new(name));
        }
        let taken = self.maps.get_mut(name).is_some_and(|map| map.take(entry, self.share));
        while self.bytes() > self.bytes_max && self.share.bits < SHARE_BITS_MAX {
            self.rest.push(self.share.halve());
            self.maps.values_mut().for_each(|map| map.keep_only(self.share));
        }
        taken
    }

    /// All entries were taken in; whether they are to come again, for the items that are left.
    pub(crate) fn goes_on(&mut self) -> bool {
        let Some(share) = self.rest.pop() else { return false };
        self.share = share;
        self.maps.values_mut().for_each(Holding::forget);
        true
    }

    /// The entries of each map that hold nothing and never will.
    pub(crate) fn spent(self) -> impl Iterator<Item = (String, Positions)> {
        self.maps.into_iter().map(|(name, holding)| (name, holding.spent))
    }

    fn bytes(&self) -> usize {
        self.maps.values().map(|map| map.bytes).sum()
    }
}

impl Share {
    fn has(self, map: &str, item: &str) -> bool {
        let mut hasher = SipHasher24::new();
        (map, item).hash(&mut hasher);
        hasher.finish() & ((1 << self.bits) - 1) == self.end
    }

    /// Takes the other half off.
    fn halve(&mut self) -> Self {
        let other = Self { bits: self.bits + 1, end: self.end | 1 << self.bits };
        self.bits += 1;
        other
    }
}

impl Holding {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            items: HashMap::new(),
            names: HashSet::new(),
            spent: Positions::default(),
            bytes: 0,
        }
    }

    fn forget(&mut self) {
        self.items.clear();
        self.bytes = 0;
    }

    fn keep_only(&mut self, share: Share) {
        self.items.retain(|id, _| share.has(&self.name, id));
        self.items.shrink_to_fit();
        self.bytes = self.items.iter().map(|(id, item)| id.len() + item.bytes()).sum();
    }

    /// Whether it is one of the map's; takes it in if its item is of this share.
    fn take(&mut self, entry: &Entry, share: Share) -> bool {
        let Some(operation) = SyncMapOp::of(entry.action.kind(), &self.name) else { return false };
        let Ok(body) = entry.action.body::<Body<'_>>() else { return false };
        if !is_in_its_channels(entry, &self.name, &body.id) {
            return false;
        }
        if !share.has(&self.name, &body.id) {
            return true;
        }
        let names = body.fields.unwrap_or_default().into_keys().map(|name| {
            let known = self.names.get(name.as_str()).cloned();
            let name = known.unwrap_or_else(|| Arc::from(name));
            self.names.insert(name.clone());
            name
        });
        let names: Vec<_> = names.collect();
        let id: Box<str> = body.id.into();
        self.bytes += if self.items.contains_key(&id) { 0 } else { id.len() + OVERHEAD_BYTES };
        let item = self.items.entry(id).or_default();
        let (held, bytes) = (item.held(), item.bytes());
        item.take(operation, names, &(stamp(entry), entry.position));
        let holds = item.held();
        for position in held.difference(&holds) {
            self.spent.insert(*position);
        }
        self.bytes = self.bytes.saturating_add(item.bytes()).saturating_sub(bytes);
        true
    }
}

impl Item {
    fn take(&mut self, operation: SyncMapOp, names: Vec<Arc<str>>, made: &Made) {
        self.touched = made.1;
        if operation == SyncMapOp::Delete {
            self.deleted = self.deleted.take().max(Some(made.clone()));
            let after = self.deleted.as_ref().map(|(stamp, _)| stamp);
            self.created.retain(|(stamp, _)| after < Some(stamp));
            return;
        }
        for name in names {
            self.write(name, made.clone());
        }
        if operation == SyncMapOp::Create {
            self.created.push(made.clone());
        }
    }

    fn write(&mut self, name: Arc<str>, made: Made) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, last)) if *last < made => *last = made,
            Some(_) => {}
            None => self.fields.push((name, made)),
        }
    }

    /// The entries that hold something; none before the first.
    fn held(&self) -> BTreeSet<Position> {
        let after = self.deleted.as_ref().map(|(stamp, _)| stamp);
        let made = self.fields.iter().map(|(_, made)| made).chain(&self.created);
        let counts = made.filter(|(stamp, _)| after < Some(stamp));
        let held = counts.chain(&self.deleted).map(|(_, position)| *position);
        held.chain([self.touched]).filter(|position| *position > Position::ZERO).collect()
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        let made = self.fields.iter().map(|(_, made)| made).chain(&self.created);
        let made = made.chain(&self.deleted);
        let bytes = made.map(|(stamp, _)| mem::size_of::<Made>() + stamp.node.len());
        bytes.sum::<usize>() + OVERHEAD_BYTES
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
