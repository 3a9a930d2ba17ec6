//! Which life of the store gave which positions.
//!
//! A store that was restored goes on counting where its backup ended, in a new life: the entries
//! before keep the dots of the life that accepted them. So what somebody has seen up to a position
//! is a prefix of each life that gave any of them.

use super::origins::Origins;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_crdt::{Context, Document, Dot, Incarnation, Position, Ranges, Seen};

/// A life, and the first position that it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// Where it begins.
    pub(crate) first: Position,
    /// Its name.
    pub(crate) incarnation: Incarnation,
}

/// All lives of a store, the present one last, and what is here of the dots of others. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Incarnations {
    lives: Arc<[Life]>,
    pub(super) origins: Origins,
}

impl Incarnations {
    /// A store in its first life.
    pub fn one(incarnation: Incarnation) -> Self {
        Self::new(Vec::new(), incarnation, Origins::default())
    }

    /// These lives, ascending; `now` is the last of them, and the only one if none is named.
    pub(super) fn new(mut lives: Vec<Life>, now: Incarnation, origins: Origins) -> Self {
        if lives.is_empty() {
            lives.push(Life { first: Position::ZERO.plus(1), incarnation: now });
        }
        Self { lives: lives.into(), origins }
    }

    /// The last dot of each incarnation that is here, if the last position is `head`.
    pub(crate) fn held(&self, head: Position) -> BTreeMap<Incarnation, Position> {
        let mut last: BTreeMap<_, _> = self
            .each()
            .filter(|(_, first, _)| *first <= head)
            .map(|(incarnation, _, last)| (incarnation, last.min(head)))
            .collect();
        for Dot { incarnation, position } in self.origins.at(head) {
            let known = last.entry(incarnation).or_default();
            *known = position.max(*known);
        }
        last
    }

    /// Up to where of this feed somebody is who was at `through` when the store was in that life; none if
    /// it never was in it, and the start then.
    pub(crate) fn resume(&self, incarnation: Incarnation, through: Position) -> Option<Position> {
        let (_, _, last) = self.each().find(|(life, ..)| *life == incarnation)?;
        Some(through.min(last))
    }

    /// Whether others of its incarnation may be missing here that are before the entry named `dot`.
    pub(crate) fn is_loose(&self, dot: Dot) -> bool {
        self.origins.is_loose(dot)
    }

    /// Whether this store was restored, or begun with a backup.
    pub(crate) fn are_several(&self) -> bool {
        self.lives.len() > 1
    }

    /// Whether this store was in that life, or is.
    pub(crate) fn was_in(&self, incarnation: Incarnation) -> bool {
        self.lives.iter().any(|life| life.incarnation == incarnation)
    }

    /// The lives with their first and last positions.
    fn each(&self) -> impl Iterator<Item = (Incarnation, Position, Position)> + '_ {
        let ends = self.lives.iter().skip(1).map(|next| before(next.first)).chain([Position::MAX]);
        self.lives.iter().zip(ends).map(|(life, last)| (life.incarnation, life.first, last))
    }

    /// What somebody had seen, who had seen this of the positions here.
    pub fn context(&self, seen: Seen) -> Context {
        let through = seen.prefix;
        let mut context = self.own_context(seen);
        self.origins.extend(&mut context, through);
        context
    }

    fn own_context(&self, seen: Seen) -> Context {
        if let [only] = &*self.lives {
            return Context::of(only.incarnation, seen);
        }
        let mut context = Context::default();
        for (incarnation, first, last) in self.each() {
            let prefix = if seen.prefix >= first { seen.prefix.min(last) } else { Position::ZERO };
            let own = within(&seen.own, first, last);
            if prefix > Position::ZERO || !own.is_empty() {
                context.insert(incarnation, Seen { prefix, own });
            }
        }
        context
    }

    /// Says to a document that the log was folded up to `through`.
    pub fn settle(&self, document: &mut Document, through: Position) {
        for (incarnation, first, last) in self.each().filter(|(_, first, _)| *first <= through) {
            debug_assert!(first <= last, "a life without positions is not kept");
            document.settle(incarnation, through.min(last));
        }
        self.origins.settle(document, through);
    }
}

/// The ranges as far as they lie between two positions.
fn within(ranges: &Ranges, first: Position, last: Position) -> Ranges {
    let mut within = Ranges::default();
    for (from, to) in ranges.iter().filter(|(from, to)| *to >= first && *from <= last) {
        within.insert_range(from.max(first), to.min(last));
    }
    within
}

fn before(position: Position) -> Position {
    Position::new(position.get().saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    fn life(first: u64, name: u64) -> Life {
        Life { first: at(first), incarnation: Incarnation(name) }
    }

    #[test]
    fn what_was_seen_up_to_a_position_is_a_prefix_of_each_life() {
        let lives = vec![life(1, 7), life(11, 8), life(21, 9)];
        let lives = Incarnations::new(lives, Incarnation(9), Origins::default());
        let name = |position| match position {
            1..=10 => Incarnation(7),
            11..=20 => Incarnation(8),
            _ => Incarnation(9),
        };
        for prefix in 0..30 {
            let mut own = Ranges::default();
            own.insert_range(at(prefix + 2), at(prefix + 9));
            let context = lives.context(Seen { prefix: at(prefix), own });
            for seen in 1..50 {
                let dot = Dot { incarnation: name(seen), position: at(seen) };
                let expected = seen <= prefix || (prefix + 2..=prefix + 9).contains(&seen);
                assert_eq!(context.covers(dot), expected, "{seen} by {prefix}");
                let other = Dot { incarnation: Incarnation(1), position: at(seen) };
                assert!(!context.covers(other), "nothing of another store");
            }
        }
    }

    #[test]
    fn a_life_says_nothing_of_what_another_gave_under_the_same_position() {
        let lives =
            Incarnations::new(vec![life(1, 7), life(11, 8)], Incarnation(8), Origins::default());
        let context = lives.context(Seen { prefix: at(15), own: Ranges::default() });
        // The server that the backup is of has gone on.
        assert!(!context.covers(Dot { incarnation: Incarnation(7), position: at(12) }));
        assert!(context.covers(Dot { incarnation: Incarnation(8), position: at(12) }));
        assert_eq!(context.prefix(Incarnation(7)), at(10));
    }

    #[test]
    fn a_store_in_its_first_life_has_one_prefix() {
        let seen = Seen { prefix: at(4), own: [at(9)].into_iter().collect() };
        let lives = Incarnations::one(Incarnation(7));
        assert_eq!(lives.context(seen.clone()), Context::of(Incarnation(7), seen));
    }
}
