//! Opening a store: which one it is, what a crash left, and everything that is in the feed above
//! the checkpoint.

use super::checkpoint;
use super::clean;
use super::error::{Corrupt, Damage, OpenError};
use super::identity::{FORMAT, Identity, Unusable};
use super::index::Index;
use super::lock::Lock;
use super::nodes::Nodes;
use super::queue::Queue;
use super::record::Record;
use super::row::Row;
use super::settings::Settings;
use super::shared::Shared;
use super::store::Feed;
use super::tail::{Staged, Tail};
use crate::epochs::{Epoch, Epochs};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use tidelog_crdt::Position;

/// A store that is ready to be served.
pub(super) struct Recovered {
    pub(super) shared: Shared,
    pub(super) created: bool,
    /// Up to where derived data was on disk.
    pub(super) checkpoint: Position,
    /// Records read from the feed above that.
    pub(super) folded: u64,
    /// When the last commit was made, in ms since the epoch.
    pub(super) accepted_ms: u64,
}

/// Opens the store in the directory that exists.
pub(super) fn open(settings: &Settings, now_ms: u64) -> Result<Recovered, OpenError> {
    let feed_dir = settings.dir.join("feed");
    if settings.read_only && !Feed::exists(&feed_dir) {
        return Err(OpenError::Missing { dir: settings.dir.clone() });
    }
    create_dir(&settings.dir)
        .map_err(|source| OpenError::Io { file: settings.dir.clone(), source })?;
    let lock = Lock::take(&settings.dir)?;
    let feed = Feed::open(&feed_dir, settings.cache_bytes)?;
    let (identity, created) = identify(&feed, settings)?;
    let last = feed.last_row()?;
    let index = Index::open(&settings.dir.join("index"), &identity, last.is_none())?;
    let checkpoint = index.current().checkpoint;
    let accepted_ms = check_end(&feed, last.as_ref(), checkpoint)?;
    let rest = (Queue::new(settings.queue_bytes_max), Nodes::new(settings.nodes_max));
    let mut shared = Shared::new(feed, index, identity, rest, lock);
    let folded = fold(&shared, settings.tail_bytes)?;
    shared.epochs = Epochs::new(epochs(&shared, now_ms, settings.read_only)?);
    Ok(Recovered { shared, created, checkpoint, folded, accepted_ms })
}

/// Which store the feed is, or, if it is empty, becomes.
fn identify(feed: &Feed, settings: &Settings) -> Result<(Identity, bool), OpenError> {
    if let Some(bytes) = feed.identity()? {
        let identity = Identity::decode(&bytes).map_err(|unusable| match unusable {
            Unusable::Newer(found) => {
                OpenError::Newer { dir: settings.dir.clone(), found, supported: FORMAT }
            }
            Unusable::Damaged(damage) => feed.damaged(Position::ZERO, damage).into(),
        })?;
        return Ok((identity, false));
    }
    if let Some(row) = feed.last_row()? {
        let damage = Damage("there are rows, and nothing says which store they are of");
        return Err(feed.damaged(row.first(), damage).into());
    }
    let identity = Identity::draw().map_err(|error| OpenError::Disk(error.to_string().into()))?;
    feed.put_identity(&identity.encode())?;
    Ok((identity, true))
}

/// Checks that the feed does not end before the checkpoint; the time of its last commit.
fn check_end(feed: &Feed, last: Option<&Row>, checkpoint: Position) -> Result<u64, OpenError> {
    let next = last.map_or(Position::ZERO.plus(1), Row::next);
    if next <= checkpoint {
        return Err(Corrupt {
            way_out: "restore `feed` from a backup; if that is what was just done, delete `index`",
            ..feed.damaged(next, Damage("the feed ends before what the index was made from"))
        }
        .into());
    }
    let Some((position, record)) = last.and_then(|row| row.records().last()) else {
        return Ok(0);
    };
    match Record::decode(position, &record) {
        Ok(Record::Entry(entry)) => Ok(entry.accepted_ms),
        Ok(Record::Clean(clean)) => Ok(clean.accepted_ms),
        Err(damage) => Err(feed.damaged(position, damage).into()),
    }
}

/// Reads what is above the checkpoint into the tail, and writes runs when it is full; how many
/// records that were.
fn fold(shared: &Shared, tail_bytes: usize) -> Result<u64, OpenError> {
    let mut folded = 0;
    for row in shared.feed.rows_above(shared.head())? {
        let row = row?;
        let expected = shared.state().active.next();
        if row.first() != expected {
            return Err(shared.feed.gap(expected).into());
        }
        folded += row.next().get() - row.first().get();
        fold_row(shared, row)?;
        if shared.state().active.bytes() >= tail_bytes {
            write_tail(shared)?;
        }
    }
    Ok(folded)
}

fn fold_row(shared: &Shared, row: Row) -> Result<(), OpenError> {
    let mut staged = Staged::default();
    let mut targets = Vec::new();
    for (position, record) in row.records() {
        let record = Record::decode(position, &record)
            .map_err(|damage| shared.feed.damaged(position, damage))?;
        match record {
            Record::Entry(entry) => {
                staged.count(&entry, &shared.hash);
                staged.ids.push((shared.hash.id(&entry.id), position));
                if !entry.cleaned {
                    let logs = entry.addresses.logs().map(|log| (shared.hash.log(&log), position));
                    staged.logs.extend(logs);
                }
            }
            Record::Clean(clean) => targets.push(clean.target),
        }
    }
    staged.rows.push(row);
    shared.publish(staged);
    for target in targets {
        if let Some(entry) = shared.entry(target)? {
            let bytes = shared.counted(&entry)?;
            clean::hide(shared, entry, bytes);
        }
    }
    Ok(())
}

/// What the committer and the checkpointer do together while the store is served.
fn write_tail(shared: &Shared) -> Result<(), OpenError> {
    clean::rewrite(shared, usize::MAX)?;
    shared.feed.sync()?;
    let tail = {
        let mut state = shared.state_mut();
        let next = Tail::new(state.active.next());
        std::mem::replace(&mut state.active, next)
    };
    checkpoint::write(shared, &tail)?;
    Ok(())
}

/// The epochs there were, and a new one that is on disk on return, unless the store is only read.
fn epochs(shared: &Shared, now_ms: u64, read_only: bool) -> Result<Vec<Epoch>, OpenError> {
    let mut epochs = shared.feed.epochs()?;
    if !read_only {
        let id = getrandom::u64().map_err(|error| OpenError::Disk(error.to_string().into()))?;
        let first = shared.head().plus(1);
        let epoch = Epoch { first, id, started_ms: now_ms };
        shared.feed.put_epoch(&epoch)?;
        // One that started here too gave no position.
        epochs.retain(|earlier| earlier.first < first);
        epochs.push(epoch);
    }
    Ok(epochs)
}

/// Makes the data directory, readable by its owner only, and makes sure that a power loss does not
/// take it away again.
fn create_dir(dir: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<_> = dir.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for created in missing {
        let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
