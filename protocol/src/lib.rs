//! The Logux protocol as Tidelog speaks it.
//!
//! Pure: no async, no IO, no clock. Time comes in as an argument; bytes come in and go out.

mod action;
pub mod builtin;
mod id;
mod meta;

pub use action::{Action, ActionError};
pub use id::{ActionId, ClientId, IdError, NodeId, UserId};
pub use meta::Meta;
