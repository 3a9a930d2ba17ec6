//! Collecting the addresses that a rule's templates give: each once, each valid, not too many.

use super::Placement;
use crate::log::Channel;
use tidelog_protocol::{ClientId, NodeId, UserId};

/// The longest name of a channel.
pub(super) const CHANNEL_BYTES_MAX: usize = 256;

/// The channel of a name, if the name can be one.
pub(super) fn channel(name: &str) -> Option<Channel> {
    let fits = name.len() <= CHANNEL_BYTES_MAX && !name.chars().any(char::is_control);
    Channel::new(name).ok().filter(|_| fits)
}

/// A placement in the making. What cannot be an address spoils it: the action is undone rather
/// than delivered to half of where its rule sends it.
pub(super) struct Addresses {
    placement: Placement,
    left: usize,
    spoilt: bool,
}

impl Addresses {
    pub(super) fn new(addresses_max: usize) -> Self {
        Self { placement: Placement::default(), left: addresses_max, spoilt: false }
    }

    /// Its author's log, if that has one. It is no address that the rule gave.
    pub(super) fn own_log(&mut self, users: Vec<UserId>) {
        self.placement.users = users;
    }

    pub(super) fn has_channels(&self) -> bool {
        !self.placement.channels.is_empty()
    }

    /// A user's log. Anonymous users have none: an action addressed to them goes nowhere.
    pub(super) fn user(&mut self, user: &str, anonymous: &[UserId]) {
        if anonymous.iter().any(|known| known.as_str() == user) {
            return;
        }
        let known = self.placement.users.iter().any(|known| known.as_str() == user);
        if let Some(user) = self.admit(known, UserId::new(user).ok()) {
            self.placement.users.push(user);
        }
    }

    pub(super) fn channel(&mut self, channel: &str) {
        let known = self.placement.channels.iter().any(|known| known.as_str() == channel);
        if let Some(channel) = self.admit(known, self::channel(channel)) {
            self.placement.channels.push(channel);
        }
    }

    pub(super) fn client(&mut self, client: &str) {
        let known = self.placement.clients.iter().any(|known| known.as_str() == client);
        if let Some(client) = self.admit(known, ClientId::new(client).ok()) {
            self.placement.clients.push(client);
        }
    }

    pub(super) fn node(&mut self, node: &str) {
        let known = self.placement.nodes.iter().any(|known| known.as_str() == node);
        if let Some(node) = self.admit(known, NodeId::new(node).ok()) {
            self.placement.nodes.push(node);
        }
    }

    /// The placement; none when an address was invalid or there were too many.
    pub(super) fn finish(mut self, kept: bool) -> Option<Placement> {
        let logs = self.placement.users.len() + self.placement.channels.len();
        self.placement.kept = kept && logs > 0;
        (!self.spoilt).then_some(self.placement)
    }

    fn admit<T>(&mut self, known: bool, address: Option<T>) -> Option<T> {
        if known {
            return None;
        }
        let admitted = address.filter(|_| self.left > 0);
        match admitted {
            Some(_) => self.left -= 1,
            None => self.spoilt = true,
        }
        admitted
    }
}
