//! Sets of element numbers as ranges.

use std::collections::BTreeMap;

/// Ranges by their first number, to their last; apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(BTreeMap<u32, u32>);

impl Numbers {
    /// Adds the numbers from `first` to `last`.
    pub(crate) fn insert(&mut self, first: u32, last: u32) {
        let (mut first, mut last) = (first, last);
        let reach = last.saturating_add(1);
        while let Some((start, end)) = self.0.range(..=reach).next_back().map(|(a, b)| (*a, *b)) {
            if end.saturating_add(1) < first {
                break;
            }
            self.0.remove(&start);
            (first, last) = (first.min(start), last.max(end));
        }
        self.0.insert(first, last);
    }

    /// Takes out the numbers from `first` to `last` that are in.
    pub(crate) fn take(&mut self, first: u32, last: u32) -> Vec<(u32, u32)> {
        let mut taken = Vec::new();
        while let Some((start, end)) = self.0.range(..=last).next_back().map(|(a, b)| (*a, *b)) {
            if end < first {
                break;
            }
            self.0.remove(&start);
            if end > last {
                self.0.insert(last + 1, end);
            }
            taken.push((start.max(first), end.min(last)));
            if start < first {
                self.0.insert(start, first - 1);
                break;
            }
        }
        taken.reverse();
        taken
    }

    /// The ranges of the numbers below `len` that are not in, ascending, both ends included.
    pub(crate) fn gaps(&self, len: u32) -> Vec<(u32, u32)> {
        let mut rest = Self::default();
        if let Some(last) = len.checked_sub(1) {
            rest.insert(0, last);
        }
        for (first, last) in self.iter() {
            rest.take(first, last);
        }
        rest.iter().collect()
    }

    /// The ranges, ascending, both ends included.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (u32, u32)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_are_a_set_of_numbers(
            steps in prop::collection::vec((any::<bool>(), 0_u32..40, 0_u32..9), 0..30),
        ) {
            let (mut numbers, mut model) = (Numbers::default(), BTreeSet::new());
            for (insert, first, more) in steps {
                let range = first..=first + more;
                if insert {
                    numbers.insert(first, first + more);
                    model.extend(range);
                } else {
                    let taken: Vec<u32> =
                        numbers.take(first, first + more).into_iter().flat_map(|(a, b)| a..=b).collect();
                    let expected: Vec<u32> = range.filter(|n| model.remove(n)).collect();
                    prop_assert_eq!(taken, expected);
                }
                let all: Vec<u32> = numbers.iter().flat_map(|(a, b)| a..=b).collect();
                prop_assert_eq!(all, model.iter().copied().collect::<Vec<_>>());
                let ends: Vec<_> = numbers.iter().collect();
                prop_assert!(ends.windows(2).all(|w| w[0].1 + 1 < w[1].0), "{:?}", ends);
            }
        }
    }
}
