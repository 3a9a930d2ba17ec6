//! The WebSocket library over a socket: messages in and out, and buffers that are given back.
//!
//! The library's buffers grow with the longest message and stay as they are; what was read is a slice of one, so
//! even what is dealt with stays in memory. Ten thousand clients that came back with long frames keep gigabytes
//! that way, for days. So what the library knows of a connection is made anew when nothing is under way on it.

#[cfg(test)]
mod tests;

use super::metered::Metered;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The library's buffers. Small, because most connections are idle; a longer frame grows them while
/// it lasts.
const BUFFER_BYTES: usize = 1 << 10;
/// What is read at once where more comes at a time: a system call each KiB would be most of the work.
const WIDE_BYTES: usize = 4 << 10;
/// After so many times that less came, the buffer is small again.
const CALM_MAX: u8 = 32;
/// A longer message leaves buffers that are worth giving back.
const GROWN_BYTES: usize = 4 << 10;

/// So many pings are answered before what goes out has to be taken: the library keeps its answers without another bound.
const PINGS_MAX: u8 = 32;

/// Messages over a metered socket.
pub(super) struct Stream<S> {
    socket: Metered<S>,
    library: WebSocketContext,
    out: Out,
    /// Nothing comes in any more.
    ended: bool,
    /// A message was long enough that the buffers have grown.
    grown: bool,
    /// The buffer is a wide one.
    wide: bool,
    /// How often all was read since what came last filled it.
    calm: u8,
    /// Pings whose answers may still be in the library.
    pings: u8,
}

/// How far what was sent has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    /// All of it is with the socket.
    Flushed,
    /// The library may have some of it.
    Unflushed,
    /// The library has some that the socket did not take.
    Blocked,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(super) fn new(socket: Metered<S>) -> Self {
        Self {
            socket,
            library: library(BUFFER_BYTES),
            out: Out::Flushed,
            ended: false,
            grown: false,
            wide: false,
            calm: CALM_MAX,
            pings: 0,
        }
    }

    pub(super) fn socket(&self) -> &Metered<S> {
        &self.socket
    }

    pub(super) fn socket_mut(&mut self) -> &mut Metered<S> {
        &mut self.socket
    }

    /// The next message; none when the connection has ended.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.pings >= PINGS_MAX
            && let Err(error) = ready!(self.poll_flush(cx))
        {
            self.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        let mut read = self.with(cx, |library, socket| library.read(socket));
        if read.is_pending() && (self.is_to_change() || self.grown) && self.is_quiet() {
            self.wide = self.calm < CALM_MAX;
            self.library = library(if self.wide { WIDE_BYTES } else { BUFFER_BYTES });
            self.grown = false;
            // Nothing is left in the buffers that were; what has come meanwhile wakes whoever asked last.
            read = self.with(cx, |library, socket| library.read(socket));
        }
        Poll::Ready(match ready!(read) {
            Ok(message) => {
                self.grown |= message.len() > GROWN_BYTES;
                self.pings = self.pings.saturating_add(message.is_ping().into());
                // The library answers these by itself.
                if self.out == Out::Flushed && (message.is_ping() || message.is_close()) {
                    self.out = Out::Unflushed;
                }
                Some(Ok(message))
            }
            Err(error) => {
                self.ended = true;
                let closed = matches!(error, Error::AlreadyClosed | Error::ConnectionClosed);
                (!closed).then_some(Err(error))
            }
        })
    }

    /// All that came was read. Whether it is so much now, or so little, that another buffer is the right one.
    fn is_to_change(&mut self) -> bool {
        self.calm = self.calm.saturating_add(1).min(CALM_MAX);
        self.wide != (self.calm < CALM_MAX)
    }

    /// Whether the buffers are empty, and nothing else is under way.
    fn is_quiet(&self) -> bool {
        self.out == Out::Flushed && self.library.can_write() && self.socket.is_between_messages()
    }

    /// Whether there is room for a message.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.out == Out::Blocked { self.poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Puts a message behind those that are on their way out, once there is room.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, message: Message) -> Result<(), Error> {
        self.grown |= message.len() > GROWN_BYTES;
        self.out = Out::Unflushed;
        match self.with(cx, |library, socket| library.write(socket, message)) {
            Poll::Ready(sent) => sent,
            // It has the message.
            Poll::Pending => {
                self.out = Out::Blocked;
                Ok(())
            }
        }
    }

    /// Writes what was put.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.out == Out::Flushed {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(self.with(cx, |library, socket| library.flush(socket)));
        (self.out, self.pings) = (Out::Flushed, 0);
        Poll::Ready(match flushed {
            Err(Error::ConnectionClosed) => Ok(()),
            flushed => flushed,
        })
    }

    fn with<T>(
        &mut self,
        cx: &mut Context<'_>,
        ask: impl FnOnce(&mut WebSocketContext, &mut Now<'_, '_, Metered<S>>) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        let mut now = Now { socket: &mut self.socket, calm: &mut self.calm, cx };
        match ask(&mut self.library, &mut now) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            done => Poll::Ready(done),
        }
    }
}

/// How long a message may be is the metered socket's to say, which knows before the library does.
fn library(read_bytes: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(read_bytes)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(None)
        .max_frame_size(None);
    WebSocketContext::new(Role::Server, Some(config))
}

/// A socket as the library wants it: what would wait is an error, and wakes the task later.
struct Now<'a, 'b, S> {
    socket: &'a mut S,
    calm: &'a mut u8,
    cx: &'a mut Context<'b>,
}

fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<S: AsyncRead + Unpin> Read for Now<'_, '_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        now(Pin::new(&mut *self.socket).poll_read(self.cx, &mut buffer))?;
        if buffer.remaining() == 0 {
            *self.calm = 0;
        }
        Ok(buffer.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Now<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.socket).poll_write(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        now(Pin::new(&mut *self.socket).poll_flush(self.cx))
    }
}
