//! What devices were told last: kept with each in the book, so that a restart tells nobody twice, nor too soon.
//!
//! One that waits holds the mark of its lane back, and what came above the mark is read again after a
//! restart: whoever was told of it meanwhile is known by this.

use super::table::Key;
use crate::log::{Channel, LogName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_crdt::Position;
use tidelog_protocol::UserId;

/// What a device was told last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LastTold {
    /// When; 0 if it never was.
    pub(super) ms: u64,
    /// Everything up to here, by log.
    pub(super) through: BTreeMap<LogName, Position>,
}

impl LastTold {
    /// Whether it was told of the entry at `position` of `log`.
    pub(super) fn knows(&self, log: &LogName, position: Position) -> bool {
        self.through.get(log).is_some_and(|told| position <= *told)
    }

    /// It was told of this at `now_ms`.
    pub(super) fn tell(&mut self, logs: &BTreeMap<LogName, Position>, now_ms: u64) {
        for (log, position) in logs {
            let known = self.through.entry(log.clone()).or_default();
            *known = (*position).max(*known);
        }
        self.ms = now_ms;
    }
}

/// What of it is kept: of the logs that the device is woken for.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    ms: u64,
    own: u64,
    channels: Vec<(String, u64)>,
}

impl Stored {
    /// None of a device that was told nothing yet.
    pub(super) fn of(last: &LastTold, user: &UserId, channels: &[Channel]) -> Option<Self> {
        let through = |log: &LogName| last.through.get(log).copied().map(Position::get);
        let of_channel = |channel: &Channel| {
            let position = through(&LogName::Channel(channel.clone()))?;
            Some((channel.as_str().to_owned(), position))
        };
        (last.ms > 0).then(|| Self {
            ms: last.ms,
            own: through(&LogName::User(user.clone())).unwrap_or_default(),
            channels: channels.iter().filter_map(of_channel).collect(),
        })
    }

    /// None if this version cannot read it.
    pub(super) fn read(self, user: &UserId) -> Option<LastTold> {
        let own = (LogName::User(user.clone()), Position::new(self.own)?);
        let mut through = BTreeMap::from([own]);
        for (channel, position) in self.channels {
            let log = LogName::Channel(Channel::new(&channel).ok()?);
            through.insert(log, Position::new(position)?);
        }
        Some(LastTold { ms: self.ms, through })
    }
}

/// What devices were told since it was kept last: it is written for many at once.
#[derive(Debug, Default)]
pub(super) struct Gathered(Mutex<HashMap<Key, LastTold>>);

impl Gathered {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, LastTold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, key: &Key, last: LastTold) {
        self.all().insert(key.clone(), last);
    }

    /// All of it, which is the caller's to keep.
    pub(super) fn take(&self) -> Vec<(Key, LastTold)> {
        std::mem::take(&mut *self.all()).into_iter().collect()
    }
}
