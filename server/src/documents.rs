//! Documents: what the actions of a log add up to.
//!
//! They follow the log on their own and cost an acknowledgement nothing: the log is folded when
//! somebody asks, from where the last one who asked left it. What is folded is kept in memory while
//! it is used, and saved now and then; all of it can be made again from the log.
//!
//! What an action does to which document is the rules' to say (`rules/merge.rs`). An entry that is
//! cleaned leaves its documents: they are folded again, without it.

mod fold;
#[cfg(test)]
mod fuzz;
mod saved;
mod shelves;
mod states;
mod why;

pub(crate) use fold::{Fold, made_ms, may_be_state, parts_of};
pub(crate) use states::{OwnStates, is_state, is_state_of};
pub(crate) use why::{Account, FateName, Part, Source};

use crate::log::{Addresses, Log, LogName, PageLimit, ReadError};
use crate::rules::Rules;
use saved::Saved;
use shelves::Shelves;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_crdt::{Document, DocumentName, Position};

/// How much of a log is folded at once.
const PAGE: PageLimit = PageLimit { entries: 1000, bytes: 1 << 20 };
/// Entries folded after which a fold is saved again.
const SAVE_AFTER: usize = 1000;

/// The documents of all logs.
pub(crate) struct Documents {
    log: Log,
    rules: Arc<Rules>,
    shelves: Arc<Shelves>,
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
    /// Another number, for the same last entry, means another value: entries can leave a document,
    /// and rules can say something else of those that are in it.
    pub(crate) version: u128,
}

/// What folds in memory take together, when nothing else is said: bytes of actions folded.
const FOLD_BYTES: usize = 64 << 20;

impl Documents {
    /// The documents of `log` by `rules`, with what is saved of them in `dir`.
    pub(crate) fn new(log: Log, rules: Arc<Rules>, dir: PathBuf) -> Result<Self, ReadError> {
        Self::within(log, rules, dir, FOLD_BYTES)
    }

    /// The same; what is kept of them in memory takes `bytes_max`.
    pub(crate) fn within(
        log: Log,
        rules: Arc<Rules>,
        dir: PathBuf,
        bytes_max: usize,
    ) -> Result<Self, ReadError> {
        let saved = Saved::new(dir, log.incarnation(), rules.folding());
        let shelves = Arc::new(Shelves::new(saved, bytes_max));
        let cleaning = Arc::clone(&shelves);
        let hear = move |addresses: &Addresses| addresses.logs().for_each(|it| cleaning.spoil(&it));
        log.on_clean(Arc::new(hear))?.iter().for_each(|log| shelves.spoil(log));
        let documents = Self { log, rules, shelves };
        documents.forget_earlier();
        Ok(documents)
    }

    /// The feed was rewritten: what was folded from it before, in memory and on disk, may have what
    /// is gone.
    pub(crate) fn forget_earlier(&self) {
        self.shelves.forget_all(self.log.generation());
    }

    /// A document as far as the log goes now. Waits for the disk, and for whoever folds this log.
    pub(crate) fn read(&self, log: &LogName, name: &DocumentName) -> Result<Read, ReadError> {
        self.with(log, |fold| Read {
            value: fold.document(name).map(Document::value).unwrap_or_default(),
            through: fold.through(),
            changed: fold.changed(name),
            version: self.rules.merging().wrapping_add(fold.entries(name).into()),
        })
    }

    /// What `look` sees of the documents of `log`, as far as the log goes now.
    pub(crate) fn with<T>(
        &self,
        log: &LogName,
        look: impl FnOnce(&Fold) -> T,
    ) -> Result<T, ReadError> {
        let shared = self.shelves.of(log);
        let mut fold = lock(&shared.fold);
        loop {
            let (generation, cleaned) = (self.log.generation(), self.shelves.cleaned());
            let spoilt = shared.begin();
            if spoilt || fold.generation() != generation || fold.through() == Position::ZERO {
                let kept = match self.shelves.saved().load(log, generation) {
                    Some(saved) => saved,
                    None => self.log.bases(log)?.map(Fold::of_bases).unwrap_or_default(),
                };
                *fold = kept.of_generation(generation);
            }
            self.follow(log, &mut fold)?;
            // Not in the middle of a long fold: saving costs as much as the documents are large.
            if fold.unsaved() >= SAVE_AFTER {
                let stands =
                    || self.log.generation() == generation && self.shelves.cleaned() == cleaned;
                self.shelves.saved().save(log, &mut fold, stands);
            }
            // An entry may have left while it was folded; and of a log that is compacted meanwhile, a
            // part may have been missed.
            if !shared.is_spoilt() && self.log.generation() == generation {
                break;
            }
        }
        let seen = look(&fold);
        let (bytes, has_any) = (fold.bytes(), fold.has_any());
        drop(fold);
        self.shelves.weigh(log, (&shared, bytes), has_any);
        Ok(seen)
    }

    /// Folds what has come since.
    fn follow(&self, log: &LogName, fold: &mut Fold) -> Result<(), ReadError> {
        let until = self.log.head();
        while fold.through() < until {
            let page = self.log.read(log, fold.through(), until, PAGE)?;
            fold.take(&page, &self.log.incarnations(), &self.rules);
        }
        Ok(())
    }
}

/// A fold that panicked half-way is folded again: see [`Fold::take`].
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
