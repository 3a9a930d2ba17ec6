//! How far a session has come in the logs it follows.
//!
//! The cursor says: everything visible up to here was sent on this connection, came before it, or
//! is the client's own. A session that is behind reads the log from its cursor, in chunks, as the
//! client acknowledges them; one that is caught up lives from its inbox.

use super::NodeState;
use super::hiding::{Hiding, ToldBefore};
use super::own::{OwnLoad, ToldStates};
use super::subscription::Key;
use crate::hub::{Delivery as Mail, Resumed};
use crate::ingest::OWN_RANGES_MAX;
use std::collections::VecDeque;
use tidelog_crdt::{Position, Ranges};

/// History starts this long after `connected` when the client says nothing, so that `request()` of
/// a stock client gets its own answer first.
const HISTORY_AFTER_MS: u64 = 50;
/// Live-only entries that wait while the session is behind; older ones are dropped first.
const WAITING_MAX: usize = 64;
/// Acknowledgements remembered for telling what an author had seen when it acted.
const ACKS_MAX: usize = 32;

/// How far a session has come.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) cursor: Position,
    /// The client's own actions up to here are sent to it too: it starts with nothing.
    echo_through: Position,
    /// Of those, the ones that it has sent again.
    held: Ranges,
    /// Live-only entries, while the session is behind.
    waiting: VecDeque<Mail>,
    pub(super) phase: Phase,
    /// Answers wait for the first page of history: if it brings nothing, they can carry a number
    /// that covers the client's own actions, and a page that comes back is not sent them again.
    pub(super) holds_answers: bool,
    /// What the one read under way is for.
    reading: Option<Reading>,
    history_is_next: bool,
    acked: Position,
    /// When the frames that were acknowledged had been sent, and the cursor that they carried.
    seen: VecDeque<(u64, Position)>,
    /// Loads that were sent, beside the order of positions.
    loaded: VecDeque<Loaded>,
    /// How many frames were acknowledged.
    acked_frames: u64,
    /// What it had before this connection.
    had_before: Position,
    connected_at: u64,
    /// The client's own positions, the newest of them.
    own: Ranges,
    /// The load of the user's own log, while it lasts.
    pub(super) own_load: Option<OwnLoad>,
    /// What came of its documents as states.
    pub(super) own_states: ToldStates,
}

/// A load that was sent.
#[derive(Debug)]
struct Loaded {
    /// How far it goes.
    through: Position,
    /// The page has it when it has acknowledged so many frames.
    frames: u64,
    sent_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
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
        let own = if from.is_some() { node.own.clone() } else { Ranges::default() };
        // The number of a frame may be less than what it brought: that of a load is.
        let knows_more = from.is_some_and(|from| from >= node.acked);
        let had_before = if knows_more { cursor.max(node.had) } else { cursor };
        // A page that has nothing has been told nothing.
        let told = from.map(|_| node.own_told()).unwrap_or_default();
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
            loaded: VecDeque::new(),
            acked_frames: 0,
            had_before,
            connected_at: now,
            own,
            own_load: None,
            own_states: ToldStates::new(Hiding::resume(from.is_some(), told), cursor),
        }
    }

    pub(super) fn cursor(&self) -> Position {
        self.cursor
    }

    pub(super) fn acked(&self) -> Position {
        self.acked
    }

    /// The client's own positions, the newest of them.
    pub(super) fn own(&self) -> Ranges {
        self.own.newest(OWN_RANGES_MAX)
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
        if self.seen.len() >= ACKS_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((sent_ms, through));
    }

    /// A load is over that goes as far as `through`, with the frame counted `frames` as its last.
    pub(super) fn on_loaded(&mut self, through: Position, frames: u64, now: u64) {
        if self.loaded.len() >= ACKS_MAX {
            self.loaded.pop_front();
        }
        self.loaded.push_back(Loaded { through, frames, sent_ms: now });
    }

    /// So many frames were acknowledged.
    pub(super) fn on_acked_frames(&mut self, frames: u64) {
        self.acked_frames = frames;
    }

    /// What numbers may say: what comes while the user's log is loaded is sent again if that is cut.
    pub(super) fn claimed(&self) -> Position {
        self.own_load.as_ref().map_or(self.cursor, OwnLoad::claimed)
    }

    /// Everything up to `through` is sent with the next frame.
    pub(super) fn arrive(&mut self, through: Position) {
        self.cursor = through;
        self.own_load = self.own_load.take().filter(|load| !load.done);
    }

    /// Whether documents of the user's log are on their way to the page.
    pub(super) fn is_to_have_states(&self) -> bool {
        self.own_load.is_some() || self.own_states.are_on_their_way(self.acked_frames)
    }

    /// What is to be remembered of what the page was told of its user's documents, `acked_frames` being acknowledged.
    pub(super) fn own_told(&self, acked_frames: u64) -> ToldBefore {
        let had = self.own_load.is_none() && !self.own_states.are_on_their_way(acked_frames);
        self.own_states.hiding.remembered(had)
    }

    /// Whether an action of the client's own is sent to it.
    pub(super) fn echoes(&self, position: Position) -> bool {
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
        self.own.insert(position);
        // Now and then, so that it costs nothing each time.
        if self.own.len() > 2 * OWN_RANGES_MAX {
            self.own = self.own.newest(OWN_RANGES_MAX);
        }
    }

    /// Up to where the author of an action that was made at `time`, and has come in now, had the log:
    /// for one made before this connection, what it had by then; else what it had acknowledged.
    pub(super) fn had(&self, time: u64) -> Position {
        let before = |seen: &&(u64, Position)| seen.0 <= time;
        let acked = self.seen.iter().rev().find(before).map(|(_, position)| *position);
        let cursor = match acked {
            Some(position) if time >= self.connected_at => position,
            _ => self.had_before,
        };
        self.loaded_by(time).map_or(cursor, |loaded| cursor.max(loaded))
    }

    /// Up to where the loads go that the page had at `time`. The cursor moves on what the page
    /// follows, so it may be far behind; what it leaves out then is on its way in the inbox at most.
    fn loaded_by(&self, time: u64) -> Option<Position> {
        let had = |it: &&Loaded| it.frames <= self.acked_frames && it.sent_ms <= time;
        let loaded = self.loaded.iter().filter(had).map(|it| it.through).max();
        loaded.filter(|_| self.is_live())
    }
}
