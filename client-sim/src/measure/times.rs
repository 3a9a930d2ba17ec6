//! Times of single operations, in a histogram with three digits.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long one took, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// Half of them were quicker.
    pub p50_ms: f64,
    /// 90 % were quicker.
    pub p90_ms: f64,
    /// 99 % were quicker.
    pub p99_ms: f64,
    /// All but one of a thousand were quicker.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// A share of all, and the time that so many took at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// From 0 to 1.
    pub share: f64,
    /// In ms.
    pub ms: f64,
}

/// The shares that a curve has points for.
const SHARES: [f64; 16] =
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1.0];

/// Times of single operations, to the microsecond.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self::new()
    }
}

impl Times {
    const LONGEST: Duration = Duration::from_secs(3600);

    pub(crate) fn new() -> Self {
        let longest = u64::try_from(Self::LONGEST.as_micros()).unwrap_or(u64::MAX);
        // The bounds are constants that the library takes.
        let histogram = Histogram::new_with_bounds(1, longest, 3);
        Self(histogram.unwrap_or_else(|_| unreachable!("bounds of the histogram")))
    }

    pub(crate) fn record_nanos(&mut self, nanos: u64) {
        self.record_micros(nanos / 1000);
    }

    pub(crate) fn record_micros(&mut self, micros: u64) {
        self.0.saturating_record(micros.max(1));
    }

    pub(crate) fn add(&mut self, others: &Self) {
        // Equal bounds always add up.
        let _ = self.0.add(&others.0);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    pub(crate) fn latency(&self) -> Option<Latency> {
        (!self.0.is_empty()).then(|| Latency {
            count: self.0.len(),
            p50_ms: self.at(0.5),
            p90_ms: self.at(0.9),
            p99_ms: self.at(0.99),
            p999_ms: self.at(0.999),
            max_ms: float(self.0.max()) / 1000.0,
        })
    }

    pub(crate) fn curve(&self) -> Vec<Point> {
        if self.0.is_empty() {
            return Vec::new();
        }
        SHARES.into_iter().map(|share| Point { share, ms: self.at(share) }).collect()
    }

    fn at(&self, share: f64) -> f64 {
        // The library answers with the end of a bucket, which may lie above all that was recorded.
        float(self.0.value_at_quantile(share).min(self.0.max())) / 1000.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "what a run counts is far below 2^52")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut times = Times::new();
        assert_eq!(times.latency(), None);
        for micros in 1..=1000 {
            times.record_micros(micros * 1000);
        }
        let latency = times.latency().unwrap();
        assert_eq!((latency.count, latency.max_ms.round()), (1000, 1000.0));
        assert!((latency.p50_ms - 500.0).abs() < 1.0 && (latency.p99_ms - 990.0).abs() < 1.0);
        let curve = times.curve();
        assert!(curve.windows(2).all(|pair| pair[0].ms <= pair[1].ms), "{curve:?}");
    }
}
