//! Secrets stay secret: whatever is traced, answered, counted and printed, none of it holds one.

use anyhow::{Context, ensure};
use std::fs;
use std::path::Path;
use tidelog_client_sim::client::Client;
use tidelog_tests::{Device, Options, Server, tidelog, tidelog_with};

const SECRET: &str = "seashell-seashell-seashell-seashell";
const OTHER: &str = "pebble-pebble-pebble-pebble-pebble";

async fn token(key: &Path) -> anyhow::Result<String> {
    let key = key.to_str().context("a path in UTF-8")?;
    let ran = tidelog(["token", "--user", "ann", "--key", key]).await?;
    ensure!(ran.good, "{ran:?}");
    Ok(ran.out.trim().to_owned())
}

#[tokio::test]
async fn nothing_that_a_server_says_holds_a_secret() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (secret, other) = (folder.path().join("secret"), folder.path().join("other"));
    fs::write(&secret, SECRET)?;
    fs::write(&other, OTHER)?;
    let config = format!(
        "[server]\ntrace = \"trace\"\n[auth]\ncookie = \"session\"\n\
         [[auth.jwt]]\nsecret_file = {secret:?}\n\
         [[auth.jwt]]\njwks_url = \"http://127.0.0.1:1/keys?code=driftwood\""
    );
    let mut server =
        Server::start_with(Options { config, signed: true, ..Options::default() }).await?;
    let (good, forged) = (token(&secret).await?, token(&other).await?);
    let mut said = String::new();

    let mut device = Device::new(server.target_with(&good), "ann", "phone")?;
    device.connect().await?;
    device.dispatch(r#"{"type":"note","text":"barnacle"}"#).await?;
    device.until_acknowledged().await?;
    let refused = Client::sign_in(&server.target_with(&forged), device.node(), 0).await;
    said += &refused.err().context("a forged token lets nobody in")?.to_string();

    for header in [
        format!("authorization: Bearer {good}"),
        format!("authorization: Bearer {forged}"),
        format!("cookie: session={good}"),
    ] {
        let answer = server.get("/v1/log?limit=barnacle", &[&header]).await?;
        said += &answer.headers.join("\n");
        said += &answer.body;
    }
    said += &server.get("/metrics", &[]).await?.body;

    let data = server.data().to_str().context("a path in UTF-8")?.to_owned();
    let token_file = folder.path().join("token");
    fs::write(&token_file, &good)?;
    let file = token_file.to_str().context("a path in UTF-8")?;
    for arguments in [
        vec!["revoke", "--data", &data, "--token", &good],
        vec!["revoke", "--data", &data, "--token-file", file],
        vec!["revoke", "--data", &data, "--user", "ann"],
        vec!["revocations", "--data", &data],
        vec!["revoke", "--help"],
        vec!["serve", "--help"],
        vec!["token", "--help"],
    ] {
        let ran = tidelog(arguments).await?;
        said += &ran.out;
        said += &ran.err;
    }
    server.stop().await?;
    said += &server.trace();

    ensure!(said.contains("a token does not sign in"), "the trace is on:\n{said}");
    let signature = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    let (good, forged) = (signature(&good), signature(&forged));
    for hidden in [SECRET, OTHER, "barnacle", "driftwood", &good, &forged] {
        let line = said.lines().find(|line| line.contains(hidden));
        ensure!(line.is_none(), "{hidden} is in: {line:?}");
    }
    Ok(())
}

#[tokio::test]
async fn help_shows_no_secret_of_the_environment() -> anyhow::Result<()> {
    let ran = tidelog_with(("TIDELOG_TOKEN", "seashell"), &["revoke", "--help"]).await?;
    ensure!(ran.out.contains("TIDELOG_TOKEN") && !ran.out.contains("seashell"), "{ran:?}");
    Ok(())
}
