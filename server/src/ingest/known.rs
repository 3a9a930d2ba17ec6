//! What the author of an action had had of each log when it acted, and what its context says of that.
//!
//! One context is stored with an entry, for all the logs that it is in. So its prefix is the least of what
//! the author had of them: nothing of a log that it did not follow, or of which it was shown a part.

use super::OWN_RANGES_MAX;
use crate::log::{Channel, Incarnations};
use crate::rules::{Placement, Rules, Subject};
use std::fmt::Debug;
use std::sync::Arc;
use tidelog_crdt::{Context, Position, Ranges, Seen};

/// What an author had had when it acted.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Of its user's log, everything visible up to here.
    pub own_log: Position,
    /// When it acted, by the clock that its connection is measured with.
    pub time: u64,
    /// Of channels; nothing, without it.
    pub channels: Option<Arc<dyn Follows>>,
    /// Where its own actions are, or the newest of them.
    pub own: Arc<Ranges>,
}

/// How far somebody had come in the channels that it followed.
pub trait Follows: Debug + Send + Sync {
    /// Up to where it had all of `channel` when it acted as `known` says.
    fn had(&self, channel: &Channel, known: &Known) -> Position;
}

/// Somebody who had come as far as either says.
#[derive(Debug)]
struct Either(Arc<dyn Follows>, Arc<dyn Follows>);

impl Follows for Either {
    fn had(&self, channel: &Channel, known: &Known) -> Position {
        self.0.had(channel, known).max(self.1.had(channel, known))
    }
}

impl Known {
    /// The context of an action of `subject`, of the type `kind`, that goes where `placement` says.
    pub(crate) fn context(
        &self,
        lives: &Incarnations,
        (subject, kind, placement): (&Subject, &str, &Placement),
        rules: &Rules,
    ) -> Context {
        let is_own = |user| !subject.anonymous() && user == subject.user();
        let users = placement.users.iter();
        let users = users.map(|user| if is_own(user) { self.own_log } else { Position::ZERO });
        let channels = match &*placement.channels {
            // All that is in the channel of an item is in that of its map, too.
            [map, item] if placement.sync_map => {
                let of_map = self.of_channel(map, rules);
                let of_item = self.of_channel(item, rules).max(of_map);
                // And of the map an action says nothing but of its item, unless `[[merge]]` makes more of it.
                if rules.merges(kind) { vec![of_map] } else { vec![of_item] }
            }
            channels => channels.iter().map(|it| self.of_channel(it, rules)).collect(),
        };
        let prefix = users.chain(channels).min().unwrap_or_default();
        let mut own = self.own.newest(OWN_RANGES_MAX);
        own.forget_through(prefix);
        lives.context(Seen { prefix, own })
    }

    /// Who it is of had had all of `earlier`, too.
    pub(crate) fn extend(&mut self, earlier: &Self) {
        self.own_log = self.own_log.max(earlier.own_log);
        let own = Arc::make_mut(&mut self.own);
        earlier.own.iter().for_each(|(first, last)| own.insert_range(first, last));
        let earlier = earlier.channels.clone();
        self.channels = match (self.channels.take(), earlier) {
            (Some(now), Some(earlier)) => Some(Arc::new(Either(now, earlier))),
            (now, earlier) => now.or(earlier),
        };
    }

    fn of_channel(&self, channel: &Channel, rules: &Rules) -> Position {
        let had = self.channels.as_ref().map(|channels| channels.had(channel, self));
        let had = had.filter(|had| *had > Position::ZERO && rules.shows_past(channel.as_str()));
        had.unwrap_or_default()
    }
}
