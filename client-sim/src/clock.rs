//! The one place of the generator that reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock in ms since the epoch, as ids and the protocol have it.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// A clock for measuring: it starts at 0 and never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn nanos(&self) -> u64 {
        u64::try_from(self.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The clock of a run: µs since it began, and what the wall clock said then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: tokio::time::Instant,
    zero_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { zero: tokio::time::Instant::now(), zero_ms: now_ms() }
    }

    pub(crate) fn micros(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The moment that is so many µs after the beginning.
    pub(crate) fn at(&self, micros: u64) -> tokio::time::Instant {
        self.zero + Duration::from_micros(micros)
    }

    /// What the wall clock said in the beginning, in ms since the epoch.
    pub(crate) fn zero_ms(&self) -> u64 {
        self.zero_ms
    }

    /// The moment at which the wall clock shows so many ms, if nobody sets it.
    pub(crate) fn at_wall(&self, ms: u64) -> tokio::time::Instant {
        self.at(ms.saturating_sub(self.zero_ms).saturating_mul(1000))
    }
}
