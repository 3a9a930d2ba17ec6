//! The greatest id of each node, for as many nodes as fit: what is above it was never seen, and no
//! disk is asked.

use super::prefix::{Key, Prefix};
use std::collections::HashMap;

/// What is known of the ids of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It has none.
    Unseen,
    /// It has this one and none above it.
    Greatest(Key),
}

impl Mark {
    /// Whether the node may have `id`.
    pub(super) fn covers(self, id: Key) -> bool {
        matches!(self, Self::Greatest(greatest) if id <= greatest)
    }
}

/// Greatest ids by node; the longest unused ones are forgotten.
///
/// Two generations instead of a list in order of use: when the young one is full it becomes the old
/// one, and what is used moves to the young one again. That happens when a commit is on disk, so a
/// mark outlives the commit that set it until the one after it is on disk, too, and what is
/// forgotten can be looked up.
#[derive(Debug)]
pub(super) struct Marks {
    young: HashMap<Prefix, Mark>,
    old: HashMap<Prefix, Mark>,
    young_max: usize,
}

impl Marks {
    /// Remembers about `nodes_max` nodes between commits, and at least half of that.
    pub(super) fn new(nodes_max: usize) -> Self {
        let young_max = (nodes_max / 2).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), young_max }
    }

    /// The mark of `node`, if it is remembered.
    pub(super) fn get(&mut self, node: Prefix) -> Option<Mark> {
        if let Some(mark) = self.young.get(&node) {
            return Some(*mark);
        }
        let mark = self.old.remove(&node)?;
        self.set(node, mark);
        Some(mark)
    }

    /// Remembers the mark of `node`.
    pub(super) fn set(&mut self, node: Prefix, mark: Mark) {
        self.young.insert(node, mark);
    }

    /// Forgets the longest unused, if there are too many; what is remembered is on disk.
    pub(super) fn settle(&mut self) {
        if self.young.len() >= self.young_max {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_memory_is_bounded() {
        let node = |n| Prefix(n, n);
        let mut marks = Marks::new(10);
        for n in 0..1_000 {
            let mark = |n| Mark::Greatest(Key::first_of(node(n)));
            marks.set(node(n), mark(n));
            assert_eq!(marks.get(node(0)), Some(mark(0)), "after {n}");
            assert!(marks.young.len() + marks.old.len() <= 12, "after {n}");
            marks.settle();
        }
        assert_eq!(marks.get(node(5)), None);
    }
}
