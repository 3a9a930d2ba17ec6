//! How many actions a user may make: so many a second, and so many more at once after a while of none.
//!
//! What is remembered of a user is one moment: when all that it did would be paid for, at its rate. Once
//! that is past, nothing need be remembered.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Users remembered; more of them at once, and some act freely.
const REMEMBERED_MAX: usize = 1 << 20;
/// What is over is swept out at most this often.
const SWEEP_EVERY_US: u64 = 1_000_000;

/// The rate of every user, and what each has used of it.
pub(super) struct Rates {
    /// What one action costs, in µs.
    cost_us: u64,
    burst: u64,
    hasher: RandomState,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// When a user has paid for all that it did, in µs.
    paid_us: HashMap<u64, u64>,
    swept_us: u64,
}

/// When a number of actions fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// At once.
    None,
    /// After so many ms.
    Ms(u64),
    /// Never: it is more than fits at once, which is this.
    TooMany(u64),
}

impl Rates {
    pub(super) fn new(per_second: usize, burst: usize) -> Self {
        Self {
            cost_us: (1_000_000 / per_second.max(1) as u64).max(1),
            burst: burst.max(1) as u64,
            hasher: RandomState::new(),
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up to `count` actions of `user`'s; how many it may make.
    pub(super) fn take(&self, user: &str, count: usize, now_ms: u64) -> usize {
        let (key, at_us) = (self.hasher.hash_one(user), now_ms.saturating_mul(1_000));
        let mut memory = self.memory();
        memory.make_room(at_us);
        let granted = self.free(&memory, key, at_us).min(count as u64);
        if granted > 0 && (memory.paid_us.len() < REMEMBERED_MAX || memory.has(key)) {
            let paid = memory.paid_us.entry(key).or_default();
            *paid = (*paid).max(at_us).saturating_add(granted.saturating_mul(self.cost_us));
        }
        usize::try_from(granted).unwrap_or(count)
    }

    /// Gives back what `user` took and did not need.
    pub(super) fn give_back(&self, user: &str, count: usize) {
        if let Some(paid) = self.memory().paid_us.get_mut(&self.hasher.hash_one(user)) {
            *paid = paid.saturating_sub((count as u64).saturating_mul(self.cost_us));
        }
    }

    /// When `user` may make `count` actions at once.
    pub(super) fn wait(&self, user: &str, count: usize, now_ms: u64) -> Wait {
        let (key, at_us) = (self.hasher.hash_one(user), now_ms.saturating_mul(1_000));
        if count as u64 > self.burst {
            return Wait::TooMany(self.burst);
        }
        let missing = (count as u64).saturating_sub(self.free(&self.memory(), key, at_us));
        match missing.saturating_mul(self.cost_us).div_ceil(1_000) {
            0 => Wait::None,
            ms => Wait::Ms(ms),
        }
    }

    fn free(&self, memory: &Memory, key: u64, now_us: u64) -> u64 {
        let owed_us = memory.paid_us.get(&key).map_or(0, |paid| paid.saturating_sub(now_us));
        self.burst.saturating_sub(owed_us.div_ceil(self.cost_us))
    }
}

impl Memory {
    fn has(&self, key: u64) -> bool {
        self.paid_us.contains_key(&key)
    }

    fn make_room(&mut self, now_us: u64) {
        let full = self.paid_us.len() >= REMEMBERED_MAX;
        if full && self.swept_us.abs_diff(now_us) >= SWEEP_EVERY_US {
            self.swept_us = now_us;
            self.paid_us.retain(|_, paid| *paid > now_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000_000;

    #[test]
    fn a_user_has_its_burst_at_once_and_then_its_rate() {
        let rates = Rates::new(10, 5);
        assert_eq!(rates.take("10", 3, NOW), 3);
        assert_eq!(rates.wait("10", 2, NOW), Wait::None);
        assert_eq!(rates.take("10", 3, NOW), 2, "the edge");
        assert_eq!(rates.take("10", 1, NOW + 99), 0);
        assert_eq!(rates.take("10", 9, NOW + 100), 1);
        assert_eq!(rates.take("11", 5, NOW), 5, "another user");
        assert_eq!(rates.take("10", 9, NOW + 100_000), 5, "never more than the burst");
    }

    #[test]
    fn who_must_wait_is_told_how_long() {
        let rates = Rates::new(10, 5);
        rates.take("10", 5, NOW);
        assert_eq!(rates.wait("10", 2, NOW), Wait::Ms(200));
        assert_eq!(rates.take("10", 2, NOW + 199), 1);
        rates.give_back("10", 1);
        assert_eq!(rates.take("10", 2, NOW + 200), 2);
        assert_eq!(rates.wait("10", 6, NOW), Wait::TooMany(5));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let rates = Rates::new(1, 1);
        for user in 0..REMEMBERED_MAX + 10 {
            rates.take(&user.to_string(), 1, NOW);
        }
        assert_eq!(rates.memory().paid_us.len(), REMEMBERED_MAX);
        rates.take("late", 1, NOW + 2_000);
        assert_eq!(rates.memory().paid_us.len(), 1);
    }
}
