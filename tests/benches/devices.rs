//! What registered devices cost a server where nothing happens: memory, CPU, and the time to start.
//!
//! ```text
//! cargo bench -p tidelog-tests --bench devices               # a hundred thousand
//! cargo bench -p tidelog-tests --bench devices -- 10000
//! ```
//!
//! A server with no devices is measured first, in the same way: what counts is the difference.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints what it finds")]

use anyhow::ensure;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tidelog_client_sim::Process;
use tidelog_tests::Server;
use tokio::task::JoinSet;

const DEVICES: usize = 100_000;
/// As many as a user may have.
const PER_USER: usize = 20;
const AT_ONCE: usize = 16;
/// How long an idle server is watched.
const IDLE: Duration = Duration::from_secs(20);
/// Any point of P-256.
const KEY: &str =
    "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let count = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(DEVICES);
    println!("| devices | time to start | memory, idle | CPU in {IDLE:?} | on disk |");
    println!("|---|---|---|---|---|");
    let mut server = Server::start().await?;
    restart(&mut server, 0).await?;
    let server = Arc::new(server);
    let began = Instant::now();
    register(&server, count).await?;
    let seconds = began.elapsed().as_secs_f64();
    line(&server, &format!("{count}, just registered"), "").await?;
    let mut server = Arc::into_inner(server).ok_or_else(|| anyhow::anyhow!("it is in use"))?;
    restart(&mut server, count).await?;
    #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
    let rate = count as f64 / seconds;
    println!("\nregistering: {rate:.0} a second, one after the other, each on disk");
    Ok(())
}

async fn register(server: &Arc<Server>, count: usize) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (server, next) = (server.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(());
                }
                register_one(&server, n).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// A browser that is woken for two channels beside its user's log; half of all users read each.
async fn register_one(server: &Server, n: usize) -> anyhow::Result<()> {
    let (user, device) = (n / PER_USER, n % PER_USER);
    let endpoint = format!("https://fcm.googleapis.com/fcm/send/{n:0>140}");
    let keys = json!({"p256dh": KEY, "auth": "AAAAAAAAAAAAAAAAAAAAAA"});
    let subscription = json!({"endpoint": endpoint, "keys": keys});
    let channels = [format!("demo/{}", user % 2), format!("demo/user-{user}")];
    let body = json!({"kind": "web", "subscription": subscription, "channels": channels});
    let (who, client) =
        (format!("Authorization: Bearer u{user}"), format!("Tidelog-Client: d{device}"));
    let headers = [who.as_str(), client.as_str(), "Content-Type: application/json"];
    let answer = server.request("POST", "/v1/push/devices", &headers, &body.to_string()).await?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    Ok(())
}

/// Stops the server, starts it again, and watches it.
async fn restart(server: &mut Server, devices: usize) -> anyhow::Result<()> {
    server.stop().await?;
    let began = Instant::now();
    server.start_again().await?;
    let start = format!("{:.0?}", began.elapsed());
    let metrics = server.get("/metrics", &[]).await?.body;
    let known = metrics.lines().find(|line| line.starts_with("tidelog_push_devices "));
    let expected = format!("tidelog_push_devices {devices}");
    ensure!(known == Some(&*expected), "it knows of {known:?}");
    line(server, &devices.to_string(), &start).await
}

async fn line(server: &Server, devices: &str, start: &str) -> anyhow::Result<()> {
    let process = Process::new(server.pid()?);
    let before = process.cpu()?;
    tokio::time::sleep(IDLE).await;
    let (cpu, memory) = (process.cpu()?.saturating_sub(before), process.resident_kib()? / 1024);
    let disk = size_of(server.data())? >> 20;
    println!("| {devices} | {start} | {memory} MiB | {cpu:?} | {disk} MiB |");
    Ok(())
}

fn size_of(path: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let file = entry.file_type()?;
        bytes += if file.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}
