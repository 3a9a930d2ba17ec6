//! Folds in memory, and which of them an entry has left.

use super::lock;
use super::{Fold, Saved};
use crate::log::LogName;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// All folds together, in bytes of actions folded; the one that was used longest ago goes first.
const BYTES_MAX: usize = 64 << 20;

/// The folds that are kept, in memory and on disk.
pub(super) struct Shelves {
    saved: Saved,
    kept: Mutex<Kept>,
    /// Entries that were cleaned, counted, and counted before anything is done about it.
    cleaned: AtomicU64,
}

/// Folds in memory. One that is being folded is locked by who folds it; the others wait for it.
#[derive(Default)]
struct Kept {
    folds: HashMap<LogName, Slot>,
    used: u64,
}

struct Slot {
    shelf: Arc<Shelf>,
    /// When it was used last, in uses of any.
    used: u64,
    bytes: usize,
}

/// The fold of one log.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) fold: Mutex<Fold>,
    /// An entry of the log was cleaned since it was begun.
    spoilt: AtomicBool,
}

impl Shelf {
    /// Whoever folds begins now; returns whether what is there has an entry that is gone.
    pub(super) fn begin(&self) -> bool {
        self.spoilt.swap(false, Ordering::AcqRel)
    }

    /// Whether an entry has gone since.
    pub(super) fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Acquire)
    }
}

impl Shelves {
    pub(super) fn new(saved: Saved) -> Self {
        Self { saved, kept: Mutex::default(), cleaned: AtomicU64::new(0) }
    }

    pub(super) fn saved(&self) -> &Saved {
        &self.saved
    }

    /// How many entries were cleaned until now.
    pub(super) fn cleaned(&self) -> u64 {
        self.cleaned.load(Ordering::Acquire)
    }

    /// An entry of `log` is gone. What was saved goes first, so that who finds the fold spoilt does
    /// not load it again; and who saves meanwhile finds another count afterwards.
    pub(super) fn spoil(&self, log: &LogName) {
        self.cleaned.fetch_add(1, Ordering::AcqRel);
        self.saved.remove(log);
        if let Some(slot) = lock(&self.kept).folds.get(log) {
            slot.shelf.spoilt.store(true, Ordering::Release);
        }
    }

    /// Forgets everything but what is saved of this generation of the feed.
    pub(super) fn forget_all(&self, generation: u64) {
        lock(&self.kept).folds.clear();
        self.saved.keep_only(generation);
    }

    /// The fold of `log`.
    pub(super) fn of(&self, log: &LogName) -> Arc<Shelf> {
        let mut kept = lock(&self.kept);
        kept.used += 1;
        let used = kept.used;
        let slot = kept.folds.entry(log.clone());
        let slot = slot.or_insert_with(|| Slot { shelf: Arc::default(), used, bytes: 0 });
        slot.used = used;
        slot.shelf.clone()
    }

    /// Forgets the folds that were used longest ago, until what is kept fits.
    pub(super) fn weigh(&self, log: &LogName, bytes: usize) {
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
