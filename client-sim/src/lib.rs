//! Simulated Logux clients that check what they receive.
//!
//! In order of reading: `plan` (who does what when: pure, from a scenario and a seed), `wire` (frames over a socket, or over a
//! bad `line`, under TLS or not: `secure`), `client` (a device that signs in, on top of the protocol's peer in its client role, and lives by its
//! plan), `http` (a device without a WebSocket), `oracle` (what must be true of what the devices saw), `world` (what they share),
//! `measure`, `run` (a whole scenario), `report`. `scenario` has the single measurements. It knows a server by its protocol
//! alone, so it drives any Logux server.

pub mod access;
pub mod cli;
pub mod client;
mod clock;
mod http;
mod ids;
mod line;
pub mod measure;
pub mod oracle;
pub mod plan;
mod process;
pub mod report;
pub mod run;
pub mod scenario;
pub mod secure;
mod socket;
mod tape;
pub mod wire;
mod world;

pub use clock::now_ms;
pub use ids::{Ids, node};
pub use process::{Process, raise_open_files};
