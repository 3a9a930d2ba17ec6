//! Registers: one value at a time.

use crate::Stamp;
use crdts::{CmRDT, LWWReg};

/// A register in which the write with the greatest stamp wins (RR-7506, specification 9).
///
/// From the `crdts` crate, with the stamp as its marker: stamps of different actions are never
/// equal, which that type needs, because equal markers with different values would diverge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LwwRegister<T>(LWWReg<Option<T>, Option<Stamp>>);

impl<T> Default for LwwRegister<T> {
    fn default() -> Self {
        Self(LWWReg { val: None, marker: None })
    }
}

impl<T: Clone + PartialEq> LwwRegister<T> {
    /// Writes `value`, made at `stamp`. An older write than the one that holds has no effect.
    pub fn write(&mut self, value: T, stamp: Stamp) {
        self.0.apply(LWWReg { val: Some(value), marker: Some(stamp) });
    }

    /// The value that holds.
    pub fn value(&self) -> Option<&T> {
        self.0.val.as_ref()
    }

    /// The stamp of the value that holds.
    pub fn stamp(&self) -> Option<&Stamp> {
        self.0.marker.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(time: u64) -> Stamp {
        Stamp { time, node: "10:a:b".into(), sequence: 0, created: time }
    }

    proptest! {
        #[test]
        fn the_greatest_stamp_wins_in_any_order_and_however_often(
            order in Just((0_u64..8).collect::<Vec<_>>()).prop_shuffle(),
            again in proptest::collection::vec(0_u64..8, 0..8),
        ) {
            let mut register = LwwRegister::default();
            for time in order.into_iter().chain(again) {
                register.write(time * 10, stamp(time));
            }
            prop_assert_eq!(register.value(), Some(&70));
            prop_assert_eq!(register.stamp(), Some(&stamp(7)));
        }
    }
}
