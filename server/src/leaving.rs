//! The order in which clients leave a server that stops: one after the other over the time there is,
//! so that the next server is not met by all of them at once.
//!
//! Who has nothing under way leaves first, who is still being served last. A few leave at once: nobody
//! is helped by spreading them. Who comes meanwhile is to come again when all of them have left, and one after
//! the other, too.

use crate::admission::{Slots, in_seconds};
use crate::app::Parts;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
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
    away: Mutex<Away>,
}

/// Who comes while the others leave.
#[derive(Debug, Default)]
struct Away {
    began_ms: u64,
    /// The longest that anybody is sent away for.
    most_ms: u64,
    slots: Slots,
}

impl Leaving {
    /// From now on `all` leave within four fifths of `over`; the rest is for what is still under way then.
    /// Who comes is sent away for `away` at most.
    pub(crate) fn begin(&self, all: usize, (over, away): (Duration, Duration), now_ms: u64) {
        let over_us = u64::try_from(over.as_micros()).unwrap_or(u64::MAX) / 5 * 4;
        let all = (all as u64).max(1);
        self.gap_us.store((over_us / all).min(GAP_US), Relaxed);
        self.all.store(all, Relaxed);
        let most_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX);
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        (away.began_ms, away.most_ms) = (now_ms, most_ms);
    }

    /// After how many seconds who comes at `now_ms` is to come again: when the last has left, and the server may
    /// have started again, each behind the one before, as fast as they leave.
    pub(crate) fn again(&self, now_ms: u64) -> u64 {
        // Without chance slots are as even, and only their seconds are not.
        let [a, b, c, d] = getrandom::u32().unwrap_or_default().to_le_bytes();
        let gap_us = self.gap_us.load(Relaxed).max(1);
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = now_ms.saturating_sub(away.began_ms).saturating_mul(1000) / gap_us;
        let left = self.all.load(Relaxed).saturating_sub(gone);
        let line = (usize::try_from(left).unwrap_or(usize::MAX), 1_000_000 / gap_us);
        let (most_ms, chance) = (away.most_ms, u16::from_le_bytes([a, b]));
        let wait_ms = away.slots.give(now_ms, line, most_ms, chance);
        in_seconds(wait_ms, u16::from_le_bytes([c, d]))
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

    const TEN_SECONDS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

    fn turns(leaving: &Leaving, idle: bool, count: usize) -> Vec<u128> {
        (0..count).map(|_| leaving.turn(idle).as_millis()).collect()
    }

    #[test]
    fn they_leave_evenly_over_the_time_there_is_and_who_is_busy_last() {
        let leaving = Leaving::default();
        leaving.begin(4_000, TEN_SECONDS, 0);
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
        leaving.begin(3, TEN_SECONDS, 0);
        assert_eq!(turns(&leaving, true, 3), [0, 10, 20]);
    }

    #[test]
    fn who_was_not_counted_leaves_with_the_last() {
        let leaving = Leaving::default();
        leaving.begin(2, TEN_SECONDS, 0);
        assert_eq!(turns(&leaving, true, 4), [0, 10, 10, 10]);
        assert_eq!(turns(&leaving, false, 3), [10, 0, 0]);
        assert_eq!(turns(&Leaving::default(), true, 2), [0, 0], "nothing is spread");
    }

    #[test]
    fn who_comes_meanwhile_is_to_come_when_all_have_left_and_at_their_pace() {
        let leaving = Leaving::default();
        leaving.begin(4_000, TEN_SECONDS, 1_000_000);
        // Half of the eight seconds are over: 500 leave in a second, and so 1,000 come again within two.
        let mut waves = [0; 10];
        for _ in 0..1_000 {
            let seconds = usize::try_from(leaving.again(1_004_000)).unwrap();
            waves[seconds] += 1;
        }
        assert_eq!(waves[..4], [0; 4], "not before the last has left: {waves:?}");
        assert_eq!(waves[7..], [0; 3], "nor much later: {waves:?}");
        assert!(waves[4..7].iter().all(|wave| *wave <= 600), "{waves:?}");
    }

    #[test]
    fn a_server_with_few_clients_is_back_at_once_and_nobody_waits_longer_than_may_be() {
        let leaving = Leaving::default();
        leaving.begin(1, TEN_SECONDS, 1_000_000);
        assert_eq!([leaving.again(1_000_000), leaving.again(1_009_000)], [1, 1]);
        let late = Leaving::default();
        late.begin(100_000, (Duration::from_secs(2_000), Duration::from_secs(5)), 1_000_000);
        assert_eq!(late.again(1_000_000), 5);
        assert_eq!(Leaving::default().again(1_000_000), 1, "a log that has failed");
    }
}
