//! The engine: all that knows sled is in this file and the two below it.
//!
//! Two databases, so that the sync which an acknowledgement waits for never waits for derived data:
//! `feed` is the truth, `index/records` can be deleted and is then rebuilt from it.
//!
//! sled 0.34.7 is safe only if it is used with care, and each of these was seen to lose data or to
//! keep a database from opening:
//! - its `flush()` is no fsync on Linux, so [`Database::sync`] adds one, here and nowhere else; the
//!   engine's own half-second sync is off, because nothing may depend on it;
//! - a stray `snap.*.generating` prevents opening, so such files are deleted first;
//! - what is longer than a quarter of a segment goes to files that it never syncs; segments of
//!   16 MiB keep a leaf of 17 rows of 240 KiB inside;
//! - the lock of a database that was just dropped may be held for a moment;
//! - it cuts its log at the first message that does not fit, whatever comes after, so the position
//!   up to which was acknowledged is kept beside it (see `head`);
//! - it gives back the memory of what it has replaced late, so it is asked to (`free`);
//! - what it has written stays in memory, gigabytes of it, whatever its cache is set to: it looks what to let go
//!   only once the leaves of one of its 256 lists were looked at 64 times together, and keeps one leaf of each
//!   list. So rows are short (see `row`), and a new one is looked at a few times (`Feed::put`);
//! - what is deleted stays in its file until it happens to be written over, so what has to be gone is
//!   left behind when the rest is copied to another database (see `rewrite`). Of an open database it
//!   needs no path but for the files above, which are never written, so it can be moved while open.

mod feed;
mod records;

pub(super) use feed::Feed;
pub(super) use records::IndexStore;

use super::error::{Failure, OpenError, ReadError, way_out};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread::sleep;
use std::time::Duration;

/// Fixed when a database is created.
const SEGMENT_BYTES: usize = 16 << 20;
const LOCK_TRIES: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// One sled database in its directory.
struct Database {
    dir: PathBuf,
    db: sled::Db,
    /// The engine's own file, opened once more to sync it.
    file: File,
}

impl Database {
    /// Opens or creates; `advice` is what to do when the files are damaged.
    fn open(dir: &Path, cache_bytes: usize, advice: &'static str) -> Result<Self, OpenError> {
        let io = |source| OpenError::io(dir, source);
        fs::create_dir_all(dir).map_err(io)?;
        let db = open_engine(dir, cache_bytes, advice)?;
        let file = File::open(dir.join("db")).map_err(io)?;
        for created in [Some(dir), dir.parent()].into_iter().flatten() {
            File::open(created).and_then(|dir| dir.sync_all()).map_err(io)?;
        }
        Ok(Self { dir: dir.to_path_buf(), db, file })
    }

    fn tree(&self, name: &str, advice: &'static str) -> Result<sled::Tree, OpenError> {
        self.db.open_tree(name).map_err(|error| refused(&self.dir, error, advice))
    }

    /// Everything that was put before is on disk after this. The one place that says so.
    fn sync(&self) -> Result<(), Failure> {
        self.db.flush().map_err(|error| self.failure(&error))?;
        free();
        self.file.sync_data().map_err(|error| Failure::io(&self.dir, &error))
    }

    /// How long the engine's file is.
    fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |file| file.len())
    }

    fn failure(&self, error: &sled::Error) -> Failure {
        Failure(self.said(error).into())
    }

    fn unread(&self, error: &sled::Error) -> ReadError {
        ReadError::Io(self.said(error).into())
    }

    fn said(&self, error: &sled::Error) -> String {
        let kind = if let sled::Error::Io(io) = error { io.kind() } else { ErrorKind::Other };
        format!("{}: {error}; {}", self.dir.display(), way_out(kind))
    }
}

/// Gives back what the engine has replaced on this thread. By itself it waits for dozens of such pieces,
/// however large they are: with full rows that came to hundreds of MiB.
fn free() {
    sled::pin().flush();
}

/// Why the engine does not open: the system refused, or its files are not what it wrote.
fn refused(dir: &Path, error: sled::Error, way_out: &'static str) -> OpenError {
    match error {
        sled::Error::Io(source) if is_of_the_system(source.kind()) => OpenError::io(dir, source),
        other => OpenError::Engine { dir: dir.to_path_buf(), reason: other.to_string(), way_out },
    }
}

fn is_of_the_system(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists
    )
}

/// Opens; if that fails, once more without the engine's snapshot, which can be derived from the
/// rest.
fn open_engine(
    dir: &Path,
    cache_bytes: usize,
    advice: &'static str,
) -> Result<sled::Db, OpenError> {
    remove_snapshots(dir, |name| name.ends_with(".generating"))?;
    match open_unlocked(dir, cache_bytes, advice) {
        Err(OpenError::Engine { .. }) => {
            remove_snapshots(dir, |_| true)?;
            open_unlocked(dir, cache_bytes, advice)
        }
        opened => opened,
    }
}

fn remove_snapshots(dir: &Path, which: impl Fn(&str) -> bool) -> Result<(), OpenError> {
    let io = |source| OpenError::io(dir, source);
    for file in fs::read_dir(dir).map_err(io)? {
        let file = file.map_err(io)?;
        let name = file.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && which(name)) {
            fs::remove_file(file.path()).map_err(io)?;
        }
    }
    Ok(())
}

fn open_unlocked(
    dir: &Path,
    cache_bytes: usize,
    way_out: &'static str,
) -> Result<sled::Db, OpenError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes as u64)
        .flush_every_ms(None)
        .segment_size(SEGMENT_BYTES);
    for _ in 0..LOCK_TRIES {
        match without_panic(|| config.open()) {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(error)) if error.to_string().contains("could not acquire lock") => {
                sleep(LOCK_PAUSE);
            }
            Ok(Err(error)) => return Err(refused(dir, error, way_out)),
            Err(panicked) => {
                let reason = format!("the engine gave up on them: {panicked}");
                return Err(OpenError::Engine { dir: dir.to_path_buf(), reason, way_out });
            }
        }
    }
    Err(OpenError::Locked { file: dir.join("db") })
}

thread_local! {
    /// A panic of this thread is an error that is returned, and is not printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; what it says if it panics. The engine panics where others return an error.
fn without_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    done.map_err(|said| {
        let text = said.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| said.downcast_ref::<&str>().copied()).unwrap_or("no reason");
        text.lines().next().unwrap_or_default().to_owned()
    })
}
