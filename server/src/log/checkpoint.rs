//! Everything that is written behind the committer's back: checkpoints, node records, merges.

use super::error::Failure;
use super::index::FAN_IN;
use super::shared::Shared;
use super::tail::Tail;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Node records are written this often.
const NODES_EVERY: Duration = Duration::from_secs(1);
/// With this many runs at the lowest level, checkpoints wait for merges.
const WAITING_MAX: usize = 4 * FAN_IN;

/// Writes `tail`, which follows the checkpoint, and moves the checkpoint to its end.
pub(super) fn write(shared: &Shared, tail: &Tail) -> Result<(), Failure> {
    shared.index.add(tail, |current| shared.publish_index(current))
}

/// Serves the handover until it is stopped.
pub(super) fn run(shared: &Shared, merging: &Merging) {
    guard(shared, "the checkpointer panicked", || {
        while let Ok(tail) = shared.handover.take(NODES_EVERY) {
            if let Some(tail) = tail {
                merging.wait_for_room(shared);
                write(shared, &tail)?;
                shared.handover.done();
                merging.changed();
            }
            shared.nodes.write(&shared.index)?;
        }
        Ok(())
    });
}

/// Merges what is due until it is stopped.
pub(super) fn run_merges(shared: &Shared, merging: &Merging) {
    guard(shared, "merging panicked", || {
        while !merging.is_stopped() {
            match shared.index.due() {
                Some(due) => {
                    let publish = |current: &_| shared.publish_index(current);
                    shared.index.merge(&due, &merging.stopped, publish)?;
                    merging.changed();
                }
                None => merging.wait_for_work(shared),
            }
        }
        Ok(())
    });
}

/// Runs `work`; the log fails with it.
fn guard(shared: &Shared, panicked: &str, work: impl FnOnce() -> Result<(), Failure>) {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => shared.fail(failure),
        Err(_) => shared.fail(Failure(panicked.into())),
    }
}

/// How checkpoints and merges wait for each other.
#[derive(Debug, Default)]
pub(super) struct Merging {
    stopped: AtomicBool,
    turn: Mutex<()>,
    changed: Condvar,
}

impl Merging {
    /// There may be something to merge, or room for another run.
    fn changed(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.notify_all();
    }

    /// Ends merging, also in the middle of a run.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.changed();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn wait_for_work(&self, shared: &Shared) {
        self.wait_while(|| shared.index.due().is_none());
    }

    /// Waits while too many runs wait to be merged.
    fn wait_for_room(&self, shared: &Shared) {
        self.wait_while(|| shared.index.waiting() >= WAITING_MAX && !shared.handover.is_stopped());
    }

    fn wait_while(&self, waits: impl Fn() -> bool) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |(): &mut ()| !self.is_stopped() && waits();
        drop(self.changed.wait_while(turn, waits).unwrap_or_else(PoisonError::into_inner));
    }
}
