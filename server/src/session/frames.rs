//! What is to be sent, frame by frame.

use super::answers::Sent;
use crate::log::Channel;
use std::collections::HashSet;

/// Frames in the making. Empty ones are left out.
#[derive(Default)]
pub(super) struct Frames {
    waiting: Vec<Vec<Sent>>,
    /// Items of maps whose first action is in the frame in the making, and in one before.
    first_here: HashSet<Channel>,
    first_before: HashSet<Channel>,
}

impl Frames {
    /// What comes from here on is in another frame.
    pub(super) fn start(&mut self) {
        if self.waiting.last().is_none_or(|frame| !frame.is_empty()) {
            self.waiting.push(Vec::new());
        }
    }

    /// An action of the item that has this channel comes next. A list of a stock client misses the
    /// second action of an item that comes in the same frame as the first.
    pub(super) fn start_for(&mut self, item: &Channel) {
        if self.first_before.contains(item) || self.first_here.insert(item.clone()) {
            return;
        }
        self.start();
        self.first_before.extend(self.first_here.drain());
    }

    /// The frame in the making.
    pub(super) fn last(&mut self) -> &mut Vec<Sent> {
        if self.waiting.is_empty() {
            self.waiting.push(Vec::new());
        }
        let last = self.waiting.len() - 1;
        // There is one: it was just made.
        #[expect(clippy::indexing_slicing, reason = "the last of at least one")]
        &mut self.waiting[last]
    }

    /// Which one it is, counted from 1.
    pub(super) fn count(&self) -> u64 {
        self.waiting.len().max(1) as u64
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(Vec::is_empty)
    }

    /// The frames.
    pub(super) fn into_inner(mut self) -> Vec<Vec<Sent>> {
        self.waiting.retain(|frame| !frame.is_empty());
        self.waiting
    }
}
