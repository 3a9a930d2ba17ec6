//! A running connection, the same in both roles: numbers, acknowledgements, pings.

use super::{Tick, Timers};
use crate::codec::{Codec, Link, Version};
use crate::{Action, Form, Frame, Headers, Message, Meta, Sync, WireError};
use std::collections::VecDeque;

/// A connection after the handshake.
#[derive(Debug)]
pub struct Connection {
    codec: Codec,
    /// How the other side last wrote, and so how it is written to.
    form: Form,
    timers: Timers,
    /// What an action's subprotocol is when its meta has none.
    remote_subprotocol: u32,
    /// The greatest number sent so far.
    number: u64,
    /// The other side was told that it has what there was before the connection.
    ready_sent: bool,
    /// Sent and not acknowledged, oldest first.
    sent: VecDeque<SentSync>,
    sent_bytes: usize,
    /// When a message last went in or out.
    quiet_since_ms: u64,
    /// When the last acknowledgement came.
    progress_ms: u64,
    /// When the ping went out that is not answered yet.
    ping_sent_ms: Option<u64>,
}

/// How a connection begins.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) now: u64,
    pub(super) form: Form,
    pub(super) timers: Timers,
    pub(super) remote_subprotocol: u32,
}

/// A sync that went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentSync {
    /// Its number.
    pub number: u64,
    /// Whatever the caller wanted back with the acknowledgement.
    pub token: u64,
    /// The length of its frame.
    pub bytes: usize,
    /// When it went out.
    pub sent_ms: u64,
}

/// What was sent and is not acknowledged: the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// How many syncs.
    pub count: usize,
    /// How many bytes their frames had.
    pub bytes: usize,
}

/// What a frame said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Actions; answer with [`Connection::synced`].
    Sync(Sync),
    /// The oldest unacknowledged sync is acknowledged.
    Synced(SentSync),
    /// Answer with [`Connection::pong`].
    Ping(u64),
    /// The other side is there; its number.
    Pong(u64),
    /// The other side has sent what it had before the connection; its number.
    Ready(u64),
    /// What the other side's application wants known from now on.
    Headers(Headers),
    /// The other side found an error.
    Error(WireError),
    /// A text for the developer's console.
    Debug(String),
    /// An acknowledgement of nothing.
    Nothing,
}

impl Connection {
    pub(super) fn new(codec: Codec, start: Start) -> Self {
        let Start { now, form, timers, remote_subprotocol } = start;
        Self {
            codec,
            form,
            timers,
            remote_subprotocol,
            number: 0,
            ready_sent: false,
            sent: VecDeque::new(),
            sent_bytes: 0,
            quiet_since_ms: now,
            progress_ms: now,
            ping_sent_ms: None,
        }
    }

    /// Takes a frame. After an error send [`Connection::error`] and close.
    pub fn receive(&mut self, frame: &Frame, now: u64) -> Result<Received, WireError> {
        self.form = frame.form();
        let message = self.codec.decode(frame)?;
        self.quiet_since_ms = now;
        Ok(match message {
            Message::Sync(mut sync) => {
                for pair in &mut sync.batch {
                    pair.meta.subprotocol.get_or_insert(self.remote_subprotocol);
                }
                Received::Sync(sync)
            }
            // Matched in order, not by number: several syncs can go out under one number.
            Message::Synced(_) => {
                self.acknowledged(now).map_or(Received::Nothing, Received::Synced)
            }
            Message::Ping(number) => Received::Ping(number),
            Message::Pong(number) => {
                self.ping_sent_ms = None;
                Received::Pong(number)
            }
            Message::Headers(headers) => Received::Headers(headers),
            Message::Error(error) => Received::Error(error),
            Message::Debug(text) => Received::Debug(text),
            Message::Ready(number) => Received::Ready(number),
            Message::Connect(_) | Message::Connected(_) => return Err(WireError::misplaced(frame)),
        })
    }

    fn acknowledged(&mut self, now: u64) -> Option<SentSync> {
        let sent = self.sent.pop_front()?;
        self.sent_bytes = self.sent_bytes.saturating_sub(sent.bytes);
        self.progress_ms = now;
        Some(sent)
    }

    /// The frame of a sync. `token` comes back with its acknowledgement.
    pub fn sync<'a>(
        &mut self,
        number: u64,
        actions: impl IntoIterator<Item = (&'a Action, &'a Meta)>,
        token: u64,
        now: u64,
    ) -> Frame {
        let number = self.rise_to(number);
        let frame = self.codec.sync(self.form, number, actions);
        self.quiet_since_ms = now;
        self.sent_bytes = self.sent_bytes.saturating_add(frame.len());
        self.sent.push_back(SentSync { number, token, bytes: frame.len(), sent_ms: now });
        frame
    }

    /// The frame that acknowledges a sync of the other side, by the number that it had.
    pub fn synced(&mut self, number: u64, now: u64) -> Frame {
        self.frame(&Message::Synced(number), now)
    }

    /// The frame of a ping.
    pub fn ping(&mut self, number: u64, now: u64) -> Frame {
        let number = self.rise_to(number);
        self.ping_sent_ms.get_or_insert(now);
        self.frame(&Message::Ping(number), now)
    }

    /// The frame that answers a ping.
    pub fn pong(&mut self, number: u64, now: u64) -> Frame {
        let number = self.rise_to(number);
        self.frame(&Message::Pong(number), now)
    }

    /// The frame that says, once per connection, that the other side was sent what there was before
    /// it; none in versions that do not say so.
    pub fn ready(&mut self, number: u64, now: u64) -> Option<Frame> {
        if !self.version().says_ready() || std::mem::replace(&mut self.ready_sent, true) {
            return None;
        }
        let number = self.rise_to(number);
        Some(self.frame(&Message::Ready(number), now))
    }

    /// The frame of new headers.
    pub fn headers(&mut self, headers: &Headers, now: u64) -> Frame {
        self.quiet_since_ms = now;
        self.codec.version().headers(self.form, headers)
    }

    /// The frame of a text for the developer's console.
    pub fn debug(&mut self, text: String, now: u64) -> Frame {
        self.frame(&Message::Debug(text), now)
    }

    /// The frame of an error. A timeout is never told: after [`Tick::TimedOut`] just close.
    pub fn error(&mut self, error: &WireError, now: u64) -> Frame {
        self.quiet_since_ms = now;
        self.codec.version().error(self.form, error)
    }

    fn frame(&mut self, message: &Message, now: u64) -> Frame {
        self.quiet_since_ms = now;
        self.codec.encode(self.form, message)
    }

    /// Clients keep the last number they saw, even a lower one, and would ask for too much, or throw
    /// away what they have, so numbers never fall.
    fn rise_to(&mut self, number: u64) -> u64 {
        debug_assert!(number >= self.number, "{number} after {}", self.number);
        self.number = self.number.max(number);
        self.number
    }

    /// What was sent and is not acknowledged.
    pub fn outstanding(&self) -> Outstanding {
        Outstanding { count: self.sent.len(), bytes: self.sent_bytes }
    }

    /// The protocol version.
    pub fn version(&self) -> Version {
        self.codec.version()
    }

    /// Who is at the two ends, and the base of times.
    pub fn link(&self) -> &Link {
        self.codec.link()
    }

    /// When [`Connection::tick`] will have something to say, as things stand.
    pub fn deadline(&self) -> u64 {
        [self.ping_deadline(), self.answer_deadline()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(u64::MAX)
    }

    /// What time has brought.
    pub fn tick(&self, now: u64) -> Tick {
        let due = |deadline: Option<u64>| deadline.is_some_and(|deadline| now >= deadline);
        if due(self.answer_deadline()) {
            Tick::TimedOut
        } else if due(self.ping_deadline()) {
            Tick::Ping
        } else {
            Tick::Nothing
        }
    }

    /// When to ask whether the other side is there; never while it is being asked.
    fn ping_deadline(&self) -> Option<u64> {
        let due = self.quiet_since_ms.saturating_add(self.timers.idle_ms);
        self.ping_sent_ms.is_none().then_some(due)
    }

    /// When the oldest question must be answered. It waits from the last acknowledgement, so that a
    /// slow link may take its time for a whole window, and a ping behind it, as long as it moves.
    fn answer_deadline(&self) -> Option<u64> {
        let sync = self.sent.front().map(|sent| sent.sent_ms);
        let asked = [sync, self.ping_sent_ms].into_iter().flatten().min()?;
        Some(asked.max(self.progress_ms).saturating_add(self.timers.answer_ms))
    }
}
