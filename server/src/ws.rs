//! WebSockets: the upgrade of an HTTP request, and frames in and out. Nothing else knows the WebSocket
//! library, but for `outward`: sockets that this server opens.

#[cfg(test)]
mod autobahn;
mod impatient;
mod metered;
pub(crate) mod outward;
mod stream;

pub(crate) use impatient::Impatient;
pub(crate) use metered::{Budget, Large, Owner, Reserved, TooLong};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use metered::{LongControl, Metered};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use stream::Stream;
use tidelog_protocol::{Form, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// Outgoing bytes that wait for the peer; with more, nothing further is put behind them.
const OUT_BYTES_MAX: usize = 256 << 10;
/// So few of them are as good as none.
const OUT_BYTES_FEW: usize = 32 << 10;

/// Whether the request asks for a WebSocket.
pub(crate) fn is_upgrade<B>(request: &Request<B>) -> bool {
    let has = |name, token: &str| {
        let values = request.headers().get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade")
}

/// The answer to the request, and, if it is one for a WebSocket, what becomes the socket.
pub(crate) fn upgrade<B>(request: &mut Request<B>) -> (Response<Empty<Bytes>>, Option<OnUpgrade>) {
    let headers = request.headers();
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let (Some(b"13"), Some(key)) = (version, key) else {
        let mut refusal = Response::new(Empty::new());
        *refusal.status_mut() = StatusCode::UPGRADE_REQUIRED;
        let version = HeaderValue::from_static("13");
        refusal.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
        return (refusal, None);
    };
    let accept = derive_accept_key(key.as_bytes());
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    fill(answer.headers_mut(), &accept);
    (answer, Some(hyper::upgrade::on(request)))
}

fn fill(headers: &mut HeaderMap, accept: &str) {
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    // Base64 is always a header value.
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
}

/// A WebSocket: frames in, frames out, both without waiting for the other.
pub(crate) struct Socket {
    inner: Stream<TokioIo<Upgraded>>,
    out: VecDeque<Frame>,
    out_bytes: usize,
    /// What the library has and has not written.
    unflushed: usize,
    /// Bytes that went from here to the library.
    taken: u64,
}

/// What came from the peer.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Nothing, but there is room again for what goes out.
    Room,
    /// A frame of the protocol.
    Frame(Frame),
    /// The peer closed, or the connection broke.
    Closed,
    /// The peer declared a frame that is longer than it may be; the sentence says how long.
    TooLong(String),
    /// What RFC 6455 does not allow.
    Malformed(Breach),
}

/// How a peer broke RFC 6455, which gives each a close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// Frames that cannot be.
    Framing,
    /// Text that is not UTF-8.
    Text,
}

impl Socket {
    /// The socket of an upgraded connection of `owner`, who may send messages of up to `message_max`
    /// bytes.
    pub(crate) fn new(
        upgraded: Upgraded,
        budget: Budget,
        owner: Owner,
        message_max: usize,
    ) -> Self {
        let metered = Metered::new(TokioIo::new(upgraded), budget, owner, message_max);
        Self {
            inner: Stream::new(metered),
            out: VecDeque::new(),
            out_bytes: 0,
            unflushed: 0,
            taken: 0,
        }
    }

    /// What comes from now on is `owner`'s.
    pub(crate) fn set_owner(&mut self, owner: Owner) {
        self.inner.socket_mut().set_owner(owner);
    }

    /// From now on the peer may send messages of up to `bytes`.
    pub(crate) fn set_message_max(&mut self, bytes: usize) {
        self.inner.socket_mut().set_message_max(bytes);
    }

    /// What was received is dealt with; the memory reserved for it is free.
    pub(crate) fn release(&mut self) {
        self.inner.socket_mut().release();
    }

    /// The large message that the peer is in the middle of.
    pub(crate) fn large_message(&self) -> Option<Large> {
        self.inner.socket().large_message()
    }

    /// Whether memory is reserved for what was received.
    pub(crate) fn holds_memory(&self) -> bool {
        self.inner.socket().holds_memory()
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> &Owner {
        self.inner.socket().owner()
    }

    /// Puts a frame behind those that are on their way out.
    pub(crate) fn send(&mut self, frame: Frame) {
        self.out_bytes = self.out_bytes.saturating_add(frame.len());
        self.out.push_back(frame);
    }

    /// Bytes on their way out that the peer has not taken yet.
    pub(crate) fn outgoing_bytes(&self) -> usize {
        self.out_bytes.saturating_add(self.unflushed)
    }

    /// Whether so few of them are left as are as good as none.
    pub(crate) fn has_taken_most(&self) -> bool {
        self.out_bytes <= OUT_BYTES_FEW
    }

    /// How many bytes the peer has taken so far, counted by frames that it took.
    pub(crate) fn taken_bytes(&self) -> u64 {
        self.taken
    }

    /// How many bytes may be put on their way out.
    pub(crate) fn room(&self) -> usize {
        OUT_BYTES_MAX.saturating_sub(self.out_bytes)
    }

    /// Writes what is ready to go out, and waits for what comes in; only writes with `read` off. With
    /// `wants_room` it also tells when nearly all has gone out.
    ///
    /// A peer that takes what it is sent slowly, or not at all, is still read from: what it has taken
    /// shows in what it says. Who calls must not put more on its way out than there is room for.
    pub(crate) async fn next(&mut self, read: bool, wants_room: bool) -> Incoming {
        poll_fn(|cx| self.poll_next(cx, read, wants_room)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, read: bool, wants_room: bool) -> Poll<Incoming> {
        if self.poll_write(cx).is_err() {
            return Poll::Ready(Incoming::Closed);
        }
        // Asked after writing: the write that makes room is what wakes this.
        if wants_room && self.out_bytes <= OUT_BYTES_FEW {
            return Poll::Ready(Incoming::Room);
        }
        if !read {
            return Poll::Pending;
        }
        loop {
            return match ready!(self.inner.poll_next(cx)) {
                Some(Ok(Message::Text(text))) => Poll::Ready(Incoming::Frame(Frame::text(text))),
                Some(Ok(Message::Binary(bytes))) => {
                    Poll::Ready(Incoming::Frame(Frame::binary(bytes)))
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => Poll::Ready(fault(error)),
                Some(Ok(Message::Close(_))) | None => Poll::Ready(Incoming::Closed),
            };
        }
    }

    /// Writes as much as the peer takes now, and flushes once.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.poll_put(cx)?.is_ready() && self.inner.poll_flush(cx)?.is_ready() {
            self.unflushed = 0;
        }
        Ok(())
    }

    /// Hands the library as much as the peer takes now.
    fn poll_put(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.out.is_empty() {
            ready!(self.inner.poll_ready(cx))?;
            if let Some(frame) = self.out.pop_front() {
                self.out_bytes -= frame.len();
                self.unflushed += frame.len();
                self.taken += frame.len() as u64;
                self.inner.send(cx, message(frame))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what is on its way out and closes, within `patience`. Whoever does not take a goodbye in
    /// time does without.
    pub(crate) async fn close(mut self: Box<Self>, breach: Option<Breach>, patience: Duration) {
        drop(tokio::time::timeout(patience, self.say_goodbye(breach)).await);
    }

    async fn say_goodbye(&mut self, breach: Option<Breach>) -> Result<(), Error> {
        // After a goodbye of the peer these fail, and the answer to it is ready to be flushed.
        drop(self.put_goodbye(breach).await);
        poll_fn(|cx| self.inner.poll_flush(cx)).await?;
        // A socket that is closed with something unread takes back what was sent last, so the rest is
        // read until the peer has closed, too.
        let socket = self.inner.socket_mut().socket();
        socket.shutdown().await?;
        let mut unread = [0; 1 << 10];
        while socket.read(&mut unread).await? > 0 {}
        Ok(())
    }

    async fn put_goodbye(&mut self, breach: Option<Breach>) -> Result<(), Error> {
        poll_fn(|cx| self.poll_put(cx)).await?;
        let frame = breach.map(|breach| CloseFrame {
            code: match breach {
                Breach::Framing => CloseCode::Protocol,
                Breach::Text => CloseCode::Invalid,
            },
            reason: Utf8Bytes::default(),
        });
        poll_fn(|cx| {
            ready!(self.inner.poll_ready(cx))?;
            Poll::Ready(self.inner.send(cx, Message::Close(frame.clone())))
        })
        .await
    }
}

fn message(frame: Frame) -> Message {
    let form = frame.form();
    let bytes = frame.into_bytes();
    match form {
        // What the codecs write as text is text.
        Form::Text => match Utf8Bytes::try_from(bytes.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(bytes),
        },
        Form::Binary => Message::Binary(bytes),
    }
}

fn fault(error: Error) -> Incoming {
    match error {
        Error::Io(error) => {
            let inner = error.get_ref();
            if inner.and_then(|inner| inner.downcast_ref::<LongControl>()).is_some() {
                return Incoming::Malformed(Breach::Framing);
            }
            let too_long = inner.and_then(|inner| inner.downcast_ref::<TooLong>());
            too_long.map_or(Incoming::Closed, |limit| Incoming::TooLong(limit.to_string()))
        }
        Error::Capacity(error) => Incoming::TooLong(error.to_string()),
        Error::Protocol(_) => Incoming::Malformed(Breach::Framing),
        Error::Utf8(_) => Incoming::Malformed(Breach::Text),
        _ => Incoming::Closed,
    }
}
