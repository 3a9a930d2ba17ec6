//! Folds on disk: a file for each log of which much was folded.
//!
//! Derived, like the index: a file that is damaged, of another version, of another life of the store
//! or made under other rules is as good as none. It is written beside its place and renamed, and not synced, since a
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
use std::sync::{Mutex, OnceLock};
use tidelog_crdt::{DocumentName, Incarnation, Position};

/// Another version is folded again.
const VERSION: u8 = 4;

/// Where folds are saved.
pub(super) struct Saved {
    dir: PathBuf,
    incarnation: Incarnation,
    /// Which operations the rules make of actions, and which of those documents may stand for.
    merging: [u8; 16],
    /// Held while a file is written, so that none of an earlier generation of the feed is written
    /// after those were removed.
    writing: Mutex<()>,
}

/// What a file holds, in MessagePack, before its checksum.
#[derive(Serialize, Deserialize)]
struct File {
    version: u8,
    incarnation: Incarnation,
    merging: [u8; 16],
    user: bool,
    name: String,
    through: Position,
    bytes: usize,
    documents: Vec<Document>,
}

/// One document in a file.
#[derive(Serialize, Deserialize)]
struct Document {
    name: String,
    /// The last entry in it.
    changed: Position,
    entries: u64,
    latest_ms: u64,
    spared: Position,
    elsewhere: Position,
    /// As it encodes itself.
    encoded: Vec<u8>,
}

impl Saved {
    pub(super) fn new(dir: PathBuf, incarnation: Incarnation, merging: u128) -> Self {
        Self { dir, incarnation, merging: merging.to_be_bytes(), writing: Mutex::default() }
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
            && (file.incarnation, file.merging) == (self.incarnation, self.merging)
            && (file.user, file.name.as_str()) == parts(log);
        fits.then(|| file.fold()).flatten()
    }

    /// Removes what is saved of `log`, of any generation. It stays away after a power loss, too.
    pub(super) fn remove(&self, log: &LogName) {
        for generation in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let removed = fs::remove_file(generation.path().join(file_name(log)));
            if removed.is_ok()
                && let Err(error) = fs::File::open(generation.path()).and_then(|it| it.sync_all())
            {
                tracing::warn!(%error, "cannot make sure that old documents are gone");
            }
        }
    }

    /// Saves `fold`, as long as it `stands`. What cannot be saved is folded again after the next
    /// start.
    pub(super) fn save(&self, log: &LogName, fold: &mut Fold, stands: impl Fn() -> bool) {
        let _writing = lock(&self.writing);
        if !stands() {
            return;
        }
        let bytes = self.file(log, fold);
        let path = self.path(log, fold.generation());
        let beside = path.with_extension("new");
        let written = fs::create_dir_all(path.parent().unwrap_or(&self.dir))
            .and_then(|()| fs::write(&beside, &bytes))
            .and_then(|()| fs::rename(&beside, &path));
        match written {
            Ok(()) if stands() => fold.is_saved(),
            // What it has no more may have been in it.
            Ok(()) => drop(fs::remove_file(&path)),
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
        let documents = fold.documents().iter().map(|(name, folded)| Document {
            name: name.as_str().to_owned(),
            changed: folded.changed,
            entries: folded.entries,
            latest_ms: folded.latest_ms,
            spared: folded.spared,
            elsewhere: folded.elsewhere,
            encoded: folded.document.encode(),
        });
        let file = File {
            version: VERSION,
            incarnation: self.incarnation,
            merging: self.merging,
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

    fn path(&self, log: &LogName, generation: u64) -> PathBuf {
        self.dir.join(generation.to_string()).join(file_name(log))
    }
}

/// Names of logs can be longer than names of files.
fn file_name(log: &LogName) -> String {
    let mut hasher = SipHasher24::new();
    parts(log).hash(&mut hasher);
    format!("{:032x}", hasher.finish128().as_u128())
}

impl File {
    fn fold(self) -> Option<Fold> {
        let documents = self.documents.into_iter().map(|saved| {
            let Document { name, changed, entries, latest_ms, spared, elsewhere, encoded } = saved;
            let document = tidelog_crdt::Document::decode(&encoded).ok()?;
            let rendered = OnceLock::new();
            let latest = Folded { document, changed, entries, latest_ms, ..Folded::default() };
            // It was folded to above all that is compacted.
            let folded = Folded { spared, elsewhere, rendered, ..latest };
            Some((DocumentName::new(&name).ok()?, folded))
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
