//! The room on the disk that a copy leaves to everybody else.
//!
//! A copy that took the last of it would be refused only then, and what was being committed beside it
//! would be refused too: that ends the server.

use super::error::Failure;
use std::path::{Path, PathBuf};

/// What a copy does not take. It is looked at every `LOOK_BYTES`, the engine holds some more in memory,
/// and commits go on meanwhile.
const LEFT_BYTES: u64 = 64 << 20;
/// So much is put between two looks.
const LOOK_BYTES: usize = 1 << 20;

/// Watches the disk while something is copied to it.
#[derive(Debug)]
pub(super) struct Room {
    dir: PathBuf,
    /// Put since the last look.
    put: usize,
}

impl Room {
    /// Looks at the disk of `dir` at once.
    pub(super) fn on(dir: &Path) -> Result<Self, Failure> {
        let room = Self { dir: dir.to_path_buf(), put: 0 };
        room.look()?;
        Ok(room)
    }

    /// So much more is put.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        self.put += bytes;
        if self.put < LOOK_BYTES {
            return Ok(());
        }
        self.put = 0;
        self.look()
    }

    fn look(&self) -> Result<(), Failure> {
        let dir = self.dir.display();
        let disk = rustix::fs::statvfs(&self.dir)
            .map_err(|error| Failure(format!("{dir}: {error}").into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= LEFT_BYTES {
            return Ok(());
        }
        let mib = |bytes| bytes >> 20;
        Err(Failure(
            format!(
                "{dir}: No space left for a copy: {} MiB are free, and {} are left to what the server \
                 writes meanwhile; free space on that disk, and try again",
                mib(free),
                mib(LEFT_BYTES)
            )
            .into(),
        ))
    }
}
