//! Devices without a WebSocket push actions, and wait until each is answered.

use super::http::{PATH, answered, batch, device, devices, read_back};
use super::{KIND, Stage, action, all, within};
use crate::cli::PushArgs;
use crate::clock::Stopwatch;
use crate::http::Http;
use crate::measure::Times;
use crate::report::{Check, Measure, Report};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tidelog_protocol::ActionId;
use tokio::task::JoinSet;

pub(super) async fn run(stage: &Stage, args: &PushArgs) -> anyhow::Result<Report> {
    let devices = devices(stage, args.clients).await?;
    let plan = Rc::new(Plan {
        batch: args.batch,
        bytes: args.bytes,
        until: Duration::from_secs(args.seconds),
        checked: !args.keeps_nothing,
        watch: Stopwatch::start(),
        left: Cell::new(args.actions),
    });
    let measure = Measure::start(stage.process)?;
    let mut tasks = JoinSet::new();
    for (phone, number) in devices.into_iter().zip(0..) {
        let author = crate::Ids::new(device(stage, number)?);
        tasks.spawn_local(push(phone, author, plan.clone()));
    }
    let patience = plan.until + stage.patience;
    let done = within(patience, "the answers to all pushes", all(tasks)).await??;
    let measured = measure.stop()?;
    let mut times = Times::new();
    let count = done.iter().map(|(_, sent, _)| sent.len() as u64).sum();
    let mut checks = Vec::new();
    for (_, _, its) in &done {
        times.add(its);
    }
    if plan.checked {
        let of_all = done.into_iter().map(|(device, sent, _)| (device, sent)).collect();
        let difference =
            within(stage.patience, "reading everything back", read_back(of_all)).await??;
        checks.push(Check::new(
            "a pull from the beginning has what was answered, once, in order",
            difference.is_none(),
            difference,
        ));
    }
    let scenario =
        format!("push: {} devices × {} actions of {} bytes", args.clients, args.batch, args.bytes);
    Ok(measured.report(scenario, (count, "answered actions"), &times, checks))
}

struct Plan {
    batch: u64,
    bytes: u64,
    until: Duration,
    checked: bool,
    watch: Stopwatch,
    left: Cell<u64>,
}

impl Plan {
    /// How many actions the next request has.
    fn take(&self) -> u64 {
        if self.watch.elapsed() >= self.until {
            return 0;
        }
        let count = self.left.get().min(self.batch);
        self.left.set(self.left.get() - count);
        count
    }
}

/// Pushes until the time is over: the device, what it sent, and how long each request took.
async fn push(
    mut device: Http,
    mut ids: crate::Ids,
    plan: Rc<Plan>,
) -> anyhow::Result<(Http, Vec<ActionId>, Times)> {
    let (mut sent, mut times) = (Vec::new(), Times::new());
    let action = action(KIND, "", plan.bytes)?;
    loop {
        let count = plan.take();
        if count == 0 {
            return Ok((device, sent, times));
        }
        let (new, body) = batch(&action, &mut ids, count)?;
        let began = plan.watch.nanos();
        let answer = device.post(PATH, body).await?;
        times.record_nanos(plan.watch.nanos().saturating_sub(began));
        answered(&answer, plan.checked.then_some(new.as_slice()))?;
        sent.extend(new);
    }
}
