//! Where pages come from: the log, from memory or from disk, and what is kept of maps.

use crate::catch_up;
use crate::documents::{Documents, OwnStates};
use crate::log::{Channel, Entry, Log, LogName, Page, PageLimit, ReadError};
use crate::rules::Rules;
use crate::sync_map::{Fate, Lives, Snapshot, Snapshots};
use std::sync::Arc;
use tidelog_crdt::Position;

/// Who missed more than this missed much, however few actions that are.
const MISSED_BYTES: usize = 1 << 20;

/// Why logs were not read.
pub(super) enum Unread {
    /// It takes the disk.
    NotInMemory,
    /// The log cannot be read.
    Failed(ReadError),
}

/// Where entries and items come from.
pub(super) struct Source<'a> {
    pub(super) log: &'a Log,
    pub(super) snapshots: &'a Snapshots,
    pub(super) lives: &'a Lives,
    pub(super) documents: &'a Documents,
    pub(super) rules: &'a Rules,
    pub(super) now: u64,
    /// Whether it may wait for the disk.
    pub(super) may_wait: bool,
}

impl Source<'_> {
    /// The entries of `logs` above the first position, up to and including the second.
    pub(super) fn read(
        &self,
        logs: &[LogName],
        between: (Position, Position),
        limit: PageLimit,
    ) -> Result<Page, Unread> {
        if self.may_wait {
            catch_up::read_between(self.log, logs, between, limit).map_err(Unread::Failed)
        } else {
            let page = catch_up::read_between_cached(self.log, logs, between, limit);
            page.ok_or(Unread::NotInMemory)
        }
    }

    /// A fold of the channel of the map `map`, for a load that begins or one that goes on.
    pub(super) fn snapshot(
        &self,
        channel: &Channel,
        map: &str,
        begins: bool,
    ) -> Result<Arc<Snapshot>, Unread> {
        let kept = self.snapshots.get(channel, begins, self.now);
        kept.map_or_else(|| self.fold(channel, map), Ok)
    }

    /// The documents of `channel`; or, where not `all`, those that compaction has made of some.
    pub(super) fn states(&self, channel: &Channel, all: bool) -> Result<Arc<Snapshot>, Unread> {
        if !self.may_wait {
            return Err(Unread::NotInMemory);
        }
        self.documents.states(channel, all).map_err(Unread::Failed)
    }

    /// The documents of a user's own log that stand for actions in it.
    pub(super) fn own_states(&self, log: &LogName, began: Position) -> Result<OwnStates, Unread> {
        if !self.may_wait {
            return Err(Unread::NotInMemory);
        }
        self.documents.own_states(log, began).map_err(Unread::Failed)
    }

    /// Whether `log` has more than `most` entries above a position, or more bytes than are counted.
    pub(super) fn missed_more(
        &self,
        log: LogName,
        above: Position,
        most: usize,
    ) -> Result<bool, Unread> {
        let head = self.log.head();
        // Each entry has a position of its own.
        if head.get().saturating_sub(above.get()) <= most as u64 {
            return Ok(false);
        }
        let limit = PageLimit { entries: most.saturating_add(1), bytes: MISSED_BYTES };
        let missed = self.read(&[log], (above, head), limit)?;
        Ok(missed.more || missed.entries.len() > most)
    }

    /// The channel of the map `map`, folded now.
    pub(super) fn fold(&self, channel: &Channel, map: &str) -> Result<Arc<Snapshot>, Unread> {
        if !self.may_wait {
            return Err(Unread::NotInMemory);
        }
        let (fold, through) = catch_up::fold(self.log, channel, map).map_err(Unread::Failed)?;
        Ok(Snapshot::of(fold, through))
    }

    /// How `entry` of the map `map` is shown.
    pub(super) fn fate(&self, entry: &Entry, map: &str) -> Result<Fate, Unread> {
        let mut read = |log: &LogName, between: (Position, Position), limit: PageLimit| {
            self.read(std::slice::from_ref(log), between, limit)
        };
        self.lives.fate(entry, map, self.log.head(), &mut read)
    }
}
