//! `tidelog revoke`: at once in a running server, and still after a restart.

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs;
use tempfile::TempDir;
use tidelog_client_sim::client::{Client, ClientError};
use tidelog_protocol::WireError;
use tidelog_tests::{Device, Options, Ran, Server, tidelog};

/// A server whose tokens are signed with a secret.
struct Site {
    server: Server,
    keys: TempDir,
}

impl Site {
    async fn start() -> anyhow::Result<Self> {
        let keys = tempfile::tempdir()?;
        let secret = keys.path().join("secret");
        fs::write(&secret, "a secret of thirty-two bytes or more")?;
        let config = format!("[[auth.jwt]]\nsecret_file = {secret:?}");
        let server = Server::start_with(Options { config, signed: true, ..Options::default() });
        Ok(Self { server: server.await?, keys })
    }

    async fn token(&self, user: &str) -> anyhow::Result<String> {
        let secret = self.keys.path().join("secret");
        let secret = secret.to_str().context("a path in UTF-8")?;
        let ran = tidelog(["token", "--user", user, "--key", secret]).await?;
        ensure!(ran.good, "{ran:?}");
        Ok(ran.out.trim().to_owned())
    }

    /// Runs a command on the server's data.
    async fn command(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Ran> {
        let data = self.server.data().to_str().context("a path in UTF-8")?;
        tidelog([&[name, "--data", data], arguments].concat()).await
    }

    async fn revoke(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let ran = self.command("revoke", arguments).await?;
        ensure!(ran.good, "{ran:?}");
        Ok(ran.out)
    }

    async fn online(&self, user: &str, client: &str, token: &str) -> anyhow::Result<Device> {
        let mut device = Device::new(self.server.target_with(token), user, client)?;
        device.connect().await?;
        Ok(device)
    }

    /// Whether the token lets anybody in.
    async fn lets_in(&self, user: &str, token: &str) -> anyhow::Result<bool> {
        let node = tidelog_client_sim::node(user, "other")?;
        let bearer = format!("authorization: Bearer {token}");
        let http = self.server.get("/v1/log", &[&bearer]).await?.status;
        match Client::sign_in(&self.server.target_with(token), &node, 0).await {
            Ok(_) => ensure!(http == 200, "a socket, and HTTP says {http}"),
            Err(ClientError::Told(WireError::WrongCredentials)) => ensure!(http == 401),
            Err(error) => return Err(error.into()),
        }
        Ok(http == 200)
    }
}

/// Until the connection has ended, and without a word: a stock client comes again then.
async fn until_cut(device: &mut Device) -> anyhow::Result<()> {
    device.until("the end of the connection", |device| !device.is_online()).await
}

#[tokio::test]
async fn a_revoked_user_goes_at_once_and_stays_out_after_a_crash() -> anyhow::Result<()> {
    let mut site = Site::start().await?;
    let (ann, bob) = (site.token("ann").await?, site.token("bob").await?);
    let mut phone = site.online("ann", "phone", &ann).await?;
    let mut tablet = site.online("ann", "tablet", &ann).await?;
    let mut other = site.online("bob", "phone", &bob).await?;
    let said = site.revoke(&["--user", "ann"]).await?;
    ensure!(said.contains(r#""user":"ann""#) && said.contains(r#""ended":2"#), "{said}");
    until_cut(&mut phone).await?;
    until_cut(&mut tablet).await?;
    ensure!(!site.lets_in("ann", &ann).await?);
    other.dispatch(r#"{"type":"note"}"#).await?;
    other.until_acknowledged().await?;
    site.server.kill().await?;
    site.server.start_again().await?;
    ensure!(!site.lets_in("ann", &ann).await?, "it was on disk");
    ensure!(site.lets_in("bob", &bob).await?);
    // Tokens tell seconds: one of the next is newer.
    let mut newer = site.token("ann").await?;
    while !site.lets_in("ann", &newer).await? {
        newer = site.token("ann").await?;
    }
    ensure!(!site.lets_in("ann", &ann).await?, "the old one still is out");
    Ok(())
}

#[tokio::test]
async fn what_is_revoked_is_listed_and_can_be_taken_back() -> anyhow::Result<()> {
    let mut site = Site::start().await?;
    let ann = site.token("ann").await?;
    site.revoke(&["--user", "ann"]).await?;
    site.revoke(&["--client", "bob:phone", "--expires", "1h"]).await?;
    let listed = site.command("revocations", &[]).await?.out;
    let lines: Vec<_> = listed.lines().collect();
    ensure!(lines.len() == 2, "{listed}");
    ensure!(lines[0].contains(r#""user":"ann""#) && lines[0].contains(r#""expires_ms":null"#));
    ensure!(lines[1].contains(r#""client":"bob:phone""#) && !lines[1].contains("null"));
    let back = site.command("unrevoke", &["--user", "ann"]).await?;
    ensure!(back.good && site.lets_in("ann", &ann).await?, "{back:?}");
    let again = site.command("unrevoke", &["--user", "ann"]).await?;
    ensure!(!again.good && again.err.contains("is not revoked"), "{again:?}");
    site.server.kill().await?;
    site.server.start_again().await?;
    ensure!(site.lets_in("ann", &ann).await?, "taking it back was on disk, too");
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_takes_revocations_too() -> anyhow::Result<()> {
    let mut site = Site::start().await?;
    let ann = site.token("ann").await?;
    site.server.stop().await?;
    let said = site.revoke(&["--user", "ann"]).await?;
    ensure!(said.contains(r#""ended":0"#), "{said}");
    ensure!(site.command("revocations", &[]).await?.out.contains("ann"));
    site.server.start_again().await?;
    ensure!(!site.lets_in("ann", &ann).await?);
    site.server.stop().await?;
    ensure!(site.command("unrevoke", &["--user", "ann"]).await?.good);
    site.server.start_again().await?;
    ensure!(site.lets_in("ann", &ann).await?);
    Ok(())
}

/// `{"jti": …}` in a token that nobody has signed: the command only reads its name and its end.
fn token_file(site: &Site, claims: &str) -> anyhow::Result<String> {
    let text = format!("e30.{}.AAAA\n", URL_SAFE_NO_PAD.encode(claims));
    let file = site.keys.path().join("token");
    fs::write(&file, text)?;
    Ok(file.to_str().context("a path in UTF-8")?.to_owned())
}

#[tokio::test]
async fn a_token_is_named_by_its_file_and_forgotten_with_its_end() -> anyhow::Result<()> {
    let site = Site::start().await?;
    let file = token_file(&site, r#"{"jti":"stolen","exp":4000000000}"#)?;
    let said = site.revoke(&["--token-file", &file]).await?;
    ensure!(said.contains(r#""token":"stolen""#) && said.contains("4000000000000"), "{said}");
    let over = token_file(&site, r#"{"jti":"over","exp":1}"#)?;
    site.revoke(&["--token-file", &over]).await?;
    let listed = site.command("revocations", &[]).await?.out;
    ensure!(listed.contains("stolen") && !listed.contains("over"), "{listed}");
    for (claims, reason) in [(r#"{"sub":"a"}"#, "has no jti"), ("no JSON", "there is no token")] {
        let ran = site.command("revoke", &["--token-file", &token_file(&site, claims)?]).await?;
        ensure!(!ran.good && ran.err.contains(reason), "{ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_revoked_is_said_and_no_store_is_made_for_it() -> anyhow::Result<()> {
    let site = Site::start().await?;
    for (arguments, reason) in [
        (vec!["--user", "a:b"], "colon"),
        (vec!["--client", "ann"], "user:client"),
        (vec!["--token", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"], "--token-file"),
    ] {
        let ran = site.command("revoke", &arguments).await?;
        ensure!(!ran.good && ran.err.contains(reason) && !ran.err.contains("eyJ"), "{ran:?}");
    }
    let nowhere = site.keys.path().join("nowhere");
    let data = nowhere.to_str().context("a path in UTF-8")?;
    let ran = tidelog(["revoke", "--data", data, "--user", "ann"]).await?;
    ensure!(!ran.good && ran.err.contains("there is no store") && !nowhere.exists(), "{ran:?}");
    Ok(())
}
