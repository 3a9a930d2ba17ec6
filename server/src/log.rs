//! The log: every accepted action, durable, in order, found by log and by id.

mod entry;
mod error;
mod settings;

pub use entry::{
    Addresses, Channel, ChannelError, Cleaned, Draft, Entry, LogName, NodeRecord, Outcome, Page,
    PageLimit,
};
pub use error::{Corrupt, Failure, OpenError, ReadError, Stopped};
pub use settings::Settings;

use std::fmt;
use std::sync::Arc;
use tidelog_crdt::{Incarnation, Position};
use tidelog_protocol::{ActionId, NodeId, UserId};
use uuid::Uuid;

/// One run of the process, as wire numbers know it: 64 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochId(pub u64);

/// Called with the entries of each commit, in order of position, once they are on disk.
pub type OnCommit = Arc<dyn Fn(&[Arc<Entry>]) + Send + Sync>;

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

/// A handle of the log; clones are the same log.
#[derive(Clone)]
pub struct Log(Arc<()>);

#[expect(clippy::unused_self, reason = "signatures come before bodies on this branch")]
#[expect(clippy::unused_async, reason = "signatures come before bodies on this branch")]
#[expect(clippy::needless_pass_by_value, reason = "signatures come before bodies on this branch")]
#[expect(unused_variables, reason = "signatures come before bodies on this branch")]
impl Log {
    /// Opens the store, repairs what a crash left, and starts an epoch that is on disk on return.
    /// Blocks.
    pub fn open(settings: Settings, now_ms: u64) -> Result<(Self, Opened), OpenError> {
        unimplemented!()
    }

    /// The life of this store.
    pub fn incarnation(&self) -> Incarnation {
        unimplemented!()
    }

    /// The identity of this store.
    pub fn store_id(&self) -> Uuid {
        unimplemented!()
    }

    /// The last position that is on disk and published.
    pub fn head(&self) -> Position {
        unimplemented!()
    }

    /// The epoch of this run of the process.
    pub fn epoch(&self) -> EpochId {
        unimplemented!()
    }

    /// The epoch in which `position` was given; none above the head's epoch table.
    pub fn epoch_of(&self, position: Position) -> Option<EpochId> {
        unimplemented!()
    }

    /// Which run of the process gave which positions.
    pub fn epochs(&self) -> crate::epochs::Epochs {
        unimplemented!()
    }

    /// Sets who hears of commits; once, before the first append. It is called on the committer's
    /// thread, so it must be short.
    pub fn on_commit(&self, heard: OnCommit) {
        unimplemented!()
    }

    /// Appends `drafts` in order, in one commit where it can; waits for room in the queue and
    /// returns when they are on disk and published, one outcome for each.
    pub async fn append(&self, drafts: Vec<Draft>, now_ms: u64) -> Result<Vec<Outcome>, Stopped> {
        unimplemented!()
    }

    /// Takes the body of an action out of the log, if `owner` made it. The id stays known.
    pub async fn clean(
        &self,
        owner: UserId,
        id: ActionId,
        now_ms: u64,
    ) -> Result<Cleaned, Stopped> {
        unimplemented!()
    }

    /// The entries of `log` above `above`, up to and including `until`. May wait for the disk.
    pub fn read(
        &self,
        log: &LogName,
        above: Position,
        until: Position,
        limit: PageLimit,
    ) -> Result<Page, ReadError> {
        unimplemented!()
    }

    /// The same page as [`Log::read`], if memory alone has it.
    pub fn read_cached(
        &self,
        log: &LogName,
        above: Position,
        until: Position,
        limit: PageLimit,
    ) -> Option<Page> {
        unimplemented!()
    }

    /// The last `count` entries of `log`, ascending; `more` says that older ones exist. May wait
    /// for the disk.
    pub fn newest(&self, log: &LogName, count: usize) -> Result<Page, ReadError> {
        unimplemented!()
    }

    /// The entries of all logs above `above`, ascending. May wait for the disk.
    pub fn feed(&self, above: Position, limit: PageLimit) -> Result<Page, ReadError> {
        unimplemented!()
    }

    /// The entry at `position`. May wait for the disk.
    pub fn entry(&self, position: Position) -> Result<Option<Arc<Entry>>, ReadError> {
        unimplemented!()
    }

    /// Where the action named `id` is. May wait for the disk.
    pub fn find(&self, id: &ActionId) -> Result<Option<Position>, ReadError> {
        unimplemented!()
    }

    /// What is remembered of `node`. May wait for the disk.
    pub fn node(&self, node: &NodeId) -> Result<Option<NodeRecord>, ReadError> {
        unimplemented!()
    }

    /// Remembers `record` of `node`; written to disk within about a second.
    pub fn save_node(&self, node: NodeId, record: NodeRecord) {
        unimplemented!()
    }

    /// Resolves when a commit could not be made durable; the process must end then.
    pub async fn failed(&self) -> Failure {
        unimplemented!()
    }

    /// Takes nothing more, finishes what is queued, and writes a last checkpoint.
    pub async fn close(&self) -> Result<(), Failure> {
        unimplemented!()
    }
}
