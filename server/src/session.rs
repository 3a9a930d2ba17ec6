//! One signed-in connection: what it sends is judged in order and answered, what it has missed
//! reaches it in order, and its subscriptions end and resume exactly.
//!
//! A state machine: events come in, effects go out. It knows neither socket nor store, and time
//! comes in as an argument. The messages themselves, the window of what is sent and not yet
//! acknowledged, and the keep-alive are the peer's (`tidelog_protocol::peer`), which it drives.

mod answered;
mod answers;
mod delivery;
mod effect;
mod followed;
mod frames;
mod hiding;
mod intake;
mod lift;
mod lists;
mod loading;
mod node_state;
mod own;
mod showing;
mod subscribing;
mod subscription;
mod subscriptions;
#[cfg(test)]
mod tests;

pub use answers::AnswerId;
pub(crate) use effect::{Effect, ReadOrder};
pub(crate) use followed::known_by;
pub use node_state::{Brought, NodeState, Remembered};

use crate::catch_up::OwnPart;
use crate::epochs::Epochs;
use crate::hub::{Delivery as Mail, Resumed};
use crate::ingest::{Verdict, Verdicts};
use crate::log::{LogName, Page};
use crate::rules::{Rules, Subject};
use crate::sync_map::{Fates, Loaded};
use answers::Sent;
use delivery::{Delivery, Phase};
use followed::Following;
use intake::Intake;
use own::OwnLoad;
use std::sync::Arc;
use subscription::Acknowledged;
use subscriptions::Subscriptions;
use tidelog_crdt::{Incarnation, Position};
use tidelog_protocol::peer::{Connection, Received, SentSync, Tick};
use tidelog_protocol::{Frame, WireError};

/// What every session shares.
#[derive(Clone)]
pub struct Shared {
    /// The life of the store.
    pub incarnation: Incarnation,
    /// Which run of the process gave which positions.
    pub epochs: Epochs,
    /// Who may do what.
    pub rules: Arc<Rules>,
    /// Verdicts that no entry stands for.
    pub verdicts: Arc<Verdicts>,
    /// How much one session may have.
    pub limits: Limits,
}

/// How much one session may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Subscriptions.
    pub subscriptions: usize,
    /// Frames sent and not yet acknowledged, before the next chunk of the log waits.
    pub window_frames: usize,
    /// Bytes of those frames.
    pub window_bytes: usize,
    /// Actions in one frame that the server sends.
    pub chunk_actions: usize,
    /// Actions that wait for their verdict; with more the session reads no further frame.
    pub pending_actions: usize,
    /// Frames that wait, beside those of subscriptions.
    pub pending_frames: usize,
}

/// Where a session starts.
pub struct Start {
    /// Who signed in.
    pub subject: Subject,
    /// The number in `connect`.
    pub synced: u64,
    /// What is remembered of the node.
    pub node: NodeState,
    /// The last position.
    pub head: Position,
    /// Up to where anything was ever compacted.
    pub compacted: Position,
}

/// When something happens, and where the log then ends.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Ms since the epoch.
    pub now: u64,
    /// The last position.
    pub head: Position,
}

/// One signed-in connection.
pub struct Session {
    conn: Connection,
    shared: Arc<Shared>,
    subject: Arc<Subject>,
    /// The log of the session's user; anonymous users have none.
    own_log: Option<LogName>,
    delivery: Delivery,
    /// The page had something before this connection.
    is_old: bool,
    subscriptions: Subscriptions,
    following: Following,
    /// What the node was subscribed to before, and has not named again.
    dormant: NodeState,
    forget_at: Option<u64>,
    intake: Intake,
    /// Sent frames and acknowledged frames, counted.
    frames: Frames,
    /// Bytes that may still be put on their way out.
    room: usize,
    pong_owed: bool,
    remember_at: u64,
    changed: bool,
    effects: Vec<Effect>,
}

/// The client did not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

#[derive(Default)]
struct Frames {
    sent: u64,
    acked: u64,
}

/// After this time without being named, what the node was subscribed to is forgotten.
const FORGET_AFTER_MS: u64 = 60_000;
/// What changed about a node is remembered at most this often, and the less often the more it is.
const REMEMBER_EVERY_MS: u64 = 1_000;
/// How much of it makes that a millisecond longer.
const REMEMBERED_BYTES_A_MS: usize = 16;
/// Room that answers alone may take: they are small, and a client waits for them.
const ANSWERS_ROOM: usize = 192 << 10;

/// What may wait to be answered while there is no room for answers.
const HELD_BACK_BYTES: usize = 64 << 10;

impl Session {
    /// Starts after sign-in. `claim_failed` of the result says that the client named a number that
    /// was not minted here for it.
    pub fn start(conn: Connection, shared: Arc<Shared>, start: Start, now: u64) -> (Self, bool) {
        let Start { subject, synced, node, head, compacted } = start;
        let mut node = node.in_history(&shared.epochs, head);
        node.shorten(shared.limits.subscriptions);
        let claimed = shared.epochs.claim(subject.user().as_str(), synced, head);
        node.resume_at(claimed);
        let claim_failed = synced != 0 && claimed.is_none();
        let resumed = match claimed {
            Some(position) => Some(position),
            None if synced != 0 && node.acked > Position::ZERO => Some(node.acked.min(head)),
            None => None,
        };
        if !node.is_exact {
            node.may_have_forgotten(shared.rules.loads_own_state() || compacted > node.acked);
        }
        let mut delivery = Delivery::resume(resumed, head, &node, now);
        let following = resumed.map(|_| Following::resume(&node)).unwrap_or_default();
        let own_log = (!subject.anonymous()).then(|| LogName::User(subject.user().clone()));
        if own_log.is_some() {
            delivery.own_load = OwnLoad::at_start(resumed, synced != 0, head, &shared.rules);
        }
        let mut session = Self {
            conn,
            shared,
            subject: Arc::new(subject),
            own_log: own_log.clone(),
            delivery,
            is_old: synced != 0,
            subscriptions: Subscriptions::default(),
            following,
            forget_at: (!node.subscriptions.is_empty()).then_some(now + FORGET_AFTER_MS),
            dormant: node,
            intake: Intake::default(),
            frames: Frames::default(),
            room: usize::MAX,
            pong_owed: false,
            remember_at: now + REMEMBER_EVERY_MS,
            changed: false,
            effects: Vec::new(),
        };
        if let Some(log) = own_log {
            session.effects.push(Effect::Follow(log));
        }
        session.resume_pending(Moment { now, head });
        (session, claim_failed)
    }

    /// Whether nothing that came in waits for its verdict.
    pub fn is_judged(&self) -> bool {
        self.intake.is_judged()
    }

    /// Whether nothing that came in waits for its verdict or its answer.
    pub fn is_answered(&self) -> bool {
        self.intake.is_answered()
    }

    /// Who signed in.
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// What is to be done now.
    pub(crate) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Whether a further frame may be read.
    pub fn wants_frames(&self) -> bool {
        // Frames that wait for nothing but loads do not count, or the acknowledgements behind them,
        // which let the loads go on, would never be read.
        let limits = &self.shared.limits;
        // What is not answered because the client takes no answers is little, too.
        let held_back = if self.room == 0 { HELD_BACK_BYTES } else { usize::MAX };
        self.intake.waiting() < limits.pending_actions
            && self.intake.waiting_bytes() < limits.window_bytes.min(held_back)
            && self.intake.len() < limits.pending_frames.saturating_add(limits.subscriptions)
    }

    /// How many bytes may be put on their way out from now on. What is more is held back, but not
    /// what comes in: the acknowledgements of a slow link are read all the while.
    pub fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Whether something may be held back until what is on its way out has left.
    pub fn wants_room(&self) -> bool {
        self.room <= ANSWERS_ROOM
    }

    /// There is room again.
    pub fn on_room(&mut self, at: Moment) {
        self.go_on(at);
    }

    /// Whether entries in the inbox are wanted now.
    pub fn wants_mail(&self) -> bool {
        self.delivery.is_live() && self.window_open()
    }

    /// A frame came in.
    pub fn on_frame(&mut self, frame: &Frame, at: Moment) -> Result<(), WireError> {
        match self.conn.receive(frame, at.now)? {
            Received::Sync(sync) => self.on_sync(sync, at),
            Received::Synced(sent) => self.on_synced(&sent),
            Received::Ping(_) => self.pong_owed = true,
            Received::Headers(headers) => {
                Arc::make_mut(&mut self.subject).set_headers(headers.json().clone());
            }
            Received::Error(error) => tracing::debug!(%error, "the client reports an error"),
            // Nothing of what the client had comes after it, so its own answer is not waited for.
            Received::Ready(_) if self.intake.is_judged() => self.delivery.start_history(),
            Received::Ready(_) | Received::Pong(_) | Received::Debug(_) | Received::Nothing => {}
        }
        self.go_on(at);
        Ok(())
    }

    /// The verdicts on what was last submitted.
    pub fn on_verdicts(&mut self, verdicts: Vec<Verdict>, at: Moment) {
        self.take_verdicts(verdicts);
        self.go_on(at);
    }

    /// Whether the session lives from its inbox.
    pub fn is_live(&self) -> bool {
        self.delivery.is_live()
    }

    /// Entries of the logs that the session follows; while it is behind, what no log has. Returns how
    /// much of that found no room.
    pub(crate) fn on_mail(
        &mut self,
        mail: Vec<Mail>,
        overflowed: bool,
        fates: &Fates,
        at: Moment,
    ) -> u64 {
        // First of all: what is left in an inbox that overflowed must not move the cursor past what
        // it dropped.
        if overflowed {
            self.delivery.fall_behind();
        }
        let mut no_room = 0;
        if self.delivery.is_live() {
            self.deliver_mail(mail, fates, at);
        } else {
            no_room = self.delivery.keep_waiting(mail);
        }
        self.go_on(at);
        no_room
    }

    /// The page that was asked for.
    pub(crate) fn on_page(&mut self, page: &Page, fates: &Fates, at: Moment) {
        self.take_page(page, fates, at);
        self.go_on(at);
    }

    /// The part of the user's log that was asked for.
    pub(crate) fn on_own(&mut self, part: OwnPart, at: Moment) {
        self.take_own(part, at);
        self.go_on(at);
    }

    /// The items that were asked for.
    pub(crate) fn on_loaded(&mut self, loaded: Loaded, at: Moment) {
        self.take_loaded(loaded, at);
        self.go_on(at);
    }

    /// Whether the inbox has everything from here on.
    pub fn on_resumed(&mut self, resumed: &Resumed, at: Moment) {
        if self.delivery.on_resumed(resumed) {
            let waiting = self.delivery.take_waiting(None);
            self.deliver_mail(waiting, &Fates::default(), at);
        }
        self.go_on(at);
    }

    /// When [`Session::on_tick`] wants to be called next.
    pub fn deadline(&self) -> u64 {
        let remember = self.changed.then_some(self.remember_at);
        // While a frame waits for its answer, that answer starts history.
        let history = self.delivery.history_at().filter(|_| self.intake.is_judged());
        let renew = self.subscriptions.renew_at();
        let own = self.delivery.own_states.renew_at();
        let renew_own = own.filter(|_| self.delivery.phase == Phase::Live);
        [self.forget_at, remember, history, self.intake.early_at(), renew, renew_own]
            .into_iter()
            .flatten()
            .fold(self.conn.deadline(), u64::min)
    }

    /// Time has passed. An error ends the connection, without a frame.
    pub fn on_tick(&mut self, at: Moment) -> Result<(), TimedOut> {
        match self.conn.tick(at.now) {
            Tick::TimedOut => return Err(TimedOut),
            Tick::Ping => {
                let frame = self.conn.ping(self.number(), at.now);
                self.put(frame);
            }
            Tick::Nothing => {}
        }
        if self.forget_at.is_some_and(|due| due <= at.now) {
            self.forget_at = None;
            self.dormant.subscriptions.clear();
            self.following.keep(|key| self.subscriptions.contains(key));
            self.changed = true;
        }
        if self.intake.is_judged() {
            self.delivery.start_history_at(at.now);
        }
        self.go_on(at);
        if self.changed && at.now >= self.remember_at {
            self.remember(at.now);
        }
        Ok(())
    }

    /// The frame that tells the client of an error.
    pub fn error(&mut self, error: &WireError, now: u64) -> Frame {
        self.conn.error(error, now)
    }

    /// The connection ended: what is to be remembered of the node.
    pub fn end(self) -> NodeState {
        let mut state = self.state();
        (state.sent, state.is_exact) = (self.delivery.claimed(), true);
        state
    }

    /// Does what has become possible.
    fn go_on(&mut self, at: Moment) {
        self.submit();
        if self.room > 0 && std::mem::take(&mut self.pong_owed) {
            let frame = self.conn.pong(self.number(), at.now);
            self.put(frame);
        }
        self.settle(at);
        let frames = self.acknowledged();
        for renewed in self.subscriptions.renew(self.delivery.cursor(), frames, at.now) {
            self.following.begin_anew(&renewed, self.delivery.had(at.now));
        }
        self.renew_own(at);
        // Loads and history take turns at the one read that is under way at a time.
        if self.delivery.history_is_next() {
            self.read_on();
        }
        self.send_loads(at);
        self.read_on();
        if self.delivery.is_live() {
            let ready = self.conn.ready(self.number(), at.now);
            self.effects.extend(ready.map(Effect::Send));
        }
    }

    fn number(&self) -> u64 {
        self.shared.epochs.number(self.subject.user().as_str(), self.delivery.claimed())
    }

    fn window_open(&self) -> bool {
        let outstanding = self.conn.outstanding();
        outstanding.count < self.shared.limits.window_frames
            && outstanding.bytes < self.shared.limits.window_bytes
            && self.room > ANSWERS_ROOM
    }

    fn put(&mut self, frame: Frame) {
        self.room = self.room.saturating_sub(frame.len());
        self.effects.push(Effect::Send(frame));
    }

    /// Sends entries up to the cursor in one frame: its number must not claim what a later frame
    /// brings.
    fn send_frame(&mut self, actions: &[Sent], now: u64) {
        if actions.is_empty() {
            return;
        }
        let pairs = actions.iter().map(|(action, meta)| (action, meta));
        let token = self.delivery.claimed().get();
        let frame = self.conn.sync(self.number(), pairs, token, now);
        self.frames.sent += 1;
        self.put(frame);
    }

    fn on_synced(&mut self, sent: &SentSync) {
        self.frames.acked += 1;
        self.delivery.on_acked_frames(self.frames.acked);
        self.following.on_acked(self.frames.acked);
        self.delivery.on_acked(Position::new(sent.token).unwrap_or_default(), sent.sent_ms);
        self.changed = true;
    }

    fn remember(&mut self, now: u64) {
        let state = self.state();
        let pause = u64::try_from(state.cost() / REMEMBERED_BYTES_A_MS).unwrap_or(u64::MAX);
        self.remember_at = now.saturating_add(REMEMBER_EVERY_MS).saturating_add(pause);
        self.changed = false;
        self.effects.push(Effect::Remember(state));
    }

    fn acknowledged(&self) -> Acknowledged {
        Acknowledged { of_ours: self.frames.acked, of_theirs: self.intake.acknowledged() }
    }

    /// What is to be remembered of the node: what it is subscribed to, and what it was and may name
    /// again, as much as one session may have.
    fn state(&self) -> NodeState {
        let acked = self.delivery.acked();
        let frames = self.acknowledged();
        let mut subscriptions = self.subscriptions.remembered(acked, frames);
        subscriptions.extend(self.dormant.subscriptions.iter().cloned());
        let (own, had) = (self.delivery.own(), self.delivery.had(u64::MAX));
        let mut state = NodeState { acked, own, subscriptions, had, ..NodeState::default() };
        state.set_own_told(self.delivery.own_told(frames.of_ours));
        state.shorten(self.shared.limits.subscriptions);
        state.of_history(&self.shared.epochs)
    }
}
