//! An edge comes back after a year: how long it takes until the cloud has all of it, what goes over the wire,
//! what those feel who are connected meanwhile, and what memory both need.
//!
//! ```text
//! TIDELOG_BIN=target/release/tidelog cargo bench -p tidelog-tests --bench edge     # 1,000 users, 1,000,000 actions
//! TIDELOG_BIN=target/release/tidelog cargo bench -p tidelog-tests --bench edge -- 20000
//! ```
//!
//! The edge runs with `memory = "256MiB"`. Both servers and the client share one machine.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints what it finds")]
#![expect(clippy::cast_precision_loss, reason = "they are rates")]

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidelog_tests::replicas::{Shore, command, field};
use tidelog_tests::{Chance, Options, Server};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const ACTIONS: u64 = 1_000_000;
const PER_USER: u64 = 1_000;
const AT_ONCE: u64 = 8;
/// How long the cloud is watched before.
const BEFORE: Duration = Duration::from_secs(10);
/// Somebody who is connected does something so often.
const EVERY: Duration = Duration::from_millis(20);
const BUSY: u16 = 503;
const EDGE: &str = "[limits]\nmemory = \"256MiB\"\n";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let actions = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(ACTIONS);
    let home = tempfile::tempdir()?;
    let data = Some(home.path().join("edge"));
    let options = Options { config: EDGE.to_owned(), data, ..Options::default() };
    let mut alone = Server::start_with(options.clone()).await?;
    let began = Instant::now();
    let alone_shared = Arc::new(alone);
    work_offline(&alone_shared, actions).await?;
    println!("{actions} actions made offline in {:.0?}", began.elapsed());
    alone = Arc::into_inner(alone_shared).context("it is in use")?;
    alone.stop().await?;
    let shore = Shore::open(&[]).await?;
    let before = watch(&shore.cloud, async { tokio::time::sleep(BEFORE).await }).await?;
    let carried = Arc::<AtomicU64>::default();
    let line = count(shore.cloud.address(), Arc::clone(&carried)).await?;
    let began = Instant::now();
    let pair = shore.edge(line, options).await?;
    let mut all = Ok(());
    let meanwhile =
        watch(&pair.cloud, async { all = until_all(&pair.cloud, actions).await }).await?;
    all?;
    let took = began.elapsed();
    let stored = head(&pair.cloud).await?;
    let expected = actions + (before.len() + meanwhile.len()) as u64;
    ensure!(stored == expected, "the cloud has {stored} actions, and not {expected}");
    let bytes = carried.load(Ordering::Relaxed) as f64 / actions as f64;
    let rate = actions as f64 / took.as_secs_f64();
    println!(
        "the cloud has all of them after {:.1} minutes: {rate:.0} a second",
        took.as_secs_f64() / 60.0
    );
    println!("bytes on the wire for each action: {bytes:.1}");
    println!("\n| somebody on the cloud | median | p99 | most |\n|---|---|---|---|");
    for (when, mut times) in [("before", before), ("meanwhile", meanwhile)] {
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        let most = times.last().copied().unwrap_or_default();
        println!("| {when} | {:.1?} | {:.1?} | {most:.1?} |", at(50), at(99));
    }
    println!(
        "\nmemory at most: cloud {} MiB, edge {} MiB",
        pair.cloud.peak_mib()?,
        pair.edge.peak_mib()?
    );
    Ok(())
}

/// Each user makes a thousand actions.
async fn work_offline(server: &Arc<Server>, actions: u64) -> anyhow::Result<()> {
    let next = Arc::<AtomicU64>::default();
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (server, next) = (server.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let first = next.fetch_add(PER_USER, Ordering::Relaxed);
                if first >= actions {
                    return anyhow::Ok(());
                }
                let count = PER_USER.min(actions - first);
                post(&server, &format!("u{first}"), &some(first, count)).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// What an application of lists sends.
fn some(first: u64, count: u64) -> Vec<Value> {
    let mut chance = Chance::of(first);
    let one = |n| {
        let (task, time) =
            (chance.below(200), 1_700_000_000_000 + n * 60_000 + chance.below(60_000));
        let action = match chance.below(3) {
            0 => {
                json!({"type": "crdt/set/add", "doc": "lists", "path": [format!("list-{}", task % 7)], "value": format!("task-{task}")})
            }
            1 => {
                json!({"type": "crdt/register/set", "doc": format!("task-{task}"), "path": ["title"], "value": format!("Check pump {:x} on deck {}", chance.below(1 << 24), task % 9)})
            }
            _ => {
                json!({"type": "crdt/counter/add", "doc": format!("task-{task}"), "path": ["hours"], "by": 1})
            }
        };
        json!([action, { "id": format!("{time} u{first}:phone:1 0"), "time": time }])
    };
    (0..count).map(one).collect()
}

async fn post(server: &Server, user: &str, actions: &[Value]) -> anyhow::Result<()> {
    let bearer = format!("Authorization: Bearer {user}");
    let headers = [bearer.as_str(), "Content-Type: application/json"];
    let body = json!({ "actions": actions }).to_string();
    loop {
        let answer = server.request("POST", "/v1/log", &headers, &body).await?;
        if answer.status != BUSY {
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            return Ok(());
        }
        // Whoever measures counts this, too.
        tokio::time::sleep(EVERY).await;
    }
}

/// How long each action takes of somebody who is connected, while something else lasts.
async fn watch(server: &Server, lasts: impl Future<Output = ()>) -> anyhow::Result<Vec<Duration>> {
    let (is_over, mut times) = (AtomicBool::new(false), Vec::new());
    let lasting = async {
        lasts.await;
        is_over.store(true, Ordering::Relaxed);
    };
    let acting = async {
        let mut chance = Chance::of(7);
        while !is_over.load(Ordering::Relaxed) {
            let action = json!({"type": "note", "n": chance.next()});
            let began = Instant::now();
            post(server, "somebody", &[json!([action, {}])]).await?;
            times.push(began.elapsed());
            tokio::time::sleep(EVERY).await;
        }
        anyhow::Ok(())
    };
    let ((), acted) = tokio::join!(lasting, acting);
    acted.map(|()| times)
}

async fn until_all(cloud: &Server, actions: u64) -> anyhow::Result<()> {
    loop {
        let status = command(cloud, &["status"]).await?;
        if field(&status, "accepted").as_u64() >= Some(actions)
            && field(&status, "owes_actions") == 0
        {
            ensure!(field(&status, "refused") == 0, "{status}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn head(server: &Server) -> anyhow::Result<u64> {
    let metrics = server.get("/metrics", &[]).await?.body;
    let head = metrics.lines().find_map(|line| line.strip_prefix("tidelog_head_position "));
    Ok(head.context("no head")?.parse()?)
}

/// A proxy that counts what it carries, both ways.
async fn count(cloud: SocketAddr, carried: Arc<AtomicU64>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let carried = Arc::clone(&carried);
            tokio::spawn(async move {
                let mut far = Counted { inner: TcpStream::connect(cloud).await?, carried };
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    Ok(address)
}

/// A socket of which it is known how much went through.
struct Counted {
    inner: TcpStream,
    carried: Arc<AtomicU64>,
}

impl Counted {
    fn add(&self, bytes: usize) {
        self.carried.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl tokio::io::AsyncRead for Counted {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        to: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let before = to.filled().len();
        let read = std::pin::Pin::new(&mut self.inner).poll_read(cx, to);
        self.add(to.filled().len() - before);
        read
    }
}

impl tokio::io::AsyncWrite for Counted {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let written = std::pin::Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let std::task::Poll::Ready(Ok(count)) = &written {
            self.add(*count);
        }
        written
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
