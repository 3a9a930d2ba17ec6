//! What was answered on this connection: a duplicate of it is acknowledged and not answered again.

use siphasher::sip::SipHasher24;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use tidelog_crdt::{Position, Ranges};
use tidelog_protocol::ActionId;

/// Stretches of answered entries. What one client sends in one frame is one stretch.
const STRETCHES_MAX: usize = 1024;
/// Answered ids without an entry.
const OTHERS_MAX: usize = 4096;

/// What was answered. Exact for the last [`STRETCHES_MAX`] stretches of entries and the last
/// [`OTHERS_MAX`] other ids; what is older is answered again, under the same id.
#[derive(Default)]
pub(super) struct Answered {
    entries: Ranges,
    /// Fingerprints of 64 bits: who finds a coincidence goes without an answer of its own.
    others: VecDeque<u64>,
}

impl Answered {
    /// The entry at `position` is answered. Returns whether it had not been.
    pub(super) fn entry(&mut self, position: Position) -> bool {
        if self.entries.contains(position) {
            return false;
        }
        self.entries.insert(position);
        // Now and then, so that it costs nothing each time.
        if self.entries.len() > 2 * STRETCHES_MAX {
            self.entries = self.entries.newest(STRETCHES_MAX);
        }
        true
    }

    /// What has no entry is answered. Returns whether it had not been.
    pub(super) fn other(&mut self, id: &ActionId) -> bool {
        if self.has_other(id) {
            return false;
        }
        if self.others.len() >= OTHERS_MAX {
            self.others.pop_front();
        }
        self.others.push_back(fingerprint(id));
        true
    }

    /// Whether what has no entry was answered.
    pub(super) fn has_other(&self, id: &ActionId) -> bool {
        !self.others.is_empty() && self.others.contains(&fingerprint(id))
    }
}

fn fingerprint(id: &ActionId) -> u64 {
    let mut hasher = SipHasher24::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_protocol::NodeId;

    #[test]
    fn what_was_answered_is_known_within_its_bounds_and_never_claimed_otherwise() {
        let mut answered = Answered::default();
        let position = |n: usize| Position::new(2 * n as u64 + 1).unwrap();
        let node = NodeId::new("10:a:b").unwrap();
        let id = |n: usize| ActionId { node: node.clone(), ms: n as u64, sequence: 0 };
        for n in 0..10_000 {
            assert!(answered.entry(position(n)) && answered.other(&id(n)), "{n} is new");
            assert!(!answered.entry(position(n)) && !answered.other(&id(n)), "{n} is known");
        }
        for n in 1..=STRETCHES_MAX {
            assert!(!answered.entry(position(10_000 - n)), "{n} stretches ago");
        }
        for n in 1..=OTHERS_MAX {
            assert!(answered.has_other(&id(10_000 - n)), "{n} ids ago");
        }
        assert!(!answered.has_other(&id(10_000 - OTHERS_MAX - 1)));
        assert!(answered.entries.len() <= 2 * STRETCHES_MAX);
    }
}
