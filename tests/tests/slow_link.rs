//! A slow link takes its time, and is not cut as long as it moves.

use anyhow::ensure;
use std::time::Duration;
use tidelog_tests::{Device, Options, Server};

/// 20 MB of actions.
const ACTIONS: usize = 1_000;
const TEXT_BYTES: usize = 20_000;
/// How long the link takes for a frame of about 64 KiB.
const A_FRAME: Duration = Duration::from_millis(25);

#[tokio::test]
async fn a_slow_link_that_has_much_to_carry_is_not_cut_while_it_acknowledges() -> anyhow::Result<()>
{
    // Everything was put on its way at once, and until nearly all of it had left, nothing was read:
    // the acknowledgements that showed that the link moved were not either.
    let config = "[limits]\nping = \"500ms\"\ntimeout = \"2s\"\n\
                  window_entries = 100_000\nwindow_bytes = \"64 MiB\"\n";
    let options = Options { config: config.to_owned(), ..Options::default() };
    let server = Server::start_with(options).await?;
    let mut author = Device::new(server.target(), "10", "author")?;
    author.connect().await?;
    let text = "x".repeat(TEXT_BYTES);
    for n in 0..ACTIONS {
        author.dispatch(&format!(r#"{{"type":"pour","n":{n},"text":"{text}"}}"#)).await?;
        author.until("room", |device| device.unacknowledged_count() < 50).await?;
    }
    author.until_acknowledged().await?;
    author.go_offline();
    let mut slow = Device::new(server.target(), "10", "slow")?;
    slow.connect().await?;
    while slow.heard.len() < ACTIONS {
        // The pace of the link.
        tokio::time::sleep(A_FRAME).await;
        slow.next().await?;
        if slow.is_online() {
            drop(slow.client()?.wire().flush().await);
        }
        ensure!(slow.is_online(), "cut after {} of {ACTIONS}", slow.heard.len());
    }
    ensure!(slow.heard == author.dispatched);
    Ok(())
}
