//! Verifying a store that no process has open: the feed row by row, and whether everything derived says
//! the same. Nothing is repaired, but for what every opening finishes (see `place`) and for the engine,
//! which tidies its own files when it is opened.

mod derived;
mod digest;
mod feed;
mod kept;
#[cfg(test)]
mod tests;

use super::error::{Corrupt, OpenError};
use super::lock::Lock;
use super::place::Place;
use super::recover::{FEED, INDEX, identity, nameless, settle};
use super::store::Feed;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use tidelog_crdt::Position;
use uuid::Uuid;

/// Findings that are kept; the rest is counted.
const FINDINGS_MAX: usize = 100;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, and no damage.
    Note,
    /// Derived data is not what it should be: it can be made again.
    Derived,
    /// The feed is damaged: only a backup has what it lost.
    Feed,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or directory.
    pub file: PathBuf,
    /// Where in the feed, if that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub way_out: String,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows of the feed.
    pub rows: u64,
    /// Entries that can be read.
    pub entries: u64,
    /// Entries whose body was taken out.
    pub cleaned: u64,
    /// Records of users that were erased.
    pub erased: u64,
    /// Documents that compacted entries went into, each once for each of its logs.
    pub documents: u64,
    /// Runs of the process.
    pub epochs: u64,
    /// Files of the index.
    pub runs: u64,
    /// What they have of logs, each entry once for each of its logs.
    pub indexed: u64,
    /// Ids that the index knows.
    pub ids: u64,
    /// Records of nodes.
    pub nodes: u64,
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which store it is, if it says so.
    pub store: Option<Uuid>,
    /// The format of the feed.
    pub format: Option<u32>,
    /// How often the feed was rewritten.
    pub generation: u64,
    /// The last position.
    pub head: Position,
    /// Up to where there is an index on disk.
    pub checkpoint: Position,
    /// What was counted.
    pub counts: Counts,
    /// What is not as it should be, the first hundred.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more_findings: u64,
    worst: Option<Severity>,
}

impl Report {
    /// How bad the worst finding is.
    pub fn worst(&self) -> Option<Severity> {
        self.worst
    }

    fn find(&mut self, finding: Finding) {
        self.worst = self.worst.max(Some(finding.severity));
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }

    fn corrupt(&mut self, severity: Severity, corrupt: Corrupt) {
        let Corrupt { file, position, what, way_out } = corrupt;
        let position = Some(position).filter(|position| *position > Position::ZERO);
        let (what, way_out) = (what.to_owned(), way_out.to_owned());
        self.find(Finding { severity, file, position, what, way_out });
    }

    /// Something could not be opened; the message names the way out.
    fn unopened(&mut self, severity: Severity, file: &Path, error: OpenError) {
        match error {
            OpenError::Corrupt(corrupt) => self.corrupt(severity, corrupt),
            OpenError::Engine { dir, reason, way_out } => self.find(Finding {
                severity,
                file: dir,
                position: None,
                what: format!("it cannot be opened: {reason}"),
                way_out: way_out.to_owned(),
            }),
            other => self.find(Finding {
                severity,
                file: file.to_path_buf(),
                position: None,
                what: other.to_string(),
                way_out: "mend that, and check again".to_owned(),
            }),
        }
    }
}

/// What a check is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The feed is read, up to the first position of the second.
    Feed(Position, Position),
    /// The runs are read, so many items of so many.
    Runs(u64, u64),
}

/// Verifies the store in `dir`. Blocks; `told` hears of the progress. An error says why it could not be
/// verified at all: it is not there, another process has it, or the system refuses.
pub fn check(dir: &Path, told: &mut dyn FnMut(Progress)) -> Result<Report, OpenError> {
    let missing = || OpenError::Missing { dir: dir.to_path_buf() };
    if !dir.exists() {
        return Err(missing());
    }
    let _lock = Lock::take(dir)?;
    let mut report = Report::default();
    note_leftovers(dir, &mut report);
    settle(dir)?;
    let feed_dir = dir.join(FEED);
    if !Feed::exists(&feed_dir) {
        return Err(missing());
    }
    let feed = match Feed::open(&feed_dir, CACHE_BYTES) {
        Ok(feed) => feed,
        Err(error @ (OpenError::Corrupt(_) | OpenError::Engine { .. })) => {
            report.unopened(Severity::Feed, &feed_dir, error);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    let identity = match identity(&feed, dir) {
        Ok(None) => {
            let rows = feed.last_key() > Position::ZERO;
            report.corrupt(Severity::Feed, nameless(&feed, rows));
            None
        }
        Ok(identity) => identity,
        Err(OpenError::Corrupt(corrupt)) => {
            report.corrupt(Severity::Feed, corrupt);
            None
        }
        Err(error) => return Err(error),
    };
    if let Some((identity, format)) = &identity {
        report.store = Some(identity.store_id);
        report.format = Some(*format);
        report.generation = identity.generation;
    }
    let identity = identity.map(|(identity, _)| identity);
    let expected = feed::Check { dir, feed: &feed, identity: identity.as_ref() };
    derived::check(expected, &mut report, told)?;
    Ok(report)
}

const CACHE_BYTES: usize = 32 << 20;

/// What a crash has left, and the next opening removes; the check does, too, where every opening does.
fn note_leftovers(dir: &Path, report: &mut Report) {
    let places = [FEED, INDEX].map(|name| Place::new(dir.join(name)));
    let mut left: Vec<_> = places.iter().flat_map(Place::leftovers).collect();
    for engine in [dir.join(FEED), dir.join(INDEX).join("records")] {
        let files = fs::read_dir(engine).into_iter().flatten().flatten().map(|file| file.path());
        left.extend(files.filter(|path| path.extension().is_some_and(|end| end == "generating")));
    }
    for file in left {
        report.find(Finding {
            severity: Severity::Note,
            file,
            position: None,
            what: "a crash has left it half-done".to_owned(),
            way_out: "nothing to do: opening the store finishes or removes it".to_owned(),
        });
    }
}
