//! What an author had seen of one log: a prefix per server, and its own dots beyond it.
//!
//! Collapsing both into one number per server would claim actions that were never seen, so the
//! author's own dots stay separate as ranges with gaps (Almeida, Shoker, Baquero 2018, "Delta state
//! replicated data types", section 7.2: causal contexts with dot clouds).

use crate::{Dot, Incarnation, Position};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A set of positions as ascending, disjoint, inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<(Position, Position)>")]
pub struct Ranges(Vec<(Position, Position)>);

/// Ranges that do not ascend, overlap or touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ranges of positions ascend, with gaps between them")]
pub struct RangesError;

impl TryFrom<Vec<(Position, Position)>> for Ranges {
    type Error = RangesError;

    fn try_from(ranges: Vec<(Position, Position)>) -> Result<Self, RangesError> {
        Self::from_ranges(ranges).ok_or(RangesError)
    }
}

impl Ranges {
    /// The set of these ranges, if they ascend and neither overlap nor touch.
    pub fn from_ranges(ranges: Vec<(Position, Position)>) -> Option<Self> {
        let each = ranges.iter().all(|(first, last)| first <= last);
        let apart = ranges.is_sorted_by(|(_, last), (first, _)| last.get() + 1 < first.get());
        (each && apart).then_some(Self(ranges))
    }

    /// Adds one position; joins ranges that touch.
    pub fn insert(&mut self, position: Position) {
        self.insert_range(position, position);
    }

    /// Adds the positions from `first` to `last`; joins ranges that touch.
    pub fn insert_range(&mut self, first: Position, last: Position) {
        let from = self.0.partition_point(|(_, end)| end.plus(1) < first);
        let until = self.0.partition_point(|(start, _)| *start <= last.plus(1)).max(from);
        let touched = self.0.get(from..until).unwrap_or_default();
        let first = touched.first().map_or(first, |(start, _)| first.min(*start));
        let last = touched.last().map_or(last, |(_, end)| last.max(*end));
        self.0.splice(from..until, [(first, last)]);
    }

    /// Whether `position` is in the set.
    pub fn contains(&self, position: Position) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < position);
        self.0.get(at).is_some_and(|(first, _)| *first <= position)
    }

    /// Drops every position up to and including `prefix`.
    pub fn forget_through(&mut self, prefix: Position) {
        self.0.retain(|(_, last)| *last > prefix);
        if let Some((first, _)) = self.0.first_mut() {
            *first = (*first).max(prefix.plus(1));
        }
    }

    /// The last `count` ranges.
    #[must_use]
    pub fn newest(&self, count: usize) -> Self {
        let from = self.0.len().saturating_sub(count);
        Self(self.0.get(from..).unwrap_or_default().to_vec())
    }

    /// The ranges, ascending, both ends included.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = (Position, Position)> + DoubleEndedIterator + '_ {
        self.0.iter().copied()
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Position> for Ranges {
    fn from_iter<T: IntoIterator<Item = Position>>(positions: T) -> Self {
        let mut ranges = Self::default();
        positions.into_iter().for_each(|position| ranges.insert(position));
        ranges
    }
}

/// What was seen of one server's dots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seen {
    /// Every dot of this log up to here was seen.
    pub prefix: Position,
    /// The author's own dots above the prefix.
    pub own: Ranges,
}

impl Seen {
    /// Own dots that follow the prefix without a gap are part of it.
    fn join(&mut self) {
        let first = self.own.iter().next();
        if let Some((_, last)) = first.filter(|(first, _)| *first == self.prefix.plus(1)) {
            self.prefix = last;
            self.own.forget_through(last);
        }
    }
}

/// What the author of an action had seen of the log it went to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Context(BTreeMap<Incarnation, Seen>);

impl Context {
    /// A context that knows one server.
    pub fn of(incarnation: Incarnation, seen: Seen) -> Self {
        Self(BTreeMap::from([(incarnation, seen)]))
    }

    /// Whether the author had seen the action named `dot`.
    pub fn covers(&self, dot: Dot) -> bool {
        self.0
            .get(&dot.incarnation)
            .is_some_and(|seen| dot.position <= seen.prefix || seen.own.contains(dot.position))
    }

    /// Records what was seen of one more server.
    pub fn insert(&mut self, incarnation: Incarnation, seen: Seen) {
        self.0.insert(incarnation, seen);
    }

    /// The author has also seen these dots of one server, which are its own.
    pub fn add_own(&mut self, incarnation: Incarnation, own: &Ranges) {
        let seen = self.0.entry(incarnation).or_default();
        let prefix = seen.prefix;
        own.iter().filter(|(_, last)| *last > prefix).for_each(|(first, last)| {
            seen.own.insert_range(first.max(prefix.plus(1)), last);
        });
    }

    /// Adds one dot. Returns whether that completes a longer prefix.
    pub fn insert_dot(&mut self, dot: Dot) -> bool {
        let seen = self.0.entry(dot.incarnation).or_default();
        let before = seen.prefix;
        if dot.position > before {
            seen.own.insert(dot.position);
            seen.join();
        }
        seen.prefix > before
    }

    /// Adds every dot of one server up to `through`.
    pub fn insert_prefix(&mut self, incarnation: Incarnation, through: Position) {
        let seen = self.0.entry(incarnation).or_default();
        if through > seen.prefix {
            seen.prefix = through;
            seen.own.forget_through(through);
            seen.join();
        }
    }

    /// Adds all that `other` covers.
    pub fn union(&mut self, other: &Self) {
        for (incarnation, seen) in &other.0 {
            self.insert_prefix(*incarnation, seen.prefix);
            self.add_own(*incarnation, &seen.own);
            self.0.entry(*incarnation).or_default().join();
        }
    }

    /// Up to which position every dot of one server is covered.
    pub fn prefix(&self, incarnation: Incarnation) -> Position {
        self.0.get(&incarnation).map_or(Position::ZERO, |seen| seen.prefix)
    }

    /// Whether all that this covers lies in the prefixes of `other`.
    pub fn is_within_prefixes_of(&self, other: &Self) -> bool {
        self.0.iter().all(|(incarnation, seen)| {
            let newest = seen.own.iter().next_back().map_or(seen.prefix, |(_, last)| last);
            newest.max(seen.prefix) <= other.prefix(*incarnation)
        })
    }

    /// What was seen, by server.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Incarnation, &Seen)> + '_ {
        self.0.iter().map(|(incarnation, seen)| (*incarnation, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn position(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    proptest! {
        #[test]
        fn ranges_hold_exactly_what_was_inserted(
            numbers in proptest::collection::vec(1_u64..60, 0..60),
            stretch in (1_u64..60, 0_u64..10),
            prefix in 0_u64..60,
        ) {
            let mut ranges: Ranges = numbers.iter().map(|n| position(*n)).collect();
            let mut model: BTreeSet<u64> = numbers.into_iter().collect();
            ranges.insert_range(position(stretch.0), position(stretch.0 + stretch.1));
            model.extend(stretch.0..=stretch.0 + stretch.1);
            ranges.forget_through(position(prefix));
            model.retain(|n| *n > prefix);
            for n in 0..72 {
                prop_assert_eq!(ranges.contains(position(n)), model.contains(&n));
            }
            let ends: Vec<_> = ranges.iter().collect();
            prop_assert!(ends.windows(2).all(|w| w[0].1.plus(1) < w[1].0), "{:?}", ends);
        }
    }

    proptest! {
        #[test]
        fn a_union_covers_what_either_covers_and_is_written_one_way(
            dots in proptest::collection::vec((0_u64..2, 1_u64..30), 0..40),
            prefixes in proptest::collection::vec((0_u64..2, 0_u64..30), 0..4),
            cut in 0_usize..44,
        ) {
            let (mut whole, mut parts) = (Context::default(), [Context::default(), Context::default()]);
            let dot = |(server, n)| Dot { incarnation: Incarnation(server), position: position(n) };
            for (at, known) in dots.iter().enumerate() {
                whole.insert_dot(dot(*known));
                parts[usize::from(at < cut)].insert_dot(dot(*known));
            }
            for (at, (server, n)) in prefixes.iter().enumerate() {
                whole.insert_prefix(Incarnation(*server), position(*n));
                parts[at % 2].insert_prefix(Incarnation(*server), position(*n));
            }
            let [mut one, other] = parts;
            one.union(&other);
            for known in (0..2).flat_map(|server| (1..32).map(move |n| (server, n))) {
                prop_assert_eq!(one.covers(dot(known)), whole.covers(dot(known)), "{:?}", known);
            }
            prop_assert_eq!(one, whole);
        }
    }

    #[test]
    fn ranges_are_taken_only_when_they_ascend_with_gaps() {
        let from = |ranges: &[(u64, u64)]| {
            Ranges::from_ranges(ranges.iter().map(|(a, b)| (position(*a), position(*b))).collect())
        };
        assert_eq!(from(&[(1, 2), (4, 4)]).map(|ranges| ranges.len()), Some(2));
        for bad in [&[(2, 1)][..], &[(4, 5), (1, 2)], &[(1, 3), (3, 4)], &[(1, 2), (3, 4)]] {
            assert_eq!(from(bad), None, "{bad:?}");
            let stored = serde_json::to_string(bad).unwrap();
            assert!(serde_json::from_str::<Ranges>(&stored).is_err(), "{stored}");
        }
        let good: Ranges = serde_json::from_str("[[1,2],[4,4]]").unwrap();
        assert_eq!(serde_json::to_string(&good).unwrap(), "[[1,2],[4,4]]");
        let beyond = format!("[[1,{}]]", Position::MAX.get() + 1);
        assert!(serde_json::from_str::<Ranges>(&beyond).is_err(), "{beyond}");
    }

    #[test]
    fn a_context_covers_its_prefix_and_the_authors_own_dots_but_not_the_gap() {
        let here = Incarnation(1);
        let own = [12, 13].into_iter().map(position).collect();
        let context = Context::of(here, Seen { prefix: position(10), own });
        let covers = |n| context.covers(Dot { incarnation: here, position: position(n) });
        assert!(covers(10) && covers(12) && covers(13));
        assert!(!covers(11) && !covers(14));
        assert!(!context.covers(Dot { incarnation: Incarnation(2), position: position(1) }));
    }
}
