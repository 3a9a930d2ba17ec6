//! Maps folded, kept for a while: a load of many pages folds its channel once.
//!
//! Nothing relies on it. A page says which items it has come to by the last entry that touched them,
//! so a load goes on from any later fold of the channel: an item that was touched since comes again,
//! as it then is, and what the fold does not cover is read from the log.

use crate::catch_up;
use crate::log::{Channel, Log, ReadError};
use crate::sync_map::Standing;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidelog_crdt::Position;

/// A load that is under way finds the fold that it began with.
const KEPT_MS: u64 = 600_000;
/// A load that begins takes a fold that another began with.
const FRESH_MS: u64 = 10_000;
/// All folds together, in bytes; the oldest goes first, and one that is larger is not kept.
const BYTES_MAX: usize = 32 << 20;
/// What an action costs beside its JSON.
const OVERHEAD_BYTES: usize = 256;

/// What the actions of a map's channel add up to.
pub(super) struct Snapshot {
    /// As far as this.
    pub(super) through: Position,
    /// By the last entry that touched them.
    items: Vec<Standing>,
    made_ms: u64,
    bytes: usize,
}

impl Snapshot {
    /// Folds the channel of the map `map`. May wait for the disk.
    pub(super) fn make(
        log: &Log,
        channel: &Channel,
        map: &str,
        now: u64,
    ) -> Result<Self, ReadError> {
        let (fold, through) = catch_up::fold_whole(log, channel, map)?;
        let items = fold.standing();
        let shown = items.iter().flat_map(|item| &item.shown);
        let bytes = shown.map(|shown| shown.action.json().len() + OVERHEAD_BYTES).sum();
        Ok(Self { through, items, made_ms: now, bytes })
    }

    /// All items.
    pub(super) fn items(&self) -> &[Standing] {
        &self.items
    }

    /// The items that were last touched above `position`, in that order.
    pub(super) fn above(&self, position: Position) -> &[Standing] {
        let from = self.items.partition_point(|item| item.touched <= position);
        self.items.get(from..).unwrap_or_default()
    }
}

/// The folds that are kept.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<HashMap<Channel, Arc<Snapshot>>>);

impl Snapshots {
    /// The fold of `channel`, for a load that begins or one that goes on.
    pub(super) fn get(&self, channel: &Channel, begins: bool, now: u64) -> Option<Arc<Snapshot>> {
        let age_max = if begins { FRESH_MS } else { KEPT_MS };
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = kept.get(channel)?;
        (now.saturating_sub(snapshot.made_ms) <= age_max).then(|| snapshot.clone())
    }

    /// Keeps a fold for the next page.
    pub(super) fn keep(&self, channel: &Channel, snapshot: &Arc<Snapshot>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = snapshot.made_ms;
        kept.retain(|_, other| now.saturating_sub(other.made_ms) <= KEPT_MS);
        if snapshot.bytes > BYTES_MAX {
            return;
        }
        kept.insert(channel.clone(), snapshot.clone());
        while kept.values().map(|snapshot| snapshot.bytes).sum::<usize>() > BYTES_MAX {
            let oldest = kept.iter().min_by_key(|(_, snapshot)| snapshot.made_ms);
            let Some(oldest) = oldest.map(|(channel, _)| channel.clone()) else { return };
            kept.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::new(name).unwrap()
    }

    fn snapshot(made_ms: u64, bytes: usize) -> Arc<Snapshot> {
        Arc::new(Snapshot { through: Position::ZERO, items: Vec::new(), made_ms, bytes })
    }

    #[test]
    fn a_fold_is_kept_for_the_pages_of_a_load_and_shared_by_those_that_begin_soon() {
        let snapshots = Snapshots::default();
        snapshots.keep(&channel("a"), &snapshot(1_000, 10));
        let found = |begins, now| snapshots.get(&channel("a"), begins, now).is_some();
        assert!(found(true, 1_000 + FRESH_MS));
        assert!(!found(true, 1_001 + FRESH_MS));
        assert!(found(false, 1_000 + KEPT_MS));
        assert!(!found(false, 1_001 + KEPT_MS));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let snapshots = Snapshots::default();
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            snapshots.keep(&channel(name), &snapshot(n as u64, BYTES_MAX / 2));
        }
        snapshots.keep(&channel("d"), &snapshot(3, BYTES_MAX + 1));
        let found = |name| snapshots.get(&channel(name), true, 3).is_some();
        assert_eq!(["a", "b", "c", "d"].map(found), [false, true, true, false]);
        snapshots.keep(&channel("e"), &snapshot(KEPT_MS + 2, 1));
        assert_eq!(["b", "c", "e"].map(found), [false, true, true]);
    }
}
