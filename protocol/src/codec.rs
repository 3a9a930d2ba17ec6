//! Frames ↔ messages, one codec per protocol version.
//!
//! A connection picks its [`Version`] when `connect` comes in and never changes it; the [`Form`] is
//! that of each frame. Before both sides know each other only messages that need no base time are
//! read; the rest is checked and left for [`Codec`].
//!
//! `text` writes the versions' JSON, `binary` the bytes of protocol 7. What differs between versions
//! stays in here: ids (`name`), ids within bodies (`bodies`), `subprotocol`.

mod binary;
mod bodies;
mod json;
mod name;
mod subprotocol;
mod text;

pub(crate) use binary::wrong_format as wrong_binary_format;
pub(crate) use json::{Number, wrong_format};
pub(crate) use subprotocol::major;

use crate::{
    Action, Connect, Connected, Form, Frame, Headers, Limits, Message, Meta, NodeId, WireError,
};
use std::sync::Arc;

/// A protocol version that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `@logux/core` up to 0.9: as 5, with semantic versions as subprotocols.
    V4,
    /// `@logux/core` 0.10: numbers as subprotocols, ids of three parts.
    V5,
    /// `@logux/core` 0.12: ids of two parts, `ready`, and a binary form.
    V7,
}

/// What a frame was, before both sides know each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A message that may come at any time.
    Message(Message),
    /// A well-formed message that waits until the handshake is over.
    Later,
}

impl Opening {
    /// Reads a frame that came before the handshake was over; without a version, before `connect`.
    pub fn read(
        frame: &Frame,
        version: Option<Version>,
        limits: &Limits,
    ) -> Result<Self, WireError> {
        let message = match form(frame, version) {
            Form::Text => text::decode_opening(frame.bytes(), version, limits)?,
            Form::Binary => binary::decode_opening(frame.bytes(), limits)?,
        };
        Ok(match message {
            Message::Ping(_)
            | Message::Pong(_)
            | Message::Sync(_)
            | Message::Synced(_)
            | Message::Ready(_) => Self::Later,
            message => Self::Message(message),
        })
    }
}

/// Only protocol 7 has a binary form; what an older client sends as binary is JSON or nothing.
fn form(frame: &Frame, version: Option<Version>) -> Form {
    match version {
        Some(Version::V4 | Version::V5) => Form::Text,
        Some(Version::V7) | None => frame.form(),
    }
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V4, Self::V5, Self::V7];

    /// Its number on the wire.
    pub const fn protocol(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V5 => 5,
            Self::V7 => 7,
        }
    }

    /// The version with this number.
    pub const fn of(protocol: u32) -> Option<Self> {
        match protocol {
            4 => Some(Self::V4),
            5 => Some(Self::V5),
            7 => Some(Self::V7),
            _ => None,
        }
    }

    /// What whoever speaks `protocol`, which is not spoken here, would best speak: the next version,
    /// as each server of that version would say, or else the newest.
    pub fn nearest(protocol: u32) -> Self {
        let newer = Self::ALL.into_iter().find(|version| version.protocol() > protocol);
        newer.unwrap_or(Self::V7)
    }

    /// Whether both sides say when they have sent what they had before the connection.
    pub const fn says_ready(self) -> bool {
        matches!(self, Self::V7)
    }

    /// The frame of a client's first message.
    pub fn connect(self, form: Form, connect: &Connect) -> Frame {
        match self.form(form) {
            Form::Text => text::connect(connect),
            Form::Binary => binary::connect(connect),
        }
    }

    /// The frame of the server's answer to it.
    pub fn connected(self, form: Form, connected: &Connected) -> Frame {
        match self.form(form) {
            Form::Text => text::connected(self, connected),
            Form::Binary => binary::connected(connected),
        }
    }

    /// The frame of headers.
    pub fn headers(self, form: Form, headers: &Headers) -> Frame {
        match self.form(form) {
            Form::Text => text::headers(headers),
            Form::Binary => binary::headers(headers),
        }
    }

    /// The frame of an error.
    pub fn error(self, form: Form, error: &WireError) -> Frame {
        match self.form(form) {
            Form::Text => text::error(self, error),
            Form::Binary => binary::error(error),
        }
    }

    fn form(self, wanted: Form) -> Form {
        match self {
            Self::V4 | Self::V5 => Form::Text,
            Self::V7 => wanted,
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
    /// The subprotocol in `connected`, which the binary form names where there is none.
    pub connected_subprotocol: u32,
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
    pub fn decode(&self, frame: &Frame) -> Result<Message, WireError> {
        match form(frame, Some(self.version)) {
            Form::Text => text::decode(frame.bytes(), self.version, &self.limits, &self.link),
            Form::Binary => binary::decode(frame.bytes(), &self.limits, &self.link),
        }
    }

    /// Writes one message.
    pub fn encode(&self, form: Form, message: &Message) -> Frame {
        match self.version.form(form) {
            Form::Text => text::encode(self.version, message, &self.link),
            Form::Binary => binary::encode(message, &self.link),
        }
    }

    /// Writes a sync. The actions' bytes go out as they are, but for ids in built-in ones, and for
    /// encrypted ones in the binary form.
    pub fn sync<'a>(
        &self,
        form: Form,
        number: u64,
        actions: impl IntoIterator<Item = (&'a Action, &'a Meta)>,
    ) -> Frame {
        match self.version.form(form) {
            Form::Text => text::sync(self.version, number, actions, &self.link),
            Form::Binary => binary::sync(number, actions, &self.link),
        }
    }
}
