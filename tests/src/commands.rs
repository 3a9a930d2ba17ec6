//! Commands of the binary that run to their end, and what they say.

use crate::binary;
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Output};

/// Runs the binary to its end, and no longer than a minute.
pub fn run(arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new("timeout");
    command.arg("60").arg(binary::path()?).args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIDELOG_")) {
        command.env_remove(name);
    }
    Ok(command.output()?)
}

/// How it ended and what it said.
pub fn said(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A path as an argument.
pub fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}

/// A start that has to fail, saying all of this, and without a panic.
pub fn refused(data: &Path, expected: &[&str]) -> anyhow::Result<()> {
    let arguments = ["serve", "--dev", "--listen", "127.0.0.1:0", "--data", text(data)?];
    judge_refused(&run(&arguments)?, expected)
}

/// A command that has to have failed, saying all of this, and without a panic.
pub fn judge_refused(output: &Output, expected: &[&str]) -> anyhow::Result<()> {
    let said = said(output);
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(!said.contains("panicked"), "{said}");
    for expected in expected {
        ensure!(said.contains(expected), "not said: {expected}\n{said}");
    }
    Ok(())
}

/// What `tidelog check` says of a store, which has to end with this code.
pub fn checked(data: &Path, code: i32) -> anyhow::Result<String> {
    let output = run(&["check", "--data", text(data)?])?;
    ensure!(output.status.code() == Some(code), "{}", said(&output));
    Ok(said(&output))
}
