//! Opening a store: which one it is, what a crash left, and everything that is in the feed above
//! the checkpoint.

use super::checkpoint;
use super::clean;
use super::error::{Corrupt, Damage, OpenError};
use super::head::Head;
use super::identity::{FORMAT, Identity, OLDEST, Unusable};
use super::incarnations::Incarnations;
use super::index::Index;
use super::lock::Lock;
use super::origins::Origins;
use super::place::Place;
use super::prefix::Prefix;
use super::record::{Clean, Record};
use super::row::Row;
use super::settings::Settings;
use super::shared::Shared;
use super::store::Feed;
use super::tail::{Staged, Tail};
use crate::epochs::{Epoch, Epochs};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use tidelog_crdt::Position;

/// In the data directory.
pub(super) const FEED: &str = "feed";
pub(super) const INDEX: &str = "index";

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
    let feed_dir = settings.dir.join(FEED);
    if settings.read_only && !Feed::exists(&feed_dir) && !feed_dir.with_extension("old").exists() {
        return Err(OpenError::Missing { dir: settings.dir.clone() });
    }
    create_dir(&settings.dir).map_err(|source| OpenError::io(&settings.dir, source))?;
    let lock = Lock::take(&settings.dir)?;
    settle(&settings.dir)?;
    let feed = Feed::open(&feed_dir, settings.cache_bytes)?;
    let (identity, created) = identify(&feed, settings)?;
    let last = feed.last_row()?;
    let index = Index::open(&settings.dir.join(INDEX), &identity, last.is_none())?;
    let checkpoint = index.current().checkpoint;
    let acknowledged = Head::read(&settings.dir, &identity)?.unwrap_or_default();
    let accepted_ms = check_end(&feed, last.as_ref(), checkpoint.max(acknowledged))?;
    let compacted = feed.compacted()?;
    if !settings.read_only {
        feed.forget_loose(last.as_ref().map_or(Position::ZERO, Row::last))?;
    }
    let origins = Origins::of(feed.origins()?.into_iter(), feed.loose()?);
    let incarnations = Incarnations::new(feed.lives()?, identity.incarnation, origins);
    let named = feed.named()?;
    let mut shared = Shared::new(settings, (feed, identity), index, lock);
    shared.set_compacted(compacted);
    shared.incarnations = incarnations;
    for (position, named) in named {
        shared.naming.set(position, named);
    }
    let folded = fold(&shared, settings.tail_bytes, &mut |_| {})?;
    if !settings.read_only {
        shared.head_file = Some(Head::open(&settings.dir, &shared.identity, shared.head())?);
    }
    shared.epochs = Epochs::new(epochs(&shared, now_ms, settings.read_only)?);
    Ok(Recovered { shared, created, checkpoint, folded, accepted_ms })
}

/// Finishes what a crash has cut off.
pub(super) fn settle(dir: &Path) -> Result<(), OpenError> {
    for place in [FEED, INDEX].map(|name| Place::new(dir.join(name))) {
        place.settle().map_err(|source| OpenError::io(place.dir(), source))?;
    }
    Ok(())
}

/// Which store the feed is, or, if it is empty, becomes.
fn identify(feed: &Feed, settings: &Settings) -> Result<(Identity, bool), OpenError> {
    if let Some((identity, format)) = identity(feed, &settings.dir)? {
        if format < FORMAT && !settings.read_only {
            // From here on an earlier version would not understand what may be written.
            feed.put_identity(&identity.encode())?;
        }
        return Ok((identity, false));
    }
    let rows = feed.last_row()?.is_some();
    if rows || Head::exists(&settings.dir) {
        return Err(nameless(feed, rows).into());
    }
    let identity = Identity::draw().map_err(|error| OpenError::Disk(error.to_string().into()))?;
    feed.put_identity(&identity.encode())?;
    Ok((identity, true))
}

/// Which store the feed is and in which format, if it says so.
pub(super) fn identity(feed: &Feed, dir: &Path) -> Result<Option<(Identity, u32)>, OpenError> {
    let Some(bytes) = feed.identity()? else { return Ok(None) };
    let dir = dir.to_path_buf();
    Identity::decode(&bytes).map(Some).map_err(|unusable| match unusable {
        Unusable::Newer(found) => OpenError::Newer { dir, found, supported: FORMAT },
        Unusable::Older(found) => OpenError::Older { dir, found, oldest: OLDEST },
        Unusable::Damaged(damage) => feed.damaged(Position::ZERO, damage).into(),
    })
}

/// The feed does not say which store it is, and it is not a new one.
pub(super) fn nameless(feed: &Feed, rows: bool) -> Corrupt {
    if rows {
        let damage = Damage("there are rows, and nothing says which store they are of");
        return feed.damaged(Position::ZERO, damage);
    }
    Corrupt {
        way_out: "restore the directory `feed` from a backup, or delete everything in the data \
                  directory to start anew",
        ..feed.damaged(Position::ZERO, Damage("it is empty, and there was a store here"))
    }
}

/// The feed ends with the row before `next`, and more was acknowledged.
pub(super) fn cut_off(feed: &Feed, next: Position) -> Corrupt {
    Corrupt {
        way_out: "restore `feed` from a backup; if that is what was just done, or to go on without \
                  what is missing, delete `index` and `head`",
        ..feed.damaged(next, Damage("the feed ends before what was acknowledged"))
    }
}

/// Checks that the feed does not end before `acknowledged`; the time of its last commit.
fn check_end(feed: &Feed, last: Option<&Row>, acknowledged: Position) -> Result<u64, OpenError> {
    let next = last.map_or(Position::ZERO.plus(1), Row::next);
    if next <= acknowledged {
        return Err(cut_off(feed, next).into());
    }
    let Some((position, record)) = last.and_then(|row| row.records().last()) else {
        return Ok(0);
    };
    match Record::decode(position, &record) {
        Ok(record) => Ok(record.accepted_ms()),
        Err(damage) => Err(feed.damaged(position, damage).into()),
    }
}

/// Reads what is above the checkpoint into the tail, and writes runs when it is full; how many
/// records that were.
pub(super) fn fold(
    shared: &Shared,
    tail_bytes: usize,
    told: &mut dyn FnMut(Position),
) -> Result<u64, OpenError> {
    let mut folded = 0;
    let feed = shared.feed();
    let shown = shown_above(&feed, shared.head())?;
    for row in feed.rows_above(shared.head())? {
        let row = row?;
        let expected = shared.state().active.next();
        if row.first() != expected {
            return Err(feed.gap(expected).into());
        }
        folded += row.next().get() - row.first().get();
        fold_row(shared, row, &shown)?;
        if shared.state().active.bytes() >= tail_bytes {
            write_tail(shared)?;
            told(shared.head());
        }
    }
    Ok(folded)
}

/// In which logs something is shown at which position instead of entries that went.
type Shown = BTreeMap<Position, Vec<Prefix>>;

fn shown_above(feed: &Feed, above: Position) -> Result<Shown, OpenError> {
    let mut shown = Shown::new();
    if feed.compacted()? > above {
        for place in feed.shown_places(above) {
            let (position, prefix) = place?;
            shown.entry(position).or_default().push(prefix);
        }
    }
    Ok(shown)
}

fn fold_row(shared: &Shared, row: Row, shown: &Shown) -> Result<(), OpenError> {
    let mut staged = Staged::default();
    let mut targets = Vec::new();
    for (position, record) in row.records() {
        let logs = shown.get(&position).into_iter().flatten();
        staged.logs.extend(logs.map(|log| (*log, position)));
        let record = Record::decode(position, &record)
            .map_err(|damage| shared.feed().damaged(position, damage))?;
        match record {
            Record::Entry(entry) => {
                staged.count(&entry, &shared.hash);
                staged.ids.push((shared.hash.id(&entry.id), position));
                if !entry.cleaned {
                    let logs = entry.addresses.logs().map(|log| (shared.hash.log(&log), position));
                    staged.logs.extend(logs);
                }
            }
            Record::Clean(clean) => targets.push(clean),
            Record::Erased(erased) => staged.ids.extend(erased.id.map(|id| (id, position))),
            // Its names are kept beside it.
            Record::Alias(_) => {}
        }
    }
    staged.rows.push(row);
    shared.publish(staged);
    for Clean { target, instead, .. } in targets {
        if let Some(entry) = shared.entry(target)? {
            let bytes = shared.counted(&entry)?;
            clean::hide(shared, entry, bytes, instead);
        }
    }
    Ok(())
}

/// What the committer and the checkpointer do together while the store is served.
pub(super) fn write_tail(shared: &Shared) -> Result<(), OpenError> {
    clean::rewrite(shared, usize::MAX)?;
    shared.feed().sync()?;
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
    let mut epochs = shared.feed().epochs()?;
    if !read_only {
        let id = getrandom::u64().map_err(|error| OpenError::Disk(error.to_string().into()))?;
        let first = shared.head().plus(1);
        let epoch = Epoch { first, id, started_ms: now_ms };
        shared.feed().put_epoch(&epoch)?;
        // One that started here too gave no position.
        epochs.retain(|earlier| earlier.first < first);
        epochs.push(epoch);
    }
    Ok(epochs)
}

/// Makes the data directory, readable by its owner only, and makes sure that a power loss does not
/// take it away again.
pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<_> = dir.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for created in missing {
        let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
