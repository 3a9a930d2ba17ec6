//! A service manager is told when the server is ready, that it lives, and that it stops.

use anyhow::ensure;
use std::time::Duration;
use tidelog_tests::{Options, Server, within};
use tokio::net::{TcpStream, UnixDatagram};

struct Manager(UnixDatagram);

impl Manager {
    /// The next message that has `word`.
    async fn hears(&self, word: &str) -> anyhow::Result<String> {
        let listening = async {
            loop {
                let mut buffer = [0; 4096];
                let length = self.0.recv(&mut buffer).await?;
                let message = buffer.get(..length).map(String::from_utf8_lossy);
                let message = message.unwrap_or_default().into_owned();
                if message.contains(word) {
                    return anyhow::Ok(message);
                }
            }
        };
        within(word, listening).await?
    }
}

#[tokio::test]
async fn it_hears_ready_alive_and_stopping() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path)?);
    let environment = vec![("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "20000".into())];
    let mut server = Server::start_with(Options { environment, ..Options::default() }).await?;
    let ready = manager.hears("READY=1").await?;
    ensure!(ready.contains(&server.address().to_string()), "{ready}");
    TcpStream::connect(server.address()).await?;
    manager.hears("WATCHDOG=1").await?;
    manager.hears("WATCHDOG=1").await?;
    server.signal(Server::TERM)?;
    manager.hears("STOPPING=1").await?;
    ensure!(server.exited().await?.success(), "{}", server.trace());
    Ok(())
}

#[tokio::test]
async fn a_manager_that_is_gone_does_not_matter() -> anyhow::Result<()> {
    let environment = vec![("NOTIFY_SOCKET", "/nowhere/notify".into())];
    let mut server = Server::start_with(Options { environment, ..Options::default() }).await?;
    let answer = server.get("/ready", &[]).await?;
    ensure!(answer.status == 200, "{answer:?}");
    tokio::time::timeout(Duration::from_secs(30), server.stop()).await??;
    ensure!(server.trace().contains("NOTIFY_SOCKET"), "{}", server.trace());
    Ok(())
}
