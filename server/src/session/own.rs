//! The user's own log for who has missed much of it: as far as rules let documents stand for actions, those
//! come instead, after everything else up to there.
//!
//! Until the last of them is sent, numbers say no more than before: a page that is cut begins again.

use super::delivery::{Phase, Reading};
use super::hiding::{Hiding, RENEW_AFTER_MS};
use super::showing::Showing;
use super::subscription::before;
use super::{Moment, ReadOrder, Session};
use crate::catch_up::{OwnOrder, OwnPart, Remaining};
use crate::log::LogName;
use crate::rules::{Filter, Rules};
use crate::sync_map::{Told, Wanted};
use tidelog_crdt::Position;
use tidelog_protocol::Meta;

/// A load of the user's own log.
#[derive(Debug)]
pub(super) struct OwnLoad {
    /// Numbers say no more than this while it lasts.
    claimed: Position,
    /// The log ended here when it began.
    began: Position,
    /// Documents that changed up to here are sent.
    after: Position,
    /// The page may show what changed above this; none when it has nothing.
    shown_above: Option<Position>,
    /// Only if more entries than this were missed.
    most: Option<usize>,
    /// The last of it was read.
    pub(super) done: bool,
}

/// States that a page was sent of documents in its user's own log.
#[derive(Debug, Default)]
pub(super) struct ToldStates {
    /// What may be hidden under them.
    pub(super) hiding: Hiding,
    /// The page had its log up to here before this connection.
    from: Position,
    /// When the last of them was sent.
    sent_ms: u64,
    /// The page has them when it has acknowledged so many frames.
    frames: u64,
    /// How far they go.
    through: Position,
    /// Some were sent since they began to be sent.
    any_sent: bool,
}

impl OwnLoad {
    /// How a session begins that resumes from `resumed`, or has nothing.
    pub(super) fn at_start(
        resumed: Option<Position>,
        has_shown: bool,
        head: Position,
        rules: &Rules,
    ) -> Option<Self> {
        let most = rules.own_squash().filter(|_| resumed.is_some());
        let wanted = rules.loads_own_state() && (resumed.is_none() || most.is_some());
        let from = resumed.unwrap_or_default();
        let shown_above = has_shown.then_some(Position::ZERO);
        wanted.then_some(Self {
            claimed: from,
            began: head,
            after: from,
            shown_above,
            most,
            done: false,
        })
    }

    pub(super) fn claimed(&self) -> Position {
        self.claimed
    }

    fn order(&self, log: LogName, others: Vec<LogName>, above: Position) -> OwnOrder {
        let (after, shown_above) = (self.after, self.shown_above);
        let wanted = Wanted { filter: Filter::default(), after, shown_above };
        let remaining = Remaining { began: self.began, wanted };
        OwnOrder { log, others, above, most: self.most, remaining }
    }
}

impl ToldStates {
    /// For a page that had its log up to `from`.
    pub(super) fn new(hiding: Hiding, from: Position) -> Self {
        Self { hiding, from, ..Self::default() }
    }

    /// No further ones come for now.
    pub(super) fn none_come(&mut self) {
        self.hiding.is_settled((self.from, Position::MAX));
        *self = Self::new(self.hiding, self.from);
    }

    /// A base is sent, under this meta.
    pub(super) fn tell_base(&mut self, meta: &mut Meta, at: Moment) {
        self.hiding.tell_base(meta, at.head);
        self.sent_ms = at.now;
    }

    /// A state is sent, under this meta.
    fn tell(&mut self, meta: &mut Meta, now: u64) {
        self.hiding.tell(meta);
        (self.sent_ms, self.any_sent) = (now, true);
    }

    /// The page has done something before it had them, so they may hide that: an entry at `position`.
    pub(super) fn is_overtaken(&mut self, position: Position) {
        if position > self.through {
            self.hiding.is_late(position);
        }
    }

    pub(super) fn are_on_their_way(&self, acked_frames: u64) -> bool {
        self.frames > acked_frames
    }

    /// All of them were sent with the frame counted `frames`.
    fn all_sent(&mut self, through: Position, frames: u64) {
        if !std::mem::take(&mut self.any_sent) {
            self.hiding.nothing_came_anew();
        }
        if !self.hiding.has_told() {
            return self.hiding.is_settled((self.from, Position::MAX));
        }
        (self.through, self.frames) = (through, frames);
        // What was late is in what was sent after it.
        self.hiding.is_settled((self.from, through));
    }

    /// When documents are to be sent anew.
    pub(super) fn renew_at(&self) -> Option<u64> {
        self.hiding.late().map(|_| self.sent_ms.saturating_add(RENEW_AFTER_MS))
    }
}

impl Session {
    /// What is read next of the user's log while it is loaded.
    pub(super) fn own_order(&self, others: Vec<LogName>) -> Option<ReadOrder> {
        let (load, log) = (self.delivery.own_load.as_ref()?, self.own_log.clone()?);
        Some(ReadOrder::Own(load.order(log, others, self.delivery.cursor)))
    }

    /// A part of the user's log, and of its documents.
    pub(super) fn take_own(&mut self, part: OwnPart, at: Moment) {
        match self.delivery.done_reading() {
            Some(Reading::History) => self.take_own_history(part, at),
            Some(Reading::Load(key, serial)) if self.subscriptions.is_loading(&key, serial) => {
                self.take_anew(&key, part, at);
            }
            Some(Reading::Load(..)) | None => {}
        }
    }

    fn take_own_history(&mut self, part: OwnPart, at: Moment) {
        let OwnPart { page, fates, states } = part;
        let mut showing = Showing::new(&fates, at);
        self.show_page(&page, &mut showing);
        if let Some(load) = &mut self.delivery.own_load {
            load.most = None;
        }
        let done = states.as_ref().is_some_and(|states| states.done);
        if let Some(states) = states {
            if let Some(load) = &mut self.delivery.own_load {
                load.after = states.after;
                // What changes later may be in this part.
                load.shown_above = load.shown_above.or(Some(states.through));
                load.done = states.done;
            }
            for round in states.rounds {
                showing.frames.start();
                let states = &mut self.delivery.own_states;
                let sent = round.into_iter().map(|Told { mut shown, .. }| {
                    states.tell(&mut shown.meta, at.now);
                    (shown.action, shown.meta)
                });
                showing.frames.last().extend(sent);
            }
        }
        self.answer_before(&showing, at);
        self.send_shown(showing, self.delivery.cursor.max(page.through));
        if done {
            let (through, frames) = (self.delivery.cursor, self.frames.sent);
            self.delivery.own_states.all_sent(through, frames);
            self.delivery.on_loaded(through, frames, at.now);
        }
    }

    /// Begins to send documents of the user's log anew, if their time has come.
    pub(super) fn renew_own(&mut self, at: Moment) {
        let due = self.delivery.own_states.renew_at().is_some_and(|due| due <= at.now);
        if !due || self.delivery.own_load.is_some() || self.delivery.phase != Phase::Live {
            return;
        }
        let states = &mut self.delivery.own_states;
        let had = !states.are_on_their_way(self.frames.acked);
        let Some(late) = states.hiding.begin_anew(had) else { return };
        self.delivery.own_load = Some(OwnLoad {
            claimed: self.delivery.cursor,
            began: at.head,
            after: before(late),
            shown_above: Some(Position::ZERO),
            most: None,
            done: false,
        });
        self.delivery.fall_behind();
    }
}
