//! Clients connect, sign in and leave, one after the other.

use super::{Stage, all, within};
use crate::cli::ConnectArgs;
use crate::client::{Client, ClientError};
use crate::clock::Stopwatch;
use crate::measure::Times;
use crate::report::{Check, Measure, Report};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;

pub(super) async fn run(stage: &Stage, args: &ConnectArgs) -> anyhow::Result<Report> {
    let number = Rc::new(Cell::new(0_u64));
    let (watch, until) = (Stopwatch::start(), Duration::from_secs(args.seconds));
    let measure = Measure::start(stage.process)?;
    let mut tasks = JoinSet::new();
    for _ in 0..args.concurrency {
        let (number, run, sign_ins) = (number.clone(), stage.run.clone(), args.sign_ins);
        let targets: Vec<_> = (0..u64::from(stage.sources)).map(|n| stage.target(n)).collect();
        tasks.spawn_local(async move {
            let mut times = Times::new();
            let mut targets = targets.iter().cycle();
            while let Some(target) = targets.next()
                && watch.elapsed() < until
                && number.get() < sign_ins
            {
                number.set(number.get() + 1);
                let name = format!("{run}-{}", number.get());
                let Ok(node) = crate::node(&name, "visitor") else { continue };
                let began = watch.nanos();
                let client = Client::sign_in(target, &node, 0).await?;
                times.record_nanos(watch.nanos().saturating_sub(began));
                client.close().await;
            }
            Ok::<_, ClientError>(times)
        });
    }
    let all_times = within(until + stage.patience, "a sign-in", all(tasks)).await??;
    let measured = measure.stop()?;
    let mut times = Times::new();
    for one in &all_times {
        times.add(one);
    }
    let checks =
        vec![Check::new("everyone is let in", times.count() == number.get(), times.count())];
    let scenario = format!("connect: {} clients at a time", args.concurrency);
    Ok(measured.report(scenario, (times.count(), "sign-ins"), &times, checks))
}
