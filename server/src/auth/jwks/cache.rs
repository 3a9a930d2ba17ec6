//! A fetched key set on disk, so that a server that starts without a link knows its users.

use crate::aside::blocking;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where one set is kept.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    url: String,
    folder: PathBuf,
    file: PathBuf,
}

/// A set that was fetched.
pub(super) struct Cached {
    /// The JSON, as it came.
    pub(super) set: String,
    pub(super) fetched_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    url: String,
    fetched_ms: u64,
    set: String,
}

impl Cache {
    /// The place for the set of `url` in the data directory.
    pub(super) fn new(data: &Path, url: &str) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(url.as_bytes());
        let folder = data.join("jwks");
        let file = folder.join(format!("{:032x}.json", hasher.finish128().as_u128()));
        Self { url: url.to_owned(), folder, file }
    }

    /// What is kept; none if it cannot be read, since it can be fetched again.
    pub(super) fn read(&self) -> Option<Cached> {
        let content = fs::read(&self.file).ok()?;
        let Stored { url, fetched_ms, set } = serde_json::from_slice(&content).ok()?;
        (url == self.url).then_some(Cached { set, fetched_ms })
    }

    /// Replaces what is kept, as a whole or not at all.
    pub(super) async fn write(&self, set: String, fetched_ms: u64) -> io::Result<()> {
        let cache = self.clone();
        blocking(move || cache.replace(set, fetched_ms)).await
    }

    fn replace(self, set: String, fetched_ms: u64) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let new = self.file.with_extension("new");
        let content = serde_json::to_vec(&Stored { url: self.url, fetched_ms, set })?;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&new, &self.file)?;
        File::open(&self.folder)?.sync_all()
    }
}
