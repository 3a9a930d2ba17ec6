//! One process per store: a file in the data directory that is locked while the store is open.

use super::error::OpenError;
use std::fs::{File, TryLockError};
use std::path::Path;

/// Held while a store is open; the system takes the lock back when the process ends, however it
/// ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks `dir`, which exists.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let io = |source| OpenError::io(&path, source);
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { file: path.clone() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}
