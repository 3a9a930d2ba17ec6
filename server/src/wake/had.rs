//! What devices have had, so that they are not woken for it.

use crate::log::{Channel, LogName};
use crate::session::NodeState;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_crdt::Position;
use tidelog_protocol::ClientId;

/// What a device has had: of its user's log, and of channels.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Had {
    pub(crate) own: Position,
    pub(crate) channels: Vec<(Channel, Position)>,
}

impl Had {
    /// What a session has acknowledged: of channels, those alone that it has subscribed to. Who filters
    /// has chosen what it wants of a channel, and is not woken for the rest of what went by.
    pub(crate) fn of_session(state: &NodeState) -> Self {
        let loaded = state.subscriptions.iter().filter(|it| it.acked);
        let channels = loaded.map(|it| (it.channel.clone(), it.through)).collect();
        Self { own: state.acked, channels }
    }

    /// Up to where the device has had `log`.
    pub(super) fn through(&self, log: &LogName) -> Position {
        match log {
            LogName::User(_) => self.own,
            LogName::Channel(channel) => {
                let known = self.channels.iter().filter(|(known, _)| known == channel);
                known.map(|(_, through)| *through).max().unwrap_or_default()
            }
        }
    }
}

/// Clients that are remembered at least, and twice as many at most.
const CLIENTS: usize = 2_000;
/// Channels of one client that are remembered.
const CHANNELS_MAX: usize = 100;

/// What clients had that came a while ago. A client may have had something before the follower comes to
/// it, which is not to make it wait then. What is forgotten costs a wake-up too many.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Generations>);

/// The old ones go all at once when there are as many young ones; who comes again is young.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<ClientId, Remembered>,
    old: HashMap<ClientId, Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    own: Position,
    channels: HashMap<Channel, Position>,
}

impl Known {
    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `client` has had this, beside what it has had before.
    pub(super) fn note(&self, client: &ClientId, had: &Had) {
        let mut all = self.generations();
        let mut known = all.young.remove(client).or_else(|| all.old.remove(client));
        if all.young.len() >= CLIENTS {
            all.old = std::mem::take(&mut all.young);
        }
        let known = known.get_or_insert_default();
        known.merge(had);
        all.young.insert(client.clone(), std::mem::take(known));
    }

    /// Whether `client` has had the entry at `position` of `log`.
    pub(super) fn has_had(&self, client: &ClientId, log: &LogName, position: Position) -> bool {
        let all = self.generations();
        let known = all.young.get(client).or_else(|| all.old.get(client));
        known.is_some_and(|known| position <= known.through(log))
    }
}

impl Remembered {
    fn merge(&mut self, had: &Had) {
        self.own = self.own.max(had.own);
        for (channel, through) in had.channels.iter().filter(|(_, it)| *it > Position::ZERO) {
            let known = self.channels.entry(channel.clone()).or_default();
            *known = (*through).max(*known);
        }
        if self.channels.len() > CHANNELS_MAX {
            let mut all: Vec<_> = std::mem::take(&mut self.channels).into_iter().collect();
            all.sort_unstable_by_key(|(_, through)| Reverse(*through));
            self.channels = all.into_iter().take(CHANNELS_MAX).collect();
        }
    }

    fn through(&self, log: &LogName) -> Position {
        match log {
            LogName::User(_) => self.own,
            LogName::Channel(channel) => self.channels.get(channel).copied().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_protocol::UserId;

    fn at(position: u64) -> Position {
        Position::new(position).unwrap()
    }

    fn channel(n: usize) -> Channel {
        Channel::new(&format!("c/{n}")).unwrap()
    }

    #[test]
    fn what_is_known_grows_and_is_bounded() {
        let (known, own) = (Known::default(), LogName::User(UserId::new("10").unwrap()));
        let client = |n: usize| ClientId::new(&format!("10:c{n}")).unwrap();
        let first = Had { own: at(7), channels: vec![(channel(0), at(5)), (channel(1), at(9))] };
        known.note(&client(0), &first);
        known.note(&client(0), &Had { own: at(3), channels: vec![(channel(0), at(6))] });
        let has = |log: &LogName, position| known.has_had(&client(0), log, at(position));
        assert!(has(&own, 7) && !has(&own, 8));
        for (n, through) in [(0, 6), (1, 9), (2, 0)] {
            let log = LogName::Channel(channel(n));
            assert!(!has(&log, through + 1) && (through == 0 || has(&log, through)), "{n}");
        }
        assert!(!known.has_had(&client(1), &own, at(1)));
        // Of very many channels, the newest.
        let many = (0..500).map(|n| (channel(n), at(10 + n as u64))).collect();
        known.note(&client(0), &Had { own: at(7), channels: many });
        assert!(
            has(&LogName::Channel(channel(499)), 509) && !has(&LogName::Channel(channel(0)), 6)
        );
        for n in 1..CLIENTS {
            known.note(&client(n), &first);
        }
        assert!(known.has_had(&client(0), &own, at(7)), "so many are remembered");
        for n in CLIENTS..4 * CLIENTS {
            known.note(&client(n), &first);
        }
        assert!(!known.has_had(&client(0), &own, at(1)));
        let all = known.generations();
        assert!(all.young.len() <= CLIENTS && all.old.len() <= CLIENTS);
    }
}
