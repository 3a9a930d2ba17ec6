//! What the threads of the log and its handles share.

use super::entry::{Addresses, Entry};
use super::error::{Failure, ReadError};
use super::handover::Handover;
use super::head::Head;
use super::identity::Identity;
use super::incarnations::Incarnations;
use super::index::{Current, Index};
use super::lock::Lock;
use super::manifest::Lists;
use super::meter::Meter;
use super::naming::Naming;
use super::nodes::Nodes;
use super::prefix::{Hash, Key, Prefix};
use super::queue::Queue;
use super::record::{Record, put_instead};
use super::row::Row;
use super::run::{Order, Scan};
use super::settings::Settings;
use super::store::Feed;
use super::tail::{Staged, Tail};
use crate::epochs::Epochs;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tidelog_crdt::Position;
use tidelog_protocol::Action;
use tokio::sync::watch;

/// Called with the entries of each commit, in order of position, once they are on disk.
pub type OnCommit = Arc<dyn Fn(&[Arc<Entry>]) + Send + Sync>;

/// Called when those who appended what a commit has are answered.
pub type OnAnswered = Arc<dyn Fn() + Send + Sync>;

/// Hears in which logs an entry was whose body is taken out: it is hidden from readers by then.
pub type OnClean = Arc<dyn Fn(&Addresses) + Send + Sync>;

/// Called on the thread that syncs, before each sync that a commit waits for.
pub type BeforeSync = Arc<dyn Fn() + Send + Sync>;

pub(super) struct Shared {
    pub(super) settings: Settings,
    /// Replaced as a whole when the feed is rewritten.
    feed: RwLock<Arc<Feed>>,
    pub(super) index: Index,
    pub(super) nodes: Nodes,
    pub(super) identity: Identity,
    pub(super) epochs: Epochs,
    pub(super) incarnations: Incarnations,
    pub(super) naming: Naming,
    pub(super) hash: Hash,
    pub(super) queue: Queue,
    pub(super) handover: Handover,
    pub(super) meter: Meter,
    pub(super) on_commit: OnceLock<OnCommit>,
    pub(super) on_answered: OnceLock<OnAnswered>,
    pub(super) on_clean: OnceLock<OnClean>,
    pub(super) before_sync: OnceLock<BeforeSync>,
    pub(super) failure: watch::Sender<Option<Failure>>,
    state: RwLock<State>,
    head: AtomicU64,
    /// Up to where anything was ever compacted.
    compacted: AtomicU64,
    /// None while the store is only read.
    pub(super) head_file: Option<Head>,
    /// First positions of rows that were put again since the feed is being copied; none while it is
    /// not.
    pub(super) put_again: Mutex<Option<BTreeSet<Position>>>,
    /// Dropped last: the store is closed before another process may have it.
    pub(super) lock: Lock,
}

/// What readers look at; locked for moments only, never while a disk is waited for.
pub(super) struct State {
    /// The newest rows, which the committer adds to.
    pub(super) active: Tail,
    /// The rows before them, while they are written as runs.
    pub(super) frozen: Option<Arc<Tail>>,
    /// Everything up to the checkpoint.
    pub(super) lists: Arc<Lists>,
    pub(super) checkpoint: Position,
    /// The feed whose bases the lists show.
    pub(super) bases: Arc<Feed>,
    /// Entries that are hidden and whose body still is in a row of the feed, with what stands there instead.
    pub(super) bodies_to_take: BTreeMap<Position, Action>,
}

impl Shared {
    pub(super) fn new(
        settings: &Settings,
        (feed, identity): (Feed, Identity),
        index: Index,
        lock: Lock,
    ) -> Self {
        let Current { lists, checkpoint, .. } = index.current();
        let feed = Arc::new(feed);
        let state = State {
            active: Tail::new(checkpoint.plus(1)),
            frozen: None,
            lists,
            checkpoint,
            bases: Arc::clone(&feed),
            bodies_to_take: BTreeMap::new(),
        };
        Self {
            settings: settings.clone(),
            feed: RwLock::new(feed),
            index,
            nodes: Nodes::new(settings.nodes_max),
            epochs: Epochs::default(),
            incarnations: Incarnations::one(identity.incarnation),
            naming: Naming::default(),
            hash: Hash::new(&identity.secret),
            identity,
            queue: Queue::new(settings.queue_bytes_max),
            handover: Handover::default(),
            meter: Meter::default(),
            on_commit: OnceLock::new(),
            before_sync: OnceLock::new(),
            on_answered: OnceLock::new(),
            on_clean: OnceLock::new(),
            failure: watch::Sender::new(None),
            state: RwLock::new(state),
            head: AtomicU64::new(checkpoint.get()),
            compacted: AtomicU64::default(),
            head_file: None,
            put_again: Mutex::default(),
            lock,
        }
    }

    /// The feed, as it is now.
    pub(super) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on the feed is this one.
    pub(super) fn set_feed(&self, feed: Feed) {
        *self.feed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(feed);
    }

    /// Puts a row that is in the feed again, changed.
    pub(super) fn put_again(&self, row: &Row) -> Result<(), Failure> {
        // Before the row is put: a copy of the feed may come by in between.
        if let Some(firsts) = self.put_again.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        {
            firsts.insert(row.first());
        }
        self.feed().put(row)
    }

    /// The last position that is on disk.
    pub(super) fn head(&self) -> Position {
        Position::new(self.head.load(Ordering::Acquire)).unwrap_or_default()
    }

    /// Up to where anything was ever compacted.
    pub(super) fn compacted(&self) -> Position {
        Position::new(self.compacted.load(Ordering::Acquire)).unwrap_or_default()
    }

    pub(super) fn set_compacted(&self, through: Position) {
        self.compacted.store(through.get(), Ordering::Release);
    }

    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets readers see rows that are on disk.
    pub(super) fn publish(&self, staged: Staged) {
        let mut state = self.state_mut();
        state.active.extend(staged);
        self.head.store(state.active.last().get(), Ordering::Release);
    }

    /// Lets readers see that a checkpoint was made, or that runs were merged.
    pub(super) fn publish_index(&self, current: &Current) {
        let mut state = self.state_mut();
        if state.frozen.as_ref().is_some_and(|frozen| frozen.last() <= current.checkpoint) {
            state.frozen = None;
        }
        state.lists = Arc::clone(&current.lists);
        state.checkpoint = current.checkpoint;
    }

    /// Lets readers see that the index says what the feed says that has taken the place of another.
    pub(super) fn publish_rewritten(&self, current: &Current) {
        let feed = self.feed();
        let mut state = self.state_mut();
        state.lists = Arc::clone(&current.lists);
        state.bases = feed;
    }

    /// Nothing is acknowledged after this, and the process is to end.
    pub(super) fn fail(&self, failure: Failure) {
        tracing::error!(%failure, "the log stops");
        self.failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
        self.queue.abandon();
        self.handover.stop();
    }

    /// Where the action is whose id has this key, if it is on disk.
    pub(super) fn find(&self, id: Key) -> Result<Option<Position>, ReadError> {
        let lists = {
            let state = self.state();
            let frozen = state.frozen.as_ref();
            let found = state.active.find(id).or_else(|| frozen.and_then(|frozen| frozen.find(id)));
            if found.is_some() {
                return Ok(found);
            }
            Arc::clone(&state.lists)
        };
        for part in lists.ids.iter().rev() {
            if let Some(value) = part.run.find(id)? {
                return Ok(position(&value));
            }
        }
        Ok(None)
    }

    /// The greatest id that `node` has on disk.
    pub(super) fn greatest(&self, node: Prefix) -> Result<Option<Key>, ReadError> {
        let (mut greatest, lists) = {
            let state = self.state();
            let frozen = state.frozen.as_ref().and_then(|frozen| frozen.greatest(node));
            (state.active.greatest(node).max(frozen), Arc::clone(&state.lists))
        };
        let (first, last) = (Key::first_of(node), Key::last_of(node));
        for part in lists.ids.iter().filter(|part| part.run.may_have(node)) {
            let mut scan = Scan::new(Arc::clone(&part.run), first, last, Order::Descending);
            greatest = greatest.max(scan.next().transpose()?.map(|item| item.key));
        }
        Ok(greatest)
    }

    /// Where the actions with the greatest ids of `node` are, at most `count`.
    pub(super) fn newest_of(&self, node: Prefix, count: usize) -> Result<Vec<Position>, ReadError> {
        let (mut ids, lists) = {
            let state = self.state();
            let mut ids = state.active.greatest_ids(node, count);
            let frozen = state.frozen.iter();
            ids.extend(frozen.flat_map(|frozen| frozen.greatest_ids(node, count)));
            (ids, Arc::clone(&state.lists))
        };
        let (first, last) = (Key::first_of(node), Key::last_of(node));
        for part in lists.ids.iter().filter(|part| part.run.may_have(node)) {
            let scan = Scan::new(Arc::clone(&part.run), first, last, Order::Descending);
            for item in scan.take(count) {
                let item = item?;
                ids.extend(position(&item.value).map(|position| (item.key, position)));
            }
        }
        ids.sort_unstable_by(|one, other| other.cmp(one));
        Ok(ids.into_iter().take(count).map(|(_, position)| position).collect())
    }

    /// The record at `position`, if it is on disk; an entry that is hidden without its body.
    pub(super) fn record(&self, position: Position) -> Result<Option<Record>, ReadError> {
        if position > self.head() {
            return Ok(None);
        }
        // The row in the feed, even while a frozen tail has a copy: what was cleaned since is not
        // hidden in that one.
        let (active, instead) = {
            let state = self.state();
            (state.active.record(position), state.bodies_to_take.get(&position).cloned())
        };
        let feed = self.feed();
        let record = match active {
            Some(record) => Some(record),
            None => feed.row_at(position)?.and_then(|row| row.record(position)),
        };
        let record = record.map(|record| Record::decode(position, &record)).transpose();
        Ok(match (record.map_err(|damage| feed.damaged(position, damage))?, instead) {
            (Some(Record::Entry(entry)), Some(instead)) => {
                Some(Record::Entry(put_instead(entry, instead)))
            }
            (Some(Record::Entry(entry)), None) => Some(Record::Entry(self.naming.apply(entry))),
            (record, _) => record,
        })
    }

    /// The entry at `position`, cleaned or not, if it is on disk.
    pub(super) fn entry(&self, position: Position) -> Result<Option<Entry>, ReadError> {
        match self.record(position)? {
            Some(Record::Entry(entry)) => Ok(Some(entry)),
            Some(Record::Clean(_) | Record::Erased(_) | Record::Alias(_)) | None => Ok(None),
        }
    }
}

/// The value of an id in a run.
pub(super) fn position(value: &[u8]) -> Option<Position> {
    Position::new(u64::from_be_bytes(value.try_into().ok()?))
}
