//! From an action that somebody sent to a verdict that is true on disk.
//!
//! The one way in, for WebSocket and HTTP alike, and the only caller of append. The order of things
//! is judge (`ingest/judge.rs`) → append → make durable → publish (the committer does these three) →
//! answer.

mod judge;
#[cfg(test)]
mod tests;
mod verdicts;

pub use verdicts::{Given, Verdicts};

use crate::log::{Cleaned, Entry, Log, Outcome, Stopped};
use crate::metrics::Metrics;
use crate::rules::{Rules, Subject, UndoReason};
use crate::session::AnswerId;
use judge::{Judge, Judged, Sent};
use std::sync::Arc;
use tidelog_crdt::{Context, Position};
use tidelog_protocol::{Action, ActionId, Meta, Pair};

/// Steps that go to the committer at once: a frame of a hundred thousand actions takes its turn with
/// everybody else's.
const STEPS_AT_ONCE: usize = 1000;

/// An action to be judged.
#[derive(Debug)]
pub struct Submission {
    /// The action with its meta, as it came.
    pub pair: Pair,
    /// What its author had seen.
    pub context: Context,
}

/// What became of an action.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The action's name.
    pub id: ActionId,
    /// Processed, or undone.
    pub outcome: Judgement,
    /// The name of the answer; the same whenever the action is answered again.
    pub answer: AnswerId,
    /// The action was judged before.
    pub repeated: bool,
    /// Where it stands in the log.
    pub position: Option<Position>,
}

/// Processed, or undone.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// Accepted.
    Processed,
    /// Rejected: why, and what.
    Undone(UndoReason, Box<(Action, Meta)>),
}

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    log: Log,
    judge: Judge,
    metrics: Metrics,
}

impl Ingest {
    /// The way into `log` under `rules`; actions of more than `action_bytes` are undone.
    pub fn new(log: Log, rules: Arc<Rules>, metrics: Metrics, action_bytes: usize) -> Self {
        Self { log, judge: Judge::new(rules, action_bytes), metrics }
    }

    /// The memory of verdicts that no entry stands for.
    pub fn verdicts(&self) -> &Arc<Verdicts> {
        self.judge.verdicts()
    }

    /// Judges and appends, in order. Returns one verdict for each submission, true on disk.
    pub async fn take(
        &self,
        subject: &Arc<Subject>,
        submissions: Vec<Submission>,
        now: u64,
    ) -> Result<Vec<Verdict>, Stopped> {
        let mut verdicts = Vec::with_capacity(submissions.len());
        let mut submissions = submissions.into_iter();
        while submissions.len() > 0 {
            let together: Vec<_> = submissions.by_ref().take(STEPS_AT_ONCE).collect();
            self.take_together(subject, together, now, &mut verdicts).await?;
        }
        for verdict in &verdicts {
            self.metrics.judged(verdict);
        }
        Ok(verdicts)
    }

    /// Judges all, commits what the log is to decide at once, and says what became of each in order.
    async fn take_together(
        &self,
        subject: &Arc<Subject>,
        submissions: Vec<Submission>,
        now: u64,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(), Stopped> {
        let (judged, steps) = self.judge.all(subject, submissions).await;
        let mut outcomes = self.log.commit(steps, now).await?.into_iter();
        let mut stored = self.stored(&judged).await.into_iter();
        for (judged, sent) in judged {
            verdicts.push(match judged {
                Judged::Given(given) => given.to(sent),
                Judged::Undone(reason) => self.undo(subject, reason, sent, now),
                Judged::Rejected(reason) => match stored.next().flatten() {
                    // What the log has of it already stands.
                    Some(entry) => self.placed(sent, &entry, true),
                    None => self.undo(subject, reason, sent, now),
                },
                Judged::Steps(count) => {
                    let all: Vec<_> = outcomes.by_ref().take(count).collect();
                    if all.len() < count {
                        return Err(Stopped);
                    }
                    match all.into_iter().next() {
                        Some(outcome) => self.verdict(subject, outcome, sent, now),
                        None => self.unplaced(subject, None, sent, now),
                    }
                }
            });
        }
        Ok(())
    }

    /// The entries of those actions that are rejected now and were let in once. Their ids are looked
    /// up on a thread that may wait for the disk.
    async fn stored(&self, judged: &[(Judged, Sent)]) -> Vec<Option<Arc<Entry>>> {
        let rejected = judged.iter().filter(|(judged, _)| matches!(judged, Judged::Rejected(_)));
        let ids: Vec<_> = rejected.map(|(_, sent)| sent.1.id.clone()).collect();
        if ids.is_empty() {
            return Vec::new();
        }
        let log = self.log.clone();
        let find = move |id: ActionId| {
            let entry = log.entry(log.find(&id).ok()??).ok()??;
            (entry.id == id).then_some(entry)
        };
        let found = tokio::task::spawn_blocking(move || ids.into_iter().map(find).collect());
        // Nobody cancels it.
        found.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    fn undo(&self, subject: &Subject, reason: UndoReason, sent: Sent, now: u64) -> Verdict {
        self.unplaced(subject, Some(reason), sent, now)
    }

    /// The verdict on what no entry stands for: the one that it got before, if it comes again.
    fn unplaced(
        &self,
        subject: &Subject,
        undone: Option<UndoReason>,
        sent: Sent,
        now: u64,
    ) -> Verdict {
        let (client, id) = (subject.client(), sent.1.id.clone());
        if let Some(given) = self.verdicts().of(client, &id) {
            return given.to(sent);
        }
        let answer = AnswerId::unplaced(self.log.incarnation(), self.log.head(), now);
        let given = Given { undone, answer };
        self.verdicts().remember(client, id, given);
        Verdict { repeated: false, ..given.to(sent) }
    }

    fn placed(&self, sent: Sent, entry: &Entry, repeated: bool) -> Verdict {
        let (position, ms) = (entry.position, entry.accepted_ms);
        Verdict {
            id: sent.1.id,
            outcome: Judgement::Processed,
            answer: AnswerId::of_entry(self.log.incarnation(), position, ms),
            repeated,
            position: Some(position),
        }
    }

    fn verdict(&self, subject: &Subject, outcome: Outcome, sent: Sent, now: u64) -> Verdict {
        match outcome {
            Outcome::Accepted(entry) => self.placed(sent, &entry, false),
            Outcome::Known(entry) => self.placed(sent, &entry, true),
            // Cleaning what is not there, or no longer, is done already.
            Outcome::Passed(_) | Outcome::Cleaned(Cleaned::Done | Cleaned::Unknown) => {
                self.unplaced(subject, None, sent, now)
            }
            Outcome::PassedBefore => {
                Verdict { repeated: true, ..self.unplaced(subject, None, sent, now) }
            }
            Outcome::TooLarge => self.undo(subject, UndoReason::TooLarge, sent, now),
            Outcome::Cleaned(Cleaned::NotOwner) => {
                self.undo(subject, UndoReason::Denied, sent, now)
            }
        }
    }
}

impl Given {
    /// The verdict on an action that was sent again.
    fn to(self, sent: (Action, Meta)) -> Verdict {
        let id = sent.1.id.clone();
        let outcome = match self.undone {
            None => Judgement::Processed,
            Some(reason) => Judgement::Undone(reason, Box::new(sent)),
        };
        Verdict { id, outcome, answer: self.answer, repeated: true, position: None }
    }
}
