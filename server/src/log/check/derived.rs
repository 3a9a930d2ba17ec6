//! Everything derived against the feed: the manifest, every block of every run under its checksum, the
//! runs together saying what the feed says, the records of nodes.

use super::super::error::{Corrupt, Damage, OpenError, ReadError};
use super::super::index::{Index, merged, read_manifest, run_path};
use super::super::manifest::{Manifest, Part};
use super::super::nodes;
use super::super::prefix::{Key, Prefix};
use super::super::recover::INDEX;
use super::super::run::{Item, Order, REBUILD, Run, Scan};
use super::super::store::IndexStore;
use super::digest::Digest;
use super::feed::{Check, Expected};
use super::{Finding, Progress, Report, Severity};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::NodeId;

/// Between two reports of progress.
const TELL_EVERY: u64 = 200_000;

/// Checks the feed and then the index against it.
pub(super) fn check(
    feed: Check<'_>,
    report: &mut Report,
    told: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let dir = feed.dir.join(INDEX);
    let opened = open(&dir, report)?;
    let manifest = opened.as_ref().and_then(|(_, manifest)| manifest.as_ref());
    let usable = manifest.filter(|known| feed.identity.is_some_and(|it| known.is_of(it)));
    report.checkpoint = usable.map_or(Position::ZERO, |manifest| manifest.checkpoint);
    let expected = feed.walk(report.checkpoint, report, told)?;
    if manifest.is_some() && usable.is_none() {
        let what = "it was made from another state of the feed";
        derived(&dir, what, "nothing to do: the next start makes it again", report);
    }
    let any_run = || fs::read_dir(Index::runs(&dir)).is_ok_and(|mut runs| runs.next().is_some());
    if opened.is_some() && manifest.is_none() && any_run() {
        let what = "there are runs, and nothing says which";
        derived(&Index::records(&dir), what, REBUILD, report);
    }
    if let Some(manifest) = usable {
        if manifest.checkpoint > report.head {
            derived(&dir, "it knows of more than the feed has", REBUILD, report);
        }
        runs(&dir, manifest, expected, report, told);
    }
    if let Some((store, _)) = &opened {
        count_nodes(&dir, store, report);
    }
    Ok(())
}

fn derived(file: &Path, what: &str, way_out: &str, report: &mut Report) {
    report.find(Finding {
        severity: Severity::Derived,
        file: file.to_path_buf(),
        position: None,
        what: what.to_owned(),
        way_out: way_out.to_owned(),
    });
}

/// The database of the index and its manifest; none if there is no index or it is of no use.
fn open(
    dir: &Path,
    report: &mut Report,
) -> Result<Option<(IndexStore, Option<Manifest>)>, OpenError> {
    let records = Index::records(dir);
    if !records.exists() {
        if dir.exists() {
            let way_out = "nothing to do: the next start makes it again";
            derived(dir, "it has no records, or an earlier format", way_out, report);
        }
        return Ok(None);
    }
    let store = match IndexStore::open(&records) {
        Ok(store) => store,
        Err(error @ (OpenError::Corrupt(_) | OpenError::Engine { .. })) => {
            report.unopened(Severity::Derived, &records, error);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let manifest = match read_manifest(&store, dir) {
        Ok(manifest) => manifest,
        Err(error) => {
            report.unopened(Severity::Derived, dir, error);
            None
        }
    };
    Ok(Some((store, manifest)))
}

fn runs(
    dir: &Path,
    manifest: &Manifest,
    expected: Expected,
    report: &mut Report,
    told: &mut dyn FnMut(Progress),
) {
    let named = [&manifest.entries, &manifest.ids, &manifest.usage];
    let families = named.map(|named| open_runs(dir, named, report));
    let [Some(entries), Some(ids), Some(usage)] = families else {
        // What is missing would only be said once more.
        return;
    };
    let total = entries.iter().chain(&ids).map(|part| part.run.count()).sum();
    let mut tell = Tell { done: 0, total, told };
    // Of a damaged feed nobody knows what should be said.
    let comparable = report.worst() != Some(Severity::Feed);
    let Expected { undecided, mut kept, .. } = expected;
    let decided = |at: Position, item: &Item| {
        if undecided.contains(&at) {
            kept.count_item(at, item);
        }
        !undecided.contains(&at)
    };
    let walked = walk(dir, &entries, decided, report, &mut tell);
    if let Some(digest) = walked {
        report.counts.indexed = digest.count;
        if comparable && digest != expected.entries {
            let what = "the runs of entries do not say what the feed says";
            derived(&Index::runs(dir), what, REBUILD, report);
        }
    }
    if let Some(digest) = walk(dir, &ids, |_, _| true, report, &mut tell) {
        report.counts.ids = digest.count;
        if comparable && digest != expected.ids {
            let what = "the runs of ids do not say what the feed says";
            derived(&Index::runs(dir), what, REBUILD, report);
        }
    }
    match kept.differing(&usage) {
        // Where entries cannot be read, nobody knows what should be said either.
        Ok(users) if users > 0 && comparable && walked.is_some() => {
            let what = format!(
                "what is kept of users is not what the feed adds up to, of {users} of them"
            );
            derived(&Index::runs(dir), &what, REBUILD, report);
        }
        Ok(_) => {}
        Err(_) => each(dir, &usage, report),
    }
}

/// The runs of a family; none if one cannot be opened.
fn open_runs(dir: &Path, named: &[(u64, u8)], report: &mut Report) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for (file, level) in named {
        match Run::open(&run_path(&Index::runs(dir), *file)) {
            Ok(run) => parts.push(Part { file: *file, level: *level, run: Arc::new(run) }),
            Err(error) => unreadable(dir, error, report),
        }
        report.counts.runs += 1;
    }
    (parts.len() == named.len()).then_some(parts)
}

struct Tell<'a> {
    done: u64,
    total: u64,
    told: &'a mut dyn FnMut(Progress),
}

/// What the runs of a family say together, as far as `counts` says so; none if one cannot be read.
fn walk(
    dir: &Path,
    parts: &[Part],
    mut counts: impl FnMut(Position, &Item) -> bool,
    report: &mut Report,
    tell: &mut Tell<'_>,
) -> Option<Digest> {
    let mut digest = Digest::default();
    for item in merged(parts) {
        let Ok(item) = item else {
            each(dir, parts, report);
            return None;
        };
        let at = Position::new(item.key.major).unwrap_or_default();
        if !item.value.is_empty() && counts(at, &item) {
            digest.add(item.key, &item.value);
        }
        tell.done += 1;
        if tell.done.is_multiple_of(TELL_EVERY) {
            (tell.told)(Progress::Runs(tell.done, tell.total));
        }
    }
    Some(digest)
}

/// Names every run that cannot be read to its end.
fn each(dir: &Path, parts: &[Part], report: &mut Report) {
    let last = Key::last_of(Prefix(u64::MAX, u64::MAX));
    for part in parts {
        let run = Arc::clone(&part.run);
        let mut items = Scan::new(run, Key::default(), last, Order::Ascending);
        if let Some(error) = items.find_map(Result::err) {
            unreadable(dir, error, report);
        }
    }
}

fn unreadable(dir: &Path, error: ReadError, report: &mut Report) {
    match error {
        ReadError::Corrupt(corrupt) => report.corrupt(Severity::Derived, corrupt),
        ReadError::Io(reason) => derived(&Index::runs(dir), &reason, REBUILD, report),
    }
}

fn count_nodes(dir: &Path, store: &IndexStore, report: &mut Report) {
    for record in store.nodes("") {
        let whole = record
            .map(|(node, record)| NodeId::new(&node).is_ok() && nodes::decode(&record).is_some());
        match whole {
            Ok(true) => report.counts.nodes += 1,
            Ok(false) => {
                let damage = Damage("the record of a node cannot be read");
                let (file, way_out) = (Index::records(dir), REBUILD);
                let position = Position::ZERO;
                let corrupt = Corrupt { file, position, what: damage.0, way_out };
                report.corrupt(Severity::Derived, corrupt);
            }
            Err(error) => {
                unreadable(dir, error, report);
                return;
            }
        }
    }
}
