//! Everything on disk that is derived from the feed: runs in levels, their manifest, node records.
//!
//! A checkpoint writes the frozen tail as one run of each family and then names the position that
//! the runs cover. When a level has [`FAN_IN`] runs they are merged into one of the next level, so
//! each entry is written once per level, and a log is spread over few files.

use super::error::{Corrupt, Damage, Failure, OpenError, ReadError};
use super::identity::Identity;
use super::manifest::{Family, Lists, Manifest, Part};
use super::merge::{Merge, Source};
use super::prefix::{Key, Prefix};
use super::run::{Item, Order, REBUILD, Run, RunWriter, Scan};
use super::store::IndexStore;
use super::tail::Tail;
use super::usage::Sums;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_crdt::Position;

/// Runs of one level that are merged into one of the next.
pub(super) const FAN_IN: usize = 12;

/// The index of one store.
pub(super) struct Index {
    store: IndexStore,
    runs_dir: PathBuf,
    identity: Identity,
    current: Mutex<Current>,
}

/// What the manifest says.
#[derive(Clone, Default)]
pub(super) struct Current {
    pub(super) lists: Arc<Lists>,
    /// Everything up to here is in the lists.
    pub(super) checkpoint: Position,
    next_file: u64,
}

/// Runs of one family that are to become one.
pub(super) struct Due {
    family: Family,
    range: Range<usize>,
    parts: Vec<Part>,
}

impl Index {
    /// Opens the index in `dir` for the feed that `identity` names, or starts an empty one where
    /// there is none, or one of another feed or format. `empty` says that the feed has no rows.
    pub(super) fn open(dir: &Path, identity: &Identity, empty: bool) -> Result<Self, OpenError> {
        let mut store = IndexStore::open(dir)?;
        let mut manifest = read_manifest(&store, dir)?;
        if let Some(foreign) = manifest.take_if(|manifest| !manifest.is_of(identity)) {
            if empty && foreign.checkpoint > Position::ZERO {
                return Err(orphan(dir, foreign.checkpoint).into());
            }
            drop(store);
            fs::remove_dir_all(dir).map_err(|source| io_error(dir, source))?;
            store = IndexStore::open(dir)?;
        }
        let runs_dir = dir.join("runs");
        fs::create_dir_all(&runs_dir).map_err(|source| io_error(&runs_dir, source))?;
        remove_unnamed(&runs_dir, manifest.as_ref())?;
        let current = manifest.map(|manifest| open_runs(&runs_dir, &manifest)).transpose()?;
        let current = Mutex::new(current.unwrap_or_default());
        Ok(Self { store, runs_dir, identity: identity.clone(), current })
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
    pub(super) fn store(&self) -> &IndexStore {
        &self.store
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
        let usage = self.write(Family::Usage, |writer| {
            let items = tail.changes().items(checkpoint);
            items.iter().try_for_each(|item| writer.push(item.key, &item.value))
        })?;
        self.change(publish, |current| {
            let lists = Arc::make_mut(&mut current.lists);
            lists.entries.extend(entries);
            lists.ids.extend(ids);
            lists.usage.extend(usage);
            current.checkpoint = checkpoint;
        })
    }

    /// Writes one run of level 0; none when there is nothing to write.
    fn write(
        &self,
        family: Family,
        fill: impl FnOnce(&mut RunWriter) -> io::Result<()>,
    ) -> Result<Option<Part>, Failure> {
        let number = self.next_file();
        let path = run_path(&self.runs_dir, number);
        let failure = |error: io::Error| Failure(format!("{}: {error}", path.display()).into());
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
        self.store.put_manifest(&self.manifest(&next).encode())?;
        publish(&next);
        *current = next;
        Ok(())
    }

    fn manifest(&self, current: &Current) -> Manifest {
        let parts = |parts: &[Part]| parts.iter().map(|part| (part.file, part.level)).collect();
        Manifest {
            store_id: self.identity.store_id,
            incarnation: self.identity.incarnation,
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
        let remove = |part: &Part| {
            let path = run_path(&self.runs_dir, part.file);
            fs::remove_file(&path)
                .map_err(|error| Failure(format!("{}: {error}", path.display()).into()))
        };
        if stopped {
            return merged.iter().try_for_each(remove);
        }
        let merged = merged.map(|part| Part { level, ..part });
        self.change(publish, |current| {
            let parts = Arc::make_mut(&mut current.lists).of_mut(due.family);
            drop(parts.splice(due.range.clone(), merged));
        })?;
        due.parts.iter().try_for_each(remove)
    }
}

fn merged_of(family: Family, parts: &[Part]) -> Box<dyn Iterator<Item = Result<Item, ReadError>>> {
    match family {
        Family::Entries | Family::Ids => Box::new(merged(parts)),
        Family::Usage => Box::new(Sums::of(merged(parts))),
    }
}

fn merged(parts: &[Part]) -> Merge {
    let mut merge = Merge::new(Order::Ascending);
    let first = Key::default();
    let last = Key::last_of(Prefix(u64::MAX, u64::MAX));
    for part in parts {
        let scan = Scan::new(Arc::clone(&part.run), first, last, Order::Ascending);
        merge.add(first, Source::Run(scan));
    }
    merge
}

fn read_manifest(store: &IndexStore, dir: &Path) -> Result<Option<Manifest>, OpenError> {
    let Some(bytes) = store.manifest()? else {
        return Ok(None);
    };
    match Manifest::decode(&bytes) {
        Ok(manifest) => Ok(manifest),
        Err(damage) => Err(Corrupt {
            file: dir.to_path_buf(),
            position: Position::ZERO,
            what: damage.0,
            way_out: REBUILD,
        }
        .into()),
    }
}

/// The feed is empty, and yet there is an index of another one.
fn orphan(dir: &Path, checkpoint: Position) -> Corrupt {
    Corrupt {
        file: dir.to_path_buf(),
        position: checkpoint,
        what: "the index was made from a feed that is not here",
        way_out: "restore the directory `feed` from a backup, or delete `index` to start anew",
    }
}

fn run_path(dir: &Path, file: u64) -> PathBuf {
    dir.join(format!("{file:08}.run"))
}

/// Deletes the files that a crash left half-written or half-deleted.
fn remove_unnamed(dir: &Path, manifest: Option<&Manifest>) -> Result<(), OpenError> {
    let parts = manifest.iter().flat_map(|it| [&it.entries, &it.ids, &it.usage]);
    let named: HashSet<_> = parts.flatten().map(|(file, _)| run_path(dir, *file)).collect();
    for file in fs::read_dir(dir).map_err(|source| io_error(dir, source))? {
        let path = file.map_err(|source| io_error(dir, source))?.path();
        if !named.contains(&path) {
            fs::remove_file(&path).map_err(|source| io_error(&path, source))?;
        }
    }
    Ok(())
}

fn open_runs(dir: &Path, manifest: &Manifest) -> Result<Current, OpenError> {
    let open = |(file, level): &(u64, u8)| -> Result<Part, OpenError> {
        let run = Run::open(&run_path(dir, *file))?;
        Ok(Part { file: *file, level: *level, run: Arc::new(run) })
    };
    let lists = Lists {
        entries: manifest.entries.iter().map(open).collect::<Result<_, _>>()?,
        ids: manifest.ids.iter().map(open).collect::<Result<_, _>>()?,
        usage: manifest.usage.iter().map(open).collect::<Result<_, _>>()?,
    };
    Ok(Current {
        lists: Arc::new(lists),
        checkpoint: manifest.checkpoint,
        next_file: manifest.next_file,
    })
}

fn sync_dir(dir: &Path) -> Result<(), Failure> {
    let sync = File::open(dir).and_then(|dir| dir.sync_all());
    sync.map_err(|error| Failure(format!("{}: {error}", dir.display()).into()))
}

fn io_error(file: &Path, source: io::Error) -> OpenError {
    OpenError::Io { file: file.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::super::row::RowBuilder;
    use super::super::tail::Staged;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const LOG: Prefix = Prefix(3, 4);

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    /// A tail of `count` entries of one log, of which `hidden` are then hidden, here or below.
    fn tail(first: u64, count: u64, hidden: &[u64]) -> Tail {
        let mut tail = Tail::new(at(first));
        let mut builder = RowBuilder::new(at(first));
        let mut staged = Staged::default();
        for position in first..first + count {
            builder.push(&position.to_be_bytes());
            staged.logs.push((LOG, at(position)));
            staged.ids.push((Key { prefix: LOG, major: position, minor: 7 }, at(position)));
            staged.changes.push((LOG, 1));
        }
        staged.rows.push(builder.finish());
        tail.extend(staged);
        for position in hidden {
            tail.hide(at(*position), &[LOG], vec![3].into());
        }
        tail
    }

    /// What the runs say, and what they still keep of what is gone.
    fn read(index: &Index, family: Family) -> (BTreeMap<u64, Vec<u8>>, usize) {
        let items: Vec<_> = merged(index.current().lists.of(family)).map(Result::unwrap).collect();
        let (gone, there): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| item.value.is_empty());
        let there = there.into_iter().map(|item| (item.key.major, item.value.to_vec()));
        (there.collect(), gone.len())
    }

    /// What the changes of the one user add up to.
    fn usage(index: &Index) -> u64 {
        let mut sums = Sums::of(merged(index.current().lists.of(Family::Usage)));
        let sum = sums.next().unwrap().unwrap();
        assert!(sums.next().is_none());
        u64::from_be_bytes(sum.value.as_ref().try_into().unwrap())
    }

    fn merge_all(index: &Index) {
        while let Some(due) = index.due() {
            index.merge(&due, &AtomicBool::new(false), |_| {}).unwrap();
        }
    }

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir.join("runs")).unwrap().count()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn what_is_hidden_stays_hidden_through_merges_and_openings(
            tails in proptest::collection::vec(
                (1..6_u64, proptest::collection::vec(1..300_u64, 0..3), any::<bool>()),
                1..60,
            ),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let identity = Identity::draw().unwrap();
            let mut index = Index::open(dir.path(), &identity, true).unwrap();
            let (mut model, mut first) = (BTreeMap::new(), 1);
            for (count, hidden, reopen) in tails {
                let hidden: Vec<_> = hidden.into_iter().filter(|at| *at < first + count).collect();
                index.add(&tail(first, count, &hidden), |_| {}).unwrap();
                model.extend((first..first + count).map(|at| (at, at.to_be_bytes().to_vec())));
                model.retain(|at, _| !hidden.contains(at));
                first += count;
                if reopen {
                    merge_all(&index);
                    prop_assert!(index.waiting() < FAN_IN);
                    drop(index);
                    index = Index::open(dir.path(), &identity, false).unwrap();
                }
                prop_assert_eq!(&read(&index, Family::Entries).0, &model);
                prop_assert_eq!(index.current().checkpoint, at(first - 1));
                prop_assert_eq!(read(&index, Family::Ids).0.len() as u64, first - 1);
                prop_assert_eq!(usage(&index), first - 1);
            }
            let lists = index.current().lists;
            let named = Family::ALL.map(|family| lists.of(family).len());
            prop_assert_eq!(files(dir.path()), named.iter().sum::<usize>());
        }
    }

    #[test]
    fn what_is_gone_is_forgotten_only_with_the_oldest_run() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path(), &Identity::draw().unwrap(), true).unwrap();
        let add = |nth: u64, hidden: &[u64]| {
            index.add(&tail(1 + nth * 10, 10, hidden), |_| {}).unwrap();
        };
        let fan_in = FAN_IN as u64;
        (0..fan_in).for_each(|nth| add(nth, &[]));
        merge_all(&index);
        (fan_in..2 * fan_in).for_each(|nth| add(nth, &[5]));
        merge_all(&index);
        assert_eq!(index.current().lists.entries.len(), 2, "one of each of the two halves");
        let (there, gone) = read(&index, Family::Entries);
        assert!(!there.contains_key(&5));
        assert_eq!(gone, 1, "the older run still has it");
        (2 * fan_in..fan_in * fan_in).for_each(|nth| {
            add(nth, &[]);
            merge_all(&index);
        });
        assert_eq!(index.current().lists.entries.len(), 1, "all in one");
        let (there, gone) = read(&index, Family::Entries);
        assert_eq!((there.len() as u64, gone), (fan_in * fan_in * 10 - 1, 0));
    }

    #[test]
    fn a_merge_that_is_stopped_leaves_everything_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path(), &Identity::draw().unwrap(), true).unwrap();
        (0..FAN_IN as u64).for_each(|nth| {
            index.add(&tail(1 + nth * 10, 10, &[]), |_| {}).unwrap();
        });
        let before = (read(&index, Family::Entries), files(dir.path()));
        let due = index.due().unwrap();
        index.merge(&due, &AtomicBool::new(true), |_| panic!("nothing to publish")).unwrap();
        assert_eq!((read(&index, Family::Entries), files(dir.path())), before);
    }
}
