//! Whether two walks have come by the same items, in whatever order: a sum of hashes, so that no item
//! has to be remembered.

use super::super::prefix::Key;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// The items so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) count: u64,
    sum: u128,
}

impl Digest {
    pub(super) fn add(&mut self, key: Key, value: &[u8]) {
        let mut hasher = SipHasher24::new();
        for number in [key.prefix.0, key.prefix.1, key.major, key.minor] {
            hasher.write_u64(number);
        }
        hasher.write(value);
        self.sum = self.sum.wrapping_add(hasher.finish128().as_u128());
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::prefix::Prefix;
    use super::*;

    fn of(items: &[(u64, &[u8])]) -> Digest {
        let mut digest = Digest::default();
        for (major, value) in items {
            digest.add(Key { prefix: Prefix(1, 2), major: *major, minor: 0 }, value);
        }
        digest
    }

    #[test]
    fn the_order_does_not_count_and_every_byte_does() {
        let (one, two) = ((1, &b"one"[..]), (2, &b"two"[..]));
        assert_eq!(of(&[one, two]), of(&[two, one]));
        assert_ne!(of(&[one, two]), of(&[one, (2, b"twp")]));
        assert_ne!(of(&[one, two]), of(&[one, (3, b"two")]));
        assert_ne!(of(&[one, two]), of(&[one, two, two]));
        assert_ne!(of(&[one]), of(&[]));
    }
}
