//! How long the disk takes, and how much a commit holds.

use crate::clock::Stopwatch;
use prometheus_client::metrics::histogram::Histogram;

/// From a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 16] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
const ACTIONS: [f64; 13] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0];
/// From 256 bytes to 16 MiB.
const BYTES: [f64; 9] =
    [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// What is measured at the log. Clones are the same meter.
#[derive(Clone, Debug)]
pub struct Meter {
    /// From asking to append until it is durable: room in the queue, a turn, and the disk.
    pub append_seconds: Histogram,
    /// From taking a batch until it is durable and published.
    pub commit_seconds: Histogram,
    /// The syncs that commits wait for.
    pub fsync_seconds: Histogram,
    /// Actions in a commit.
    pub commit_actions: Histogram,
    /// Bytes of the rows of a commit.
    pub commit_bytes: Histogram,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            append_seconds: Histogram::new(SECONDS),
            commit_seconds: Histogram::new(SECONDS),
            fsync_seconds: Histogram::new(SECONDS),
            commit_actions: Histogram::new(ACTIONS),
            commit_bytes: Histogram::new(BYTES),
        }
    }
}

impl Meter {
    /// A commit of `actions` in rows of `bytes` is durable and published.
    #[expect(clippy::cast_precision_loss, reason = "a histogram is no ledger")]
    pub(super) fn committed(&self, actions: usize, bytes: usize, since: &Stopwatch) {
        self.commit_seconds.observe(since.seconds());
        self.commit_actions.observe(actions as f64);
        self.commit_bytes.observe(bytes as f64);
    }
}
