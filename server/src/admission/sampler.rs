//! Looks at what there is to measure, four times a second, and has the door follow it.

use super::lately::{Lately, Looked};
use super::rate::Rate;
use super::{Admission, Measured};
use crate::clock::{self, Stopwatch};
use crate::outgoing::OutgoingMemory;
use crate::ws::Budget;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked.
const TICK: Duration = Duration::from_millis(250);
/// How often it is seen how late a task runs.
const LAG_TICK: Duration = Duration::from_millis(50);
/// Of what is reserved for a frame this part, or less, comes to the disk.
const RESERVED_PER_BYTE: u64 = 2;

/// What is looked at.
pub(crate) struct Sources {
    /// How long appends take.
    pub(crate) appends: Arc<Lately>,
    /// Memory for frames that come in.
    pub(crate) budget: Budget,
    /// Memory for frames that go out.
    pub(crate) outgoing: OutgoingMemory,
}

/// What is kept between two looks.
#[derive(Default)]
struct Sampler {
    bytes: Rate,
    /// Since when appends have waited and none has ended.
    stalled_ms: Option<u64>,
}

/// Has `door` follow what is measured, for as long as the server runs.
pub(crate) async fn keep_pace(door: Admission, sources: Sources) -> Infallible {
    let mut sampler = Sampler::default();
    loop {
        let lag_ms = lag().await;
        door.told().lag(lag_ms);
        let now = clock::now_ms();
        let to_come = sources.budget.bytes_to_come() as u64 / RESERVED_PER_BYTE;
        let mut measured = sampler.look(sources.appends.look(), to_come, now);
        measured.lag_ms = lag_ms;
        measured.pressed = sources.outgoing.is_short();
        door.tick(&measured, now);
    }
}

/// How much too late a task has run in the time of a tick, at most, in ms.
async fn lag() -> u64 {
    let mut most = 0;
    for _ in 0..TICK.as_millis() / LAG_TICK.as_millis() {
        let since = Stopwatch::start();
        tokio::time::sleep(LAG_TICK).await;
        let late = since.elapsed().saturating_sub(LAG_TICK);
        most = u64::try_from(late.as_millis()).unwrap_or(u64::MAX).max(most);
    }
    most
}

impl Sampler {
    /// What `looked` says, while `to_come` bytes were let in and are not durable.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn look(&mut self, looked: Looked, to_come: u64, now: u64) -> Measured {
        self.bytes.tick(looked.bytes, looked.some_wait, now);
        let stalls = looked.some_wait && looked.most_ms.is_none();
        let since = self.stalled_ms.filter(|_| stalls).unwrap_or(now);
        self.stalled_ms = stalls.then_some(since);
        let commit_ms = looked.most_ms.unwrap_or(now.saturating_sub(since));
        let per_ms = self.bytes.per_second().map_or(0.0, |bytes| bytes / 1000.0);
        let debt_ms = if per_ms > 0.0 { (to_come as f64 / per_ms) as u64 } else { 0 };
        Measured { commit_ms, debt_ms, ..Measured::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: Looked = Looked { most_ms: Some(20), some_wait: true, bytes: 250_000 };
    const STALLED: Looked = Looked { most_ms: None, some_wait: true, bytes: 0 };

    #[test]
    fn a_disk_that_stands_still_is_seen_though_nothing_ends() {
        let mut sampler = Sampler::default();
        assert_eq!(sampler.look(ENDED, 0, 0).commit_ms, 20);
        assert_eq!(sampler.look(STALLED, 0, 250).commit_ms, 0);
        assert_eq!(sampler.look(STALLED, 0, 1250).commit_ms, 1000);
        assert_eq!(sampler.look(ENDED, 0, 1500).commit_ms, 20);
        assert_eq!(sampler.look(STALLED, 0, 1750).commit_ms, 0);
        let idle = Looked::default();
        assert_eq!(sampler.look(idle, 0, 90_000).commit_ms, 0, "nothing waits");
    }

    #[test]
    fn the_debt_is_what_is_to_come_at_the_pace_of_the_disk() {
        let mut sampler = Sampler::default();
        (0..40).for_each(|n| {
            sampler.look(ENDED, 0, n * 250);
        });
        let debt_ms = sampler.look(ENDED, 20_000_000, 10_000).debt_ms;
        assert!((19_000..=21_000).contains(&debt_ms), "a megabyte a second: {debt_ms}");
    }
}
