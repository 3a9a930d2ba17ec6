//! What is here of the dots of others, by the position up to which it is.
//!
//! Entries of other servers come in the order in which those gave their dots (for what of them is
//! in scope). So of each incarnation one number says what is here, and a step for each commit that
//! brought any says what was here at a position: what somebody had seen up to there, and what a fold of
//! a log up to there has.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tidelog_crdt::{Context, Document, Dot, Incarnation, Position, Seen};

/// Up to this position here, everything up to this dot of another's is here.
pub(super) type Step = (Position, Position);

/// Steps of each incarnation that is not one of this store's own, or was one that lost them. Cheap to
/// clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Arc<RwLock<BTreeMap<Incarnation, Vec<Step>>>>);

impl Origins {
    /// What was stored.
    pub(super) fn of(steps: impl Iterator<Item = (Incarnation, Step)>) -> Self {
        let origins = Self::default();
        steps.for_each(|(incarnation, (at, dot))| {
            origins.add(at, Dot { incarnation, position: dot });
        });
        origins
    }

    /// With the commit that ends at `at`, everything up to `dot` of that incarnation is here.
    pub(super) fn add(&self, at: Position, dot: Dot) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let steps = all.entry(dot.incarnation).or_default();
        if steps.last().is_none_or(|(_, last)| *last < dot.position) {
            steps.push((at, dot.position));
        }
    }

    /// Whether that would say anything new.
    pub(super) fn has(&self, dot: Dot) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let last = all.get(&dot.incarnation).and_then(|steps| steps.last());
        last.is_some_and(|(_, last)| *last >= dot.position)
    }

    /// The last dot of each incarnation that was here at `at`.
    pub(super) fn at(&self, at: Position) -> Vec<Dot> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let dots = all.iter().filter_map(|(incarnation, steps)| {
            let after = steps.partition_point(|(position, _)| *position <= at);
            let (_, position) = steps.get(after.checked_sub(1)?)?;
            Some(Dot { incarnation: *incarnation, position: *position })
        });
        dots.collect()
    }

    /// Who had seen everything up to `at` has seen these dots, too.
    pub(super) fn extend(&self, context: &mut Context, at: Position) {
        for Dot { incarnation, position } in self.at(at) {
            let known = context.iter().find(|(it, _)| *it == incarnation);
            let mut seen: Seen = known.map(|(_, seen)| seen.clone()).unwrap_or_default();
            if position > seen.prefix {
                seen.prefix = position;
                seen.own.forget_through(position);
                context.insert(incarnation, seen);
            }
        }
    }

    /// Says to a document that the log was folded up to `through`.
    pub(super) fn settle(&self, document: &mut Document, through: Position) {
        for Dot { incarnation, position } in self.at(through) {
            document.settle(incarnation, position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    fn dot(incarnation: u64, position: u64) -> Dot {
        Dot { incarnation: Incarnation(incarnation), position: at(position) }
    }

    #[test]
    fn what_was_here_at_a_position_is_what_its_commits_brought() {
        let origins = Origins::default();
        origins.add(at(10), dot(7, 100));
        origins.add(at(12), dot(8, 5));
        origins.add(at(20), dot(7, 150));
        origins.add(at(30), dot(7, 140));
        assert_eq!(origins.at(at(9)), []);
        assert_eq!(origins.at(at(10)), [dot(7, 100)]);
        assert_eq!(origins.at(at(19)), [dot(7, 100), dot(8, 5)]);
        assert_eq!(origins.at(at(99)), [dot(7, 150), dot(8, 5)], "what comes again is nothing new");
        assert!(origins.has(dot(7, 150)) && !origins.has(dot(7, 151)) && !origins.has(dot(9, 1)));
        let mut context = Context::default();
        origins.extend(&mut context, at(20));
        assert!(context.covers(dot(7, 150)) && context.covers(dot(8, 5)));
        assert!(!context.covers(dot(7, 151)) && !context.covers(dot(8, 6)));
    }
}
