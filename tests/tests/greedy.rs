//! Clients that ask for more than their share of time and memory get their share, and nobody else waits.

use anyhow::{Context, ensure};
use std::time::Duration;
use tidelog_client_sim::wire::Wire;
use tidelog_tests::{Device, Options, Server, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const MIB: usize = 1 << 20;

async fn start(config: &str) -> anyhow::Result<Server> {
    Server::start_with(Options { config: config.to_owned(), ..Options::default() }).await
}

async fn signed_in(server: &Server, node: &str) -> anyhow::Result<Wire> {
    let mut wire = Wire::open(server.address(), None).await?;
    wire.send(format!(r#"["connect",5,"{node}",0,{{"token":"x"}}]"#));
    while !next(&mut wire).await?.starts_with(r#"["connected""#) {}
    Ok(wire)
}

async fn next(wire: &mut Wire) -> anyhow::Result<String> {
    let frame = within("a frame", wire.next()).await?.context("the server closed")?;
    Ok(String::from_utf8(frame.bytes().to_vec())?)
}

/// One `sync` with `count` actions of a type and further fields.
fn frame(count: usize, kind: &str, fields: &str) -> String {
    let action = |n| format!(r#",{{"type":"{kind}",{fields}}},{{"id":{n},"time":1}}"#);
    format!(r#"["sync",1{}]"#, (1..=count).map(action).collect::<String>())
}

#[tokio::test]
async fn rules_that_go_through_large_actions_make_nobody_else_wait() -> anyhow::Result<()> {
    let server = start(
        "[limits]\nframe_budget_bytes = \"4 GiB\"\n\
         [[action]]\ntype = \"loop\"\nallow = \"action.l.all(x, x != 5)\"\n\
         [[action]]\ntype = \"note\"\nallow = \"user.id == action.owner\"\n",
    )
    .await?;
    let mut bystander = Device::new(server.target(), "bob", "phone")?;
    bystander.connect().await?;
    // As many as there are threads that serve connections, and one more.
    let list = vec!["1"; 60_000].join(",");
    let large = frame(100, "loop", &format!(r#""l":[{list}]"#));
    let mut greedy = Vec::new();
    for n in 0..=std::thread::available_parallelism()?.get() {
        let mut wire = signed_in(&server, &format!("eve{n}:c:t")).await?;
        wire.send(large.clone());
        within("the frame to go out", wire.flush()).await??;
        greedy.push(wire);
    }
    for _ in 0..10 {
        bystander.dispatch(r#"{"type":"note","owner":"bob"}"#).await?;
        bystander.until_acknowledged().await?;
    }
    // Ten round trips, each with a rule of its own, in less time than one of those frames takes.
    for wire in &mut greedy {
        let answered = tokio::time::timeout(Duration::ZERO, wire.next()).await;
        ensure!(answered.is_err(), "a large frame was judged before a small action");
    }
    Ok(())
}

const DEAF: usize = 40;

#[tokio::test]
async fn clients_that_send_much_and_never_read_cost_no_more_than_the_budget() -> anyhow::Result<()>
{
    let server = start(
        "[limits]\nframe_budget_bytes = \"32 MiB\"\nping = \"500ms\"\ntimeout = \"3s\"\n\
         [log]\ntail_bytes = \"4 MiB\"\ncache_bytes = \"4 MiB\"\n",
    )
    .await?;
    let mut bystander = Device::new(server.target(), "bob", "phone")?;
    bystander.connect().await?;
    // Four owners at a time have a frame of 6 MiB in memory, twice while it is read.
    let allowed = server.peak_mib()? + 128;
    let text = "x".repeat(120_000);
    let large = frame(6 * MIB / text.len(), "logux/foo", &format!(r#""text":"{text}""#));
    let mut deaf = tokio::task::JoinSet::new();
    for n in 0..DEAF {
        let mut wire = signed_in(&server, &format!("deaf{n}:c:t")).await?;
        wire.send(large.clone());
        deaf.spawn(async move {
            // It is cut off while it sends, or while it does not read.
            wire.flush().await.ok();
            let stream = wire.stream();
            while stream.write_all(b"\x8a\x80\0\0\0\0").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let mut cut = 0;
    while cut < DEAF {
        tokio::select! {
            Some(ended) = deaf.join_next() => { ended?; cut += 1; }
            heard = bystander.next() => heard?,
        }
        bystander.dispatch(r#"{"type":"note"}"#).await?;
        bystander.until_acknowledged().await?;
        ensure!(bystander.is_online(), "the bystander was cut off");
    }
    let peak = server.peak_mib()?;
    // Kept for each of them, what they are to be answered would be 240 MiB alone.
    ensure!(peak <= allowed, "the server has had {peak} MiB, and may have {allowed}");
    Ok(())
}

#[tokio::test]
async fn answers_to_requests_that_nobody_reads_end_the_connection() -> anyhow::Result<()> {
    let server = start("[limits]\ntimeout = \"1s\"\n").await?;
    let mut author = Device::new(server.target(), "ann", "phone")?;
    author.connect().await?;
    let text = "x".repeat(100_000);
    for _ in 0..20 {
        author.dispatch(&format!(r#"{{"type":"note","text":"{text}"}}"#)).await?;
    }
    author.until_acknowledged().await?;
    let mut stream = TcpStream::connect(server.address()).await?;
    let request = "GET /v1/log HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\n\r\n";
    stream.write_all(request.repeat(50).as_bytes()).await?;
    let closed = async {
        while stream.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("the end of the connection", closed).await
}

#[tokio::test]
async fn data_may_be_deeper_than_the_address_of_a_socket_is_long() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let data = home.path().join("deep/".repeat(30)).join("data");
    std::fs::create_dir_all(data.parent().context("a parent")?)?;
    let options = Options { data: Some(data), ..Options::default() };
    let mut server = Server::start_with(options).await?;
    let mut author = Device::new(server.target(), "ann", "phone")?;
    author.connect().await?;
    author.dispatch(r#"{"type":"note"}"#).await?;
    author.until_acknowledged().await?;
    ensure!(server.log(&["--user", "ann"]).await?.len() == 1, "of a running server");
    server.stop().await?;
    ensure!(server.log(&["--user", "ann"]).await?.len() == 1, "of a stopped one");
    Ok(())
}
