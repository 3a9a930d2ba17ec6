//! What `tidelog log` prints: the log as the store has it, whoever is asked.

use crate::server::command;
use crate::within;
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// Where the server placed it.
    pub position: u64,
    /// The action's id, as text.
    pub id: String,
    /// Creation time in ms.
    pub time: u64,
    /// The name that the server gave it: its incarnation and the position.
    pub dot: String,
    /// What its author had seen: for each server the first and the last position of each range.
    pub seen: BTreeMap<String, Vec<[u64; 2]>>,
    /// The users in whose logs it is.
    pub users: Vec<String>,
    /// The channels in whose logs it is.
    pub channels: Vec<String>,
    /// The action.
    pub action: serde_json::Value,
}

/// Runs `tidelog log` on a data directory.
pub async fn export(data: &Path, arguments: &[&str]) -> anyhow::Result<Vec<Line>> {
    let run = command()?.arg("log").arg("--data").arg(data).args(arguments).output();
    let output = within("tidelog log", run).await??;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tidelog log ended in {}: {errors}", output.status);
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(|line| serde_json::from_str(line).context(line.to_owned())).collect()
}
