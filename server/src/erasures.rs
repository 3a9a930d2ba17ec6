//! Who was erased, where servers follow each other: all of them hear of it and do it, and none takes anything from
//! before it any more.
//!
//! An erasure is a *tombstone*: a note of the store, with the user's name. What is from *before* it is said by
//! names and not by clocks: up to a dot of each incarnation. Where it is said that is all that is here. Who hears of it
//! adds what it has given out by itself until then, because the user's clients there did not know of it
//! either; it tells that to the others, and of two tombstones of a user everybody makes the same one. What
//! the user makes later, on a server that knows, has dots that lie above, and stays.
//!
//! The note comes first, then the work, which a start goes on with.

use crate::log::{Going, Log, Past, ReadError, Removed, RewriteError, Stopped};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_crdt::{Dot, Position};
use tidelog_protocol::UserId;
use tidelog_protocol::replica::{Erasure, Erasures as Told, Held};
use tokio::sync::Notify;

/// The notes that are tombstones.
const NOTES: &str = "erased/";
const FORM: u8 = 1;
/// Notes that only a server has which follows another, or is followed.
const OF_A_TREE: [&str; 3] = ["replica/", "replica-of/", "upstream-taken/"];
/// Tombstones that are kept for others.
const HEARD_MAX: usize = 100_000;
/// Incarnations and dots that one of them may name.
const NAMES_MAX: usize = 100_000;

/// What is still to be done of a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Left {
    Nothing,
    /// More of it counts by now than was erased.
    Rest,
    /// It was said, here or elsewhere, and nothing was done yet.
    All,
}

/// What is known of the erasure of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    form: u8,
    /// Where it was said, and where the feed ended then.
    said: Held,
    /// What is from before.
    past: Past,
    pub(crate) left: Left,
}

impl Default for Tombstone {
    fn default() -> Self {
        let (said, past) = (Held::default(), Past::default());
        Self { form: FORM, said, past, left: Left::Nothing }
    }
}

impl Tombstone {
    fn going(&self) -> Going {
        match self.left {
            Left::All => Going::Before(self.past.clone()),
            Left::Rest | Left::Nothing => Going::Rest(self.past.clone()),
        }
    }

    /// Whether there is anything to be erased. Blocks.
    pub(crate) fn is_there(&self, log: &Log, user: &UserId) -> Result<bool, ReadError> {
        log.has_any(user, &self.going())
    }

    /// Erases what is left of it. Blocks.
    pub(crate) fn carry_out(&self, log: &Log, user: &UserId) -> Result<Removed, RewriteError> {
        log.erase_what(user, &self.going(), &mut |_| {})
    }
}

/// All tombstones of a store.
pub(crate) struct Erasures {
    log: Log,
    table: Mutex<Table>,
    /// Whoever writes: what was said last is to be the same on disk and here.
    writing: tokio::sync::Mutex<()>,
    /// Whoever erases.
    carrying: tokio::sync::Mutex<()>,
    /// There may be something to do.
    pub(crate) news: Notify,
    any: AtomicBool,
}

#[derive(Default)]
struct Table {
    /// Grows with each change of what is from before.
    version: u64,
    all: HashMap<UserId, (Tombstone, u64)>,
}

impl Erasures {
    /// Reads what the store has. Blocks.
    pub(crate) fn open(log: &Log) -> Result<Self, ReadError> {
        let erasures = Self {
            log: log.clone(),
            table: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            carrying: tokio::sync::Mutex::default(),
            news: Notify::new(),
            any: AtomicBool::default(),
        };
        for (name, note) in log.notes(NOTES)? {
            let user = name.strip_prefix(NOTES).and_then(|user| UserId::new(user).ok());
            let read = rmp_serde::from_slice::<Tombstone>(&note).ok().filter(|it| it.form == FORM);
            let Some((user, tombstone)) = user.zip(read) else {
                let what = "the store has an erasure that this version cannot read: use the version \
                            that wrote it; without it, who was erased would come back";
                return Err(ReadError::Io(what.into()));
            };
            erasures.set(user, tombstone);
        }
        Ok(erasures)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, user: &UserId) -> Tombstone {
        self.table().all.get(user).map(|(it, _)| it.clone()).unwrap_or_default()
    }

    fn set(&self, user: UserId, tombstone: Tombstone) {
        let mut table = self.table();
        let known = table.all.get(&user);
        let is_new = known
            .is_none_or(|(known, _)| known.said != tombstone.said || known.past != tombstone.past);
        let at = if is_new { table.version + 1 } else { known.map_or(0, |(_, at)| *at) };
        table.version = table.version.max(at);
        let has_work = tombstone.left != Left::Nothing;
        table.all.insert(user, (tombstone, at));
        drop(table);
        self.any.store(true, Ordering::Release);
        if has_work {
            self.news.notify_one();
        }
    }

    /// First on disk, then in effect.
    async fn keep(&self, user: &UserId, tombstone: Tombstone) -> Result<(), Stopped> {
        // Plain data always serializes.
        let note = rmp_serde::to_vec(&tombstone).unwrap_or_default();
        self.log.keep_note(format!("{NOTES}{user}"), Some(note)).await?;
        self.set(user.clone(), tombstone);
        Ok(())
    }

    /// Waits until nobody else erases.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.carrying.lock().await
    }

    /// `user` is to be erased, said here and now. On disk on return.
    pub(crate) async fn begin(&self, user: &UserId) -> Result<Tombstone, Stopped> {
        let _turn = self.writing.lock().await;
        let (mut tombstone, head) = (self.get(user), self.log.head());
        let incarnation = self.log.incarnation();
        // Once more, even if nothing was committed since.
        let before = tombstone.said.0.get(&incarnation).map_or(Position::ZERO, |it| it.plus(1));
        tombstone.said.add(Dot { incarnation, position: head.max(before) });
        tombstone.past.through.join(&self.here(head));
        tombstone.left = Left::All;
        self.keep(user, tombstone.clone()).await?;
        Ok(tombstone)
    }

    /// What is here up to a position.
    fn here(&self, head: Position) -> Held {
        Held(self.log.incarnations().held(head))
    }

    /// What `seen` said is done: all that was here up to `through`, if that is known, and what had these names.
    pub(crate) async fn done(
        &self,
        user: &UserId,
        seen: &Tombstone,
        (through, names): (Option<Position>, &BTreeSet<Dot>),
    ) -> Result<(), Stopped> {
        let _turn = self.writing.lock().await;
        let mut tombstone = self.get(user);
        let mut more = tombstone.past != seen.past;
        if let Some(through) = through {
            tombstone.past.through.join(&self.here(through));
        }
        more |= tombstone.past.add(names.iter().copied());
        tombstone.left = match () {
            () if tombstone.said != seen.said => Left::All,
            () if more => Left::Rest,
            () => Left::Nothing,
        };
        self.keep(user, tombstone).await
    }

    /// Another server says this of a user. On disk on return.
    pub(crate) async fn hear(&self, user: &UserId, told: &Erasure) -> Result<(), Stopped> {
        let _turn = self.writing.lock().await;
        let is_full = self.table().all.len() >= HEARD_MAX && !self.table().all.contains_key(user);
        let length = told.through.0.len().max(told.said.0.len()).max(told.also.len());
        if is_full || length > NAMES_MAX {
            tracing::error!(%user, "an erasure that another server tells of is too much: erase the user here");
            return Ok(());
        }
        let mut tombstone = self.get(user);
        let is_news = tombstone.said.join(&told.said);
        let mut more = tombstone.past.through.join(&told.through);
        more |= tombstone.past.add(told.also.iter().copied());
        if is_news {
            let (lives, head) = (self.log.incarnations(), self.log.head());
            let own =
                self.here(head).0.into_iter().filter(|(incarnation, _)| {
                    lives.resume(*incarnation, Position::ZERO).is_some()
                });
            more |= tombstone.past.through.join(&Held(own.collect()));
        }
        if !is_news && !more {
            return Ok(());
        }
        let left = if is_news { Left::All } else { Left::Rest };
        tombstone.left = tombstone.left.max(left);
        self.keep(user, tombstone).await
    }

    /// Something came in while this changed, from `version` on: it is looked for once more.
    pub(crate) async fn look_again(&self, version: u64) -> Result<(), Stopped> {
        if self.version() == version {
            return Ok(());
        }
        let _turn = self.writing.lock().await;
        let changed: Vec<_> = {
            let table = self.table();
            let since = table.all.iter().filter(|(_, (_, at))| *at > version);
            since.map(|(user, (tombstone, _))| (user.clone(), tombstone.clone())).collect()
        };
        for (user, tombstone) in changed {
            let left = tombstone.left.max(Left::Rest);
            self.keep(&user, Tombstone { left, ..tombstone }).await?;
        }
        Ok(())
    }

    /// What changes when something more is from before.
    pub(crate) fn version(&self) -> u64 {
        self.table().version
    }

    /// What was said since `version`, of whom `is_for` says, at `most` so many; and the version after it.
    pub(crate) fn since(
        &self,
        version: u64,
        is_for: &dyn Fn(&UserId) -> bool,
        most: usize,
    ) -> Told {
        let table = self.table();
        if table.version <= version {
            return Told { version, changes: Vec::new() };
        }
        let since = table.all.iter().filter(|(user, (_, at))| *at > version && is_for(user));
        let mut since: Vec<_> = since.collect();
        since.sort_unstable_by_key(|(_, (_, at))| *at);
        let is_all = since.len() <= most;
        since.truncate(most);
        let last = since.last().map_or(table.version, |(_, (_, at))| *at);
        let told = |(user, (tombstone, _)): (&UserId, &(Tombstone, u64))| Erasure {
            user: user.as_str().to_owned(),
            said: tombstone.said.clone(),
            through: tombstone.past.through.clone(),
            also: tombstone.past.also.iter().copied().collect(),
        };
        let version = if is_all { table.version } else { last };
        Told { version, changes: since.into_iter().map(told).collect() }
    }

    /// Whether `user` was ever erased.
    pub(crate) fn has(&self, user: &UserId) -> bool {
        self.any.load(Ordering::Acquire) && self.table().all.contains_key(user)
    }

    /// Whether what has one of these names is from before `user` was erased.
    pub(crate) fn covers(&self, user: &UserId, dots: &[Dot]) -> bool {
        let table = self.table();
        table
            .all
            .get(user)
            .is_some_and(|(tombstone, _)| dots.iter().any(|dot| tombstone.past.covers(*dot)))
    }

    /// Whom to erase next.
    pub(crate) fn next(&self) -> Option<UserId> {
        let table = self.table();
        let left = table.all.iter().find(|(_, (it, _))| it.left != Left::Nothing);
        left.map(|(user, _)| user.clone())
    }

    /// What is still to be done about `user`, if anything is.
    pub(crate) fn left_of(&self, user: &UserId) -> Option<Tombstone> {
        Some(self.get(user)).filter(|it| it.left != Left::Nothing)
    }
}

/// Whether others may have what this store has: it follows another, or is followed, or was.
pub(crate) fn is_of_a_tree(log: &Log) -> Result<bool, ReadError> {
    for start in OF_A_TREE {
        if !log.note_names(start, start, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
