//! Opening an index: what of it can be used, and what a crash has left.

use super::super::error::{Corrupt, OpenError};
use super::super::identity::Identity;
use super::super::manifest::{Lists, Manifest, Part};
use super::super::place::Place;
use super::super::run::{REBUILD, Run};
use super::super::store::IndexStore;
use super::{Current, Index, RECORDS, RUNS, run_path};
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use tidelog_crdt::Position;

impl Index {
    /// Opens the index in `dir` for the feed that `identity` names, or starts an empty one where
    /// there is none, or one of another feed, generation or format. `empty` says that the feed has
    /// no rows.
    pub(in super::super) fn open(
        dir: &Path,
        identity: &Identity,
        empty: bool,
    ) -> Result<Self, OpenError> {
        if dir.join("db").is_file() {
            // Format 1 had the records here.
            remove(dir)?;
        }
        let records = Place::new(dir.join(RECORDS));
        records.settle().map_err(|source| OpenError::io(records.dir(), source))?;
        let mut store = IndexStore::open(records.dir())?;
        let mut manifest = read_manifest(&store, dir)?;
        if let Some(foreign) = manifest.take_if(|manifest| !manifest.is_of(identity)) {
            if empty && foreign.checkpoint > Position::ZERO {
                return Err(orphan(dir, foreign.checkpoint).into());
            }
            drop(store);
            remove(dir)?;
            store = IndexStore::open(records.dir())?;
        }
        let runs_dir = dir.join(RUNS);
        fs::create_dir_all(&runs_dir).map_err(|source| OpenError::io(&runs_dir, source))?;
        remove_unnamed(&runs_dir, manifest.as_ref())?;
        let current = manifest.map(|manifest| open_runs(&runs_dir, &manifest)).transpose()?;
        let current = current
            .unwrap_or_else(|| Current { generation: identity.generation, ..Current::default() });
        Ok(Self {
            records,
            store: RwLock::new(Arc::new(store)),
            runs_dir,
            identity: identity.clone(),
            merging: Mutex::default(),
            current: Mutex::new(current),
        })
    }
}

fn remove(dir: &Path) -> Result<(), OpenError> {
    fs::remove_dir_all(dir).map_err(|source| OpenError::io(dir, source))
}

pub(in super::super) fn read_manifest(
    store: &IndexStore,
    dir: &Path,
) -> Result<Option<Manifest>, OpenError> {
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

/// Deletes the files that a crash left half-written or half-deleted.
fn remove_unnamed(dir: &Path, manifest: Option<&Manifest>) -> Result<(), OpenError> {
    let parts = manifest.iter().flat_map(|it| [&it.entries, &it.ids, &it.usage]);
    let named: HashSet<_> = parts.flatten().map(|(file, _)| run_path(dir, *file)).collect();
    for file in fs::read_dir(dir).map_err(|source| OpenError::io(dir, source))? {
        let path = file.map_err(|source| OpenError::io(dir, source))?.path();
        if !named.contains(&path) {
            fs::remove_file(&path).map_err(|source| OpenError::io(&path, source))?;
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
        generation: manifest.generation,
    })
}
