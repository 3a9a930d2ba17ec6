//! What devices have had, so that they are not woken for it.

use crate::log::{Channel, LogName};
use crate::session::NodeState;
use tidelog_crdt::Position;

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
