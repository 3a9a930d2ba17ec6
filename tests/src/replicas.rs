//! A cloud and an edge that follows it, and what they are given.

use crate::{Chance, Options, Server, commands, tidelog, within};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const EARLY_MS: u64 = 1_000_000;

/// A cloud that lets an edge follow it.
#[derive(Debug)]
pub struct Shore {
    /// The cloud.
    pub cloud: Server,
    /// A file with the edge's token.
    pub token: PathBuf,
    /// For files of the test.
    pub home: TempDir,
}

/// A cloud, an edge, and what they share.
#[derive(Debug)]
pub struct Pair {
    /// The cloud.
    pub cloud: Server,
    /// The edge.
    pub edge: Server,
    /// A file with the edge's token.
    pub token: PathBuf,
    /// For files of the test.
    pub home: TempDir,
}

/// What `tidelog replica` prints first.
pub async fn command(server: &Server, arguments: &[&str]) -> anyhow::Result<Value> {
    let data = commands::text(server.data())?;
    let ran = tidelog([&["replica"], arguments, &["--data", data]].concat()).await?;
    ensure!(ran.good, "{ran:?}");
    Ok(serde_json::from_str(ran.out.lines().next().unwrap_or("null"))?)
}

/// A field of an object; null if there is none.
pub fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

impl Shore {
    /// A cloud, with an edge that was added with these flags.
    pub async fn open(flags: &[&str]) -> anyhow::Result<Self> {
        let (home, cloud) = (tempfile::tempdir()?, Server::start().await?);
        let added = command(&cloud, &[&["add", "ship-7"], flags].concat()).await?;
        let token = home.path().join("token");
        fs::write(&token, field(&added, "token").as_str().context("no token")?)?;
        Ok(Self { cloud, token, home })
    }

    /// The edge, which reaches the cloud at `upstream`.
    pub async fn edge(self, upstream: SocketAddr, options: Options) -> anyhow::Result<Pair> {
        let Self { cloud, token, home } = self;
        let flags = vec![
            format!("--upstream=ws://{upstream}"),
            "--replica=ship-7".to_owned(),
            format!("--upstream-token-file={}", token.display()),
        ];
        let edge = Server::start_with(Options { flags, ..options }).await?;
        Ok(Pair { cloud, edge, token, home })
    }
}

impl Pair {
    /// Both, for everything.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(&[]).await
    }

    /// Both; the edge was added with these flags.
    pub async fn with(flags: &[&str]) -> anyhow::Result<Self> {
        let shore = Shore::open(flags).await?;
        let address = shore.cloud.address();
        shore.edge(address, Options::default()).await
    }

    /// Waits until both have the same number of actions, which is `count`.
    pub async fn until_agreed(&self, count: usize) -> anyhow::Result<()> {
        let looking = async {
            loop {
                let (there, here) = (self.cloud.log(&[]).await?, self.edge.log(&[]).await?);
                if (there.len(), here.len()) == (count, count) {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(&format!("{count} actions on both sides"), looking).await?
    }
}

/// Pushes `count` actions of `user` from `first` on.
pub async fn push(server: &Server, user: &str, first: u64, count: u64) -> anyhow::Result<()> {
    let actions: Vec<_> = (EARLY_MS + first..EARLY_MS + first + count)
        .map(|ms| {
            let action = json!({ "type": "crdt/counter/add", "doc": "likes", "by": 1 });
            json!([action, { "id": format!("{ms} {user}:phone:1 0"), "time": ms }])
        })
        .collect();
    post(server, user, &actions).await
}

async fn post(server: &Server, user: &str, actions: &[Value]) -> anyhow::Result<()> {
    let bearer = format!("Authorization: Bearer {user}");
    let headers = [bearer.as_str(), "Content-Type: application/json"];
    let body = json!({ "actions": actions }).to_string();
    let answer = server.request("POST", "/v1/log", &headers, &body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

/// How many likes there are in the user's own document.
pub async fn likes(server: &Server, user: &str) -> anyhow::Result<Option<u64>> {
    let bearer = format!("Authorization: Bearer {user}");
    let answer = server.get("/v1/docs/likes", &[&bearer]).await?;
    let document: Value = serde_json::from_str(&answer.body)?;
    Ok(field(&document, "value").as_u64())
}

/// The same with actions that cannot be compressed, a kilobyte each.
pub async fn push_long(server: &Server, user: &str, first: u64, count: u64) -> anyhow::Result<()> {
    let mut chance = Chance::of(first ^ (u64::from(server.address().port()) << 32));
    let actions: Vec<_> = (EARLY_MS + first..EARLY_MS + first + count)
        .map(|ms| {
            let letters = (0..1024).map(|_| u32::try_from(chance.below(36)).unwrap_or_default());
            let text: String = letters.filter_map(|it| char::from_digit(it, 36)).collect();
            let action = json!({ "type": "note", "text": text });
            json!([action, { "id": format!("{ms} {user}:phone:1 0"), "time": ms }])
        })
        .collect();
    post(server, user, &actions).await
}
