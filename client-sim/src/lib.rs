//! Simulated Logux clients that check what they receive.
//!
//! In order of reading: `wire` (frames over a socket), `client` (a device that signs in, on top of the
//! protocol's peer in its client role), `http` (a device without a WebSocket), `oracle` (what must be true of what the devices saw),
//! `scenario`, `report`. It knows a server by its protocol alone, so it drives any Logux server.

pub mod cli;
pub mod client;
mod clock;
mod http;
mod ids;
pub mod oracle;
mod process;
pub mod report;
pub mod scenario;
mod socket;
pub mod wire;

pub use clock::now_ms;
pub use ids::{Ids, node};
pub use process::{Process, raise_open_files};
