//! Where a reader stands, and what it may see.
//!
//! A reader stands at a mark in each log that it follows. Marks are mostly the same; a channel that
//! is new to the reader is behind, and one that is read from now on is ahead.

use super::causality;
use super::cursor::{ChannelKey, Mark, Reached, Stage};
use super::look::{Look, Stretch};
use super::source::{Source, Unread};
use crate::documents;
use crate::log::{Channel, Entry, LogName, PageLimit};
use crate::rules::Rules;
use crate::sync_map::{self, Shown};
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::http::PulledMeta;
use tidelog_protocol::{Action, ClientId, Meta};

/// Documents are sent anew to one connection at most so often: in a lively log actions overtake each other.
const RENEW_AFTER_MS: u64 = 1_000;

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
    /// When it was last sent documents anew, if that was by this connection.
    pub(super) renewed_ms: u64,
    /// The first base in the user's log that this look has come over.
    pub(super) own_base: Option<Position>,
}

/// A channel that a reader follows.
#[derive(Clone)]
pub(super) struct Followed {
    pub(super) channel: Channel,
    pub(super) key: ChannelKey,
    /// The map whose channel it is.
    pub(super) map: Option<Arc<str>>,
    /// It is loaded as its documents.
    pub(super) is_state: bool,
    /// Who missed more actions than this gets what they add up to.
    pub(super) squash: Option<usize>,
    pub(super) mark: Mark,
    /// The first base that this look has come over.
    pub(super) base: Option<Position>,
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
    /// What is left of an action in the items of a map, or a document; of a channel, or else of the user's log.
    Item { position: Position, action: Action, meta: Meta, channel: Option<Channel> },
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

    /// When documents are to be sent anew that are owed.
    pub(super) fn renews_at(&self) -> Option<u64> {
        let mut marks = self.channels.iter().map(|it| &it.mark).chain([&self.own_mark]);
        marks.any(|mark| mark.owed.is_some()).then(|| self.renewed_ms + RENEW_AFTER_MS)
    }

    /// Of an entry that was read in this stretch: is it a document already, or older than the states that
    /// the reader was sent, so that a store which goes by time would not show it? Or did the reader have it
    /// before a base that it is sent now, which would hide it from who goes by what comes?
    pub(super) fn note_late(
        &mut self,
        entry: &Entry,
        stretch: &Stretch,
        head: Position,
        rules: &Rules,
    ) {
        let is_own = self.own.as_ref().is_some_and(|own| entry.addresses.includes(own));
        let mine = self.is_mine(entry);
        let brought = is_own && !stretch.own;
        let own = (stretch.own && is_own).then_some((&mut self.own_mark, &mut self.own_base));
        let within = self.channels.iter_mut().zip(&stretch.channels).filter(|(_, it)| **it);
        let marks = within
            .filter(|(followed, _)| entry.addresses.channels.contains(&followed.channel))
            .map(|(followed, _)| (&mut followed.mark, &mut followed.base));
        for (mark, base) in own.into_iter().chain(marks) {
            if documents::is_state(entry) {
                mark.state_ms = mark.state_ms.max(entry.time);
                base.get_or_insert(entry.position);
                continue;
            }
            let came_before = brought || (mine && entry.position > mark.echo_through);
            let is_older = mark.state_ms > 0 && (entry.time <= mark.state_ms || entry.is_undo());
            if (is_older || (came_before && base.is_some())) && rules.is_of_documents(entry) {
                mark.owe(before(entry.position), head);
            }
        }
    }

    /// The look begins, and has come over no base.
    pub(super) fn begin_look(&mut self) {
        self.own_base = None;
        self.channels.iter_mut().for_each(|followed| followed.base = None);
    }

    /// The look ends before all was read: what the reader had of what is above a base is not known.
    pub(super) fn owe_over_bases(&mut self, head: Position) {
        let own = (&mut self.own_mark, self.own_base);
        let channels = self.channels.iter_mut().map(|it| (&mut it.mark, it.base));
        for (mark, base) in channels.chain([own]) {
            if let Some(base) = base {
                mark.owe(base, head);
            }
        }
    }

    fn is_mine(&self, entry: &Entry) -> bool {
        self.device.as_ref().is_some_and(|it| it.as_str() == entry.id.node.client_str())
    }

    /// How the reader sees an entry that was read in this stretch, if it does.
    pub(super) fn visible(&self, entry: &Arc<Entry>, stretch: &Stretch) -> Option<Visible> {
        let mine = self.is_mine(entry);
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
    /// One action of an item in `channel`, or of a document in the user's log.
    pub(super) fn item(shown: &Shown, channel: Option<&Channel>) -> Self {
        Self::Item {
            position: shown.position,
            action: shown.action.clone(),
            meta: shown.meta.clone(),
            channel: channel.cloned(),
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
    pub(super) fn render(self, causality: bool) -> (Action, PulledMeta) {
        match self {
            Self::Entry { entry, channels, map } => {
                let (action, meta) = sync_map::shown(&entry, map.as_deref());
                let mut meta = pulled(meta, entry.position, &channels);
                if causality {
                    meta.dots = causality::dots(&entry);
                    meta.context = Some(causality::context(&entry.causes.context()));
                }
                (action, meta)
            }
            Self::Item { position, action, meta, channel } => {
                (action, pulled(meta, position, channel.as_slice()))
            }
        }
    }
}

fn before(position: Position) -> Position {
    Position::new(position.get().saturating_sub(1)).unwrap_or_default()
}

fn pulled(meta: Meta, position: Position, channels: &[Channel]) -> PulledMeta {
    PulledMeta {
        id: meta.id,
        time: meta.time,
        added: position.get(),
        subprotocol: meta.subprotocol,
        channels: channels.iter().map(|channel| channel.as_str().to_owned()).collect(),
        dots: Vec::new(),
        context: None,
    }
}
