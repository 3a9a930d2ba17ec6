//! The one place that reads the system's clocks. Everything else is told the time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock in ms since the epoch, as of one moment of the monotonic clock.
static ANCHOR: Mutex<Option<(Instant, u64)>> = Mutex::new(None);

/// The wall clock in ms since the epoch. It never goes back while the process runs, or two answers
/// could get one id, and it never stands still, or no timer would come due: while the system's clock
/// is set back, time goes on from where it was.
pub(crate) fn now_ms() -> u64 {
    let (instant, wall) = read_system_clocks();
    let mut anchor = ANCHOR.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, at) = *anchor.get_or_insert((instant, wall));
    let passed = instant.saturating_duration_since(since).as_millis();
    let now = at.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
    if wall > now {
        *anchor = Some((instant, wall));
    }
    now.max(wall)
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn read_system_clocks() -> (Instant, u64) {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// How long something takes.
#[derive(Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// From now on.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Whether it takes this long already.
    pub(crate) fn has_passed(&self, time: Duration) -> bool {
        self.0.elapsed() >= time
    }

    /// So far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// So far, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
