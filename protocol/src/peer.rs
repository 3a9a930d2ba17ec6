//! Who may say what when: the handshake of both roles, and the running connection.
//!
//! State machines without socket and clock. Frames and the time (`now`, in ms) come in as arguments,
//! frames come out as values. A handshake is consumed to yield a [`Connection`], so nothing can be
//! synchronised before sign-in; what a peer does wrong ends in a [`WireError`](crate::WireError),
//! whose frame the caller sends before it closes.

mod client;
mod connection;
mod queue;
mod server;

pub use client::{ClientEvent, ClientHandshake, Finished, Hello};
pub use connection::{Connection, Outstanding, Received, SentSync};
pub use server::{Accept, Accepted, HandshakeEvent, ServerHandshake, SignIn};

use crate::Limits;
use std::sync::Arc;

/// What a peer is told at its making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much the other side may send at once.
    pub limits: Arc<Limits>,
    /// How long to wait.
    pub timers: Timers,
    /// The oldest application version of the other side that is accepted.
    pub min_subprotocol: u32,
}

/// How long a peer waits, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From the opening of the connection to the end of the handshake.
    pub handshake_ms: u64,
    /// Without a message in either direction, until a ping asks whether the other side is there.
    pub idle_ms: u64,
    /// For the answer to a ping or a sync.
    pub answer_ms: u64,
}

impl Timers {
    /// What Logux servers use.
    pub const SERVER: Self = Self { handshake_ms: 70_000, idle_ms: 20_000, answer_ms: 70_000 };
    /// What Logux clients use.
    pub const CLIENT: Self = Self { handshake_ms: 70_000, idle_ms: 10_000, answer_ms: 70_000 };
}

impl Settings {
    /// A server with every setting at its default.
    pub fn server() -> Self {
        Self { limits: Arc::default(), timers: Timers::SERVER, min_subprotocol: 0 }
    }

    /// A client with every setting at its default.
    pub fn client() -> Self {
        Self { limits: Arc::default(), timers: Timers::CLIENT, min_subprotocol: 0 }
    }
}

/// What time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing is due.
    Nothing,
    /// A ping is due.
    Ping,
    /// The other side did not answer in time: close, without a frame.
    TimedOut,
}
