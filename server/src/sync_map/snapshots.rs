//! Maps folded, shared by all who load them: a load of many parts, and a thousand loads of one map,
//! fold its channel once.
//!
//! Nobody holds one for long: a part is rendered from it, and the next part from whatever snapshot
//! there is then. So memory is bounded by what is kept and the one that is being made, whoever loads
//! and however slowly. Maps are folded one at a time, in the order in which they were asked for, and
//! each stays for a while once it is made, so that loads of more maps than fit take turns, and all of
//! them go on.

use super::{Fold, Snapshot};
use crate::aside::blocking;
use crate::clock;
use crate::log::{Channel, ReadError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_crdt::Position;
use tokio::sync::{Semaphore, watch};

/// A load that is under way finds the fold that it began with.
const KEPT_MS: u64 = 600_000;
/// A load that begins takes a fold that another began with.
const FRESH_MS: u64 = 10_000;
/// Those who wait for a map that was folded have this long to load from it.
const STAYS_MS: u64 = 5_000;

/// The folds that are kept.
pub(crate) struct Snapshots {
    table: Mutex<Table>,
    /// Maps are folded one at a time.
    turn: Arc<Semaphore>,
}

struct Table {
    /// All folds together; the oldest goes first. One that is larger is kept alone.
    bytes_max: usize,
    kept: HashMap<Channel, Arc<Snapshot>>,
    /// Those that are being made; the sender goes when they are.
    making: HashMap<Channel, watch::Receiver<()>>,
}

/// Somebody makes the snapshot of a channel. When this goes, made or not, the others look again.
struct Making<'a> {
    snapshots: &'a Snapshots,
    channel: &'a Channel,
    _done: watch::Sender<()>,
}

impl Snapshots {
    /// Folds that take `bytes_max` together.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let table = Table { bytes_max, kept: HashMap::new(), making: HashMap::new() };
        Self { table: Mutex::new(table), turn: Arc::new(Semaphore::new(1)) }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fold of `channel`, for a load that begins or one that goes on.
    pub(crate) fn get(&self, channel: &Channel, begins: bool, now: u64) -> Option<Arc<Snapshot>> {
        self.table().get(channel, begins, now)
    }

    /// Keeps a fold for the next page.
    pub(crate) fn keep(&self, channel: &Channel, snapshot: &Arc<Snapshot>) {
        let mut table = self.table();
        if snapshot.bytes <= table.bytes_max {
            table.keep(channel, snapshot, None);
        }
    }

    /// The fold of `channel`; if there is none, `fold` makes it when it has its turn, on a thread
    /// that may wait.
    pub(crate) async fn shared<F>(
        &self,
        channel: &Channel,
        begins: bool,
        fold: F,
    ) -> Result<Arc<Snapshot>, ReadError>
    where
        F: FnOnce() -> Result<(Fold, Position), ReadError> + Send + 'static,
    {
        loop {
            let mut others = match self.get_or_make(channel, begins) {
                Ok(snapshot) => return Ok(snapshot),
                Err(Ok(_making)) => return self.make(channel, fold).await,
                Err(Err(others)) => others,
            };
            // Nothing is ever sent: this ends when the sender goes.
            drop(others.changed().await);
        }
    }

    /// The fold of `channel`, or the right to make it, or who makes it.
    fn get_or_make<'a>(
        &'a self,
        channel: &'a Channel,
        begins: bool,
    ) -> Result<Arc<Snapshot>, Result<Making<'a>, watch::Receiver<()>>> {
        let mut table = self.table();
        if let Some(snapshot) = table.get(channel, begins, clock::now_ms()) {
            return Ok(snapshot);
        }
        if let Some(others) = table.making.get(channel) {
            return Err(Err(others.clone()));
        }
        let (done, others) = watch::channel(());
        table.making.insert(channel.clone(), others);
        Err(Ok(Making { snapshots: self, channel, _done: done }))
    }

    async fn make<F>(&self, channel: &Channel, fold: F) -> Result<Arc<Snapshot>, ReadError>
    where
        F: FnOnce() -> Result<(Fold, Position), ReadError> + Send + 'static,
    {
        // The semaphore is never closed. The turn goes with the work, which nobody can stop, and
        // lasts until there is room for what was made.
        let turn = self.turn.clone().acquire_owned().await.ok();
        let work = move || {
            let made = fold().map(|(fold, through)| Snapshot::of(fold, through));
            (made, turn)
        };
        let (made, _turn) = blocking(work).await;
        let snapshot = made?;
        loop {
            let Some(wait_ms) = self.table().keep(channel, &snapshot, Some(clock::now_ms())) else {
                return Ok(snapshot);
            };
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.snapshots.table().making.remove(self.channel);
    }
}

impl Table {
    fn get(&self, channel: &Channel, begins: bool, now: u64) -> Option<Arc<Snapshot>> {
        let age_max = if begins { FRESH_MS } else { KEPT_MS };
        let snapshot = self.kept.get(channel)?;
        (now.saturating_sub(snapshot.made_ms) <= age_max).then(|| snapshot.clone())
    }

    /// Makes room and keeps `snapshot`. With `patient_at` it lets those that are kept stay for their
    /// time: it returns how long that is.
    fn keep(
        &mut self,
        channel: &Channel,
        snapshot: &Arc<Snapshot>,
        patient_at: Option<u64>,
    ) -> Option<u64> {
        let made_ms = snapshot.made_ms;
        self.kept.retain(|name, other| {
            name != channel && made_ms.saturating_sub(other.made_ms) <= KEPT_MS
        });
        while !self.kept.is_empty() && self.bytes() + snapshot.bytes > self.bytes_max {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.made_ms);
            let (oldest, stays_until) =
                oldest.map(|(channel, kept)| (channel.clone(), kept.made_ms + STAYS_MS))?;
            if let Some(now) = patient_at.filter(|now| *now < stays_until) {
                return Some(stays_until - now);
            }
            self.kept.remove(&oldest);
        }
        self.kept.insert(channel.clone(), snapshot.clone());
        None
    }

    fn bytes(&self) -> usize {
        self.kept.values().map(|snapshot| snapshot.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const BYTES_MAX: usize = 32 << 20;

    fn channel(name: &str) -> Channel {
        Channel::new(name).unwrap()
    }

    fn snapshot(made_ms: u64, bytes: usize) -> Arc<Snapshot> {
        Snapshot::empty(made_ms, bytes)
    }

    #[test]
    fn a_fold_is_kept_for_the_pages_of_a_load_and_shared_by_those_that_begin_soon() {
        let snapshots = Snapshots::new(BYTES_MAX);
        snapshots.keep(&channel("a"), &snapshot(1_000, 10));
        let found = |begins, now| snapshots.get(&channel("a"), begins, now).is_some();
        assert!(found(true, 1_000 + FRESH_MS));
        assert!(!found(true, 1_001 + FRESH_MS));
        assert!(found(false, 1_000 + KEPT_MS));
        assert!(!found(false, 1_001 + KEPT_MS));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let snapshots = Snapshots::new(BYTES_MAX);
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            snapshots.keep(&channel(name), &snapshot(n as u64, BYTES_MAX / 2));
        }
        snapshots.keep(&channel("d"), &snapshot(3, BYTES_MAX + 1));
        let found = |name| snapshots.get(&channel(name), true, 3).is_some();
        assert_eq!(["a", "b", "c", "d"].map(found), [false, true, true, false]);
        snapshots.keep(&channel("e"), &snapshot(KEPT_MS + 2, 1));
        assert_eq!(["b", "c", "e"].map(found), [false, true, true]);
    }

    #[expect(clippy::unnecessary_wraps, reason = "a fold can fail")]
    fn nothing() -> Result<(Fold, Position), ReadError> {
        Ok((Fold::new("a"), Position::ZERO))
    }

    #[tokio::test]
    async fn a_crowd_that_loads_one_map_folds_it_once() {
        let snapshots = Arc::new(Snapshots::new(BYTES_MAX));
        let folded = Arc::new(AtomicUsize::new(0));
        let load = |_| {
            let (snapshots, folded) = (snapshots.clone(), folded.clone());
            tokio::spawn(async move {
                let fold = move || {
                    folded.fetch_add(1, Ordering::Relaxed);
                    nothing()
                };
                snapshots.shared(&channel("a"), true, fold).await.unwrap()
            })
        };
        for loaded in (0..100).map(load).collect::<Vec<_>>() {
            loaded.await.unwrap();
        }
        assert_eq!(folded.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_leaves_while_it_folds_a_map_holds_up_nobody() {
        let snapshots = Snapshots::new(BYTES_MAX);
        let (folds, folding) = tokio::sync::oneshot::channel();
        let (go_on, waits) = std::sync::mpsc::sync_channel::<()>(0);
        let slow = move || {
            folds.send(()).unwrap();
            assert!(waits.recv().is_err(), "the other side goes");
            nothing()
        };
        let name = channel("a");
        {
            let leaving = std::pin::pin!(snapshots.shared(&name, true, slow));
            tokio::select! {
                _ = leaving => panic!("it was held up"),
                begun = folding => begun.unwrap(),
            }
        }
        drop(go_on);
        snapshots.shared(&name, true, nothing).await.unwrap();
        snapshots.shared(&channel("b"), true, nothing).await.unwrap();
        assert!(snapshots.table().making.is_empty());
    }

    #[test]
    fn maps_that_do_not_fit_together_stay_in_turns() {
        let mut table =
            Table { bytes_max: BYTES_MAX, kept: HashMap::new(), making: HashMap::new() };
        let now = 1_000_000;
        let keep = |table: &mut Table, name, made_ms, bytes, now| {
            table.keep(&channel(name), &snapshot(made_ms, bytes), Some(now))
        };
        assert_eq!(keep(&mut table, "a", now, BYTES_MAX, now), None);
        assert_eq!(keep(&mut table, "b", now + 1, 3 * BYTES_MAX, now + 1), Some(STAYS_MS - 1));
        assert_eq!(keep(&mut table, "b", now + 1, 3 * BYTES_MAX, now + STAYS_MS), None);
        assert_eq!(table.kept.len(), 1, "a larger one is kept alone");
        assert!(table.get(&channel("b"), false, now + STAYS_MS).is_some());
    }
}
