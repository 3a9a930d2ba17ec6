//! How fast something goes, smoothed over a few seconds.
//!
//! A state machine: what was counted and the time come in as arguments.

/// How much the newest measurement counts.
const WEIGHT: f64 = 0.25;

/// A rate per second.
#[derive(Debug, Default)]
pub(super) struct Rate {
    per_second: Option<f64>,
    at_ms: Option<u64>,
}

impl Rate {
    /// So many were counted since the last time. Only while there was something to do, or it went
    /// faster than before, does that say how fast it can go.
    #[expect(clippy::cast_precision_loss, reason = "a measurement is no ledger")]
    pub(super) fn tick(&mut self, count: u64, busy: bool, now: u64) {
        let since = self.at_ms.replace(now);
        let passed_ms = since.map_or(0, |since| now.saturating_sub(since));
        if passed_ms == 0 {
            return;
        }
        let here = count as f64 * 1000.0 / passed_ms as f64;
        self.per_second = Some(match self.per_second {
            None if count == 0 || !busy => return,
            None => here,
            Some(before) if busy || here > before => before + WEIGHT * (here - before),
            Some(before) => before,
        });
    }

    /// As it was last; none before anything was counted.
    pub(super) fn per_second(&self) -> Option<f64> {
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_counted_while_there_is_something_to_do() {
        let mut rate = Rate::default();
        rate.tick(0, false, 0);
        assert_eq!(rate.per_second(), None);
        rate.tick(1, false, 500);
        assert_eq!(rate.per_second(), None, "one that came alone says nothing");
        rate.tick(50, true, 1_000);
        assert_eq!(rate.per_second(), Some(100.0));
        (2..20).for_each(|n| rate.tick(10, true, n * 1_000));
        assert!((10.0..11.0).contains(&rate.per_second().unwrap()), "{rate:?}");
        (20..100).for_each(|n| rate.tick(0, false, n * 1_000));
        assert!(rate.per_second() > Some(9.0), "an idle server is no slow one: {rate:?}");
    }
}
