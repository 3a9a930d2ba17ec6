//! How it went over time: a sample every so often.

use super::times::float;
use super::{Reading, Stats};
use serde::{Deserialize, Serialize};

/// One moment of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds after the start.
    pub at: f64,
    /// Actions acknowledged a second, since the sample before.
    pub acknowledged: f64,
    /// Deliveries a second.
    pub delivered: f64,
    /// Half of the acknowledgements since the sample before took less, in ms.
    pub p50_ms: Option<f64>,
    /// 99 % did.
    pub p99_ms: Option<f64>,
    /// Devices that are signed in.
    pub online: u64,
    /// Devices that want to be.
    pub waiting: u64,
    /// Devices that do not have everything.
    pub behind: u64,
    /// Cores that the server kept busy.
    pub cores: Option<f64>,
    /// The server's memory, in MiB.
    pub memory_mib: Option<f64>,
}

/// Makes samples out of what is counted.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    pub(crate) samples: Vec<Sample>,
    at: f64,
    acknowledged: u64,
    delivered: u64,
    reading: Option<Reading>,
}

impl Sampler {
    /// The counts so far are those of the start.
    pub(crate) fn start(acknowledged: u64, stats: &Stats, reading: Option<Reading>) -> Self {
        let delivered = stats.deliveries;
        Self { acknowledged, delivered, reading, ..Self::default() }
    }

    pub(crate) fn sample(
        &mut self,
        at: f64,
        acknowledged: u64,
        stats: &mut Stats,
        reading: Option<Reading>,
    ) {
        let since = (at - self.at).max(0.001);
        let recent = stats.recent.latency();
        stats.recent.clear();
        let cpu = reading.zip(self.reading).map(|(now, then)| now.cpu.saturating_sub(then.cpu));
        self.samples.push(Sample {
            at,
            acknowledged: float(acknowledged - self.acknowledged) / since,
            delivered: float(stats.deliveries - self.delivered) / since,
            p50_ms: recent.map(|latency| latency.p50_ms),
            p99_ms: recent.map(|latency| latency.p99_ms),
            online: stats.online,
            waiting: stats.waiting,
            behind: stats.behind,
            cores: cpu.map(|cpu| cpu.as_secs_f64() / since),
            memory_mib: reading.map(|reading| float(reading.resident_kib) / 1024.0),
        });
        (self.at, self.acknowledged, self.delivered) = (at, acknowledged, stats.deliveries);
        self.reading = reading.or(self.reading);
    }
}
