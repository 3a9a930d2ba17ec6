//! What a session is subscribed to, and how far each subscription has come.

use super::answers::Sent;
use super::{Gone, Remembered};
use crate::log::{Channel, Entry, LogName};
use crate::rules::{Access, Filter, SyncMapOp};
use crate::sync_map;
use std::collections::{HashMap, VecDeque};
use tidelog_crdt::Position;
use tidelog_protocol::ActionId;

/// The name of a subscription within its node: its channel and its filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The channel.
    pub channel: Channel,
    /// The filter as canonical JSON text; empty for none.
    pub filter: String,
}

/// One subscription of a running session.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Its name.
    pub key: Key,
    /// Which fields the entries must have.
    pub filter: Filter,
    /// What the rules allow.
    pub access: Access,
    /// Where it stands.
    pub state: State,
    /// Where it began on this connection: what is above was, or will be, sent.
    pub from: Position,
    /// It went on where an earlier connection of the node had come.
    pub resumed: bool,
    /// Entries up to here need not be sent: they were loaded, or came before.
    pub through: Position,
    /// The count of sent frames at which everything up to `through` was sent; the subscription is
    /// acknowledged when as many were acknowledged. None while loading.
    pub sent_at: Option<u64>,
    /// The subscription that brought this one along.
    pub implied_by: Option<Key>,
    /// Of a list: items that are gone. A page would show one again, with one field, if it heard of
    /// a change in it.
    pub gone: Gone,
}

/// Whether a subscription's load is over.
#[derive(Debug)]
pub(super) enum State {
    /// The channel's past is being sent.
    Loading(Load),
    /// Entries are sent as they come.
    Live,
}

/// A load under way.
#[derive(Debug)]
pub(super) struct Load {
    /// How the past is read.
    pub kind: LoadKind,
    /// The node resumes: what it authored, or what reached it by another subscription on this
    /// connection, is left out.
    pub resumes: bool,
    /// Read and not yet sent, frame by frame.
    pub queue: VecDeque<Vec<Sent>>,
    /// Everything was read.
    pub read: bool,
    /// Tells this load from an earlier one of the same name.
    pub serial: u64,
    /// It reads when this many of the client's actions are judged: a client that changes an item
    /// and then asks for it is shown its change.
    pub after: u64,
    /// Who waits for the end of it.
    pub waiting: Vec<Waiting>,
}

impl Load {
    /// A load that has read nothing yet.
    pub(super) fn new(kind: LoadKind, resumes: bool, after: u64, waiting: Option<Waiting>) -> Self {
        let waiting = waiting.into_iter().collect();
        Self { kind, resumes, queue: VecDeque::new(), read: false, serial: 0, after, waiting }
    }
}

/// How the past of a channel is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadKind {
    /// Entry by entry, above `through`.
    Entries,
    /// What the entries of a SyncMap add up to; with what is gone, if the page may still show it.
    Fold {
        /// Also name what is gone.
        tombstones: bool,
    },
    /// Nothing of it.
    Nothing,
}

/// A `logux/subscribe` that is answered when its load is over.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The id of the action.
    pub id: ActionId,
    /// The frame it came in; none when that was on an earlier connection.
    pub frame: Option<u64>,
}

/// How many frames were acknowledged, counted from the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    /// Of those that the session sent.
    pub of_ours: u64,
    /// Of those that the client sent.
    pub of_theirs: u64,
}

/// The subscriptions of one session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_channel: HashMap<Channel, HashMap<String, Subscription>>,
    count: usize,
    implied: usize,
    loads: u64,
    /// Those whose load is not over, in the order in which they came; some may be gone.
    loading: VecDeque<Key>,
}

impl Subscriptions {
    /// How many the client asked for.
    pub(super) fn len(&self) -> usize {
        self.count - self.implied
    }

    /// How many lists have brought along.
    pub(super) fn implied(&self) -> usize {
        self.implied
    }

    /// Whether the load with this serial number is under way for `key`: a page that was read for
    /// an earlier one is of no use to it.
    pub(super) fn is_loading(&mut self, key: &Key, serial: u64) -> bool {
        self.load_mut(key).is_some_and(|load| load.serial == serial)
    }

    /// The subscription called `key`.
    pub(super) fn get(&self, key: &Key) -> Option<&Subscription> {
        self.by_channel.get(&key.channel)?.get(&key.filter)
    }

    /// The load of the subscription called `key`, while it lasts.
    pub(super) fn load_mut(&mut self, key: &Key) -> Option<&mut Load> {
        match &mut self.get_mut(key)?.state {
            State::Loading(load) => Some(load),
            State::Live => None,
        }
    }

    /// The subscription called `key`.
    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Subscription> {
        self.by_channel.get_mut(&key.channel)?.get_mut(&key.filter)
    }

    /// Whether there is a subscription called `key`.
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.get(key).is_some()
    }

    /// Adds one. Returns whether it is the first of its channel.
    pub(super) fn insert(&mut self, mut subscription: Subscription) -> bool {
        let key = subscription.key.clone();
        self.loads += 1;
        if let State::Loading(load) = &mut subscription.state {
            load.serial = self.loads;
        }
        self.implied += usize::from(subscription.implied_by.is_some());
        if !subscription.is_live() {
            self.loading.push_back(key.clone());
        }
        let all = self.by_channel.entry(key.channel).or_default();
        let first = all.is_empty();
        match all.insert(key.filter, subscription) {
            Some(earlier) => self.implied -= usize::from(earlier.implied_by.is_some()),
            None => self.count += 1,
        }
        first
    }

    /// Takes one out. Returns it, and whether it was the last of its channel.
    pub(super) fn remove(&mut self, key: &Key) -> Option<(Subscription, bool)> {
        let all = self.by_channel.get_mut(&key.channel)?;
        let removed = all.remove(&key.filter)?;
        self.count -= 1;
        self.implied -= usize::from(removed.implied_by.is_some());
        let last = all.is_empty();
        if last {
            self.by_channel.remove(&key.channel);
        }
        Some((removed, last))
    }

    fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.by_channel.values().flat_map(HashMap::values)
    }

    /// The channels of which at least one subscription is live.
    pub(super) fn live_logs(&self) -> impl Iterator<Item = LogName> + '_ {
        let live =
            self.by_channel.iter().filter(|(_, all)| all.values().any(Subscription::is_live));
        live.map(|(channel, _)| LogName::Channel(channel.clone()))
    }

    /// The load whose turn it is.
    pub(super) fn next_load(&mut self) -> Option<(Key, &Load, &Subscription)> {
        while let Some(key) = self.loading.front().cloned() {
            if self.load_mut(&key).is_some() {
                let subscription = self.get(&key)?;
                let State::Loading(load) = &subscription.state else { return None };
                return Some((key, load, subscription));
            }
            self.loading.pop_front();
        }
        None
    }

    /// The least position that all subscriptions of `channel` have been sent: what the answer to
    /// one of them may claim, because clients keep one answer per channel.
    pub(super) fn sent_through(&self, channel: &Channel, cursor: Position) -> Option<Position> {
        let through = |subscription: &Subscription| match subscription.state {
            State::Live => subscription.through.max(cursor),
            State::Loading(_) => Position::ZERO,
        };
        self.by_channel.get(channel)?.values().map(through).min()
    }

    /// The loads of `finished` were sent, with the frame counted `sent` as their last.
    pub(super) fn all_sent(&mut self, finished: &[Key], sent: u64) {
        for subscription in self.by_channel.values_mut().flat_map(HashMap::values_mut) {
            let by = subscription.implied_by.as_ref();
            let loading_list = by.is_some_and(|by| !finished.contains(by));
            if subscription.is_live() && !(subscription.sent_at.is_none() && loading_list) {
                subscription.sent_at.get_or_insert(sent);
            }
        }
    }

    /// The subscriptions to the channels of `entry`.
    pub(super) fn of_entry<'a>(
        &'a self,
        entry: &'a Entry,
    ) -> impl Iterator<Item = &'a Subscription> {
        let all =
            entry.addresses.channels.iter().filter_map(|channel| self.by_channel.get(channel));
        all.flat_map(HashMap::values)
    }

    /// The live subscriptions that want `entry`, which no log but their channel's brings.
    pub(super) fn wanting<'a>(
        &'a self,
        entry: &'a Entry,
    ) -> impl Iterator<Item = &'a Subscription> {
        self.of_entry(entry).filter(|subscription| {
            subscription.is_live()
                && (entry.position > subscription.through || !entry.kept)
                && subscription.filter_passes(entry)
        })
    }

    /// Whether `entry` changes an item that a list knows to be gone.
    pub(super) fn is_gone(&self, entry: &Entry) -> bool {
        let mut lists = self.of_entry(entry).filter(|list| !list.gone.is_empty());
        lists.any(|list| {
            list.operation(entry).is_some_and(|(operation, item)| {
                operation == SyncMapOp::Change && list.gone.contains(&item)
            })
        })
    }

    /// Lists take note of an item that goes, or comes to be again. An item that goes takes along
    /// the subscription that its list had brought; its name is returned.
    pub(super) fn note(&mut self, entry: &Entry) -> Option<Key> {
        let mut ended = None;
        for channel in &entry.addresses.channels {
            let lists = self.by_channel.get_mut(channel).into_iter().flat_map(HashMap::values_mut);
            for list in lists.filter(|list| list.is_list()) {
                match list.operation(entry) {
                    Some((SyncMapOp::Delete, item)) => {
                        let name = format!("{}/{item}", list.key.channel);
                        ended = Channel::new(&name).ok();
                        list.gone.insert(item);
                    }
                    Some((SyncMapOp::Create, item)) => list.gone.remove(&item),
                    Some((SyncMapOp::Change, _)) | None => {}
                }
            }
        }
        let key = Key { channel: ended?, filter: String::new() };
        self.get(&key).is_some_and(|item| item.implied_by.is_some()).then_some(key)
    }

    /// What to remember of them, given what was acknowledged.
    pub(super) fn remembered(&self, acked: Position, frames: Acknowledged) -> Vec<Remembered> {
        self.iter().map(|subscription| subscription.remembered(acked, frames)).collect()
    }
}

impl Subscription {
    /// A subscription whose load begins.
    pub(super) fn new(key: &Key, filter: Filter, access: Access, load: Load) -> Self {
        Self {
            key: key.clone(),
            filter,
            access,
            state: State::Loading(load),
            from: Position::ZERO,
            resumed: false,
            through: Position::ZERO,
            sent_at: None,
            implied_by: None,
            gone: Gone::default(),
        }
    }

    /// Whether its load is over.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    fn remembered(&self, acked: Position, frames: Acknowledged) -> Remembered {
        let loaded = self.sent_at.is_some_and(|sent| sent <= frames.of_ours);
        let by = self.implied_by.as_ref();
        // What was resumed and not acknowledged resumes from where it did.
        let resumed = !loaded && self.resumed;
        Remembered {
            channel: self.key.channel.clone(),
            filter: self.key.filter.clone(),
            through: match (loaded, resumed) {
                (true, _) => self.through.max(acked),
                (false, true) => self.from,
                (false, false) if self.is_live() => self.through,
                // The load was cut: it starts again.
                (false, false) => Position::ZERO,
            },
            acked: loaded || resumed,
            implied_by: by.map(|by| (by.channel.as_str().to_owned(), by.filter.clone())),
            pending: self.pending(frames.of_theirs),
            gone: self.gone.clone(),
            live: loaded || (!resumed && self.is_live()),
        }
    }

    /// Who waits for the load and came in a frame that was acknowledged.
    fn pending(&self, acknowledged: u64) -> Vec<String> {
        let State::Loading(load) = &self.state else { return Vec::new() };
        let early = |waiting: &&Waiting| waiting.frame.is_none_or(|frame| frame < acknowledged);
        load.waiting.iter().filter(early).map(|waiting| waiting.id.to_string()).collect()
    }

    /// The name of the map, when this is the subscription of a list, whose items clients subscribe
    /// to one by one.
    pub(super) fn list_name(&self) -> Option<String> {
        let map = self.access.sync_map.as_ref().filter(|map| map.item.is_none())?;
        Some(map.name.to_string())
    }

    fn is_list(&self) -> bool {
        self.access.sync_map.as_ref().is_some_and(|map| map.item.is_none())
    }

    /// What `entry` does to which item of the map that this is a channel of.
    fn operation(&self, entry: &Entry) -> Option<(SyncMapOp, String)> {
        let operation = SyncMapOp::of(entry.action.kind(), self.map_name()?)?;
        Some((operation, entry.action.body::<sync_map::Body<'_>>().ok()?.id))
    }

    fn map_name(&self) -> Option<&str> {
        self.access.sync_map.as_ref().map(|map| &*map.name)
    }

    /// Whether the filter lets `entry` pass.
    pub(super) fn filter_passes(&self, entry: &Entry) -> bool {
        self.filter.passes(&entry.action, self.map_name())
    }

    /// `entry` as this subscription shows it.
    pub(super) fn render(&self, entry: &Entry) -> Sent {
        sync_map::shown(entry, self.map_name())
    }
}
