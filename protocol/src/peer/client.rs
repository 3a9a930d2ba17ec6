//! The handshake as a client sees it: `headers` and `connect` out, `connected` in.

use super::connection::{Connection, Start};
use super::queue::Queue;
use super::{Settings, Tick};
use crate::codec::{Codec, Link, Opening, Version};
use crate::{Connect, Connected, Form, Frame, Headers, Message, NodeId, Token, WireError};
use std::sync::Arc;

/// A client that waits to be let in.
#[derive(Debug)]
pub struct ClientHandshake {
    settings: Arc<Settings>,
    version: Version,
    form: Form,
    node: NodeId,
    subprotocol: u32,
    opened_ms: u64,
    headers: Option<Headers>,
    queue: Queue,
}

/// Who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The protocol version to speak.
    pub version: Version,
    /// How to write; from then on as the server does. Only protocol 7 has a binary form.
    pub form: Form,
    /// The client's node id.
    pub node: NodeId,
    /// The number up to which it has everything.
    pub synced: u64,
    /// What proves who it is.
    pub token: Option<Token>,
    /// The version of its application.
    pub subprotocol: u32,
    /// What its application wants known.
    pub headers: Option<Headers>,
}

/// What came of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// More is needed.
    Wait,
    /// The server let the client in: go on with [`ClientHandshake::finish`].
    Connected(Connected),
    /// The server named an error; see [`WireError::closes`] and [`WireError::stops_client`].
    Error(WireError),
}

/// A client that is in.
#[derive(Debug)]
pub struct Finished {
    /// The running connection.
    pub connection: Connection,
    /// What the server's application wants known.
    pub headers: Option<Headers>,
    /// What hurried ahead; give it to [`Connection::receive`] before anything newer.
    pub queued: Vec<Frame>,
}

impl ClientHandshake {
    /// Starts a handshake at `now`; the frames are to be sent in this order.
    pub fn new(now: u64, settings: &Arc<Settings>, hello: Hello) -> (Self, Vec<Frame>) {
        let Hello { version, form, node, synced, token, subprotocol, headers } = hello;
        let headers = headers.map(|headers| version.headers(form, &headers));
        let connect = Connect { version, node: node.clone(), synced, token, subprotocol };
        let frames = headers.into_iter().chain([version.connect(form, &connect)]).collect();
        let handshake = Self {
            settings: Arc::clone(settings),
            version,
            form,
            node,
            subprotocol,
            opened_ms: now,
            headers: None,
            queue: Queue::default(),
        };
        (handshake, frames)
    }

    /// Takes a frame. After an error send [`ClientHandshake::error`] and close.
    pub fn on_frame(&mut self, frame: &Frame) -> Result<ClientEvent, WireError> {
        let limits = &self.settings.limits;
        self.form = frame.form();
        match Opening::read(frame, Some(self.version), limits)? {
            Opening::Message(Message::Connected(connected)) => self.connected(connected),
            Opening::Message(Message::Headers(headers)) => {
                self.headers = Some(headers);
                Ok(ClientEvent::Wait)
            }
            Opening::Later => {
                self.queue.push(frame, limits)?;
                Ok(ClientEvent::Wait)
            }
            Opening::Message(Message::Error(error)) => Ok(ClientEvent::Error(error)),
            Opening::Message(Message::Debug(_)) => Ok(ClientEvent::Wait),
            Opening::Message(_) => Err(WireError::misplaced(frame)),
        }
    }

    fn connected(&self, connected: Connected) -> Result<ClientEvent, WireError> {
        let (supported, used) = (self.settings.min_subprotocol, connected.subprotocol);
        if used < supported {
            return Err(WireError::WrongSubprotocol { supported, used });
        }
        Ok(ClientEvent::Connected(connected))
    }

    /// Starts the connection. `now` is when `connected` came in: it tells how far the clocks differ.
    pub fn finish(self, connected: &Connected, now: u64) -> Finished {
        let link = Link {
            local: self.node,
            remote: connected.node.clone(),
            base: connected.end,
            time_fix: time_fix(self.opened_ms, now, connected),
            implied_subprotocol: Some(self.subprotocol),
            connected_subprotocol: connected.subprotocol,
        };
        let codec = Codec::new(self.version, link, Arc::clone(&self.settings.limits));
        let remote_subprotocol = connected.subprotocol;
        let (form, timers) = (self.form, self.settings.timers);
        let start = Start { now, form, timers, remote_subprotocol };
        Finished {
            connection: Connection::new(codec, start),
            headers: self.headers,
            queued: self.queue.into_frames(),
        }
    }

    /// The frame of an error that the client found.
    pub fn error(&self, error: &WireError) -> Frame {
        self.version.error(self.form, error)
    }

    /// When the handshake must be over.
    pub fn deadline(&self) -> u64 {
        self.opened_ms.saturating_add(self.settings.timers.handshake_ms)
    }

    /// What time has brought; never a ping.
    pub fn tick(&self, now: u64) -> Tick {
        if now >= self.deadline() { Tick::TimedOut } else { Tick::Nothing }
    }
}

/// How far the local clock is ahead of the server's, if both ways took equally long.
fn time_fix(sent_ms: u64, now: u64, connected: &Connected) -> i64 {
    let elapsed = now.saturating_sub(sent_ms);
    let round_trip = elapsed.saturating_sub(connected.end.saturating_sub(connected.start));
    let middle = sent_ms.saturating_add(round_trip / 2);
    middle.cast_signed().wrapping_sub(connected.start.cast_signed())
}
