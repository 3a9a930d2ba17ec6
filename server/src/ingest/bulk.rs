//! What many have made offline does not stand before what somebody makes now.
//!
//! The committer serves its queue in order. So of large batches there are never more in it than keep
//! the disk busy: further ones wait here, users in turn, while small ones go straight to it.

use crate::admission::Lately;
use crate::clock::Stopwatch;
use crate::log::{Log, Outcome, Step, Stopped};
use crate::rules::Subject;
use crate::turns::Turns;
use std::sync::Arc;

/// What one who is there makes in a moment. More steps, or bytes, are a large batch.
const SMALL_STEPS: usize = 16;
const SMALL_BYTES: usize = 32 << 10;
/// Bytes of large batches that the committer has at once. Whoever is live waits for what is left of these: with
/// 8 MiB that was a tenth of a second. With less, a disk that syncs in 10 ms is not kept busy.
const BYTES_AT_ONCE: usize = 2 << 20;
/// What is counted for a step beside its JSON.
const STEP_BYTES: usize = 512;

/// The way of large batches to the committer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bulk {
    turns: Turns<Box<str>>,
    lately: Arc<Lately>,
}

impl Default for Bulk {
    fn default() -> Self {
        Self { turns: Turns::new(BYTES_AT_ONCE, BYTES_AT_ONCE), lately: Arc::default() }
    }
}

/// An append that is given up does not count as one that waits.
struct Watched<'a>(Option<&'a Lately>);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let Some(lately) = self.0 {
            lately.give_up();
        }
    }
}

impl Bulk {
    /// How long appends took lately.
    pub(super) fn lately(&self) -> Arc<Lately> {
        Arc::clone(&self.lately)
    }

    /// [`Log::commit`], in turn.
    pub(super) async fn commit(
        &self,
        log: &Log,
        subject: &Subject,
        steps: Vec<Step>,
        now: u64,
    ) -> Result<Vec<Outcome>, Stopped> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let (since, bytes) = (Stopwatch::start(), bytes_of(&steps));
        self.lately.begin();
        let mut watched = Watched(Some(&self.lately));
        let is_small = steps.len() <= SMALL_STEPS && bytes <= SMALL_BYTES;
        let held = if is_small {
            None
        } else {
            Some(self.turns.take(subject.user().as_str().into(), bytes).await)
        };
        let outcomes = log.commit(steps, now).await;
        drop(held);
        watched.0 = None;
        let us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.lately.end(us, bytes);
        outcomes
    }
}

fn bytes_of(steps: &[Step]) -> usize {
    let bytes = steps.iter().map(|step| match step {
        Step::Append(draft) => STEP_BYTES + draft.action.json().len(),
        Step::Adopt(foreign) => STEP_BYTES + foreign.draft.action.json().len(),
        // Only links bring what is rejected, and do not come by here.
        Step::Clean(..) | Step::Reject(_) => STEP_BYTES,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Identity;
    use crate::log::{Addresses, Draft, Settings};
    use bytes::Bytes;
    use std::sync::{Mutex, mpsc};
    use tidelog_crdt::Context;
    use tidelog_protocol::{Action, ActionId, NodeId, UserId};
    use tokio::task::JoinSet;

    const USERS: usize = 12;
    const STEPS: usize = 500;

    fn subject(user: usize) -> Subject {
        let node = NodeId::new(&format!("u{user}:a:t")).unwrap();
        let user = node.user().unwrap();
        let identity =
            Identity { user, claims: Arc::default(), expires_ms: None, anonymous: false };
        Subject::new(&identity, node, 0)
    }

    fn steps(user: usize, count: usize) -> Vec<Step> {
        let text = format!(r#"{{"type":"note","x":"{}"}}"#, "x".repeat(1000));
        let node = NodeId::new(&format!("u{user}:a:t")).unwrap();
        let users = [UserId::new(&format!("u{user}")).unwrap()].into_iter().collect();
        let addresses = Addresses { users, ..Addresses::default() };
        let step = |sequence: usize| {
            Step::Append(Draft {
                id: ActionId { ms: 1, node: node.clone(), sequence: sequence as u64 },
                time: 1,
                subprotocol: 0,
                addresses: addresses.clone(),
                context: Context::default(),
                action: Action::new(Bytes::from(text.clone())).unwrap(),
                kept: true,
            })
        };
        (0..count).map(step).collect()
    }

    async fn until(is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_small_batch_waits_for_no_more_large_ones_than_may_be_there_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(Settings::new(dir.path()), 0).unwrap();
        // The disk waits until it is let go on.
        let (go_on, gate) = mpsc::sync_channel(10_000);
        let gate = Mutex::new(gate);
        log.before_sync(Arc::new(move || {
            let _ = gate.lock().unwrap().recv();
        }));
        let bulk = Bulk::default();
        let commit = |user, count| {
            let (bulk, log, steps) = (bulk.clone(), log.clone(), steps(user, count));
            async move { bulk.commit(&log, &subject(user), steps, 1).await.unwrap() }
        };
        let bytes = bytes_of(&steps(0, STEPS));
        let at_once = BYTES_AT_ONCE / bytes;
        assert!((2..USERS - 2).contains(&at_once));
        let mut large = JoinSet::new();
        for user in 0..USERS {
            large.spawn(commit(user, STEPS));
        }
        until(|| bulk.turns.wanted() == (USERS - at_once) * bytes).await;
        until(|| log.stats().queue_bytes >= at_once * bytes).await;
        let before = log.stats().queue_bytes;
        let small = tokio::spawn(commit(99, 1));
        until(|| log.stats().queue_bytes > before).await;
        (0..10_000).for_each(|_| go_on.send(()).unwrap());
        let outcomes = small.await.unwrap();
        let Some(Outcome::Accepted(entry)) = outcomes.first() else { panic!("{outcomes:?}") };
        assert_eq!(entry.position.get(), (at_once * STEPS) as u64 + 1, "right behind those");
        assert_eq!(large.join_all().await.concat().len(), USERS * STEPS);
        assert_eq!(bulk.turns.wanted(), 0);
    }
}
