//! The store as it is at one moment, item by item: what a backup is made of.
//!
//! The moment is between two commits. What is known of the store as a whole is set aside then, on the
//! committer's thread, because it changes in place; rows are only added, and are read afterwards up to
//! the head of that moment. A body that is taken out meanwhile may be missing already, which is
//! what a reader would have seen, too. The feed is not rewritten as long as a snapshot lives.

use super::error::ReadError;
use super::place::Place;
use super::queue::{Alone, Request};
use super::recover::FEED;
use super::rewrite::{Copying, RewriteError};
use super::shared::Shared;
use super::store::Feed;
use super::{Failure, Log};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use tidelog_crdt::Position;

/// Files of the data directory that belong to the store, and are not made again from it.
const FILES: [&str; 1] = ["vapid.pem"];
/// Folders of such files.
const FOLDERS: [&str; 1] = ["jwks"];
/// The longest key and value; of what a store has, nothing is near it.
const ITEM_BYTES_MAX: usize = 8 << 20;
/// Kind, length of the key, length of the value.
const ITEM_HEAD_BYTES: usize = 1 + 4 + 4;

/// One thing that a store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Something that is known of the store as a whole.
    Meta(Vec<u8>, Vec<u8>),
    /// Something that compaction has left.
    Base(Vec<u8>, Vec<u8>),
    /// A row of the feed, by the position of its first record.
    Row(Position, Vec<u8>),
    /// A file beside the feed.
    File(String, Vec<u8>),
}

impl Item {
    /// Appends it to `out`.
    pub(crate) fn put(&self, out: &mut impl Write) -> io::Result<()> {
        let first;
        let (kind, key, value): (u8, &[u8], &[u8]) = match self {
            Self::Meta(key, value) => (1, key, value),
            Self::Base(key, value) => (2, key, value),
            Self::Row(position, value) => {
                first = position.get().to_be_bytes();
                (3, &first, value)
            }
            Self::File(name, value) => (4, name.as_bytes(), value),
        };
        if key.len() + value.len() > ITEM_BYTES_MAX {
            return Err(io::Error::other("something in the store is too large to be copied"));
        }
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        out.write_all(&[kind])?;
        out.write_all(&length(key))?;
        out.write_all(&length(value))?;
        out.write_all(key)?;
        out.write_all(value)
    }

    /// Takes the next one from `bytes`; none at their end, and an error if they are not such items.
    pub(crate) fn take(bytes: &mut impl Read) -> io::Result<Option<Self>> {
        let mut kind = [0];
        if bytes.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut head = [0; ITEM_HEAD_BYTES - 1];
        bytes.read_exact(&mut head)?;
        let (key, value) = head.split_at(4);
        let length = |bytes: &[u8]| {
            let length = bytes.try_into().map_or(u32::MAX, u32::from_le_bytes) as usize;
            if length > ITEM_BYTES_MAX { Err(not_an_item()) } else { Ok(length) }
        };
        let (mut key, mut value) = (vec![0; length(key)?], vec![0; length(value)?]);
        bytes.read_exact(&mut key)?;
        bytes.read_exact(&mut value)?;
        Ok(Some(match kind {
            [1] => Self::Meta(key, value),
            [2] => Self::Base(key, value),
            [3] => {
                let first = key.try_into().ok().map(u64::from_be_bytes).and_then(Position::new);
                Self::Row(first.ok_or_else(not_an_item)?, value)
            }
            [4] => {
                let name = String::from_utf8(key).ok().filter(|name| is_of_a_store(name));
                Self::File(name.ok_or_else(not_an_item)?, value)
            }
            _ => return Err(not_an_item()),
        }))
    }
}

fn not_an_item() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "what is there is nothing that a store has")
}

/// Whether a file of this name belongs to a store: nothing else is ever written.
fn is_of_a_store(name: &str) -> bool {
    let is_plain = |name: &str| {
        let of_a_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(of_a_name)
    };
    FILES.contains(&name)
        || name
            .split_once('/')
            .is_some_and(|(folder, name)| FOLDERS.contains(&folder) && is_plain(name))
}

/// Why a store was not copied to the end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The store cannot be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// Beside the feed.
    #[error("{}: {reason}", .file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// Whoever takes the items refused one.
    #[error("{0}")]
    Refused(io::Error),
}

/// A store at one moment. As long as it lives nothing can be erased or compacted.
pub(crate) struct Snapshot {
    feed: Arc<Feed>,
    identity: Vec<u8>,
    head: Position,
    dir: PathBuf,
    /// What is known of the store as a whole.
    meta: File,
    /// Removes the file.
    _copying: Copying,
}

/// What is set aside at that moment.
struct Moment {
    head: Position,
    identity: Vec<u8>,
    meta: File,
}

impl Log {
    /// The store as it is now. Blocks; commits pause for what is known of the store as a whole.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, RewriteError> {
        let shared = Arc::clone(self.shared());
        let dir = shared.settings.dir.clone();
        let copying = Copying::begin(Arc::clone(&shared), &Place::new(dir.join(FEED)))?;
        let (spool, feed) = (copying.next(), shared.feed());
        let moment = if shared.settings.read_only {
            set_aside(&shared, &spool)
        } else {
            let (answer, answered) = sync_channel(1);
            let setting = Arc::clone(&shared);
            let work = Alone::new(move || {
                // Whoever asked may have gone.
                drop(answer.send(set_aside(&setting, &spool)));
            });
            shared.queue.push(Request::Alone(work)).map_err(|_| RewriteError::Stopped)?;
            answered.recv().map_err(|_| RewriteError::Stopped)?
        };
        let Moment { head, identity, meta } = moment?;
        Ok(Snapshot { feed, identity, head, dir, meta, _copying: copying })
    }
}

/// Writes to `spool` what is known of the store as a whole.
fn set_aside(shared: &Shared, spool: &Path) -> Result<Moment, RewriteError> {
    let feed = shared.feed();
    let unreadable = || Failure("the identity of the store cannot be read".into());
    let identity = feed.identity()?.ok_or_else(unreadable)?.to_vec();
    let write = || -> Result<File, CopyError> {
        let refused = |reason| CopyError::File { file: spool.to_path_buf(), reason };
        fs::create_dir_all(spool).map_err(refused)?;
        let file = File::options().create_new(true).read(true).write(true).open(spool.join("meta"));
        let mut file = BufWriter::new(file.map_err(refused)?);
        for pair in feed.raw_meta() {
            let (key, value) = pair?;
            Item::Meta(key.to_vec(), value.to_vec()).put(&mut file).map_err(refused)?;
        }
        let mut file = file.into_inner().map_err(|error| refused(error.into_error()))?;
        file.rewind().map_err(refused)?;
        Ok(file)
    };
    let meta = write().map_err(|error| Failure(error.to_string().into()))?;
    Ok(Moment { head: shared.head(), identity, meta })
}

impl Snapshot {
    /// The last position in it.
    pub(crate) fn head(&self) -> Position {
        self.head
    }

    /// Which store it is of, and in which life.
    pub(crate) fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// Gives all items to `take`: what is known of the store as a whole, files, what compaction has
    /// left, then the rows in order.
    pub(crate) fn each(
        self,
        take: &mut dyn FnMut(Item) -> io::Result<()>,
    ) -> Result<(), CopyError> {
        let spool = |reason| CopyError::File { file: self.dir.clone(), reason };
        let mut meta = BufReader::new(&self.meta);
        while let Some(item) = Item::take(&mut meta).map_err(spool)? {
            take(item).map_err(CopyError::Refused)?;
        }
        for name in names(&self.dir).map_err(spool)? {
            let path = self.dir.join(&name);
            let content =
                fs::read(&path).map_err(|reason| CopyError::File { file: path, reason })?;
            take(Item::File(name, content)).map_err(CopyError::Refused)?;
        }
        for pair in self.feed.raw_bases() {
            let (key, value) = pair?;
            take(Item::Base(key.to_vec(), value.to_vec())).map_err(CopyError::Refused)?;
        }
        let mut expected = Position::ZERO.plus(1);
        for row in self.feed.rows_above(Position::ZERO)? {
            let row = row?;
            if row.first() > self.head {
                break;
            }
            if row.first() != expected {
                return Err(ReadError::from(self.feed.gap(expected)).into());
            }
            expected = row.next();
            take(Item::Row(row.first(), row.value().to_vec())).map_err(CopyError::Refused)?;
        }
        if expected != self.head.plus(1) {
            return Err(ReadError::from(self.feed.gap(expected)).into());
        }
        Ok(())
    }
}

/// The files beside the feed that there are.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<_> = FILES.iter().map(|name| (*name).to_owned()).collect();
    for folder in FOLDERS {
        let Ok(files) = fs::read_dir(dir.join(folder)) else { continue };
        for file in files {
            let name = format!("{folder}/{}", file?.file_name().to_string_lossy());
            names.push(name);
        }
    }
    names.retain(|name| is_of_a_store(name) && dir.join(name).is_file());
    Ok(names)
}
