//! Who is connected, who follows which log, and how a commit reaches them.
//!
//! The committer calls [`Hub::publish`] with what became durable, in order of position. Each
//! session has an [`Inbox`]; the hub puts an entry into it once, however many of its addresses
//! match. Nothing here knows a socket or the store.

mod inbox;

pub use inbox::{Delivery, Inbox, Parcel, Resumed};

use crate::log::{Entry, LogName};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_protocol::{ClientId, NodeId};

/// Followers and live targets, by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    followers: HashMap<LogName, Vec<Arc<Inbox>>>,
    /// The one connection that a client has.
    clients: HashMap<ClientId, Arc<Inbox>>,
    nodes: HashMap<NodeId, Arc<Inbox>>,
}

impl Hub {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client has connected as `node`. Its earlier connection, if any, is told to end, and
    /// returned.
    pub fn enter(&self, node: &NodeId, inbox: &Arc<Inbox>) -> Option<Arc<Inbox>> {
        let mut table = self.table();
        table.nodes.insert(node.clone(), inbox.clone());
        let earlier = table.clients.insert(node.client(), inbox.clone())?;
        earlier.dismiss();
        Some(earlier)
    }

    /// The connection is gone: nothing reaches its inbox any more. A later connection of the same
    /// client stays.
    pub fn leave<'a>(
        &self,
        node: &NodeId,
        inbox: &Arc<Inbox>,
        followed: impl Iterator<Item = &'a LogName>,
    ) {
        let mut table = self.table();
        remove_if_same(&mut table.nodes, node, inbox);
        remove_if_same(&mut table.clients, &node.client(), inbox);
        followed.for_each(|log| table.unfollow(log, inbox));
    }

    /// From now on the entries of `log` reach `inbox`.
    pub fn follow(&self, log: LogName, inbox: &Arc<Inbox>) {
        let mut table = self.table();
        let followers = table.followers.entry(log).or_default();
        if !followers.iter().any(|known| Arc::ptr_eq(known, inbox)) {
            followers.push(inbox.clone());
        }
    }

    /// The entries of `log` no longer reach `inbox`.
    pub fn unfollow(&self, log: &LogName, inbox: &Arc<Inbox>) {
        self.table().unfollow(log, inbox);
    }

    /// Hands out what one commit placed, in order of position.
    pub fn publish(&self, entries: &[Arc<Entry>]) {
        let table = self.table();
        let mut touched: Vec<Arc<Inbox>> = Vec::new();
        for entry in entries {
            table.deliver(entry, &mut touched);
        }
        drop(table);
        for inbox in touched {
            inbox.wake();
        }
    }

    /// How many clients are connected.
    pub fn clients(&self) -> usize {
        self.table().clients.len()
    }
}

impl Table {
    fn deliver(&self, entry: &Arc<Entry>, touched: &mut Vec<Arc<Inbox>>) {
        let addresses = &entry.addresses;
        let mut put = |inbox: &Arc<Inbox>, live: bool| {
            if inbox.put(entry, live) {
                touched.push(inbox.clone());
            }
        };
        let nodes = addresses.nodes.iter().filter_map(|node| self.nodes.get(node));
        let clients = addresses.clients.iter().filter_map(|client| self.clients.get(client));
        nodes.chain(clients).for_each(|inbox| put(inbox, true));
        for log in addresses.logs() {
            for inbox in self.followers.get(&log).into_iter().flatten() {
                put(inbox, !entry.kept);
            }
        }
    }

    fn unfollow(&mut self, log: &LogName, inbox: &Arc<Inbox>) {
        let Some(followers) = self.followers.get_mut(log) else { return };
        followers.retain(|known| !Arc::ptr_eq(known, inbox));
        if followers.is_empty() {
            self.followers.remove(log);
        }
    }
}

fn remove_if_same<K: Eq + Hash>(map: &mut HashMap<K, Arc<Inbox>>, key: &K, inbox: &Arc<Inbox>) {
    if map.get(key).is_some_and(|known| Arc::ptr_eq(known, inbox)) {
        map.remove(key);
    }
}
