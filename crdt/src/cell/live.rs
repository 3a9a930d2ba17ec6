//! What of a value is there, each part under the dot of the entry that put it there.

use super::Sight;
use crate::{Context, Dot, Stamp};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// Parts by dot, ascending. Most values have one.
///
/// A part goes for good when it is *retired*: an operation took its place whose author had seen it.
/// What is not here and whose dot was folded is therefore gone, and needs no tombstone (Almeida,
/// Shoker, Baquero 2018: the state is a set of dots and a causal context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live<T>(SmallVec<[(Dot, T); 1]>);

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

/// What two states that are merged have folded.
#[derive(Clone, Copy)]
pub(crate) struct Both<'a> {
    pub(crate) mine: &'a Context,
    pub(crate) theirs: &'a Context,
}

impl<T: Ord + Clone> Live<T> {
    /// Adds a part.
    pub(crate) fn insert(&mut self, dot: Dot, part: T) {
        let pair = (dot, part);
        if let Err(at) = self.0.binary_search(&pair) {
            self.0.insert(at, pair);
        }
    }

    /// Adds a part behind all others; false if it does not belong there.
    pub(crate) fn push(&mut self, pair: (Dot, T)) -> bool {
        let ascends = self.0.last().is_none_or(|last| *last < pair);
        if ascends {
            self.0.push(pair);
        }
        ascends
    }

    /// Takes parts away.
    pub(crate) fn retire(&mut self, is_seen: impl Fn(Dot, &T) -> bool) {
        self.0.retain(|(dot, part)| !is_seen(*dot, part));
    }

    /// A part that one side lacks although it folded the part's entry was retired there.
    pub(crate) fn merge(&mut self, other: &Self, both: Both<'_>) {
        let lacks = |side: &Self, pair: &(Dot, T)| side.0.binary_search(pair).is_err();
        self.0.retain(|pair| !lacks(other, pair) || !both.theirs.covers(pair.0));
        for pair in &other.0 {
            if !both.mine.covers(pair.0) {
                self.insert(pair.0, pair.1.clone());
            }
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Dot, &T)> {
        self.0.iter().map(|(dot, part)| (*dot, part))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Something written at a place in the total order; of two the greater wins.
///
/// Stamps of different entries differ. An entry that writes twice to one place writes the greater
/// value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ranked<T> {
    pub(crate) stamp: Stamp,
    pub(crate) value: T,
}

/// Writes of which the last wins.
///
/// A write that the author of a later one had seen is retired; what is left besides the winner are
/// writes that nobody had seen. They show again when the winner's place is removed by someone who
/// had seen only the winner.
pub(crate) type Writes<T> = Live<Ranked<T>>;

impl<T: Ord + Clone> Writes<T> {
    /// The write that wins.
    pub(crate) fn last(&self) -> Option<(Dot, &Ranked<T>)> {
        self.iter().max_by(|(_, one), (_, other)| one.cmp(other))
    }

    /// Retires the writes that a later one has seen.
    pub(crate) fn outrank(&mut self, later: &Sight<'_>) {
        self.retire(|dot, write| write.stamp < *later.stamp && later.saw(dot));
    }
}

/// Merges values by key; keys under which nothing is left go.
pub(crate) fn merge_by_key<K: Ord + Clone, T: Ord + Clone>(
    mine: &mut BTreeMap<K, Live<T>>,
    theirs: &BTreeMap<K, Live<T>>,
    both: Both<'_>,
) {
    let none = Live::default();
    mine.retain(|key, parts| {
        parts.merge(theirs.get(key).unwrap_or(&none), both);
        !parts.is_empty()
    });
    for (key, parts) in theirs {
        if !mine.contains_key(key) {
            let mut kept = Live::default();
            kept.merge(parts, both);
            if !kept.is_empty() {
                mine.insert(key.clone(), kept);
            }
        }
    }
}

/// Takes away what was seen; keys under which nothing is left go.
pub(crate) fn erase_by_key<K: Ord, T: Ord + Clone>(
    values: &mut BTreeMap<K, Live<T>>,
    sight: &Sight<'_>,
) {
    values.retain(|_, parts| {
        parts.retire(|dot, _| sight.saw(dot));
        !parts.is_empty()
    });
}
