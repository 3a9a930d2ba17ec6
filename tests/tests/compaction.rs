//! Compaction as an operator has it: beside a running server and on a stopped store, with a receipt; by
//! itself; and in a server that is killed at any moment of it. Whoever was away comes back to the same state.

#![expect(clippy::indexing_slicing, reason = "a value of JSON that is not there is null")]

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::process::Stdio;
use tidelog_tests::{Device, Options, Server, command, commands, tidelog, within};
use tokio::io::{AsyncBufReadExt, BufReader};

const ANN: &[&str] = &["Authorization: Bearer ann", "Content-Type: application/json"];
const CONFIG: &str =
    "[compaction]\nactions = [\"crdt/*\"]\nevery = \"never\"\n[log]\ntail_bytes = \"64KiB\"\n";
const BATCH: u64 = 200;

async fn start(config: &str) -> anyhow::Result<Server> {
    Server::start_with(Options { config: config.to_owned(), ..Options::default() }).await
}

/// Pushes one batch, in which each action counts one; what was pushed before is pushed again.
async fn push(server: &Server, batch: u64) -> anyhow::Result<()> {
    let action = json!({ "type": "crdt/counter/add", "doc": "likes", "by": 1 });
    let actions: Vec<_> = (0..BATCH)
        .map(|nth| {
            let ms = 1 + batch * BATCH + nth;
            json!([action, { "id": format!("{ms} ann:phone:1 0"), "time": ms }])
        })
        .collect();
    let body = json!({ "actions": actions }).to_string();
    let answer = server.request("POST", "/v1/log", ANN, &body).await?;
    let body: Value = serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
    let results = body["results"].as_array().context("no results")?;
    ensure!(results.len() as u64 == BATCH, "{body}");
    ensure!(results.iter().all(|result| result["status"] == "processed"), "{body}");
    Ok(())
}

/// What a reader makes of what it is told, who was at `value`.
fn add_up<'a>(value: u64, actions: impl Iterator<Item = &'a Value>) -> u64 {
    actions.fold(value, |value, action| match action["type"].as_str() {
        Some("crdt/state") => action["state"]["value"].as_u64().unwrap_or_default(),
        Some("crdt/counter/add") => value + action["by"].as_u64().unwrap_or_default(),
        _ => value,
    })
}

/// Who reads on from `cursor`, where the value was another: its new cursor and value.
async fn read_on(
    server: &Server,
    (mut cursor, mut value): (Option<String>, u64),
) -> anyhow::Result<(Option<String>, u64)> {
    loop {
        let since = cursor.map(|it| format!("since={it}&")).unwrap_or_default();
        let answer = server.get(&format!("/v1/log?{since}limit=1000"), ANN).await?;
        let page: Value = serde_json::from_str(&answer.body)?;
        let actions = page["actions"].as_array().with_context(|| format!("{answer:?}"))?;
        value = add_up(value, actions.iter().map(|pair| &pair[0]));
        cursor = Some(page["cursor"].as_str().context("no cursor")?.to_owned());
        if page["more"] == false {
            return Ok((cursor, value));
        }
    }
}

async fn value(server: &Server) -> anyhow::Result<u64> {
    let answer = server.get("/v1/docs/likes", ANN).await?;
    let document: Value = serde_json::from_str(&answer.body)?;
    document["value"].as_u64().with_context(|| format!("{answer:?}"))
}

fn compact(server: &Server) -> anyhow::Result<tokio::process::Command> {
    let mut compact = command()?;
    compact.args(["compact", "--older-than", "1ms", "--data"]).arg(server.data());
    compact.stdin(Stdio::null());
    Ok(compact)
}

/// Compacts to the end; the receipt.
async fn receipt(server: &Server) -> anyhow::Result<Value> {
    let output = within("tidelog compact", compact(server)?.output()).await??;
    ensure!(output.status.success(), "{}", commands::said(&output));
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn a_server_is_compacted_while_it_runs_and_who_was_away_comes_back_to_the_same()
-> anyhow::Result<()> {
    let mut server = start(CONFIG).await?;
    for batch in 0..3 {
        push(&server, batch).await?;
    }
    let away = read_on(&server, (None, 0)).await?;
    ensure!(away.1 == 600, "{away:?}");
    push(&server, 3).await?;
    let first = receipt(&server).await?;
    ensure!(first["compacted"] == 800 && first["documents"] == 1, "{first}");
    ensure!(first["types"] == json!({ "crdt/counter/add": 800 }), "{first}");
    let log = server.log(&["--user", "ann"]).await?;
    ensure!(log.len() == 1 && log[0].action["type"] == "crdt/state", "{log:?}");
    // Over HTTP, and as a session that starts anew.
    ensure!(read_on(&server, away).await?.1 == 800 && value(&server).await? == 800);
    ensure!(read_on(&server, (None, 0)).await?.1 == 800);
    let mut device = Device::new(server.target(), "ann", "tablet")?;
    device.connect().await?;
    device.until_heard(&log[0].id.parse()?).await?;
    // What is sent again is known.
    push(&server, 1).await?;
    ensure!(value(&server).await? == 800);
    push(&server, 4).await?;
    server.stop().await?;
    let config = server.data().with_file_name("tidelog.toml");
    let data = commands::text(server.data())?;
    let why =
        tidelog(["doc", "likes", "--user", "ann", "--why", "/", "--json", "--data", data]).await?;
    let why: Value = serde_json::from_str(&why.out)?;
    let parts = why["why"]["parts"].as_array().context("parts")?;
    ensure!(parts.len() == 1000, "each still has its part");
    let gone = parts.iter().filter(|part| part["entry"]["gone"] == true).count();
    ensure!(gone == 800, "{gone} are not kept");
    let args =
        ["compact", "--older-than", "1ms", "--data", data, "--config", commands::text(&config)?];
    let second = tidelog(args).await?;
    ensure!(second.good && second.err.contains("reading: "), "{second:?}");
    let second: Value = serde_json::from_str(&second.out)?;
    ensure!(second["compacted"] == 200 && second["generation"] == 2, "{second}");
    commands::checked(server.data(), 0)?;
    server.start_again().await?;
    ensure!(value(&server).await? == 1000 && read_on(&server, (None, 0)).await?.1 == 1000);
    Ok(())
}

#[tokio::test]
async fn nothing_goes_unless_the_configuration_says_so() -> anyhow::Result<()> {
    let server = start("").await?;
    push(&server, 0).await?;
    let output = within("tidelog compact", compact(&server)?.output()).await??;
    commands::judge_refused(&output, &["[compaction]"])
}

#[tokio::test]
async fn a_server_compacts_by_itself() -> anyhow::Result<()> {
    let config = CONFIG.replace("\"never\"", "\"100ms\"\nolder_than = \"1ms\"");
    let server = start(&config).await?;
    push(&server, 0).await?;
    server.until_traced("the store was compacted", 0).await?;
    ensure!(value(&server).await? == BATCH);
    ensure!(read_on(&server, (None, 0)).await?.1 == BATCH);
    Ok(())
}

/// Begins to compact, and kills the server when the command has said so many lines; whether it ended.
async fn kill_after(server: &mut Server, lines: u64) -> anyhow::Result<bool> {
    let mut child = compact(server)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let progress = child.stderr.take().context("no progress")?;
    let mut progress = BufReader::new(progress).lines();
    for _ in 0..lines {
        if within("progress", progress.next_line()).await??.is_none() {
            break;
        }
    }
    server.kill().await?;
    let output = within("tidelog compact", child.wait_with_output()).await??;
    Ok(output.status.success())
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_compacts_has_done_it_or_not() -> anyhow::Result<()> {
    let mut server = start(CONFIG).await?;
    let mut away = (None, 0);
    let mut done = 0;
    for round in 0..10 {
        push(&server, round).await?;
        // Behind the last line comes what counts: two directories are renamed, and the index follows.
        let ended = kill_after(&mut server, round * 2).await?;
        server.start_again().await?;
        let all = (round + 1) * BATCH;
        ensure!(value(&server).await? == all, "round {round}: {} of {all}", value(&server).await?);
        away = read_on(&server, away).await?;
        ensure!(away.1 == all, "round {round}: who was away has {} of {all}", away.1);
        let anew = read_on(&server, (None, 0)).await?.1;
        ensure!(anew == all, "round {round}: who is new has {anew} of {all}");
        push(&server, round / 2).await?;
        ensure!(value(&server).await? == all, "round {round}: known actions came again");
        done += u32::from(ended);
    }
    let receipt = receipt(&server).await?;
    ensure!(value(&server).await? == 10 * BATCH, "{receipt}");
    server.stop().await?;
    commands::checked(server.data(), 0)?;
    ensure!(done < 10, "it was never interrupted");
    Ok(())
}
