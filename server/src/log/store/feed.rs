//! The rows of the feed, and what is known of the store as a whole.

mod bases;
mod raw;
mod shown;

use super::super::binary::Reader;
use super::super::error::{Corrupt, Damage, Failure, OpenError, ReadError};
use super::super::row::Row;
use super::{Database, free};
use crate::epochs::Epoch;
use bytes::Bytes;
use shown::Shown;
use std::path::{Path, PathBuf};
use tidelog_crdt::Position;

const RESTORE: &str =
    "restore the data directory from a backup; `tidelog check` says what else is damaged";

/// A new leaf takes nine rows and is split: looked at so often with each, it makes the engine let go the leaf
/// before it in its list.
const LOOKS: usize = 6;
/// Leaves of shorter rows are small enough to stay.
const LOOKED_AT_BYTES: usize = 8 << 10;

const STORE_KEY: &[u8] = b"store";
const EPOCH_KEYS: &[u8] = b"epoch/";
const NOTE_KEYS: &[u8] = b"note/";

/// The feed.
pub(in super::super) struct Feed {
    database: Database,
    rows: sled::Tree,
    meta: sled::Tree,
    /// What compaction made of documents.
    bases: sled::Tree,
    /// What readers are shown of them.
    shown: Shown,
}

impl Feed {
    /// Whether there is a feed in `dir`.
    pub(in super::super) fn exists(dir: &Path) -> bool {
        dir.join("db").exists()
    }

    pub(in super::super) fn open(dir: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let database = Database::open(dir, cache_bytes, RESTORE)?;
        let tree = |name| database.tree(name, RESTORE);
        let (rows, meta, bases) = (tree("feed")?, tree("meta")?, tree("bases")?);
        Ok(Self { database, rows, meta, bases, shown: Shown::default() })
    }

    /// Its directory was renamed.
    pub(in super::super) fn moved_to(mut self, dir: PathBuf) -> Self {
        self.database.dir = dir;
        self
    }

    /// How long its file is.
    pub(in super::super) fn bytes(&self) -> u64 {
        self.database.bytes()
    }

    /// The bytes that say which store this is.
    pub(in super::super) fn identity(&self) -> Result<Option<Bytes>, ReadError> {
        let identity = self.meta.get(STORE_KEY).map_err(|error| self.database.unread(&error))?;
        Ok(identity.map(|bytes| Bytes::copy_from_slice(&bytes)))
    }

    pub(in super::super) fn put_identity(&self, identity: &[u8]) -> Result<(), Failure> {
        self.put_meta(STORE_KEY, identity)
    }

    /// The epochs, ascending by their first position.
    pub(in super::super) fn epochs(&self) -> Result<Vec<Epoch>, ReadError> {
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
    pub(in super::super) fn put_epoch(&self, epoch: &Epoch) -> Result<(), Failure> {
        let key = [EPOCH_KEYS, &epoch.first.get().to_be_bytes()].concat();
        let value = [epoch.id.to_le_bytes(), epoch.started_ms.to_le_bytes()].concat();
        self.put_meta(&key, &value)
    }

    /// The notes whose names begin with `start`, in order of name.
    pub(in super::super) fn notes(&self, start: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
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

    /// The note of this name.
    pub(in super::super) fn note(&self, name: &str) -> Result<Option<Bytes>, ReadError> {
        let note = self.meta.get([NOTE_KEYS, name.as_bytes()].concat());
        let note = note.map_err(|error| self.database.unread(&error))?;
        Ok(note.map(|note| Bytes::copy_from_slice(&note)))
    }

    /// Up to `count` names of notes that begin with `start` and come after `after`, in order.
    pub(in super::super) fn note_names(
        &self,
        start: &str,
        after: &str,
        count: usize,
    ) -> Result<Vec<String>, ReadError> {
        let first = [NOTE_KEYS, start.max(after).as_bytes()].concat();
        let mut names = Vec::new();
        for key in self.meta.range(first..).keys() {
            let key = key.map_err(|error| self.database.unread(&error))?;
            let name = key.strip_prefix(NOTE_KEYS).and_then(|key| std::str::from_utf8(key).ok());
            let Some(name) = name.filter(|name| name.starts_with(start)) else { break };
            if name != after {
                names.push(name.to_owned());
            }
            if names.len() >= count {
                break;
            }
        }
        Ok(names)
    }

    /// Keeps a note under its name, or forgets it. Not on disk before the next [`Feed::sync`].
    pub(in super::super) fn put_note(
        &self,
        name: &str,
        note: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let key = [NOTE_KEYS, name.as_bytes()].concat();
        let put = match note {
            Some(note) => self.meta.insert(key, note),
            None => self.meta.remove(key),
        };
        put.map(drop).map_err(|error| self.database.failure(&error))
    }

    /// Takes over what another feed knows of the store as a whole: its epochs, its notes, and whatever
    /// comes to be kept there. On disk after the next sync, such as that of [`Feed::put_identity`].
    pub(in super::super) fn copy_meta(&self, other: &Self) -> Result<(), Failure> {
        let failure = |error| self.database.failure(&error);
        for pair in &other.meta {
            let (key, value) = pair.map_err(failure)?;
            self.meta.insert(key, value).map_err(failure)?;
        }
        Ok(())
    }

    fn put_meta(&self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        self.meta.insert(key, value).map_err(|error| self.database.failure(&error))?;
        self.sync()
    }

    /// Puts a row, or puts it again without a body that is to go. Not on disk before the next
    /// [`Feed::sync`].
    pub(in super::super) fn put(&self, row: &Row) -> Result<(), Failure> {
        let key = row.first().get().to_be_bytes();
        let failure = |error| self.database.failure(&error);
        self.rows.insert(key, row.value().as_ref()).map_err(failure)?;
        free();
        if row.value().len() >= LOOKED_AT_BYTES {
            for _ in 0..LOOKS {
                self.rows.get(key).map_err(failure)?;
            }
        }
        Ok(())
    }

    /// Takes out what starts in `first..next`. Not on disk before the next [`Feed::sync`].
    pub(in super::super) fn remove(&self, first: Position, next: Position) -> Result<(), Failure> {
        let failure = |error| self.database.failure(&error);
        for key in self.rows.range(first.get().to_be_bytes()..next.get().to_be_bytes()).keys() {
            self.rows.remove(key.map_err(failure)?).map_err(failure)?;
        }
        Ok(())
    }

    /// What was put is on disk after this.
    pub(in super::super) fn sync(&self) -> Result<(), Failure> {
        self.database.sync()
    }

    /// The row that `position` is in.
    pub(in super::super) fn row_at(&self, position: Position) -> Result<Option<Row>, ReadError> {
        let after = position.get().saturating_add(1).to_be_bytes();
        let pair = self.rows.get_lt(after).map_err(|error| self.database.unread(&error))?;
        let row = pair.map(|(key, value)| self.row(&key, &value)).transpose()?;
        Ok(row.filter(|row| position < row.next()))
    }

    /// The rows that end above `above`, ascending.
    pub(in super::super) fn rows_above(
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

    /// All rows, ascending; after a damaged one the next.
    pub(in super::super) fn rows(&self) -> impl Iterator<Item = Result<Row, ReadError>> + '_ {
        self.rows.iter().map(|pair| {
            let (key, value) = pair.map_err(|error| self.database.unread(&error))?;
            self.row(&key, &value)
        })
    }

    /// The last row.
    pub(in super::super) fn last_row(&self) -> Result<Option<Row>, ReadError> {
        let pair = self.rows.last().map_err(|error| self.database.unread(&error))?;
        pair.map(|(key, value)| self.row(&key, &value)).transpose()
    }

    /// The position that the last row says it starts at, whatever is in it.
    pub(in super::super) fn last_key(&self) -> Position {
        let last = self.rows.last().ok().flatten();
        last.and_then(|(key, _)| position(&key)).unwrap_or_default()
    }

    /// The position that the row after the one at `first` says it starts at.
    pub(in super::super) fn next_key(&self, first: Position) -> Option<Position> {
        let (key, _) = self.rows.get_gt(first.get().to_be_bytes()).ok()??;
        position(&key)
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
    pub(in super::super) fn gap(&self, position: Position) -> Corrupt {
        self.damaged(position, Damage("a row of the feed is missing"))
    }

    /// Says where damage was found in the feed.
    pub(in super::super) fn damaged(&self, position: Position, Damage(what): Damage) -> Corrupt {
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
