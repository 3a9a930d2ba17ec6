//! What is remembered of nodes: taken at once, written about once a second, because losing the last
//! second of it costs a repeat and never an entry.

use super::entry::NodeRecord;
use super::error::{Failure, ReadError};
use super::index::Index;
use super::row::ROW_BYTES_MAX;
use super::store::IndexStore;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_protocol::NodeId;

/// Records that are looked at while none is written.
const FORGET_AT_ONCE: usize = 256;

/// Records that are not on disk yet.
#[derive(Debug)]
pub(super) struct Nodes {
    unwritten: Mutex<Unwritten>,
    /// Held while records are written: one writer at a time.
    writer: Mutex<()>,
    records_max: usize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Unwritten {
    fresh: HashMap<NodeId, NodeRecord>,
    /// Being written.
    writing: Arc<HashMap<NodeId, NodeRecord>>,
}

impl Nodes {
    /// Holds at most `records_max` records that are not on disk.
    pub(super) fn new(records_max: usize) -> Self {
        Self {
            unwritten: Mutex::default(),
            writer: Mutex::default(),
            records_max,
            dropped: AtomicU64::new(0),
        }
    }

    /// Remembers `record`; what does not fit is counted and forgotten.
    pub(super) fn save(&self, node: NodeId, record: NodeRecord) {
        let mut unwritten = self.lock();
        let room = unwritten.fresh.len() < self.records_max || unwritten.fresh.contains_key(&node);
        if room && record.bytes.len() < ROW_BYTES_MAX {
            unwritten.fresh.insert(node, record);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many records did not fit.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The record of `node`.
    pub(super) fn get(
        &self,
        node: &NodeId,
        store: &IndexStore,
    ) -> Result<Option<NodeRecord>, ReadError> {
        {
            let unwritten = self.lock();
            let fresh = unwritten.fresh.get(node).or_else(|| unwritten.writing.get(node));
            if let Some(record) = fresh {
                return Ok(Some(record.clone()));
            }
        }
        Ok(store.node(node.as_str())?.and_then(|bytes| decode(&bytes)))
    }

    /// The records of the nodes of `user`, those that are not on disk included.
    pub(super) fn of_user(
        &self,
        user: &str,
        store: &IndexStore,
    ) -> Result<BTreeMap<NodeId, NodeRecord>, ReadError> {
        let unwritten = {
            let unwritten = self.lock();
            let both = unwritten.writing.iter().chain(&unwritten.fresh);
            let own = both.filter(|(node, _)| node.user_str() == Some(user));
            own.map(|(node, record)| (node.clone(), record.clone())).collect::<Vec<_>>()
        };
        let mut records = BTreeMap::new();
        for pair in store.nodes(user) {
            let (node, bytes) = pair?;
            let node = NodeId::new(&node).ok().filter(|node| node.user_str() == Some(user));
            records.extend(node.zip(decode(&bytes)));
        }
        records.extend(unwritten);
        Ok(records)
    }

    /// Forgets the records of `user` that are not on disk, and runs `work` while none is written.
    pub(super) fn forget_user<T>(&self, user: &str, work: impl FnOnce() -> T) -> T {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().fresh.retain(|node, _| node.user_str() != Some(user));
        work()
    }

    /// Forgets on disk who was last seen before `seen_ms`; how many. Records are written between its
    /// steps, and what is not on disk yet is of nodes that are here.
    pub(super) fn forget_older(&self, seen_ms: u64, index: &Index) -> Result<u64, Failure> {
        let is_over = |record: &[u8]| decode(record).is_none_or(|record| record.seen_ms < seen_ms);
        let (mut forgotten, mut after) = (0, Vec::new());
        loop {
            let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let (removed, last) = index.store().forget_nodes(&after, FORGET_AT_ONCE, is_over)?;
            forgotten += removed;
            match last {
                Some(last) => after = last,
                None => return Ok(forgotten),
            }
        }
    }

    /// Writes what is not on disk.
    pub(super) fn write(&self, index: &Index) -> Result<(), Failure> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = {
            let mut unwritten = self.lock();
            unwritten.writing = Arc::new(std::mem::take(&mut unwritten.fresh));
            Arc::clone(&unwritten.writing)
        };
        if !writing.is_empty() {
            index
                .store()
                .put_nodes(writing.iter().map(|(node, record)| (node.as_str(), encode(record))))?;
            self.lock().writing = Arc::default();
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(record: &NodeRecord) -> Vec<u8> {
    [&record.seen_ms.to_le_bytes()[..], &record.bytes].concat()
}

/// A record as it is stored.
pub(super) fn decode(bytes: &[u8]) -> Option<NodeRecord> {
    let (seen, bytes) = bytes.split_first_chunk()?;
    Some(NodeRecord { seen_ms: u64::from_le_bytes(*seen), bytes: bytes.to_vec() })
}
