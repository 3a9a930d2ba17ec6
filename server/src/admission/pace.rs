//! How many may catch up at once: a little more while all is well, half as many when it is not.
//!
//! A state machine: what was measured and the time come in as arguments.

/// After it was halved, what was let in before shows in what is measured for so long.
const PATIENCE_MS: u64 = 500;
/// In so many steps it goes from nothing to its most.
const STEPS: f64 = 32.0;

/// Between what it stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) floor: usize,
    pub(super) ceiling: usize,
}

/// Above which measured values the server has too much to do, in ms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Targets {
    pub(super) commit: u64,
    pub(super) lag: u64,
    pub(super) debt: u64,
}

/// What was measured since the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// What nine of ten appends took at most; of none that ended, how long they have waited.
    pub commit_ms: u64,
    /// How much later than it wanted a task ran.
    pub lag_ms: u64,
    /// How long what has been let in will take the disk.
    pub debt_ms: u64,
    /// Memory for what goes out, or comes in, is used up.
    pub pressed: bool,
}

impl Targets {
    fn are_missed(&self, measured: &Measured) -> bool {
        measured.commit_ms > self.commit
            || measured.lag_ms > self.lag
            || measured.debt_ms > self.debt
            || measured.pressed
    }

    /// Whether nobody more should be let in before some of it is done: what was let in is to be
    /// acknowledged within a minute.
    pub(super) fn are_far_away(&self, measured: &Measured) -> bool {
        measured.debt_ms > self.debt.saturating_mul(2) || measured.pressed
    }
}

/// How many of one class may catch up at once.
#[derive(Debug)]
pub(super) struct Pace {
    bounds: Bounds,
    permits: f64,
    halved_ms: Option<u64>,
}

impl Pace {
    /// Begins with a sixteenth of the most: a server that starts does not know its disk yet, and a crowd is there
    /// within a second.
    pub(super) fn new(bounds: Bounds) -> Self {
        let begin = (bounds.ceiling / 16).max(bounds.floor).min(bounds.ceiling);
        Self { bounds, permits: float(begin), halved_ms: None }
    }

    /// Follows what was `measured`; grows only where somebody `wants` more.
    pub(super) fn tick(&mut self, measured: &Measured, targets: &Targets, wants: bool, now: u64) {
        let Bounds { floor, ceiling } = self.bounds;
        if targets.are_missed(measured) {
            let patient = self.halved_ms.is_some_and(|at| now < at.saturating_add(PATIENCE_MS));
            if !patient {
                self.permits = (self.permits / 2.0).max(float(floor));
                self.halved_ms = Some(now);
            }
        } else if wants {
            let step = (float(ceiling) / STEPS).max(1.0);
            self.permits = (self.permits + step).min(float(ceiling));
        }
    }

    /// How many.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it stays between two counts"
    )]
    pub(super) fn permits(&self) -> usize {
        self.permits as usize
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of connections are far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TARGETS: Targets = Targets { commit: 250, lag: 100, debt: 20_000 };
    const TICK_MS: u64 = 250;

    fn well() -> Measured {
        Measured { commit_ms: 20, ..Measured::default() }
    }

    /// Ticks until it has so many permits, and how many that takes.
    fn ticks_until(pace: &mut Pace, measured: &Measured, now: &mut u64, permits: usize) -> usize {
        let mut ticks = 0;
        while pace.permits() != permits {
            *now += TICK_MS;
            pace.tick(measured, &TARGETS, true, *now);
            ticks += 1;
            assert!(ticks < 1000, "{} permits", pace.permits());
        }
        ticks
    }

    #[test]
    fn it_falls_within_seconds_when_the_disk_is_slow_and_comes_back_when_it_is_not() {
        let mut pace = Pace::new(Bounds { floor: 8, ceiling: 1024 });
        let mut now = 0;
        assert_eq!(pace.permits(), 64);
        assert_eq!(ticks_until(&mut pace, &well(), &mut now, 1024), 30);
        let slow = Measured { commit_ms: 251, ..well() };
        let falling = ticks_until(&mut pace, &slow, &mut now, 8);
        assert!(falling <= 14, "{falling} ticks of a quarter of a second");
        assert!(ticks_until(&mut pace, &well(), &mut now, 1024) <= 32);
    }

    #[test]
    fn each_of_what_is_measured_counts_alone() {
        let one = [
            Measured { commit_ms: 251, ..well() },
            Measured { lag_ms: 101, ..well() },
            Measured { debt_ms: 20_001, ..well() },
            Measured { pressed: true, ..well() },
        ];
        for measured in one {
            let mut pace = Pace::new(Bounds { floor: 1, ceiling: 64 });
            pace.tick(&measured, &TARGETS, true, 0);
            assert_eq!(pace.permits(), 2, "{measured:?}");
        }
        let at_the_edge = Measured { commit_ms: 250, lag_ms: 100, debt_ms: 20_000, pressed: false };
        let mut pace = Pace::new(Bounds { floor: 1, ceiling: 64 });
        pace.tick(&at_the_edge, &TARGETS, true, 0);
        assert_eq!(pace.permits(), 6);
        assert!(!TARGETS.are_far_away(&Measured { debt_ms: 40_000, ..well() }));
        assert!(TARGETS.are_far_away(&Measured { debt_ms: 40_001, ..well() }));
    }

    #[test]
    fn it_does_not_grow_while_nobody_wants_more() {
        let mut pace = Pace::new(Bounds { floor: 1, ceiling: 64 });
        pace.tick(&well(), &TARGETS, false, 0);
        assert_eq!(pace.permits(), 4);
    }

    proptest! {
        #[test]
        fn it_stays_between_floor_and_ceiling(
            floor in 1_usize..100,
            more in 0_usize..5000,
            ticks in proptest::collection::vec((0_u64..1000, 0_u64..300, any::<bool>(), 1_u64..2000), 1..200),
        ) {
            let bounds = Bounds { floor, ceiling: floor + more };
            let mut pace = Pace::new(bounds);
            let mut now = 0;
            for (commit_ms, lag_ms, wants, passed) in ticks {
                now += passed;
                let before = pace.permits();
                let measured = Measured { commit_ms, lag_ms, ..Measured::default() };
                pace.tick(&measured, &TARGETS, wants, now);
                prop_assert!((bounds.floor..=bounds.ceiling).contains(&pace.permits()));
                if TARGETS.are_missed(&measured) {
                    prop_assert!(pace.permits() <= before);
                } else {
                    prop_assert!(pace.permits() >= before);
                }
            }
        }
    }
}
