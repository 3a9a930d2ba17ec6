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

mod item;

use super::{Body, stamp};
use crate::log::{Entry, Positions};
use crate::rules::SyncMapOp;
use item::{Item, Made};
use siphasher::sip::SipHasher24;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What an item takes beside its name, an entry that holds something, or the name of a field, about.
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
    /// The names of their fields, once each.
    names: HashSet<Arc<str>>,
    spent: Positions,
    /// What items and names take, about.
    bytes: usize,
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
        if self.bytes() > self.bytes_max {
            self.maps.values_mut().for_each(Holding::forget_names);
            self.halve();
        }
        taken
    }

    /// Leaves items to further passes, so many that there is room for some time.
    fn halve(&mut self) {
        let room = self.bytes_max - self.bytes_max / 4;
        while self.bytes() > room && self.share.bits < SHARE_BITS_MAX {
            self.rest.push(self.share.halve());
            self.maps.values_mut().for_each(|map| map.keep_only(self.share));
        }
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
        self.names.clear();
        self.bytes = 0;
    }

    fn keep_only(&mut self, share: Share) {
        self.items.retain(|id, _| share.has(&self.name, id));
        self.items.shrink_to_fit();
        self.forget_names();
    }

    /// Forgets names that no field of an item has any more.
    fn forget_names(&mut self) {
        self.names.retain(|name| Arc::strong_count(name) > 1);
        let items = self.items.iter().map(|(id, item)| id.len() + item.bytes());
        self.bytes = items.chain(self.names.iter().map(|name| bytes_of(name))).sum();
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
            self.names.get(name.as_str()).cloned().unwrap_or_else(|| {
                let name: Arc<str> = name.into();
                self.bytes += bytes_of(&name);
                self.names.insert(Arc::clone(&name));
                name
            })
        });
        let names: Vec<_> = names.collect();
        let id: Box<str> = body.id.into();
        self.bytes += if self.items.contains_key(&id) { 0 } else { id.len() + OVERHEAD_BYTES };
        let item = self.items.entry(id).or_default();
        let bytes = item.bytes();
        let made: Made = Arc::new((stamp(entry), entry.position));
        for position in item.take(operation, names, &made) {
            self.spent.insert(position);
        }
        self.bytes = self.bytes.saturating_add(item.bytes()).saturating_sub(bytes);
        true
    }
}

/// What the name of a field takes, about.
fn bytes_of(name: &str) -> usize {
    name.len() + OVERHEAD_BYTES
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
