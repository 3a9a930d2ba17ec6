//! Which positions the actions of a client have: what a client itself has done, it has seen.
//!
//! A connection knows its own; a client that comes by requests is remembered here between them, so that
//! its log is read for them once and not at every request. Everything that is let in passes by, from
//! whichever door.

use super::Verdict;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_crdt::Ranges;
use tidelog_protocol::{ClientId, NodeId};

/// Ranges remembered per client: the newest.
pub const OWN_RANGES_MAX: usize = 64;
/// Nodes of a client that it is remembered to have read of; it reads again for others.
const NODES_MAX: usize = 8;
/// Clients remembered, about; the longest unused are forgotten, and read again when they come again.
const CLIENTS_MAX: usize = 10_000;

/// The own positions of clients that come by requests.
#[derive(Default)]
pub struct OwnPositions(Mutex<Table>);

/// Two generations: when the young one is full it becomes the old one.
#[derive(Default)]
struct Table {
    young: HashMap<ClientId, Own>,
    old: HashMap<ClientId, Own>,
}

#[derive(Default)]
struct Own {
    ranges: Ranges,
    /// What was there before in its user's log is among them.
    whole: bool,
    /// And what these nodes of it did elsewhere.
    nodes: Vec<NodeId>,
}

impl OwnPositions {
    /// The own positions of `client`, if they are known, those of `nodes` among them. If not, what is let in
    /// from now on is remembered until [`OwnPositions::learn`] adds what was there before.
    pub fn of(&self, client: &ClientId, nodes: &[NodeId]) -> Option<Ranges> {
        let mut table = self.table();
        let own = table.own(client);
        let known = own.whole && nodes.iter().all(|node| own.nodes.contains(node));
        known.then(|| own.ranges.clone())
    }

    /// Adds what the log has of `client` and `nodes`, read after [`OwnPositions::of`] was asked; all of it.
    pub fn learn(&self, client: &ClientId, nodes: Vec<NodeId>, read: &Ranges) -> Ranges {
        let mut table = self.table();
        let own = table.own(client);
        for (first, last) in read.iter() {
            own.ranges.insert_range(first, last);
        }
        own.whole = true;
        own.nodes.retain(|known| !nodes.contains(known));
        own.nodes.extend(nodes);
        let surplus = own.nodes.len().saturating_sub(NODES_MAX);
        own.nodes.drain(..surplus);
        own.ranges.clone()
    }

    /// Remembers where actions of `client` are, if it is one of those.
    pub(super) fn add(&self, client: &ClientId, verdicts: &[Verdict]) {
        let mut table = self.table();
        if !table.knows(client) {
            return;
        }
        let ranges = &mut table.own(client).ranges;
        for position in verdicts.iter().filter_map(|verdict| verdict.position) {
            ranges.insert(position);
        }
        if ranges.len() > OWN_RANGES_MAX {
            *ranges = ranges.newest(OWN_RANGES_MAX);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn knows(&self, client: &ClientId) -> bool {
        self.young.contains_key(client) || self.old.contains_key(client)
    }

    /// What is known of `client`, which is used now.
    fn own(&mut self, client: &ClientId) -> &mut Own {
        if !self.young.contains_key(client) {
            if self.young.len() >= CLIENTS_MAX / 2 {
                self.old = std::mem::take(&mut self.young);
            }
            let own = self.old.remove(client).unwrap_or_default();
            self.young.insert(client.clone(), own);
        }
        self.young.entry(client.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Judgement;
    use crate::session::AnswerId;
    use tidelog_crdt::{Incarnation, Position};

    fn client(name: &str) -> ClientId {
        ClientId::new(&format!("ann:{name}")).unwrap()
    }

    fn at(position: u64) -> Position {
        Position::new(position).unwrap()
    }

    fn verdict(position: u64) -> Verdict {
        Verdict {
            id: "1 ann:a 0".parse().unwrap(),
            outcome: Judgement::Processed,
            answer: AnswerId::unplaced(Incarnation(1), at(position), 1),
            repeated: false,
            position: Some(at(position)),
        }
    }

    #[test]
    fn what_is_let_in_while_the_log_is_read_is_among_the_own() {
        let own = OwnPositions::default();
        own.add(&client("a"), &[verdict(3)]);
        assert_eq!(own.of(&client("a"), &[]), None, "nobody has asked for this client before");
        own.add(&client("a"), &[verdict(7)]);
        assert_eq!(own.of(&client("a"), &[]), None, "what was there before is not known yet");
        let read = [at(3), at(4)].into_iter().collect();
        let all: Ranges = [at(3), at(4), at(7)].into_iter().collect();
        assert_eq!(own.learn(&client("a"), Vec::new(), &read), all);
        assert_eq!(own.of(&client("a"), &[]), Some(all));
        assert_eq!(own.of(&client("b"), &[]), None);
    }

    #[test]
    fn what_a_node_did_is_read_once_and_few_nodes_are_remembered() {
        let own = OwnPositions::default();
        let node = |n: usize| NodeId::new(&format!("ann:a:{n}")).unwrap();
        own.learn(&client("a"), vec![node(0)], &[at(3)].into_iter().collect());
        assert!(own.of(&client("a"), &[]).is_some() && own.of(&client("a"), &[node(0)]).is_some());
        assert_eq!(own.of(&client("a"), &[node(0), node(1)]), None);
        for n in 0..=NODES_MAX {
            own.learn(&client("a"), vec![node(n)], &Ranges::default());
        }
        assert_eq!(own.of(&client("a"), &[node(0)]), None);
        assert!(own.of(&client("a"), &[node(NODES_MAX)]).unwrap().contains(at(3)));
    }

    #[test]
    fn clients_and_their_ranges_are_bounded() {
        let own = OwnPositions::default();
        for n in 0..2 * CLIENTS_MAX {
            own.learn(&client(&n.to_string()), Vec::new(), &Ranges::default());
            let table = own.table();
            assert!(table.young.len() + table.old.len() <= CLIENTS_MAX);
        }
        let (first, last) = (client("0"), client(&(2 * CLIENTS_MAX - 1).to_string()));
        assert_eq!((own.of(&first, &[]), own.of(&last, &[])), (None, Some(Ranges::default())));
        for n in 0..1_000 {
            own.add(&last, &[verdict(2 * n + 1)]);
        }
        let ranges = own.of(&last, &[]).unwrap();
        assert_eq!(ranges.len(), OWN_RANGES_MAX);
        assert!(ranges.contains(at(1_999)) && !ranges.contains(at(1)));
    }
}
