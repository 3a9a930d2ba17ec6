//! Frames to a server that sends each back: what a WebSocket costs by itself.

use super::{Stage, action, within};
use crate::cli::RelayArgs;
use crate::clock::Stopwatch;
use crate::measure::Times;
use crate::report::{Check, Measure, Report};
use crate::wire::Wire;
use anyhow::Context;
use std::collections::VecDeque;
use std::time::Duration;
use tidelog_protocol::Frame;

pub(super) async fn run(stage: &Stage, args: &RelayArgs) -> anyhow::Result<Report> {
    let target = stage.target(0);
    let mut wire =
        Wire::open_through((target.server, target.tls.as_ref()), target.source, None).await?;
    let frame = Frame::text(action(super::KIND, "", args.bytes)?.json().clone());
    let (watch, until) = (Stopwatch::start(), Duration::from_secs(args.seconds));
    let (mut times, mut under_way) = (Times::new(), VecDeque::new());
    let (mut sent, mut received) = (0_u64, 0_u64);
    let measure = Measure::start(stage.process)?;
    let echoing = async {
        loop {
            while watch.elapsed() < until && sent - received < args.outstanding {
                wire.send_frame(frame.clone());
                under_way.push_back(watch.nanos());
                sent += 1;
            }
            if received == sent {
                return anyhow::Ok(());
            }
            let mut echo = wire.next().await;
            loop {
                echo.context("the server closed")?;
                received += 1;
                let began = under_way.pop_front().unwrap_or_default();
                times.record_nanos(watch.nanos().saturating_sub(began));
                match wire.next_ready().await {
                    std::task::Poll::Ready(next) => echo = next,
                    std::task::Poll::Pending => break,
                }
            }
        }
    };
    within(until + stage.patience, "the last echo", echoing).await??;
    let measured = measure.stop()?;
    let checks = vec![Check::new("each message comes back", received == sent, received)];
    let scenario =
        format!("echo: {} messages of {} bytes on the way", args.outstanding, args.bytes);
    Ok(measured.report(scenario, (sent, "messages"), &times, checks))
}
