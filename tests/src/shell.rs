//! Other commands: those of the binary under test, and tools of the system.

use crate::server::command;
use crate::within;
use std::ffi::OsStr;
use std::process::Stdio;
use tokio::process::Command;

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Whether it ended with 0.
    pub good: bool,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs a command of the binary to its end.
pub async fn tidelog<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> anyhow::Result<Ran> {
    let mut command = command()?;
    command.args(arguments);
    finish(command).await
}

/// The same with a variable in the environment.
pub async fn tidelog_with((name, value): (&str, &str), arguments: &[&str]) -> anyhow::Result<Ran> {
    let mut command = command()?;
    command.env(name, value).args(arguments);
    finish(command).await
}

/// Runs a tool of the system to its end, with nothing to read.
pub async fn run<A: AsRef<OsStr>>(
    tool: &str,
    arguments: impl IntoIterator<Item = A>,
) -> anyhow::Result<Ran> {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    finish(command).await
}

/// Whether the system has a tool; says so if not.
pub async fn has(tool: &str) -> bool {
    let found = run(tool, ["version"]).await.is_ok();
    if !found {
        eprintln!("SKIPPED: this machine has no {tool}");
    }
    found
}

async fn finish(mut command: Command) -> anyhow::Result<Ran> {
    let output = within("the end of a command", command.output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    Ok(Ran { good: output.status.success(), out, err })
}
