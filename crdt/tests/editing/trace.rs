//! Recordings: see `data/editing-traces/README.md`.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What was recorded.
pub(crate) struct Trace {
    pub(crate) authors: usize,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) end: String,
}

/// Edits that one author made in a row.
pub(crate) struct Transaction {
    /// The transactions after which it was made.
    pub(crate) parents: Vec<usize>,
    pub(crate) author: usize,
    pub(crate) patches: Vec<Patch>,
}

/// Some characters go, and some come at the same place.
pub(crate) struct Patch {
    pub(crate) position: usize,
    pub(crate) deleted: usize,
    pub(crate) inserted: String,
}

impl Trace {
    /// Where the one of ours is that is called `name`.
    pub(crate) fn ours(name: &str) -> PathBuf {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/editing-traces");
        Path::new(folder).join(format!("{name}.json.gz"))
    }

    /// Reads the recording in `file`.
    pub(crate) fn read(file: &Path) -> Self {
        let file = File::open(file).unwrap();
        let json: Value = serde_json::from_reader(GzDecoder::new(file)).unwrap();
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let patch = |value: &Value| Patch {
            position: number(&value[0]),
            deleted: number(&value[1]),
            inserted: value[2].as_str().unwrap().to_owned(),
        };
        let is_concurrent = json["kind"] == "concurrent";
        let transactions = json["txns"].as_array().unwrap().iter().enumerate();
        let transactions = transactions.map(|(at, transaction)| Transaction {
            parents: match transaction["parents"].as_array() {
                Some(parents) if is_concurrent => parents.iter().map(number).collect(),
                _ => at.checked_sub(1).into_iter().collect(),
            },
            author: if is_concurrent { number(&transaction["agent"]) } else { 0 },
            patches: transaction["patches"].as_array().unwrap().iter().map(patch).collect(),
        });
        Self {
            authors: if is_concurrent { number(&json["numAgents"]) } else { 1 },
            transactions: transactions.collect(),
            end: json["endContent"].as_str().unwrap().to_owned(),
        }
    }

    /// The transactions up to `heads` that are not in `has`, parents first.
    pub(crate) fn missing(&self, heads: &[usize], has: &BTreeSet<usize>) -> Vec<usize> {
        let mut missing = BTreeSet::new();
        let mut stack = heads.to_vec();
        while let Some(next) = stack.pop() {
            if !has.contains(&next) && missing.insert(next) {
                stack.extend(&self.transactions[next].parents);
            }
        }
        missing.into_iter().collect()
    }
}
