//! A socket that knows how long the frame is that it is reading.
//!
//! A WebSocket library buffers a frame until it is whole, and a stock client sends weeks of work in
//! one frame. So memory for a large frame is reserved from a budget that all connections share, by
//! the length that the frame declares, before its payload is read; and one that is longer than the
//! peer may send is refused at its header.

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use crate::turns::{Held, Turns};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tidelog_protocol::{Form, UserId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Frames that take no more than a text of this length are read without asking.
const SMALL_BYTES: u64 = 16 << 10;

/// The budget counts in units of this many bytes.
const UNIT_BYTES: usize = 1 << 10;

/// What the actions of a frame take once they are read, beyond its own length: little for large ones,
/// but of the smallest, which are five times as large then, there may be 200,000.
const READ_TIMES: u64 = 5;
const READ_BYTES_MAX: u64 = 32 << 20;
/// The same of a binary frame, whose smallest actions have six bytes with what is said of them, and
/// stand for up to 32 times that in JSON.
const BINARY_TIMES: u64 = 64;
const BINARY_BYTES_MAX: u64 = 96 << 20;

/// The opcode of a binary frame (RFC 6455, section 5.2).
const BINARY: u8 = 2;

/// What a ping, a pong and a goodbye may hold.
const CONTROL_BYTES_MAX: u64 = 125;

/// One owner has at most this part of it, so that no one can keep all others waiting.
const OWNERS: usize = 4;

/// Bytes that all connections together may be buffering. Owners take turns at it.
#[derive(Clone)]
pub struct Budget(Arc<Pool>);

struct Pool {
    turns: Turns<Owner>,
    units: usize,
}

/// Whose frame it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// Somebody's who is not signed in, or anonymous.
    Address(IpAddr),
    /// A user's.
    User(UserId),
}

/// Memory that is reserved until this is dropped.
pub(crate) type Reserved = Held<Owner>;

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT_BYTES).max(1);
        Self(Arc::new(Pool { turns: Turns::new(units, (units / OWNERS).max(1)), units }))
    }

    /// How many bytes are reserved now.
    pub fn reserved_bytes(&self) -> usize {
        self.0.units.saturating_sub(self.0.turns.free()) * UNIT_BYTES
    }

    /// How many bytes are reserved or waited for now.
    pub(crate) fn bytes_to_come(&self) -> usize {
        self.reserved_bytes().saturating_add(self.waiting_bytes())
    }

    /// How many bytes are waited for now.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.0.turns.wanted() * UNIT_BYTES
    }

    /// Waits for what a text of `bytes` takes; who needs more than its part gets that.
    pub(crate) async fn reserve(&self, owner: Owner, bytes: u64) -> Reserved {
        self.0.turns.take(owner, self.units_of(bytes, Form::Text)).await
    }

    fn units_of(&self, bytes: u64, form: Form) -> usize {
        let units = taken(bytes, form).div_ceil(UNIT_BYTES as u64);
        usize::try_from(units).unwrap_or(usize::MAX).min(self.0.turns.share())
    }
}

/// What a frame of `bytes` takes, with what is read of it.
fn taken(bytes: u64, form: Form) -> u64 {
    let (times, most) = match form {
        Form::Text => (READ_TIMES, READ_BYTES_MAX),
        Form::Binary => (BINARY_TIMES, BINARY_BYTES_MAX),
    };
    bytes.saturating_add(bytes.saturating_mul(times).min(most))
}

type Asking = Pin<Box<dyn Future<Output = Reserved> + Send>>;

/// The metered socket.
pub(super) struct Metered<S> {
    socket: S,
    budget: Budget,
    owner: Owner,
    /// The longest message that the peer may send now.
    message_max: u64,
    /// Payload bytes of the message under way, over all its frames.
    message: u64,
    /// How that is written.
    form: Form,
    /// A message goes on in a further frame.
    unfinished: bool,
    scan: Scan,
    /// Reserved for the message under way.
    held: Vec<Reserved>,
    /// Reserved for messages that are whole and not yet dealt with.
    whole: Vec<Reserved>,
    asking: Option<Asking>,
}

/// A large message that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Large {
    /// Its length, as far as frames declare it.
    pub declared: u64,
    /// How much of that has come.
    pub received: u64,
    /// Its memory is waited for: nothing of it is read so long.
    pub waits: bool,
}

impl Large {
    /// How long after it began, in ms, so much of it has to be here: it has to come evenly within
    /// `patience_ms`, after a sixth of that in which nothing need come. Who sends a little now and then
    /// would keep the memory from everybody else.
    pub(crate) fn due_ms(&self, patience_ms: u64) -> u64 {
        let grace = patience_ms / 6;
        let share = self.received.saturating_mul(patience_ms - grace) / self.declared.max(1);
        grace.saturating_add(share)
    }
}

/// Where in the stream of frames the last byte read was.
enum Scan {
    /// Within a header: the bytes of it so far.
    Header([u8; 14], u8),
    /// Within a payload: how many bytes are to come.
    Payload(u64),
}

impl<S> Metered<S> {
    /// Meters the `socket` of `owner`, who may send messages of up to `message_max` bytes.
    pub(super) fn new(socket: S, budget: Budget, owner: Owner, message_max: usize) -> Self {
        let scan = Scan::Header([0; 14], 0);
        let message_max = message_max as u64;
        Self {
            socket,
            budget,
            owner,
            message_max,
            message: 0,
            form: Form::Text,
            unfinished: false,
            scan,
            held: Vec::new(),
            whole: Vec::new(),
            asking: None,
        }
    }

    /// What comes from now on is `owner`'s.
    pub(super) fn set_owner(&mut self, owner: Owner) {
        self.owner = owner;
    }

    /// The socket itself, when what comes in no longer counts.
    pub(super) fn socket(&mut self) -> &mut S {
        &mut self.socket
    }

    /// From now on the peer may send messages of up to `bytes`.
    pub(super) fn set_message_max(&mut self, bytes: usize) {
        self.message_max = bytes as u64;
    }

    /// The frames read so far are dealt with: their memory is free.
    pub(super) fn release(&mut self) {
        self.whole.clear();
        if !self.unfinished && !matches!(self.scan, Scan::Payload(_)) {
            self.held.clear();
        }
    }

    /// The large message that is under way, if memory is reserved for it, or waited for.
    pub(super) fn large_message(&self) -> Option<Large> {
        let waits = self.asking.is_some();
        let left = if let Scan::Payload(left) = self.scan { left } else { 0 };
        let unfinished = left > 0 || self.unfinished;
        (unfinished && (waits || !self.held.is_empty())).then(|| Large {
            declared: self.message,
            received: self.message.saturating_sub(left),
            waits,
        })
    }

    /// Whether the last byte that was read ended a message, or there was none.
    pub(super) fn is_between_messages(&self) -> bool {
        !self.unfinished && matches!(self.scan, Scan::Header(_, 0))
    }

    /// Whose frames these are.
    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether memory is reserved for what was read and is not dealt with.
    pub(super) fn holds_memory(&self) -> bool {
        !self.whole.is_empty() || !self.held.is_empty()
    }

    /// Follows the frames through `bytes`.
    fn scan(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.scan {
                Scan::Header(header, length) => {
                    if let Some(slot) = header.get_mut(usize::from(*length)) {
                        *slot = first;
                    }
                    *length += 1;
                    bytes = rest;
                    let so_far = header.get(..usize::from(*length)).unwrap_or(header);
                    if let (Some(payload), Some(&first)) = (payload_length(so_far), so_far.first())
                    {
                        self.begin_payload(first, payload)?;
                    }
                }
                Scan::Payload(left) => {
                    let here = (*left).min(bytes.len() as u64);
                    *left -= here;
                    bytes = bytes.get(usize::try_from(here).unwrap_or(0)..).unwrap_or_default();
                    if *left == 0 {
                        self.scan = Scan::Header([0; 14], 0);
                    }
                }
            }
        }
        Ok(())
    }

    /// A header is whole. Control frames (opcodes from 8 up) may stand between those of a message,
    /// whose later frames have opcode 0.
    fn begin_payload(&mut self, first: u8, length: u64) -> io::Result<()> {
        let (opcode, last) = (first & 0x0f, first & 0x80 != 0);
        if opcode >= 8 && length > CONTROL_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, LongControl));
        }
        self.message = match opcode {
            0 => self.message.saturating_add(length),
            1..8 => length,
            _ => self.message,
        };
        if (1..8).contains(&opcode) {
            self.form = if opcode == BINARY { Form::Binary } else { Form::Text };
            self.end_message();
        }
        if length.max(self.message) > self.message_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TooLong(self.message_max)));
        }
        if opcode < 8 {
            self.unfinished = !last;
        }
        if opcode < 8 && taken(self.message, self.form) > taken(SMALL_BYTES, Form::Text) {
            // Of a message in several frames only what it takes beyond those before.
            let held: usize = self.held.iter().map(Reserved::units).sum();
            let more = self.budget.units_of(self.message, self.form).saturating_sub(held);
            let (turns, owner) = (self.budget.0.turns.clone(), self.owner.clone());
            self.asking = Some(Box::pin(async move { turns.take(owner, more).await }));
        }
        self.scan = if length == 0 { Scan::Header([0; 14], 0) } else { Scan::Payload(length) };
        Ok(())
    }

    /// What was reserved so far is for messages before this one: it can be released while this one
    /// comes in, or two connections could each wait for what the other holds.
    fn end_message(&mut self) {
        self.whole.append(&mut self.held);
    }

    fn poll_reserved(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(asking) = &mut self.asking else { return Poll::Ready(()) };
        let granted = ready!(asking.as_mut().poll(cx));
        self.asking = None;
        self.held.push(granted);
        Poll::Ready(())
    }
}

/// A frame that is no message is longer than RFC 6455, section 5.5, allows. The library says so once it has buffered it.
#[derive(Debug, thiserror::Error)]
#[error("a control frame has at most {CONTROL_BYTES_MAX} bytes")]
pub(super) struct LongControl;

/// A message is longer than the peer may send.
#[derive(Debug, thiserror::Error)]
#[error("a frame has at most {0} bytes")]
pub(crate) struct TooLong(pub u64);

/// The length of the payload, once `header` is a whole header (RFC 6455, section 5.2).
fn payload_length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (length, extended) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?)), 2),
        127 => (u64::from_be_bytes(header.get(2..10)?.try_into().ok()?), 8),
        length => (u64::from(length), 0),
    };
    (header.len() == 2 + extended + mask).then_some(length)
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_reserved(cx));
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(this.scan(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
