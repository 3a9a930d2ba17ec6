//! What `tidelog log` prints: the log as the store has it, whoever is asked.

use crate::server::command;
use crate::within;
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use tidelog_crdt::{DocumentAction, Dot, Entry, Incarnation, Position};
use tidelog_protocol::{ActionId, Meta};

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

impl Line {
    /// What it is to its document, if it is an action of the CRDT vocabulary.
    pub fn entry(&self) -> anyhow::Result<Entry> {
        let (incarnation, position) = self.dot.split_once(':').context("a dot")?;
        let incarnation = server(incarnation)?;
        let dot = Dot { incarnation, position: Position::new(position.parse()?).context("0")? };
        let mut context = tidelog_crdt::Context::default();
        for (name, ranges) in &self.seen {
            let own = ranges.iter().flat_map(|[first, last]| *first..=*last);
            context.add_own(server(name)?, &own.filter_map(Position::new).collect());
        }
        let id: ActionId = self.id.parse()?;
        let stamp = Meta { id, time: self.time, subprotocol: None }.stamp();
        let changes = DocumentAction::parse(&self.action)?.changes;
        Ok(Entry { dot, aliases: Vec::new(), context, stamp, changes })
    }
}

fn server(text: &str) -> anyhow::Result<Incarnation> {
    Ok(Incarnation(u64::from_str_radix(text, 16)?))
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
