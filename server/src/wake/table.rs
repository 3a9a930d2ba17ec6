//! The devices that wait for one push service: what each has missed, and when it is to be told.
//!
//! Pure: time comes in. A device is in it while something waits for it, and a while after it was told,
//! so that it is not told again too soon, and so that it is seen whether it came; what it was told last is known
//! for longer. How many wait is bounded; who adds one more is told that there is no room, and reads on from the
//! log later.

use super::device::DeviceId;
use super::had::Had;
use super::payload::{Message, Push};
use super::told::LastTold;
use crate::log::LogName;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tidelog_crdt::Position;
use tidelog_protocol::ClientId;

/// Bursts are told at once, and a device that is connected acknowledges meanwhile.
const SETTLE_MS: u64 = 250;
/// A device that is connected is looked at again after this time.
const CONNECTED_MS: u64 = 2_000;
/// How long it is seen whether a device comes that was told.
const WATCHED_MS: u64 = 600_000;
/// The first wait after a failure; it doubles.
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MS_MAX: u64 = 900_000;

/// A device of a user.
pub(super) type Key = (ClientId, DeviceId);

/// How a service is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Devices that wait.
    pub(super) most: usize,
    /// Pushes at the same time.
    pub(super) at_once: usize,
    /// The least time between two pushes to one device.
    pub(super) interval_ms: u64,
    /// The same for silent ones.
    pub(super) silent_interval_ms: u64,
    /// After this time it is told no more.
    pub(super) patience_ms: u64,
    /// How much longer than others a device waits at most to be tried again.
    pub(super) jitter_percent: u64,
}

/// What a device has missed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Missed {
    /// From here on.
    pub(super) first: Position,
    /// Up to here, by log.
    pub(super) logs: BTreeMap<LogName, Position>,
    pub(super) message: Option<Message>,
    /// The entry that the message is of.
    shown: Position,
    since_ms: u64,
}

impl Missed {
    /// The entry at `position` of `log`.
    pub(super) fn new(
        (log, position): (LogName, Position),
        message: Option<Message>,
        now_ms: u64,
    ) -> Self {
        let logs = BTreeMap::from([(log, position)]);
        let shown = if message.is_some() { position } else { Position::ZERO };
        Self { first: position, logs, message, shown, since_ms: now_ms }
    }

    pub(super) fn push(&self) -> Push {
        Push { head: self.head(), message: self.message.clone() }
    }

    fn head(&self) -> Position {
        self.logs.values().copied().max().unwrap_or_default()
    }

    fn merge(&mut self, newer: Self) {
        self.first = self.first.min(newer.first);
        for (log, position) in newer.logs {
            let known = self.logs.entry(log).or_default();
            *known = position.max(*known);
        }
        // Channels of very many devices are not told in the order of the feed.
        if newer.message.is_some() && newer.shown >= self.shown {
            (self.message, self.shown) = (newer.message, newer.shown);
        }
        self.since_ms = self.since_ms.min(newer.since_ms);
    }

    /// Without what `had` covers; whether anything is left.
    fn without(&mut self, had: &Had) -> bool {
        self.logs.retain(|log, position| *position > had.through(log));
        !self.logs.is_empty()
    }
}

#[derive(Debug, Default)]
struct Slot {
    missed: Option<Missed>,
    sending: Option<Missed>,
    /// What it was told last, and when; gone once it has come.
    told: Option<(Missed, u64)>,
    last: LastTold,
    /// Not before.
    not_before_ms: u64,
    /// When it is next looked at.
    due_ms: u64,
    failures: u32,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It waits, or has been told already.
    Yes,
    Full,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Told,
    /// It has nothing to be told of any more.
    Dropped,
    /// It is connected, and may acknowledge what it has missed.
    Connected,
    /// It failed, and is tried again: not before so long, if the service says so; all others wait, too.
    Failed {
        after: Option<Duration>,
        all: bool,
    },
}

#[derive(Debug)]
pub(super) struct Table {
    terms: Terms,
    slots: BTreeMap<Key, Slot>,
    due: BTreeSet<(u64, Key)>,
    /// Those that were told and wait for nothing, the first first.
    rest: VecDeque<(u64, Key)>,
    waiting: usize,
    sending: usize,
    /// Nothing is sent before.
    paused_until_ms: u64,
    failures: u32,
}

impl Table {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            slots: BTreeMap::new(),
            due: BTreeSet::new(),
            rest: VecDeque::new(),
            waiting: 0,
            sending: 0,
            paused_until_ms: 0,
            failures: 0,
        }
    }

    /// How many devices wait or are being told.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing at all is known.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether there is room for a device that is not in it.
    pub(super) fn has_room(&self) -> bool {
        self.waiting < self.terms.most
    }

    /// A device has missed the entry at `position` of `log`. What it was told `last` is asked for if it is not
    /// in the table.
    pub(super) fn add(
        &mut self,
        key: &Key,
        (log, position): (LogName, Position),
        message: Option<Message>,
        last: &LastTold,
        now_ms: u64,
    ) -> Added {
        let known = self.slots.get(key);
        if known.map_or_else(|| last.knows(&log, position), |slot| slot.knows(&log, position)) {
            return Added::Yes;
        }
        let waits = known.is_some_and(|slot| slot.missed.is_some() || slot.sending.is_some());
        if !waits && !self.has_room() {
            return Added::Full;
        }
        self.waiting += usize::from(!waits);
        if known.is_none() {
            self.make_place();
        }
        let missed = Missed::new((log, position), message, now_ms);
        let slot = self.slots.entry(key.clone()).or_insert_with(|| Slot::after(last, now_ms));
        let silent = missed.message.is_none();
        let interval = if silent { self.terms.silent_interval_ms } else { self.terms.interval_ms };
        let was_told = slot.last.ms > 0;
        let not_before = if was_told { slot.last.ms.saturating_add(interval) } else { 0 };
        let due = (now_ms + SETTLE_MS).max(slot.not_before_ms).max(not_before);
        let first = slot.missed.is_none();
        match &mut slot.missed {
            Some(known) => known.merge(missed),
            none => *none = Some(missed),
        }
        // One that is shown comes sooner than a silent one that waits for its turn.
        let due = if first { due } else { due.min(slot.due_ms) };
        if slot.sending.is_none() {
            self.set_due(key, due);
        } else {
            slot.due_ms = due;
        }
        Added::Yes
    }

    /// Takes what is due; what it takes is to be given back by [`Table::done`].
    pub(super) fn take(&mut self, now_ms: u64) -> Vec<(Key, Missed)> {
        let mut taken = Vec::new();
        while let Some((due_ms, key)) = self.due.first().cloned() {
            if due_ms > now_ms {
                break;
            }
            let free = self.free();
            let Some(slot) = self.slots.get_mut(&key) else {
                self.due.pop_first();
                continue;
            };
            let Some(missed) = &slot.missed else {
                self.due.pop_first();
                self.slots.remove(&key);
                continue;
            };
            if missed.since_ms.saturating_add(self.terms.patience_ms) <= now_ms {
                slot.missed = None;
                self.waiting -= 1;
                continue;
            }
            if now_ms < self.paused_until_ms || free == 0 {
                break;
            }
            self.due.pop_first();
            if let Some(missed) = slot.missed.take() {
                slot.sending = Some(missed.clone());
                self.sending += 1;
                taken.push((key, missed));
            }
        }
        taken
    }

    /// How many more may be sent now: while a service fails, one tries whether it does still.
    fn free(&self) -> usize {
        let at_once = if self.failures > 0 { 1 } else { self.terms.at_once };
        at_once.saturating_sub(self.sending)
    }

    /// When to look again; none when something else has to happen first.
    pub(super) fn next_ms(&self) -> Option<u64> {
        let (due_ms, _) = self.due.first()?;
        (self.free() > 0).then(|| self.paused_until_ms.max(*due_ms))
    }

    /// What became of what was taken.
    pub(super) fn done(&mut self, key: &Key, done: Done, now_ms: u64) {
        self.sending -= 1;
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some(sent) = slot.sending.take() else { return };
        let mut due_ms = slot.due_ms.max(now_ms);
        match done {
            Done::Told => {
                (self.failures, slot.failures, self.paused_until_ms) = (0, 0, 0);
                slot.last.tell(&sent.logs, now_ms);
                slot.told = Some((sent, now_ms)).filter(|(sent, _)| !sent.logs.is_empty());
                let silent = slot.missed.as_ref().is_none_or(|missed| missed.message.is_none());
                let interval =
                    if silent { self.terms.silent_interval_ms } else { self.terms.interval_ms };
                slot.not_before_ms = now_ms.saturating_add(self.terms.interval_ms);
                due_ms = now_ms.saturating_add(interval);
            }
            Done::Dropped => {}
            Done::Connected => {
                slot.put_back(sent);
                due_ms = now_ms + CONNECTED_MS;
            }
            Done::Failed { after, all } => {
                slot.put_back(sent);
                slot.failures += 1;
                due_ms = now_ms.saturating_add(jitter(
                    wait_ms(slot.failures, after),
                    key,
                    self.terms.jitter_percent,
                ));
                slot.not_before_ms = due_ms;
                if all {
                    self.failures += 1;
                    let pause_ms = now_ms.saturating_add(wait_ms(self.failures, after));
                    self.paused_until_ms = self.paused_until_ms.max(pause_ms);
                }
            }
        }
        if slot.missed.is_some() {
            self.set_due(key, due_ms);
        } else {
            self.waiting -= 1;
            self.rest(key, now_ms);
        }
    }

    /// What a device was told last, if it is in the table.
    pub(super) fn last_told(&self, key: &Key) -> Option<LastTold> {
        self.slots.get(key).map(|slot| slot.last.clone())
    }

    /// A device has had something; what it was told of that: when, if it was.
    pub(super) fn had(&mut self, client: &ClientId, had: &Had, now_ms: u64) -> Vec<u64> {
        let (mut told, mut idle) = (Vec::new(), Vec::new());
        let lowest = (client.clone(), DeviceId::lowest());
        for (key, slot) in self.slots.range_mut(lowest..) {
            if key.0 != *client {
                break;
            }
            // If it fails, it is not tried again for what is not missed any more.
            if let Some(sending) = &mut slot.sending {
                sending.without(had);
            }
            if let Some((missed, at_ms)) = &mut slot.told
                && !missed.without(had)
            {
                let watched = now_ms < at_ms.saturating_add(WATCHED_MS);
                told.extend(Some(*at_ms).filter(|_| watched));
                slot.told = None;
            }
            if let Some(missed) = &mut slot.missed
                && !missed.without(had)
            {
                slot.missed = None;
                if slot.sending.is_none() {
                    idle.push(key.clone());
                }
            }
        }
        for key in idle {
            self.waiting -= 1;
            self.rest(&key, now_ms);
        }
        told
    }

    /// Everything before this is told or dropped; none when nothing waits.
    pub(super) fn first(&self) -> Option<Position> {
        let waiting = self.slots.values().flat_map(|slot| slot.missed.iter().chain(&slot.sending));
        waiting.map(|missed| missed.first).min()
    }

    /// A device that waits for nothing stays until it may be told in silence again, and nobody asks any
    /// more whether it came.
    fn rest(&mut self, key: &Key, now_ms: u64) {
        let Some(slot) = self.slots.get(key) else { return };
        let watched_ms = match &slot.told {
            Some((_, told_ms)) => told_ms.saturating_add(WATCHED_MS),
            None => 0,
        };
        let quiet_ms = match slot.last.ms {
            0 => 0,
            told_ms => told_ms.saturating_add(self.terms.silent_interval_ms),
        };
        let until_ms = slot.not_before_ms.max(watched_ms).max(quiet_ms);
        if until_ms <= now_ms {
            self.due.remove(&(slot.due_ms, key.clone()));
            self.slots.remove(key);
            return;
        }
        self.set_due(key, until_ms);
        self.rest.push_back((until_ms, key.clone()));
    }

    fn set_due(&mut self, key: &Key, due_ms: u64) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        self.due.remove(&(slot.due_ms, key.clone()));
        slot.due_ms = due_ms;
        self.due.insert((due_ms, key.clone()));
    }

    /// As many as may wait may be remembered beside them; those that were told first go.
    fn make_place(&mut self) {
        while self.slots.len() >= self.terms.most.saturating_mul(2)
            || self.rest.len() > self.terms.most * 4
        {
            let Some((due_ms, key)) = self.rest.pop_front() else { return };
            let rests = |slot: &Slot| {
                slot.missed.is_none() && slot.sending.is_none() && slot.due_ms == due_ms
            };
            if self.slots.get(&key).is_some_and(rests) {
                self.due.remove(&(due_ms, key.clone()));
                self.slots.remove(&key);
            }
        }
    }
}

impl Slot {
    /// Of a device that was told this before it came into the table.
    fn after(last: &LastTold, now_ms: u64) -> Self {
        // If the clock has been set back since, it would wait for as long.
        let last = LastTold { ms: last.ms.min(now_ms), through: last.through.clone() };
        Self { last, ..Self::default() }
    }

    fn knows(&self, log: &LogName, position: Position) -> bool {
        let has = |missed: &Missed| missed.logs.get(log).is_some_and(|known| *known >= position);
        self.last.knows(log, position) || self.missed.iter().chain(&self.sending).any(has)
    }

    /// It was not told after all.
    fn put_back(&mut self, mut sent: Missed) {
        if let Some(newer) = self.missed.take() {
            sent.merge(newer);
        }
        self.missed = Some(sent).filter(|sent| !sent.logs.is_empty());
    }
}

/// Devices that failed together do not come back together.
fn jitter(wait_ms: u64, key: &Key, percent: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, wait_ms).hash(&mut hasher);
    let part = hasher.finish() % 100;
    wait_ms
        .saturating_add((wait_ms / 10_000).saturating_mul(part * percent))
        .saturating_add((wait_ms % 10_000) * part * percent / 10_000)
}

/// How long to wait after so many failures: what the service says counts if it is longer.
fn wait_ms(failures: u32, after: Option<Duration>) -> u64 {
    let doubled = BACKOFF_MS.saturating_mul(1 << failures.saturating_sub(1).min(20));
    let after = after.map_or(0, |after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    doubled.min(BACKOFF_MS_MAX).max(after)
}

#[cfg(test)]
mod tests;
