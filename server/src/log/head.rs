//! Up to where commits were acknowledged, in a small file beside the feed.
//!
//! The engine cuts its log at the first message that does not fit, so a damaged bit near its end would
//! silently take with it whatever came after. This file is written when a commit is on disk and before
//! anybody hears of it, and is not synced: after a power loss it may say too little, never too much.

use super::binary::Reader;
use super::error::{Failure, OpenError};
use super::identity::Identity;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tidelog_crdt::Position;
use uuid::Uuid;

/// In the data directory.
const NAME: &str = "head";
/// Store, position, checksum.
const BYTES: usize = 16 + 8 + 4;

/// The open file.
#[derive(Debug)]
pub(super) struct Head {
    path: PathBuf,
    file: File,
    store_id: Uuid,
}

impl Head {
    /// What the file in `dir` says of the store, if it is there and says anything.
    pub(super) fn read(dir: &Path, identity: &Identity) -> Result<Option<Position>, OpenError> {
        let path = dir.join(NAME);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => Ok(decode(&bytes, identity.store_id)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io(&path, error)),
        }
    }

    /// Whether there was a store in `dir`.
    pub(super) fn exists(dir: &Path) -> bool {
        dir.join(NAME).exists()
    }

    /// Opens the file to be written, with its room on disk, so that writing needs none.
    pub(super) fn open(
        dir: &Path,
        identity: &Identity,
        position: Position,
    ) -> Result<Self, OpenError> {
        let path = dir.join(NAME);
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|source| OpenError::io(&path, source))?;
        let head = Self { path, file, store_id: identity.store_id };
        head.write(position)?;
        head.file.sync_all().map_err(|source| OpenError::io(&head.path, source))?;
        Ok(head)
    }

    /// Everything up to `position` is on disk and may be acknowledged.
    pub(super) fn write(&self, position: Position) -> Result<(), Failure> {
        let written = self.file.write_all_at(&encode(self.store_id, position), 0);
        written.map_err(|error| Failure::io(&self.path, &error))
    }
}

fn encode(store_id: Uuid, position: Position) -> Vec<u8> {
    let mut out = store_id.as_bytes().to_vec();
    out.extend_from_slice(&position.get().to_le_bytes());
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn decode(bytes: &[u8], store_id: Uuid) -> Option<Position> {
    let (body, sum) = bytes.get(..BYTES)?.split_last_chunk::<4>()?;
    let whole = crc32fast::hash(body) == u32::from_le_bytes(*sum);
    let mut reader = Reader::new(body);
    (whole && Uuid::from_bytes(reader.array()?) == store_id).then_some(())?;
    Position::new(reader.eight()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_was_written_of_this_store_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (identity, other) = (Identity::draw().unwrap(), Identity::draw().unwrap());
        assert_eq!(Head::read(dir.path(), &identity).unwrap(), None);
        let head = Head::open(dir.path(), &identity, Position::ZERO).unwrap();
        let at = Position::new(300).unwrap();
        head.write(at).unwrap();
        assert_eq!(Head::read(dir.path(), &identity).unwrap(), Some(at));
        assert_eq!(Head::read(dir.path(), &other).unwrap(), None);
        let whole = std::fs::read(dir.path().join(NAME)).unwrap();
        for nth in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[nth] ^= 1;
            std::fs::write(dir.path().join(NAME), flipped).unwrap();
            assert_eq!(Head::read(dir.path(), &identity).unwrap(), None, "byte {nth}");
        }
    }
}
