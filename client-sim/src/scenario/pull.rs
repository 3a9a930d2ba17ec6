//! Devices without a WebSocket pull: each time anew what their log has, or only if there is something
//! new, which there never is.

use super::http::{PATH, devices, fill, pulled};
use super::{Stage, all, within};
use crate::cli::PullArgs;
use crate::clock::Stopwatch;
use crate::http::Http;
use crate::measure::Times;
use crate::report::{Check, Measure, Report};
use anyhow::{Context, ensure};
use hyper::StatusCode;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;

pub(super) async fn run(stage: &Stage, args: &PullArgs) -> anyhow::Result<Report> {
    let mut devices = devices(stage, args.clients).await?;
    if !args.keeps_nothing {
        fill(stage, &mut devices, args.actions, args.bytes).await?;
    }
    let plan = Rc::new(Plan {
        actions: args.actions,
        until: Duration::from_secs(args.seconds),
        checked: !args.keeps_nothing,
        watch: Stopwatch::start(),
    });
    let measure = Measure::start(stage.process)?;
    let mut tasks = JoinSet::new();
    for device in devices {
        tasks.spawn_local(pull(device, plan.clone()));
    }
    let patience = plan.until + stage.patience;
    let done = within(patience, "the answers to all pulls", all(tasks)).await??;
    let measured = measure.stop()?;
    let (mut times, mut bytes) = (Times::new(), 0);
    for (its, body_bytes) in &done {
        times.add(its);
        bytes = bytes.max(*body_bytes);
    }
    let (what, found) = match args.actions {
        0 => ("every conditional pull is answered 304", "all are".to_owned()),
        _ => ("every pull has all actions", format!("all have, in bodies of {bytes} bytes")),
    };
    let checks = vec![Check::new(what, true, found)];
    let scenario = format!("pull: {} devices × {} actions", args.clients, args.actions);
    let count = times.count();
    Ok(measured.report(scenario, (count, "pulls"), &times, checks))
}

struct Plan {
    actions: u64,
    until: Duration,
    checked: bool,
    watch: Stopwatch,
}

/// Pulls until the time is over: how long each request took, and the bytes of a body.
async fn pull(mut device: Http, plan: Rc<Plan>) -> anyhow::Result<(Times, usize)> {
    let first = device.get(PATH, None).await?;
    ensure!(first.status == StatusCode::OK, "a pull was answered {}", first.status);
    let tag = match plan.actions {
        0 => Some(first.etag.context("a pull was answered without an ETag")?),
        _ => None,
    };
    let path =
        if tag.is_some() { PATH.to_owned() } else { format!("{PATH}?limit={}", plan.actions) };
    let mut times = Times::new();
    while plan.watch.elapsed() < plan.until {
        let began = plan.watch.nanos();
        let answer = device.get(&path, tag.as_ref()).await?;
        times.record_nanos(plan.watch.nanos().saturating_sub(began));
        let expected = if tag.is_some() { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        ensure!(answer.status == expected, "a pull was answered {}", answer.status);
        // Reading every body would cost the generator more than the server has to do.
        ensure!(!plan.checked || answer.body.is_empty() == tag.is_some(), "a body of no use");
    }
    let last = device.get(&path, None).await?;
    if plan.checked {
        let count = pulled(&last)?.actions.len() as u64;
        ensure!(count == plan.actions, "a pull has {count} actions of {}", plan.actions);
    }
    Ok((times, last.body.len()))
}
