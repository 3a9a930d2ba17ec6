//! A map as it is at one position, to be loaded in parts.
//!
//! A load says how far it has come by the last entry that touched the items it was sent. So it goes on
//! from any later snapshot: an item that was touched since comes again, as it then is.

use super::Fold;
use super::standing::{Shown, Standing};
use crate::clock;
use crate::log::PageLimit;
use crate::rules::Filter;
use std::sync::Arc;
use tidelog_crdt::Position;

/// What an action costs beside its JSON, and an item beside its actions.
const OVERHEAD_BYTES: usize = 256;
/// Items that one part looks at: filters are compared value by value.
const LOOKED_AT_MAX: usize = 500;

/// What the actions of a map's channel add up to.
pub(crate) struct Snapshot {
    /// As far as this.
    pub(crate) through: Position,
    /// By the last entry that touched them.
    items: Vec<Standing>,
    pub(super) made_ms: u64,
    pub(super) bytes: usize,
}

/// What a load wants next.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Which items.
    pub filter: Filter,
    /// Only those that were touched above this.
    pub after: Position,
    /// The subscriber may show an item that was touched above this already, so it is told what
    /// became of it; none when it has nothing.
    pub shown_above: Option<Position>,
}

/// One part of a load.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Actions in rounds: each has at most one action of an item.
    pub rounds: Vec<Vec<Told>>,
    /// Items that were touched up to here are told of.
    pub after: Position,
    /// That was the last part.
    pub done: bool,
    /// As far as the snapshot goes.
    pub through: Position,
}

/// One action of a load.
#[derive(Debug)]
pub(crate) struct Told {
    /// The item that it tells all of, by its id.
    pub whole: Option<Box<str>>,
    /// The action.
    pub shown: Shown,
}

impl Wanted {
    /// The load has not come anywhere yet.
    pub(crate) fn begins(&self) -> bool {
        self.after == Position::ZERO
    }
}

impl Snapshot {
    /// A map that is folded as far as `through`.
    pub(crate) fn of(fold: Fold, through: Position) -> Arc<Self> {
        Self::of_items(fold.standing(), through)
    }

    /// These items, as they are at `through`, by the last entry that touched them.
    pub(crate) fn of_items(items: Vec<Standing>, through: Position) -> Arc<Self> {
        let bytes = items.iter().map(|item| {
            let told = item.told().map(|shown| shown.action.json().len() + OVERHEAD_BYTES);
            told.sum::<usize>() + OVERHEAD_BYTES
        });
        let bytes = bytes.sum();
        Arc::new(Self { through, items, made_ms: clock::now_ms(), bytes })
    }

    #[cfg(test)]
    pub(super) fn empty(made_ms: u64, bytes: usize) -> Arc<Self> {
        Arc::new(Self { through: Position::ZERO, items: Vec::new(), made_ms, bytes })
    }

    /// All items.
    pub(crate) fn items(&self) -> &[Standing] {
        &self.items
    }

    /// The items that were last touched above `position`, in that order.
    pub(crate) fn above(&self, position: Position) -> &[Standing] {
        let from = self.items.partition_point(|item| item.touched <= position);
        self.items.get(from..).unwrap_or_default()
    }

    /// The next part of a load, about as large as `limit` says.
    pub(crate) fn part(&self, wanted: &Wanted, limit: PageLimit) -> Loaded {
        let mut part =
            Loaded { rounds: Vec::new(), after: wanted.after, done: false, through: self.through };
        let (mut actions, mut bytes) = (0, 0);
        for (looked_at, item) in self.above(wanted.after).iter().enumerate() {
            if actions >= limit.entries || bytes >= limit.bytes || looked_at >= LOOKED_AT_MAX {
                return part;
            }
            let may_be_shown = wanted.shown_above.is_some_and(|above| item.touched > above);
            let told = item.wanted(&wanted.filter, may_be_shown);
            let whole = (told.len() == 1 && item.changed.len() == 1 && !item.gone)
                .then(|| item.item.clone());
            for (round, shown) in told.into_iter().enumerate() {
                (actions, bytes) = (actions + 1, bytes + shown.action.json().len());
                let told = Told { whole: whole.clone(), shown: shown.clone() };
                match part.rounds.get_mut(round) {
                    Some(round) => round.push(told),
                    None => part.rounds.push(vec![told]),
                }
            }
            part.after = item.touched;
        }
        part.done = true;
        part
    }
}
