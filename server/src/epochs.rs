//! Which run of the process gave which positions.

#[cfg(test)]
mod fuzz;

use crate::numbers::{self, EpochId};
use std::sync::Arc;
use tidelog_crdt::Position;

/// One run of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The first position that it gives.
    pub first: Position,
    /// 64 random bits.
    pub id: EpochId,
    /// When it started, in ms since the epoch.
    pub started_ms: u64,
}

/// All runs, in order. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Epochs(Arc<[Epoch]>);

impl Epochs {
    /// The runs of a store, ascending by their first position.
    pub fn new(epochs: Vec<Epoch>) -> Self {
        Self(epochs.into())
    }

    /// The run that gave, or will give, `position`.
    pub fn of(&self, position: Position) -> Option<&Epoch> {
        let after = self.0.partition_point(|epoch| epoch.first <= position);
        self.0.get(after.checked_sub(1)?)
    }

    /// The wire number that says "up to `position`" to `user`.
    pub fn number(&self, user: &str, position: Position) -> u64 {
        self.of(position).map_or(0, |epoch| numbers::mint(user, position, epoch.id))
    }

    /// The position that `number` says to `user`, if it was minted here and is not above `head`.
    pub fn claim(&self, user: &str, number: u64, head: Position) -> Option<Position> {
        let position = numbers::claimed(number).filter(|position| *position <= head)?;
        let epoch = self.of(position)?;
        numbers::verify(user, number, epoch.id).then_some(position)
    }
}
