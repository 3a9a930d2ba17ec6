//! What a connection takes from the others, and for how long: its turn, memory for what it sends, and
//! memory for what it is sent.

use super::super::End;
use super::Driver;
use crate::ws::Socket;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// While memory is short: how long a client may take nothing of what it is sent.
const STUCK_MS: u64 = 10_000;

impl Driver<'_> {
    /// Lets the next client in when this one has caught up. One whose link is slow does not keep others
    /// waiting: after a while only what it sent, and is not answered, does.
    pub(super) fn settle(&mut self, socket: &Socket, now: u64) {
        let answered = self.session.is_answered() && socket.large_message().is_none();
        if answered
            && self.session.is_live()
            && let Some(arrival) = self.arrival.take()
        {
            self.permit = None;
            self.app.door.caught_up(&arrival, self.served);
        }
        let due = self.permit.as_ref().is_some_and(|permit| permit.until_ms <= now);
        if due && self.session.is_answered() {
            self.permit = None;
        }
    }

    /// Memory is reserved for a large frame while it comes in, so it may not take for ever.
    pub(super) fn watch_large_frame(&mut self, socket: &Socket, now: u64) -> Result<(), End> {
        let Some(large) = socket.large_message() else {
            self.large_frame_since = None;
            self.large_frame_due = None;
            return Ok(());
        };
        let patience = self.app.peer.timers.answer_ms;
        // It begins when its memory is there; that may take as long as a client has patience.
        let since = match self.large_frame_since {
            Some((since, waited)) if waited == large.waits => since,
            _ => now,
        };
        self.large_frame_since = Some((since, large.waits));
        let due = since.saturating_add(if large.waits { patience } else { large.due_ms(patience) });
        self.large_frame_due = Some(due);
        if now >= due { Err(End::Silent) } else { Ok(()) }
    }

    /// Memory for what goes out is short: who takes nothing is not waited for.
    pub(super) fn watch_outgoing(&mut self, socket: &Socket, now: u64) -> Result<(), End> {
        if socket.outgoing_bytes() == 0 {
            self.stuck = None;
            return Ok(());
        }
        let taken = socket.taken_bytes();
        let (_, since) = *self.stuck.insert(match self.stuck {
            Some((seen, since)) if seen == taken => (seen, since),
            _ => (taken, now),
        });
        let stuck = now >= since.saturating_add(STUCK_MS) && self.app.outgoing.is_short();
        if stuck { Err(End::Silent) } else { Ok(()) }
    }

    /// Whether the client may be sent what it has not asked for now.
    pub(super) fn may_send(&self, socket: &Socket) -> bool {
        socket.has_taken_most() || !self.app.outgoing.is_short()
    }

    /// Whether memory for its frames is free as soon as it has taken its answers.
    pub(super) fn waits_to_release(&self, socket: &Socket) -> bool {
        !socket.has_taken_most() && socket.holds_memory() && self.session.is_answered()
    }

    pub(super) fn measure(&mut self, socket: &Socket) {
        if self.reading.is_none() && socket.outgoing_bytes() == 0 {
            self.chunk = None;
        }
        self.catching_up.set(i64::from(!self.session.is_live()));
        self.outgoing.set(i64::try_from(socket.outgoing_bytes()).unwrap_or(i64::MAX));
    }

    pub(super) fn set_alarm(&self, sleep: Pin<&mut Sleep>, expires_ms: Option<u64>, now: u64) {
        let large = self.large_frame_due;
        let stuck =
            self.stuck.map(|(_, since)| since.saturating_add(STUCK_MS).max(now + STUCK_MS / 10));
        // Once it is over, the answer that is waited for ends it.
        let held = self.permit.as_ref().map(|permit| permit.until_ms).filter(|until| *until > now);
        let leave = self.leave_at.filter(|_| !self.draining);
        let deadlines = [expires_ms, large, held, stuck, leave].into_iter().flatten();
        let due = deadlines.fold(self.session.deadline(), u64::min);
        // A far deadline, so that adding it to now cannot overflow.
        let wait = Duration::from_millis(due.saturating_sub(now).min(86_400_000));
        sleep.reset(Instant::now() + wait);
    }
}
