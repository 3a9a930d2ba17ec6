//! What the server says of its work: nothing more than is asked for, in the form that is asked for.

use anyhow::{Context, ensure};
use serde_json::Value;
use tidelog_tests::{Device, Options, Server, command, within};

/// A server with these flags that has let a device in, kept its action, and stopped.
async fn trace_of(flags: &[&str]) -> anyhow::Result<String> {
    let flags = flags.iter().map(ToString::to_string).collect();
    let mut server = Server::start_with(Options { flags, ..Options::default() }).await?;
    let mut device = Device::new(server.target(), "ann", "phone")?;
    device.connect().await?;
    device.dispatch(r#"{"type":"note","text":"private"}"#).await?;
    device.until_acknowledged().await?;
    let answer = server.get("/v1/log", &["Authorization: Bearer ann"]).await?;
    ensure!(answer.status == 200, "{answer:?}");
    server.stop().await?;
    Ok(server.trace())
}

#[tokio::test]
async fn a_server_that_is_well_is_quiet() -> anyhow::Result<()> {
    let trace = trace_of(&[]).await?;
    let said: Vec<_> =
        trace.lines().filter_map(|line| line.split_once("tidelog_server::")).collect();
    let said: Vec<_> = said
        .iter()
        .map(|(_, said)| said.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let expected = ["serve: created", "serve: development:", "serve: stopping", "serve: stopped"];
    ensure!(said == expected && trace.lines().count() == expected.len(), "{trace}");
    ensure!(trace_of(&["--trace", "off"]).await?.is_empty());
    let errors = trace_of(&["--trace", "error"]).await?;
    ensure!(errors.is_empty(), "{errors}");
    Ok(())
}

#[tokio::test]
async fn a_module_has_a_level_of_its_own() -> anyhow::Result<()> {
    let trace = trace_of(&["--trace", "off,connection=debug"]).await?;
    ensure!(trace.contains("signed in"), "{trace}");
    ensure!(trace.lines().all(|line| line.contains("tidelog_server::connection")), "{trace}");
    Ok(())
}

#[tokio::test]
async fn each_line_is_an_object_if_that_is_asked_for() -> anyhow::Result<()> {
    let trace = trace_of(&["--trace-json", "--trace", "trace"]).await?;
    ensure!(trace.lines().count() >= 5, "{trace}");
    for line in trace.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        for key in ["timestamp", "level", "target", "message"] {
            ensure!(line[key].is_string(), "no {key} in {line}");
        }
    }
    ensure!(!trace.contains("private"), "the body of an action is in the trace");
    Ok(())
}

#[tokio::test]
async fn the_last_words_are_an_object_too() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let data = server.data().as_os_str().to_owned();
    let mut second = command()?;
    second.args(["serve", "--dev", "--trace-json", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    let output = within("the second server", second.output()).await??;
    let errors = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{errors}");
    let last = errors.lines().last().context("nothing was said")?;
    let last: Value = serde_json::from_str(last).with_context(|| errors.clone())?;
    ensure!(last["level"] == "ERROR", "{last}");
    ensure!(errors.lines().all(|line| line.starts_with('{')), "{errors}");
    Ok(())
}
