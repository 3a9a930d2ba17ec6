//! What a session is subscribed to.

use super::Remembered;
use super::hiding::RENEW_AFTER_MS;
use super::subscription::{Acknowledged, Key, Load, State, Subscription};
use crate::log::{Channel, Entry, LogName};
use crate::rules::{Rules, SyncMapOp};
use std::collections::{HashMap, VecDeque};
use tidelog_crdt::Position;

/// The subscriptions of one session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_channel: HashMap<Channel, HashMap<String, Subscription>>,
    count: usize,
    implied: usize,
    loads: u64,
    /// Some have left entries to others.
    owes: bool,
    /// Some have documents to send anew.
    late: bool,
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
        self.late |= subscription.hiding.late().is_some();
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

    /// An entry is shown: where it is older than what was sent of its documents, they are sent anew.
    pub(super) fn note_late(&mut self, entry: &Entry, rules: &Rules) {
        for channel in &entry.addresses.channels {
            let all = self.by_channel.get_mut(channel).into_iter().flat_map(HashMap::values_mut);
            for subscription in all {
                if subscription.is_live() && entry.position > subscription.through {
                    self.late |= subscription.hiding.note(entry, rules);
                } else if subscription.is_to_send_base_over(entry, rules) {
                    subscription.hiding.is_late(entry.position);
                    self.late = true;
                }
            }
        }
    }

    /// An entry is passed over that the page has made itself: documents under which it is are sent anew.
    pub(super) fn note_own(&mut self, entry: &Entry, rules: &Rules) {
        for channel in &entry.addresses.channels {
            let all = self.by_channel.get_mut(channel).into_iter().flat_map(HashMap::values_mut);
            for subscription in all.filter(|it| it.is_live() && entry.position > it.through) {
                self.late |= subscription.hiding.note_had(entry, rules);
            }
        }
    }

    /// The same of an entry of the load of `key` that the page has had.
    pub(super) fn note_had(&mut self, key: &Key, entry: &Entry, rules: &Rules) {
        if let Some(subscription) = self.get_mut(key) {
            let hidden = subscription.hiding.note_had(entry, rules);
            self.late |= hidden;
        }
    }

    /// As `note_late`, of an entry of the load of `key`.
    pub(super) fn note_late_of(&mut self, key: &Key, entry: &Entry, rules: &Rules) {
        if let Some(subscription) = self.get_mut(key) {
            let late = subscription.hiding.note(entry, rules);
            self.late |= late;
        }
    }

    /// When documents are to be sent anew next.
    pub(super) fn renew_at(&self) -> Option<u64> {
        let all = || self.by_channel.values().flat_map(HashMap::values);
        let late = || all().filter(|it| it.hiding.late().is_some() && it.is_live());
        if self.late { late().map(|it| it.loaded_ms + RENEW_AFTER_MS).min() } else { None }
    }

    /// Begins to send documents anew whose time has come; everything up to `cursor` was sent. Of which
    /// subscriptions.
    pub(super) fn renew(&mut self, cursor: Position, frames: Acknowledged, now: u64) -> Vec<Key> {
        let mut renewed = Vec::new();
        if self.renew_at().is_none_or(|at| at > now) {
            return renewed;
        }
        self.late = false;
        for subscription in self.by_channel.values_mut().flat_map(HashMap::values_mut) {
            let due = subscription.loaded_ms + RENEW_AFTER_MS <= now && subscription.is_live();
            if due && subscription.load_anew(cursor, frames, self.loads + 1) {
                self.loads += 1;
                self.loading.push_back(subscription.key.clone());
                renewed.push(subscription.key.clone());
            }
            self.late |= subscription.hiding.late().is_some();
        }
        self.load_owed();
        renewed
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
                && (entry.position > subscription.through
                    || !entry.kept
                    || subscription.owed.contains(entry.position))
                && subscription.filter_passes(entry)
        })
    }

    /// The subscription that a list had brought along to the item that `entry` deletes.
    pub(super) fn ended_by(&self, entry: &Entry) -> Option<Key> {
        let mut lists = self.of_entry(entry).filter(|list| list.is_list());
        let item = lists.find_map(|list| match list.operation(entry) {
            Some((SyncMapOp::Delete, item)) => Some(format!("{}/{item}", list.key.channel)),
            _ => None,
        });
        let key = Key { channel: Channel::new(&item?).ok()?, filter: String::new() };
        self.get(&key).is_some_and(|item| item.implied_by.is_some()).then_some(key)
    }

    /// What to remember of them, given what was acknowledged.
    pub(super) fn remembered(&self, acked: Position, frames: Acknowledged) -> Vec<Remembered> {
        let all = || self.by_channel.values().flat_map(HashMap::values);
        let (mut remembered, mut places) = (Vec::with_capacity(self.len()), HashMap::new());
        for subscription in all().filter(|it| it.implied_by.is_none()) {
            places.insert(&subscription.key, remembered.len());
            remembered.push(subscription.remembered(acked, frames));
        }
        for subscription in all() {
            // What a list brought along that has ended is not named again.
            let list = subscription.implied_by.as_ref().and_then(|by| places.get(by));
            if let Some(list) = list.and_then(|place| remembered.get_mut(*place)) {
                list.brought.extend(subscription.brought(acked, frames));
            }
        }
        remembered
    }

    /// Everything up to `cursor` was brought by whoever was to bring it.
    pub(super) fn brought_through(&mut self, cursor: Position) {
        if !std::mem::take(&mut self.owes) {
            return;
        }
        for subscription in self.by_channel.values_mut().flat_map(HashMap::values_mut) {
            subscription.owed.forget_through(cursor);
            self.owes |= !subscription.owed.is_empty();
        }
    }

    /// The entry at `position` is left to another subscription.
    pub(super) fn owe(&mut self, key: &Key, position: Position) {
        self.owes = true;
        if let Some(subscription) = self.get_mut(key) {
            subscription.owed.insert(position);
        }
    }

    /// One has ended: loads read again what it was to bring.
    pub(super) fn load_owed(&mut self) {
        if !self.owes {
            return;
        }
        self.loads += 1;
        for subscription in self.by_channel.values_mut().flat_map(HashMap::values_mut) {
            subscription.load_owed(self.loads);
        }
    }
}
