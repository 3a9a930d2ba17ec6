//! A store that is put together from the items of a backup, in a directory that has nothing.
//!
//! Until it is complete there is no `feed` in the directory, and a `head` that says that there is to be
//! one: a server that is started there meanwhile, or after a kill, refuses.

use super::error::{Damage, OpenError};
use super::head::Head;
use super::identity::{FORMAT, Identity, OLDEST, Unusable};
use super::incarnations::Life;
use super::lock::Lock;
use super::place::Place;
use super::recover::{FEED, create_dir};
use super::room::Room;
use super::row::Row;
use super::snapshot::Item;
use super::store::Feed;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tidelog_crdt::{Incarnation, Position};
use uuid::Uuid;

/// Page cache while it is written.
const CACHE_BYTES: usize = 16 << 20;
/// What is put is synced in steps, so that the last sync is short.
const SYNC_BYTES: usize = 64 << 20;
/// What may be in an empty directory.
const NOTHING: [&str; 2] = ["lock", "lost+found"];

/// A store that was put together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restored {
    /// Which store it is.
    pub(crate) store_id: Uuid,
    /// Its new life.
    pub(crate) incarnation: Incarnation,
    /// Its last position.
    pub(crate) head: Position,
}

/// A store in the making. What was made goes with it, unless it is finished.
pub(crate) struct Restoring {
    // Closed before its directory is moved or removed.
    feed: Option<Feed>,
    place: Place,
    dir: PathBuf,
    /// Of the life before.
    identity: Identity,
    room: Room,
    head: Position,
    next: Position,
    unsynced: usize,
    /// Another store, which begins with what this one has.
    as_replica: bool,
    _lock: Lock,
}

impl Restoring {
    /// Begins in `dir`, for the store of this identity whose last position is `head`.
    pub(crate) fn begin(
        dir: &Path,
        (identity, head): (&[u8], Position),
        as_replica: bool,
    ) -> Result<Self, OpenError> {
        let (identity, _) = Identity::decode(identity).map_err(|unusable| match unusable {
            Unusable::Newer(found) => {
                OpenError::Newer { dir: dir.into(), found, supported: FORMAT }
            }
            Unusable::Older(found) => OpenError::Older { dir: dir.into(), found, oldest: OLDEST },
            Unusable::Damaged(Damage(what)) => OpenError::Disk(what.into()),
        })?;
        create_dir(dir).map_err(|source| OpenError::io(dir, source))?;
        let lock = Lock::take(dir)?;
        check_empty(dir)?;
        let room = Room::on(dir)?;
        let place = Place::new(dir.join(FEED));
        let mut restoring = Self {
            feed: None,
            place,
            dir: dir.to_path_buf(),
            identity,
            room,
            head,
            next: Position::ZERO.plus(1),
            unsynced: 0,
            as_replica,
            _lock: lock,
        };
        Head::open(dir, &restoring.identity, Position::ZERO)?;
        restoring.feed = Some(Feed::open(&restoring.place.next(), CACHE_BYTES)?);
        Ok(restoring)
    }

    /// Puts an item.
    pub(crate) fn put(&mut self, item: &Item) -> Result<(), OpenError> {
        let Some(feed) = &self.feed else { return Ok(()) };
        if self.as_replica && is_of_its_own(item) {
            return Ok(());
        }
        let bytes = match item {
            Item::Meta(key, value) => {
                feed.put_raw_meta(key, value)?;
                value.len()
            }
            Item::Base(key, value) => {
                feed.put_raw_base(key, value)?;
                value.len()
            }
            Item::Row(first, value) => {
                let row = Row::decode(*first, value.clone().into())
                    .map_err(|damage| feed.damaged(*first, damage))?;
                if row.first() != self.next {
                    return Err(feed.gap(self.next).into());
                }
                feed.put(&row)?;
                self.next = row.next();
                value.len()
            }
            Item::File(name, content) => {
                let path = self.dir.join(name);
                write(&path, content).map_err(|source| OpenError::io(&path, source))?;
                content.len()
            }
        };
        self.room.take(bytes)?;
        self.unsynced += bytes;
        if self.unsynced >= SYNC_BYTES {
            feed.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// All items were put: the store is there, in a new life.
    pub(crate) fn finish(mut self) -> Result<Restored, OpenError> {
        let Some(feed) = self.feed.take() else { return Err(OpenError::Disk("no feed".into())) };
        if self.next != self.head.plus(1) {
            return Err(feed.gap(self.next).into());
        }
        let drawn = Identity::draw().map_err(|error| OpenError::Disk(error.to_string().into()))?;
        let identity = Identity {
            store_id: if self.as_replica { drawn.store_id } else { self.identity.store_id },
            incarnation: drawn.incarnation,
            ..self.identity.clone()
        };
        let lives =
            lives(feed.lives()?, (self.identity.incarnation, identity.incarnation), self.head);
        feed.put_lives(&lives)?;
        feed.put_identity(&identity.encode())?;
        drop(feed);
        self.place.switch().map_err(|source| OpenError::io(self.place.dir(), source))?;
        Head::open(&self.dir, &identity, self.head)?;
        let Identity { store_id, incarnation, .. } = identity;
        Ok(Restored { store_id, incarnation, head: self.head })
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        drop(self.feed.take());
        if !self.place.dir().exists() {
            // What cannot be removed keeps a server from starting there, and the operator is told.
            drop(self.place.clear_next());
            drop(fs::remove_dir_all(self.dir.join("jwks")));
            drop(fs::remove_file(self.dir.join("vapid.pem")));
            drop(fs::remove_file(self.dir.join("head")));
        }
    }
}

/// The lives of a store that begins another one after `head`.
fn lives(
    earlier: Vec<Life>,
    (before, now): (Incarnation, Incarnation),
    head: Position,
) -> Vec<Life> {
    let first = head.plus(1);
    let mut lives = earlier;
    if lives.is_empty() {
        lives.push(Life { first: Position::ZERO.plus(1), incarnation: before });
    }
    // A life that gave no position was none.
    lives.retain(|life| life.first < first);
    lives.push(Life { first, incarnation: now });
    lives
}

/// Whether an item is of one server alone: who follows it, whom it wakes, who it is to browsers. Who was
/// shut out, or erased, is everybody's.
fn is_of_its_own(item: &Item) -> bool {
    match item {
        Item::Meta(key, _) => {
            let is_everybodys = [&b"note/revoked/"[..], b"note/erased/"];
            key.starts_with(b"note/") && !is_everybodys.iter().any(|start| key.starts_with(start))
        }
        Item::File(name, _) => name == "vapid.pem",
        Item::Base(..) | Item::Row(..) => false,
    }
}

fn check_empty(dir: &Path) -> Result<(), OpenError> {
    let files = fs::read_dir(dir).map_err(|source| OpenError::io(dir, source))?;
    for file in files {
        let name = file.map_err(|source| OpenError::io(dir, source))?.file_name();
        if !NOTHING.iter().any(|nothing| name == *nothing) {
            let reason = format!(
                "{} is not empty ({} is in it): name a directory that does not exist yet; if a restore \
                 was cut off there, delete everything in it",
                dir.display(),
                Path::new(&name).display()
            );
            return Err(OpenError::Disk(reason.into()));
        }
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
