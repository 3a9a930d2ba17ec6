//! Looking from where a reader stands: what is visible, in order, as much as a page holds.
//!
//! Logs are read in stretches: the lowest mark up to the next one, then those two together, and so
//! on to the head. Within a stretch entries come in order of position, each once.
//!
//! A mark moves on visible entries only, so that the cursor of a reader for whom nothing happened
//! stays the same; but it does move past a whole read in which nothing was visible.

use super::cursor::{Mark, Stage};
use super::source::{Source, Unread};
use super::standpoint::{Followed, Standpoint, View, Visible};
use crate::documents::OwnStates;
use crate::log::{Entry, LogName, Page, PageLimit};
use crate::sync_map::{Fate, Standing};
use tidelog_crdt::Position;

/// Entries read at once: at least, and at most.
const READ_MIN: usize = 100;
const READ_MAX: usize = 1_000;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
/// Entries looked at for one page; with more of them invisible the page ends early.
const LOOKED_AT_MAX: usize = 20_000;

/// A look under way.
pub(super) struct Look<'a> {
    pub(super) source: &'a Source<'a>,
    limit: PageLimit,
    pub(super) view: View,
    /// How far the user's log was read, and each channel.
    own_at: Position,
    channels_at: Vec<Position>,
    bytes: usize,
    looked_at: usize,
    /// The documents that stand for entries of the user's log, which are left out.
    pub(super) own_states: Option<OwnStates>,
}

/// The logs that are read together, up to the next mark.
pub(super) struct Stretch {
    /// Whether the user's log is among them.
    pub(super) own: bool,
    /// Whether each of the channels is.
    pub(super) channels: Vec<bool>,
    above: Position,
    until: Position,
}

impl<'a> Look<'a> {
    /// What is visible from there.
    pub(super) fn from(
        from: &Standpoint,
        source: &'a Source<'a>,
        limit: PageLimit,
    ) -> Result<View, Unread> {
        let view = View { shown: Vec::new(), after: from.clone(), more: false };
        let channels_at = from.channels.iter().map(|it| it.mark.through).collect();
        let mut look = Self {
            source,
            limit,
            view,
            own_at: from.own_mark.through,
            channels_at,
            bytes: 0,
            looked_at: 0,
            own_states: None,
        };
        look.view.after.begin_look();
        look.begin_squashed()?;
        look.begin_own()?;
        look.at_items()?;
        look.at_entries(source.log.head())?;
        if look.view.more {
            look.view.after.owe_over_bases(source.log.head());
        }
        look.at_late()?;
        Ok(look.view)
    }

    /// Shows these together, if there is room; a page has room for whatever comes first.
    pub(super) fn show(&mut self, together: Vec<Visible>) -> bool {
        let bytes = together.iter().map(Visible::bytes).sum();
        let shows = self.has_room(together.len(), bytes);
        if shows {
            self.view.shown.extend(together);
        }
        shows
    }

    fn show_one(&mut self, visible: Visible) -> bool {
        let shows = self.has_room(1, visible.bytes());
        if shows {
            self.view.shown.push(visible);
        }
        shows
    }

    /// Takes room for so many actions, if there is any.
    fn has_room(&mut self, count: usize, bytes: usize) -> bool {
        let entries = self.view.shown.len() + count;
        let fits = entries <= self.limit.entries && self.bytes + bytes <= self.limit.bytes;
        if !fits && !self.view.shown.is_empty() && count > 0 {
            self.view.more = true;
            return false;
        }
        self.bytes += bytes;
        true
    }

    /// Items of the maps whose items are being sent, and documents of channels likewise.
    fn at_items(&mut self) -> Result<(), Unread> {
        for at in 0..self.view.after.channels.len() {
            let followed = self.view.after.channels.get(at);
            let sending = followed.filter(|it| it.mark.stage == Stage::Items && !self.view.more);
            let Some(mut followed) = sending.cloned() else { continue };
            self.at_items_of(&mut followed)?;
            if let Some(reached) = self.channels_at.get_mut(at) {
                *reached = followed.mark.through.max(*reached);
            }
            if let Some(sent) = self.view.after.channels.get_mut(at) {
                *sent = followed;
            }
        }
        Ok(())
    }

    fn at_items_of(&mut self, followed: &mut Followed) -> Result<(), Unread> {
        let channel = &followed.channel;
        let begins = followed.mark.through == Position::ZERO;
        let snapshot = match followed.map.as_deref() {
            Some(map) => self.source.snapshot(channel, map, begins)?,
            None => self.source.states(channel, true)?,
        };
        if followed.map.is_none() {
            // What is in them comes first, where it comes by another log, too: a reader that takes actions as
            // they come would count it twice.
            self.at_entries(snapshot.through)?;
            if self.view.more {
                return Ok(());
            }
        }
        for item in snapshot.above(followed.mark.through) {
            // A reader that has nothing need not hear of what is gone.
            let told: Vec<_> = item.told().filter(|shown| !(shown.gone && begins)).collect();
            if !self.show(told.iter().map(|it| Visible::item(it, Some(channel))).collect()) {
                if followed.map.is_some() {
                    self.source.snapshots.keep(channel, &snapshot);
                }
                return Ok(());
            }
            followed.mark.through = item.touched;
            if followed.map.is_none() {
                followed.mark.sent_states(&told);
            }
        }
        let through = snapshot.through.max(followed.mark.through);
        // What is owed anew is of before.
        let Mark { state_ms, owed, .. } = followed.mark;
        followed.mark = Mark { through, stage: Stage::Partly, state_ms, owed, ..Mark::default() };
        Ok(())
    }

    /// Entries of all other logs, up to `until`.
    pub(super) fn at_entries(&mut self, until: Position) -> Result<(), Unread> {
        while !self.view.more
            && let Some(stretch) = self.next_stretch(until)
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

    /// Whether documents of the user's log stand for `entry`.
    fn is_in_states(&self, entry: &Entry) -> bool {
        let (states, own) = (self.own_states.as_ref(), self.view.after.own.as_ref());
        own.is_some_and(|own| entry.addresses.includes(own))
            && states.is_some_and(|states| states.has(entry, self.source.rules))
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

    fn next_stretch(&self, end: Position) -> Option<Stretch> {
        let after = &self.view.after;
        let own_at = after.own.is_some().then_some(self.own_at);
        let reading = |followed: &Followed| followed.mark.stage != Stage::Items;
        let channels = after.channels.iter().zip(&self.channels_at);
        let marks = channels.clone().filter(|(it, _)| reading(it)).map(|(_, at)| *at);
        let marks = marks.chain(own_at);
        let above = marks.clone().min().filter(|lowest| *lowest < end)?;
        let until = marks.filter(|mark| *mark > above).fold(end, Position::min);
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
            let any = self.at_page(&page, stretch)?;
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
    fn at_page(&mut self, page: &Page, stretch: &Stretch) -> Result<bool, Unread> {
        let mut any = false;
        for entry in &page.entries {
            if stretch.own && self.is_in_states(entry) {
                continue;
            }
            let (head, rules) = (self.source.log.head(), self.source.rules);
            self.view.after.note_late(entry, stretch, head, rules);
            let Some(visible) = self.view.after.visible(entry, stretch) else { continue };
            let Some(shows) = self.tell(entry, visible)? else { continue };
            any = true;
            if !shows {
                return Ok(any);
            }
            self.view.after.move_to(stretch, entry.position);
        }
        Ok(any)
    }

    /// Shows what the reader is told of an entry, if there is room: of one of a map, what became of its item
    /// decides. None if that is nothing.
    fn tell(&mut self, entry: &Entry, visible: Visible) -> Result<Option<bool>, Unread> {
        let Visible::Entry { map: Some(map), channels, .. } = &visible else {
            return Ok(Some(self.show_one(visible)));
        };
        let together: Vec<_> = match self.source.fate(entry, map)? {
            Fate::Plain => return Ok(Some(self.show_one(visible))),
            Fate::Hidden => Vec::new(),
            Fate::Renewed(item) => {
                let snapshot = self.source.fold(&item, map)?;
                let shown = snapshot.items().iter().flat_map(Standing::told);
                let shown =
                    shown.filter_map(|shown| Some(Visible::item(shown, Some(channels.first()?))));
                shown.collect()
            }
        };
        Ok((!together.is_empty()).then(|| self.show(together)))
    }
}
