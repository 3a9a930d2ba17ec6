//! What is wrong with an operation in itself, whatever the state.

use std::fmt;

/// An operation that means nothing: where in its JSON the fault is, and what should be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Malformed {
    /// The place of the fault, such as `path[2]`.
    pub place: String,
    /// What should be there.
    pub reason: String,
}

impl Malformed {
    pub(crate) fn new(place: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self { place: place.to_string(), reason: reason.to_string() }
    }

    /// The same fault, of something that is itself found at `outer`.
    #[must_use]
    pub(crate) fn inside(self, outer: impl fmt::Display) -> Self {
        Self { place: format!("{outer}.{}", self.place), reason: self.reason }
    }
}
