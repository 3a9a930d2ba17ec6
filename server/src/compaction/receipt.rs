//! What a compaction has done, and how far one is.

use crate::log::{Compacted, CompactionStep, Log};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use tidelog_crdt::Position;
use uuid::Uuid;

/// What went.
#[derive(Debug)]
pub(crate) struct Receipt {
    store: Uuid,
    time_ms: u64,
    /// Up to where entries were old enough.
    pub(super) through: Position,
    /// How many went.
    pub(crate) entries: u64,
    /// Of documents, by the type of action.
    pub(super) types: BTreeMap<String, u64>,
    /// Of maps, by their name.
    pub(super) maps: BTreeMap<String, u64>,
    /// Logs that had any of a document.
    pub(super) logs: u64,
    /// Documents that are kept of those.
    pub(super) documents: u64,
    /// None if nothing went.
    pub(super) done: Option<Compacted>,
}

impl Receipt {
    /// Of nothing so far.
    pub(super) fn new(log: &Log, time_ms: u64) -> Self {
        Self {
            store: log.store_id(),
            time_ms,
            through: Position::ZERO,
            entries: 0,
            types: BTreeMap::new(),
            maps: BTreeMap::new(),
            logs: 0,
            documents: 0,
            done: None,
        }
    }

    /// As one object.
    pub(super) fn to_json(&self) -> Value {
        let Some(done) = &self.done else {
            return json!({
                "compacted": 0,
                "store": self.store,
                "time": self.time_ms,
                "through": self.through,
            });
        };
        let (before, after) = done.feed_bytes;
        json!({
            "compacted": self.entries,
            "store": self.store,
            "time": self.time_ms,
            "through": self.through,
            "types": self.types,
            "maps": self.maps,
            "logs": self.logs,
            "documents": self.documents,
            "head": done.head,
            "generation": done.generation,
            "feed_bytes": { "before": before, "after": after },
        })
    }
}

/// How far a compaction is, as a line.
pub(super) fn progress(step: CompactionStep) -> String {
    let (step, at, of) = match step {
        CompactionStep::Reading(at, of) => ("reading", at.get(), of.get()),
        CompactionStep::Folding(at, of) => ("folding", at, of),
        CompactionStep::Copying(at, of) => ("copying", at.get(), of.get()),
    };
    json!({ "progress": { "step": step, "at": at, "of": of } }).to_string()
}

/// Shows a line: progress on standard error, the receipt on `out`.
pub(super) fn show(line: &str, out: &mut impl Write) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Progress {
        progress: Way,
    }
    #[derive(Deserialize)]
    struct Way {
        step: String,
        at: u64,
        of: u64,
    }
    match serde_json::from_str(line) {
        Ok(Progress { progress: Way { step, at, of } }) => {
            eprintln!("tidelog: {step}: {at} of {of}");
            Ok(())
        }
        Err(_) => Ok(writeln!(out, "{line}")?),
    }
}

/// Tells of a step that has begun, and of each tenth of it.
#[derive(Default)]
pub(super) struct Tenths {
    step: &'static str,
    tenths: u64,
}

impl Tenths {
    /// Whether that is to be told.
    pub(super) fn tells(&mut self, step: CompactionStep) -> bool {
        let (name, at, of) = match step {
            CompactionStep::Reading(at, of) => ("reading", at.get(), of.get()),
            CompactionStep::Folding(at, of) => ("folding", at, of),
            CompactionStep::Copying(at, of) => ("copying", at.get(), of.get()),
        };
        let tenths = at.saturating_mul(10).checked_div(of).unwrap_or(10).min(10);
        let tells = self.step != name || tenths > self.tenths;
        if tells {
            *self = Self { step: name, tenths };
        }
        tells
    }
}
