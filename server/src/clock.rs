//! The one place that reads the system's clock. Everything else is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in ms since the epoch; it never goes back while the process runs.
///
/// A clock that is set back would give two answers one id, so the greatest value seen holds until
/// the clock has caught up.
pub fn now_ms() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LATEST: AtomicU64 = AtomicU64::new(0);
    let read = read_system_clock();
    LATEST.fetch_max(read, Ordering::Relaxed).max(read)
}

#[expect(clippy::disallowed_methods, reason = "this is the place")]
fn read_system_clock() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
