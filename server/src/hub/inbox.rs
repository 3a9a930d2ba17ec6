//! What the rest of the server has for one session.
//!
//! A session that is caught up finds the entries themselves here. For one that is behind nothing is
//! queued: it reads on from the log, and only what no log keeps (live-only actions, and those
//! addressed to this very client or node) waits here, bounded.

use crate::log::Entry;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_crdt::Position;
use tokio::sync::Notify;

/// Entries that wait for a session that is caught up; more, and it reads from the log instead.
const ENTRIES_MAX: usize = 64;
/// Live-only entries that wait for a session that is behind; older ones are dropped first.
const LIVE_MAX: usize = 64;

/// One session's mail box. Empty, it allocates nothing.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    mail: Notify,
    ended: Notify,
    left: Notify,
}

/// What one look into the inbox yields.
pub struct Parcel {
    /// Entries in order of position.
    pub entries: Vec<Delivery>,
    /// After these, entries are missing: the session is behind.
    pub overflowed: bool,
    /// Live-only entries that found no room since the last look.
    pub dropped: u64,
}

/// An entry on its way to one session.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What is delivered.
    pub entry: Arc<Entry>,
    /// It is addressed to this very client or node, or no log keeps it: no log has it for this
    /// session.
    pub live: bool,
}

/// Whether a session that was behind may now live from its inbox.
pub enum Resumed {
    /// Everything after what the session has read arrives here from now on.
    CaughtUp,
    /// Entries up to this position were not queued: read on.
    ReadOn,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    /// Entries are not queued, because the session reads the log.
    behind: bool,
    /// The greatest position that came by while `behind`.
    missed: Position,
    /// The serial number last put, so that several addresses of one entry count once.
    latest: u64,
    ended: bool,
    dropped: u64,
}

impl Inbox {
    /// An inbox of a session that starts behind.
    pub fn behind() -> Arc<Self> {
        let inbox = Self::default();
        inbox.state().behind = true;
        Arc::new(inbox)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the entry in that was published under this serial number, once. Returns whether the
    /// session must look.
    pub(super) fn put(&self, entry: &Arc<Entry>, live: bool, serial: u64) -> bool {
        let mut state = self.state();
        // Not its position: an entry that is not kept has that of the entry before it.
        if std::mem::replace(&mut state.latest, serial) == serial {
            return false;
        }
        state.put(Delivery { entry: entry.clone(), live })
    }

    /// Ends the session.
    pub fn dismiss(&self) {
        self.state().ended = true;
        self.ended.notify_waiters();
        self.ended.notify_one();
    }

    /// Whether the session is to end.
    pub fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Waits until the session is to end.
    pub async fn ended(&self) {
        while !self.has_ended() {
            self.ended.notified().await;
        }
    }

    /// The session has ended, and what is to be remembered of it is.
    pub fn leave(&self) {
        self.left.notify_one();
    }

    /// Waits until the session has ended.
    pub async fn left(&self) {
        self.left.notified().await;
    }

    pub(super) fn wake(&self) {
        self.mail.notify_one();
    }

    /// Waits until there is something to look at.
    pub async fn mail(&self) {
        loop {
            self.mail.notified().await;
            // It may have been taken since, by who came for something else.
            if self.state().has_news() {
                return;
            }
        }
    }

    /// Takes what is there; of a session that is behind, what no log has.
    pub fn take(&self) -> Parcel {
        let mut state = self.state();
        Parcel {
            entries: state.queue.drain(..).collect(),
            overflowed: state.behind,
            dropped: std::mem::take(&mut state.dropped),
        }
    }

    /// The session does not take entries up to `position` from here after all: it reads them from the
    /// log, with everything that comes meanwhile.
    pub fn leave_to_log(&self, position: Position) {
        let mut state = self.state();
        state.fall_behind();
        state.missed = state.missed.max(position);
    }

    /// The session has read its logs up to `through`. If nothing came by since, it lives from the
    /// inbox again; live-only entries that waited come first.
    pub fn resume(&self, through: Position) -> Resumed {
        let mut state = self.state();
        if state.missed > through {
            return Resumed::ReadOn;
        }
        state.behind = false;
        if !state.queue.is_empty() {
            self.mail.notify_one();
        }
        Resumed::CaughtUp
    }
}

impl State {
    /// Whether there is anything in it, or it says that the session is behind.
    fn has_news(&self) -> bool {
        self.behind || !self.queue.is_empty()
    }

    fn put(&mut self, delivery: Delivery) -> bool {
        if !self.behind && self.queue.len() >= ENTRIES_MAX {
            self.fall_behind();
            self.note(delivery);
            return true;
        }
        if self.behind {
            self.note(delivery);
            return false;
        }
        self.queue.push_back(delivery);
        self.queue.len() == 1
    }

    fn note(&mut self, delivery: Delivery) {
        if delivery.entry.kept {
            self.missed = self.missed.max(delivery.entry.position);
        }
        if !delivery.live {
            return;
        }
        if self.queue.len() >= LIVE_MAX {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(delivery);
    }

    fn fall_behind(&mut self) {
        if self.behind {
            return;
        }
        self.behind = true;
        for delivery in std::mem::take(&mut self.queue) {
            self.note(delivery);
        }
    }
}
