//! Making everything derived again from the feed, beside what is there, and putting it in its place in
//! one step: a process that is killed half-way has changed nothing.

use super::error::OpenError;
use super::index::{Index, read_manifest};
use super::lock::Lock;
use super::nodes;
use super::place::Place;
use super::recover::{FEED, INDEX, fold, identity, settle, write_tail};
use super::settings::Settings;
use super::shared::Shared;
use super::store::{Feed, IndexStore};
use std::sync::atomic::AtomicBool;
use tidelog_crdt::Position;

/// What a rebuilding has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The last position of the feed, up to which the index is made.
    pub head: Position,
    /// Records of the feed that were read.
    pub folded: u64,
    /// Records of nodes that were taken over.
    pub nodes: u64,
    /// Why the other ones were not, if that is so. Losing them costs repeats, never an entry.
    pub nodes_lost: Option<String>,
}

/// Makes the index of a store again that no process has open. Blocks; `told` hears up to where.
pub fn rebuild(settings: &Settings, told: &mut dyn FnMut(Position)) -> Result<Rebuilt, OpenError> {
    let dir = &settings.dir;
    let missing = || OpenError::Missing { dir: dir.clone() };
    if !dir.exists() {
        return Err(missing());
    }
    let lock = Lock::take(dir)?;
    settle(dir)?;
    if !Feed::exists(&dir.join(FEED)) {
        return Err(missing());
    }
    let feed = Feed::open(&dir.join(FEED), settings.cache_bytes)?;
    let (identity, _) = identity(&feed, dir)?.ok_or_else(missing)?;
    let place = Place::new(dir.join(INDEX));
    let io = |source| OpenError::io(place.dir(), source);
    place.clear_next().map_err(io)?;
    let index = Index::open(&place.next(), &identity, true)?;
    let shared = Shared::new(settings, (feed, identity), index, lock);
    let folded = fold(&shared, settings.tail_bytes, told)?;
    if !shared.state().active.is_empty() {
        write_tail(&shared)?;
    }
    while let Some(due) = shared.index.due() {
        let publish = |current: &_| shared.publish_index(current);
        shared.index.merge(&due, &AtomicBool::new(false), publish)?;
    }
    let (nodes, nodes_lost) = match take_over_nodes(&place, &shared) {
        Ok(nodes) => (nodes, None),
        Err(error) => (0, Some(error.to_string())),
    };
    let head = shared.head();
    // The databases are closed before they are moved, and the lock is held until that is done.
    let Shared { index, lock, .. } = shared;
    drop(index);
    place.switch().map_err(io)?;
    place.remove_old().map_err(io)?;
    drop(lock);
    Ok(Rebuilt { head, folded, nodes, nodes_lost })
}

/// The records of nodes are no more than what sessions remember, but nothing else has them.
fn take_over_nodes(place: &Place, shared: &Shared) -> Result<u64, OpenError> {
    let dir = Index::records(place.dir());
    if !dir.exists() {
        return Ok(0);
    }
    let (old, fresh) = (IndexStore::open(&dir)?, shared.index.store());
    // A feed that was rewritten since may have lost the user of a record for good.
    if !read_manifest(&old, place.dir())?.is_some_and(|known| known.is_of(&shared.identity)) {
        return Err(OpenError::Disk("they were written for another state of the feed".into()));
    }
    let mut count = 0;
    for record in old.nodes("") {
        let (node, record) = record?;
        if nodes::decode(&record).is_some() {
            fresh.put_node(&node, &record)?;
            count += 1;
        }
    }
    fresh.put_nodes(std::iter::empty())?;
    Ok(count)
}
