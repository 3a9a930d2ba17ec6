//! An outcome as a table for a terminal.

use super::outcome::{GroupOutcome, Outcome};
use crate::measure::{Latency, float};
use std::fmt;

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, devices, seconds, spec, .. } = self;
        writeln!(f, "{scenario}: {devices} devices, seed {}, {seconds:.1} s", spec.seed)?;
        let rate = |count: u64| float(count) / seconds.max(0.001);
        let mut line = |name: &str, value: String| writeln!(f, "  {name:<24} {value}");
        let counted = |count: u64| format!("{count}, {:.0}/s", rate(count));
        line("acknowledged", counted(self.acknowledged))?;
        line("delivered", counted(self.deliveries))?;
        for group in &self.groups {
            lines_of(group, &mut line)?;
        }
        if let (Some(pace), Some(at_pace)) = (&self.pace, self.at_pace_seconds) {
            let work = format!("{:.0} actions/s, {} devices at once", pace.rate, pace.at_once);
            line("steady pace", format!("{work}; all the work at it: {at_pace:.1} s"))?;
        }
        for restart in &self.restarts {
            let (stop, start) = (restart.stopping_seconds, restart.starting_seconds);
            line("restart", format!("stopped in {stop:.2} s, listened after {start:.2} s"))?;
        }
        if let Some(server) = &self.server {
            let (cpu, cores) = (server.cpu_us_each, server.cores);
            line("server CPU", format!("{cpu:.2} µs each, {cores:.2} cores"))?;
            let peak =
                server.peak_kib.map_or(String::new(), |kib| format!(", at most {}", mib(kib)));
            let (before, after) = (mib(server.before_kib), mib(server.after_kib));
            line("server memory", format!("{before} before, {after} after{peak}"))?;
        }
        let generator = self.generator;
        let (kib, cpu) = (generator.kib_each, generator.cpu_seconds);
        line("generator", format!("{kib:.1} KiB a device, {cpu:.1} s of CPU"))?;
        for outcome in &self.goals {
            let found =
                outcome.found.map_or("not measured".to_owned(), |found| format!("{found:.2}"));
            let goal = &outcome.goal;
            let bound = goal.at_most.map(|most| format!("at most {most}"));
            let bound = bound.or(goal.at_least.map(|least| format!("at least {least}")));
            let of = goal.group.as_deref().map_or(String::new(), |group| format!("{group}: "));
            let name = if outcome.reached { "reached" } else { "MISSED" };
            let bound = bound.unwrap_or_default();
            line(name, format!("{of}{}: {found}, {bound}", goal.figure.name()))?;
        }
        if self.violations == 0 {
            let read = self.audited;
            line(
                "oracle",
                format!("nothing lost, doubled or out of order; {read} logs read back"),
            )?;
        }
        if !self.settled {
            line("BROKEN", "not everything came to everybody in the time there was".to_owned())?;
        }
        for found in self.found.iter().take(10) {
            line("BROKEN", format!("{}: {}", found.node, found.violation))?;
        }
        if self.violations > 10 {
            line("BROKEN", format!("{} violations in all", self.violations))?;
        }
        Ok(())
    }
}

fn lines_of(
    group: &GroupOutcome,
    line: &mut impl FnMut(&str, String) -> fmt::Result,
) -> fmt::Result {
    let GroupOutcome { name, devices, attempts, connections, .. } = group;
    line(name, format!("{devices} devices, {connections} connections of {attempts} attempts"))?;
    for (what, latency) in [
        ("  acknowledged", group.acknowledged),
        ("  backlog acknowledged", group.backlog),
        ("  delivered", group.delivered),
        ("  caught up", group.caught_up),
    ] {
        if let Some(latency) = latency {
            line(what, of(&latency))?;
        }
    }
    if let Some(fairness) = group.fairness {
        let (mean, worst) = (fairness.mean, fairness.worst);
        line("  fairness (Jain)", format!("{mean:.3} on average, {worst:.3} in the worst second"))?;
    }
    if group.repeats > 0 {
        line("  came again", group.repeats.to_string())?;
    }
    if group.refused > 0 {
        line("  refused by rules", group.refused.to_string())?;
    }
    for (error, count) in &group.errors {
        line("  tried again", format!("{count} × {error}"))?;
    }
    Ok(())
}

fn of(latency: &Latency) -> String {
    let Latency { count, p50_ms, p90_ms, p99_ms, max_ms, .. } = latency;
    let [p50, p90, p99, max] = [p50_ms, p90_ms, p99_ms, max_ms].map(|ms| duration(*ms));
    format!("p50 {p50}, p90 {p90}, p99 {p99}, max {max} of {count}")
}

/// A time as people say it.
pub(super) fn duration(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1000.0),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

pub(super) fn mib(kib: u64) -> String {
    format!("{:.1} MiB", float(kib) / 1024.0)
}
