//! The harness of the whole-system tests: the real binary as a process, and devices that behave like
//! the stock clients and count what they hear.
//!
//! In order of reading: `binary` and `server` (the process and its data), `device` and `follows`, `phone`, `crowd`, `proxy` (cuts a
//! connection between two frames), `export` (what `tidelog log` prints), `commands` and `shell` (the
//! others, and tools of the system), `http` and
//! `exposition` (requests, and what `/metrics` says), `chance` (seeded), `disk` (an image of a disk at the
//! moment of a power cut), `replicas` (a cloud and an edge). Every wait has a deadline; nothing sleeps to let
//! something happen.

pub mod binary;
mod chance;
pub mod commands;
mod crowd;
mod device;
pub mod disk;
mod export;
mod exposition;
mod follows;
mod http;
mod phone;
mod proxy;
pub mod replicas;
mod server;
mod shell;

pub use chance::Chance;
pub use crowd::Crowd;
pub use device::{Device, Verdict, write};
pub use export::{Line, export};
pub use exposition::{Exposition, Family, Sample};
pub use http::Answer;
pub use phone::Phone;
pub use proxy::{Cut, Direction, Proxy};
pub use server::{Options, Server, command};
pub use shell::{Ran, has, run, tidelog, tidelog_with};

use anyhow::Context;
use std::time::Duration;

/// How long a test waits for an event; a loaded machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// So much later is later by every clock, however pages have mended theirs.
pub const LATER_MS: u64 = 10_000;

/// Waits for `what`, and no longer than [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.with_context(|| format!("{what}: not within {} s", PATIENCE.as_secs()))
}
