//! Wire numbers: what a position looks like in `sync`, `pong` and `connect`.
//!
//! A stock client keeps one number, whatever server or user it came from. So the number
//! authenticates itself: position · 4096 + tag, where the tag is 12 bits of a hash over the user and
//! the random id of the epoch in which the position was given. A number from another server, of
//! another user, or from a history that a restored backup has undone does not verify, but for one
//! coincidence in 4096.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use tidelog_crdt::Position;

const TAG_BITS: u32 = 12;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

/// The random id of one run of the process.
pub(crate) type EpochId = u64;

/// The number that says "up to `position`" to `user`.
pub(crate) fn mint(user: &str, position: Position, epoch: EpochId) -> u64 {
    if position == Position::ZERO {
        return 0;
    }
    (position.get() << TAG_BITS) | tag(user, position, epoch)
}

/// The position that `number` claims, unchecked; none if it cannot be a position.
pub(crate) fn claimed(number: u64) -> Option<Position> {
    Position::new(number >> TAG_BITS)
}

/// Whether `number` was minted for `user` in the epoch that gave its position.
pub(crate) fn verify(user: &str, number: u64, epoch: EpochId) -> bool {
    claimed(number).is_some_and(|position| {
        position != Position::ZERO && number & TAG_MASK == tag(user, position, epoch)
    })
}

/// The position takes part, so that a coincidence of tags does not repeat for every number of a
/// foreign history.
fn tag(user: &str, position: Position, epoch: EpochId) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(epoch, position.get());
    hasher.write(user.as_bytes());
    hasher.finish() & TAG_MASK
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_verifies_for_its_user_and_epoch_and_fits_javascript(
            position in 1..=Position::MAX.get(), epoch: u64,
        ) {
            let number = mint("10", Position::new(position).unwrap(), epoch);
            prop_assert!(number < 1 << 53);
            prop_assert_eq!(claimed(number).unwrap().get(), position);
            prop_assert!(verify("10", number, epoch));
        }
    }

    #[test]
    fn a_number_of_another_user_epoch_or_position_hardly_ever_verifies() {
        let mut coincidences = 0;
        for n in 1..=4096 {
            let number = mint("10", Position::new(n).unwrap(), 7);
            coincidences += u32::from(verify("11", number, 7));
            coincidences += u32::from(verify("10", number, 8));
            coincidences += u32::from(verify("10", number + (1 << TAG_BITS), 7));
        }
        assert!(coincidences < 20, "{coincidences} of 12288, expected about 3");
    }
}
