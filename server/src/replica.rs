//! Edge replicas: a server that follows another one, works without it, and agrees with it again.
//!
//! In order of reading: `records` (entries as two servers say them), `scope`, `registry` (who may
//! follow this server), `taken` (how far a feed was taken), `lag` (how far behind that is),
//! `bench` (what they bring is judged), `known` and `desk` (what is answered to them), `link` (following another server), `erasing`,
//! `pace` and `shares` (who may how fast), `body` and `wire` (bytes), `door` and `socket` (where it is asked, over HTTP and WebSockets),
//! `client` and `caller` (who asks), `watch`, `command`. `desk` and `link` know no network; what each of them
//! remembers is how far it has taken the other's feed. `protocol/src/replica.rs` has what they say.

mod bench;
mod body;
mod caller;
mod client;
mod command;
mod desk;
mod door;
mod erasing;
mod known;
mod lag;
mod link;
mod pace;
mod records;
mod registry;
mod scope;
mod shares;
mod socket;
mod taken;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

pub(crate) use client::follow;
pub(crate) use command::answer;
pub use command::{Order, run};
pub(crate) use desk::Desk;
pub(crate) use door::routes;
pub(crate) use socket::upgrade;
pub(crate) use watch::watch;

use crate::auth::Revoked;
use crate::clock;
use crate::config::Config;
use crate::log::{Log, ReadError};
use crate::rules::Rules;
use std::sync::Arc;
use tokio::sync::Notify;

/// What a server knows of those that follow it and of the one that it follows.
pub(crate) struct Replicas {
    /// Who follows.
    pub(crate) desk: Desk,
    /// Whom it follows.
    pub(crate) upstream: client::State,
    /// Something was committed.
    pub(crate) committed: Arc<Notify>,
}

impl Replicas {
    /// Reads what the store knows. Blocks.
    pub(crate) fn open(
        log: &Log,
        judging: (Arc<Rules>, Arc<Revoked>),
        config: &Config,
    ) -> Result<Self, ReadError> {
        let has_upstream = config.upstream.followed().is_some();
        let (desk, committed) = (Desk::open(log.clone(), judging, has_upstream)?, Arc::default());
        Ok(Self { desk, upstream: client::State::default(), committed })
    }

    /// How many replicas are linked.
    pub(crate) fn linked(&self) -> u64 {
        let (all, now) = (self.desk.registry.list(), clock::now_ms());
        let linked = all.iter().filter(|it| self.desk.known(&it.name).is_linked(now));
        linked.count() as u64
    }
}
