//! The server is killed under load, again and again, and stopped in order: nothing that was
//! acknowledged is lost, nothing is stored twice, and devices go on by themselves.
//!
//! `TIDELOG_KILL_ROUNDS` says how often; 50 make a full run. The page cache survives `kill -9`, so
//! whether anything was synced is not seen here but in `power_loss`.

use anyhow::{Context, ensure};
use std::time::Duration;
use tidelog_tests::{Chance, Crowd, Device, Options, Server};

const USERS: usize = 4;
const DEVICES: usize = 3;

#[tokio::test]
async fn kill_9_under_load_loses_nothing_and_repeats_nothing() -> anyhow::Result<()> {
    let rounds = Chance::rounds("TIDELOG_KILL_ROUNDS", 5);
    let mut chance = Chance::seeded();
    let mut server = Server::start().await?;
    let mut crowd = Crowd::new(&server, USERS, DEVICES)?;
    for round in 0..rounds {
        let count = 50 + chance.below(1500);
        crowd.work_until_acknowledged(count, || server.signal(Server::KILL)).await?;
        server.exited().await?;
        let judged = crowd.judge(&server.log(&[]).await?);
        judged.with_context(|| format!("round {round}, after {count} acknowledgements"))?;
        server.start_again().await?;
    }
    crowd.settle().await?;
    server.stop().await?;
    let log = server.log(&[]).await?;
    crowd.judge(&log)?;
    ensure!(log.len() == crowd.sent(), "{} of {} stored", log.len(), crowd.sent());
    server.start_again().await?;
    crowd.check_what_devices_hear(&server, &log).await
}

#[tokio::test]
async fn sigterm_under_load_ends_in_time_and_keeps_what_was_acknowledged() -> anyhow::Result<()> {
    let options = Options { config: "[limits]\ndrain = \"4s\"\n".to_owned(), ..Options::default() };
    let mut server = Server::start_with(options).await?;
    let mut crowd = Crowd::new(&server, USERS, DEVICES)?;
    let mut deaf = Device::new(server.target(), "user0", "deaf")?;
    deaf.connect().await?;
    for _ in 0..3 {
        crowd.work_until_acknowledged(500, || server.signal(Server::TERM)).await?;
        // A loaded machine may take longer than the drain time, but not twice as long.
        let exited = tokio::time::timeout(Duration::from_secs(8), server.exited()).await;
        let status = exited.context("the server does not end within its drain time")??;
        ensure!(status.success(), "SIGTERM ended in {status}: {}", server.trace());
        crowd.judge(&server.log(&[]).await?)?;
        server.start_again().await?;
    }
    crowd.settle().await?;
    server.stop().await?;
    crowd.judge(&server.log(&[]).await?)
}
