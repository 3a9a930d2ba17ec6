//! The handshake as a server sees it: `headers`, `connect`, and whatever hurried ahead.

use super::connection::{Connection, Start};
use super::queue::Queue;
use super::{Settings, Tick};
use crate::codec::{Codec, Link, Opening, Version};
use crate::{Connect, Connected, Form, Frame, Headers, Message, NodeId, Token, WireError};
use std::sync::Arc;

/// A client that has not signed in yet.
#[derive(Debug)]
pub struct ServerHandshake {
    settings: Arc<Settings>,
    opened_ms: u64,
    /// None until `connect` came.
    version: Option<Version>,
    /// How the client last wrote.
    form: Form,
    headers: Option<Headers>,
    queue: Queue,
}

/// What came of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeEvent {
    /// More is needed, or somebody is being asked.
    Wait,
    /// The client said who it is: decide, then [`ServerHandshake::accept`] or
    /// [`ServerHandshake::refuse`].
    SignIn(SignIn),
}

/// Who wants in, and with what. Only a handshake makes one, so having it proves that `connect` came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignIn {
    /// The protocol version of this connection.
    pub version: Version,
    /// Who the client says it is. Never the user `server`.
    pub node: NodeId,
    /// The number up to which it has everything.
    pub synced: u64,
    /// What proves it.
    pub token: Option<Token>,
    /// The version of its application.
    pub subprotocol: u32,
    /// What its application wants known; later headers come by the connection.
    pub headers: Option<Headers>,
    /// When `connect` came in.
    pub received_ms: u64,
}

/// How a server lets a client in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The server's node id.
    pub node: NodeId,
    /// The version of the server's application.
    pub subprotocol: u32,
    /// What the server wants known.
    pub headers: Option<Headers>,
    /// The time, which becomes the base of the connection.
    pub now: u64,
}

/// A client that is in.
#[derive(Debug)]
pub struct Accepted {
    /// The running connection.
    pub connection: Connection,
    /// What to send now, in this order.
    pub frames: Vec<Frame>,
    /// What hurried ahead; give it to [`Connection::receive`] before anything newer.
    pub queued: Vec<Frame>,
}

impl ServerHandshake {
    /// A connection was opened at `now`.
    pub fn new(now: u64, settings: &Arc<Settings>) -> Self {
        Self {
            settings: Arc::clone(settings),
            opened_ms: now,
            version: None,
            form: Form::default(),
            headers: None,
            queue: Queue::default(),
        }
    }

    /// Takes a frame. After an error send [`ServerHandshake::refuse`] and close.
    pub fn on_frame(&mut self, frame: &Frame, now: u64) -> Result<HandshakeEvent, WireError> {
        let limits = &self.settings.limits;
        self.form = frame.form();
        match (Opening::read(frame, self.version, limits)?, self.version) {
            (Opening::Message(Message::Connect(connect)), None) => self.connect(connect, now),
            (Opening::Message(Message::Headers(headers)), None) => {
                self.headers = Some(headers);
                Ok(HandshakeEvent::Wait)
            }
            // From here on the headers that count for the sign-in are given away.
            (Opening::Message(Message::Headers(_)), Some(_)) | (Opening::Later, _) => {
                self.queue.push(frame, limits)?;
                Ok(HandshakeEvent::Wait)
            }
            (Opening::Message(Message::Error(_) | Message::Debug(_)), _) => {
                Ok(HandshakeEvent::Wait)
            }
            (Opening::Message(_), _) => Err(WireError::misplaced(frame)),
        }
    }

    /// Subprotocol before user, as clients expect; the token is not ours to check.
    fn connect(&mut self, connect: Connect, now: u64) -> Result<HandshakeEvent, WireError> {
        let Connect { version, node, synced, token, subprotocol } = connect;
        // Known from here on, so that a refusal is what the client understands.
        self.version = Some(version);
        let supported = self.settings.min_subprotocol;
        if subprotocol < supported {
            return Err(WireError::WrongSubprotocol { supported, used: subprotocol });
        }
        if node.user_str() == Some("server") {
            return Err(WireError::WrongCredentials);
        }
        let headers = self.headers.take();
        let received_ms = now;
        Ok(HandshakeEvent::SignIn(SignIn {
            version,
            node,
            synced,
            token,
            subprotocol,
            headers,
            received_ms,
        }))
    }

    /// Lets the client in.
    pub fn accept(self, sign_in: &SignIn, accept: Accept) -> Accepted {
        let Accept { node, subprotocol, headers, now } = accept;
        let version = sign_in.version;
        let connected = Connected {
            node: node.clone(),
            start: sign_in.received_ms,
            end: now,
            token: None,
            subprotocol,
        };
        let headers = headers.map(|headers| version.headers(self.form, &headers));
        let link = Link {
            local: node,
            remote: sign_in.node.clone(),
            base: now,
            time_fix: 0,
            implied_subprotocol: None,
            connected_subprotocol: subprotocol,
        };
        let codec = Codec::new(version, link, Arc::clone(&self.settings.limits));
        let start = Start {
            now,
            form: self.form,
            timers: self.settings.timers,
            remote_subprotocol: sign_in.subprotocol,
        };
        Accepted {
            connection: Connection::new(codec, start),
            frames: headers.into_iter().chain([version.connected(self.form, &connected)]).collect(),
            queued: self.queue.into_frames(),
        }
    }

    /// The frame that says why the client is not let in.
    pub fn refuse(self, error: &WireError) -> Frame {
        // Until `connect` came nothing is said that differs between versions.
        self.version.unwrap_or(Version::V7).error(self.form, error)
    }

    /// When the handshake must be over.
    pub fn deadline(&self) -> u64 {
        self.opened_ms.saturating_add(self.settings.timers.handshake_ms)
    }

    /// What time has brought; never a ping. After a timeout close without a frame.
    pub fn tick(&self, now: u64) -> Tick {
        if now >= self.deadline() { Tick::TimedOut } else { Tick::Nothing }
    }
}
