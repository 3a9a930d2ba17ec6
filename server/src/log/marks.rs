//! The greatest id of each node, for as many nodes as fit: what is above it was never seen, and no
//! disk is asked.

use super::prefix::{Key, Prefix};
use super::recent::Recent;

/// Greatest ids by node.
pub(super) type Marks = Recent<Prefix, Mark>;

/// What is known of the ids of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It has none.
    Unseen,
    /// It has this one and none above it.
    Greatest(Key),
}

impl Mark {
    /// Whether the node may have `id`.
    pub(super) fn covers(self, id: Key) -> bool {
        matches!(self, Self::Greatest(greatest) if id <= greatest)
    }
}
