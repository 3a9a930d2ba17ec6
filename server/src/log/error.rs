//! What can go wrong, and what to do about it: each message names a file and the way out.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidelog_crdt::Position;

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "{} is locked by another process; stop that process, or choose another data directory",
        .file.display()
    )]
    Locked {
        /// The lock file.
        file: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "the store in {} has format {found}, and this version reads up to {supported}; \
         run the version of tidelog that wrote it, or a newer one",
        .dir.display()
    )]
    Newer {
        /// The data directory.
        dir: PathBuf,
        /// The format of the store.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// Written by an early version.
    #[error(
        "the store in {} has format {found}, and this version reads from {oldest} on; open it once \
         with a version of tidelog that reads both, then with this one",
        .dir.display()
    )]
    Older {
        /// The data directory.
        dir: PathBuf,
        /// The format of the store.
        found: u32,
        /// The oldest format that this version reads.
        oldest: u32,
    },
    /// There is no store there, and it was opened to be read.
    #[error("there is no store in {}; `tidelog serve` creates one", .dir.display())]
    Missing {
        /// The data directory.
        dir: PathBuf,
    },
    /// The bytes on disk are not what was written.
    #[error("{0}")]
    Corrupt(#[from] Corrupt),
    /// The engine refused to open its files.
    #[error(
        "the files in {} cannot be opened: {reason}; {way_out}",
        .dir.display()
    )]
    Engine {
        /// The directory of the database.
        dir: PathBuf,
        /// What the engine said.
        reason: String,
        /// What the operator can do.
        way_out: &'static str,
    },
    /// The disk or the engine failed while the store was repaired.
    #[error("{0}")]
    Disk(Arc<str>),
    /// The file system refused.
    #[error("{}: {reason}; {}", .file.display(), way_out(.reason.kind()))]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What the system said; the message says it, so it is not a source of its own.
        reason: std::io::Error,
    },
}

impl OpenError {
    /// The system refused something with `file`.
    pub(super) fn io(file: &Path, reason: std::io::Error) -> Self {
        Self::Io { file: file.to_path_buf(), reason }
    }
}

/// What to do when the system refuses.
pub(super) fn way_out(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "free space on that disk or raise the limit, and start again: what was acknowledged is \
             kept"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "mount that file system writable, or choose another data directory with --data"
        }
        ErrorKind::PermissionDenied => {
            "make the user that runs tidelog the owner of the data directory, or choose another with \
             --data"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a file is where a directory has to be: move it away, or choose another data directory \
             with --data"
        }
        ErrorKind::NotFound => {
            "make the directory that it is to be in, or choose another data directory with --data"
        }
        _ => "look into the system's log for errors of that disk, and start again when it is sound",
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt(corrupt) => Self::Corrupt(corrupt),
            ReadError::Io(reason) => Self::Disk(reason),
        }
    }
}

impl From<Failure> for OpenError {
    fn from(Failure(reason): Failure) -> Self {
        Self::Disk(reason)
    }
}

/// Bytes on disk are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: damaged at position {position}: {what}; {way_out}", .file.display())]
pub struct Corrupt {
    /// The file or directory.
    pub file: PathBuf,
    /// The first position of the row or block.
    pub position: Position,
    /// What does not fit.
    pub what: &'static str,
    /// What the operator can do.
    pub way_out: &'static str,
}

/// Why a page could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The bytes on disk are not what was written.
    #[error("{0}")]
    Corrupt(#[from] Corrupt),
    /// The disk or the engine failed.
    #[error("the log cannot be read: {0}")]
    Io(Arc<str>),
}

impl ReadError {
    /// The system refused to read `file`.
    pub(super) fn io(file: &Path, error: &std::io::Error) -> Self {
        Self::Io(format!("{}: {error}; {}", file.display(), way_out(error.kind())).into())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self(error.to_string().into())
    }
}

/// The log takes nothing more: it was closed, or a commit failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log is stopped")]
pub struct Stopped;

/// A commit could not be made durable: nothing may be acknowledged any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be written, and nothing more is acknowledged: {0}")]
pub struct Failure(pub Arc<str>);

impl Failure {
    /// The system refused to write `file`.
    pub(super) fn io(file: &Path, error: &std::io::Error) -> Self {
        Self(format!("{}: {error}; {}", file.display(), way_out(error.kind())).into())
    }
}

/// Bytes that do not say what was written; where they are is known further up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub(super) &'static str);
