//! The order in which clients leave a server that stops: one after the other over the time there is,
//! so that the next server is not met by all of them at once.
//!
//! Who has nothing under way leaves first, who is still being served last. A few leave at once: nobody
//! is helped by spreading them.

use crate::app::Parts;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// The longest time between two who leave.
const GAP_US: u64 = 10_000;

/// The order, and how far it has come.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    gap_us: AtomicU64,
    all: AtomicU64,
    idle: AtomicU64,
    busy: AtomicU64,
}

impl Leaving {
    /// From now on `all` leave within four fifths of `over`; the rest is for what is still under way then.
    pub(crate) fn begin(&self, all: usize, over: Duration) {
        let over_us = u64::try_from(over.as_micros()).unwrap_or(u64::MAX) / 5 * 4;
        let all = (all as u64).max(1);
        self.gap_us.store((over_us / all).min(GAP_US), Relaxed);
        self.all.store(all, Relaxed);
    }

    /// The same as [`Leaving::turn`], in ms.
    pub(crate) fn turn_ms(&self, idle: bool) -> u64 {
        u64::try_from(self.turn(idle).as_millis()).unwrap_or(u64::MAX)
    }

    /// After how long it is somebody's turn: of who is idle from the front, of others from the back.
    fn turn(&self, idle: bool) -> Duration {
        let last = self.all.load(Relaxed).saturating_sub(1);
        let nth = if idle {
            self.idle.fetch_add(1, Relaxed).min(last)
        } else {
            last.saturating_sub(self.busy.fetch_add(1, Relaxed))
        };
        Duration::from_micros(nth.saturating_mul(self.gap_us.load(Relaxed)))
    }
}

/// When it is one client's turn to leave.
#[derive(Debug, Default)]
pub(crate) struct Leave(Option<Instant>);

impl Leave {
    /// Waits until the server stops, and then for the turn. May be dropped and called again.
    pub(crate) async fn turn(&mut self, app: &Parts, idle: bool) {
        let due = if let Some(due) = self.0 {
            due
        } else {
            app.stopping().await;
            *self.0.insert(Instant::now() + app.leaving.turn(idle))
        };
        tokio::time::sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(leaving: &Leaving, idle: bool, count: usize) -> Vec<u128> {
        (0..count).map(|_| leaving.turn(idle).as_millis()).collect()
    }

    #[test]
    fn they_leave_evenly_over_the_time_there_is_and_who_is_busy_last() {
        let leaving = Leaving::default();
        leaving.begin(4_000, Duration::from_secs(10));
        let busy = turns(&leaving, false, 1_000);
        let idle = turns(&leaving, true, 3_000);
        let mut all: Vec<_> = idle.iter().chain(&busy).copied().collect();
        all.sort_unstable();
        let expected: Vec<u128> = (0..4_000).map(|nth| nth * 2).collect();
        assert_eq!(all, expected, "one every two ms, for eight seconds");
        assert!(idle.iter().max() < busy.iter().min());
    }

    #[test]
    fn a_few_do_not_take_all_the_time() {
        let leaving = Leaving::default();
        leaving.begin(3, Duration::from_secs(10));
        assert_eq!(turns(&leaving, true, 3), [0, 10, 20]);
    }

    #[test]
    fn who_was_not_counted_leaves_with_the_last() {
        let leaving = Leaving::default();
        leaving.begin(2, Duration::from_secs(10));
        assert_eq!(turns(&leaving, true, 4), [0, 10, 10, 10]);
        assert_eq!(turns(&leaving, false, 3), [10, 0, 0]);
        assert_eq!(turns(&Leaving::default(), true, 2), [0, 0], "nothing is spread");
    }
}
