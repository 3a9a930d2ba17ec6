//! How a full tail goes from the committer to the checkpointer: one at a time, and the committer
//! waits while the one before it is still being written.

use super::error::Stopped;
use super::tail::Tail;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The place between the two.
#[derive(Debug, Default)]
pub(super) struct Handover {
    place: Mutex<Place>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Place {
    frozen: Option<Arc<Tail>>,
    stopped: bool,
}

impl Handover {
    /// Waits until the tail that was given last is on disk.
    pub(super) fn wait(&self) -> Result<(), Stopped> {
        let place = self.lock();
        let waits = |place: &mut Place| place.frozen.is_some() && !place.stopped;
        let place = self.changed.wait_while(place, waits).unwrap_or_else(PoisonError::into_inner);
        if place.stopped { Err(Stopped) } else { Ok(()) }
    }

    /// Gives a tail to be written.
    pub(super) fn give(&self, tail: Arc<Tail>) {
        self.lock().frozen = Some(tail);
        self.changed.notify_all();
    }

    /// The tail to be written, or none after `timeout`; an error when there will be none.
    pub(super) fn take(&self, timeout: Duration) -> Result<Option<Arc<Tail>>, Stopped> {
        let place = self.lock();
        let waits = |place: &mut Place| place.frozen.is_none() && !place.stopped;
        let (place, _) = self
            .changed
            .wait_timeout_while(place, timeout, waits)
            .unwrap_or_else(PoisonError::into_inner);
        if place.stopped { Err(Stopped) } else { Ok(place.frozen.clone()) }
    }

    /// The tail is on disk.
    pub(super) fn done(&self) {
        self.lock().frozen = None;
        self.changed.notify_all();
    }

    /// Ends the waiting on both sides.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Whether the waiting was ended.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
