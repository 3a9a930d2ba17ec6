//! The Logux protocol as Tidelog speaks it.
//!
//! Pure: no async, no IO, no clock. Time comes in as an argument; bytes come in and go out.

mod action;
pub mod builtin;
pub mod codec;
mod frame;
pub mod http;
mod id;
mod limits;
mod message;
mod meta;
pub mod peer;
pub mod replica;
mod wire_error;

pub use action::{Action, ActionError};
pub use frame::{Form, Frame};
pub use id::{ActionId, ClientId, IdError, NodeId, UserId};
pub use limits::{Limits, OverLimit};
pub use message::{Connect, Connected, Headers, Message, Pair, Sync, Token};
pub use meta::Meta;
pub use wire_error::WireError;
