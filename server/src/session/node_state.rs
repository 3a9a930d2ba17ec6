//! What is remembered of a node between its connections.
//!
//! Nothing here is needed for soundness: what is lost costs repeats, never a gap.

use super::hiding::ToldBefore;
use crate::epochs::Epochs;
use crate::log::Channel;
use serde::{Deserialize, Serialize};
use tidelog_crdt::{Position, Ranges};

/// Items that all lists of a session bring along; further ones the page asks for itself.
pub(super) const BROUGHT_MAX: usize = 10_000;
/// A stored record: a row of the store takes little more.
const RECORD_BYTES_MAX: usize = 192 << 10;

/// A node's subscriptions and how far it has acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// Everything visible up to here was acknowledged.
    pub acked: Position,
    /// The node's own positions, the newest of them.
    pub own: Ranges,
    /// What it was subscribed to.
    pub subscriptions: Vec<Remembered>,
    /// The greatest position named here, and the epoch that gave it: the record is of no use to
    /// another history, such as that of a feed that was restored without its index.
    pub of: (Position, u64),
    /// It had everything visible up to here of the logs that it followed: loads are beside the order of
    /// positions, so this may be more than `acked`.
    #[serde(default)]
    pub had: Position,
    /// The latest time of the states that it was sent of documents in its user's log.
    #[serde(default)]
    pub own_state_ms: u64,
    /// Documents in its user's log that changed since are to be sent anew: it was cut before they were, or before it
    /// had them.
    #[serde(default)]
    pub own_late: Option<Position>,
    /// What it was told of those above this is not known.
    #[serde(default)]
    pub own_untold: Option<Position>,
    /// Everything visible up to here was sent on its last connection. Not stored: after a crash
    /// nobody can say what was sent.
    #[serde(skip)]
    pub sent: Position,
    /// This is as its last connection has ended. Not stored: a crash may have come after what is.
    #[serde(skip)]
    pub is_exact: bool,
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
    /// The items that it brought along: clients do not name them, so they come back with it.
    pub brought: Vec<Brought>,
    /// Subscriptions that were acknowledged before their load was over, and not answered: the node
    /// does not send them again, so they are loaded and answered when it comes back.
    pub pending: Vec<String>,
    /// The latest time of the states that it was sent of documents: a store that goes by time would not
    /// show what was made before.
    #[serde(default)]
    pub state_ms: u64,
    /// Documents that changed since are to be sent anew: the page was cut before they were, or before it had them.
    #[serde(default)]
    pub late: Option<Position>,
    /// What it was told of them above this is not known.
    #[serde(default)]
    pub untold: Option<Position>,
    /// It was live when the last connection ended, so `sent` counts for it. Not stored.
    #[serde(skip)]
    pub live: bool,
}

/// An item that a list brought along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Brought {
    /// Its id within the map.
    pub item: Box<str>,
    /// Delivered up to here.
    pub through: Position,
    /// As of the list. Not stored.
    #[serde(skip)]
    pub live: bool,
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
        let through = self.subscriptions.iter().flat_map(|known| {
            let brought = known.brought.iter().map(|brought| brought.through);
            brought.chain([known.through])
        });
        let position = through.fold(self.acked.max(self.had), Position::max);
        self.of = (position, epochs.of(position).map_or(0, |epoch| epoch.id));
        self
    }

    /// The stored form: of very many subscriptions, as many as a record holds.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain data always serializes.
        let bytes = rmp_serde::to_vec(self).unwrap_or_default();
        if bytes.len() <= RECORD_BYTES_MAX {
            return bytes;
        }
        let mut state = self.clone();
        state.keep_first(usize::MAX, RECORD_BYTES_MAX);
        rmp_serde::to_vec(&state).unwrap_or_default()
    }

    /// Forgets what is beyond `most` subscriptions, the last ones first, and lists that with those
    /// before them brought more items along than a session may have. Which costs a full load each.
    pub fn shorten(&mut self, most: usize) {
        self.keep_first(most, usize::MAX);
    }

    fn keep_first(&mut self, most: usize, bytes_max: usize) {
        let (mut brought, mut bytes) = (0, 0);
        self.subscriptions.retain_mut(|known| {
            if brought + known.brought.len() > BROUGHT_MAX {
                known.start_again();
            }
            let fits = bytes + known.cost() <= bytes_max && !known.is_forgotten();
            if fits {
                brought += known.brought.len();
                bytes += known.cost();
            }
            fits
        });
        self.subscriptions.truncate(most);
    }

    /// What it takes in memory, about.
    pub fn cost(&self) -> usize {
        let subscriptions = self.subscriptions.iter().map(Remembered::cost);
        size_of::<Self>()
            + self.own.len() * size_of::<(Position, Position)>()
            + subscriptions.sum::<usize>()
    }

    /// A new connection resumes at `claimed`: what was live on the last one was received up to
    /// there, acknowledged or not, as far as that connection had sent.
    pub fn resume_at(&mut self, claimed: Option<Position>) {
        let received = claimed.unwrap_or_default().min(self.sent);
        for subscription in &mut self.subscriptions {
            if std::mem::take(&mut subscription.live) {
                subscription.through = subscription.through.max(received);
            }
            for brought in &mut subscription.brought {
                if std::mem::take(&mut brought.live) {
                    brought.through = brought.through.max(received);
                }
            }
        }
        self.sent = Position::ZERO;
    }

    /// The process was killed after this was stored, so the page may have been told more of documents; of those in its
    /// user's log, too, if that has any.
    pub fn may_have_forgotten(&mut self, has_own: bool) {
        let known =
            |untold: Option<Position>, through| Some(untold.map_or(through, |it| it.min(through)));
        if has_own {
            self.own_untold = known(self.own_untold, self.acked);
        }
        for it in &mut self.subscriptions {
            let through = if it.acked { it.through } else { Position::ZERO };
            it.untold = known(it.untold, through);
        }
    }

    /// What it was told of the documents in its user's log.
    pub(super) fn own_told(&self) -> ToldBefore {
        ToldBefore { state_ms: self.own_state_ms, late: self.own_late, untold: self.own_untold }
    }

    pub(super) fn set_own_told(&mut self, told: ToldBefore) {
        (self.own_state_ms, self.own_late, self.own_untold) =
            (told.state_ms, told.late, told.untold);
    }

    /// What it was told of the documents of a channel.
    pub(super) fn told(&self, channel: &Channel, filter: &str) -> Option<ToldBefore> {
        let mut known = self.subscriptions.iter();
        let known = known.find(|known| known.channel == *channel && known.filter == filter);
        known.map(Remembered::told)
    }

    /// Takes out what is remembered of a subscription.
    pub fn take(&mut self, channel: &Channel, filter: &str) -> Option<Remembered> {
        let at = self
            .subscriptions
            .iter()
            .position(|known| known.channel == *channel && known.filter == filter)?;
        Some(self.subscriptions.remove(at))
    }
}

impl Remembered {
    /// A subscription to `channel` of which nothing was delivered.
    #[cfg(test)]
    pub fn named(channel: &str) -> Self {
        Self {
            channel: Channel::new(channel).unwrap(),
            filter: String::new(),
            through: Position::ZERO,
            acked: false,
            brought: Vec::new(),
            pending: Vec::new(),
            state_ms: 0,
            late: None,
            untold: None,
            live: false,
        }
    }

    /// What is known of it is forgotten, but not who waits for it.
    fn start_again(&mut self) {
        (self.through, self.acked, self.live) = (Position::ZERO, false, false);
        self.brought = Vec::new();
    }

    /// Whether it is as good as nothing remembered.
    fn is_forgotten(&self) -> bool {
        self.through == Position::ZERO
            && !self.acked
            && self.pending.is_empty()
            && self.told() == ToldBefore::default()
    }

    fn told(&self) -> ToldBefore {
        ToldBefore { state_ms: self.state_ms, late: self.late, untold: self.untold }
    }

    fn cost(&self) -> usize {
        let brought = self.brought.iter().map(|it| size_of::<Brought>() + it.item.len());
        let pending = self.pending.iter().map(|id| size_of::<String>() + id.len());
        let names = self.channel.as_str().len() + self.filter.len();
        size_of::<Self>() + names + brought.chain(pending).sum::<usize>()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: usize, pending: &[&str]) -> Remembered {
        let brought = |n: usize| Brought { item: n.to_string().into(), ..Brought::default() };
        Remembered {
            through: Position::ZERO.plus(9),
            acked: true,
            brought: (0..items).map(brought).collect(),
            pending: pending.iter().map(|id| (*id).to_owned()).collect(),
            ..Remembered::named("tasks")
        }
    }

    #[test]
    fn of_too_much_the_last_is_forgotten_but_not_who_waits_for_an_answer() {
        let subscriptions = vec![
            list(0, &[]),
            list(BROUGHT_MAX, &[]),
            list(1, &[]),
            list(1, &["1 10:a:b 0"]),
            list(0, &[]),
            list(0, &[]),
        ];
        let mut state = NodeState { subscriptions, ..NodeState::default() };
        state.shorten(4);
        let left = state.subscriptions.iter().map(|it| (it.brought.len(), it.acked));
        let left: Vec<_> = left.collect();
        assert_eq!(left, [(0, true), (BROUGHT_MAX, true), (0, false), (0, true)]);
        assert_eq!(state.subscriptions[2].pending, ["1 10:a:b 0"]);
    }

    #[test]
    fn a_stored_record_holds_what_fits_and_reads_again() {
        let mut large = list(BROUGHT_MAX, &[]);
        large.brought.iter_mut().for_each(|it| it.item = it.item.repeat(10).into());
        let subscriptions = vec![list(3, &[]), large, list(2, &[])];
        let mut state = NodeState { subscriptions, ..NodeState::default() };
        let bytes = state.to_bytes();
        assert!(bytes.len() <= RECORD_BYTES_MAX, "{}", bytes.len());
        state.subscriptions.remove(1);
        assert!(NodeState::from_bytes(&bytes) == state);
    }
    /// Records of before what is told of states, and of loads, was remembered.
    #[test]
    fn a_record_of_an_earlier_version_reads() {
        type Subscription = (String, String, Position, bool, Vec<()>, Vec<String>);
        let at = |position| Position::ZERO.plus(position);
        let known: Subscription =
            ("tasks".into(), String::new(), at(9), true, Vec::new(), Vec::new());
        let own: Ranges = [at(3)].into_iter().collect();
        let record = (at(7), own.clone(), vec![known], (at(9), 5_u64));
        let read = NodeState::from_bytes(&rmp_serde::to_vec(&record).unwrap());
        let subscriptions = vec![list(0, &[])];
        let expected =
            NodeState { acked: at(7), own, subscriptions, of: (at(9), 5), ..NodeState::default() };
        assert_eq!(read, expected);
    }
}
