//! A set of positions of which there may be very many: a bit each, in pages that have any.

use std::collections::BTreeMap;
use tidelog_crdt::Position;

/// Positions of one page, as a power of two.
const PAGE_BITS: u32 = 12;
const WORDS: usize = 1 << (PAGE_BITS - 6);

/// A set of positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions {
    pages: BTreeMap<u64, Box<[u64; WORDS]>>,
    count: u64,
}

impl Positions {
    /// Adds a position; whether it is new.
    pub(crate) fn insert(&mut self, position: Position) -> bool {
        let (page, word, bit) = place(position);
        let words = self.pages.entry(page).or_insert_with(|| Box::new([0; WORDS]));
        let Some(word) = words.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    /// Adds all of another set.
    pub(crate) fn add(&mut self, other: Self) {
        for (page, words) in other.pages {
            let mine = self.pages.entry(page).or_insert_with(|| Box::new([0; WORDS]));
            for (mine, theirs) in mine.iter_mut().zip(words.iter()) {
                self.count += u64::from((theirs & !*mine).count_ones());
                *mine |= theirs;
            }
        }
    }

    /// Whether a position is in it.
    pub(crate) fn contains(&self, position: Position) -> bool {
        let (page, word, bit) = place(position);
        let word = self.pages.get(&page).and_then(|words| words.get(word));
        word.is_some_and(|word| word & bit != 0)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The page, the word in it, and the bit in that.
fn place(position: Position) -> (u64, usize, u64) {
    let number = position.get();
    let word = (number >> 6) & (WORDS as u64 - 1);
    (number >> PAGE_BITS, usize::try_from(word).unwrap_or_default(), 1 << (number & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(numbers in prop::collection::vec(0..20_000_u64, 0..200)) {
            let (mut positions, mut model) = (Positions::default(), BTreeSet::new());
            for number in numbers {
                let position = Position::new(number).unwrap();
                prop_assert_eq!(positions.insert(position), model.insert(number));
                prop_assert_eq!(positions.count(), model.len() as u64);
            }
            for number in 0..20_000 {
                let position = Position::new(number).unwrap();
                prop_assert_eq!(positions.contains(position), model.contains(&number));
            }
        }
    }
}
