//! From an action that somebody sent to a verdict that is true on disk.
//!
//! The one way in, for WebSocket and HTTP alike, and the only caller of append. The order of things
//! is judge (`ingest/judge.rs`) → append → make durable → publish (the committer does these three) →
//! answer.

mod bulk;
mod judge;
mod known;
mod own;
mod quotas;
mod rates;
#[cfg(test)]
mod tests;
mod verdicts;

pub use known::{Follows, Known};
pub use own::{OWN_RANGES_MAX, OwnPositions};
pub use quotas::Quotas;
pub use rates::Wait;
pub use verdicts::{Given, Verdicts};

use crate::admission::Lately;
use crate::aside::blocking;
use crate::log::{Cleaned, Entry, Log, Outcome, ReadError, Stopped};
use crate::metrics::Metrics;
use crate::rules::{Rules, Subject, UndoReason};
use crate::session::AnswerId;
use bulk::Bulk;
use judge::{Judge, Judged, Sent};
use quotas::{Accounts, Allowance};
use std::collections::HashSet;
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::{Action, ActionId, Meta, Pair, builtin};

/// Steps that go to the committer at once, or those of one action: a frame of a hundred thousand
/// actions takes its turn with everybody else's.
const STEPS_AT_ONCE: usize = 1000;
/// The least that one id takes in a `0/clean`, with its quotes and a comma: each is a step.
const ID_BYTES: usize = 12;

/// An action to be judged.
#[derive(Debug)]
pub struct Submission {
    /// The action with its meta, as it came.
    pub pair: Pair,
    /// What its author had had of each log.
    pub known: Known,
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
    rules: Arc<Rules>,
    judge: Judge,
    bulk: Bulk,
    accounts: Arc<Accounts>,
    own: Arc<OwnPositions>,
    metrics: Metrics,
}

impl Ingest {
    /// The way into `log` under `rules`; actions of more than `action_bytes`, and those over a quota,
    /// are undone.
    pub fn new(
        log: Log,
        rules: Arc<Rules>,
        metrics: Metrics,
        (action_bytes, quotas): (usize, Quotas),
    ) -> Self {
        let judge = Judge::new(Arc::clone(&rules), log.incarnations(), action_bytes);
        let (accounts, own) = (Arc::new(Accounts::new(quotas)), Arc::default());
        let bulk = Bulk::default();
        Self { log, rules, judge, bulk, accounts, own, metrics }
    }

    /// When `subject` may make so many actions at once.
    pub fn wait(&self, subject: &Subject, count: usize, now: u64) -> Wait {
        self.accounts.wait(subject, count, now)
    }

    /// Whether there is a limit to the bytes that are kept of a user.
    pub fn limits_kept_bytes(&self) -> bool {
        self.accounts.kept_bytes.is_some()
    }

    /// Whether keeping `pairs` would take the user over that limit. May wait for the disk.
    pub fn is_too_much(&self, subject: &Subject, pairs: &[Pair]) -> Result<bool, ReadError> {
        let Some(most) = self.accounts.kept_bytes else { return Ok(false) };
        quotas::is_too_much(&self.log, &self.rules, subject, pairs, most)
    }

    /// How long appends took lately.
    pub(crate) fn appends(&self) -> Arc<Lately> {
        self.bulk.lately()
    }

    /// The memory of verdicts that no entry stands for.
    pub fn verdicts(&self) -> &Arc<Verdicts> {
        self.judge.verdicts()
    }

    /// Where the actions of clients are that come by requests.
    pub fn own_positions(&self) -> &OwnPositions {
        &self.own
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
            let count = fitting(submissions.as_slice());
            let together: Vec<_> = submissions.by_ref().take(count).collect();
            self.take_together(subject, together, now, &mut verdicts).await?;
        }
        for verdict in &verdicts {
            self.metrics.judged(verdict);
        }
        self.own.add(subject.client(), &verdicts);
        Ok(verdicts)
    }

    /// Judges all, commits what the log is to decide at once, and says what became of each in order.
    async fn take_together(
        &self,
        subject: &Arc<Subject>,
        mut submissions: Vec<Submission>,
        now: u64,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(), Stopped> {
        let mut allowance = self.accounts.allow(subject, submissions.len(), now);
        let mut over = Vec::new();
        if allowance.is_scarce() {
            over = self.take_out(subject, &mut submissions, &mut allowance).await;
        }
        let (mut judged, steps) = self.judge.all(subject, submissions).await;
        for (at, sent) in over {
            judged.insert(at, (Judged::Rejected(UndoReason::TooManyActions), sent));
        }
        let before = verdicts.len();
        let mut outcomes = self.bulk.commit(&self.log, subject, steps, now).await?.into_iter();
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
                    // All that one `0/clean` names is its sender's own (`judge`), so none of it is
                    // refused here, and one outcome stands for all.
                    match all.into_iter().next() {
                        Some(outcome) => self.verdict(subject, outcome, sent, now),
                        None => self.unplaced(subject, None, sent, now),
                    }
                }
            });
        }
        let repeated = verdicts.iter().skip(before).filter(|verdict| verdict.repeated).count();
        self.accounts.close(subject, &allowance, repeated);
        Ok(())
    }

    /// Takes out what is over the rate, with the places that it had. Actions that are not new do not
    /// count.
    async fn take_out(
        &self,
        subject: &Subject,
        submissions: &mut Vec<Submission>,
        allowance: &mut Allowance,
    ) -> Vec<(usize, Sent)> {
        let ids: Vec<_> = submissions.iter().map(|it| it.pair.meta.id.clone()).collect();
        let (log, verdicts) = (self.log.clone(), Arc::clone(self.verdicts()));
        let client = subject.client().clone();
        let is_known = move |id: &ActionId| {
            verdicts.of(&client, id).is_some() || log.find(id).is_ok_and(|known| known.is_some())
        };
        let looking = move || ids.into_iter().filter(|id| is_known(id)).collect::<HashSet<_>>();
        let known = blocking(looking).await;
        let all = std::mem::take(submissions);
        let mut over = Vec::new();
        for (at, submission) in all.into_iter().enumerate() {
            if known.contains(&submission.pair.meta.id) || allowance.use_one() {
                submissions.push(submission);
            } else {
                over.push((at, (submission.pair.action, submission.pair.meta)));
            }
        }
        over
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
        blocking(move || ids.into_iter().map(find).collect()).await
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
        self.verdicts().remember(client, id, given.clone());
        Verdict { repeated: false, ..given.to(sent) }
    }

    fn placed(&self, sent: Sent, entry: &Entry, repeated: bool) -> Verdict {
        let (position, ms) = (entry.position, entry.accepted_ms);
        if let Some(reason) = entry.undone_because() {
            return Verdict {
                id: sent.1.id.clone(),
                outcome: Judgement::Undone(UndoReason::of_text(&reason), Box::new(sent)),
                answer: AnswerId::of_undone(self.log.incarnation(), position, ms),
                repeated,
                position: None,
            };
        }
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
            Outcome::OverQuota => self.undo(subject, UndoReason::OverQuota, sent, now),
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

/// How many of those that come next go to the committer together: one at least.
fn fitting(submissions: &[Submission]) -> usize {
    let mut room = STEPS_AT_ONCE;
    let fits = |submission: &&Submission| {
        let action = &submission.pair.action;
        let steps =
            if action.kind() == builtin::CLEAN { action.json().len() / ID_BYTES } else { 1 };
        let left = room.checked_sub(steps);
        room = left.unwrap_or_default();
        left.is_some()
    };
    submissions.iter().take_while(fits).count().max(1)
}
