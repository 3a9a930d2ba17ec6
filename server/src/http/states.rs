//! Documents instead of actions: for a reader that begins with its own log, for one that missed much, and
//! anew where an action came that is older than what was sent.
//!
//! They come after everything else up to where they go, so that a client which takes actions as they come
//! lays them over what is in them, too; how far that has come is in the cursor.

use super::cursor::{Mark, Owed, Stage, nothing_is_left_out};
use super::look::Look;
use super::source::Unread;
use super::standpoint::Visible;
use crate::log::{Channel, LogName};
use crate::sync_map::{Shown, Snapshot};
use std::sync::Arc;
use tidelog_crdt::Position;

impl Mark {
    /// The reader was sent these.
    pub(super) fn sent_states(&mut self, told: &[&Shown]) {
        let latest = told.iter().map(|shown| shown.meta.time).max();
        self.state_ms = self.state_ms.max(latest.unwrap_or_default());
    }

    /// Documents that changed above `after` are sent anew, once everything up to there was.
    pub(super) fn owe(&mut self, after: Position, head: Position) {
        let complete_through = nothing_is_left_out();
        let owed = Owed { after, began: head, has_shown: true, complete_through };
        self.owed.get_or_insert(owed);
    }
}

impl Look<'_> {
    /// A reader that missed much of a log is sent what that adds up to, where rules say so.
    pub(super) fn begin_squashed(&mut self) -> Result<(), Unread> {
        let source = self.source;
        let most = source.rules.own_squash();
        let own = self.view.after.own.clone();
        let mark = &mut self.view.after.own_mark;
        if let (Some(log), Some(most), None) = (own, most, mark.owed)
            && source.missed_more(log, mark.through, most)?
        {
            let began = source.log.head();
            let after = mark.through;
            let owed = Owed { after, began, has_shown: true, complete_through: after };
            mark.owed = Some(owed);
        }
        for followed in &mut self.view.after.channels {
            let Some(most) = followed.squash.filter(|_| followed.mark.stage != Stage::Items) else {
                continue;
            };
            let log = LogName::Channel(followed.channel.clone());
            if !source.missed_more(log, followed.mark.through, most)? {
                continue;
            }
            followed.mark.stage = Stage::Items;
            // One that is kept for other loads may not go as far.
            if let Some(map) = followed.map.as_deref() {
                let snapshot = source.fold(&followed.channel, map)?;
                source.snapshots.keep(&followed.channel, &snapshot);
            }
        }
        Ok(())
    }

    /// The user's own log, if what the reader begins with of it is still to come. What comes anew has its time
    /// after the entries.
    pub(super) fn begin_own(&mut self) -> Result<(), Unread> {
        let owed = self.view.after.own_mark.owed;
        let is_anew = |owed: Owed| owed.complete_through == nothing_is_left_out();
        if owed.is_some_and(is_anew) { Ok(()) } else { self.at_own() }
    }

    fn at_own(&mut self) -> Result<(), Unread> {
        let after = &self.view.after;
        let (Some(owed), Some(own)) = (after.own_mark.owed, after.own.clone()) else {
            return Ok(());
        };
        let states = self.source.own_states(&own, owed.began)?;
        let snapshot = states.snapshot.clone();
        self.own_states = Some(states);
        let read = self.at_entries(snapshot.through);
        self.own_states = None;
        read?;
        if self.view.more {
            return Ok(());
        }
        let mut mark = self.view.after.own_mark;
        self.at_states(&snapshot, &mut mark, None);
        if mark.owed.is_none() {
            // Of what is below nothing is left to tell.
            let last = snapshot.items().last().map(|item| item.touched);
            mark.through = mark.through.max(last.unwrap_or_default());
        }
        self.view.after.own_mark = mark;
        Ok(())
    }

    /// Documents that are owed because an action in them is older than what was sent of them.
    pub(super) fn at_late(&mut self) -> Result<(), Unread> {
        let due = self.view.after.renews_at().is_some_and(|due| due <= self.source.now);
        if !due || self.view.more {
            return Ok(());
        }
        self.at_own()?;
        for at in 0..self.view.after.channels.len() {
            let followed = self.view.after.channels.get(at).filter(|it| it.mark.owed.is_some());
            let Some(followed) = followed.filter(|_| !self.view.more).cloned() else { continue };
            let snapshot = self.source.states(&followed.channel, followed.is_state)?;
            self.at_entries(snapshot.through)?;
            let mark = self.view.after.channels.get(at).map(|followed| followed.mark);
            let Some(mut mark) = mark.filter(|_| !self.view.more) else { continue };
            self.at_states(&snapshot, &mut mark, Some(&followed.channel));
            if let Some(followed) = self.view.after.channels.get_mut(at) {
                followed.mark = mark;
            }
        }
        if !self.view.more {
            self.view.after.renewed_ms = self.source.now;
        }
        Ok(())
    }

    /// Those of `snapshot` that are owed by `mark`, as far as there is room.
    fn at_states(&mut self, snapshot: &Arc<Snapshot>, mark: &mut Mark, channel: Option<&Channel>) {
        let Some(mut owed) = mark.owed else { return };
        for item in snapshot.above(owed.after) {
            let told = item.told().filter(|shown| !shown.gone || owed.has_shown);
            let told: Vec<_> = told.collect();
            if !self.show(told.iter().map(|shown| Visible::item(shown, channel)).collect()) {
                mark.owed = Some(owed);
                return;
            }
            mark.sent_states(&told);
            // What is gone later may have been sent by then.
            owed = Owed { after: item.touched, has_shown: true, ..owed };
        }
        mark.owed = None;
    }
}

/// Where a reader starts that has nothing of its own log, and is sent documents.
pub(super) fn first(mark: Mark, head: Position, has_shown: bool) -> Mark {
    let start = Position::ZERO;
    let owed = Owed { after: start, began: head, has_shown, complete_through: start };
    Mark { owed: Some(owed), ..mark }
}
