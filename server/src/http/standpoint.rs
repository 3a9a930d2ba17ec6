//! Where a reader stands, and what is visible to it from there.
//!
//! A reader stands at a mark in each log that it follows. Marks are mostly the same; a channel that
//! is new to the reader is behind, and one that is read from now on is ahead. So logs are read in
//! stretches: the lowest mark up to the next one, then those two together, and so on to the head.
//! Within a stretch entries come in order of position, each once.
//!
//! A mark moves on visible entries only, so that the cursor of a reader for whom nothing happened
//! stays the same; but it does move past a whole page in which nothing was visible.

use super::cursor::{ChannelKey, Mark, Reached, Stage};
use super::snapshots::{Snapshot, Snapshots};
use crate::catch_up;
use crate::log::{Channel, Entry, Log, LogName, Page, PageLimit, ReadError};
use crate::sync_map;
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::http::PulledMeta;
use tidelog_protocol::{Action, ClientId, Meta};

/// Entries read at once: at least, and at most.
const READ_MIN: usize = 100;
const READ_MAX: usize = 1_000;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// Entries looked at for one page; with more of them invisible the page ends early.
const LOOKED_AT_MAX: usize = 20_000;

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
    pub(super) now: u64,
    /// Whether it may wait for the disk.
    pub(super) may_wait: bool,
}

impl Source<'_> {
    fn read(
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

    fn snapshot(
        &self,
        channel: &Channel,
        map: &str,
        begins: bool,
    ) -> Result<Arc<Snapshot>, Unread> {
        match self.snapshots.get(channel, begins, self.now) {
            Some(kept) => Ok(kept),
            None if self.may_wait => Snapshot::make(self.log, channel, map, self.now)
                .map(Arc::new)
                .map_err(Unread::Failed),
            None => Err(Unread::NotInMemory),
        }
    }
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
        let mut look = Look::new(self, source, limit);
        look.at_items()?;
        look.at_entries()?;
        Ok(look.view)
    }
}

/// A look under way.
struct Look<'a> {
    source: &'a Source<'a>,
    limit: PageLimit,
    view: View,
    /// How far the user's log was read, and each channel.
    own_at: Position,
    channels_at: Vec<Position>,
    bytes: usize,
    looked_at: usize,
}

/// The logs that are read together, up to the next mark.
struct Stretch {
    own: bool,
    channels: Vec<bool>,
    above: Position,
    until: Position,
}

impl<'a> Look<'a> {
    fn new(from: &Standpoint, source: &'a Source<'a>, limit: PageLimit) -> Self {
        let view = View { shown: Vec::new(), after: from.clone(), more: false };
        let (own_at, channels_at) = (from.own_mark.through, Vec::new());
        Self { source, limit, view, own_at, channels_at, bytes: 0, looked_at: 0 }
    }

    /// Whether `count` more actions of `bytes` fit; a page has at least one.
    fn has_room(&self, count: usize, bytes: usize) -> bool {
        let shown = self.view.shown.len();
        shown == 0
            || (shown + count <= self.limit.entries && self.bytes + bytes <= self.limit.bytes)
    }

    /// Items of the maps whose items are being sent.
    fn at_items(&mut self) -> Result<(), Unread> {
        let mut channels = std::mem::take(&mut self.view.after.channels);
        let done = channels.iter_mut().try_for_each(|followed| {
            let sending = followed.mark.stage == Stage::Items && !self.view.more;
            if sending { self.at_items_of(followed) } else { Ok(()) }
        });
        self.view.after.channels = channels;
        done
    }

    fn at_items_of(&mut self, followed: &mut Followed) -> Result<(), Unread> {
        let (channel, map) = (&followed.channel, followed.map.as_deref().unwrap_or_default());
        let begins = followed.mark.through == Position::ZERO;
        let snapshot = self.source.snapshot(channel, map, begins)?;
        for item in snapshot.above(followed.mark.through) {
            // A reader that has nothing need not hear of what is gone.
            if item.gone && begins {
                continue;
            }
            let bytes = item.shown.iter().map(|shown| shown.action.json().len()).sum();
            if !self.has_room(item.shown.len(), bytes) {
                self.view.more = true;
                self.source.snapshots.keep(channel, &snapshot);
                return Ok(());
            }
            self.bytes += bytes;
            self.view.shown.extend(item.shown.iter().map(|shown| Visible::Item {
                position: shown.position,
                action: shown.action.clone(),
                meta: shown.meta.clone(),
                channel: channel.clone(),
            }));
            followed.mark.through = item.touched;
        }
        let through = snapshot.through.max(followed.mark.through);
        followed.mark = Mark { through, stage: Stage::Partly, ..Mark::default() };
        Ok(())
    }

    /// Entries of all other logs.
    fn at_entries(&mut self) -> Result<(), Unread> {
        let head = self.source.log.head();
        self.channels_at = self.view.after.channels.iter().map(|it| it.mark.through).collect();
        while !self.view.more
            && let Some(stretch) = self.next_stretch(head)
        {
            self.at_stretch(&stretch)?;
            if !self.view.more {
                self.was_read(&stretch);
            }
        }
        self.forget_echoes();
        Ok(())
    }

    /// Where a log was read up to where the reader's own actions are shown, that is done. What
    /// remains of a start must not be in the cursor: it would differ from start to start.
    fn forget_echoes(&mut self) {
        let read = |mark: &mut Mark, at: Position| {
            if mark.echo_through <= at {
                mark.echo_through = Position::ZERO;
            }
        };
        read(&mut self.view.after.own_mark, self.own_at);
        for (followed, at) in self.view.after.channels.iter_mut().zip(&self.channels_at) {
            read(&mut followed.mark, *at);
        }
    }

    fn was_read(&mut self, stretch: &Stretch) {
        if stretch.own {
            self.own_at = stretch.until;
        }
        for (at, within) in self.channels_at.iter_mut().zip(&stretch.channels) {
            if *within {
                *at = stretch.until;
            }
        }
    }

    fn next_stretch(&self, head: Position) -> Option<Stretch> {
        let after = &self.view.after;
        let own_at = after.own.is_some().then_some(self.own_at);
        let reading = |followed: &Followed| followed.mark.stage != Stage::Items;
        let channels = after.channels.iter().zip(&self.channels_at);
        let marks = channels.clone().filter(|(it, _)| reading(it)).map(|(_, at)| *at);
        let marks = marks.chain(own_at);
        let above = marks.clone().min().filter(|lowest| *lowest < head)?;
        let until = marks.filter(|mark| *mark > above).fold(head, Position::min);
        Some(Stretch {
            own: own_at == Some(above),
            channels: channels.map(|(it, at)| reading(it) && *at == above).collect(),
            above,
            until,
        })
    }

    fn at_stretch(&mut self, stretch: &Stretch) -> Result<(), Unread> {
        let mut logs: Vec<_> =
            self.view.after.own.iter().filter(|_| stretch.own).cloned().collect();
        let within = self.view.after.channels.iter().zip(&stretch.channels).filter(|(_, it)| **it);
        logs.extend(within.map(|(followed, _)| LogName::Channel(followed.channel.clone())));
        let mut above = stretch.above;
        loop {
            let wanted = self.limit.entries.saturating_sub(self.view.shown.len()) + 1;
            let entries = wanted.clamp(READ_MIN, READ_MAX);
            let limit = PageLimit { entries, bytes: READ_BYTES };
            let page = self.source.read(&logs, (above, stretch.until), limit)?;
            let any = self.at_page(&page, stretch);
            if self.view.more || !page.more {
                return Ok(());
            }
            above = page.through;
            self.looked_at += page.entries.len();
            self.view.more = self.looked_at >= LOOKED_AT_MAX;
            if !any || self.view.more {
                self.view.after.move_to(stretch, page.through);
            }
        }
    }

    /// Returns whether anything of the page was visible.
    fn at_page(&mut self, page: &Page, stretch: &Stretch) -> bool {
        let mut any = false;
        for entry in &page.entries {
            let Some(visible) = self.view.after.visible(entry, stretch) else { continue };
            any = true;
            let bytes = entry.action.json().len();
            if !self.has_room(1, bytes) {
                self.view.more = true;
                return any;
            }
            self.bytes += bytes;
            self.view.shown.push(visible);
            self.view.after.move_to(stretch, entry.position);
        }
        any
    }
}

impl Standpoint {
    fn move_to(&mut self, stretch: &Stretch, position: Position) {
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
    fn visible(&self, entry: &Arc<Entry>, stretch: &Stretch) -> Option<Visible> {
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
