//! Folds in memory, and which of them an entry has left.

use super::lock;
use super::{Fold, Saved};
use crate::log::LogName;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What one takes besides, about, with nothing in it.
const SLOT_BYTES: usize = 512;

/// The folds that are kept, in memory and on disk.
pub(super) struct Shelves {
    saved: Saved,
    /// All folds together, in bytes of actions folded; the one that was used longest ago goes first.
    bytes_max: usize,
    kept: Mutex<Kept>,
    /// Entries that were cleaned, counted, and counted before anything is done about it.
    cleaned: AtomicU64,
}

/// Folds in memory. One that is being folded is locked by who folds it; the others wait for it.
#[derive(Default)]
struct Kept {
    folds: HashMap<LogName, Slot>,
    used: u64,
    /// What all of them weigh.
    bytes: usize,
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
    pub(super) fn new(saved: Saved, bytes_max: usize) -> Self {
        Self { saved, bytes_max, kept: Mutex::default(), cleaned: AtomicU64::new(0) }
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
        let mut kept = lock(&self.kept);
        kept.folds.clear();
        kept.bytes = 0;
        drop(kept);
        self.saved.keep_only(generation);
    }

    /// The fold of `log`.
    pub(super) fn of(&self, log: &LogName) -> Arc<Shelf> {
        let mut kept = lock(&self.kept);
        kept.used += 1;
        let used = kept.used;
        if let Some(slot) = kept.folds.get_mut(log) {
            slot.used = used;
            return slot.shelf.clone();
        }
        let slot = Slot { shelf: Arc::default(), used, bytes: SLOT_BYTES };
        kept.bytes += SLOT_BYTES;
        kept.folds.entry(log.clone()).or_insert(slot).shelf.clone()
    }

    /// The fold of `log` has so many bytes now. Forgets those that were used longest ago, until what is
    /// kept fits; and one for which the log has nothing, unless somebody waits for it, because anybody
    /// can ask for logs of any name.
    pub(super) fn weigh(
        &self,
        log: &LogName,
        (shared, bytes): (&Arc<Shelf>, usize),
        has_any: bool,
    ) {
        let mut kept = lock(&self.kept);
        // That of the caller, and the slot's.
        if !has_any && Arc::strong_count(shared) <= 2 {
            kept.forget(log);
        }
        let weight = bytes + SLOT_BYTES;
        if let Some(slot) = kept.folds.get_mut(log) {
            let before = std::mem::replace(&mut slot.bytes, weight);
            kept.bytes = (kept.bytes + weight).saturating_sub(before);
        }
        while kept.bytes > self.bytes_max {
            let oldest = kept.folds.iter().min_by_key(|(_, slot)| slot.used);
            let Some(oldest) = oldest.map(|(log, _)| log.clone()) else { return };
            kept.forget(&oldest);
        }
    }
}

impl Kept {
    fn forget(&mut self, log: &LogName) {
        let slot = self.folds.remove(log);
        self.bytes = self.bytes.saturating_sub(slot.map_or(0, |slot| slot.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::super::saved::Saved;
    use super::*;
    use crate::log::Channel;
    use tidelog_crdt::Incarnation;

    const BYTES_MAX: usize = 64 << 20;

    fn shelves(dir: &std::path::Path) -> Shelves {
        Shelves::new(Saved::new(dir.to_path_buf(), Incarnation(1), 0), BYTES_MAX)
    }

    fn log(number: usize) -> LogName {
        LogName::Channel(Channel::new(&format!("c/{number}")).unwrap())
    }

    /// How many folds are kept, and what they weigh.
    fn kept(shelves: &Shelves) -> (usize, usize) {
        let kept = lock(&shelves.kept);
        (kept.folds.len(), kept.bytes)
    }

    #[test]
    fn a_log_that_has_nothing_is_kept_only_while_somebody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let shelves = shelves(dir.path());
        for number in 0..1_000 {
            let shared = shelves.of(&log(number));
            shelves.weigh(&log(number), (&shared, 0), false);
        }
        assert_eq!(kept(&shelves), (0, 0));
        let (first, second) = (shelves.of(&log(1)), shelves.of(&log(1)));
        shelves.weigh(&log(1), (&first, 0), false);
        assert_eq!(kept(&shelves).0, 1, "another one uses it");
        drop(first);
        shelves.weigh(&log(1), (&second, 0), false);
        assert_eq!(kept(&shelves), (0, 0));
    }

    #[test]
    fn what_is_kept_has_a_bound_however_small_each_is() {
        let dir = tempfile::tempdir().unwrap();
        let shelves = shelves(dir.path());
        for (number, bytes) in [(1, BYTES_MAX / 2), (2, BYTES_MAX / 2), (3, 10), (2, 10), (1, 20)] {
            let shared = shelves.of(&log(number));
            shelves.weigh(&log(number), (&shared, bytes), true);
            let kept = lock(&shelves.kept);
            assert!(kept.bytes <= BYTES_MAX);
            assert_eq!(kept.bytes, kept.folds.values().map(|slot| slot.bytes).sum::<usize>());
        }
        assert_eq!(kept(&shelves), (3, 10 + 10 + 20 + 3 * SLOT_BYTES));
    }
}
