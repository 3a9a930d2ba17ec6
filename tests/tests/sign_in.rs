//! Signing in at a running server: keys that change, proxies in between, and the end of a token.

use anyhow::{Context, ensure};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tidelog_tests::{Device, Options, Server, tidelog, within};

async fn token(key: &Path, ttl: &str) -> anyhow::Result<String> {
    let key = key.to_str().context("a path in UTF-8")?;
    let ran = tidelog(["token", "--user", "ann", "--ttl", ttl, "--key", key]).await?;
    ensure!(ran.good, "{ran:?}");
    Ok(ran.out.trim().to_owned())
}

async fn start(keys: &TempDir, settings: &str) -> anyhow::Result<Server> {
    let secret = keys.path().join("secret");
    fs::write(&secret, "a secret of thirty-two bytes or more")?;
    let config = format!("{settings}\n[[auth.jwt]]\nsecret_file = \"{}\"", secret.display());
    Server::start_with(Options { config, signed: true, ..Options::default() }).await
}

async fn status(server: &Server, headers: &[&str]) -> anyhow::Result<u16> {
    Ok(server.get("/v1/log", headers).await?.status)
}

#[tokio::test]
async fn a_secret_is_changed_without_a_restart_and_sessions_stay() -> anyhow::Result<()> {
    let keys = tempfile::tempdir()?;
    let secret = keys.path().join("secret");
    let server = start(&keys, "").await?;
    let old = token(&secret, "1h").await?;
    let mut device = Device::new(server.target_with(&old), "ann", "phone")?;
    let old = format!("authorization: Bearer {old}");
    device.connect().await?;
    fs::write(&secret, "another secret of thirty-two bytes or more")?;
    let new = format!("authorization: Bearer {}", token(&secret, "1h").await?);
    server.signal(Server::HUP)?;
    server.until_traced("the keys were read again", 0).await?;
    ensure!(status(&server, &[&new]).await? == 200);
    ensure!(status(&server, &[&old]).await? == 401);
    device.dispatch(r#"{"type":"note"}"#).await?;
    device.until_acknowledged().await?;
    fs::write(&secret, "short")?;
    server.signal(Server::HUP)?;
    server.until_traced("the new keys cannot be used", 0).await?;
    ensure!(status(&server, &[&new]).await? == 200);
    Ok(())
}

#[tokio::test]
async fn a_stream_a_long_poll_and_a_socket_end_with_the_token() -> anyhow::Result<()> {
    let keys = tempfile::tempdir()?;
    let server = start(&keys, "[auth]\nleeway = \"1ms\"").await?;
    let token = token(&keys.path().join("secret"), "3s").await?;
    let bearer = format!("authorization: Bearer {token}");
    let mut device = Device::new(server.target_with(&token), "ann", "phone")?;
    device.connect().await?;
    let stream = [bearer.as_str(), "accept: text/event-stream"];
    let poll = [bearer.as_str()];
    let (stream, poll, cut) = tokio::join!(
        server.get("/v1/log", &stream),
        server.get("/v1/log?wait=50", &poll),
        device.until("the end of the connection", |device| !device.is_online()),
    );
    let (stream, poll) = (stream?, poll?);
    ensure!(stream.status == 200 && stream.body.contains("data: "), "{stream:?}");
    ensure!(poll.status == 200 && poll.body.contains(r#""actions":[]"#), "{poll:?}");
    cut?;
    ensure!(status(&server, &[&bearer]).await? == 401);
    Ok(())
}

#[tokio::test]
async fn behind_a_proxy_failures_count_for_who_made_them() -> anyhow::Result<()> {
    let keys = tempfile::tempdir()?;
    let limits = "[limits]\nsign_in_failures = 2\nsign_in_window = \"1h\"";
    for (proxies, locks_others) in [("[\"127.0.0.1\"]", false), ("[]", true)] {
        let settings = format!("[server]\ntrusted_proxies = {proxies}\n{limits}");
        let server = start(&keys, &settings).await?;
        let bad = |from: &'static str| {
            let (server, from) = (&server, format!("x-forwarded-for: {from}"));
            async move { status(server, &["authorization: Bearer a.b.c", &from]).await }
        };
        // What the client wrote itself stands on the left, and changes nothing.
        for made_up in ["1.1.1.1, 192.0.2.7", "2.2.2.2, 192.0.2.7"] {
            ensure!(bad(made_up).await? == 401);
        }
        ensure!(bad("3.3.3.3, 192.0.2.7").await? == 429, "{proxies}");
        ensure!(bad("192.0.2.8").await? == if locks_others { 429 } else { 401 }, "{proxies}");
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_provider_of_keys_does_not_hold_up_a_stop() -> anyhow::Result<()> {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/keys", silent.local_addr()?);
    let config = format!("[[auth.jwt]]\njwks_url = {url:?}");
    let mut server =
        Server::start_with(Options { config, signed: true, ..Options::default() }).await?;
    let (held, _) = within("the fetch", silent.accept()).await??;
    let waiting = ["authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxMCJ9.AAAA"];
    let (refused, stopped) = tokio::join!(status(&server, &waiting), async {
        // The request is there before the signal, or it is refused at once; both are fine.
        tokio::task::yield_now().await;
        server.signal(Server::TERM)
    });
    stopped?;
    ensure!(refused.is_err() || refused? == 503);
    ensure!(server.exited().await?.success());
    drop(held);
    Ok(())
}
