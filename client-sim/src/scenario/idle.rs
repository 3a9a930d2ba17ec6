//! Signed-in clients that do nothing: what a connection costs in memory.

use super::{Stage, within};
use crate::cli::IdleArgs;
use crate::client::Client;
use crate::measure::Times;
use crate::report::{Check, Measure, Report};
use futures_util::stream::FuturesUnordered;
use std::time::Duration;
use tidelog_protocol::NodeId;

pub(super) async fn run(stage: &Stage, args: &IdleArgs) -> anyhow::Result<Report> {
    let nodes: Result<Vec<NodeId>, _> =
        (0..args.connections).map(|number| crate::node(&stage.user(number), "idler")).collect();
    let measure = Measure::start(stage.process)?;
    let mut clients = stage.gather(nodes?).await?;
    let lost = hold(&mut clients, Duration::from_secs(args.hold)).await;
    let measured = measure.stop()?;
    let goodbyes: FuturesUnordered<_> = clients.into_iter().map(Client::close).collect();
    within(stage.patience, "leaving", drain(goodbyes)).await?;
    let checks = vec![Check::new("every connection stays open", lost == 0, format!("{lost} lost"))];
    let scenario = format!("idle: {} connections for {} s", args.connections, args.hold);
    Ok(measured.report(scenario, (args.connections, "connections"), &Times::new(), checks))
}

/// Answers what the server asks, and counts the connections that end.
async fn hold(clients: &mut [Client], long: Duration) -> usize {
    let mut held: FuturesUnordered<_> =
        clients.iter_mut().map(|client| async { while client.next().await.is_ok() {} }).collect();
    let mut lost = 0;
    let ends = async {
        while super::next(&mut held).await.is_some() {
            lost += 1;
        }
        // All are lost; what is left of the time changes nothing.
    };
    // That the time runs out is the aim.
    drop(tokio::time::timeout(long, ends).await);
    lost
}

async fn drain(mut goodbyes: FuturesUnordered<impl Future<Output = ()>>) {
    while super::next(&mut goodbyes).await.is_some() {}
}
