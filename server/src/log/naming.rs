//! Entries that another server had accepted, too, before the two met: each has given a dot. The smaller
//! is the entry's dot, and its time and context count; the others are aliases.
//!
//! That is known later than the entry is stored, so it is kept beside it: in the engine under the
//! entry's position, and in memory, because there are few. Whoever reads an entry reads it with its
//! names as they are now.

use super::entry::Entry;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tidelog_crdt::{Context, Dot, Position};

/// What of an entry depends on its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    dot: Dot,
    aliases: Vec<Dot>,
    time: u64,
    context: Context,
}

impl Named {
    /// As it stands in `entry`.
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            dot: entry.dot,
            aliases: entry.aliases.clone(),
            time: entry.time,
            context: entry.causes.context().into_owned(),
        }
    }

    /// Together with what another server says of the same action; none if that is nothing new.
    pub(super) fn with(&self, other: &Self) -> Option<Self> {
        let mut dots: Vec<_> = [self, other].iter().flat_map(|it| it.dots()).collect();
        dots.sort_unstable();
        dots.dedup();
        let counts = if self.dot <= other.dot { self } else { other };
        let (dot, aliases) =
            (counts.dot, dots.into_iter().filter(|it| *it != counts.dot).collect());
        let whole = Self { dot, aliases, time: counts.time, context: counts.context.clone() };
        let mut known: Vec<_> = self.dots().collect();
        known.sort_unstable();
        (known.len() < whole.dots().count()).then_some(whole)
    }

    fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        self.aliases.iter().copied().chain([self.dot])
    }

    /// As bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        // Plain data always serializes.
        rmp_serde::to_vec(self).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(bytes).ok()
    }
}

/// The entries that have several names, by position.
#[derive(Debug, Default)]
pub(super) struct Naming {
    named: RwLock<HashMap<Position, Arc<Named>>>,
    any: AtomicBool,
}

impl Naming {
    /// The entry at `position` has these names from now on.
    pub(super) fn set(&self, position: Position, named: Named) {
        let mut all = self.named.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(position, Arc::new(named));
        self.any.store(true, Ordering::Release);
    }

    /// All names that `entry` has by now.
    pub(super) fn dots(&self, entry: &Entry) -> Vec<Dot> {
        let mut dots: Vec<_> = entry.aliases.iter().copied().chain([entry.dot]).collect();
        if self.any.load(Ordering::Acquire) {
            let all = self.named.read().unwrap_or_else(PoisonError::into_inner);
            dots.extend(all.get(&entry.position).iter().flat_map(|named| named.dots()));
        }
        dots
    }

    /// `entry` with the names that it has by now.
    pub(super) fn apply(&self, entry: Entry) -> Entry {
        if !self.any.load(Ordering::Acquire) {
            return entry;
        }
        let all = self.named.read().unwrap_or_else(PoisonError::into_inner);
        match all.get(&entry.position) {
            None => entry,
            Some(named) => {
                let Named { dot, aliases, time, context } = Named::clone(named);
                Entry { time, dot, aliases, causes: context.into(), ..entry }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_crdt::Incarnation;

    fn dot(n: u64) -> Dot {
        Dot { incarnation: Incarnation(n), position: Position::new(1).unwrap() }
    }

    fn named(n: u64) -> Named {
        Named { dot: dot(n), aliases: Vec::new(), time: n * 10, context: Context::default() }
    }

    #[test]
    fn the_smaller_dot_counts_whoever_meets_whom() {
        let (one, two, three) = (named(3), named(2), named(5));
        let met = one.with(&two).unwrap();
        assert_eq!((met.dot, met.time, &met.aliases[..]), (dot(2), 20, &[dot(3)][..]));
        assert_eq!(two.with(&one), Some(met.clone()));
        assert_eq!(met.with(&two), None, "that was known");
        let all = met.with(&three).unwrap();
        assert_eq!(three.with(&met), Some(all.clone()));
        assert_eq!(all.aliases, [dot(3), dot(5)]);
        assert_eq!(Named::decode(&all.encode()), Some(all));
    }
}
