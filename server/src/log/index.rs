//! Everything on disk that is derived from the feed: runs in levels, their manifest, node records.
//!
//! A checkpoint writes the frozen tail as one run of each family and then names the position that
//! the runs cover. When a level has [`FAN_IN`] runs they are merged into one of the next level, so
//! each entry is written once per level, and a log is spread over few files.

mod opening;
mod rewriting;
#[cfg(test)]
mod tests;

pub(super) use opening::read_manifest;

use super::error::{Corrupt, Damage, Failure, ReadError};
use super::identity::Identity;
use super::manifest::{Family, Lists, Manifest, Part};
use super::merge::{Merge, Source};
use super::place::Place;
use super::prefix::{Key, Prefix};
use super::run::{Item, Order, REBUILD, Run, RunWriter, Scan};
use super::store::IndexStore;
use super::tail::Tail;
use super::usage::{Changes, Sums};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tidelog_crdt::Position;

/// Runs of one level that are merged into one of the next.
pub(super) const FAN_IN: usize = 12;

/// In the directory of the index: the engine's database, and the runs.
const RECORDS: &str = "records";
const RUNS: &str = "runs";

/// The index of one store.
pub(super) struct Index {
    records: Place,
    /// Replaced as a whole when what was deleted has to be gone from its file.
    store: RwLock<Arc<IndexStore>>,
    runs_dir: PathBuf,
    identity: Identity,
    /// Held while runs are replaced by others; adding new ones goes on beside it.
    merging: Mutex<()>,
    current: Mutex<Current>,
}

/// What the manifest says.
#[derive(Clone, Default)]
pub(super) struct Current {
    pub(super) lists: Arc<Lists>,
    /// Everything up to here is in the lists.
    pub(super) checkpoint: Position,
    next_file: u64,
    /// Of the feed that the lists say the same as.
    pub(super) generation: u64,
}

/// Runs of one family that are to become one.
pub(super) struct Due {
    family: Family,
    range: Range<usize>,
    parts: Vec<Part>,
}

impl Index {
    /// Where the records of the index in `dir` are.
    pub(super) fn records(dir: &Path) -> PathBuf {
        dir.join(RECORDS)
    }

    /// Where its runs are.
    pub(super) fn runs(dir: &Path) -> PathBuf {
        dir.join(RUNS)
    }

    /// What the manifest says now.
    pub(super) fn current(&self) -> Current {
        self.lock().clone()
    }

    /// Says where damage was found.
    pub(super) fn damaged(&self, position: Position, Damage(what): Damage) -> Corrupt {
        Corrupt { file: self.runs_dir.clone(), position, what, way_out: REBUILD }
    }

    /// The part of the index that keeps node records.
    pub(super) fn store(&self) -> Arc<IndexStore> {
        Arc::clone(&self.store.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all of `tail`, which follows the checkpoint, and moves the checkpoint to its end.
    /// `publish` is called in the order of the manifests.
    pub(super) fn add(&self, tail: &Tail, publish: impl FnOnce(&Current)) -> Result<(), Failure> {
        let entries = self.write(Family::Entries, |writer| {
            tail.all_entries().try_for_each(|item| writer.push(item.key, &item.value))
        })?;
        let ids = self.write(Family::Ids, |writer| {
            tail.all_ids()
                .try_for_each(|(key, position)| writer.push(key, &position.get().to_be_bytes()))
        })?;
        let checkpoint = tail.last();
        let usage = self.write_usage(&tail.changes().items((checkpoint, 0)))?;
        self.change(publish, |current| {
            let lists = Arc::make_mut(&mut current.lists);
            lists.entries.extend(entries);
            lists.ids.extend(ids);
            lists.usage.extend(usage);
            current.checkpoint = checkpoint;
        })
    }

    fn write_usage(&self, items: &[Item]) -> Result<Option<Part>, Failure> {
        self.write(Family::Usage, |writer| {
            items.iter().try_for_each(|item| writer.push(item.key, &item.value))
        })
    }

    /// Says by how much the bytes of users have changed otherwise than by commits: up to the
    /// checkpoint `last`, in the rewriting with this number.
    pub(super) fn change_usage(
        &self,
        changes: &Changes,
        (last, generation): (Position, u64),
        publish: impl FnOnce(&Current),
    ) -> Result<(), Failure> {
        let usage = self.write_usage(&changes.items((last, generation)))?;
        self.change(publish, |current| Arc::make_mut(&mut current.lists).usage.extend(usage))
    }

    /// Writes one run of level 0; none when there is nothing to write.
    fn write(
        &self,
        family: Family,
        fill: impl FnOnce(&mut RunWriter) -> io::Result<()>,
    ) -> Result<Option<Part>, Failure> {
        let number = self.next_file();
        let path = run_path(&self.runs_dir, number);
        let failure = |error: io::Error| Failure::io(&path, &error);
        let mut writer = RunWriter::create(&path, family.block_bytes()).map_err(failure)?;
        fill(&mut writer).map_err(failure)?;
        if writer.finish().map_err(failure)? == 0 {
            fs::remove_file(&path).map_err(failure)?;
            return Ok(None);
        }
        let run = Run::open(&path).map_err(|error| Failure(error.to_string().into()))?;
        Ok(Some(Part { file: number, level: 0, run: Arc::new(run) }))
    }

    fn next_file(&self) -> u64 {
        let mut current = self.lock();
        current.next_file += 1;
        current.next_file - 1
    }

    /// Changes the manifest, makes that durable, and publishes it.
    fn change(
        &self,
        publish: impl FnOnce(&Current),
        edit: impl FnOnce(&mut Current),
    ) -> Result<(), Failure> {
        sync_dir(&self.runs_dir)?;
        let mut current = self.lock();
        let mut next = current.clone();
        edit(&mut next);
        self.store().put_manifest(&self.manifest(&next).encode())?;
        publish(&next);
        *current = next;
        Ok(())
    }

    fn manifest(&self, current: &Current) -> Manifest {
        let parts = |parts: &[Part]| parts.iter().map(|part| (part.file, part.level)).collect();
        Manifest {
            store_id: self.identity.store_id,
            incarnation: self.identity.incarnation,
            generation: current.generation,
            checkpoint: current.checkpoint,
            next_file: current.next_file,
            entries: parts(&current.lists.entries),
            ids: parts(&current.lists.ids),
            usage: parts(&current.lists.usage),
        }
    }

    /// The lowest level with enough runs to merge.
    pub(super) fn due(&self) -> Option<Due> {
        let lists = self.current().lists;
        Family::ALL.into_iter().find_map(|family| {
            let parts = lists.of(family);
            let mut end = parts.len();
            // From the newest on: the lowest level is last.
            for level in parts.chunk_by(|one, other| one.level == other.level).rev() {
                let range = end - level.len()..end;
                if level.len() >= FAN_IN {
                    return Some(Due { family, range, parts: level.to_vec() });
                }
                end = range.start;
            }
            None
        })
    }

    /// Whether the runs are where they were: they may have been rewritten meanwhile.
    fn is_still_due(&self, due: &Due) -> bool {
        let lists = self.current().lists;
        let there = lists.of(due.family).get(due.range.clone()).unwrap_or_default();
        let files = |parts: &[Part]| parts.iter().map(|part| part.file).collect::<Vec<_>>();
        files(there) == files(&due.parts)
    }

    /// How many runs wait at the lowest level.
    pub(super) fn waiting(&self) -> usize {
        self.lock().lists.entries.iter().filter(|part| part.level == 0).count()
    }

    /// Merges what is due into one run; gives up half-way when `stop` is set.
    pub(super) fn merge(
        &self,
        due: &Due,
        stop: &AtomicBool,
        publish: impl FnOnce(&Current),
    ) -> Result<(), Failure> {
        let _merging = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_still_due(due) {
            return Ok(());
        }
        let oldest = due.range.start == 0;
        let level = due.parts.first().map_or(0, |part| part.level).saturating_add(1);
        let mut stopped = false;
        let merged = self.write(due.family, |writer| {
            for item in merged_of(due.family, &due.parts) {
                let item = item.map_err(io::Error::other)?;
                // What is gone must be said as long as something older may still have it.
                if !(oldest && item.value.is_empty()) {
                    writer.push(item.key, &item.value)?;
                }
                stopped = stop.load(Ordering::Relaxed);
                if stopped {
                    break;
                }
            }
            Ok(())
        })?;
        if stopped {
            return merged.iter().try_for_each(|part| self.remove(part));
        }
        let merged = merged.map(|part| Part { level, ..part });
        self.change(publish, |current| {
            let parts = Arc::make_mut(&mut current.lists).of_mut(due.family);
            drop(parts.splice(due.range.clone(), merged));
        })?;
        due.parts.iter().try_for_each(|part| self.remove(part))
    }

    fn remove(&self, part: &Part) -> Result<(), Failure> {
        let path = run_path(&self.runs_dir, part.file);
        fs::remove_file(&path).map_err(|error| Failure::io(&path, &error))
    }
}

/// What a run that is merged from these has to say.
pub(super) fn merged_of(
    family: Family,
    parts: &[Part],
) -> Box<dyn Iterator<Item = Result<Item, ReadError>>> {
    match family {
        Family::Entries | Family::Ids => Box::new(merged(parts)),
        Family::Usage => Box::new(Sums::of(merged(parts))),
    }
}

/// All that these runs have, each key once.
pub(super) fn merged(parts: &[Part]) -> Merge {
    let mut merge = Merge::new(Order::Ascending);
    let first = Key::default();
    let last = Key::last_of(Prefix(u64::MAX, u64::MAX));
    for part in parts {
        let scan = Scan::new(Arc::clone(&part.run), first, last, Order::Ascending);
        merge.add(first, Source::Run(scan));
    }
    merge
}

pub(super) fn run_path(dir: &Path, file: u64) -> PathBuf {
    dir.join(format!("{file:08}.run"))
}

fn sync_dir(dir: &Path) -> Result<(), Failure> {
    let sync = File::open(dir).and_then(|dir| dir.sync_all());
    sync.map_err(|error| Failure::io(dir, &error))
}
