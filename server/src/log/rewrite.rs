//! Rewriting the feed: its rows are copied into another database, each as a function says, and that
//! one takes the place of the first in one step. What the function leaves out is nowhere any more, and
//! the space of what was deleted is given back.
//!
//! Commits go on while rows are copied. At the end the committer stands still for the last few rows
//! and those that were changed meanwhile, and for two renames (see `place`): a process that is killed
//! before that has not begun, one that is killed after it has ended. The new feed has another
//! generation, so that an index which was not brought up to it is made again.

use super::error::{Damage, Failure, OpenError, ReadError};
use super::identity::Identity;
use super::place::Place;
use super::queue::{Alone, Request};
use super::recover::FEED;
use super::room::Room;
use super::row::Row;
use super::shared::Shared;
use super::store::Feed;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};
use tidelog_crdt::Position;

/// With so many positions left to copy the committer is asked to stand still.
const LEFT_MAX: u64 = 2_000;
/// Copies of what has come meanwhile; then the committer stands still anyway.
const ROUNDS_MAX: usize = 8;
/// What is put is synced in steps, so that the last sync is short.
const SYNC_EVERY: u64 = 100_000;

/// What becomes of a row: the rows that take its place, with the same positions.
pub(super) type Change = Box<dyn FnMut(Row) -> Result<Vec<Row>, Refused> + Send>;

/// Why a row is not changed, and the feed is not rewritten.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// It is damaged.
    Damage(Damage),
    /// Something has happened to it since it was said what becomes of it.
    Overtaken,
}

impl From<Damage> for Refused {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// Why a feed was not rewritten. Nothing has changed then, unless the log has failed.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Another one is under way.
    #[error("the feed is being rewritten or backed up already; try again when that is over")]
    Busy,
    /// The disk or the engine failed; a copy takes about as much room as the feed.
    #[error("the feed could not be rewritten, and is what it was: {0}")]
    Failed(Arc<str>),
    /// What was to go was changed meanwhile.
    #[error("an action was cleaned meanwhile, and nothing has changed; try again")]
    Overtaken,
    /// The log was closed, or has failed.
    #[error("the log is stopped; what was begun is finished or undone at the next start")]
    Stopped,
}

impl From<Failure> for RewriteError {
    fn from(Failure(reason): Failure) -> Self {
        Self::Failed(reason)
    }
}

impl From<ReadError> for RewriteError {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.to_string().into())
    }
}

impl From<OpenError> for RewriteError {
    fn from(error: OpenError) -> Self {
        Self::Failed(error.to_string().into())
    }
}

/// A feed that was rewritten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rewritten {
    /// How often it has been by now.
    pub(super) generation: u64,
    /// Up to where it was rewritten: the head of that moment.
    pub(super) head: Position,
    /// How long the files were and are.
    pub(super) bytes: (u64, u64),
}

/// A rewriting that has begun: nobody else rewrites the feed.
pub(super) struct Rewriting {
    // Closed before its directory is removed with `copying`.
    next: Feed,
    from: Arc<Feed>,
    room: Room,
    copying: Copying,
}

impl Rewriting {
    pub(super) fn begin(shared: &Arc<Shared>) -> Result<Self, RewriteError> {
        let place = Place::new(shared.settings.dir.join(FEED));
        let copying = Copying::begin(Arc::clone(shared), &place)?;
        let room = Room::on(&shared.settings.dir)?;
        let next = Feed::open(&copying.next(), shared.settings.cache_bytes)?;
        Ok(Self { next, from: shared.feed(), room, copying })
    }

    /// The feed that is rewritten.
    pub(super) fn from(&self) -> &Feed {
        &self.from
    }

    /// The one that takes its place, in which there are no rows yet.
    pub(super) fn next(&self) -> &Feed {
        &self.next
    }

    /// Rewrites the feed as `change` says. Blocks; `told` hears up to where it is copied.
    pub(super) fn run(
        self,
        change: Change,
        told: &mut dyn FnMut(Position),
    ) -> Result<Rewritten, RewriteError> {
        let Self { next, from, room, copying } = self;
        let (shared, place) = (Arc::clone(&copying.shared), copying.place.clone());
        let mut copy = Copy::of(from, next, room, change);
        for _ in 0..ROUNDS_MAX {
            let head = shared.head();
            copy.until(head, told)?;
            told(head);
            if shared.head().get() - head.get() < LEFT_MAX {
                break;
            }
        }
        copy.next.sync()?;
        let (answer, answered) = sync_channel(1);
        let work = Alone::new(move || {
            // Whoever asked may have gone; what was done stays done.
            let _ = answer.send(copying.finish(copy));
        });
        shared.queue.push(Request::Alone(work)).map_err(|_| RewriteError::Stopped)?;
        let rewritten = answered.recv().map_err(|_| RewriteError::Stopped)??;
        if let Err(error) = place.remove_old() {
            // What was to go is still on disk; the next opening tries again.
            shared.fail(Failure::io(place.dir(), &error));
            return Err(RewriteError::Stopped);
        }
        Ok(rewritten)
    }
}

/// The right to copy the feed; only one has it. What was not finished is removed with it.
pub(super) struct Copying {
    shared: Arc<Shared>,
    place: Place,
}

impl Copying {
    pub(super) fn begin(shared: Arc<Shared>, place: &Place) -> Result<Self, RewriteError> {
        let mut put_again = shared.put_again.lock().unwrap_or_else(PoisonError::into_inner);
        if put_again.is_some() {
            return Err(RewriteError::Busy);
        }
        *put_again = Some(BTreeSet::new());
        drop(put_again);
        let copying = Self { shared, place: place.clone() };
        copying.place.clear_next().map_err(|error| copying.failure(&error))?;
        Ok(copying)
    }

    /// Copies the rest and puts the new feed where the old one is; on the committer's thread.
    fn finish(self, mut copy: Copy) -> Result<Rewritten, RewriteError> {
        let shared = &self.shared;
        let head = shared.head();
        copy.until(head, &mut |_| {})?;
        let again = shared.put_again.lock().unwrap_or_else(PoisonError::into_inner).take();
        copy.again(again.unwrap_or_default())?;
        let generation = copy.finish()?;
        let bytes = (copy.from.bytes(), copy.next.bytes());
        if let Err(error) = self.place.switch() {
            // Perhaps half-done: the next opening decides.
            shared.fail(Failure::io(self.place.dir(), &error));
            return Err(RewriteError::Stopped);
        }
        shared.set_feed(copy.next.moved_to(self.place.dir().to_path_buf()));
        Ok(Rewritten { generation, head, bytes })
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::io(&self.next(), error)
    }

    /// Where what is put together is, and goes with this.
    pub(super) fn next(&self) -> PathBuf {
        self.place.next()
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        *self.shared.put_again.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // After a switch there is none; after a failed one the next opening needs it.
        if self.place.dir().exists()
            && let Err(error) = self.place.clear_next()
        {
            tracing::warn!(%error, "{} is left and goes at the next start", self.next().display());
        }
    }
}

/// The copy that is being made.
struct Copy {
    from: Arc<Feed>,
    next: Feed,
    room: Room,
    change: Change,
    /// Copied up to here.
    through: Position,
    /// Synced up to here.
    synced: Position,
}

impl Copy {
    fn of(from: Arc<Feed>, next: Feed, room: Room, change: Change) -> Self {
        Self { from, next, room, change, through: Position::ZERO, synced: Position::ZERO }
    }

    /// Copies the rows up to `last`, which ends one.
    fn until(
        &mut self,
        last: Position,
        told: &mut dyn FnMut(Position),
    ) -> Result<(), RewriteError> {
        let from = Arc::clone(&self.from);
        for row in from.rows_above(self.through)? {
            let row = row?;
            if row.first() > last {
                break;
            }
            if row.first() != self.through.plus(1) {
                return Err(ReadError::from(from.gap(self.through.plus(1))).into());
            }
            self.through = Position::new(row.next().get() - 1).unwrap_or_default();
            self.put(row)?;
            if self.through.get() - self.synced.get() >= SYNC_EVERY {
                self.next.sync()?;
                self.synced = self.through;
                told(self.through);
            }
        }
        Ok(())
    }

    /// Copies rows once more that were changed since.
    fn again(&mut self, firsts: BTreeSet<Position>) -> Result<(), RewriteError> {
        for first in firsts {
            let row = self.from.row_at(first)?.ok_or_else(|| self.from.gap(first));
            let row = row.map_err(ReadError::from)?;
            self.next.remove(row.first(), row.next())?;
            self.put(row)?;
        }
        Ok(())
    }

    fn put(&mut self, row: Row) -> Result<(), RewriteError> {
        let first = row.first();
        let rows = (self.change)(row).map_err(|refused| match refused {
            Refused::Damage(damage) => ReadError::from(self.from.damaged(first, damage)).into(),
            Refused::Overtaken => RewriteError::Overtaken,
        })?;
        for row in &rows {
            self.room.take(row.value().len())?;
            self.next.put(row)?;
        }
        Ok(())
    }

    /// Copies what is known of the store as a whole, and makes everything durable; the generation.
    fn finish(&self) -> Result<u64, RewriteError> {
        for (name, note) in self.from.notes("")? {
            self.next.put_note(&name, Some(&note))?;
        }
        self.next.copy_meta(&self.from)?;
        let unreadable = || Failure("the identity of the store cannot be read".into());
        let bytes = self.from.identity()?.ok_or_else(unreadable)?;
        let (identity, _) = Identity::decode(&bytes).map_err(|_| unreadable())?;
        let generation = identity.generation + 1;
        self.next.put_identity(&Identity { generation, ..identity }.encode())?;
        Ok(generation)
    }
}
