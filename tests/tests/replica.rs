//! Replicas as real processes: an edge that follows a cloud, with the link cut and healed, both killed,
//! and credentials taken away.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;
use tidelog_tests::{Device, Options, Server, commands, tidelog, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const EARLY_MS: u64 = 1_000_000;

/// A cloud, an edge, and what they share.
struct Pair {
    cloud: Server,
    edge: Server,
    token: PathBuf,
    home: TempDir,
}

async fn command(server: &Server, arguments: &[&str]) -> anyhow::Result<Value> {
    let data = commands::text(server.data())?;
    let ran = tidelog([&["replica"], arguments, &["--data", data]].concat()).await?;
    ensure!(ran.good, "{ran:?}");
    Ok(serde_json::from_str(ran.out.lines().next().unwrap_or("null"))?)
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

impl Pair {
    async fn start() -> anyhow::Result<Self> {
        Self::with(&[]).await
    }

    async fn with(scope: &[&str]) -> anyhow::Result<Self> {
        Self::through(scope, None).await
    }

    /// The edge reaches the cloud through a proxy that gives each connection so many bytes more.
    async fn through(scope: &[&str], more: Option<usize>) -> anyhow::Result<Self> {
        let (home, cloud) = (tempfile::tempdir()?, Server::start().await?);
        let added = command(&cloud, &[&["add", "ship-7"], scope].concat()).await?;
        let token = home.path().join("token");
        fs::write(&token, field(&added, "token").as_str().context("no token")?)?;
        let upstream = match more {
            Some(more) => narrow(cloud.address(), more).await?,
            None => cloud.address(),
        };
        let edge = Server::start_with(Options {
            flags: vec![
                format!("--upstream=ws://{upstream}"),
                "--replica=ship-7".to_owned(),
                format!("--upstream-token-file={}", token.display()),
            ],
            ..Options::default()
        });
        Ok(Self { cloud, edge: edge.await?, token, home })
    }

    /// Waits until both have the same number of actions, which is `count`.
    async fn until_agreed(&self, count: usize) -> anyhow::Result<()> {
        let looking = async {
            loop {
                let (there, here) = (self.cloud.log(&[]).await?, self.edge.log(&[]).await?);
                if (there.len(), here.len()) == (count, count) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        within(&format!("{count} actions on both sides"), looking).await?
    }
}

/// Stands between an edge and its cloud. Each connection is cut after so many bytes, both ways together,
/// and each gets a few more than the one before.
async fn narrow(cloud: SocketAddr, more: usize) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut bytes = 0;
        while let Ok((near, _)) = listener.accept().await {
            bytes += more;
            tokio::spawn(pass(near, cloud, bytes));
        }
    });
    Ok(address)
}

async fn pass(mut near: TcpStream, cloud: SocketAddr, mut left: usize) -> std::io::Result<()> {
    let mut far = TcpStream::connect(cloud).await?;
    let (mut up, mut down) = ([0; 512], [0; 512]);
    while left > 0 {
        let (most_up, most_down) = (left.min(up.len()), left.min(down.len()));
        let read = tokio::select! {
            read = near.read(up.get_mut(..most_up).unwrap_or_default()) => {
                let read = read?;
                far.write_all(up.get(..read).unwrap_or_default()).await?;
                read
            }
            read = far.read(down.get_mut(..most_down).unwrap_or_default()) => {
                let read = read?;
                near.write_all(down.get(..read).unwrap_or_default()).await?;
                read
            }
        };
        if read == 0 {
            break;
        }
        left -= read;
    }
    Ok(())
}

/// Pushes `count` actions of `user` from `first` on.
async fn push(server: &Server, user: &str, first: u64, count: u64) -> anyhow::Result<()> {
    let bearer = format!("Authorization: Bearer {user}");
    let headers = [bearer.as_str(), "Content-Type: application/json"];
    let actions: Vec<_> = (EARLY_MS + first..EARLY_MS + first + count)
        .map(|ms| {
            let action = json!({ "type": "crdt/counter/add", "doc": "likes", "by": 1 });
            json!([action, { "id": format!("{ms} {user}:phone:1 0"), "time": ms }])
        })
        .collect();
    let body = json!({ "actions": actions }).to_string();
    let answer = server.request("POST", "/v1/log", &headers, &body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

async fn likes(server: &Server, user: &str) -> anyhow::Result<Option<u64>> {
    let bearer = format!("Authorization: Bearer {user}");
    let answer = server.get("/v1/docs/likes", &[&bearer]).await?;
    let document: Value = serde_json::from_str(&answer.body)?;
    Ok(field(&document, "value").as_u64())
}

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

#[tokio::test]
async fn a_link_that_is_cut_wherever_it_can_be_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let pair = Pair::through(&[], Some(101)).await?;
    push(&pair.cloud, "ann", 1, 20).await?;
    push(&pair.edge, "ann", 100, 20).await?;
    pair.until_agreed(40).await?;
    for server in [&pair.cloud, &pair.edge] {
        ensure!(likes(server, "ann").await? == Some(40));
    }
    Ok(())
}
