//! The store's bad days on a disk of its own: full, too full for a copy, read-only. Needs root and loop
//! devices; `./check power` runs it where they are.

use anyhow::ensure;
use std::fs;
use std::path::PathBuf;
use tidelog_tests::commands::{checked, judge_refused, refused, run, said, text};
use tidelog_tests::disk::Disk;
use tidelog_tests::replicas::{Shore, push_long};
use tidelog_tests::{Device, Options, Server, write};

/// Takes all of the disk but so much.
fn ballast(disk: &Disk, free: u64) -> anyhow::Result<PathBuf> {
    let file = disk.path().join("ballast");
    let space = rustix::fs::statvfs(disk.path())?;
    let bytes = (space.f_bavail * space.f_frsize).saturating_sub(free);
    let ballast = fs::File::create(&file)?;
    rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, bytes)?;
    Ok(file)
}

#[tokio::test]
#[ignore = "needs root and loop devices: ./check power"]
async fn a_full_disk_ends_the_server_and_what_was_acknowledged_is_there() -> anyhow::Result<()> {
    let disk = Disk::new()?;
    let data = Some(disk.path().join("data"));
    let mut server = Server::start_with(Options { data, ..Options::default() }).await?;
    write(&server, "bob", 20, 1_000).await?.go_offline();
    let file = ballast(&disk, 8 << 20)?;
    let mut device = Device::new(server.target(), "ann", "writer")?;
    device.connect().await?;
    device.dispatch_until_offline(20_000).await?;
    let (status, trace) = (server.exited().await?, server.trace());
    ensure!(status.code() == Some(1) && !trace.contains("panicked"), "{status}\n{trace}");
    ensure!(trace.contains("No space left") && trace.contains("free space"), "{trace}");
    // Nothing can be written yet, not even an opening.
    refused(server.data(), &["free space"])?;
    fs::remove_file(file)?;
    server.start_again().await?;
    device.connect().await?;
    device.until_acknowledged().await?;
    server.stop().await?;
    let stored = server.log(&["--user", "ann"]).await?;
    ensure!(stored.len() == device.dispatched.len());
    ensure!(server.log(&["--user", "bob"]).await?.len() == 20);
    checked(server.data(), 0).map(drop)
}

#[tokio::test]
#[ignore = "needs root and loop devices: ./check power"]
async fn an_edge_whose_disk_is_full_ends_and_goes_on_where_it_was() -> anyhow::Result<()> {
    let disk = Disk::new()?;
    let shore = Shore::open(&[]).await?;
    let address = shore.cloud.address();
    let data = Some(disk.path().join("data"));
    let mut pair = shore.edge(address, Options { data, ..Options::default() }).await?;
    push_long(&pair.edge, "bob", 1, 20).await?;
    pair.until_agreed(20).await?;
    let file = ballast(&disk, 8 << 20)?;
    // What comes over the link fills the rest.
    for first in 0..60 {
        push_long(&pair.cloud, "ann", 1 + first * 500, 500).await?;
    }
    let (status, trace) = (pair.edge.exited().await?, pair.edge.trace());
    ensure!(status.code() == Some(1) && !trace.contains("panicked"), "{status}\n{trace}");
    ensure!(trace.contains("No space left"), "{trace}");
    push_long(&pair.cloud, "eve", 1, 20).await?;
    fs::remove_file(file)?;
    pair.edge.start_again().await?;
    pair.until_agreed(20 + 30_000 + 20).await?;
    pair.edge.stop().await?;
    checked(pair.edge.data(), 0).map(drop)
}

#[tokio::test]
#[ignore = "needs root and loop devices: ./check power"]
async fn erasing_without_room_for_a_copy_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    let disk = Disk::new()?;
    let data = Some(disk.path().join("data"));
    let mut server = Server::start_with(Options { data, ..Options::default() }).await?;
    write(&server, "ann", 3, 10).await?.go_offline();
    let mut bob = write(&server, "bob", 1_000, 20_000).await?;
    let erase = ["user", "erase", "ann", "--data", text(server.data())?];
    // A copy that took the last of the disk ended the server, which had to write something meanwhile. So
    // it leaves room: it does not begin, or goes no further.
    for free in [30 << 20, 70 << 20] {
        let file = ballast(&disk, free)?;
        let output = run(&erase)?;
        judge_refused(&output, &["is what it was", "No space left", "free space"])?;
        bob.dispatch(r#"{"type":"work"}"#).await?;
        bob.until_acknowledged().await?;
        fs::remove_file(file)?;
    }
    ensure!(server.log(&[]).await?.len() == 1_005);
    let output = run(&erase)?;
    ensure!(output.status.success(), "{}", said(&output));
    ensure!(server.log(&["--user", "ann"]).await?.is_empty());
    ensure!(server.log(&["--user", "bob"]).await?.len() == 1_002);
    server.stop().await
}

#[tokio::test]
#[ignore = "needs root and loop devices: ./check power"]
async fn a_read_only_file_system_is_refused() -> anyhow::Result<()> {
    let disk = Disk::new()?;
    let data = disk.path().join("data");
    let options = Options { data: Some(data.clone()), ..Options::default() };
    let mut server = Server::start_with(options).await?;
    write(&server, "ann", 3, 10).await?;
    server.stop().await?;
    disk.remount("ro")?;
    refused(&data, &[text(&data)?, "mount that file system writable"])?;
    refused(&disk.path().join("new"), &["mount that file system writable"])?;
    disk.remount("rw")?;
    ensure!(server.log(&[]).await?.len() == 3);
    Ok(())
}
