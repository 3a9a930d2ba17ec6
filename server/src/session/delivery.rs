//! What reaches a session from the logs it follows, in order of position.
//!
//! The cursor says: everything visible up to here was sent on this connection, came before it, or
//! is the client's own. A session that is behind reads the log from its cursor, in chunks, as the
//! client acknowledges them; one that is caught up lives from its inbox.

use super::answers::{self, AnswerId, Sent};
use super::subscriptions::{Key, State, Subscription};
use super::{Effect, Gone, Moment, NodeState, ReadOrder, Session};
use crate::hub::{Delivery as Mail, Resumed};
use crate::log::{Channel, Entry, LogName, Page};
use crate::rules::{Filter, SyncMapOp};
use crate::sync_map;
use std::collections::VecDeque;
use tidelog_crdt::{Context, Incarnation, Position, Ranges, Seen};

/// History starts this long after `connected` when the client says nothing, so that `request()` of
/// a stock client gets its own answer first.
const HISTORY_AFTER_MS: u64 = 50;
/// Own positions in a context; of a client that acknowledges nothing the oldest are left out.
const OWN_RANGES_MAX: usize = 64;
/// Items that lists have brought along; further ones the page asks for itself.
const IMPLIED_MAX: usize = 10_000;
/// Live-only entries that wait while the session is behind; older ones are dropped first.
const WAITING_MAX: usize = 64;
/// Acknowledgements remembered for telling what an author had seen when it acted.
const ACKS_MAX: usize = 32;

/// How far a session has come.
#[derive(Debug)]
pub(super) struct Delivery {
    cursor: Position,
    /// The client's own actions up to here are sent to it too: it starts with nothing.
    echo_through: Position,
    /// Of those, the ones that it has sent again.
    held: Ranges,
    /// Live-only entries, while the session is behind.
    waiting: VecDeque<Mail>,
    phase: Phase,
    /// Answers wait for the first page of history: if it brings nothing, they can carry a number
    /// that covers the client's own actions, and a page that comes back is not sent them again.
    holds_answers: bool,
    /// What the one read under way is for.
    reading: Option<Reading>,
    history_is_next: bool,
    acked: Position,
    /// When the frames that were acknowledged had been sent, and the cursor that they carried.
    seen: VecDeque<(u64, Position)>,
    resumed_from: Position,
    connected_at: u64,
    own: Ranges,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// History waits for the client's first frame, or for this moment.
    Waiting(u64),
    /// Reads the log.
    Behind,
    /// Has read everything and asks whether something came by meanwhile.
    Resuming,
    /// Lives from the inbox.
    Live,
}

/// What a read is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    History,
    /// The load of this subscription with this serial number.
    Load(Key, u64),
}

impl Delivery {
    pub(super) fn resume(
        from: Option<Position>,
        head: Position,
        node: &NodeState,
        now: u64,
    ) -> Self {
        let cursor = from.unwrap_or_default();
        let mut own = if from.is_some() { node.own.clone() } else { Ranges::default() };
        own.forget_through(cursor);
        Self {
            cursor,
            echo_through: if from.is_some() { Position::ZERO } else { head },
            held: Ranges::default(),
            waiting: VecDeque::new(),
            phase: Phase::Waiting(now + HISTORY_AFTER_MS),
            holds_answers: false,
            reading: None,
            history_is_next: true,
            acked: cursor,
            seen: VecDeque::new(),
            resumed_from: cursor,
            connected_at: now,
            own,
        }
    }

    pub(super) fn cursor(&self) -> Position {
        self.cursor
    }

    pub(super) fn acked(&self) -> Position {
        self.acked
    }

    pub(super) fn own(&self) -> &Ranges {
        &self.own
    }

    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    pub(super) fn start_reading(&mut self, reading: Reading) {
        self.reading = Some(reading);
    }

    pub(super) fn done_reading(&mut self) -> Option<Reading> {
        self.history_is_next = self.reading != Some(Reading::History);
        self.reading.take()
    }

    /// Whether history has the next turn at reading.
    pub(super) fn history_is_next(&self) -> bool {
        self.history_is_next || self.holds_answers
    }

    pub(super) fn history_at(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting(at) => Some(at),
            _ => None,
        }
    }

    /// The client's first frame was answered.
    pub(super) fn start_history(&mut self) {
        if matches!(self.phase, Phase::Waiting(_)) {
            self.phase = Phase::Behind;
        }
    }

    /// There are answers to send. Whether they have to wait.
    pub(super) fn hold_answers(&mut self) -> bool {
        if matches!(self.phase, Phase::Waiting(_)) {
            self.phase = Phase::Behind;
            self.holds_answers = true;
        }
        self.holds_answers
    }

    pub(super) fn start_history_at(&mut self, now: u64) {
        if self.history_at().is_some_and(|at| at <= now) {
            self.phase = Phase::Behind;
        }
    }

    pub(super) fn fall_behind(&mut self) {
        if self.phase == Phase::Live {
            self.phase = Phase::Behind;
        }
    }

    /// Returns whether the session lives from its inbox now.
    pub(super) fn on_resumed(&mut self, resumed: &Resumed) -> bool {
        if self.phase == Phase::Resuming {
            self.phase = match resumed {
                Resumed::CaughtUp => Phase::Live,
                Resumed::ReadOn => Phase::Behind,
            };
        }
        self.is_live()
    }

    /// What no log has waits for its place among the entries that do. Returns how much of it found
    /// no room.
    pub(super) fn keep_waiting(&mut self, mail: Vec<Mail>) -> u64 {
        self.waiting.extend(mail);
        let surplus = self.waiting.len().saturating_sub(WAITING_MAX);
        self.waiting.drain(..surplus).count() as u64
    }

    /// What waits and comes before the entry at `position`; all of it without one.
    pub(super) fn take_waiting(&mut self, position: Option<Position>) -> Vec<Mail> {
        let comes_before = |mail: &&Mail| position.is_none_or(|next| mail.entry.position < next);
        let count = self.waiting.iter().take_while(comes_before).count();
        self.waiting.drain(..count).collect()
    }

    /// The client has acknowledged a frame that was sent when the cursor was at `through`.
    pub(super) fn on_acked(&mut self, through: Position, sent_ms: u64) {
        if through <= self.acked {
            return;
        }
        self.acked = through;
        self.own.forget_through(through);
        if self.seen.len() >= ACKS_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((sent_ms, through));
    }

    /// Whether an action of the client's own is sent to it.
    fn echoes(&self, position: Position) -> bool {
        position <= self.echo_through && !self.held.contains(position)
    }

    /// The page has sent the action at `position` on this connection, so it has it.
    pub(super) fn on_held(&mut self, position: Position) {
        if position <= self.echo_through {
            self.held.insert(position);
        }
    }

    /// Whether history has not started.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting(_))
    }

    /// An action of the client's own is at `position`.
    pub(super) fn on_own(&mut self, position: Position) {
        if position > self.acked {
            self.own.insert(position);
        }
    }

    /// What the author of an action had seen of the log: for one made before this connection, what
    /// it resumed from; else what it had acknowledged by then; and its own actions beyond.
    pub(super) fn context(&self, incarnation: Incarnation, time: u64) -> Context {
        let before = |seen: &&(u64, Position)| seen.0 <= time;
        let acked = self.seen.iter().rev().find(before).map(|(_, position)| *position);
        let prefix = match acked {
            Some(position) if time >= self.connected_at => position,
            _ => self.resumed_from,
        };
        let own = self.own.newest(OWN_RANGES_MAX);
        Context::of(incarnation, Seen { prefix, own })
    }
}

impl Session {
    /// Reads the next chunk of history, if its turn has come.
    pub(super) fn read_on(&mut self) {
        if self.delivery.is_reading() || self.delivery.phase != Phase::Behind || !self.window_open()
        {
            return;
        }
        let logs: Vec<_> =
            self.own_log.iter().cloned().chain(self.subscriptions.live_logs()).collect();
        self.delivery.start_reading(Reading::History);
        let above = self.delivery.cursor;
        self.effects.push(Effect::Read(ReadOrder::Stretch { logs, above }));
    }

    /// A page of history, or of a load.
    pub(super) fn take_page(&mut self, page: &Page, at: Moment) {
        match self.delivery.done_reading() {
            Some(Reading::History) => self.take_history(page, at),
            Some(Reading::Load(key, serial)) if self.subscriptions.is_loading(&key, serial) => {
                self.take_load_page(&key, page);
            }
            Some(Reading::Load(..)) | None => {}
        }
    }

    fn take_history(&mut self, page: &Page, at: Moment) {
        let mut sent = Vec::with_capacity(page.entries.len());
        let cursor = self.delivery.cursor;
        for entry in page.entries.iter().filter(|entry| entry.position > cursor) {
            for waiting in self.delivery.take_waiting(Some(entry.position)) {
                // What a log has too comes by its page.
                if !(waiting.entry.kept && self.in_my_logs(&waiting.entry)) {
                    self.show_mail(&waiting, at, &mut sent);
                }
            }
            self.show(entry, false, at, &mut sent);
        }
        // The client's own answer comes first, and `synced` last: a page that has had neither sends
        // the action again, and so is known to have it.
        if std::mem::take(&mut self.delivery.holds_answers) && !sent.is_empty() {
            self.send_answers(at);
        }
        self.delivery.cursor = self.delivery.cursor.max(page.through);
        self.send_frame(&sent, at.now);
        if !page.more && self.delivery.phase == Phase::Behind {
            self.delivery.phase = Phase::Resuming;
            self.effects.push(Effect::Resume(self.delivery.cursor));
        }
    }

    /// Entries from the inbox, in order of position; only live-only ones may be older.
    pub(super) fn deliver_mail(&mut self, mail: Vec<Mail>, at: Moment) {
        let mut sent = Vec::new();
        for mail in mail {
            self.show_mail(&mail, at, &mut sent);
            self.delivery.cursor = self.delivery.cursor.max(mail.entry.position);
        }
        self.send_frame(&sent, at.now);
    }

    fn show_mail(&mut self, Mail { entry, live }: &Mail, at: Moment, sent: &mut Vec<Sent>) {
        let new = entry.position > self.delivery.cursor || !entry.kept;
        if new || (*live && !self.in_my_logs(entry)) {
            self.show(entry, *live, at, sent);
        }
    }

    /// Adds to `sent` what the client is to see of `entry`.
    fn show(&mut self, entry: &Entry, live: bool, at: Moment, sent: &mut Vec<Sent>) {
        let own = entry.id.node.client_str() == self.subject.client().as_str();
        if own && entry.kept {
            self.delivery.on_own(entry.position);
        }
        let named = entry.addresses.clients.contains(self.subject.client())
            || entry.addresses.nodes.contains(self.subject.node());
        let echoed = entry.kept && self.delivery.echoes(entry.position);
        if own && !echoed && !(live && named) {
            return;
        }
        if (live && named) || self.in_own_log(entry) {
            sent.push(sync_map::shown(entry, None));
            return;
        }
        if self.subscriptions.is_gone(entry) {
            return;
        }
        let Some(subscription) = self.subscriptions.wanting(entry).next() else { return };
        let shown = subscription.render(entry);
        if let Some(name) = subscription.list_name() {
            let by = subscription.key.clone();
            self.imply_created(entry, &name, &by, at, sent);
        }
        sent.push(shown);
        self.take_note(entry);
    }

    /// Lists take note of items that go.
    pub(super) fn take_note(&mut self, entry: &Entry) {
        if let Some(ended) = self.subscriptions.note(entry) {
            self.drop_subscription(&ended);
        }
    }

    /// An item that comes to be within a list brings its own subscription along.
    fn imply_created(
        &mut self,
        entry: &Entry,
        name: &str,
        by: &Key,
        at: Moment,
        sent: &mut Vec<Sent>,
    ) {
        if SyncMapOp::of(entry.action.kind(), name) == Some(SyncMapOp::Create)
            && let Ok(body) = entry.action.body::<sync_map::Body<'_>>()
            && let Some(key) = self.imply(name, &body.id, (by, entry.position), at, sent)
            && let Some(subscription) = self.subscriptions.get_mut(&key)
        {
            // The next frame tells of it.
            subscription.sent_at = Some(self.frames.sent + 1);
        }
    }

    /// Subscribes the client to an item of a list, and tells it, so that it need not ask.
    pub(super) fn imply(
        &mut self,
        name: &str,
        item: &str,
        (by, through): (&Key, Position),
        at: Moment,
        sent: &mut Vec<Sent>,
    ) -> Option<Key> {
        let channel = Channel::new(&format!("{name}/{item}")).ok()?;
        let key = Key { channel: channel.clone(), filter: String::new() };
        if self.subscriptions.implied() >= IMPLIED_MAX || self.subscriptions.contains(&key) {
            return None;
        }
        let subscription = Subscription {
            key: key.clone(),
            filter: Filter::default(),
            access: self.access_to_item(name, item)?,
            state: State::Live,
            from: through,
            resumed: false,
            through,
            sent_at: None,
            implied_by: Some(by.clone()),
            gone: Gone::default(),
        };
        let id = AnswerId::unplaced(self.shared.incarnation, self.delivery.cursor, at.now);
        sent.extend(answers::subscribed(channel.as_str(), id));
        if self.subscriptions.insert(subscription) {
            self.effects.push(Effect::Follow(LogName::Channel(channel)));
        }
        Some(key)
    }

    pub(super) fn in_own_log(&self, entry: &Entry) -> bool {
        self.own_log.as_ref().is_some_and(|log| entry.addresses.includes(log))
    }

    fn in_my_logs(&self, entry: &Entry) -> bool {
        self.in_own_log(entry) || self.subscriptions.wanting(entry).next().is_some()
    }
}
