//! How far a page had come in the channels that it follows: what it had seen of them when it acted.
//!
//! A channel counts as followed when its load was acknowledged; until then, as far as an earlier connection
//! had brought it. A filtered subscription shows a part, so it does not count.

use super::NodeState;
use super::subscription::Key;
use crate::ingest::{Follows, Known};
use crate::log::Channel;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tidelog_crdt::Position;

/// How far a session's page has come in its channels.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// As actions that wait to be judged are given it.
    followed: Arc<Followed>,
    /// Loads that were sent and not acknowledged.
    sent: VecDeque<Loaded>,
}

/// A load that was sent.
#[derive(Debug)]
struct Loaded {
    channel: Channel,
    /// The page has it when it has acknowledged so many frames.
    frames: u64,
    sent_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Followed(HashMap<Channel, Progress>);

/// How far a page has come in one channel.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// It has everything up to here, by an earlier connection or load.
    before: Position,
    /// Who acted since had as much of it as of its user's log.
    live_since_ms: Option<u64>,
}

/// What `node`, as it is remembered, had when it left.
pub(crate) fn known_by(node: &NodeState) -> Known {
    Known {
        own_log: node.acked.max(node.had),
        time: 0,
        channels: Following::resume(node).now(),
        own: Arc::new(node.own.clone()),
    }
}

impl Follows for Followed {
    fn had(&self, channel: &Channel, known: &Known) -> Position {
        let Some(progress) = self.0.get(channel) else { return Position::ZERO };
        let live = progress.live_since_ms.is_some_and(|since| since <= known.time);
        if live { known.own_log.max(progress.before) } else { progress.before }
    }
}

impl Following {
    /// As the node has left it.
    pub(super) fn resume(node: &NodeState) -> Self {
        let known = node.subscriptions.iter().filter(|it| it.filter.is_empty() && it.acked);
        let progress = |before| Progress { before, live_since_ms: None };
        let followed = known.map(|known| (known.channel.clone(), progress(known.through)));
        Self { followed: Arc::new(Followed(followed.collect())), sent: VecDeque::new() }
    }

    /// For actions that came in now.
    pub(super) fn now(&self) -> Option<Arc<dyn Follows>> {
        let followed = Arc::clone(&self.followed);
        (!followed.0.is_empty()).then_some(followed as Arc<dyn Follows>)
    }

    /// The load of `key` begins; the page has had everything up to `before`.
    pub(super) fn begin(&mut self, key: &Key, before: Position) {
        if !key.filter.is_empty() {
            return;
        }
        self.sent.retain(|sent| sent.channel != key.channel);
        let progress = Progress { before, live_since_ms: None };
        self.change().insert(key.channel.clone(), progress);
    }

    /// The load of `key` begins anew; who was live had everything up to `had`.
    pub(super) fn begin_anew(&mut self, key: &Key, had: Position) {
        let known = self.followed.0.get(&key.channel).copied();
        let before = known.map_or(Position::ZERO, |known| match known.live_since_ms {
            Some(_) => known.before.max(had),
            None => known.before,
        });
        self.begin(key, before);
    }

    /// The load of `key` was sent, with the frame counted `frames` as its last.
    pub(super) fn on_sent(&mut self, key: &Key, frames: u64, sent_ms: u64) {
        if key.filter.is_empty() {
            self.sent.push_back(Loaded { channel: key.channel.clone(), frames, sent_ms });
        }
    }

    /// So many frames were acknowledged.
    pub(super) fn on_acked(&mut self, frames: u64) {
        while self.sent.front().is_some_and(|sent| sent.frames <= frames)
            && let Some(Loaded { channel, sent_ms, .. }) = self.sent.pop_front()
        {
            if let Some(progress) = self.change().get_mut(&channel) {
                progress.live_since_ms = Some(sent_ms);
            }
        }
    }

    /// The subscription called `key` has ended.
    pub(super) fn end(&mut self, key: &Key) {
        if key.filter.is_empty() && self.followed.0.contains_key(&key.channel) {
            self.sent.retain(|sent| sent.channel != key.channel);
            self.change().remove(&key.channel);
        }
    }

    /// What has not been named again is forgotten.
    pub(super) fn keep(&mut self, is_named: impl Fn(&Key) -> bool) {
        let key = |channel: &Channel| Key { channel: channel.clone(), filter: String::new() };
        self.change().retain(|channel, _| is_named(&key(channel)));
    }

    fn change(&mut self) -> &mut HashMap<Channel, Progress> {
        &mut Arc::make_mut(&mut self.followed).0
    }
}
