//! The total order that Logux clients use: `isFirstOlder` of `@logux/core` up to protocol 5.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// When and by whom an action was created, totally ordered.
///
/// The order is that of the clients: the clock-fixed `time` first, then the node as a string, then
/// the sequence, then the milliseconds in the action id. Two different actions never have equal
/// stamps, because (created, node, sequence) is the action id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// `meta.time`: creation time in ms since the epoch, with the client's clock error taken out.
    pub time: u64,
    /// The node that created the action.
    pub node: Arc<str>,
    /// The sequence number in the action id.
    pub sequence: u64,
    /// The milliseconds in the action id: the client's own clock.
    pub created: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(time: u64, node: &str, sequence: u64, created: u64) -> Stamp {
        Stamp { time, node: node.into(), sequence, created }
    }

    #[test]
    fn time_decides_before_node_before_sequence_before_created() {
        let ascending = [
            stamp(1, "b", 9, 9),
            stamp(2, "a", 9, 9),
            stamp(2, "b", 0, 9),
            stamp(2, "b", 1, 1),
            stamp(2, "b", 1, 2),
        ];
        assert!(ascending.is_sorted());
    }
}
