//! What happened to the devices of each group.

use super::Times;
use std::collections::BTreeMap;

/// From wanting to be online to having everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Episode {
    /// When the device wanted to be online, in µs.
    pub(crate) wanted: u64,
    /// When it was let in.
    pub(crate) let_in: u64,
    /// When all it had was acknowledged, and all it missed was there.
    pub(crate) caught_up: u64,
    /// Actions there and back.
    pub(crate) work: u64,
}

/// What happened to the devices of one group.
#[derive(Debug, Default)]
pub(crate) struct GroupStats {
    /// From when an action was meant to be made to its acknowledgement.
    pub(crate) acknowledged: Times,
    /// From when a device wanted to be online to the acknowledgement of what it made before.
    pub(crate) backlog: Times,
    /// From when an action was meant to be made to its arrival at devices that were there then.
    pub(crate) delivered: Times,
    /// From when a device wanted to be online to when it had everything.
    pub(crate) caught_up: Times,
    pub(crate) episodes: Vec<Episode>,
    pub(crate) deliveries: u64,
    pub(crate) repeats: u64,
    pub(crate) refused: u64,
    pub(crate) attempts: u64,
    pub(crate) connections: u64,
    pub(crate) errors: BTreeMap<String, u64>,
}

/// What happened to all.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) groups: Vec<GroupStats>,
    /// Acknowledgements since the last sample, but of what was made offline.
    pub(crate) recent: Times,
    pub(crate) deliveries: u64,
    /// Devices that are signed in.
    pub(crate) online: u64,
    /// Devices that want to be, and are not.
    pub(crate) waiting: u64,
    /// Devices that do not have everything yet.
    pub(crate) behind: u64,
    /// Devices of before that are ready.
    pub(crate) ready: u64,
}

impl Stats {
    pub(crate) fn new(groups: usize) -> Self {
        Self {
            groups: (0..groups).map(|_| GroupStats::default()).collect(),
            recent: Times::new(),
            deliveries: 0,
            online: 0,
            waiting: 0,
            behind: 0,
            ready: 0,
        }
    }

    /// The group of this number.
    pub(crate) fn group(&mut self, number: usize) -> Option<&mut GroupStats> {
        self.groups.get_mut(number)
    }

    pub(crate) fn error(&mut self, group: usize, what: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            *group.errors.entry(what.to_owned()).or_default() += 1;
        }
    }
}
