//! What is to be sent, frame by frame.

use super::answers::Sent;

/// Frames in the making. Empty ones are left out.
#[derive(Default)]
pub(super) struct Frames(Vec<Vec<Sent>>);

impl Frames {
    /// What comes from here on is in another frame.
    pub(super) fn start(&mut self) {
        if self.0.last().is_none_or(|frame| !frame.is_empty()) {
            self.0.push(Vec::new());
        }
    }

    /// The frame in the making.
    pub(super) fn last(&mut self) -> &mut Vec<Sent> {
        if self.0.is_empty() {
            self.0.push(Vec::new());
        }
        let last = self.0.len() - 1;
        // There is one: it was just made.
        #[expect(clippy::indexing_slicing, reason = "the last of at least one")]
        &mut self.0[last]
    }

    /// Which one it is, counted from 1.
    pub(super) fn count(&self) -> u64 {
        self.0.len().max(1) as u64
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// The frames.
    pub(super) fn into_inner(mut self) -> Vec<Vec<Sent>> {
        self.0.retain(|frame| !frame.is_empty());
        self.0
    }
}
