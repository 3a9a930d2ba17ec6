//! The one place that reads the system's clocks. Everything else is told the time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the process first asked.
static START: OnceLock<Instant> = OnceLock::new();
/// The wall clock at that moment, in ns since the epoch, as the greatest that it has said since makes it.
static STARTED_AT: AtomicU64 = AtomicU64::new(0);

/// The wall clock in ms since the epoch. It never goes back while the process runs, or two answers
/// could get one id, and it never stands still, or no timer would come due: while the system's clock
/// is set back, time goes on from where it was.
pub(crate) fn now_ms() -> u64 {
    let (passed, wall) = read_system_clocks();
    let at = wall.saturating_sub(passed);
    // No lock: every connection asks, all the time. And nothing is written that all of them read, unless
    // the clock was set on.
    let mut greatest = STARTED_AT.load(Ordering::Relaxed);
    if at > greatest {
        greatest = STARTED_AT.fetch_max(at, Ordering::Relaxed);
    }
    let at = at.max(greatest);
    at.saturating_add(passed) / 1_000_000
}

/// Ns since the process first asked, and ns since the epoch.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn read_system_clocks() -> (u64, u64) {
    let now = Instant::now();
    let passed = now.saturating_duration_since(*START.get_or_init(|| now));
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    (ns(passed), ns(wall))
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
