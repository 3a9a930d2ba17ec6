//! What came of a scenario: everything that the table, the JSON and the page show.

use crate::measure::{Fairness, GroupStats, Latency, Point, Reading, Sample, fairness, float};
use crate::oracle::Found;
use crate::plan::{Figure, Goal, Spec};
use crate::run::{PaceResult, Restart, used};
use crate::world::World;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// What came of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario.
    pub scenario: String,
    /// When it was run.
    pub date: String,
    /// The command line.
    pub command: String,
    /// Where.
    pub machine: Machine,
    /// What the names of this run begin with.
    pub run: String,
    /// The scenario, as it was run.
    pub spec: Spec,
    /// Devices.
    pub devices: u64,
    /// From the start until everybody had everything.
    pub seconds: f64,
    /// Whether it came to that.
    pub settled: bool,
    /// Actions that were acknowledged in that time.
    pub acknowledged: u64,
    /// Actions that were delivered in that time.
    pub deliveries: u64,
    /// The groups.
    pub groups: Vec<GroupOutcome>,
    /// The pace that was measured before.
    pub pace: Option<PaceResult>,
    /// What the work of those who were let in takes at that pace, in seconds.
    pub at_pace_seconds: Option<f64>,
    /// Times that the server was started again.
    pub restarts: Vec<Restart>,
    /// What it cost the server.
    pub server: Option<ServerCost>,
    /// What it cost the generator.
    pub generator: Generator,
    /// What the run was meant to reach.
    pub goals: Vec<GoalOutcome>,
    /// How it went.
    pub samples: Vec<Sample>,
    /// Users whose logs were read back.
    pub audited: u64,
    /// What must not be, and was.
    pub violations: u64,
    /// The first of it.
    #[serde(skip_deserializing)]
    pub found: Vec<Found>,
}

/// Where a run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that the generator may use.
    pub cores: u64,
    /// The processor.
    pub processor: String,
    /// The kernel.
    pub kernel: String,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

/// What came of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupOutcome {
    /// Its name.
    pub name: String,
    /// Its devices.
    pub devices: u64,
    /// From when an action was meant to be made to its acknowledgement.
    pub acknowledged: Option<Latency>,
    /// The same as a curve.
    pub acknowledged_curve: Vec<Point>,
    /// From wanting to be online to the acknowledgement of what was made before.
    pub backlog: Option<Latency>,
    /// From when an action was meant to be made to its arrival.
    pub delivered: Option<Latency>,
    /// The same as a curve.
    pub delivered_curve: Vec<Point>,
    /// From wanting to be online to having everything.
    pub caught_up: Option<Latency>,
    /// The same as a curve.
    pub caught_up_curve: Vec<Point>,
    /// Among devices that were let in together.
    pub fairness: Option<Fairness>,
    /// Deliveries.
    pub deliveries: u64,
    /// Deliveries that came again, where they may.
    pub repeats: u64,
    /// Actions that the rules refused.
    pub refused: u64,
    /// Attempts to connect; over HTTP, exchanges.
    pub attempts: u64,
    /// Connections.
    pub connections: u64,
    /// What went wrong, and was tried again.
    pub errors: BTreeMap<String, u64>,
}

/// What a run cost the server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// User and system time for each acknowledgement and each delivery, in µs.
    pub cpu_us_each: f64,
    /// How many cores it kept busy.
    pub cores: f64,
    /// Memory before, in KiB.
    pub before_kib: u64,
    /// Memory after, in KiB.
    pub after_kib: u64,
    /// The most there ever was, in KiB, where the process can be seen.
    pub peak_kib: Option<u64>,
}

/// What a run cost the generator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// The most memory that it had, for each device, in KiB.
    pub kib_each: f64,
    /// Its whole CPU time, in seconds.
    pub cpu_seconds: f64,
}

/// Whether a goal is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoalOutcome {
    /// The goal.
    pub goal: Goal,
    /// What was found; none where it could not be measured.
    pub found: Option<f64>,
    /// Whether that reaches it.
    pub reached: bool,
}

/// What a run hands over.
pub(crate) struct Figures {
    pub(crate) command: String,
    pub(crate) seconds: f64,
    pub(crate) settled: bool,
    pub(crate) acknowledged: u64,
    pub(crate) audited: u64,
    pub(crate) pace: Option<PaceResult>,
    pub(crate) restarts: Vec<Restart>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) before: Option<Reading>,
    pub(crate) after: Option<Reading>,
    pub(crate) peak_kib: Option<u64>,
    /// Without devices, and at most.
    pub(crate) generator_kib: (u64, u64),
    pub(crate) generator_cpu: Duration,
}

impl Outcome {
    pub(crate) fn new(world: &World, figures: Figures) -> Self {
        let spec = world.plan.spec.clone();
        let stats = world.stats.borrow();
        let groups: Vec<GroupOutcome> = spec
            .groups
            .iter()
            .zip(&stats.groups)
            .map(|(group, stats)| {
                let devices = u64::from(group.users) * u64::from(group.devices);
                GroupOutcome::new(&group.name, devices, stats)
            })
            .collect();
        let deliveries = groups.iter().map(|group| group.deliveries).sum();
        let work = stats.groups.iter().flat_map(|group| &group.episodes).map(|of| of.work).sum();
        let devices = world.plan.devices.len() as u64;
        let (empty, full) = figures.generator_kib;
        let mut outcome = Self {
            scenario: spec.name.clone(),
            date: httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(crate::now_ms())),
            command: figures.command.clone(),
            machine: Machine::this(),
            run: world.access.run.clone(),
            devices,
            seconds: figures.seconds,
            settled: figures.settled,
            acknowledged: figures.acknowledged,
            deliveries,
            groups,
            at_pace_seconds: figures.pace.as_ref().map(|pace| float(work) / pace.rate),
            server: figures.server(figures.acknowledged + deliveries),
            pace: figures.pace,
            restarts: figures.restarts,
            generator: Generator {
                kib_each: float(full.saturating_sub(empty)) / float(devices.max(1)),
                cpu_seconds: figures.generator_cpu.as_secs_f64(),
            },
            goals: Vec::new(),
            samples: figures.samples,
            audited: figures.audited,
            violations: world.violations.get(),
            found: world.found.borrow().clone(),
            spec,
        };
        outcome.goals = outcome.spec.goals.iter().map(|goal| outcome.judge(goal)).collect();
        outcome
    }

    /// Whether nothing was that must not be.
    pub fn holds(&self) -> bool {
        self.violations == 0 && self.settled
    }

    /// Whether every goal is reached.
    pub fn reached(&self) -> bool {
        self.goals.iter().all(|goal| goal.reached)
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&GroupOutcome> {
        self.groups.iter().find(|group| group.name == name)
    }

    fn judge(&self, goal: &Goal) -> GoalOutcome {
        let found = self.figure(goal.figure, goal.group.as_deref());
        let reached = found.is_some_and(|found| {
            goal.at_most.is_none_or(|most| found <= most)
                && goal.at_least.is_none_or(|least| found >= least)
        });
        GoalOutcome { goal: goal.clone(), found, reached }
    }

    fn figure(&self, figure: Figure, group: Option<&str>) -> Option<f64> {
        let group = match group {
            Some(name) => self.group(name),
            None => self.groups.first(),
        }?;
        Some(match figure {
            Figure::AcknowledgedP50Ms => group.acknowledged?.p50_ms,
            Figure::AcknowledgedP99Ms => group.acknowledged?.p99_ms,
            Figure::DeliveredP99Ms => group.delivered?.p99_ms,
            Figure::CaughtUpP99Seconds => group.caught_up?.p99_ms / 1000.0,
            Figure::CaughtUpMaxSeconds => group.caught_up?.max_ms / 1000.0,
            Figure::Fairness => group.fairness?.mean,
            Figure::WaitByPace => group.caught_up?.max_ms / 1000.0 / self.at_pace_seconds?,
            Figure::ServerPeakMib => float(self.server?.peak_kib?) / 1024.0,
        })
    }
}

impl Figures {
    fn server(&self, operations: u64) -> Option<ServerCost> {
        let (before, after) = (self.before?, self.after?);
        let cpu = used(self.before, self.after)?.as_secs_f64();
        Some(ServerCost {
            cpu_us_each: cpu * 1e6 / float(operations.max(1)),
            cores: cpu / self.seconds.max(0.001),
            before_kib: before.resident_kib,
            after_kib: after.resident_kib,
            peak_kib: self.peak_kib,
        })
    }
}

impl GroupOutcome {
    fn new(name: &str, devices: u64, stats: &GroupStats) -> Self {
        Self {
            name: name.to_owned(),
            devices,
            acknowledged: stats.acknowledged.latency(),
            acknowledged_curve: stats.acknowledged.curve(),
            backlog: stats.backlog.latency(),
            delivered: stats.delivered.latency(),
            delivered_curve: stats.delivered.curve(),
            caught_up: stats.caught_up.latency(),
            caught_up_curve: stats.caught_up.curve(),
            fairness: fairness(&stats.episodes),
            deliveries: stats.deliveries,
            repeats: stats.repeats,
            refused: stats.refused,
            attempts: stats.attempts,
            connections: stats.connections,
            errors: stats.errors.clone(),
        }
    }
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
            value.unwrap_or("unknown").to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: kib.unwrap_or(0) / 1024,
        }
    }
}
