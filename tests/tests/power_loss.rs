//! The power is cut under load, again and again: every action that was acknowledged is on the disk.
//!
//! Needs root and loop devices; `./check power` runs it where they are, and says so where they are not.
//! `TIDELOG_POWER_ROUNDS` says how often the power is cut.

use anyhow::{Context, ensure};
use tidelog_tests::disk::Disk;
use tidelog_tests::{Chance, Crowd, Options, Server, export, tidelog};

const USERS: usize = 8;
const DEVICES: usize = 2;

#[tokio::test]
#[ignore = "needs root and loop devices: ./check power"]
async fn what_was_acknowledged_is_there_after_the_power_was_cut() -> anyhow::Result<()> {
    let rounds = Chance::rounds("TIDELOG_POWER_ROUNDS", 6);
    let mut chance = Chance::seeded();
    let mut disk = Disk::new()?;
    let mut server = start(&disk).await?;
    let mut crowd = Crowd::new(&server, USERS, DEVICES)?;
    for round in 1..=rounds {
        let count = 20 + chance.below(4_000);
        crowd.reach(&server.target());
        crowd.work_until_acknowledged(count, || server.signal(Server::KILL)).await?;
        server.exited().await?;
        disk = disk.after_power_loss()?;
        let log = export(&disk.path().join("data"), &[]).await;
        let judged = log.and_then(|log| crowd.judge(&log).map(|()| log.len()));
        let entries = judged.with_context(|| {
            format!("the power was cut in round {round}, after {count} more acknowledgements")
        })?;
        eprintln!("round {round}: {count} acknowledgements, then {entries} entries on the disk");
        server = start(&disk).await?;
    }
    crowd.reach(&server.target());
    crowd.settle().await?;
    server.stop().await?;
    let log = server.log(&[]).await?;
    crowd.judge(&log)?;
    ensure!(log.len() == crowd.sent(), "{} of {} stored", log.len(), crowd.sent());
    Ok(())
}

async fn start(disk: &Disk) -> anyhow::Result<Server> {
    let data = Some(disk.path().join("data"));
    Server::start_with(Options { data, ..Options::default() }).await
}

/// What commands are answered is as durable as an action that is acknowledged: losing it would let
/// somebody in again, or shut somebody out.
#[tokio::test]
#[ignore = "needs root and loop devices: ./check power"]
async fn what_was_revoked_is_revoked_after_the_power_was_cut() -> anyhow::Result<()> {
    let mut disk = Disk::new()?;
    for (command, listed) in [("revoke", true), ("unrevoke", false), ("revoke", true)] {
        let mut server = start(&disk).await?;
        let data = disk.path().join("data").display().to_string();
        let ran = tidelog([command, "--data", &data, "--user", "ann"]).await?;
        ensure!(ran.good, "{ran:?}");
        let after = disk.after_power_loss()?;
        server.kill().await?;
        disk = after;
        let data = disk.path().join("data").display().to_string();
        let ran = tidelog(["revocations", "--data", &data]).await?;
        ensure!(ran.good && ran.out.contains("ann") == listed, "after {command}: {ran:?}");
    }
    Ok(())
}
