//! What is known of nodes that left a moment ago.
//!
//! The stored record of a node cannot say what was sent and not acknowledged, because a crash may
//! have cut it off. As long as the process lives, memory can.

use crate::aside::blocking;
use crate::clock;
use crate::log::{Failure, Log};
use crate::session::NodeState;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_protocol::{NodeId, UserId};

/// Nodes remembered; those that left first are forgotten first.
const NODES_MAX: usize = 20_000;
/// States of nodes without a connection.
pub struct Recent {
    table: Mutex<Table>,
    /// What they may take together; those that left first are forgotten first.
    bytes_max: usize,
}

#[derive(Default)]
struct Table {
    states: HashMap<NodeId, Left>,
    /// In the order in which they left, with the number of that leave.
    order: VecDeque<(u64, NodeId)>,
    leaves: u64,
    bytes: usize,
}

struct Left {
    leave: u64,
    state: NodeState,
    bytes: usize,
}

impl Recent {
    /// Takes `bytes_max` at most.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { table: Mutex::default(), bytes_max }
    }

    /// Remembers `state` of a node that leaves.
    pub fn put(&self, node: NodeId, state: NodeState) {
        let mut table = self.table();
        table.leaves += 1;
        let leave = table.leaves;
        let bytes = 2 * node.as_str().len() + state.cost();
        table.forget(&node);
        table.bytes += bytes;
        table.order.push_back((leave, node.clone()));
        table.states.insert(node, Left { leave, state, bytes });
        while table.order.len() > NODES_MAX || table.bytes > self.bytes_max {
            let Some((leave, node)) = table.order.pop_front() else { return };
            if table.states.get(&node).is_some_and(|latest| latest.leave == leave) {
                table.forget(&node);
            }
        }
    }

    /// Forgets the nodes of `user`.
    pub fn forget(&self, user: &UserId) {
        let mut table = self.table();
        let own = |node: &NodeId| node.user_str() == Some(user.as_str());
        let nodes: Vec<_> = table.states.keys().filter(|node| own(node)).cloned().collect();
        for node in nodes {
            table.forget(&node);
        }
        table.order.retain(|(_, node)| !own(node));
    }

    /// The state of a node that has left.
    pub fn get(&self, node: &NodeId) -> Option<NodeState> {
        self.table().states.get(node).map(|left| left.state.clone())
    }

    /// Takes the state of a node that comes back.
    pub fn take(&self, node: &NodeId) -> Option<NodeState> {
        self.table().forget(node)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget(&mut self, node: &NodeId) -> Option<NodeState> {
        let left = self.states.remove(node)?;
        self.bytes -= left.bytes;
        Some(left.state)
    }
}

/// How often it is looked for nodes that have not come for long.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// Forgets nodes on disk that have not come for as long as `patience`, for as long as the server runs.
pub(crate) async fn forget_the_absent(log: Log, patience: Duration) -> Infallible {
    loop {
        tokio::time::sleep(FORGET_EVERY.min(patience)).await;
        let (log, now) = (log.clone(), clock::now_ms());
        match blocking(move || forget_once(&log, patience, now)).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "nodes have not come for long"),
            Err(error) => tracing::warn!(%error, "cannot forget nodes; it is tried again"),
        }
    }
}

fn forget_once(log: &Log, patience: Duration, now: u64) -> Result<u64, Failure> {
    let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    log.forget_nodes(now.saturating_sub(patience_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Brought, Remembered};

    const BYTES_MAX: usize = 64 << 20;

    #[test]
    fn a_node_that_left_twice_is_not_forgotten_with_its_first_leave() {
        let recent = Recent::new(BYTES_MAX);
        let node = NodeId::new("10:a:b").unwrap();
        recent.put(node.clone(), NodeState::default());
        for n in 0..NODES_MAX - 1 {
            recent.put(NodeId::new(&format!("11:a:{n}")).unwrap(), NodeState::default());
        }
        recent.put(node.clone(), NodeState::default());
        assert!(recent.take(&node).is_some());
        assert!(recent.take(&node).is_none());
    }

    #[test]
    fn the_nodes_of_one_user_are_forgotten() {
        let recent = Recent::new(BYTES_MAX);
        let nodes = ["10:a:b", "10:c:d", "100:a:b"].map(|id| NodeId::new(id).unwrap());
        for node in &nodes {
            recent.put(node.clone(), NodeState::default());
        }
        recent.forget(&UserId::new("10").unwrap());
        assert_eq!(nodes.map(|node| recent.take(&node).is_some()), [false, false, true]);
        assert_eq!(recent.table().bytes, 0);
    }

    #[test]
    fn nodes_with_very_much_to_remember_push_out_those_that_left_before_them() {
        let recent = Recent::new(BYTES_MAX);
        let large = || {
            let brought = Brought { item: "x".repeat(1000).into(), ..Brought::default() };
            let list = Remembered { brought: vec![brought; 1000], ..Remembered::named("tasks") };
            NodeState { subscriptions: vec![list], ..NodeState::default() }
        };
        let node = |n: usize| NodeId::new(&format!("10:a:{n}")).unwrap();
        for n in 0..100 {
            recent.put(node(n), large());
        }
        assert!(recent.table().bytes <= BYTES_MAX);
        let left = (0..100).filter(|n| recent.take(&node(*n)).is_some());
        let left: Vec<_> = left.collect();
        assert!((40..70).contains(&left.len()), "about a megabyte each: {}", left.len());
        assert_eq!(left.last(), Some(&99));
        assert_eq!(recent.table().bytes, 0);
    }

    #[test]
    fn who_has_not_come_for_long_is_forgotten_on_disk_and_nobody_else() {
        use crate::log::{NodeRecord, Settings};
        const DAY: u64 = 86_400_000;
        let dir = tempfile::tempdir().unwrap();
        let node = |n: u64| NodeId::new(&format!("10:a:{n}")).unwrap();
        let save = |log: &Log, n, seen_ms| {
            log.save_node(node(n), NodeRecord { seen_ms, bytes: vec![7] });
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (log, _) = Log::open(Settings::new(dir.path()), 0).unwrap();
        (0..1_000).for_each(|n| save(&log, n, n * DAY));
        runtime.block_on(log.close()).unwrap();
        drop(log);
        let (log, _) = Log::open(Settings::new(dir.path()), 0).unwrap();
        // It comes back at this moment.
        save(&log, 3, 1_000 * DAY);
        let patience = Duration::from_millis(400 * DAY);
        assert_eq!(forget_once(&log, patience, 1_000 * DAY).unwrap(), 600);
        let there: Vec<_> = (0..1_000).filter(|n| log.node(&node(*n)).unwrap().is_some()).collect();
        assert_eq!(there, std::iter::once(3).chain(600..1_000).collect::<Vec<_>>());
        assert_eq!(forget_once(&log, patience, 1_000 * DAY).unwrap(), 0);
    }
}
