//! Who is connected, who follows which log, and how a commit reaches them.
//!
//! The committer calls [`Hub::publish`] with what became durable, in order of position, and [`Hub::wake`]
//! once it has answered. Each
//! session has an [`Inbox`]; the hub puts an entry into it once, however many of its addresses
//! match. Nothing here knows a socket or the store.

mod inbox;

pub use inbox::{Delivery, Inbox, Parcel, Resumed};

#[cfg(test)]
mod tests;

use crate::log::{Entry, LogName};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_protocol::{ClientId, NodeId, UserId};

/// Followers and live targets, by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    followers: HashMap<LogName, Vec<Arc<Inbox>>>,
    /// The one connection that a client has.
    clients: HashMap<ClientId, Arc<Inbox>>,
    nodes: HashMap<NodeId, Arc<Inbox>>,
    /// The clients of each user, in the order in which they came; those that were told to end are
    /// not among them.
    users: HashMap<UserId, VecDeque<ClientId>>,
    /// Entries that were published, counted.
    published: u64,
    /// Inboxes with something new that nobody was woken for yet.
    touched: Vec<Arc<Inbox>>,
}

impl Hub {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of `user` has connected as `node`. Its earlier connection, if any, is told to end,
    /// and returned. A user may have `most` clients; for one more the one that came first ends.
    pub fn enter(
        &self,
        (user, node): (&UserId, &NodeId),
        inbox: &Arc<Inbox>,
        most: usize,
    ) -> Option<Arc<Inbox>> {
        let mut table = self.table();
        table.nodes.insert(node.clone(), inbox.clone());
        let earlier = table.clients.insert(node.client(), inbox.clone());
        if let Some(earlier) = &earlier {
            earlier.dismiss();
        }
        table.add_client(user, node.client(), most);
        earlier
    }

    /// The connection is gone: nothing reaches its inbox any more. A later connection of the same
    /// client stays.
    pub fn leave<'a>(
        &self,
        (user, node): (&UserId, &NodeId),
        inbox: &Arc<Inbox>,
        followed: impl Iterator<Item = &'a LogName>,
    ) {
        let mut table = self.table();
        remove_if_same(&mut table.nodes, node, inbox);
        if remove_if_same(&mut table.clients, &node.client(), inbox) {
            table.remove_client(user, &node.client());
        }
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

    /// Hands out what one commit placed, in order of position. [`Hub::wake`] tells of it.
    pub fn publish(&self, entries: &[Arc<Entry>]) {
        let mut table = self.table();
        let mut touched = std::mem::take(&mut table.touched);
        for entry in entries {
            table.published += 1;
            table.deliver(entry, &mut touched);
        }
        table.touched = touched;
    }

    /// Wakes the sessions that have something new to look at.
    pub fn wake(&self) {
        let mut touched = std::mem::take(&mut self.table().touched);
        touched.drain(..).for_each(|inbox| inbox.wake());
    }

    /// Tells the sessions of `user` to end, and returns their inboxes.
    pub fn dismiss(&self, user: &UserId) -> Vec<Arc<Inbox>> {
        let table = self.table();
        let clients = table.users.get(user).into_iter().flatten();
        let inboxes: Vec<_> = clients.filter_map(|it| table.clients.get(it)).cloned().collect();
        for inbox in &inboxes {
            inbox.dismiss();
        }
        inboxes
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
            if inbox.put(entry, live, self.published) {
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

    /// Counts a client, unless it is counted: one that comes back keeps its place, but one that was
    /// told to end, and comes back before it has, is one more.
    fn add_client(&mut self, user: &UserId, client: ClientId, most: usize) {
        let clients = self.users.entry(user.clone()).or_default();
        if clients.contains(&client) {
            return;
        }
        clients.push_back(client);
        if clients.len() > most
            && let Some(first) = clients.pop_front()
            && let Some(inbox) = self.clients.get(&first)
        {
            inbox.dismiss();
        }
    }

    fn remove_client(&mut self, user: &UserId, client: &ClientId) {
        let Some(clients) = self.users.get_mut(user) else { return };
        clients.retain(|known| known != client);
        if clients.is_empty() {
            self.users.remove(user);
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

fn remove_if_same<K: Eq + Hash>(
    map: &mut HashMap<K, Arc<Inbox>>,
    key: &K,
    inbox: &Arc<Inbox>,
) -> bool {
    let same = map.get(key).is_some_and(|known| Arc::ptr_eq(known, inbox));
    same && map.remove(key).is_some()
}
