//! Where a reader stands, and what it may see.
//!
//! A reader stands at a mark in each log that it follows. Marks are mostly the same; a channel that
//! is new to the reader is behind, and one that is read from now on is ahead.

use super::cursor::{ChannelKey, Mark, Reached, Stage};
use super::look::{Look, Stretch};
use super::source::{Source, Unread};
use crate::log::{Channel, Entry, LogName, PageLimit};
use crate::sync_map::{self, Shown};
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::http::PulledMeta;
use tidelog_protocol::{Action, ClientId, Meta};

/// Where a reader stands.
#[derive(Clone)]
pub(super) struct Standpoint {
    /// The log of the reader's user, if it has one.
    pub(super) own: Option<LogName>,
    /// How far the reader has come in it.
    pub(super) own_mark: Mark,
    /// The channels that it follows.
    pub(super) channels: Vec<Followed>,
    /// The device that reads: it has its own actions.
    pub(super) device: Option<ClientId>,
}

/// A channel that a reader follows.
#[derive(Clone)]
pub(super) struct Followed {
    pub(super) channel: Channel,
    pub(super) key: ChannelKey,
    /// The map whose channel it is.
    pub(super) map: Option<Arc<str>>,
    pub(super) mark: Mark,
}

/// What a reader sees from where it stands.
pub(super) struct View {
    /// In order; items of a map first.
    pub(super) shown: Vec<Visible>,
    /// Where the reader stands when it has seen that.
    pub(super) after: Standpoint,
    /// There is more.
    pub(super) more: bool,
}

/// One action that a reader sees.
pub(super) enum Visible {
    /// An entry of a log.
    Entry {
        entry: Arc<Entry>,
        /// The channels by which it came; none when it came by the user's log.
        channels: Vec<Channel>,
        /// The map whose action it is.
        map: Option<Arc<str>>,
    },
    /// What is left of an action in the items of a map.
    Item { position: Position, action: Action, meta: Meta, channel: Channel },
}

impl Standpoint {
    /// How far the reader has come, as its cursor says it.
    pub(super) fn reached(&self) -> Reached {
        let channels = self.channels.iter().map(|followed| (followed.key, followed.mark));
        Reached { own: self.own_mark, channels: channels.collect() }
    }

    /// The logs that it follows.
    pub(super) fn logs(&self) -> Vec<LogName> {
        let channels = self.channels.iter().map(|it| LogName::Channel(it.channel.clone()));
        self.own.iter().cloned().chain(channels).collect()
    }

    /// What is visible from here, as much as `limit` allows.
    pub(super) fn look(&self, source: &Source<'_>, limit: PageLimit) -> Result<View, Unread> {
        Look::from(self, source, limit)
    }
}

impl Standpoint {
    pub(super) fn move_to(&mut self, stretch: &Stretch, position: Position) {
        if stretch.own {
            self.own_mark.through = position;
        }
        for (followed, within) in self.channels.iter_mut().zip(&stretch.channels) {
            if *within {
                followed.mark.through = position;
            }
        }
    }

    /// How the reader sees an entry that was read in this stretch, if it does.
    pub(super) fn visible(&self, entry: &Arc<Entry>, stretch: &Stretch) -> Option<Visible> {
        let mine = self.device.as_ref().is_some_and(|it| it.as_str() == entry.id.node.client_str());
        let shows = |mark: &Mark| !mine || entry.position <= mark.echo_through;
        if self.own.as_ref().is_some_and(|own| entry.addresses.includes(own)) {
            // Outside the stretch, the user's log is ahead: it has brought the entry.
            let visible = stretch.own && shows(&self.own_mark);
            return visible.then(|| Visible::Entry {
                entry: entry.clone(),
                channels: Vec::new(),
                map: None,
            });
        }
        let addressed = self.channels.iter().zip(&stretch.channels);
        let addressed = addressed.filter(|(it, _)| entry.addresses.channels.contains(&it.channel));
        let (within, ahead): (Vec<_>, Vec<_>) = addressed.partition(|(_, within)| **within);
        if ahead.iter().any(|(followed, _)| followed.mark.stage == Stage::Whole) {
            return None;
        }
        let first = within.first().map(|(followed, _)| followed.map.clone())?;
        within.iter().any(|(followed, _)| shows(&followed.mark)).then(|| Visible::Entry {
            entry: entry.clone(),
            channels: within.iter().map(|(followed, _)| followed.channel.clone()).collect(),
            map: first,
        })
    }
}

impl Visible {
    /// One action of an item in `channel`.
    pub(super) fn item(shown: &Shown, channel: &Channel) -> Self {
        Self::Item {
            position: shown.position,
            action: shown.action.clone(),
            meta: shown.meta.clone(),
            channel: channel.clone(),
        }
    }

    /// What it adds to a page.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Entry { entry, .. } => entry.action.json().len(),
            Self::Item { action, .. } => action.json().len(),
        }
    }

    /// The action with its meta, as the reader is told.
    pub(super) fn render(self) -> (Action, PulledMeta) {
        match self {
            Self::Entry { entry, channels, map } => {
                let (action, meta) = sync_map::shown(&entry, map.as_deref());
                (action, pulled(meta, entry.position, &channels))
            }
            Self::Item { position, action, meta, channel } => {
                (action, pulled(meta, position, &[channel]))
            }
        }
    }
}

fn pulled(meta: Meta, position: Position, channels: &[Channel]) -> PulledMeta {
    PulledMeta {
        id: meta.id,
        time: meta.time,
        added: position.get(),
        subprotocol: meta.subprotocol,
        channels: channels.iter().map(|channel| channel.as_str().to_owned()).collect(),
    }
}
