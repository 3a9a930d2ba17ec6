//! Documents: what the actions of a log add up to.
//!
//! They follow the log on their own and cost an acknowledgement nothing: the log is folded when
//! somebody asks, from where the last one who asked left it. What is folded is kept in memory while
//! it is used, and saved now and then; all of it can be made again from the log.

mod fold;
#[cfg(test)]
mod fuzz;
mod saved;

pub(crate) use fold::Fold;

use crate::log::{Log, LogName, PageLimit, ReadError};
use saved::Saved;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_crdt::{Document, DocumentName, Position};

/// How much of a log is folded at once.
const PAGE: PageLimit = PageLimit { entries: 1000, bytes: 1 << 20 };
/// All folds together, in bytes of actions folded; the one that was used longest ago goes first.
const BYTES_MAX: usize = 64 << 20;
/// Entries folded after which a fold is saved again.
const SAVE_AFTER: usize = 1000;

/// The documents of all logs.
pub(crate) struct Documents {
    log: Log,
    saved: Saved,
    kept: Mutex<Kept>,
}

/// Folds in memory. One that is being folded is locked by who folds it; the others wait for it.
#[derive(Default)]
struct Kept {
    folds: HashMap<LogName, Slot>,
    used: u64,
}

struct Slot {
    fold: Arc<Mutex<Fold>>,
    /// When it was used last, in uses of any.
    used: u64,
    bytes: usize,
}

/// A document as it is.
#[derive(Debug)]
pub(crate) struct Read {
    /// What readers see; null when there is nothing.
    pub(crate) value: serde_json::Value,
    /// The position up to which the log was folded.
    pub(crate) through: Position,
    /// The last entry that is in it.
    pub(crate) changed: Position,
}

impl Documents {
    /// The documents of `log`, with what is saved of them in `dir`.
    pub(crate) fn new(log: Log, dir: PathBuf) -> Self {
        let documents =
            Self { saved: Saved::new(dir, log.incarnation()), log, kept: Mutex::default() };
        documents.forget_earlier();
        documents
    }

    /// The feed was rewritten: what was folded from it before, in memory and on disk, may have what
    /// is gone.
    pub(crate) fn forget_earlier(&self) {
        lock(&self.kept).folds.clear();
        self.saved.keep_only(self.log.generation());
    }

    /// A document as far as the log goes now. Waits for the disk, and for whoever folds this log.
    pub(crate) fn read(&self, log: &LogName, name: &DocumentName) -> Result<Read, ReadError> {
        self.with(log, |fold| Read {
            value: fold.document(name).map(Document::value).unwrap_or_default(),
            through: fold.through(),
            changed: fold.changed(name),
        })
    }

    /// What `look` sees of the documents of `log`, as far as the log goes now.
    pub(crate) fn with<T>(
        &self,
        log: &LogName,
        look: impl FnOnce(&Fold) -> T,
    ) -> Result<T, ReadError> {
        let shared = self.slot(log);
        let mut fold = lock(&shared);
        let generation = self.log.generation();
        if fold.generation() != generation || fold.through() == Position::ZERO {
            let saved = self.saved.load(log, generation);
            *fold = saved.unwrap_or_default().of_generation(generation);
        }
        self.follow(log, &mut fold)?;
        let seen = look(&fold);
        let bytes = fold.bytes();
        drop(fold);
        self.weigh(log, bytes);
        Ok(seen)
    }

    /// Folds what has come since.
    fn follow(&self, log: &LogName, fold: &mut Fold) -> Result<(), ReadError> {
        let until = self.log.head();
        while fold.through() < until {
            let page = self.log.read(log, fold.through(), until, PAGE)?;
            fold.take(&page, self.log.incarnation());
        }
        // Not in the middle of a long fold: saving costs as much as the documents are large.
        if fold.unsaved() >= SAVE_AFTER {
            self.saved.save(log, fold, || self.log.generation());
        }
        Ok(())
    }

    fn slot(&self, log: &LogName) -> Arc<Mutex<Fold>> {
        let mut kept = lock(&self.kept);
        kept.used += 1;
        let used = kept.used;
        let slot = kept.folds.entry(log.clone());
        let slot = slot.or_insert_with(|| Slot { fold: Arc::default(), used, bytes: 0 });
        slot.used = used;
        slot.fold.clone()
    }

    /// Forgets the folds that were used longest ago, until what is kept fits.
    fn weigh(&self, log: &LogName, bytes: usize) {
        let mut kept = lock(&self.kept);
        if let Some(slot) = kept.folds.get_mut(log) {
            slot.bytes = bytes;
        }
        let mut total: usize = kept.folds.values().map(|slot| slot.bytes).sum();
        while total > BYTES_MAX {
            let oldest = kept.folds.iter().min_by_key(|(_, slot)| slot.used);
            let Some(oldest) = oldest.map(|(log, _)| log.clone()) else { return };
            let Some(slot) = kept.folds.remove(&oldest) else { return };
            total = total.saturating_sub(slot.bytes);
        }
    }
}

/// A fold that panicked half-way is folded again: see [`Fold::take`].
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
