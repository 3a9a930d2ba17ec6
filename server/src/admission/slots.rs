//! When those who are sent away are to come again: one after the other, at the pace at which they can
//! be served, so that they do not all come at once a second time.
//!
//! A state machine: time, the pace and chance come in as arguments.

/// The slots that were given.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// When the next is free, in µs.
    next_us: u64,
}

impl Slots {
    /// How many ms whoever is sent away at `now_ms` is to stay away, at most `most_ms`: so many are
    /// `ahead`, and so many are served in a second. `chance` moves it within its slot.
    pub(crate) fn give(
        &mut self,
        now_ms: u64,
        (ahead, per_second): (usize, u64),
        most_ms: u64,
        chance: u16,
    ) -> u64 {
        let from_us = now_ms.saturating_mul(1000);
        let slot_us = 1_000_000 / per_second.max(1);
        let served_us = slot_us.saturating_mul(ahead as u64);
        let last_us = from_us.saturating_add(most_ms.saturating_mul(1000));
        // When slots reach as far as is allowed, they begin again behind those who wait here.
        if self.next_us > last_us {
            self.next_us = 0;
        }
        let at_us = self.next_us.max(from_us.saturating_add(served_us)).min(last_us);
        self.next_us = at_us.saturating_add(slot_us);
        let within_us = slot_us.saturating_mul(u64::from(chance)) >> 16;
        (at_us.saturating_add(within_us).saturating_sub(from_us) / 1000).min(most_ms)
    }
}

/// What `Retry-After` says of `wait_ms`: whole seconds, one at least. `chance` decides which of the two
/// that are nearest, or everybody's slot would move to the end of its second.
pub(crate) fn in_seconds(wait_ms: u64, chance: u16) -> u64 {
    let up = wait_ms % 1000 > (u64::from(chance) * 1000) >> 16;
    (wait_ms / 1000 + u64::from(up)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many come in each second.
    fn waves(waits: impl IntoIterator<Item = u64>) -> Vec<usize> {
        let mut waves = Vec::new();
        for wait in waits {
            let second = usize::try_from(wait / 1000).unwrap();
            waves.resize(waves.len().max(second + 1), 0);
            waves[second] += 1;
        }
        waves
    }

    #[test]
    fn who_is_sent_away_together_comes_back_at_the_pace_at_which_it_is_served() {
        let mut slots = Slots::default();
        let waits = (0..10_000_u32).map(|n| {
            let chance = u16::try_from(n.wrapping_mul(40_503) & 0xffff).unwrap();
            slots.give(5_000, (2_000, 500), 300_000, chance)
        });
        let waves = waves(waits);
        // Behind the 2,000 who wait here.
        assert_eq!(waves[..4], [0; 4]);
        assert_eq!(waves.len(), 24);
        for (second, count) in waves.iter().enumerate().skip(4) {
            assert!((480..=520).contains(count), "{count} in second {second}");
        }
    }

    #[test]
    fn later_ones_come_after_them_and_an_idle_door_is_open_at_once() {
        let mut slots = Slots::default();
        for n in 0..100 {
            assert_eq!(slots.give(0, (0, 100), 60_000, 0), n * 10);
        }
        assert_eq!(slots.give(500, (0, 100), 60_000, 0), 500);
        assert_eq!(slots.give(60_000, (0, 100), 60_000, 0), 0);
    }

    #[test]
    fn nobody_is_sent_away_for_longer_than_is_allowed() {
        let mut slots = Slots::default();
        let waits: Vec<_> = (0..100).map(|_| slots.give(0, (30, 1), 60_000, 0)).collect();
        assert_eq!(waits.iter().max(), Some(&60_000));
        assert_eq!(waits[31], 30_000, "from there on it begins again");
    }

    #[test]
    fn seconds_are_whole_and_as_often_rounded_up_as_they_should_be() {
        assert_eq!([in_seconds(0, 0), in_seconds(0, u16::MAX)], [1, 1]);
        assert_eq!([in_seconds(7_000, 0), in_seconds(7_000, u16::MAX)], [7, 7]);
        let chances = (0..=u16::MAX).filter(|chance| in_seconds(7_250, *chance) == 8).count();
        assert!((16_000..=16_800).contains(&chances), "{chances} of 65,536");
    }

    proptest! {
        #[test]
        fn a_slot_is_never_in_the_past_nor_beyond_the_most(
            asks in proptest::collection::vec((0_u64..500, 0_usize..1000, 0_u64..1000, any::<u16>()), 1..100),
            most_ms in 1_000_u64..100_000,
        ) {
            let (mut slots, mut now) = (Slots::default(), 0);
            for (passed, ahead, per_second, chance) in asks {
                now += passed;
                prop_assert!(slots.give(now, (ahead, per_second), most_ms, chance) <= most_ms);
            }
        }
    }
}
