//! Backups as an operator makes them: of a server that goes on serving, killed at any moment, and
//! brought back under clients that have been told more than the backup has.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tidelog_tests::{Device, Options, Server, command, commands, tidelog, within};

const ANN: &[&str] = &["Authorization: Bearer ann", "Content-Type: application/json"];
const EARLY_MS: u64 = 1_000_000;

/// Pushes `count` actions of Ann's from `first` on.
async fn push(server: &Server, first: u64, count: u64) -> anyhow::Result<()> {
    // Clocks of tests are not exact: the first milliseconds of all time would be before it.
    let actions: Vec<_> = (EARLY_MS + first..EARLY_MS + first + count)
        .map(|ms| {
            let action = json!({ "type": "crdt/counter/add", "doc": "likes", "by": 1 });
            json!([action, { "id": format!("{ms} ann:phone:1 0"), "time": ms }])
        })
        .collect();
    let body = json!({ "actions": actions }).to_string();
    let answer = server.request("POST", "/v1/log", ANN, &body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

async fn likes(server: &Server) -> anyhow::Result<u64> {
    let answer = server.get("/v1/docs/likes", ANN).await?;
    let document: Value = serde_json::from_str(&answer.body)?;
    document.get("value").and_then(Value::as_u64).with_context(|| format!("{answer:?}"))
}

fn backup(server: &Server, file: &Path) -> anyhow::Result<tokio::process::Command> {
    let mut backup = command()?;
    backup.arg("backup").arg(file).arg("--data").arg(server.data());
    backup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(backup)
}

/// Makes a backup; its receipt.
async fn backed_up(server: &Server, file: &Path) -> anyhow::Result<Value> {
    let output = within("tidelog backup", backup(server, file)?.output()).await??;
    ensure!(output.status.success(), "{}", commands::said(&output));
    Ok(serde_json::from_slice(&output.stdout)?)
}

async fn restored(file: &Path, data: &Path) -> anyhow::Result<Value> {
    let (file, data) = (commands::text(file)?, commands::text(data)?);
    let ran = tidelog(["restore", file, "--data", data]).await?;
    ensure!(ran.good, "{ran:?}");
    Ok(serde_json::from_str(&ran.out)?)
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_server_that_serves_is_backed_up_and_what_is_restored_serves_its_clients()
-> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let file = home.path().join("store.backup");
    let server = Server::start().await?;
    let mut device = Device::new(server.target(), "ann", "tablet")?;
    push(&server, 1, 500).await?;
    device.connect().await?;
    device.until_heard(&"1000500 ann:phone:1 0".parse()?).await?;
    // It serves while it is backed up, and what comes may or may not be in it.
    let (receipt, pushed) = tokio::join!(backed_up(&server, &file), push(&server, 501, 500));
    pushed?;
    let receipt = receipt?;
    let head = field(&receipt, "head").as_u64().context("no head")?;
    ensure!((500..=1000).contains(&head), "{receipt}");
    ensure!(likes(&server).await? == 1000);
    device.until_heard(&"1001000 ann:phone:1 0".parse()?).await?;

    let data = home.path().join("data");
    let said = restored(&file, &data).await?;
    ensure!(field(&said, "head") == head, "{said}");
    commands::checked(&data, 0)?;
    let options = Options { data: Some(data.clone()), ..Options::default() };
    let again = Server::start_with(options).await?;
    ensure!(likes(&again).await? == head, "it has what the backup has");
    push(&again, 2_001, 10).await?;
    push(&again, 1, 5).await?;
    ensure!(likes(&again).await? == head + 10, "what was known is known");
    // A device that was told of more than there is now starts from what it can prove.
    device.go_offline();
    device.set_target(again.target());
    device.connect().await?;
    device.until_heard(&"1002010 ann:phone:1 0".parse()?).await?;
    commands::judge_refused(
        &commands::run(&["restore", commands::text(&file)?, "--data", commands::text(&data)?])?,
        &["is locked by another process"],
    )
}

#[tokio::test]
async fn whoever_is_killed_there_is_no_half_file_and_the_next_backup_is_whole() -> anyhow::Result<()>
{
    let home = tempfile::tempdir()?;
    let file = home.path().join("store.backup");
    let mut server = Server::start().await?;
    push(&server, 1, 2_000).await?;
    for pause_ms in [0, 2, 5, 10, 20, 40] {
        // The command is killed; how far it has come by then does not matter.
        let mut command = backup(&server, &file)?.spawn()?;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        command.start_kill()?;
        let status = within("the end of the command", command.wait()).await??;
        if file.exists() {
            verified(&file)?;
            fs::remove_file(&file)?;
        } else {
            ensure!(!status.success(), "it said that it was done");
        }
        push(&server, 10_000 + pause_ms, 1).await?;
    }
    for pause_ms in [0, 5, 20] {
        // The server is.
        let command = backup(&server, &file)?.spawn()?;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        server.kill().await?;
        let output = within("the end of the command", command.wait_with_output()).await??;
        ensure!(file.exists() == output.status.success(), "{}", commands::said(&output));
        ensure!(!home.path().join("store.backup.partial").exists(), "{}", commands::said(&output));
        if file.exists() {
            verified(&file)?;
            fs::remove_file(&file)?;
        }
        server.start_again().await?;
    }
    let receipt = backed_up(&server, &file).await?;
    ensure!(field(&receipt, "head") == 2_006, "{receipt}");
    verified(&file)?;
    // Without a server, and into a pipe.
    server.stop().await?;
    let data = commands::text(server.data())?;
    let output = commands::run(&["backup", "-", "--data", data])?;
    ensure!(output.status.success() && output.stdout.starts_with(b"tidelog backup"));
    fs::write(&file, output.stdout)?;
    verified(&file)
}

fn verified(file: &Path) -> anyhow::Result<()> {
    let output = commands::run(&["restore", commands::text(file)?, "--verify"])?;
    ensure!(output.status.success(), "{}", commands::said(&output));
    Ok(())
}

#[tokio::test]
async fn a_server_does_not_start_where_a_restore_was_cut_off() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let (file, data) = (home.path().join("store.backup"), home.path().join("data"));
    let server = Server::start().await?;
    push(&server, 1, 50).await?;
    backed_up(&server, &file).await?;
    let bytes = fs::read(&file)?;
    let (text, dir) = (commands::text(&file)?, commands::text(&data)?);
    fs::write(&file, bytes.get(..bytes.len() - 20).context("a short backup")?)?;
    let cut = commands::run(&["restore", text, "--data", dir])?;
    commands::judge_refused(&cut, &["was not restored", "was cut off", "take another one"])?;
    // One that is fed through a pipe and killed when the feed is being written.
    let mut command = command()?;
    command.args(["restore", "-", "--data", dir]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn()?;
    let mut pipe = child.stdin.take().context("no pipe")?;
    let most = bytes.get(..bytes.len() - 50).context("a short backup")?;
    tokio::io::AsyncWriteExt::write_all(&mut pipe, most).await?;
    let begun = async {
        while !data.join("feed.next").join("db").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the feed in the making", begun).await?;
    child.start_kill()?;
    within("the end of the command", child.wait()).await??;
    commands::refused(&data, &["there was a store here", "delete everything in the data"])?;
    fs::write(&file, &bytes)?;
    let full = commands::run(&["restore", text, "--data", dir])?;
    commands::judge_refused(&full, &["is not empty", "delete everything in it"])?;
    fs::remove_dir_all(&data)?;
    restored(&file, &data).await?;
    commands::checked(&data, 0).map(drop)
}
