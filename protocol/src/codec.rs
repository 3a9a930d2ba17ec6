//! Bytes ↔ messages, one codec per protocol version.
//!
//! A connection picks its [`Version`] when `connect` comes in and never changes it. Before both sides
//! know each other ([`Version`]'s own methods) only messages that need no base time are read; the
//! rest is checked and left for [`Codec`].

mod json;
mod v5;

pub(crate) use json::{Number, wrong_format};

use crate::{Action, Connect, Connected, Headers, Limits, Message, Meta, NodeId, WireError};
use bytes::Bytes;
use std::sync::Arc;

/// A protocol version that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `@logux/core` 0.10: numbers as subprotocols, ids of three parts.
    V5,
}

/// What a frame was, before both sides know each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A message that may come at any time.
    Message(Message),
    /// A well-formed message that waits until the handshake is over.
    Later,
}

impl Version {
    /// All of them, ascending.
    pub const ALL: [Self; 1] = [Self::V5];

    /// What is spoken until `connect` names a version, and named to whoever speaks another.
    pub const PREFERRED: Self = Self::V5;

    /// Its number on the wire.
    pub const fn protocol(self) -> u32 {
        match self {
            Self::V5 => 5,
        }
    }

    /// The version with this number.
    pub const fn of(protocol: u32) -> Option<Self> {
        match protocol {
            5 => Some(Self::V5),
            _ => None,
        }
    }

    /// Reads a frame that came before the handshake was over.
    pub fn decode(self, frame: &[u8], limits: &Limits) -> Result<Opening, WireError> {
        match self {
            Self::V5 => v5::decode_opening(frame, limits),
        }
    }

    /// The frame of a client's first message.
    pub fn connect(self, connect: &Connect) -> Bytes {
        match self {
            Self::V5 => v5::connect(connect),
        }
    }

    /// The frame of the server's answer to it.
    pub fn connected(self, connected: &Connected) -> Bytes {
        match self {
            Self::V5 => v5::connected(connected),
        }
    }

    /// The frame of headers.
    pub fn headers(self, headers: &Headers) -> Bytes {
        match self {
            Self::V5 => v5::headers(headers),
        }
    }

    /// The frame of an error.
    pub fn error(self, error: &WireError) -> Bytes {
        match self {
            Self::V5 => v5::error(error),
        }
    }
}

/// What ids and times of a connection are relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who sends what is encoded here.
    pub local: NodeId,
    /// Who sent what is decoded here.
    pub remote: NodeId,
    /// `end` of `connected`.
    pub base: u64,
    /// How many ms the local clock is ahead of the server's; 0 at the server. Times are corrected by
    /// it, ids never.
    pub time_fix: i64,
    /// A subprotocol that goes without saying, because the sender named it in `connect`.
    pub implied_subprotocol: Option<u32>,
}

impl Link {
    /// The base of times, corrected for the local clock.
    fn base_here(&self) -> u64 {
        self.base.saturating_add_signed(self.time_fix)
    }
}

/// Reads and writes the frames of one running connection.
#[derive(Clone, Debug)]
pub struct Codec {
    version: Version,
    link: Link,
    limits: Arc<Limits>,
}

impl Codec {
    /// A codec for one connection.
    pub fn new(version: Version, link: Link, limits: Arc<Limits>) -> Self {
        Self { version, link, limits }
    }

    /// The version of the connection.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What its ids and times are relative to.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Reads one frame.
    pub fn decode(&self, frame: &[u8]) -> Result<Message, WireError> {
        match self.version {
            Version::V5 => v5::decode(frame, &self.limits, &self.link),
        }
    }

    /// Writes one message.
    pub fn encode(&self, message: &Message) -> Bytes {
        match self.version {
            Version::V5 => v5::encode(message, &self.link),
        }
    }

    /// Writes a sync. The actions' bytes go out as they are.
    pub fn sync<'a>(
        &self,
        number: u64,
        actions: impl IntoIterator<Item = (&'a Action, &'a Meta)>,
    ) -> Bytes {
        match self.version {
            Version::V5 => v5::sync(number, actions, &self.link),
        }
    }
}
