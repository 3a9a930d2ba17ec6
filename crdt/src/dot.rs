//! Names that servers give: position, incarnation, dot.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a server placed an action: one strictly increasing number per server, from 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Position(u64);

/// A number is greater than every position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is above {max}, the greatest position", max = Position::MAX)]
pub struct PositionError(u64);

impl Position {
    /// Before every position: "I have nothing".
    pub const ZERO: Self = Self(0);
    /// The greatest position: with 12 bits of tag it still fits a JavaScript number.
    pub const MAX: Self = Self((1 << 41) - 1);

    /// The position `number`, if it is at most [`Position::MAX`].
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// As a plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `steps` later; stops at [`Position::MAX`].
    #[must_use]
    pub fn plus(self, steps: u64) -> Self {
        Self(self.0.saturating_add(steps).min(Self::MAX.0))
    }
}

impl TryFrom<u64> for Position {
    type Error = PositionError;

    fn try_from(number: u64) -> Result<Self, PositionError> {
        Self::new(number).ok_or(PositionError(number))
    }
}

impl From<Position> for u64 {
    fn from(position: Position) -> Self {
        position.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One life of a store: 64 random bits, new whenever a store is created, restored or seeded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incarnation({self})")
    }
}

/// The name that the accepting server gives an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// The life of the store that accepted the action.
    pub incarnation: Incarnation,
    /// Where that server placed it.
    pub position: Position,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.incarnation, self.position)
    }
}
