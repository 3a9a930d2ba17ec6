//! Whether a run may know a prefix: no without reading the run, or perhaps.
//!
//! Prefixes are hashes already, so the bits are chosen from them by adding one half to the other.

use super::prefix::Prefix;

/// At 10 bits a prefix and 6 probes about one answer in a hundred is a needless perhaps.
const BITS_PER_PREFIX: usize = 10;
const PROBES: u64 = 6;

/// The filter of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bloom {
    words: Vec<u64>,
}

impl Bloom {
    /// A filter that knows `prefixes`.
    pub(super) fn of(prefixes: &[Prefix]) -> Self {
        let words = (prefixes.len() * BITS_PER_PREFIX).div_ceil(64).max(1);
        let mut bloom = Self { words: vec![0; words] };
        for prefix in prefixes {
            for bit in bloom.bits(*prefix) {
                if let Some(word) = bloom.words.get_mut(bit / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
        bloom
    }

    /// False only if `prefix` is not among those the filter was made of.
    pub(super) fn may_have(&self, prefix: Prefix) -> bool {
        self.bits(prefix)
            .all(|bit| self.words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1))
    }

    fn bits(&self, Prefix(start, step): Prefix) -> impl Iterator<Item = usize> + use<> {
        let bits = self.words.len() * 64;
        (0..PROBES).map(move |probe| {
            let hash = start.wrapping_add(probe.wrapping_mul(step | 1));
            // The high half of the product: as even as a remainder, without the division.
            let bit = (u128::from(hash) * bits as u128) >> 64;
            usize::try_from(bit).unwrap_or_default()
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        for word in &self.words {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Takes back what [`Bloom::put`] wrote.
    pub(super) fn take(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        (rest.is_empty() && !words.is_empty()).then_some(Self { words })
    }
}

#[cfg(test)]
mod tests {
    use super::super::prefix::Hash;
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_little_else() {
        let hash = Hash::new(&[1; 16]);
        let prefixes: Vec<_> = (0..10_000).map(|n| hash.user(&n.to_string())).collect();
        let (known, unknown) = prefixes.split_at(5_000);
        let bloom = Bloom::of(known);
        assert!(known.iter().all(|prefix| bloom.may_have(*prefix)));
        let needless = unknown.iter().filter(|prefix| bloom.may_have(**prefix)).count();
        assert!(needless < 150, "{needless} of 5,000");
        let mut bytes = Vec::new();
        bloom.put(&mut bytes);
        assert_eq!(Bloom::take(&bytes), Some(bloom));
    }
}
