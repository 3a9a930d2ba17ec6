//! The one place that reads the system's clocks. Everything else is told the time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the process first asked.
static START: OnceLock<Instant> = OnceLock::new();
/// The wall clock at that moment, in ns since the epoch, as the greatest that it has said since makes it.
static STARTED_AT: AtomicU64 = AtomicU64::new(0);
/// When the wall clock was looked at last, in ns since the process first asked.
static LOOKED_AT: AtomicU64 = AtomicU64::new(0);
/// It is looked at so often, in ns: each request and message asks for the time, and it is seldom set.
const LOOK_EVERY: u64 = 10_000_000;

/// The wall clock in ms since the epoch. It never goes back while the process runs, or two answers
/// could get one id, and it never stands still, or no timer would come due: while the system's clock
/// is set back, time goes on from where it was.
pub(crate) fn now_ms() -> u64 {
    let passed = passed();
    // No lock: every connection asks, all the time. And nothing is written that all of them read, unless
    // the clock was set on.
    let mut greatest = STARTED_AT.load(Ordering::Relaxed);
    let is_due = passed.saturating_sub(LOOKED_AT.load(Ordering::Relaxed)) >= LOOK_EVERY;
    if is_due || greatest == 0 {
        LOOKED_AT.store(passed, Ordering::Relaxed);
        let at = wall().saturating_sub(passed);
        if at > greatest {
            greatest = STARTED_AT.fetch_max(at, Ordering::Relaxed).max(at);
        }
    }
    greatest.saturating_add(passed) / 1_000_000
}

/// Ns since the process first asked.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn passed() -> u64 {
    let now = Instant::now();
    ns(now.saturating_duration_since(*START.get_or_init(|| now)))
}

/// Ns since the epoch.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn wall() -> u64 {
    ns(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
