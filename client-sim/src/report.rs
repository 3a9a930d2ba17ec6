//! What came of a run, for people and for programs.
//!
//! [`Report`] is that of a single measurement; [`Outcome`] that of a scenario, with a table, files, a page with plots,
//! and a comparison of two.

mod compare;
mod files;
mod outcome;
mod page;
mod plot;
mod plots;
mod table;

pub use compare::Comparison;
pub use files::{read, write};
pub(crate) use outcome::Figures;
pub use outcome::{Generator, GoalOutcome, GroupOutcome, Machine, Outcome, ServerCost};

use crate::clock::Stopwatch;
use crate::measure::{Latency, Times};
use crate::process::Process;
use serde::Serialize;
use std::fmt;
use std::io;
use std::time::Duration;

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario, with what it was told.
    pub scenario: String,
    /// What was counted.
    pub unit: &'static str,
    /// How many.
    pub count: u64,
    /// How long it took.
    pub seconds: f64,
    /// How many a second.
    pub rate: f64,
    /// How long one took.
    pub latency: Option<Latency>,
    /// What it cost the server.
    pub server: Option<Cost>,
    /// What had to be true.
    pub checks: Vec<Check>,
}

/// What a run cost the server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// User and system time for each of what was counted, in µs.
    pub cpu_us_each: f64,
    /// How much of one core it kept busy.
    pub cores: f64,
    /// Memory before, in KiB.
    pub resident_before_kib: u64,
    /// Memory after, in KiB.
    pub resident_after_kib: u64,
}

/// Something that had to be true.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// Whether it is.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

impl Check {
    /// A check with what was found.
    pub fn new(what: &'static str, holds: bool, found: impl fmt::Display) -> Self {
        Self { what, holds, found: found.to_string() }
    }
}

impl Report {
    /// Whether everything holds that had to.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.scenario)?;
        let mut line = |name: &str, value: String| writeln!(f, "  {name:<22} {value}");
        line(self.unit, format!("{} in {:.2} s", self.count, self.seconds))?;
        line("a second", format!("{:.0}", self.rate))?;
        if let Some(Latency { p50_ms, p90_ms, p99_ms, max_ms, .. }) = self.latency {
            line(
                "p50 / p90 / p99 / max",
                format!("{p50_ms:.2} / {p90_ms:.2} / {p99_ms:.2} / {max_ms:.2} ms"),
            )?;
        }
        if let Some(cost) = self.server {
            let Cost { cpu_us_each, cores, resident_before_kib, resident_after_kib } = cost;
            line("server CPU", format!("{cpu_us_each:.2} µs each, {cores:.2} cores"))?;
            let per_one =
                (float(resident_after_kib) - float(resident_before_kib)) / float(self.count.max(1));
            line(
                "server memory",
                format!(
                    "{resident_before_kib} KiB before, {resident_after_kib} after ({per_one:.2} each)"
                ),
            )?;
        }
        for Check { what, holds, found } in &self.checks {
            line(if *holds { "holds" } else { "BROKEN" }, format!("{what}: {found}"))?;
        }
        Ok(())
    }
}

/// Measures a stretch of work: its time, and what it cost the server.
pub(crate) struct Measure {
    watch: Stopwatch,
    server: Option<(Process, Duration, u64)>,
}

/// What was measured.
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    server: Option<(Duration, u64, u64)>,
}

impl Measure {
    pub(crate) fn start(server: Option<Process>) -> io::Result<Self> {
        let server = match server {
            Some(process) => Some((process, process.cpu()?, process.resident_kib()?)),
            None => None,
        };
        Ok(Self { watch: Stopwatch::start(), server })
    }

    pub(crate) fn stop(&self) -> io::Result<Measured> {
        let elapsed = self.watch.elapsed();
        let server = match self.server {
            Some((process, cpu, resident)) => {
                Some((process.cpu()?.saturating_sub(cpu), resident, process.resident_kib()?))
            }
            None => None,
        };
        Ok(Measured { elapsed, server })
    }
}

impl Measured {
    /// The report of a run that did `count` of `unit`.
    pub(crate) fn report(
        &self,
        scenario: String,
        (count, unit): (u64, &'static str),
        times: &Times,
        checks: Vec<Check>,
    ) -> Report {
        let seconds = self.elapsed.as_secs_f64();
        let server = self.server.map(|(cpu, before, after)| Cost {
            cpu_us_each: cpu.as_secs_f64() * 1e6 / float(count.max(1)),
            cores: cpu.as_secs_f64() / seconds,
            resident_before_kib: before,
            resident_after_kib: after,
        });
        let latency = times.latency();
        let rate = float(count) / seconds;
        Report { scenario, unit, count, seconds, rate, latency, server, checks }
    }
}

#[expect(clippy::cast_precision_loss, reason = "what a run counts is far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
