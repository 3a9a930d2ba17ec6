//! When a device tries again.

use crate::plan::{Behaviour, Chance};
use std::time::Duration;

/// What `@logux/client` waits at first, and at most.
const STOCK_MIN: f64 = 1.0;
const STOCK_MAX: f64 = 5.0;
/// What a better client waits at first and at most; it draws from nothing up to that.
const BETTER_MIN: f64 = 1.0;
const BETTER_MAX: f64 = 32.0;
/// More than that nobody is told to wait.
const TOLD_MAX: f64 = 3600.0;

/// The attempts of one device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    attempts: i32,
}

impl Backoff {
    /// There is a socket: from now on it counts anew, as in stock clients.
    pub(crate) fn opened(&mut self) {
        self.attempts = 0;
    }

    /// How long until the next attempt; `told` is what the server said, in seconds.
    pub(crate) fn next(
        &mut self,
        behaviour: Behaviour,
        told: Option<u64>,
        chance: &mut Chance,
    ) -> Duration {
        let grown = 2_f64.powi(self.attempts.min(16));
        self.attempts += 1;
        let seconds = match (behaviour, told) {
            (Behaviour::Stock, _) => stock(grown, chance),
            // Who is told the same does not come at the same moment.
            #[expect(clippy::cast_precision_loss, reason = "seconds")]
            (Behaviour::Better, Some(told)) => (told as f64).min(TOLD_MAX) + chance.part(),
            (Behaviour::Better, None) => (BETTER_MIN * grown).min(BETTER_MAX) * chance.part(),
        };
        Duration::from_secs_f64(seconds)
    }
}

/// As `Reconnect` of `@logux/core` has it: half as much more at most, and one time in ten less.
fn stock(grown: f64, chance: &mut Chance) -> f64 {
    let base = STOCK_MIN * grown;
    let part = chance.part();
    let deviation = part * 0.5 * base;
    let less = (0.1..0.2).contains(&part);
    (base + if less { -deviation } else { deviation }).min(STOCK_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(behaviour: Behaviour, told: Option<u64>) -> Vec<f64> {
        let (mut backoff, mut chance) = (Backoff::default(), Chance::new(1, 1));
        (0..20).map(|_| backoff.next(behaviour, told, &mut chance).as_secs_f64()).collect()
    }

    #[test]
    fn stock_clients_come_back_within_five_seconds_however_often_they_failed() {
        let waits = waits(Behaviour::Stock, Some(100));
        assert!((0.8..=1.5).contains(&waits[0]), "{waits:?}");
        assert!(waits[5..].iter().all(|wait| (*wait - 5.0).abs() < 1e-9), "{waits:?}");
    }

    #[test]
    fn better_ones_spread_and_do_as_they_are_told() {
        let own = waits(Behaviour::Better, None);
        assert!(own.iter().all(|wait| *wait <= 32.0));
        assert!(own.iter().any(|wait| *wait > 10.0));
        assert!(waits(Behaviour::Better, Some(7)).iter().all(|wait| (7.0..8.0).contains(wait)));
    }
}
