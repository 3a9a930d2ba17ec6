//! TLS as tools that others made see it: curl, and openssl's client.

use anyhow::{Context, ensure};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tidelog_client_sim::Process;
use tidelog_client_sim::client::{Client, Target};
use tidelog_client_sim::secure::Place;
use tidelog_protocol::NodeId;
use tidelog_tests::{Options, Ran, Server, has, run, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};

/// A server with a certificate of its own.
struct Site {
    server: Server,
    folder: TempDir,
}

impl Site {
    async fn start(settings: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        issue(folder.path())?;
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let config = format!(
            "{settings}\n[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"",
            cert.display(),
            key.display()
        );
        let server = Server::start_with(Options { config, ..Options::default() }).await?;
        Ok(Self { server, folder })
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/health", self.server.address().port())
    }

    /// curl, which trusts `authority`, with these flags.
    async fn curl(&self, authority: &Path, flags: &[&str]) -> anyhow::Result<Ran> {
        let (authority, url) = (authority.display().to_string(), self.url());
        let always = ["--silent", "--show-error", "--noproxy", "*", "--cacert", &authority, &url];
        run("curl", [&always, flags].concat()).await
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// openssl's client, which shakes hands and leaves.
    async fn openssl(&self, flags: &[&str]) -> anyhow::Result<Ran> {
        let address = self.server.address().to_string();
        run("openssl", [&["s_client", "-connect", &address], flags].concat()).await
    }

    /// A device that is signed in under TLS.
    async fn comes(&self, node: &str) -> anyhow::Result<Client> {
        let url = format!("wss://{}", self.server.address()).parse()?;
        let place = Place::all(&[url], Some(&self.authority()))?.pop().context("no place")?;
        let target = Target { tls: place.tls, ..self.server.target() };
        let node = NodeId::new(node)?;
        Ok(within("to be let in", Client::sign_in(&target, &node, 0)).await??)
    }

    fn hang_up(&self) -> anyhow::Result<()> {
        self.server.signal(Server::HUP)
    }
}

/// Writes a new certificate and its key.
fn issue(folder: &Path) -> anyhow::Result<()> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    fs::write(folder.join("cert.pem"), cert.pem())?;
    fs::write(folder.join("key.pem"), signing_key.serialize_pem())?;
    Ok(())
}

#[tokio::test]
async fn http_2_and_1_are_spoken_as_the_client_likes() -> anyhow::Result<()> {
    if !has("curl").await {
        return Ok(());
    }
    let site = Site::start("").await?;
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let ran = site.curl(&site.authority(), &[flag, "--write-out", "%{http_version}"]).await?;
        ensure!(ran.good && ran.out == format!("ok\n{version}"), "{flag}: {ran:?}");
    }
    // Some requests at once, one of them with a body, over one connection.
    let url = site.url().replace("/health", "/v1/log");
    let pull = ["--http2", "--header", "authorization: Bearer 10", "--parallel", &url, &url];
    let ran = site.curl(&site.authority(), &pull).await?;
    ensure!(ran.good && ran.out.matches("\"actions\":[]").count() == 2, "{ran:?}");
    let push = ["--http2", "--header", "authorization: Bearer 10", "--json"];
    let body = [r#"{"actions":[[{"type":"note"},{}]]}"#, &url];
    let ran = site.curl(&site.authority(), &[&push[..], &body].concat()).await?;
    ensure!(ran.good && ran.out.contains("processed"), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn old_versions_and_weak_ciphers_are_refused() -> anyhow::Result<()> {
    if !has("openssl").await {
        return Ok(());
    }
    let site = Site::start("").await?;
    for (flags, cipher) in [
        (vec!["-tls1_3"], "TLS_AES_"),
        (vec!["-tls1_2"], "ECDHE-ECDSA-"),
        (vec!["-alpn", "h2,http/1.1"], "ALPN protocol: h2"),
        (vec!["-alpn", "http/1.1"], "ALPN protocol: http/1.1"),
    ] {
        let ran = site.openssl(&flags).await?;
        ensure!(ran.good && ran.out.contains(cipher), "{flags:?}: {ran:?}");
    }
    // openssl refuses these itself unless it is told that it need not be careful.
    for flags in [
        vec!["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        vec!["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        vec!["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
        vec!["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        vec!["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"],
        vec!["-alpn", "spdy/3"],
    ] {
        let ran = site.openssl(&flags).await?;
        ensure!(!ran.good && ran.err.contains("alert"), "{flags:?}: {ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_new_certificate_counts_after_sighup_and_a_bad_one_does_not() -> anyhow::Result<()> {
    if !has("curl").await {
        return Ok(());
    }
    let site = Site::start("").await?;
    let (first, second) = (site.folder.path().join("first"), site.folder.path().join("second"));
    fs::copy(site.authority(), &first)?;
    issue(site.folder.path())?;
    fs::copy(site.authority(), &second)?;
    ensure!(site.curl(&first, &[]).await?.good, "nobody has told it yet");
    site.hang_up()?;
    site.server.until_traced("the certificate was read again", 0).await?;
    ensure!(site.curl(&second, &[]).await?.good);
    ensure!(!site.curl(&first, &[]).await?.good);
    fs::write(site.folder.path().join("key.pem"), "nonsense")?;
    site.hang_up()?;
    site.server.until_traced("key.pem has no private key", 0).await?;
    ensure!(site.curl(&second, &[]).await?.good, "the one before still counts");
    Ok(())
}

/// Reads until the server closes.
async fn until_closed(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = within("the end of the connection", stream.read_to_end(&mut bytes)).await?;
    Ok(bytes)
}

#[tokio::test]
async fn who_does_not_shake_hands_is_counted_and_has_to_go() -> anyhow::Result<()> {
    let site = Site::start("[limits]\nconnections = 2\nhandshake = \"2s\"").await?;
    let address = site.server.address();
    let mut silent = [TcpStream::connect(address).await?, TcpStream::connect(address).await?];
    let mut third = TcpStream::connect(address).await?;
    until_closed(&mut third).await?;
    site.server.until_traced("too many connections", 0).await?;
    for stream in &mut silent {
        ensure!(until_closed(stream).await?.is_empty());
    }
    // What is no TLS is told so, or closed, and hurts nobody else.
    let mut plain = TcpStream::connect(address).await?;
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    ensure!(!until_closed(&mut plain).await?.starts_with(b"HTTP"));
    let ran = tidelog_tests::tidelog(["--version"]).await?;
    ensure!(ran.good);
    let mut good = TcpStream::connect(address).await.context("it still listens")?;
    good.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn an_http_2_connection_that_asks_for_nothing_is_closed() -> anyhow::Result<()> {
    if !has("openssl").await {
        return Ok(());
    }
    let site = Site::start("[limits]\nhandshake = \"500ms\"").await?;
    let address = site.server.address().to_string();
    let mut client = tokio::process::Command::new("openssl")
        .args(["s_client", "-quiet", "-alpn", "h2", "-connect", &address])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    // It would stay as long as its input is open.
    let input = client.stdin.take();
    within("the end of the connection", client.wait()).await??;
    drop(input);
    Ok(())
}

#[tokio::test]
async fn who_says_nothing_takes_no_turn_to_shake_hands_and_hardly_any_memory() -> anyhow::Result<()>
{
    const SILENT: usize = 400;
    let site = Site::start("[limits]\nhandshake = \"1h\"\n[admission]\nhandshakes = 1").await?;
    drop(site.comes("ann:first:t").await?);
    let process = Process::new(site.server.pid()?);
    let before = process.resident_kib()?;
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(site.server.address()).await?);
    }
    // Who came after all of them is served, with the only turn there is.
    let _ann = site.comes("ann:phone:t").await?;
    let each = process.resident_kib()?.saturating_sub(before) / SILENT as u64;
    ensure!(each <= 40, "each that is silent takes {each} KiB");
    Ok(())
}

#[tokio::test]
async fn who_begins_to_shake_hands_and_stops_gives_its_turn_to_the_next() -> anyhow::Result<()> {
    let site = Site::start("[limits]\nhandshake = \"1s\"\n[admission]\nhandshakes = 1").await?;
    let mut halves = Vec::new();
    for _ in 0..3 {
        let mut half = TcpStream::connect(site.server.address()).await?;
        // The header of a first message, of which nothing comes.
        half.write_all(&[0x16, 3, 1, 2, 0]).await?;
        halves.push(half);
    }
    let _ann = site.comes("ann:phone:t").await?;
    for half in &mut halves {
        ensure!(until_closed(half).await?.is_empty(), "it was answered");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_stops_lets_clients_under_tls_go_one_after_the_other() -> anyhow::Result<()> {
    const CROWD: usize = 300;
    let mut site = Site::start("[limits]\ndrain = \"120s\"\ntimeout = \"1h\"").await?;
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let mut client = site.comes(&format!("user{n}:a:t")).await?;
        crowd.spawn(async move {
            while client.next().await.is_ok() {}
            Instant::now()
        });
    }
    site.server.signal(Server::TERM)?;
    let mut ends = Vec::new();
    while let Some(end) = within("the end of every connection", crowd.join_next()).await? {
        ends.push(end?);
    }
    ends.sort_unstable();
    let (first, last) = ends.first().zip(ends.last()).context("nobody left")?;
    let took = last.duration_since(*first);
    // One every ten ms; what is measured here may be late at both ends.
    ensure!(took > Duration::from_secs(1), "all went within {took:?}");
    let status = site.server.exited().await?;
    ensure!(status.success(), "{status}: {}", site.server.trace());
    Ok(())
}
