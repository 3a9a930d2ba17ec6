//! A long history comes whole, in order, at the pace at which it is acknowledged.

use anyhow::{Context, ensure};
use tidelog_client_sim::wire::Wire;
use tidelog_protocol::ActionId;
use tidelog_tests::{Device, Options, Server, within};

/// Actions of 1 KB: in total far more than any buffer or window holds.
const ACTIONS: usize = 4_000;
/// How many frames are sent before one is acknowledged, by default.
const WINDOW: usize = 10;

/// A server that does not ping while a test lasts: a session that was not listened to any more, because
/// a window of history filled its socket, woke up with the next ping, and was only slow.
async fn start() -> anyhow::Result<Server> {
    let config = "[limits]\nping = \"10m\"\ntimeout = \"20m\"\n".to_owned();
    Server::start_with(Options { config, ..Options::default() }).await
}

async fn write_history(server: &Server) -> anyhow::Result<Vec<ActionId>> {
    let mut author = Device::new(server.target(), "10", "author")?;
    author.connect().await?;
    let text = "x".repeat(1_000);
    for n in 0..ACTIONS {
        author.dispatch(&format!(r#"{{"type":"long","n":{n},"text":"{text}"}}"#)).await?;
        author.until("room", |device| device.unacknowledged_count() < 100).await?;
    }
    author.until_acknowledged().await?;
    Ok(author.dispatched)
}

#[tokio::test]
async fn a_long_history_comes_whole_from_memory_and_from_disk() -> anyhow::Result<()> {
    let mut server = start().await?;
    let written = write_history(&server).await?;
    for place in ["memory", "disk"] {
        let mut reader = Device::new(server.target(), "10", place)?;
        reader.connect().await?;
        let whole = |device: &Device| device.heard.len() >= ACTIONS;
        reader.until(&format!("a history from {place}"), whole).await?;
        ensure!(reader.heard == written, "from {place} something else came");
        server.stop().await?;
        server.start_again().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_device_that_was_away_for_long_gets_the_rest_and_sends_its_own() -> anyhow::Result<()> {
    let server = start().await?;
    let mut device = Device::new(server.target(), "10", "phone")?;
    device.connect().await?;
    device.dispatch(r#"{"type":"before"}"#).await?;
    device.until_acknowledged().await?;
    device.go_offline();
    let written = write_history(&server).await?;
    for n in 0..500 {
        device.dispatch(&format!(r#"{{"type":"offline","n":{n}}}"#)).await?;
    }
    device.connect().await?;
    device.until_acknowledged().await?;
    device.until("the history", |device| device.heard.len() >= ACTIONS).await?;
    ensure!(device.heard == written);
    let mut other = Device::new(server.target(), "10", "laptop")?;
    other.connect().await?;
    other.until("both", |device| device.heard.len() >= ACTIONS + 501).await?;
    ensure!(other.heard[1..] == [written, device.dispatched[1..].to_vec()].concat());
    Ok(())
}

#[tokio::test]
async fn nothing_beyond_the_window_is_sent_until_something_is_acknowledged() -> anyhow::Result<()> {
    let server = start().await?;
    write_history(&server).await?;
    let mut wire = Wire::open(server.address(), None).await?;
    wire.send(r#"["connect",5,"10:slow:t",0,{"token":"x"}]"#);
    let mut numbers = Vec::new();
    while numbers.len() < WINDOW {
        numbers.push(sync(&mut wire).await?);
    }
    // The answer to a ping comes behind whatever was sent before it.
    wire.send(r#"["ping",1]"#);
    let answer = frame(&mut wire).await?;
    ensure!(answer.starts_with(r#"["pong""#), "beyond the window: {answer:.60}");
    let oldest = numbers.first().context("nothing was sent")?;
    wire.send(format!(r#"["synced",{oldest}]"#));
    let number = sync(&mut wire).await?;
    ensure!(numbers.iter().all(|before| *before < number), "{number} after {numbers:?}");
    Ok(())
}

async fn frame(wire: &mut Wire) -> anyhow::Result<String> {
    let frame = within("a frame", wire.next()).await?.context("the server closed")?;
    Ok(String::from_utf8(frame.bytes().to_vec())?)
}

/// The number of the next sync.
async fn sync(wire: &mut Wire) -> anyhow::Result<u64> {
    loop {
        let frame = frame(wire).await?;
        if let Some(rest) = frame.strip_prefix(r#"["sync","#) {
            return Ok(rest.split(',').next().context("no number")?.parse()?);
        }
    }
}
