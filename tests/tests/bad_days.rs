//! The store's bad days, with the real binary: each ends in a message that names the file and the way out,
//! and nothing that was acknowledged is lost.

use anyhow::{Context, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;
use tidelog_tests::commands::{checked, judge_refused, refused, run, said, text};
use tidelog_tests::{Device, Options, Server, binary, within, write};

fn home() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("tidelog-bad-days-").tempdir()?)
}

#[tokio::test]
async fn a_directory_that_is_missing_is_made_with_all_above_it() -> anyhow::Result<()> {
    let home = home()?;
    let data = Some(home.path().join("a/b/data"));
    let mut server = Server::start_with(Options { data, ..Options::default() }).await?;
    write(&server, "ann", 3, 10).await?;
    let mode = fs::metadata(server.data())?.permissions().mode();
    ensure!(mode & 0o777 == 0o700, "readable by others: {mode:o}");
    server.stop().await
}

#[test]
fn a_place_where_no_directory_can_be_is_refused() -> anyhow::Result<()> {
    let home = home()?;
    let file = home.path().join("file");
    fs::write(&file, "a file")?;
    refused(&file, &[text(&file)?, "a file is where a directory has to be", "--data"])?;
    let below = file.join("data");
    refused(&below, &[text(&below)?, "a file is where a directory has to be"])?;
    refused(Path::new("/proc/nowhere/data"), &["/proc/nowhere/data", "--data"])?;
    ensure!(fs::read(&file)? == b"a file");
    // Commands that only read make nothing.
    let nothing = home.path().join("nothing");
    for command in [&["check"][..], &["rebuild"], &["log"], &["user", "erase", "ann"]] {
        let output = run(&[command, &["--data", text(&nothing)?]].concat())?;
        judge_refused(&output, &["there is no store in", text(&nothing)?, "tidelog serve"])?;
    }
    ensure!(!nothing.exists());
    Ok(())
}

/// A process without the rights of root; as root, by giving them up.
fn as_nobody(arguments: &[&str]) -> anyhow::Result<Output> {
    use std::os::unix::process::CommandExt;
    let home = home()?;
    let copy = home.path().join("tidelog");
    fs::copy(binary::path()?, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new(&copy);
    command.args(arguments).current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    Ok(command.output()?)
}

#[tokio::test]
async fn a_directory_without_permission_is_refused() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    write(&server, "ann", 3, 10).await?;
    server.stop().await?;
    let data = server.data();
    let serve = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data", text(data)?];
    fs::set_permissions(data, fs::Permissions::from_mode(0o000))?;
    let output = as_nobody(&serve)?;
    fs::set_permissions(data, fs::Permissions::from_mode(0o700))?;
    judge_refused(&output, &[text(data)?, "the owner of the data directory"])?;
    ensure!(server.log(&[]).await?.len() == 3);
    Ok(())
}

#[tokio::test]
async fn a_store_that_another_process_has_is_refused() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    write(&server, "ann", 3, 10).await?;
    let lock = server.data().join("lock");
    let expected = [text(&lock)?, "locked by another process", "stop that process"];
    refused(server.data(), &expected)?;
    for command in ["check", "rebuild"] {
        judge_refused(&run(&[command, "--data", text(server.data())?])?, &expected)?;
    }
    write(&server, "bob", 3, 10).await?;
    server.stop().await
}

/// Serves under a limit of the size of files until the disk takes no more, and starts again without.
async fn filled(limits: &str, config: &str, file: &str) -> anyhow::Result<()> {
    let wrapper = Some(format!("ulimit -f {limits};"));
    let config = config.to_owned();
    let mut server = Server::start_with(Options { wrapper, config, ..Options::default() }).await?;
    let mut device = Device::new(server.target(), "ann", "writer")?;
    device.connect().await?;
    device.dispatch_until_offline(20_000).await?;
    let status = server.exited().await?;
    let trace = server.trace();
    ensure!(status.code() == Some(1), "{status}\n{trace}");
    ensure!(!trace.contains("panicked"), "{trace}");
    for expected in ["the log failed", "nothing more is acknowledged", file, "free space"] {
        ensure!(trace.contains(expected), "not said: {expected}\n{trace}");
    }
    ensure!(device.acknowledged.len() > 100, "{} acknowledged", device.acknowledged.len());
    server.set_wrapper(None);
    server.start_again().await?;
    device.connect().await?;
    device.until_acknowledged().await?;
    server.stop().await?;
    let stored: Vec<_> = server.log(&[]).await?.into_iter().map(|line| line.id).collect();
    let sent: Vec<_> = device.dispatched.iter().map(ToString::to_string).collect();
    ensure!(stored == sent, "{} stored of {}", stored.len(), sent.len());
    checked(server.data(), 0).map(drop)
}

#[tokio::test]
async fn a_commit_that_the_disk_does_not_take_ends_the_server_and_loses_nothing()
-> anyhow::Result<()> {
    // 20 MiB, as `sh` counts: the engine's file wants a second segment.
    filled("40960", "", "/feed: ").await
}

#[tokio::test]
async fn a_checkpoint_that_the_disk_does_not_take_ends_the_server_and_loses_nothing()
-> anyhow::Result<()> {
    // Each entry is in many logs, so a run of the index is longer than the feed that it is made from.
    let channels: Vec<_> = (0..60).map(|n| format!("\"many/{n}\"")).collect();
    let rule = format!("[[action]]\ntype = \"work\"\nchannels = [{}]\n", channels.join(","));
    let config = format!("[log]\ntail_bytes = 4194304\n{rule}");
    filled("40960", &config, "/index/runs/").await
}

#[tokio::test]
async fn a_damaged_block_is_said_when_it_is_read_and_a_rebuild_mends_it() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let device = write(&server, "ann", 200, 1_000).await?;
    server.stop().await?;
    let data = server.data().to_owned();
    ensure!(checked(&data, 0)?.contains("The store is whole"));
    let run_file = fs::read_dir(data.join("index/runs"))?
        .filter_map(Result::ok)
        .map(|file| file.path())
        .max_by_key(|path| fs::metadata(path).map_or(0, |file| file.len()))
        .context("there is no run")?;
    let mut bytes = fs::read(&run_file)?;
    bytes[5_000] ^= 1;
    fs::write(&run_file, &bytes)?;
    let found = checked(&data, 3)?;
    ensure!(found.contains(text(&run_file)?) && found.contains("tidelog rebuild"), "{found}");
    server.start_again().await?;
    // Whoever reads it is told that the server has a fault, and others are served.
    let mut reader = Device::new(server.target(), "ann", "reader")?;
    reader.connect().await?;
    within("the reader's end", async {
        while reader.is_online() {
            reader.next().await?;
        }
        anyhow::Ok(())
    })
    .await??;
    write(&server, "bob", 3, 10).await?;
    server.stop().await?;
    let trace = server.trace();
    ensure!(trace.contains(text(&run_file)?) && trace.contains("tidelog rebuild"), "{trace}");
    let rebuilt = run(&["rebuild", "--data", text(&data)?])?;
    ensure!(rebuilt.status.success(), "{}", said(&rebuilt));
    checked(&data, 0)?;
    server.start_again().await?;
    let mut reader = Device::new(server.target(), "ann", "reader")?;
    reader.connect().await?;
    let count = device.dispatched.len();
    reader.until("everything", |reader| reader.heard.len() >= count).await?;
    ensure!(reader.heard == device.dispatched);
    Ok(())
}

#[tokio::test]
async fn a_user_is_exported_and_erased_while_the_server_runs_and_when_it_does_not()
-> anyhow::Result<()> {
    let mut server = Server::start().await?;
    for user in ["ann", "bob"] {
        write(&server, user, 40, 100).await?.go_offline();
    }
    let mut victim = Device::new(server.target(), "ann", "open")?;
    victim.connect().await?;
    let data = server.data().to_owned();
    let user = |command: &'static str, user: &'static str| -> anyhow::Result<Vec<String>> {
        let output = run(&["user", command, user, "--data", text(&data)?])?;
        ensure!(output.status.success(), "{command} {user}: {}", said(&output));
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    };
    let export = user("export", "ann")?;
    let of_kind = |kind: &str| {
        export.iter().filter(|line| line.contains(&format!(r#""kind":"{kind}""#))).count()
    };
    ensure!(of_kind("entry") == 40 && of_kind("node") >= 1, "{export:#?}");
    ensure!(export.last().is_some_and(|line| line.contains(r#""kind":"end""#)), "{export:#?}");
    let receipt: serde_json::Value = serde_json::from_str(&user("erase", "ann")?.concat())?;
    ensure!(receipt["erased"] == "ann" && receipt["records"] == 40, "{receipt}");
    ensure!(receipt["made"][0]["user"] == "ann" && receipt["sessions"] == 1, "{receipt}");
    within("the end of the session", async {
        while victim.is_online() {
            victim.next().await?;
        }
        anyhow::Ok(())
    })
    .await??;
    ensure!(server.log(&["--user", "ann"]).await?.is_empty());
    ensure!(server.log(&["--user", "bob"]).await?.len() == 40);
    ensure!(user("export", "ann")?.len() == 1, "only the end is left");
    write(&server, "bob", 5, 100).await?;
    server.stop().await?;
    // And of the stopped store.
    ensure!(user("export", "bob")?.len() > 45);
    let receipt: serde_json::Value = serde_json::from_str(&user("erase", "bob")?.concat())?;
    ensure!(receipt["records"] == 45 && receipt["sessions"] == 0, "{receipt}");
    ensure!(server.log(&[]).await?.is_empty());
    ensure!(checked(&data, 0)?.contains("85 erased"));
    server.start_again().await?;
    write(&server, "ann", 5, 100).await?;
    server.stop().await
}
