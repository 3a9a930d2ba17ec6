//! Two outcomes side by side.

use super::outcome::{GroupOutcome, Outcome};
use super::table::duration;
use crate::measure::{Latency, float};
use std::fmt;

/// Two outcomes side by side, with ratios.
#[derive(Debug)]
pub struct Comparison {
    rows: Vec<Row>,
    warnings: Vec<String>,
}

#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    a: String,
    b: String,
    /// The second by the first.
    ratio: f64,
}

impl Comparison {
    /// What two runs have in common.
    pub fn new(a: &Outcome, b: &Outcome) -> Self {
        let mut rows = Vec::new();
        let mut put = |name: &str, a: Option<f64>, b: Option<f64>, show: fn(f64) -> String| {
            if let Some((a, b)) = a.zip(b) {
                let (ratio, name) = (b / a, name.to_owned());
                rows.push(Row { name, a: show(a), b: show(b), ratio });
            }
        };
        let rate = |of: &Outcome, count: u64| Some(float(count) / of.seconds.max(0.001));
        let plain = |number: f64| format!("{number:.0}/s");
        put("acknowledged", rate(a, a.acknowledged), rate(b, b.acknowledged), plain);
        put("delivered", rate(a, a.deliveries), rate(b, b.deliveries), plain);
        let server = |of: &Outcome| of.server.map(|server| server.cpu_us_each);
        put("server CPU each", server(a), server(b), |us| format!("{us:.2} µs"));
        let peak = |of: &Outcome| of.server.and_then(|server| server.peak_kib).map(float);
        put("server memory, most", peak(a), peak(b), |kib| format!("{:.1} MiB", kib / 1024.0));
        for group in &a.groups {
            let Some(other) = b.group(&group.name) else { continue };
            for (what, of) in LATENCIES {
                for (share, at) in SHARES {
                    let name = format!("{}: {what}, {share}", group.name);
                    put(&name, of(group).map(at), of(other).map(at), duration);
                }
            }
            let fair = |group: &GroupOutcome| group.fairness.map(|fairness| fairness.mean);
            let name = format!("{}: fairness", group.name);
            put(&name, fair(group), fair(other), |index| format!("{index:.3}"));
        }
        Self { rows, warnings: warnings(a, b) }
    }
}

type Of = fn(&GroupOutcome) -> Option<Latency>;
type At = fn(Latency) -> f64;

const LATENCIES: [(&str, Of); 4] = [
    ("acknowledged", |group| group.acknowledged),
    ("backlog acknowledged", |group| group.backlog),
    ("delivered", |group| group.delivered),
    ("caught up", |group| group.caught_up),
];
const SHARES: [(&str, At); 3] = [
    ("p50", |latency| latency.p50_ms),
    ("p99", |latency| latency.p99_ms),
    ("max", |latency| latency.max_ms),
];

/// Why the ratios may mean less than they seem to.
fn warnings(a: &Outcome, b: &Outcome) -> Vec<String> {
    let mut warnings = Vec::new();
    if a.machine != b.machine {
        warnings.push("the runs are of different machines".to_owned());
    }
    if a.spec != b.spec {
        warnings.push("the scenarios are not the same".to_owned());
    }
    for (name, outcome) in [("A", a), ("B", b)] {
        if !outcome.holds() {
            warnings.push(format!("{name} is broken: {} violations", outcome.violations));
        }
    }
    warnings
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "beware: {warning}")?;
        }
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        writeln!(f, "{:width$} {:>12} {:>12} {:>8}", "", "A", "B", "B / A")?;
        for Row { name, a, b, ratio } in &self.rows {
            writeln!(f, "{name:width$} {a:>12} {b:>12} {ratio:>8.2}")?;
        }
        Ok(())
    }
}
