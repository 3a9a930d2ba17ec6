//! What is done to the documents.

use anyhow::Context as _;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;

/// Edits, one after the other.
pub struct Work {
    pub name: String,
    pub kind: Kind,
    pub edits: Vec<Edit>,
    /// The value that must come out, if it is known, as JSON text.
    pub end: Option<String>,
}

/// Which value of a document is edited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Map,
    List,
    Text,
}

/// One edit.
pub enum Edit {
    Add(i64),
    Set {
        key: String,
        value: i64,
    },
    Insert {
        at: usize,
        value: i64,
    },
    /// Some characters go, and some come at the same place.
    Splice {
        at: usize,
        deleted: usize,
        inserted: String,
    },
}

const EDITS: usize = 10_000;

impl Work {
    /// What is made up here, the same in every run.
    pub fn made() -> Vec<Self> {
        let work = |name: &str, kind, edit: &dyn Fn(usize) -> Edit| Self {
            name: name.to_owned(),
            kind,
            edits: (0..EDITS).map(edit).collect(),
            end: None,
        };
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        // Multiplicative hashing (Knuth, volume 3, section 6.4): places that look like any.
        let any = |n: usize, below: usize| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % below;
        vec![
            work("count 10,000 times", Kind::Counter, &|_| Edit::Add(1)),
            work("set 10,000 fields", Kind::Map, &|n| Edit::Set {
                key: format!("f{n:06}"),
                value: number(n),
            }),
            work("set 100 fields 10,000 times", Kind::Map, &|n| Edit::Set {
                key: format!("f{:06}", any(n, 100)),
                value: number(n),
            }),
            work("append 10,000 elements", Kind::List, &|n| Edit::Insert {
                at: n,
                value: number(n),
            }),
            work("insert 10,000 elements anywhere", Kind::List, &|n| Edit::Insert {
                at: any(n, n + 1),
                value: number(n),
            }),
        ]
    }

    /// What somebody typed.
    pub fn recorded(file: &str) -> anyhow::Result<Self> {
        let opened = File::open(file).with_context(|| format!("cannot open {file}"))?;
        let json: Value = serde_json::from_reader(GzDecoder::new(opened))?;
        let transactions = json["txns"].as_array().context("no recording")?;
        let patches = transactions.iter().flat_map(|it| it["patches"].as_array());
        let edits = patches.flatten().map(|patch| {
            let number = |at: usize| patch[at].as_u64().and_then(|it| usize::try_from(it).ok());
            Some(Edit::Splice {
                at: number(0)?,
                deleted: number(1)?,
                inserted: patch[2].as_str()?.to_owned(),
            })
        });
        Ok(Self {
            name: file.rsplit('/').next().unwrap_or(file).trim_end_matches(".json.gz").to_owned(),
            kind: Kind::Text,
            edits: edits.collect::<Option<_>>().context("no recording of one author")?,
            end: Some(json["endContent"].to_string()),
        })
    }
}
