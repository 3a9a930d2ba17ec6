//! A limit to bandwidth: who has said much waits before it says more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a batch may hold at least, in bytes, however narrow the line is.
const BATCH_BYTES_MIN: usize = 16 << 10;

/// One direction of a link.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When what was said so far has gone over a line of that bandwidth.
    free: Mutex<Option<Instant>>,
}

impl Pace {
    /// `bytes` go over the line when it is free, which carries `rate` of them in a second. When that is.
    fn book(&self, bytes: usize, rate: u64, now: Instant) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let us = (bytes as u64).saturating_mul(1_000_000) / rate.max(1);
        let begin = free.unwrap_or(now).max(now);
        *free = Some(begin + Duration::from_micros(us));
        begin
    }

    /// Waits until the line is free for these `bytes`, and no longer than `most`. Both ends may do that: who
    /// has waited at one is not kept waiting at the other.
    pub(super) async fn spend(&self, bytes: usize, rate: Option<u64>, most: Duration) {
        let Some(rate) = rate else { return };
        let now = Instant::now();
        let begin = self.book(bytes, rate, now).min(now + most);
        tokio::time::sleep_until(begin).await;
    }
}

/// Both directions of a link.
#[derive(Debug, Default)]
pub(super) struct Paces {
    /// To the cloud.
    pub(super) up: Pace,
    /// To the edge.
    pub(super) down: Pace,
}

/// How much is said at once over a line of which nobody knows how narrow it is: what takes it for long is
/// followed by less, and what is there at once by more.
#[derive(Debug)]
pub(super) struct Size(AtomicU64);

/// What a batch may hold at first, and at most.
const SIZE: (u64, u64) = (128 << 10, 1 << 20);
const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(10);
/// What is said is compressed about so much; a size that was not nearly used is no reason for a larger one.
const COMPRESSED: u64 = 16;

impl Default for Size {
    fn default() -> Self {
        Self(AtomicU64::new(SIZE.0))
    }
}

impl Size {
    /// In bytes, before they are compressed.
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, size: u64) {
        self.0.store(size.clamp(BATCH_BYTES_MIN as u64, SIZE.1), Ordering::Relaxed);
    }

    /// So many bytes took so long.
    pub(super) fn took(&self, bytes: usize, took: Duration) {
        let (size, bytes) = (self.now(), bytes as u64);
        if took < QUICK && bytes * COMPRESSED >= size {
            self.set(size * 2);
        } else if took > SLOW && bytes * COMPRESSED >= BATCH_BYTES_MIN as u64 {
            self.set(size / 2);
        }
    }

    /// The link broke, maybe because this was too much for it.
    pub(super) fn broke(&self) {
        self.set(self.now() / 2);
    }
}

/// Both directions of a link.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// To the cloud.
    pub(super) up: Size,
    /// To the edge.
    pub(super) down: Size,
}

/// The narrower of two limits.
pub(super) fn narrower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

/// What a batch may hold, so that it does not take the line for much longer than a second.
pub(super) fn batch_bytes(most: usize, rate: Option<u64>) -> usize {
    let in_a_second = rate.map_or(most, |rate| usize::try_from(rate).unwrap_or(usize::MAX));
    in_a_second.max(BATCH_BYTES_MIN).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_said_takes_as_long_as_it_would_over_a_narrow_line() {
        let (pace, start) = (Pace::default(), Instant::now());
        let long = Duration::from_secs(1_000);
        pace.spend(1 << 20, None, long).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "no limit");
        for _ in 0..10 {
            pace.spend(5_000, Some(10_000), long).await;
        }
        // The last of them is on its way.
        let took = start.elapsed();
        assert!((4_500..4_600).contains(&took.as_millis()), "{took:?}");
        // Nobody is kept for ever, and what was said beyond that is owed.
        pace.spend(1_000_000, Some(10_000), long).await;
        pace.spend(0, Some(10_000), Duration::from_secs(1)).await;
        let took = start.elapsed();
        assert!((6_000..6_100).contains(&took.as_millis()), "{took:?}");
        pace.spend(0, Some(10_000), long).await;
        assert!((105_000..105_200).contains(&start.elapsed().as_millis()));
        // What was not used is gone: a line does not carry yesterday's bytes today.
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let start = Instant::now();
        pace.spend(20_000, Some(10_000), long).await;
        pace.spend(20_000, Some(10_000), long).await;
        assert!((2_000..2_100).contains(&start.elapsed().as_millis()));
    }

    #[tokio::test(start_paused = true)]
    async fn two_ends_that_pace_are_no_slower_than_one() {
        let (near, far, start) = (Pace::default(), Pace::default(), Instant::now());
        let long = Duration::from_secs(1_000);
        for _ in 0..10 {
            near.spend(5_000, Some(10_000), long).await;
            far.spend(5_000, Some(10_000), long).await;
        }
        let took = start.elapsed();
        assert!((4_500..4_600).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn what_is_said_at_once_follows_from_how_long_it_takes() {
        let (size, quick, slow) =
            (Size::default(), Duration::from_millis(80), Duration::from_secs(40));
        // Little says nothing of the line, however long it was waited for.
        size.took(300, quick);
        size.took(300, slow);
        assert_eq!(size.now(), SIZE.0);
        for _ in 0..9 {
            size.took(100_000, quick);
        }
        assert_eq!(size.now(), SIZE.1);
        size.took(100_000, Duration::from_secs(3));
        assert_eq!(size.now(), SIZE.1);
        size.took(100_000, slow);
        assert_eq!(size.now(), SIZE.1 / 2);
        // However often the link breaks, something can be said over it.
        for _ in 0..99 {
            size.broke();
        }
        assert_eq!(size.now(), BATCH_BYTES_MIN as u64);
    }

    #[test]
    fn over_a_narrow_line_batches_are_small() {
        assert_eq!(batch_bytes(1 << 20, None), 1 << 20);
        assert_eq!(batch_bytes(1 << 20, Some(100_000)), 100_000);
        assert_eq!(batch_bytes(1 << 20, Some(10)), BATCH_BYTES_MIN);
        assert_eq!(batch_bytes(1 << 20, Some(u64::MAX)), 1 << 20);
        assert_eq!(narrower(Some(3), None), Some(3));
        assert_eq!(narrower(Some(3), Some(2)), Some(2));
        assert_eq!(narrower(None, None), None);
    }
}
