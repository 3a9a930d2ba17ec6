//! What is here of the dots of others, by the position up to which it is.
//!
//! Entries of other servers come in the order in which those gave their dots (for what of them is
//! in scope). So of each incarnation one number says what is here, and a step for each commit that
//! brought any says what was here at a position: what somebody had seen up to there, and what a fold of
//! a log up to there has.
//!
//! What came out of order is *loose*: a server that was restored is given back what it lost by whoever has it, and
//! none of those may have all. Of that each dot is known by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tidelog_crdt::{Context, Document, Dot, Incarnation, Position, Ranges, Seen};

/// Up to this position here, everything up to this dot of another's is here.
pub(super) type Step = (Position, Position);
/// Of this incarnation, up to this position here, these dots are here.
pub(super) type Loose = (Incarnation, Position, Ranges);

/// So many ranges of loose dots are named in a context; who has seen others is not known to.
const RANGES_MAX: usize = 64;

/// Steps of each incarnation that is not one of this store's own, or was one that lost them. Cheap to
/// clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Arc<RwLock<BTreeMap<Incarnation, Vec<Step>>>>, Arc<RwLock<LooseDots>>);

#[derive(Debug, Default)]
struct LooseDots {
    all: BTreeMap<Incarnation, Ranges>,
    /// What came with which commit, ascending.
    steps: Vec<Loose>,
}

impl Origins {
    /// What was stored.
    pub(super) fn of(
        steps: impl Iterator<Item = (Incarnation, Step)>,
        mut loose: Vec<Loose>,
    ) -> Self {
        let origins = Self::default();
        loose.sort_by_key(|(_, at, _)| *at);
        for (incarnation, at, dots) in loose {
            origins.add_loose(at, incarnation, &dots);
        }
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

    /// With the commit that ends at `at`, these dots of that incarnation are here, and maybe not what was
    /// before them.
    pub(super) fn add_loose(&self, at: Position, incarnation: Incarnation, dots: &Ranges) {
        let mut loose = self.1.write().unwrap_or_else(PoisonError::into_inner);
        let all = loose.all.entry(incarnation).or_default();
        dots.iter().for_each(|(first, last)| all.insert_range(first, last));
        loose.steps.push((incarnation, at, dots.clone()));
    }

    /// Whether the entry named `dot` came without what was before it.
    pub(super) fn is_loose(&self, dot: Dot) -> bool {
        let loose = self.1.read().unwrap_or_else(PoisonError::into_inner);
        loose.all.get(&dot.incarnation).is_some_and(|dots| dots.contains(dot.position))
    }

    /// Who had seen everything up to `at` has seen these dots, too.
    fn extend_by_loose(&self, context: &mut Context, at: Position) {
        let loose = self.1.read().unwrap_or_else(PoisonError::into_inner);
        let Some((_, last, _)) = loose.steps.last() else { return };
        if *last <= at {
            for (incarnation, dots) in &loose.all {
                context.add_own(*incarnation, &dots.newest(RANGES_MAX));
            }
            return;
        }
        let mut seen = BTreeMap::<_, Ranges>::new();
        for (incarnation, _, dots) in loose.steps.iter().take_while(|(_, step, _)| *step <= at) {
            let seen = seen.entry(*incarnation).or_default();
            dots.iter().for_each(|(first, last)| seen.insert_range(first, last));
        }
        for (incarnation, dots) in seen {
            context.add_own(incarnation, &dots.newest(RANGES_MAX));
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
        self.extend_by_loose(context, at);
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
