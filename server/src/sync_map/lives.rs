//! What became of the items of maps, so that who is shown their entries one by one need not know.
//!
//! A change that was made offline can come after its item was deleted, a deletion after the item was
//! created anew. A fold of the whole channel gets that right; a reader that applies what it is shown,
//! in order, would not. So a write that does not hold is not shown, and where the past of an item
//! counts anew, the whole item is shown. What became of an item is in its own channel, `NAME/ID`,
//! which is read on from where it was read last. HTTP and sessions share it.

use super::standing::Shown;
use super::{Body, Fold, Life, stamp};
use crate::log::{Channel, Entry, LogName, Page, PageLimit};
use crate::rules::{Rules, SyncMapOp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidelog_crdt::Position;

/// Items that are remembered; of more, any is forgotten, and read anew when it changes.
const ITEMS_MAX: usize = 10_000;
/// How much of an item's channel is read at once.
const READ: PageLimit = PageLimit { entries: 1_000, bytes: 1 << 20 };

/// What is remembered of items.
#[derive(Default)]
pub(crate) struct Lives(Mutex<HashMap<Channel, Arc<Mutex<Known>>>>);

/// One item, as far as it was read.
#[derive(Default)]
struct Known {
    life: Life,
    through: Position,
}

/// How an entry of a map is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// As it is.
    Plain,
    /// Not at all: it does not hold.
    Hidden,
    /// As the whole item of this channel.
    Renewed(Channel),
}

/// What is shown instead of those of some entries that are not shown as they are; of one that does
/// not hold, nothing.
#[derive(Debug, Default)]
pub(crate) struct Fates(HashMap<Position, Vec<Shown>>);

impl Fates {
    /// What is shown instead of the entry at `position`; none if it is shown as it is.
    pub(crate) fn instead(&self, position: Position) -> Option<&[Shown]> {
        self.0.get(&position).map(Vec::as_slice)
    }
}

/// Reads a page of the named log above the first position, up to the second.
pub(crate) type Read<'a, E> =
    dyn FnMut(&LogName, (Position, Position), PageLimit) -> Result<Page, E> + 'a;

impl Lives {
    /// How each of `entries` is shown that is of a map under `rules`, as things stand at `head`.
    pub(crate) fn fates<'a, E>(
        &self,
        entries: impl Iterator<Item = &'a Arc<Entry>>,
        rules: &Rules,
        head: Position,
        read: &mut Read<'_, E>,
    ) -> Result<Fates, E> {
        let mut fates = Fates::default();
        for entry in entries.filter(|entry| entry.kept) {
            let Some((map, operation)) = rules.sync_map(entry.action.kind()) else { continue };
            let instead = match self.fate(entry, map, head, read)? {
                Fate::Plain => continue,
                Fate::Hidden => Vec::new(),
                Fate::Renewed(item) => {
                    let told = whole(&item, map, head, read)?;
                    // Nothing else of the item counts: it is new.
                    let alone = |shown: &Shown| shown.gone || shown.position == entry.position;
                    if operation == SyncMapOp::Create && told.iter().all(alone) {
                        continue;
                    }
                    told
                }
            };
            fates.0.insert(entry.position, instead);
        }
        Ok(fates)
    }

    /// How `entry` of the map `map` is shown, as things stand at `head`.
    pub(crate) fn fate<E>(
        &self,
        entry: &Entry,
        map: &str,
        head: Position,
        read: &mut Read<'_, E>,
    ) -> Result<Fate, E> {
        let Some(operation) = SyncMapOp::of(entry.action.kind(), map) else {
            return Ok(Fate::Plain);
        };
        let item = entry.action.body::<Body<'_>>().ok().map(|body| format!("{map}/{}", body.id));
        let Some(channel) = item.and_then(|item| Channel::new(&item).ok()) else {
            return Ok(Fate::Hidden);
        };
        // Placed elsewhere by a rule of its own.
        if !entry.addresses.channels.contains(&channel) {
            return Ok(Fate::Plain);
        }
        let shared = self.known(&channel);
        // Nobody waits for another's disk: who finds it taken reads for itself.
        let (mut taken, mut apart) = (shared.try_lock().ok(), Known::default());
        let known = taken.as_deref_mut().unwrap_or(&mut apart);
        // What came after the entry may decide otherwise, but need not: it is shown in its turn.
        if known.through < entry.position {
            known.read_on(&channel, map, head, read)?;
        }
        let life = &known.life;
        Ok(match operation {
            SyncMapOp::Create if life.was_deleted() && life.counts(&stamp(entry)) => {
                Fate::Renewed(channel)
            }
            SyncMapOp::Create | SyncMapOp::Change if life.counts(&stamp(entry)) => Fate::Plain,
            SyncMapOp::Create | SyncMapOp::Change => Fate::Hidden,
            SyncMapOp::Delete if life.is_over() => Fate::Plain,
            SyncMapOp::Delete => Fate::Renewed(channel),
        })
    }

    fn known(&self, channel: &Channel) -> Arc<Mutex<Known>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(channel) {
            return known.clone();
        }
        if all.len() >= ITEMS_MAX
            && let Some(any) = all.keys().next().cloned()
        {
            all.remove(&any);
        }
        all.entry(channel.clone()).or_default().clone()
    }
}

impl Known {
    fn read_on<E>(
        &mut self,
        channel: &Channel,
        map: &str,
        head: Position,
        read: &mut Read<'_, E>,
    ) -> Result<(), E> {
        let log = LogName::Channel(channel.clone());
        while self.through < head {
            let page = read(&log, (self.through, head), READ)?;
            page.entries.iter().for_each(|entry| self.take(entry, map));
            self.through = page.through;
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry, map: &str) {
        match SyncMapOp::of(entry.action.kind(), map) {
            Some(SyncMapOp::Create) => self.life.create(stamp(entry)),
            Some(SyncMapOp::Delete) => {
                self.life.delete(stamp(entry));
            }
            Some(SyncMapOp::Change) | None => {}
        }
    }
}

/// All that there is to tell of one item.
fn whole<E>(
    channel: &Channel,
    map: &str,
    head: Position,
    read: &mut Read<'_, E>,
) -> Result<Vec<Shown>, E> {
    let (log, mut above) = (LogName::Channel(channel.clone()), Position::ZERO);
    let mut fold = Fold::new(map);
    while above < head {
        let page = read(&log, (above, head), READ)?;
        page.entries.iter().for_each(|entry| fold.add(entry));
        above = page.through;
    }
    let standing = fold.standing();
    Ok(standing.iter().flat_map(|item| item.told().cloned()).collect())
}
