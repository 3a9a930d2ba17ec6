//! Waiting for the disk, on a thread of its own where the next commit can be put together meanwhile.

use super::super::error::Failure;
use super::super::shared::Shared;
use crate::clock::Stopwatch;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};
use std::time::Duration;

/// Syncs the feed when it is asked to, one sync at a time.
#[derive(Debug)]
pub(super) struct Syncer {
    asks: SyncSender<()>,
    results: Receiver<Result<(), Failure>>,
}

impl Syncer {
    /// Starts the thread; it ends when the syncer is dropped.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        shared: &'scope Shared,
    ) -> Result<Self, Failure> {
        let (asks, asked) = sync_channel(1);
        let (result, results) = sync_channel(1);
        let work = move || {
            for () in asked {
                if result.send(sync(shared).map(drop)).is_err() {
                    break;
                }
            }
        };
        let spawned = Builder::new().name("log-sync".into()).spawn_scoped(scope, work);
        spawned.map_err(|error| Failure(error.to_string().into()))?;
        Ok(Self { asks, results })
    }

    /// Starts a sync of everything that was put.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        self.asks.send(()).map_err(|_| gone())
    }

    /// Waits for the sync that was begun.
    pub(super) fn end(&self) -> Result<(), Failure> {
        self.results.recv().map_err(|_| gone())?
    }
}

/// Syncs everything that was put; how long that took.
pub(super) fn sync(shared: &Shared) -> Result<Duration, Failure> {
    let since = Stopwatch::start();
    if let Some(before) = shared.before_sync.get() {
        before();
    }
    shared.feed().sync()?;
    let took = since.elapsed();
    shared.meter.fsync_seconds.observe(took.as_secs_f64());
    Ok(took)
}

fn gone() -> Failure {
    Failure("the thread that syncs ended".into())
}
