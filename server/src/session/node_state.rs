//! What is remembered of a node between its connections.
//!
//! Nothing here is needed for soundness: what is lost costs repeats, never a gap.

use crate::epochs::Epochs;
use crate::log::Channel;
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};
use tidelog_crdt::{Position, Ranges};

/// A node's subscriptions and how far it has acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// Everything visible up to here was acknowledged.
    pub acked: Position,
    /// The node's own positions above `acked`.
    pub own: Ranges,
    /// What it was subscribed to.
    pub subscriptions: Vec<Remembered>,
    /// The greatest position named here, and the epoch that gave it: the record is of no use to
    /// another history, such as that of a feed that was restored without its index.
    pub of: (Position, u64),
    /// Everything visible up to here was sent on its last connection. Not stored: after a crash
    /// nobody can say what was sent.
    #[serde(skip)]
    pub sent: Position,
}

/// One subscription of a node that may come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// The channel.
    #[serde(with = "channel_text")]
    pub channel: Channel,
    /// The filter, as JSON text; empty for none.
    pub filter: String,
    /// Delivered up to here.
    pub through: Position,
    /// Whether that delivery was acknowledged.
    pub acked: bool,
    /// The channel and filter of the subscription that brought this one along.
    pub implied_by: Option<(String, String)>,
    /// Subscriptions that were acknowledged before their load was over, and not answered: the node
    /// does not send them again, so they are loaded and answered when it comes back.
    pub pending: Vec<String>,
    /// Of a list: items that are gone. Not stored.
    #[serde(skip)]
    pub gone: Gone,
    /// It was live when the last connection ended, so `sent` counts for it. Not stored.
    #[serde(skip)]
    pub live: bool,
}

/// Items that are gone, the last ones of many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gone {
    items: HashSet<String>,
    order: VecDeque<String>,
}

/// Items of one list that are known to be gone.
const GONE_MAX: usize = 1_000;

impl Gone {
    /// An item goes.
    pub fn insert(&mut self, item: String) {
        if self.items.insert(item.clone()) {
            self.order.push_back(item);
        }
        if self.order.len() > GONE_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.items.remove(&oldest);
        }
    }

    /// An item comes to be again.
    pub fn remove(&mut self, item: &str) {
        if self.items.remove(item) {
            self.order.retain(|known| known != item);
        }
    }

    /// Whether the item is gone.
    pub fn contains(&self, item: &str) -> bool {
        self.items.contains(item)
    }

    /// Whether no item is known to be gone.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl NodeState {
    /// Reads what [`NodeState::to_bytes`] wrote; anything else is as good as nothing remembered.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        rmp_serde::from_slice(bytes).unwrap_or_default()
    }

    /// The record, if it is of the history that `epochs` tell of, up to `head`.
    #[must_use]
    pub fn in_history(self, epochs: &Epochs, head: Position) -> Self {
        let (position, epoch) = self.of;
        let same = position <= head && epochs.of(position).is_none_or(|known| known.id == epoch);
        if same { self } else { Self::default() }
    }

    /// The same, said to be of the history that `epochs` tell of.
    #[must_use]
    pub fn of_history(mut self, epochs: &Epochs) -> Self {
        let through = self.subscriptions.iter().map(|known| known.through);
        let position = through.fold(self.acked, Position::max);
        self.of = (position, epochs.of(position).map_or(0, |epoch| epoch.id));
        self
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain data always serializes.
        rmp_serde::to_vec(self).unwrap_or_default()
    }

    /// A new connection resumes at `claimed`: what was live on the last one was received up to
    /// there, acknowledged or not, as far as that connection had sent.
    pub fn resume_at(&mut self, claimed: Option<Position>) {
        let received = claimed.unwrap_or_default().min(self.sent);
        for subscription in &mut self.subscriptions {
            if std::mem::take(&mut subscription.live) {
                subscription.through = subscription.through.max(received);
            }
        }
        self.sent = Position::ZERO;
    }

    /// Takes out what is remembered of a subscription.
    pub fn take(&mut self, channel: &Channel, filter: &str) -> Option<Remembered> {
        let at = self
            .subscriptions
            .iter()
            .position(|known| known.channel == *channel && known.filter == filter)?;
        Some(self.subscriptions.swap_remove(at))
    }
}

mod channel_text {

    use crate::log::Channel;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(channel: &Channel, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(channel.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Channel, D::Error> {
        Channel::new(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
