//! What is known of nodes that left a moment ago.
//!
//! The stored record of a node cannot say what was sent and not acknowledged, because a crash may
//! have cut it off. As long as the process lives, memory can.

use crate::session::NodeState;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use tidelog_protocol::{NodeId, UserId};

/// Nodes remembered; those that left first are forgotten first.
const NODES_MAX: usize = 20_000;

/// States of nodes without a connection.
#[derive(Default)]
pub struct Recent(Mutex<Table>);

#[derive(Default)]
struct Table {
    states: HashMap<NodeId, (u64, NodeState)>,
    /// In the order in which they left, with the number of that leave.
    order: VecDeque<(u64, NodeId)>,
    leaves: u64,
}

impl Recent {
    /// Remembers `state` of a node that leaves.
    pub fn put(&self, node: NodeId, state: NodeState) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.leaves += 1;
        let leave = table.leaves;
        table.order.push_back((leave, node.clone()));
        table.states.insert(node, (leave, state));
        while table.order.len() > NODES_MAX {
            let Some((leave, node)) = table.order.pop_front() else { return };
            if table.states.get(&node).is_some_and(|(latest, _)| *latest == leave) {
                table.states.remove(&node);
            }
        }
    }

    /// Forgets the nodes of `user`.
    pub fn forget(&self, user: &UserId) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.states.retain(|node, _| node.user_str() != Some(user.as_str()));
    }

    /// Takes the state of a node that comes back.
    pub fn take(&self, node: &NodeId) -> Option<NodeState> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.states.remove(node).map(|(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_left_twice_is_not_forgotten_with_its_first_leave() {
        let recent = Recent::default();
        let node = NodeId::new("10:a:b").unwrap();
        recent.put(node.clone(), NodeState::default());
        for n in 0..NODES_MAX - 1 {
            recent.put(NodeId::new(&format!("11:a:{n}")).unwrap(), NodeState::default());
        }
        recent.put(node.clone(), NodeState::default());
        assert!(recent.take(&node).is_some());
        assert!(recent.take(&node).is_none());
    }
}
