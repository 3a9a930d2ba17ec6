//! The engine: all that knows sled is in this file.
//!
//! Two databases, so that the sync which an acknowledgement waits for never waits for derived data:
//! `feed` is the truth, `index` can be deleted and is then rebuilt from it.
//!
//! sled 0.34.7 is safe only if it is used with care, and each of these was seen to lose data or to
//! keep a database from opening:
//! - its `flush()` is no fsync on Linux, so [`Database::sync`] adds one, here and nowhere else; the
//!   engine's own half-second sync is off, because nothing may depend on it;
//! - a stray `snap.*.generating` prevents opening, so such files are deleted first;
//! - what is longer than a quarter of a segment goes to files that it never syncs; segments of
//!   16 MiB keep a leaf of 17 rows of 240 KiB inside;
//! - the lock of a database that was just dropped may be held for a moment.

use super::binary::Reader;
use super::error::{Corrupt, Damage, Failure, OpenError, ReadError};
use super::row::Row;
use crate::epochs::Epoch;
use bytes::Bytes;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;
use tidelog_crdt::Position;

/// Fixed when a database is created.
const SEGMENT_BYTES: usize = 16 << 20;
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
const RESTORE: &str = "restore the data directory from a backup";

const STORE_KEY: &[u8] = b"store";
const EPOCH_KEYS: &[u8] = b"epoch/";
const NOTE_KEYS: &[u8] = b"note/";
const MANIFEST_KEY: &[u8] = b"manifest";

/// One sled database in its directory.
struct Database {
    dir: PathBuf,
    db: sled::Db,
    /// The engine's own file, opened once more to sync it.
    file: File,
}

impl Database {
    fn open(dir: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { file: dir.to_path_buf(), source };
        fs::create_dir_all(dir).map_err(io)?;
        let db = open_engine(dir, cache_bytes)?;
        let file = File::open(dir.join("db")).map_err(io)?;
        for created in [Some(dir), dir.parent()].into_iter().flatten() {
            File::open(created).and_then(|dir| dir.sync_all()).map_err(io)?;
        }
        Ok(Self { dir: dir.to_path_buf(), db, file })
    }

    fn tree(&self, name: &str) -> Result<sled::Tree, OpenError> {
        self.db.open_tree(name).map_err(|error| engine(&self.dir, &error))
    }

    /// Everything that was put before is on disk after this. The one place that says so.
    fn sync(&self) -> Result<(), Failure> {
        self.db.flush().map_err(|error| self.failure(&error))?;
        self.file.sync_data().map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure(format!("{}: {error}", self.dir.display()).into())
    }

    fn unread(&self, error: &sled::Error) -> ReadError {
        ReadError::Io(format!("{}: {error}", self.dir.display()).into())
    }
}

fn engine(dir: &Path, reason: &dyn std::fmt::Display) -> OpenError {
    OpenError::Engine { dir: dir.to_path_buf(), reason: reason.to_string() }
}

/// Opens; if that fails, once more without the engine's snapshot, which can be derived from the
/// rest.
fn open_engine(dir: &Path, cache_bytes: usize) -> Result<sled::Db, OpenError> {
    remove_snapshots(dir, |name| name.ends_with(".generating"))?;
    open_unlocked(dir, cache_bytes).or_else(|_| {
        remove_snapshots(dir, |_| true)?;
        open_unlocked(dir, cache_bytes)
    })
}

fn remove_snapshots(dir: &Path, which: impl Fn(&str) -> bool) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { file: dir.to_path_buf(), source };
    for file in fs::read_dir(dir).map_err(io)? {
        let file = file.map_err(io)?;
        let name = file.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && which(name)) {
            fs::remove_file(file.path()).map_err(io)?;
        }
    }
    Ok(())
}

fn open_unlocked(dir: &Path, cache_bytes: usize) -> Result<sled::Db, OpenError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes as u64)
        .flush_every_ms(None)
        .segment_size(SEGMENT_BYTES);
    for _ in 0..LOCK_TRIES {
        // The engine panics where others return an error.
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(error)) if error.to_string().contains("could not acquire lock") => {
                sleep(LOCK_PAUSE);
            }
            Ok(Err(error)) => return Err(engine(dir, &error)),
            Err(_) => return Err(engine(dir, &"the engine panicked")),
        }
    }
    Err(OpenError::Locked { file: dir.join("db") })
}

/// The rows of the feed, and what is known of the store as a whole.
pub(super) struct Feed {
    database: Database,
    rows: sled::Tree,
    meta: sled::Tree,
}

impl Feed {
    /// Whether there is a feed in `dir`.
    pub(super) fn exists(dir: &Path) -> bool {
        dir.join("db").exists()
    }

    pub(super) fn open(dir: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let database = Database::open(dir, cache_bytes)?;
        let (rows, meta) = (database.tree("feed")?, database.tree("meta")?);
        Ok(Self { database, rows, meta })
    }

    /// The bytes that say which store this is.
    pub(super) fn identity(&self) -> Result<Option<Bytes>, ReadError> {
        let identity = self.meta.get(STORE_KEY).map_err(|error| self.database.unread(&error))?;
        Ok(identity.map(|bytes| Bytes::copy_from_slice(&bytes)))
    }

    pub(super) fn put_identity(&self, identity: &[u8]) -> Result<(), Failure> {
        self.put_meta(STORE_KEY, identity)
    }

    /// The epochs, ascending by their first position.
    pub(super) fn epochs(&self) -> Result<Vec<Epoch>, ReadError> {
        let mut epochs = Vec::new();
        for pair in self.meta.scan_prefix(EPOCH_KEYS) {
            let (key, value) = pair.map_err(|error| self.database.unread(&error))?;
            let epoch = epoch(&key, &value)
                .ok_or_else(|| self.damaged(Position::ZERO, Damage("an epoch cannot be read")))?;
            epochs.push(epoch);
        }
        Ok(epochs)
    }

    /// Records an epoch; one that started at the same position gave none and is replaced.
    pub(super) fn put_epoch(&self, epoch: &Epoch) -> Result<(), Failure> {
        let key = [EPOCH_KEYS, &epoch.first.get().to_be_bytes()].concat();
        let value = [epoch.id.to_le_bytes(), epoch.started_ms.to_le_bytes()].concat();
        self.put_meta(&key, &value)
    }

    /// The notes whose names begin with `start`, in order of name.
    pub(super) fn notes(&self, start: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
        let mut notes = Vec::new();
        for pair in self.meta.scan_prefix([NOTE_KEYS, start.as_bytes()].concat()) {
            let (key, value) = pair.map_err(|error| self.database.unread(&error))?;
            let name = key.get(NOTE_KEYS.len()..).unwrap_or_default();
            let name = String::from_utf8(name.to_vec()).map_err(|_| {
                self.damaged(Position::ZERO, Damage("the name of a note cannot be read"))
            })?;
            notes.push((name, Bytes::copy_from_slice(&value)));
        }
        Ok(notes)
    }

    /// Keeps a note under its name, or forgets it; on disk on return.
    pub(super) fn put_note(&self, name: &str, note: Option<&[u8]>) -> Result<(), Failure> {
        let key = [NOTE_KEYS, name.as_bytes()].concat();
        if let Some(note) = note {
            return self.put_meta(&key, note);
        }
        self.meta.remove(key).map_err(|error| self.database.failure(&error))?;
        self.sync()
    }

    fn put_meta(&self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        self.meta.insert(key, value).map_err(|error| self.database.failure(&error))?;
        self.sync()
    }

    /// Puts a row, or puts it again without a body that is to go. Not on disk before the next
    /// [`Feed::sync`].
    pub(super) fn put(&self, row: &Row) -> Result<(), Failure> {
        let key = row.first().get().to_be_bytes();
        let put = self.rows.insert(key, row.value().as_ref());
        put.map(drop).map_err(|error| self.database.failure(&error))
    }

    /// What was put is on disk after this.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.database.sync()
    }

    /// The row that `position` is in.
    pub(super) fn row_at(&self, position: Position) -> Result<Option<Row>, ReadError> {
        let after = position.get().saturating_add(1).to_be_bytes();
        let pair = self.rows.get_lt(after).map_err(|error| self.database.unread(&error))?;
        let row = pair.map(|(key, value)| self.row(&key, &value)).transpose()?;
        Ok(row.filter(|row| position < row.next()))
    }

    /// The rows that end above `above`, ascending.
    pub(super) fn rows_above(
        &self,
        above: Position,
    ) -> Result<impl Iterator<Item = Result<Row, ReadError>> + '_, ReadError> {
        let wanted = above.plus(1);
        let from = self.row_at(wanted)?.map_or(wanted, |row| row.first());
        Ok(self.rows.range(from.get().to_be_bytes()..).map(|pair| {
            let (key, value) = pair.map_err(|error| self.database.unread(&error))?;
            self.row(&key, &value)
        }))
    }

    /// The last row.
    pub(super) fn last_row(&self) -> Result<Option<Row>, ReadError> {
        let pair = self.rows.last().map_err(|error| self.database.unread(&error))?;
        pair.map(|(key, value)| self.row(&key, &value)).transpose()
    }

    fn row(&self, key: &[u8], value: &[u8]) -> Result<Row, ReadError> {
        let Some(first) = position(key) else {
            return Err(self.damaged(Position::ZERO, Damage("a row's key is no position")).into());
        };
        // A copy, because the engine's own memory would keep a whole leaf alive.
        Row::decode(first, Bytes::copy_from_slice(value))
            .map_err(|damage| self.damaged(first, damage).into())
    }

    /// There is no row with `position`, and there should be.
    pub(super) fn gap(&self, position: Position) -> Corrupt {
        self.damaged(position, Damage("a row of the feed is missing"))
    }

    /// Says where damage was found in the feed.
    pub(super) fn damaged(&self, position: Position, Damage(what): Damage) -> Corrupt {
        Corrupt { file: self.database.dir.clone(), position, what, way_out: RESTORE }
    }
}

fn epoch(key: &[u8], value: &[u8]) -> Option<Epoch> {
    let first = position(key.get(EPOCH_KEYS.len()..)?)?;
    let mut reader = Reader::new(value);
    Some(Epoch { first, id: reader.eight()?, started_ms: reader.eight()? })
}

fn position(key: &[u8]) -> Option<Position> {
    Position::new(u64::from_be_bytes(key.try_into().ok()?))
}

/// What the index keeps in the engine: the manifest of the runs, and the records of nodes.
pub(super) struct IndexStore {
    database: Database,
    meta: sled::Tree,
    nodes: sled::Tree,
}

impl IndexStore {
    const CACHE_BYTES: usize = 8 << 20;

    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        let database = Database::open(dir, Self::CACHE_BYTES)?;
        let (meta, nodes) = (database.tree("meta")?, database.tree("nodes")?);
        Ok(Self { database, meta, nodes })
    }

    pub(super) fn manifest(&self) -> Result<Option<Bytes>, ReadError> {
        let manifest = self.meta.get(MANIFEST_KEY).map_err(|error| self.database.unread(&error))?;
        Ok(manifest.map(|bytes| Bytes::copy_from_slice(&bytes)))
    }

    /// On disk on return.
    pub(super) fn put_manifest(&self, manifest: &[u8]) -> Result<(), Failure> {
        let put = self.meta.insert(MANIFEST_KEY, manifest);
        put.map_err(|error| self.database.failure(&error))?;
        self.database.sync()
    }

    pub(super) fn node(&self, node: &str) -> Result<Option<Bytes>, ReadError> {
        let record = self.nodes.get(node).map_err(|error| self.database.unread(&error))?;
        Ok(record.map(|bytes| Bytes::copy_from_slice(&bytes)))
    }

    /// On disk on return.
    pub(super) fn put_nodes<'a>(
        &self,
        records: impl Iterator<Item = (&'a str, Vec<u8>)>,
    ) -> Result<(), Failure> {
        for (node, record) in records {
            self.nodes.insert(node, record).map_err(|error| self.database.failure(&error))?;
        }
        self.database.sync()
    }
}
