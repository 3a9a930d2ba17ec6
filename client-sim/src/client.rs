//! One simulated device: a socket, and the protocol's peer in its client role.
//!
//! [`Client`] is a device that is signed in. What a device of a scenario does with one is below: `device` is its plan and its
//! state, `socketed` and `polling` are its two ways to speak, `hearing` is what it takes in, `backoff` when it tries again.

mod backoff;
mod device;
mod hearing;
mod polling;
mod socketed;

pub(crate) use device::{Device, Ended};

use crate::clock::now_ms;
use crate::ids::Ids;
use crate::line::Faults;
use crate::secure::Tls;
use crate::tape::{Side, Tape};
use crate::wire::{OpenError, Wire};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use tidelog_protocol::codec::Version;
use tidelog_protocol::peer::{
    ClientEvent, ClientHandshake, Connection, Finished, Hello, Received, SentSync, Settings, Tick,
};
use tidelog_protocol::{
    Action, ActionId, Connected, Form, Frame, Headers, Limits, Meta, NodeId, Sync, Token, WireError,
};

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub server: SocketAddr,
    /// TLS, if it is spoken there.
    pub tls: Option<Tls>,
    /// The version of the protocol that devices speak.
    pub version: Version,
    /// What their frames are.
    pub form: Form,
    /// What proves who a device is.
    pub token: Option<Token>,
    /// The address to come from.
    pub source: Option<Ipv4Addr>,
}

/// A device that is signed in.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    connection: Connection,
    connected: Connected,
    headers: Option<Headers>,
    queued: VecDeque<Frame>,
    ids: Ids,
    number: u64,
    /// What was last said and heard, where somebody wants to know.
    tape: Option<Box<Tape>>,
}

/// Why a device is not signed in, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server closed, or the connection broke.
    #[error("the connection is closed")]
    Closed,
    /// The server said what is wrong.
    #[error("the server says {0}")]
    Told(WireError),
    /// The server sent what it may not.
    #[error("the server's frame breaks the protocol: {0}")]
    Breach(WireError),
}

/// What a device learns from a frame. Syncs and pings are answered already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Actions came.
    Sync(Sync),
    /// The oldest unacknowledged sync is acknowledged.
    Synced(SentSync),
    /// A number came without actions: the device has everything up to it.
    Number(u64),
    /// Nothing that matters here.
    Other,
}

impl Client {
    /// Connects as `node`, which has everything up to `synced`, and waits to be let in.
    pub async fn sign_in(target: &Target, node: &NodeId, synced: u64) -> Result<Self, ClientError> {
        Self::sign_in_through(None, target, node, synced).await
    }

    /// The same over a line with faults.
    pub(crate) async fn sign_in_through(
        faults: Option<Box<Faults>>,
        target: &Target,
        node: &NodeId,
        synced: u64,
    ) -> Result<Self, ClientError> {
        let wire =
            Wire::open_through((target.server, target.tls.as_ref()), target.source, faults).await?;
        Self::sign_in_over(wire, target, node, synced).await
    }

    async fn sign_in_over(
        mut wire: Wire,
        target: &Target,
        node: &NodeId,
        synced: u64,
    ) -> Result<Self, ClientError> {
        let hello = Hello {
            version: target.version,
            form: target.form,
            node: node.clone(),
            synced,
            token: target.token.clone(),
            subprotocol: 0,
            headers: None,
        };
        let (mut handshake, frames) = ClientHandshake::new(now_ms(), &settings(), hello);
        for frame in frames {
            wire.send_frame(frame);
        }
        loop {
            let frame = wire.next().await.ok_or(ClientError::Closed)?;
            match handshake.on_frame(&frame).map_err(ClientError::Breach)? {
                ClientEvent::Wait => {}
                ClientEvent::Error(error) => return Err(ClientError::Told(error)),
                ClientEvent::Connected(connected) => {
                    let Finished { connection, headers, queued } =
                        handshake.finish(&connected, now_ms());
                    let ids = Ids::new(node.clone());
                    let queued = queued.into();
                    return Ok(Self {
                        wire,
                        connection,
                        connected,
                        headers,
                        queued,
                        ids,
                        number: 0,
                        tape: None,
                    });
                }
            }
        }
    }

    /// What the server said when it let the device in.
    pub fn connected(&self) -> &Connected {
        &self.connected
    }

    /// What the server's application wants known.
    pub fn headers(&self) -> Option<&Headers> {
        self.headers.as_ref()
    }

    /// Sends actions, each new, in one frame; their ids. `token` comes back with the acknowledgement.
    pub fn send<'a>(
        &mut self,
        actions: impl IntoIterator<Item = &'a Action>,
        token: u64,
    ) -> Vec<ActionId> {
        let now = now_ms();
        let pairs: Vec<_> = actions.into_iter().map(|action| (action, self.meta(now))).collect();
        self.send_again(pairs.iter().map(|(action, meta)| (*action, meta)), token);
        pairs.into_iter().map(|(_, meta)| meta.id).collect()
    }

    /// Sends actions under ids that they have already, in one frame.
    pub fn send_again<'a>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'a Action, &'a Meta)>,
        token: u64,
    ) {
        self.number += 1;
        let frame = self.connection.sync(self.number, pairs, token, now_ms());
        self.say(frame);
    }

    /// Says, where the protocol has that, that what was made before the connection is sent.
    pub(crate) fn ready(&mut self) {
        if let Some(frame) = self.connection.ready(self.number, now_ms()) {
            self.say(frame);
        }
    }

    /// Without the buffers that long frames have left behind.
    pub(crate) fn slim(self: Box<Self>) -> Box<Self> {
        if !self.wire.is_baggy() {
            return self;
        }
        let client = *self;
        Box::new(Self { wire: client.wire.shrunk(), ..client })
    }

    /// When [`Client::tick`] is due, by the clock of ids.
    pub(crate) fn deadline(&self) -> u64 {
        self.connection.deadline()
    }

    /// Asks whether the server is there, if it is time to; whether it can still be believed in.
    pub(crate) fn tick(&mut self, now: u64) -> bool {
        match self.connection.tick(now) {
            Tick::Nothing => true,
            Tick::Ping => {
                let frame = self.connection.ping(self.number, now);
                self.say(frame);
                true
            }
            Tick::TimedOut => false,
        }
    }

    /// From now on what is said and heard is on this tape.
    pub(crate) fn record(&mut self, tape: Box<Tape>) {
        self.tape = Some(tape);
    }

    /// What was last said and heard.
    pub(crate) fn tape(&self) -> Option<&Tape> {
        self.tape.as_deref()
    }

    /// Takes the tape out.
    pub(crate) fn take_tape(&mut self) -> Option<Box<Tape>> {
        self.tape.take()
    }

    fn say(&mut self, frame: Frame) {
        if let Some(tape) = &mut self.tape {
            tape.note(Side::Out, &frame, now_ms());
        }
        self.wire.send_frame(frame);
    }

    /// The meta of an action made at `now`.
    pub fn meta(&mut self, now: u64) -> Meta {
        Meta { id: self.ids.next(now), time: now, subprotocol: None }
    }

    /// Syncs that are not acknowledged.
    pub fn outstanding(&self) -> usize {
        self.connection.outstanding().count
    }

    /// Writes what is ready to go out, and waits for what comes in.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        let frame = match self.queued.pop_front() {
            Some(frame) => frame,
            None => self.wire.next().await.ok_or(ClientError::Closed)?,
        };
        self.on_frame(&frame)
    }

    /// What has come in already, if there is something.
    pub async fn next_ready(&mut self) -> Result<Option<Event>, ClientError> {
        let frame = match self.queued.pop_front() {
            Some(frame) => frame,
            None => match self.wire.next_ready().await {
                Poll::Pending => return Ok(None),
                Poll::Ready(frame) => frame.ok_or(ClientError::Closed)?,
            },
        };
        self.on_frame(&frame).map(Some)
    }

    /// The socket below, for frames that no client sends.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Leaves.
    pub async fn close(self) {
        self.wire.close().await;
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<Event, ClientError> {
        let now = now_ms();
        if let Some(tape) = &mut self.tape {
            tape.note(Side::In, frame, now);
        }
        match self.connection.receive(frame, now).map_err(ClientError::Breach)? {
            Received::Sync(sync) => {
                let frame = self.connection.synced(sync.number, now);
                self.say(frame);
                Ok(Event::Sync(sync))
            }
            Received::Synced(sent) => Ok(Event::Synced(sent)),
            Received::Ping(number) => {
                let frame = self.connection.pong(self.number, now);
                self.say(frame);
                Ok(Event::Number(number))
            }
            Received::Pong(number) | Received::Ready(number) => Ok(Event::Number(number)),
            Received::Error(error) if error.closes() => Err(ClientError::Told(error)),
            _ => Ok(Event::Other),
        }
    }
}

/// A generator takes whatever the server sends, and never asks whether it is there: a run has an end.
fn settings() -> Arc<Settings> {
    let limits = Limits { frame_bytes: usize::MAX, ..Limits::default() };
    Arc::new(Settings { limits: Arc::new(limits), ..Settings::client() })
}
