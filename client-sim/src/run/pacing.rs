//! The pace of the server: how fast a few devices at a time do what each device of the crowd has to do.

use super::progress::Progress;
use crate::client::Device;
use crate::world::World;
use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// What was measured before the clock started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaceResult {
    /// The group whose work it was.
    pub group: String,
    /// Devices.
    pub devices: u64,
    /// Of them at a time.
    pub at_once: u64,
    /// How long they took.
    pub seconds: f64,
    /// Actions there and back.
    pub work: u64,
    /// Of them a second.
    pub rate: f64,
}

/// Lets the devices of the pace do their work; none where the scenario has none.
pub(super) async fn measure(
    world: &Rc<World>,
    progress: &Progress,
) -> anyhow::Result<Option<PaceResult>> {
    let Some(pace) = world.plan.spec.pace.clone() else { return Ok(None) };
    let bar = progress.bar("measuring the pace", world.plan.pace.len() as u64);
    let devices = (0..world.plan.pace.len()).map(|number| Device::new(world, number, true));
    let mut waiting = devices.collect::<anyhow::Result<Vec<_>>>()?.into_iter();
    let patience = Duration::from_secs_f64(world.plan.spec.patience);
    let began = world.clock.micros();
    let mut under_way = FuturesUnordered::new();
    let working = async {
        loop {
            while under_way.len() < pace.at_once as usize {
                let Some(device) = waiting.next() else { break };
                under_way.push(Box::pin(device.live()));
            }
            if under_way.next().await.is_none() {
                break;
            }
            bar.inc(1);
        }
    };
    timeout(patience, working).await.context("measuring the pace took longer than `patience`")?;
    bar.finish_and_clear();
    let seconds = seconds(world.clock.micros() - began);
    let group = world.plan.spec.group(&pace.group).context("the pace is of no group")?;
    let devices = world.plan.pace.len() as u64;
    let work = devices * (u64::from(group.own) + u64::from(group.missed));
    let rate = crate::measure::float(work) / seconds.max(0.001);
    let at_once = u64::from(pace.at_once);
    Ok(Some(PaceResult { group: pace.group, devices, at_once, seconds, work, rate }))
}

pub(super) fn seconds(micros: u64) -> f64 {
    crate::measure::float(micros) / 1e6
}
