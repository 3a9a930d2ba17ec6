//! Replicas as real processes: an edge that follows a cloud, with the link cut and healed, both killed,
//! and credentials taken away.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::fs;
use tidelog_tests::replicas::{Pair, command, field, likes, push};
use tidelog_tests::{Device, Server, commands, tidelog, within};

#[tokio::test]
async fn what_happens_on_one_side_is_live_on_the_other() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    let mut there = Device::new(pair.cloud.target(), "ann", "phone")?;
    let mut here = Device::new(pair.edge.target(), "ann", "tablet")?;
    there.connect().await?;
    here.connect().await?;
    let one = there.dispatch(r#"{"type":"crdt/set/add","doc":"cart","value":1}"#).await?;
    here.until_heard(&one).await?;
    let two = here.dispatch(r#"{"type":"crdt/set/remove","doc":"cart","value":1}"#).await?;
    there.until_heard(&two).await?;
    let [there, here] = [&pair.cloud, &pair.edge].map(|it| it.log(&["--user", "ann"]));
    let (there, here) = (there.await?, here.await?);
    let said = |lines: &[tidelog_tests::Line]| {
        lines.iter().map(|line| (line.id.clone(), line.action.clone())).collect::<Vec<_>>()
    };
    ensure!(said(&there) == said(&here) && here.len() == 2, "{there:?}\n{here:?}");
    // What the tablet had seen when it acted is an estimate; that both sides make the same of it is not.
    let mut carts = Vec::new();
    for server in [&pair.cloud, &pair.edge] {
        let answer = server.get("/v1/docs/cart", &["Authorization: Bearer ann"]).await?;
        let document: Value = serde_json::from_str(&answer.body)?;
        carts.push(field(&document, "value").clone());
    }
    ensure!(carts.first() == carts.last(), "{carts:?}");
    Ok(())
}

#[tokio::test]
async fn weeks_apart_and_killed_at_any_moment_they_agree() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.until_agreed(0).await?;
    pair.edge.until_traced("the link is up", 0).await?;
    pair.cloud.kill().await?;
    // The edge is none the wiser.
    push(&pair.edge, "ann", 1, 3_000).await?;
    ensure!(likes(&pair.edge, "ann").await? == Some(3_000));
    ensure!(pair.edge.get("/ready", &[]).await?.status == 200, "it does not depend on the link");
    pair.edge.until_traced("the link is down", 0).await?;
    pair.cloud.start_again().await?;
    push(&pair.cloud, "ann", 10_000, 50).await?;
    push(&pair.cloud, "bob", 1, 50).await?;
    for round in 0..6 {
        // In the middle of a batch, or of nothing.
        let killed = if round % 2 == 0 { &mut pair.edge } else { &mut pair.cloud };
        tokio::time::sleep(std::time::Duration::from_millis(7 * round)).await;
        killed.kill().await?;
        killed.start_again().await?;
    }
    pair.until_agreed(3_100).await?;
    for server in [&pair.cloud, &pair.edge] {
        ensure!(likes(server, "ann").await? == Some(3_050));
        ensure!(likes(server, "bob").await? == Some(50));
    }
    pair.edge.stop().await?;
    pair.cloud.stop().await?;
    commands::checked(pair.edge.data(), 0)?;
    commands::checked(pair.cloud.data(), 0).map(drop)
}

#[tokio::test]
async fn both_sides_say_how_far_behind_each_is() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    pair.edge.until_traced("the link is up", 0).await?;
    pair.cloud.kill().await?;
    pair.edge.until_traced("the link is down", 0).await?;
    push(&pair.edge, "ann", 1, 300).await?;
    // Known without a link, and after a start without one.
    for _ in 0..2 {
        let status = command(&pair.edge, &["status"]).await?;
        ensure!(field(&status, "owes_actions") == 300, "{status}");
        ensure!(field(&status, "owes_bytes").as_u64() > Some(300 * 40), "{status}");
        ensure!(field(&status, "owes_seconds").is_u64(), "{status}");
        pair.edge.kill().await?;
        pair.edge.start_again().await?;
    }
    pair.cloud.start_again().await?;
    pair.until_agreed(300).await?;
    pair.edge.kill().await?;
    push(&pair.cloud, "bob", 1, 40).await?;
    let status = command(&pair.cloud, &["status"]).await?;
    ensure!(
        field(&status, "lacks_actions") == 40 && field(&status, "owes_actions") == 0,
        "{status}"
    );
    pair.edge.start_again().await?;
    pair.until_agreed(340).await?;
    let looking = async {
        for server in [&pair.cloud, &pair.edge] {
            loop {
                let status = command(server, &["status"]).await?;
                if field(&status, "lacks_actions") == 0 && field(&status, "owes_actions") == 0 {
                    break;
                }
            }
        }
        anyhow::Ok(())
    };
    within("nobody is behind", looking).await?
}

#[tokio::test]
async fn a_replica_that_is_removed_is_cut_off_at_once() -> anyhow::Result<()> {
    let pair = Pair::with(&["--users", "ann"]).await?;
    push(&pair.cloud, "ann", 1, 1).await?;
    push(&pair.cloud, "eve", 1, 1).await?;
    push(&pair.edge, "ann", 2, 1).await?;
    let looking = async {
        while pair.edge.log(&[]).await?.len() < 2 || pair.cloud.log(&[]).await?.len() < 3 {}
        anyhow::Ok(())
    };
    within("what is in scope", looking).await??;
    ensure!(pair.edge.log(&["--user", "eve"]).await?.is_empty(), "what is not stays away");
    let status = command(&pair.cloud, &["status"]).await?;
    ensure!(field(&status, "linked") == true && field(&status, "accepted") == 1, "{status}");
    let status = command(&pair.edge, &["status"]).await?;
    ensure!(field(&status, "linked") == true, "{status}");
    command(&pair.cloud, &["remove", "ship-7"]).await?;
    pair.edge.until_traced("no replica has this token", 0).await?;
    push(&pair.cloud, "ann", 3, 1).await?;
    let status = command(&pair.edge, &["status"]).await?;
    ensure!(field(&status, "linked") == false, "{status}");
    ensure!(pair.edge.log(&[]).await?.len() == 2, "nothing more comes");
    // The token is in no file of the cloud, and in no trace.
    let token = fs::read_to_string(&pair.token)?;
    let secret = token.split('.').nth(1).context("no secret")?;
    ensure!(!pair.cloud.trace().contains(secret) && !pair.edge.trace().contains(secret));
    drop(pair.home);
    Ok(())
}

/// `tidelog user erase`.
async fn erase(server: &Server, user: &str) -> anyhow::Result<Value> {
    let data = commands::text(server.data())?;
    let ran = tidelog(["user", "erase", user, "--data", data]).await?;
    ensure!(ran.good, "{ran:?}");
    Ok(serde_json::from_str(ran.out.trim())?)
}

/// Waits until there is nothing of `user`.
async fn until_gone(server: &Server, user: &str) -> anyhow::Result<()> {
    let looking = async {
        while !server.log(&["--user", user]).await?.is_empty() {}
        anyhow::Ok(())
    };
    within(&format!("{user} is gone"), looking).await?
}

#[tokio::test]
async fn who_is_erased_in_the_cloud_is_erased_on_an_edge_that_was_away() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    push(&pair.edge, "ann", 1, 20).await?;
    push(&pair.cloud, "bob", 1, 5).await?;
    pair.until_agreed(25).await?;
    pair.cloud.kill().await?;
    push(&pair.edge, "ann", 100, 20).await?;
    pair.edge.kill().await?;
    pair.cloud.start_again().await?;
    let receipt = erase(&pair.cloud, "ann").await?;
    ensure!(field(&receipt, "told") == true && field(&receipt, "records") == 20, "{receipt}");
    pair.edge.start_again().await?;
    until_gone(&pair.edge, "ann").await?;
    pair.until_agreed(5).await?;
    // Somebody signs in by that name, at the edge and in the cloud.
    push(&pair.edge, "ann", 200, 3).await?;
    push(&pair.cloud, "ann", 300, 4).await?;
    pair.until_agreed(12).await?;
    for server in [&mut pair.edge, &mut pair.cloud] {
        ensure!(likes(server, "ann").await? == Some(7));
        server.stop().await?;
        commands::checked(server.data(), 0)?;
    }
    Ok(())
}

#[tokio::test]
async fn who_is_erased_at_an_edge_is_erased_in_the_cloud_whoever_is_killed_meanwhile()
-> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    push(&pair.cloud, "ann", 1, 20).await?;
    push(&pair.edge, "bob", 1, 5).await?;
    pair.until_agreed(25).await?;
    let receipt = erase(&pair.edge, "ann").await?;
    ensure!(field(&receipt, "records") == 20, "{receipt}");
    // The next link tells, and whatever was begun goes on at the next start.
    for round in 0..4 {
        let killed = if round % 2 == 0 { &mut pair.edge } else { &mut pair.cloud };
        killed.kill().await?;
        killed.start_again().await?;
        tokio::time::sleep(std::time::Duration::from_millis(30 * round)).await;
    }
    until_gone(&pair.cloud, "ann").await?;
    pair.until_agreed(5).await
}

#[tokio::test]
async fn a_cloud_that_was_restored_is_given_back_what_it_lost() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    push(&pair.cloud, "ann", 1, 20).await?;
    pair.until_agreed(20).await?;
    let file = pair.home.path().join("cloud.backup");
    let data = pair.cloud.data().to_path_buf();
    let (file, data) = (commands::text(&file)?, commands::text(&data)?);
    ensure!(tidelog(["backup", file, "--data", data]).await?.good);
    push(&pair.cloud, "ann", 100, 20).await?;
    pair.until_agreed(40).await?;
    pair.cloud.kill().await?;
    fs::remove_dir_all(data)?;
    let ran = tidelog(["restore", file, "--data", data]).await?;
    ensure!(ran.good, "{ran:?}");
    pair.cloud.start_again().await?;
    pair.until_agreed(40).await?;
    ensure!(likes(&pair.cloud, "ann").await? == Some(40));
    Ok(())
}
