//! What a person types: a flag wins over the environment, that over the file, that over the default;
//! exit codes; and what is written for shells and `man`.

use anyhow::{Context, ensure};
use std::path::Path;
use std::process::Output;
use tidelog_tests::{Device, Options, Server, command, within};
use tokio::process::Command;

/// Runs `tidelog` in `dir`.
async fn run(dir: &Path, line: &str, environment: &[(&str, &str)]) -> anyhow::Result<Output> {
    let mut command = command()?;
    command.current_dir(dir).args(line.split(' ')).envs(environment.iter().copied());
    Ok(within(line, command.output()).await??)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_flag_wins_over_the_environment_and_that_over_the_file() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    // An address that cannot be had says which one was taken.
    let file = "[server]\nlisten = \"192.0.2.1:1\"\ndev = false\n[auth]\nanonymous = [\"guest\"]";
    std::fs::write(dir.path().join("tidelog.toml"), file)?;
    let variable = ("TIDELOG_LISTEN", "192.0.2.1:2");
    for (line, environment, port) in [
        ("serve", &[][..], ":1"),
        ("serve", &[variable], ":2"),
        ("serve --listen 192.0.2.1:3", &[variable], ":3"),
    ] {
        let output = run(dir.path(), line, environment).await?;
        let errors = text(&output.stderr);
        ensure!(output.status.code() == Some(1), "{line}: {output:?}");
        ensure!(errors.contains(&format!("192.0.2.1{port}")), "{line}: {errors}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_said_to_be_false_is_false() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("tidelog.toml"), "[server]\ndev = true")?;
    for (line, environment) in [
        ("serve --listen 127.0.0.1:0", &[("TIDELOG_DEV", "false")][..]),
        ("serve --listen 127.0.0.1:0 --dev=false", &[("TIDELOG_DEV", "true")]),
        ("check-config", &[("TIDELOG_DEV", "0")]),
    ] {
        let output = run(dir.path(), line, environment).await?;
        ensure!(output.status.code() == Some(1), "{line}: {output:?}");
        ensure!(text(&output.stderr).contains("nobody could sign in"), "{line}: {output:?}");
    }
    let dev = run(dir.path(), "check-config --dev", &[("TIDELOG_DEV", "false")]).await?;
    ensure!(dev.status.success() && text(&dev.stdout).contains("development"), "{dev:?}");
    Ok(())
}

#[tokio::test]
async fn a_command_finds_the_data_where_the_server_has_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("store");
    let mut server = Server::start_with(Options { data: Some(data), ..Options::default() }).await?;
    let mut device = Device::new(server.target(), "ann", "phone")?;
    device.connect().await?;
    let id = device.dispatch(r#"{"type":"note"}"#).await?.to_string();
    device.until_acknowledged().await?;
    server.stop().await?;
    std::fs::write(dir.path().join("tidelog.toml"), "[server]\ndata = \"store\"")?;
    std::fs::write(dir.path().join("other.toml"), "[server]\ndata = \"nowhere\"")?;
    for (line, environment, found) in [
        ("log", &[][..], true),
        ("log --config other.toml", &[], false),
        ("log", &[("TIDELOG_CONFIG", "other.toml")], false),
        ("log", &[("TIDELOG_CONFIG", "other.toml"), ("TIDELOG_DATA", "store")], true),
        ("log --data store --config other.toml", &[("TIDELOG_DATA", "nowhere")], true),
        ("user export ann", &[], true),
        ("user export ann --config other.toml", &[], false),
    ] {
        let output = run(dir.path(), line, environment).await?;
        ensure!(text(&output.stdout).contains(&id) == found, "{line}: {output:?}");
    }
    for command in ["check", "rebuild"] {
        let here = run(dir.path(), command, &[]).await?;
        ensure!(here.status.success(), "{command}: {here:?}");
        let elsewhere = run(dir.path(), command, &[("TIDELOG_CONFIG", "other.toml")]).await?;
        ensure!(elsewhere.status.code() == Some(1), "{command}: {elsewhere:?}");
    }
    Ok(())
}

#[tokio::test]
async fn exit_codes_tell_success_failure_and_misuse_apart() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("good.toml"), "[[auth.jwt]]\nsecret_file = \"key\"")?;
    std::fs::write(dir.path().join("bad.toml"), "[limits]\n\nping = 5")?;
    std::fs::write(dir.path().join("open.toml"), "[server]\ndev = true\nlisten = \"0.0.0.0:0\"")?;
    std::fs::write(dir.path().join("key"), "a secret of thirty-two bytes or more")?;
    for (line, code, said) in [
        ("check-config --config good.toml", 0, "good.toml: ok"),
        ("check-config --config bad.toml", 1, "bad.toml:3: "),
        ("check-config --config open.toml", 1, "loopback only"),
        ("check-config", 1, "tidelog.toml: cannot be read"),
        ("serve", 1, "nobody could sign in"),
        ("serve --dev --listen 0.0.0.0:0", 1, "loopback only"),
        ("serve --dev --trace inof", 1, "is no level"),
        ("token --user ann --config good.toml", 0, "."),
        ("token --user ann", 1, "nothing to sign with"),
        ("token", 2, "--user"),
        ("serve --no-such-flag", 2, "--no-such-flag"),
        ("config-reference", 0, "[limits]"),
        ("check --data nowhere", 1, "nowhere"),
    ] {
        let output = run(dir.path(), line, &[]).await?;
        ensure!(output.status.code() == Some(code), "{line}: {output:?}");
        let stream = if code == 0 { &output.stdout } else { &output.stderr };
        ensure!(text(stream).contains(said), "{line}: {output:?}");
    }
    let mut server = Server::start().await?;
    server.signal(Server::INTERRUPT)?;
    ensure!(server.exited().await?.code() == Some(0), "SIGINT:\n{}", server.trace());
    Ok(())
}

#[tokio::test]
async fn the_reference_is_a_file_that_changes_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let reference = run(dir.path(), "config-reference", &[]).await?.stdout;
    std::fs::write(dir.path().join("tidelog.toml"), reference)?;
    let output = run(dir.path(), "check-config --dev", &[]).await?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

/// Whether this machine has a program.
async fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .await
        .is_ok_and(|it| it.status.success())
}

#[tokio::test]
async fn completions_are_scripts_that_their_shells_read() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for (shell, words) in [
        ("bash", ["check-config", "--trace-json"]),
        ("zsh", ["check-config", "--trace-json"]),
        ("fish", ["check-config", "trace-json"]),
    ] {
        let script = run(dir.path(), &format!("completions {shell}"), &[]).await?.stdout;
        for word in words {
            ensure!(text(&script).contains(word), "{shell}: no {word}");
        }
        if !has(shell).await {
            eprintln!("{shell}: SKIPPED, it is not installed");
            continue;
        }
        let file = dir.path().join(shell);
        std::fs::write(&file, script)?;
        let read = Command::new(shell).arg("-n").arg(&file).output().await?;
        ensure!(read.status.success(), "{shell}: {}", text(&read.stderr));
    }
    let misspelt = run(dir.path(), "completions csh", &[]).await?;
    ensure!(misspelt.status.code() == Some(2), "{misspelt:?}");
    Ok(())
}

#[tokio::test]
async fn each_command_has_a_man_page_without_warnings() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let made = run(dir.path(), "man --dir pages/new", &[]).await?;
    ensure!(made.status.success(), "{made:?}");
    let mut pages: Vec<_> =
        std::fs::read_dir(dir.path().join("pages/new"))?.collect::<Result<_, _>>()?;
    pages.sort_by_key(std::fs::DirEntry::file_name);
    let names: Vec<_> = pages.iter().map(|page| page.file_name().into_string()).collect();
    for name in ["tidelog.1", "tidelog-serve.1", "tidelog-check-config.1", "tidelog-log.1"] {
        ensure!(names.contains(&Ok(name.to_owned())), "{name} is not among {names:?}");
    }
    let page = run(dir.path(), "man", &[]).await?.stdout;
    ensure!(page == std::fs::read(dir.path().join("pages/new/tidelog.1"))?, "two pages of tidelog");
    let serve = std::fs::read_to_string(dir.path().join("pages/new/tidelog-serve.1"))?;
    ensure!(serve.contains("TIDELOG_LISTEN") && serve.contains("127.0.0.1:31337"), "{serve}");
    if !has("man").await {
        eprintln!("man: SKIPPED, it is not installed");
        return Ok(());
    }
    for page in pages {
        let read = Command::new("man")
            .args(["--warnings=all", "--local-file", "--pager=cat"])
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "100")
            .arg(page.path())
            .output()
            .await?;
        ensure!(
            read.status.success() && read.stderr.is_empty(),
            "{page:?}: {}",
            text(&read.stderr)
        );
        let name = page.file_name().into_string().ok().context("a name")?;
        ensure!(!text(&read.stdout).trim().is_empty(), "{name} is empty");
    }
    Ok(())
}
