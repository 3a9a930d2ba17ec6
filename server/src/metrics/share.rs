//! One connection's part in a gauge of all.

use prometheus_client::metrics::gauge::Gauge;

/// What one connection adds to a gauge; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    gauge: Gauge,
    part: i64,
}

impl Share {
    /// A part of nothing yet.
    pub(super) fn of(gauge: Gauge) -> Self {
        Self { gauge, part: 0 }
    }

    /// From now on the part is `part`.
    pub(crate) fn set(&mut self, part: i64) {
        if part != self.part {
            self.gauge.inc_by(part - self.part);
            self.part = part;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
