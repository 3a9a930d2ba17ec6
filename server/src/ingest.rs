//! From an action that somebody sent to a verdict that is true on disk.
//!
//! The one way in, for WebSocket and HTTP alike, and the only caller of append. The order of things
//! is judge → append → make durable → publish (the committer does these three) → answer.

mod quotas;
mod rates;
#[cfg(test)]
mod tests;
mod verdicts;

pub use quotas::Quotas;
pub use rates::Wait;
pub use verdicts::{Given, Verdicts};

use crate::log::{Addresses, Cleaned, Draft, Entry, Log, Outcome, ReadError, Step, Stopped};
use crate::metrics::Metrics;
use crate::rules::{Placement, Rules, Subject, UndoReason};
use crate::session::AnswerId;
use UndoReason::TooManyActions;
use quotas::Allowance;
use rates::Rates;
use std::sync::Arc;
use tidelog_crdt::{Context, Position};
use tidelog_protocol::{Action, ActionId, Meta, Pair, builtin};

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
    rules: Arc<Rules>,
    verdicts: Arc<Verdicts>,
    metrics: Metrics,
    action_bytes: usize,
    rates: Option<Arc<Rates>>,
    kept_bytes: Option<u64>,
}

/// One action after the rules have seen it.
enum Judged {
    /// It was judged before.
    Given(Given),
    /// It cannot be right, whatever is in the log.
    Undone(UndoReason),
    /// It is not let in today. What was let in once stays in.
    Rejected(UndoReason),
    /// The log decides: the next of the steps is its.
    Step,
}

/// An action with its meta, as it came.
type Sent = (Action, Meta);

impl Ingest {
    /// The way into `log` under `rules`; actions of more than `action_bytes`, and those over a quota,
    /// are undone.
    pub fn new(
        log: Log,
        rules: Arc<Rules>,
        metrics: Metrics,
        (action_bytes, quotas): (usize, Quotas),
    ) -> Self {
        let (rates, kept_bytes) = (quotas.rates().map(Arc::new), quotas.kept_bytes);
        Self { log, rules, verdicts: Arc::default(), metrics, action_bytes, rates, kept_bytes }
    }

    /// When `subject` may make so many actions at once.
    pub fn wait(&self, subject: &Subject, count: usize, now: u64) -> Wait {
        quotas::wait(self.rates.as_deref(), subject, count, now)
    }

    /// Whether there is a limit to the bytes that are kept of a user.
    pub fn limits_kept_bytes(&self) -> bool {
        self.kept_bytes.is_some()
    }

    /// Whether keeping `pairs` would take the user over that limit. May wait for the disk.
    pub fn is_too_much(&self, subject: &Subject, pairs: &[Pair]) -> Result<bool, ReadError> {
        let Some(most) = self.kept_bytes else { return Ok(false) };
        quotas::is_too_much(&self.log, &self.rules, subject, pairs, most)
    }

    /// The memory of verdicts that no entry stands for.
    pub fn verdicts(&self) -> &Arc<Verdicts> {
        &self.verdicts
    }

    /// Judges and appends, in order. Returns one verdict for each submission, true on disk.
    pub async fn take(
        &self,
        subject: &Subject,
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
        subject: &Subject,
        submissions: Vec<Submission>,
        now: u64,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<(), Stopped> {
        let mut steps = Vec::with_capacity(submissions.len());
        let rates = self.rates.as_deref();
        let mut allowance = Allowance::of(rates, subject, submissions.len(), now);
        let judge = |Submission { pair, context }: Submission| {
            let judged = self.judge(subject, &pair, context, (&mut steps, &mut allowance));
            (judged, (pair.action, pair.meta))
        };
        let judged: Vec<_> = submissions.into_iter().map(judge).collect();
        let mut outcomes = self.log.commit(steps, now).await?.into_iter();
        let mut repeated = 0;
        for (judged, sent) in judged {
            let used = !matches!(judged, Judged::Given(_));
            let verdict = match judged {
                Judged::Given(given) => given.to(sent),
                Judged::Undone(reason) => self.undo(subject, reason, sent, now),
                Judged::Rejected(reason) => self.reject(subject, reason, sent, now),
                Judged::Step => self.verdict(subject, outcomes.next().ok_or(Stopped)?, sent, now),
            };
            repeated += usize::from(used && verdict.repeated);
            verdicts.push(verdict);
        }
        allowance.close(repeated);
        Ok(())
    }

    fn judge(
        &self,
        subject: &Subject,
        Pair { action, meta, extra_keys }: &Pair,
        context: Context,
        (steps, allowance): (&mut Vec<Step>, &mut Allowance<'_>),
    ) -> Judged {
        if let Some(given) = self.verdicts.of(subject.client(), &meta.id) {
            return Judged::Given(given);
        }
        let free = allowance.scarce && self.log.find(&meta.id).is_ok_and(|known| known.is_some());
        if !free && !allowance.use_one() {
            return Judged::Rejected(TooManyActions);
        }
        if *extra_keys || meta.id.node.client_str() != subject.client().as_str() {
            return Judged::Undone(UndoReason::Denied);
        }
        if action.json().len() > self.action_bytes {
            return Judged::Rejected(UndoReason::TooLarge);
        }
        let step = match self.rules.place(subject, action, meta) {
            Err(reason) => return Judged::Rejected(reason),
            Ok(_) if action.kind() == builtin::CLEAN => clean(subject, action),
            Ok(placement) => Ok(Step::Append(draft(action, meta, context, placement))),
        };
        match step {
            Err(reason) => Judged::Undone(reason),
            Ok(step) => {
                steps.push(step);
                Judged::Step
            }
        }
    }

    /// What the log has of it already stands.
    fn reject(&self, subject: &Subject, reason: UndoReason, sent: Sent, now: u64) -> Verdict {
        let known = self.log.find(&sent.1.id).ok().flatten();
        let entry = known.and_then(|position| self.log.entry(position).ok().flatten());
        match entry.filter(|entry| entry.id == sent.1.id) {
            Some(entry) => self.placed(sent, &entry, true),
            None => self.undo(subject, reason, sent, now),
        }
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
        if let Some(given) = self.verdicts.of(client, &id) {
            return given.to(sent);
        }
        let answer = AnswerId::unplaced(self.log.incarnation(), self.log.head(), now);
        let given = Given { undone, answer };
        self.verdicts.remember(client, id, given);
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

/// What a `0/clean` asks for.
fn clean(subject: &Subject, action: &Action) -> Result<Step, UndoReason> {
    let body = action.body::<builtin::Clean>().map_err(|_| UndoReason::Error)?;
    let target: ActionId = body.id.parse().map_err(|_| UndoReason::Error)?;
    // Anonymous clients share a user, and are strangers to each other.
    if subject.anonymous() && target.node.client_str() != subject.client().as_str() {
        return Err(UndoReason::Denied);
    }
    Ok(Step::Clean(subject.user().clone(), target))
}

fn draft(action: &Action, meta: &Meta, context: Context, placement: Placement) -> Draft {
    let addresses = Addresses {
        users: placement.users,
        channels: placement.channels,
        clients: placement.clients,
        nodes: placement.nodes,
    };
    Draft {
        id: meta.id.clone(),
        time: meta.time,
        subprotocol: meta.subprotocol.unwrap_or_default(),
        addresses,
        context,
        action: action.clone(),
        kept: placement.kept,
    }
}
