//! What became of the items of maps, so that readers need not know.
//!
//! A change that was made offline can come after its item was deleted, a deletion after the item was
//! created anew. A fold of the whole channel gets that right; a reader that applies what it is shown,
//! in order, would not. So a write that does not hold is not shown, and where the past of an item
//! counts anew, the whole item is shown. What became of an item is in its own channel, `NAME/ID`,
//! which is read on from where it was read last.

use super::source::{Source, Unread};
use crate::log::{Channel, Entry, LogName, PageLimit};
use crate::rules::SyncMapOp;
use crate::sync_map::{Body, Life};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tidelog_crdt::{Position, Stamp};
use tidelog_protocol::Meta;

/// Items that are remembered; of more, any is forgotten, and read anew when it changes.
const ITEMS_MAX: usize = 10_000;
/// How much of an item's channel is read at once.
const READ: PageLimit = PageLimit { entries: 1_000, bytes: 1 << 20 };

/// What is remembered of items.
#[derive(Default)]
pub(super) struct Lives(Mutex<HashMap<Channel, Known>>);

/// One item, as far as it was read.
#[derive(Default)]
struct Known {
    life: Life,
    through: Position,
}

/// How an entry of a map is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// As it is.
    Plain,
    /// Not at all: it does not hold.
    Hidden,
    /// As the whole item of this channel.
    Renewed(Channel),
}

impl Lives {
    /// How `entry` of the map `map` is shown.
    pub(super) fn fate(
        &self,
        entry: &Entry,
        map: &str,
        source: &Source<'_>,
    ) -> Result<Fate, Unread> {
        let Some(operation) = SyncMapOp::of(entry.action.kind(), map) else {
            return Ok(Fate::Plain);
        };
        let item = entry.action.body::<Body<'_>>().ok().map(|body| format!("{map}/{}", body.id));
        let Some(channel) = item.and_then(|item| Channel::new(&item).ok()) else {
            return Ok(Fate::Hidden);
        };
        let mut known = self.take(&channel);
        let read = known.read_on(&channel, map, source);
        let life = &known.life;
        let fate = match operation {
            SyncMapOp::Create if life.was_deleted() && life.counts(&stamp(entry)) => {
                Fate::Renewed(channel.clone())
            }
            SyncMapOp::Create | SyncMapOp::Change if life.counts(&stamp(entry)) => Fate::Plain,
            SyncMapOp::Create | SyncMapOp::Change => Fate::Hidden,
            SyncMapOp::Delete if life.is_over() => Fate::Plain,
            SyncMapOp::Delete => Fate::Renewed(channel.clone()),
        };
        self.put(channel, known);
        read.map(|()| fate)
    }

    fn take(&self, channel: &Channel) -> Known {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(channel).unwrap_or_default()
    }

    fn put(&self, channel: Channel, known: Known) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ITEMS_MAX
            && let Some(any) = all.keys().next().cloned()
        {
            all.remove(&any);
        }
        all.insert(channel, known);
    }
}

impl Known {
    fn read_on(&mut self, channel: &Channel, map: &str, source: &Source<'_>) -> Result<(), Unread> {
        let (log, head) = ([LogName::Channel(channel.clone())], source.log.head());
        while self.through < head {
            let page = source.read(&log, (self.through, head), READ)?;
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

fn stamp(entry: &Entry) -> Stamp {
    Meta { id: entry.id.clone(), time: entry.time, subprotocol: None }.stamp()
}
