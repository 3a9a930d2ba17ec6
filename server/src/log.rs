//! The log: every accepted action, durable, in order, found by log and by id.
//!
//! The feed is the truth: rows of whole entries in order of position, and the only thing that an
//! acknowledgement waits for. What readers need beside it (the entries of each log together, ids,
//! records of nodes) is derived: in memory for the newest part, the *tail*, and in runs behind it.
//!
//! ```text
//! append → queue → committer → feed (sled, synced) → tail → on_commit → answer
//!                                                     ↓ full
//!                                                checkpointer → runs → merged runs
//! ```
//!
//! In order of reading: `entry` (what is stored), `record` and `row` (its bytes), `store` (all that
//! knows sled), `queue`, `committer`, `tail`, `handover`, `checkpoint`, `index` with `run` and
//! `merge`, `read`, `clean`, `recover`.
//!
//! A data directory has `feed/`, `index/` and `lock`. Without `index/` it is whole: the next opening
//! makes it again. No run of the index is ever written over, and a checkpoint names only runs that
//! are synced, so a crash leaves nothing to repair but files that nobody names.

mod base;
mod binary;
mod bloom;
mod check;
mod checkpoint;
mod clean;
mod committer;
mod compact;
mod entry;
mod erase;
mod error;
mod export;
#[cfg(test)]
mod fuzz;
mod handover;
mod head;
mod identity;
mod incarnations;
mod index;
mod lock;
mod manifest;
mod marks;
mod merge;
mod meter;
mod naming;
mod nodes;
mod origins;
mod outgoing;
mod place;
mod positions;
mod prefix;
mod queue;
mod read;
mod rebuild;
mod recent;
mod record;
mod recover;
mod restore;
mod rewrite;
mod room;
mod row;
mod run;
mod settings;
mod shared;
mod snapshot;
mod store;
mod tail;
mod undo;
mod usage;

pub(crate) use base::{Base, Bases};
pub use check::{Counts, Finding, Progress, Report, Severity, check};
pub(crate) use compact::{Compacted, Compacting, Step as CompactionStep};
pub use entry::{
    Addresses, Causes, Channel, ChannelError, Cleaned, Draft, Entry, Foreign, LogName, NodeRecord,
    Outcome, Page, PageLimit, Rejected, Step,
};
pub use erase::Removed;
pub(crate) use erase::{Going, Past};
pub use error::{Corrupt, Failure, OpenError, ReadError, Stopped};
pub use export::Piece;
pub use incarnations::Incarnations;
pub use meter::Meter;
pub(crate) use outgoing::Outgoing;
pub(crate) use positions::Positions;
pub use rebuild::{Rebuilt, rebuild};
pub(crate) use restore::Restoring;
pub use rewrite::RewriteError;
pub use settings::Settings;
pub use shared::{BeforeSync, OnAnswered, OnClean, OnCommit};
pub(crate) use snapshot::{Item, Snapshot};
pub(crate) use undo::{is_server, target as undo_target, undo};
pub use usage::{BYTES_BESIDE, bytes_of_json};

use crate::clock::Stopwatch;
use crate::epochs::Epochs;
use bytes::Bytes;
use checkpoint::Merging;
use committer::{Committer, Terms};
use queue::{Append, BatchLimit, NoteRequest, Request, cost};
use recover::Recovered;
use shared::Shared;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tidelog_crdt::{Incarnation, Position};
use tidelog_protocol::{ActionId, NodeId, UserId};
use tokio::sync::oneshot;
use uuid::Uuid;

/// What opening found, for one line of the server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Whether the store was created just now.
    pub created: bool,
    /// The store's identity.
    pub store_id: Uuid,
    /// The store's life.
    pub incarnation: Incarnation,
    /// The last position.
    pub head: Position,
    /// Up to where derived data was on disk.
    pub checkpoint: Position,
    /// Entries read from the feed above the checkpoint.
    pub folded: u64,
    /// How long it took.
    pub took_ms: u64,
}

impl Opened {
    fn of(recovered: &Recovered, began: Instant) -> Self {
        Self {
            created: recovered.created,
            store_id: recovered.shared.identity.store_id,
            incarnation: recovered.shared.identity.incarnation,
            head: recovered.shared.head(),
            checkpoint: recovered.checkpoint,
            folded: recovered.folded,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.created { "created" } else { "opened" };
        write!(
            f,
            "{what} store {} (incarnation {}): head {}, checkpoint {}, {} entries folded, {} ms",
            self.store_id, self.incarnation, self.head, self.checkpoint, self.folded, self.took_ms
        )
    }
}

/// How full the log is, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that wait for the committer or are being committed.
    pub queue_bytes: usize,
    /// Memory of the tail, both halves.
    pub tail_bytes: usize,
    /// Runs of entries on disk.
    pub runs: usize,
    /// Up to where derived data is on disk.
    pub checkpoint: Position,
    /// Node records that did not fit and were forgotten.
    pub nodes_dropped: u64,
}

/// A handle of the log; clones are the same log. When the last one goes, what was appended is on
/// disk, and the threads have ended; only [`Log::close`] writes a last checkpoint.
#[derive(Clone)]
pub struct Log(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    merging: Arc<Merging>,
    /// The committer first: the others serve it.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Log {
    /// Opens the store, repairs what a crash left, and starts an epoch that is on disk on return.
    /// Blocks.
    #[expect(clippy::needless_pass_by_value, reason = "they are the log's from here on")]
    pub fn open(settings: Settings, now_ms: u64) -> Result<(Self, Opened), OpenError> {
        #[expect(clippy::disallowed_methods, reason = "only tells how long opening took")]
        let began = Instant::now();
        let recovered = recover::open(&settings, now_ms)?;
        let opened = Opened::of(&recovered, began);
        let handle = Handle {
            shared: Arc::new(recovered.shared),
            merging: Arc::default(),
            threads: Mutex::default(),
        };
        if settings.read_only {
            handle.shared.queue.close();
        } else {
            let spawned = handle.spawn(&settings, recovered.accepted_ms);
            spawned.map_err(|source| OpenError::io(&settings.dir, source))?;
        }
        Ok((Self(Arc::new(handle)), opened))
    }

    /// Whether there is a store in `dir`.
    pub fn exists(dir: &Path) -> bool {
        store::Feed::exists(&dir.join("feed"))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// The life of this store.
    pub fn incarnation(&self) -> Incarnation {
        self.shared().identity.incarnation
    }

    /// All lives of this store, and which positions each gave.
    pub fn incarnations(&self) -> Incarnations {
        self.shared().incarnations.clone()
    }

    /// The identity of this store.
    pub fn store_id(&self) -> Uuid {
        self.shared().identity.store_id
    }

    /// How often the feed has been rewritten: what was derived from an earlier generation may have
    /// what is gone.
    pub fn generation(&self) -> u64 {
        self.shared().index.current().generation
    }

    /// The last position that is on disk.
    pub fn head(&self) -> Position {
        self.shared().head()
    }

    /// Which run of the process gave which positions, this run included.
    pub fn epochs(&self) -> Epochs {
        self.shared().epochs.clone()
    }

    /// Sets who hears of commits; the first one stays. It is called on the committer's thread,
    /// before `append` returns, so it must be short.
    pub fn on_commit(&self, heard: OnCommit) {
        // Set once at start-up; a second one would be a fault of the program, and is ignored.
        let _ = self.shared().on_commit.set(heard);
    }

    /// Sets who is called before each sync that a commit waits for; the first one stays. The commit
    /// waits for it too: so a test has a disk that is as slow as it likes.
    pub fn before_sync(&self, called: BeforeSync) {
        // As above.
        let _ = self.shared().before_sync.set(called);
    }

    /// Sets who hears, after who hears of commits, that those who appended are answered; the first one
    /// stays. To wake readers only then spares authors who read, too, to be woken twice.
    pub fn on_answered(&self, heard: OnAnswered) {
        // As above.
        let _ = self.shared().on_answered.set(heard);
    }

    /// Sets who hears of entries that are cleaned; the first one stays. It is called like who hears of
    /// commits. Returns the logs of those that were cleaned just before the store was closed, or fell.
    pub fn on_clean(&self, heard: OnClean) -> Result<Vec<LogName>, ReadError> {
        // As above.
        let _ = self.shared().on_clean.set(heard);
        let unfinished = self.shared().state().bodies_to_take.clone();
        let mut logs = Vec::new();
        for position in unfinished.into_keys() {
            let entry = self.shared().entry(position)?;
            logs.extend(entry.iter().flat_map(|entry| entry.addresses.logs()));
        }
        Ok(logs)
    }

    /// Takes `steps` in order and in one commit; waits for room in the queue and returns when they
    /// are on disk and published, one outcome for each.
    pub async fn commit(&self, steps: Vec<Step>, now_ms: u64) -> Result<Vec<Outcome>, Stopped> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let (queue, since) = (&self.shared().queue, Stopwatch::start());
        let room = queue.room(cost(&steps)).await?;
        let (answer, answered) = oneshot::channel();
        queue.push(Request::Append(Append { steps, now_ms, answer, room }))?;
        let outcomes = answered.await.map_err(|_| Stopped)?;
        self.meter().append_seconds.observe(since.seconds());
        Ok(outcomes)
    }

    /// Appends `drafts` in order and in one commit: [`Log::commit`] of nothing else.
    pub async fn append(&self, drafts: Vec<Draft>, now_ms: u64) -> Result<Vec<Outcome>, Stopped> {
        self.commit(drafts.into_iter().map(Step::Append).collect(), now_ms).await
    }

    /// Takes one body out of the log: [`Log::commit`] of nothing else.
    pub async fn clean(
        &self,
        owner: UserId,
        id: ActionId,
        now_ms: u64,
    ) -> Result<Cleaned, Stopped> {
        let outcomes = self.commit(vec![Step::Clean(owner, id)], now_ms).await?;
        match outcomes.first() {
            Some(Outcome::Cleaned(cleaned)) => Ok(*cleaned),
            _ => Err(Stopped),
        }
    }

    /// The entries of `log` above `above`, up to and including `until`. May wait for the disk.
    pub fn read(
        &self,
        log: &LogName,
        above: Position,
        until: Position,
        limit: PageLimit,
    ) -> Result<Page, ReadError> {
        self.shared().page(log, (above, until), limit)
    }

    /// The same page as [`Log::read`], if memory alone has it.
    pub fn read_cached(
        &self,
        log: &LogName,
        above: Position,
        until: Position,
        limit: PageLimit,
    ) -> Option<Page> {
        self.shared().page_in_memory(log, (above, until), limit)
    }

    /// The last entries of `log`, as many as `limit` allows, ascending; `more` says that older ones
    /// exist. May wait for the disk.
    pub fn newest(&self, log: &LogName, limit: PageLimit) -> Result<Page, ReadError> {
        self.shared().newest(log, limit)
    }

    /// The entries of all logs above `above`, ascending. May wait for the disk.
    pub fn feed(&self, above: Position, limit: PageLimit) -> Result<Page, ReadError> {
        self.shared().feed_page(above, limit)
    }

    /// The entry at `position`, cleaned or not. May wait for the disk.
    pub fn entry(&self, position: Position) -> Result<Option<Arc<Entry>>, ReadError> {
        Ok(self.shared().entry(position)?.map(Arc::new))
    }

    /// Where the action named `id` is. May wait for the disk.
    pub fn find(&self, id: &ActionId) -> Result<Option<Position>, ReadError> {
        self.shared().find(self.shared().hash.id(id))
    }

    /// Where the actions with the greatest ids of `node` are, at most `count`, in whatever logs. May wait for
    /// the disk.
    pub fn newest_of(&self, node: &NodeId, count: usize) -> Result<Vec<Position>, ReadError> {
        self.shared().newest_of(self.shared().hash.node(node), count)
    }

    /// How many bytes of `user`'s actions are kept, wherever they went: their JSON, and
    /// [`BYTES_BESIDE`] each. May wait for the disk.
    pub fn kept_bytes(&self, user: &UserId) -> Result<u64, ReadError> {
        self.shared().kept_bytes(self.shared().hash.user(user.as_str()))
    }

    /// What compaction made of the documents of `log`, if it did. May wait for the disk.
    pub(crate) fn bases(&self, log: &LogName) -> Result<Option<Bases>, ReadError> {
        self.shared().bases(log)
    }

    /// Up to where anything was ever compacted.
    pub(crate) fn compacted(&self) -> Position {
        self.shared().compacted()
    }

    /// What is remembered of `node`. May wait for the disk.
    pub fn node(&self, node: &NodeId) -> Result<Option<NodeRecord>, ReadError> {
        self.shared().nodes.get(node, &self.shared().index.store())
    }

    /// Remembers `record` of `node`; written to disk within about a second.
    pub fn save_node(&self, node: NodeId, record: NodeRecord) {
        self.shared().nodes.save(node, record);
    }

    /// The notes whose names begin with `start`: small facts that the server must not forget and
    /// that are nobody's actions. May wait for the disk.
    pub fn notes(&self, start: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
        self.shared().feed().notes(start)
    }

    /// The note of this name. May wait for the disk.
    pub fn note(&self, name: &str) -> Result<Option<Bytes>, ReadError> {
        self.shared().feed().note(name)
    }

    /// Up to `count` names of notes that begin with `start` and come after `after`, in order. May wait
    /// for the disk.
    pub fn note_names(
        &self,
        start: &str,
        after: &str,
        count: usize,
    ) -> Result<Vec<String>, ReadError> {
        self.shared().feed().note_names(start, after, count)
    }

    /// Keeps `note` under its name, or forgets what is kept under it; on disk on return.
    pub async fn keep_note(&self, name: String, note: Option<Vec<u8>>) -> Result<(), Stopped> {
        self.keep_notes(vec![(name, note)]).await
    }

    /// The same for several, in this order and with one sync; a crash may leave the first of them.
    pub async fn keep_notes(&self, notes: Vec<(String, Option<Vec<u8>>)>) -> Result<(), Stopped> {
        let (answer, answered) = oneshot::channel();
        self.shared().queue.push(Request::Note(NoteRequest { notes, answer }))?;
        answered.await.map_err(|_| Stopped)
    }

    /// How long the disk takes, and how much a commit holds.
    pub fn meter(&self) -> &Meter {
        &self.shared().meter
    }

    /// Forgets nodes that were last seen before `seen_ms`; how many. Blocks. Who comes back after that
    /// starts anew, with repeats.
    pub fn forget_nodes(&self, seen_ms: u64) -> Result<u64, Failure> {
        self.shared().nodes.forget_older(seen_ms, &self.shared().index)
    }

    /// How full the log is.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let state = shared.state();
        let frozen = state.frozen.as_ref().map_or(0, |frozen| frozen.bytes());
        Stats {
            queue_bytes: shared.queue.bytes(),
            tail_bytes: state.active.bytes() + frozen,
            runs: state.lists.entries.len(),
            checkpoint: state.checkpoint,
            nodes_dropped: shared.nodes.dropped(),
        }
    }

    /// Resolves when something could not be made durable; the process must end then.
    pub async fn failed(&self) -> Failure {
        let mut failure = self.shared().failure.subscribe();
        // The sender lives as long as this handle.
        match failure.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(failure)) => failure.clone(),
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Takes nothing more, finishes what is queued, and writes a last checkpoint.
    pub async fn close(&self) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        if self.shared().queue.push(Request::Close(answer)).is_ok() {
            // Without an answer there is a failure, or the log was closed twice.
            let _ = answered.await;
        }
        self.shared().failure.borrow().clone().map_or(Ok(()), Err)
    }
}

impl Handle {
    fn spawn(&self, settings: &Settings, accepted_ms: u64) -> std::io::Result<()> {
        let terms = Terms {
            batch: BatchLimit {
                actions: settings.commit_actions_max,
                bytes: settings.commit_bytes_max,
            },
            tail_bytes: settings.tail_bytes,
            marks_max: settings.marks_max,
            kept_bytes_max: settings.kept_bytes_max,
            accepted_ms,
        };
        let committer = Committer::new(Arc::clone(&self.shared), terms);
        self.thread("log-commit", || committer.run())?;
        let (shared, merging) = (Arc::clone(&self.shared), Arc::clone(&self.merging));
        self.thread("log-checkpoint", move || checkpoint::run(&shared, &merging))?;
        let (shared, merging) = (Arc::clone(&self.shared), Arc::clone(&self.merging));
        self.thread("log-merge", move || checkpoint::run_merges(&shared, &merging))
    }

    fn thread(&self, name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let thread = thread::Builder::new().name(name.into()).spawn(work)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (nth, thread) in threads.drain(..).enumerate() {
            // A panic in it was caught and reported.
            let _ = thread.join();
            if nth == 0 {
                self.merging.stop();
                self.shared.handover.stop();
            }
        }
    }
}
