//! What may be hidden under the documents that a page was sent of one log, and which of them are sent anew for that.
//!
//! A store that goes by time has a state above all that was made before it, and a page that takes actions as they come has
//! it above all that came before. What is still to be sent is remembered with the node, and so is that nobody knows
//! what the page was told.

use super::lift::Lift;
use super::subscription::before;
use crate::log::Entry;
use crate::rules::Rules;
use tidelog_crdt::Position;
use tidelog_protocol::Meta;

/// Documents are sent anew at most so often: in a lively log actions overtake each other.
pub(super) const RENEW_AFTER_MS: u64 = 1_000;

/// What is remembered of what a page was told of the documents of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ToldBefore {
    /// The latest time of the states.
    pub state_ms: u64,
    /// Those that changed since are to be sent anew.
    pub late: Option<Position>,
    /// What the page was told above this is not known.
    pub untold: Option<Position>,
}

/// What a page was told of the documents of one log, and what of that is to be sent anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hiding {
    /// The times of the states.
    lift: Lift,
    /// A base was shown when the log ended here. What the page had by then is hidden under it from who goes by
    /// what comes, where it is above.
    over_base: Position,
    /// What the page was told above this may not be known: the process was killed. What comes may be hidden
    /// under that.
    untold: Option<Position>,
    /// Documents that changed since are to be sent anew.
    late: Option<Position>,
    /// Documents that changed since were, or are, sent anew.
    anew: Option<Position>,
}

impl Hiding {
    /// For a page that has nothing, or `is_old` and goes on after it was told that `before`.
    pub(super) fn resume(is_old: bool, before: ToldBefore) -> Self {
        let ToldBefore { state_ms, mut late, mut untold } = before;
        let mut lift = Lift::new(is_old, state_ms);
        // What is to be sent anew in any case lies above what was forgotten, too.
        if late.is_some()
            && let Some(known) = untold.take()
        {
            late = least(late, Some(known.plus(1)));
            lift.has_forgotten();
        }
        Self { lift, untold, late, ..Self::default() }
    }

    /// The same, for one that is sent all of them, as if it had been told nothing.
    pub(super) fn begin(is_old: bool, before: ToldBefore) -> Self {
        let mut hiding = Self { lift: Lift::new(is_old, before.state_ms), ..Self::default() };
        if before.untold.is_some() {
            hiding.anew = Some(Position::ZERO.plus(1));
            hiding.lift.rise();
        }
        hiding
    }

    /// What is to be remembered; `had` says whether the page has what was sent anew.
    pub(super) fn remembered(&self, had: bool) -> ToldBefore {
        let late = least(self.late, self.anew.filter(|_| !had));
        let forgotten = self.lift.is_above_forgotten(had);
        let untold = self.untold.or_else(|| late.filter(|_| forgotten).map(before));
        ToldBefore { state_ms: self.lift.told_ms(), late, untold }
    }

    /// An entry comes by, which may be hidden under what the page was told, if it is of a document. Whether anything is
    /// to be sent anew.
    pub(super) fn note(&mut self, entry: &Entry, rules: &Rules) -> bool {
        let may_hide = self.untold.is_some() || self.lift.hides(entry);
        if may_hide && rules.is_of_documents(entry) {
            match self.untold.take() {
                Some(known) => {
                    self.is_late(known.plus(1));
                    self.lift.has_forgotten();
                }
                None => self.is_late(entry.position),
            }
        }
        self.late.is_some()
    }

    /// The page has had an entry by another way, or has made it itself. Whether a base that it was shown
    /// hides that from who goes by what comes.
    pub(super) fn note_had(&mut self, entry: &Entry, rules: &Rules) -> bool {
        let hidden = self.is_over(entry, rules);
        if hidden {
            self.is_late(entry.position);
        }
        hidden
    }

    /// Whether any state was told of.
    pub(super) fn has_told(&self) -> bool {
        self.lift.told_ms() > 0
    }

    /// Documents that changed since `position` are to be sent anew.
    pub(super) fn is_late(&mut self, position: Position) {
        self.late = least(self.late, Some(position));
    }

    /// Since when those changed that are to be sent anew.
    pub(super) fn late(&self) -> Option<Position> {
        self.late
    }

    /// What is late between these is in what was sent.
    pub(super) fn is_settled(&mut self, (above, through): (Position, Position)) {
        self.late = self.late.filter(|late| *late <= above || *late > through);
    }

    /// Nothing had changed of what was to be sent anew.
    pub(super) fn nothing_came_anew(&mut self) {
        self.anew = None;
    }

    /// A state is sent, under this meta.
    pub(super) fn tell(&mut self, meta: &mut Meta) {
        if self.untold.is_some() {
            self.lift.rise();
        }
        self.lift.tell(meta);
    }

    /// A base is sent while the log goes as far as `head`, under this meta.
    pub(super) fn tell_base(&mut self, meta: &mut Meta, head: Position) {
        self.tell(meta);
        self.over_base = head;
    }

    /// Whether a base that was shown hides `entry` if that came before.
    pub(super) fn is_over(&self, entry: &Entry, rules: &Rules) -> bool {
        entry.position <= self.over_base && rules.is_of_documents(entry)
    }

    /// What is to be sent anew is about to be: documents that changed since. `had` says whether the page has what
    /// was sent anew before.
    pub(super) fn begin_anew(&mut self, had: bool) -> Option<Position> {
        let late = self.late.take()?;
        self.anew = least(Some(late), self.anew.filter(|_| !had));
        self.lift.begin_anew();
        self.anew
    }
}

fn least(one: Option<Position>, other: Option<Position>) -> Option<Position> {
    one.into_iter().chain(other).min()
}
