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

/// How a page is told the times of the documents of one log, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lift {
    /// On this connection, by so much.
    by: u64,
    /// What earlier connections told of is below this.
    above: u64,
    /// The latest time of a state that it was told, on whatever connection.
    told: u64,
}

impl Lift {
    /// For a page that has nothing, or `is_old` and was told states of up to `told_ms`.
    pub(super) fn new(is_old: bool, told_ms: u64) -> Self {
        let by = if is_old { MENDED_WITHIN_MS } else { 0 };
        let above = if told_ms > 0 { told_ms + by } else { 0 };
        Self { by, above, told: told_ms }
    }

    /// The latest time of a state that the page was told.
    pub(super) fn told_ms(&self) -> u64 {
        self.told
    }

    /// A state is sent: when it is said to be made.
    pub(super) fn tell(&mut self, meta: &mut Meta) {
        meta.time = meta.time.saturating_add(self.by).max(self.above);
        self.told = self.told.max(meta.time);
    }

    /// Whether a store that goes by time would not show `entry` under the states that were sent, or could not
    /// take out of them what it undoes.
    pub(super) fn hides(&self, entry: &Entry) -> bool {
        let told = self.told.max(self.above);
        let is_under = entry.time <= told || entry.is_undo();
        told > 0 && is_under && entry.kept && !documents::is_state(entry)
    }
}
