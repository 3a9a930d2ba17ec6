//! Folds on disk: a file for each log of which much was folded.
//!
//! Derived, like the index: a file that is damaged, of another version or of another life of the
//! store is as good as none. It is written beside its place and renamed, and not synced, since a
//! checksum tells whether it is whole.

use super::fold::{Fold, Folded};
use super::lock;
use crate::log::LogName;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::BTreeMap;
use std::fs;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::Mutex;
use tidelog_crdt::{Document, DocumentName, Incarnation, Position};

/// Another version is folded again.
const VERSION: u8 = 1;

/// Where folds are saved.
pub(super) struct Saved {
    dir: PathBuf,
    incarnation: Incarnation,
    /// Held while a file is written, so that none of an earlier generation of the feed is written
    /// after those were removed.
    writing: Mutex<()>,
}

/// What a file holds, in MessagePack, before its checksum.
#[derive(Serialize, Deserialize)]
struct File {
    version: u8,
    incarnation: Incarnation,
    user: bool,
    name: String,
    through: Position,
    bytes: usize,
    /// Name, the last entry in it, the document as it encodes itself.
    documents: Vec<(String, Position, Vec<u8>)>,
}

impl Saved {
    pub(super) fn new(dir: PathBuf, incarnation: Incarnation) -> Self {
        Self { dir, incarnation, writing: Mutex::default() }
    }

    /// Removes what was saved of other generations of the feed.
    pub(super) fn keep_only(&self, generation: u64) {
        let _writing = lock(&self.writing);
        for file in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if file.file_name().to_str() == Some(&generation.to_string()) {
                continue;
            }
            let path = file.path();
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(%error, file = %path.display(), "cannot remove old documents");
            }
        }
    }

    /// What is saved of `log`, if it can be used.
    pub(super) fn load(&self, log: &LogName, generation: u64) -> Option<Fold> {
        self.read(log, &fs::read(self.path(log, generation)).ok()?)
    }

    /// What a file says of `log`.
    pub(super) fn read(&self, log: &LogName, bytes: &[u8]) -> Option<Fold> {
        let (body, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let file: File = rmp_serde::from_slice(body).ok()?;
        let fits = file.version == VERSION
            && file.incarnation == self.incarnation
            && (file.user, file.name.as_str()) == parts(log);
        fits.then(|| file.fold()).flatten()
    }

    /// Saves `fold`. What cannot be saved is folded again after the next start.
    pub(super) fn save(&self, log: &LogName, fold: &mut Fold, generation: impl Fn() -> u64) {
        let _writing = lock(&self.writing);
        if fold.generation() != generation() {
            return;
        }
        let bytes = self.file(log, fold);
        let path = self.path(log, fold.generation());
        let beside = path.with_extension("new");
        let written = fs::create_dir_all(path.parent().unwrap_or(&self.dir))
            .and_then(|()| fs::write(&beside, &bytes))
            .and_then(|()| fs::rename(&beside, &path));
        match written {
            Ok(()) => fold.is_saved(),
            Err(error) => tracing::warn!(
                %error,
                file = %path.display(),
                "cannot save documents; they are folded again after the next start"
            ),
        }
    }

    /// What is written of `fold`.
    pub(super) fn file(&self, log: &LogName, fold: &Fold) -> Vec<u8> {
        let (user, name) = parts(log);
        let documents = fold.documents().iter().map(|(name, folded)| {
            (name.as_str().to_owned(), folded.changed, folded.document.encode())
        });
        let file = File {
            version: VERSION,
            incarnation: self.incarnation,
            user,
            name: name.to_owned(),
            through: fold.through(),
            bytes: fold.bytes(),
            documents: documents.collect(),
        };
        // Plain data always serializes.
        let mut bytes = rmp_serde::to_vec(&file).unwrap_or_default();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Names of logs can be longer than names of files.
    fn path(&self, log: &LogName, generation: u64) -> PathBuf {
        let mut hasher = SipHasher24::new();
        parts(log).hash(&mut hasher);
        let name = format!("{:032x}", hasher.finish128().as_u128());
        self.dir.join(generation.to_string()).join(name)
    }
}

impl File {
    fn fold(self) -> Option<Fold> {
        let documents = self.documents.into_iter().map(|(name, changed, bytes)| {
            let document = Document::decode(&bytes).ok()?;
            Some((DocumentName::new(&name).ok()?, Folded { document, changed }))
        });
        let documents = documents.collect::<Option<BTreeMap<_, _>>>()?;
        Some(Fold::restored(self.through, documents, self.bytes))
    }
}

fn parts(log: &LogName) -> (bool, &str) {
    match log {
        LogName::User(user) => (true, user.as_str()),
        LogName::Channel(channel) => (false, channel.as_str()),
    }
}
