//! Stock clients keep one number, whatever server, user or time it came from. No number makes a device
//! miss anything.

use anyhow::{Context, ensure};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use tidelog_protocol::ActionId;
use tidelog_tests::{Device, Options, Server};

/// Another device of `user` adds `count` actions.
async fn add(server: &Server, user: &str, count: usize) -> anyhow::Result<Vec<ActionId>> {
    let mut author = Device::new(server.target(), user, "author")?;
    author.connect().await?;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(author.dispatch(r#"{"type":"add"}"#).await?);
    }
    author.until_acknowledged().await?;
    Ok(ids)
}

/// Connects, and what it hears before an action that another device makes then.
async fn hears(server: &Server, user: &str, device: &mut Device) -> anyhow::Result<Vec<ActionId>> {
    device.heard.clear();
    device.connect().await?;
    let last = add(server, user, 1).await?;
    for id in &last {
        device.until_heard(id).await?;
    }
    device.go_offline();
    Ok(device.heard.iter().filter(|id| !last.contains(id)).cloned().collect())
}

#[tokio::test]
async fn a_device_that_comes_back_gets_what_it_has_missed_and_nothing_else() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let mut device = Device::new(server.target(), "10", "phone")?;
    let first = add(&server, "10", 5).await?;
    ensure!(hears(&server, "10", &mut device).await? == first);
    let second = add(&server, "10", 3).await?;
    ensure!(hears(&server, "10", &mut device).await? == second);
    let third = add(&server, "10", 2).await?;
    server.kill().await?;
    server.start_again().await?;
    ensure!(hears(&server, "10", &mut device).await? == third);
    Ok(())
}

/// A foreign number is taken for an own one with a chance of 1 in 4096. That this happens twice in
/// [`TRIES`] is a chance of 1 in half a million, and a failure.
const TRIES: usize = 8;

#[tokio::test]
async fn a_number_of_another_server_counts_for_nothing() -> anyhow::Result<()> {
    let (elsewhere, here) = (Server::start().await?, Server::start().await?);
    let user = |n: usize| format!("user{n}");
    let mut ids = Vec::new();
    for n in 0..TRIES {
        ids.push(add(&here, &user(n), 5).await?);
    }
    // The numbers from elsewhere are above what is missed here, and below the head.
    add(&elsewhere, "crowd", 100).await?;
    add(&here, "crowd", 300).await?;
    let mut fooled = 0;
    for (n, ids) in ids.iter().enumerate() {
        add(&elsewhere, &user(n), 3).await?;
        let mut device = Device::new(elsewhere.target(), &user(n), "phone")?;
        hears(&elsewhere, &user(n), &mut device).await?;
        device.set_target(here.target());
        fooled += usize::from(hears(&here, &user(n), &mut device).await? != *ids);
    }
    ensure!(fooled <= 1, "{fooled} of {TRIES}");
    Ok(())
}

#[tokio::test]
async fn a_number_of_another_user_counts_for_nothing() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut fooled = 0;
    for n in 0..TRIES {
        let (before, after) = (format!("before{n}"), format!("after{n}"));
        let ids = add(&server, &after, 5).await?;
        add(&server, &before, 3).await?;
        let mut device = Device::new(server.target(), &before, "phone")?;
        hears(&server, &before, &mut device).await?;
        device.change_user(&after)?;
        fooled += usize::from(hears(&server, &after, &mut device).await? != ids);
    }
    ensure!(fooled <= 1, "{fooled} of {TRIES}");
    Ok(())
}

#[tokio::test]
async fn a_number_made_up_counts_for_nothing() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut device = Device::new(server.target(), "10", "phone")?;
    let mut ids = add(&server, "10", 5).await?;
    hears(&server, "10", &mut device).await?;
    let minted = device.number;
    ids.push(device.heard.last().cloned().context("nothing came")?);
    // No position, a position with the tag of another, and positions above the head.
    for number in [1, 4095, minted ^ 1, minted ^ 0x800, minted + (1 << 40), (1 << 53) - 1] {
        let mut device = Device::new(server.target(), "10", &format!("with-{number}"))?;
        device.number = number;
        let heard = hears(&server, "10", &mut device).await?;
        ensure!(heard == ids, "with {number} instead of {minted} it hears {heard:?}");
        ids.extend(device.heard.last().cloned());
    }
    Ok(())
}

#[tokio::test]
async fn after_a_restored_backup_a_device_of_the_lost_time_misses_nothing() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let mut device = Device::new(server.target(), "10", "phone")?;
    add(&server, "10", 5).await?;
    hears(&server, "10", &mut device).await?;
    server.stop().await?;
    let backup = tempfile::tempdir()?;
    copy(server.data(), backup.path())?;

    server.start_again().await?;
    add(&server, "10", 20).await?;
    hears(&server, "10", &mut device).await?;
    server.stop().await?;

    let restored = Some(backup.path().to_owned());
    let server = Server::start_with(Options { data: restored, ..Options::default() }).await?;
    let since = add(&server, "10", 30).await?;
    device.set_target(server.target());
    let heard = hears(&server, "10", &mut device).await?;
    // What it had before the backup may come again, once; of the rest nothing is missing.
    let new: Vec<_> = heard.iter().filter(|id| since.contains(id)).collect();
    ensure!(new == since.iter().collect::<Vec<_>>(), "heard {heard:?} of {since:?}");
    let unique: HashSet<_> = heard.iter().collect();
    ensure!(unique.len() == heard.len(), "something came twice: {heard:?}");
    let mut fresh = Device::new(server.target(), "10", "laptop")?;
    ensure!(hears(&server, "10", &mut fresh).await?.len() == 5 + 1 + 30 + 1);
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
