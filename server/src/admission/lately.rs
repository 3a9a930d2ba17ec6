//! How long things took since somebody last asked. Many write, one asks; nobody waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Eight buckets for each doubling, from 1 µs up.
const OCTAVES: usize = 40;
const PARTS: usize = 8;

/// How long appends took.
pub(crate) struct Lately {
    buckets: Box<[AtomicU64]>,
    begun: AtomicU64,
    ended: AtomicU64,
    bytes: AtomicU64,
}

/// What was measured since somebody last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Nine of ten took this long at most, in ms; none if nothing has ended.
    pub(super) most_ms: Option<u64>,
    /// Some that have begun have not ended.
    pub(super) some_wait: bool,
    /// Bytes that were appended.
    pub(super) bytes: u64,
}

impl Default for Lately {
    fn default() -> Self {
        let buckets = (0..OCTAVES * PARTS).map(|_| AtomicU64::new(0)).collect();
        let zero = || AtomicU64::new(0);
        Self { buckets, begun: zero(), ended: zero(), bytes: zero() }
    }
}

impl Lately {
    /// Something begins.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    /// It ended after `us`, and was of so many bytes.
    pub(crate) fn end(&self, us: u64, bytes: usize) {
        self.ended.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        if let Some(bucket) = self.buckets.get(bucket(us)) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    /// It was given up.
    pub(crate) fn give_up(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    /// What there was since the last look.
    pub(super) fn look(&self) -> Looked {
        let counts: Vec<u64> = self.buckets.iter().map(|count| count.swap(0, Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let mut left = all.div_ceil(10);
        let slowest = counts.iter().enumerate().rev().find(|(_, count)| {
            let here = left <= **count;
            left = left.saturating_sub(**count);
            here && all > 0
        });
        Looked {
            most_ms: slowest.map(|(bucket, _)| most_us(bucket) / 1000),
            some_wait: self.begun.load(Relaxed) > self.ended.load(Relaxed),
            bytes: self.bytes.swap(0, Relaxed),
        }
    }
}

/// The bucket of `us`: its highest bit, and the three below it.
fn bucket(us: u64) -> usize {
    let us = us.max(PARTS as u64);
    let octave = 63 - us.leading_zeros() as usize;
    let part = usize::try_from((us >> (octave - 3)) & (PARTS as u64 - 1)).unwrap_or_default();
    ((octave - 3) * PARTS + part).min(OCTAVES * PARTS - 1)
}

/// The most that a bucket holds.
fn most_us(bucket: usize) -> u64 {
    let (octave, part) = (bucket / PARTS, bucket % PARTS);
    ((PARTS + part + 1) as u64) << octave
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_of_ten_took_this_long_at_most() {
        let lately = Lately::default();
        assert_eq!(lately.look(), Looked::default());
        for n in 1..=100 {
            lately.begin();
            lately.end(n * 1000, 10);
        }
        let Looked { most_ms: Some(most_ms), some_wait: false, bytes: 1000 } = lately.look() else {
            panic!("nothing was measured");
        };
        assert!((90..=103).contains(&most_ms), "{most_ms}");
        assert_eq!(lately.look(), Looked::default(), "each is told once");
    }

    #[test]
    fn what_has_begun_and_not_ended_is_told() {
        let lately = Lately::default();
        lately.begin();
        lately.begin();
        lately.give_up();
        assert!(lately.look().some_wait);
        lately.end(70_000_000, 1);
        let looked = lately.look();
        assert!(!looked.some_wait);
        assert!((70_000..80_000).contains(&looked.most_ms.unwrap()), "{looked:?}");
    }

    #[test]
    fn every_duration_is_at_most_what_its_bucket_says_and_hardly_less() {
        for us in (1..10_000).chain((14..42).map(|bits| (1 << bits) - 1)) {
            let most = most_us(bucket(us));
            assert!(most >= us && most <= us.max(8) * 9 / 8 + 1, "{us}: {most}");
        }
        assert!(bucket(u64::MAX) < OCTAVES * PARTS);
    }
}
