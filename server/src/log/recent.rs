//! What was used lately, by name, bounded in count: the longest unused is forgotten.

use std::collections::HashMap;
use std::hash::Hash;

/// Values by key; the longest unused ones are forgotten.
///
/// Two generations instead of a list in order of use: when the young one is full it becomes the old
/// one, and what is used moves to the young one again. That happens when a commit is on disk, so a
/// value outlives the commit that set it until the one after it is on disk, too, and what is
/// forgotten can be looked up.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    young_max: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> Recent<K, V> {
    /// Remembers about `count_max` values between commits, and at least half of that.
    pub(super) fn new(count_max: usize) -> Self {
        let young_max = (count_max / 2).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), young_max }
    }

    /// The value of `key`, if it is remembered.
    pub(super) fn get(&mut self, key: K) -> Option<V> {
        if let Some(value) = self.young.get(&key) {
            return Some(*value);
        }
        let value = self.old.remove(&key)?;
        self.set(key, value);
        Some(value)
    }

    /// Remembers the value of `key`.
    pub(super) fn set(&mut self, key: K, value: V) {
        self.young.insert(key, value);
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
        let mut recent = Recent::new(10);
        for n in 0..1_000 {
            recent.set(n, n * 2);
            assert_eq!(recent.get(0), Some(0), "after {n}");
            assert!(recent.young.len() + recent.old.len() <= 12, "after {n}");
            recent.settle();
        }
        assert_eq!(recent.get(5), None);
    }
}
