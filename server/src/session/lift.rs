//! Times of states that are sent to a page which has something already.
//!
//! A page mends its clock anew at each connection, to within a round trip. So what it was told on an earlier one
//! may stand a little higher in its log than the server has it, and a state that has it must lie above it all
//! the same.

use crate::documents;
use crate::log::Entry;
use tidelog_protocol::Meta;

/// Clocks are mended to within this.
const MENDED_WITHIN_MS: u64 = 1_000;
/// What a page was told that the server has forgotten is no further above its documents: it was of the last seconds,
/// and each connection lifts a state once.
const FORGOTTEN_WITHIN_MS: u64 = 10_000;

/// How a page is told the times of the documents of one log, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lift {
    /// On this connection, by so much.
    by: u64,
    /// What earlier connections told of is below this.
    above: u64,
    /// The latest time of a state that it was told, on whatever connection.
    told: u64,
    /// What is sent anew next has to lie above what was forgotten.
    forgotten: bool,
    /// What is sent anew now lies higher by so much.
    extra: u64,
}

impl Lift {
    /// For a page that has nothing, or `is_old` and was told states of up to `told_ms`.
    pub(super) fn new(is_old: bool, told_ms: u64) -> Self {
        let by = if is_old { MENDED_WITHIN_MS } else { 0 };
        let above = if told_ms > 0 { told_ms + by } else { 0 };
        Self { by, above, told: told_ms, ..Self::default() }
    }

    /// The latest time of a state that the page was told.
    pub(super) fn told_ms(&self) -> u64 {
        self.told
    }

    /// The page may have been told more than is known.
    pub(super) fn has_forgotten(&mut self) {
        self.forgotten = true;
    }

    /// What is sent from now on lies above what was forgotten.
    pub(super) fn rise(&mut self) {
        self.extra = FORGOTTEN_WITHIN_MS;
    }

    /// Whether something of what was forgotten may lie above what the page has, `had` saying whether it has what was
    /// sent anew.
    pub(super) fn is_above_forgotten(&self, had: bool) -> bool {
        self.forgotten || (self.extra > 0 && !had)
    }

    /// Documents are about to be sent anew.
    pub(super) fn begin_anew(&mut self) {
        self.extra = if std::mem::take(&mut self.forgotten) { FORGOTTEN_WITHIN_MS } else { 0 };
    }

    /// A state is sent: when it is said to be made.
    pub(super) fn tell(&mut self, meta: &mut Meta) {
        meta.time = meta.time.saturating_add(self.by + self.extra).max(self.above);
        self.told = self.told.max(meta.time);
        if self.extra > 0 {
            // What follows on this connection is not to lie below.
            self.above = self.told;
        }
    }

    /// Whether a store that goes by time would not show `entry` under the states that were sent, or could not
    /// take out of them what it undoes.
    pub(super) fn hides(&self, entry: &Entry) -> bool {
        let told = self.told.max(self.above);
        let is_under = entry.time <= told || entry.is_undo();
        told > 0 && is_under && entry.kept && !documents::is_state(entry)
    }
}
