//! From an action that somebody sent to a verdict that is true on disk.
//!
//! The one way in, for WebSocket and HTTP alike, and the only caller of append. The order of things
//! is judge → append → make durable → publish (the committer does these three) → answer.

mod verdicts;

pub use verdicts::{Given, Verdicts};

use crate::log::{Addresses, Cleaned, Draft, Log, Outcome, Stopped};
use crate::metrics::Metrics;
use crate::rules::{Placement, Rules, Subject, UndoReason};
use crate::session::AnswerId;
use std::sync::Arc;
use tidelog_crdt::{Context, Position};
use tidelog_protocol::{Action, ActionId, ClientId, Meta, Pair, builtin};

/// Drafts that go to the committer at once: a frame of a hundred thousand actions takes its turn
/// with everybody else's.
const DRAFTS_AT_ONCE: usize = 1000;

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
}

/// One action after the rules have seen it.
enum Judged {
    Answered(Verdict),
    Draft(Box<Draft>),
    Clean(ActionId, ActionId),
}

impl Ingest {
    /// The way into `log` under `rules`; actions of more than `action_bytes` are undone.
    pub fn new(log: Log, rules: Arc<Rules>, metrics: Metrics, action_bytes: usize) -> Self {
        Self { log, rules, verdicts: Arc::default(), metrics, action_bytes }
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
        let mut drafts = Vec::new();
        for submission in submissions {
            match self.judge(subject, submission, now) {
                Judged::Draft(draft) => drafts.push(*draft),
                Judged::Answered(verdict) => {
                    self.append(&mut drafts, &mut verdicts, now).await?;
                    verdicts.push(verdict);
                }
                Judged::Clean(id, target) => {
                    self.append(&mut drafts, &mut verdicts, now).await?;
                    verdicts.push(self.clean(subject, id, target, now).await?);
                }
            }
            if drafts.len() >= DRAFTS_AT_ONCE {
                self.append(&mut drafts, &mut verdicts, now).await?;
            }
        }
        self.append(&mut drafts, &mut verdicts, now).await?;
        for verdict in &verdicts {
            self.metrics.judged(verdict);
        }
        Ok(verdicts)
    }

    fn judge(&self, subject: &Subject, submission: Submission, now: u64) -> Judged {
        let Submission { pair: Pair { action, meta, extra_keys }, context } = submission;
        if let Some(given) = self.verdicts.of(subject.client(), &meta.id) {
            return Judged::Answered(given.to((action, meta)));
        }
        let foreign = meta.id.node.client_str() != subject.client().as_str();
        if foreign || extra_keys {
            return Judged::Answered(self.undo(subject, UndoReason::Denied, (action, meta), now));
        }
        if action.json().len() > self.action_bytes {
            return Judged::Answered(self.undo(subject, UndoReason::TooLarge, (action, meta), now));
        }
        let placement = match self.rules.place(subject, &action, &meta) {
            Ok(placement) => placement,
            Err(reason) => {
                return Judged::Answered(self.reject(subject, reason, (action, meta), now));
            }
        };
        if action.kind() == builtin::CLEAN {
            let target = action.body::<builtin::Clean>().ok().and_then(|body| body.id.parse().ok());
            // Anonymous clients share a user, and are strangers to each other.
            let strange = |target: &ActionId| {
                subject.anonymous() && target.node.client_str() != subject.client().as_str()
            };
            return match target {
                Some(target) if strange(&target) => {
                    Judged::Answered(self.undo(subject, UndoReason::Denied, (action, meta), now))
                }
                Some(target) => Judged::Clean(meta.id, target),
                None => {
                    Judged::Answered(self.undo(subject, UndoReason::Error, (action, meta), now))
                }
            };
        }
        Judged::Draft(Box::new(draft(action, meta, context, placement)))
    }

    /// The rules say no. What they once let in stays in, whatever they say of it today.
    fn reject(
        &self,
        subject: &Subject,
        reason: UndoReason,
        sent: (Action, Meta),
        now: u64,
    ) -> Verdict {
        let known = self.log.find(&sent.1.id).ok().flatten();
        let entry = known.and_then(|position| self.log.entry(position).ok().flatten());
        match entry {
            Some(entry) => {
                let answer = self.answer_of(entry.position, entry.accepted_ms);
                processed(sent.1.id, answer, true, Some(entry.position))
            }
            None => self.undo(subject, reason, sent, now),
        }
    }

    fn undo(
        &self,
        subject: &Subject,
        reason: UndoReason,
        sent: (Action, Meta),
        now: u64,
    ) -> Verdict {
        let verdict = Verdict {
            id: sent.1.id.clone(),
            outcome: Judgement::Undone(reason, Box::new(sent)),
            answer: self.unplaced_answer(now),
            repeated: false,
            position: None,
        };
        self.remember(subject.client(), &verdict);
        verdict
    }

    fn remember(&self, client: &ClientId, verdict: &Verdict) {
        let undone = match verdict.outcome {
            Judgement::Processed => None,
            Judgement::Undone(reason, _) => Some(reason),
        };
        let given = Given { undone, answer: verdict.answer };
        self.verdicts.remember(client, verdict.id.clone(), given);
    }

    async fn append(
        &self,
        drafts: &mut Vec<Draft>,
        verdicts: &mut Vec<Verdict>,
        now: u64,
    ) -> Result<(), Stopped> {
        if drafts.is_empty() {
            return Ok(());
        }
        let drafts = std::mem::take(drafts);
        let sent: Vec<_> =
            drafts.iter().map(|d| (d.id.clone(), d.action.clone(), d.time)).collect();
        let outcomes = self.log.append(drafts, now).await?;
        for (outcome, (id, action, time)) in outcomes.into_iter().zip(sent) {
            verdicts.push(self.verdict(outcome, id, action, time, now));
        }
        Ok(())
    }

    fn verdict(
        &self,
        outcome: Outcome,
        id: ActionId,
        action: Action,
        time: u64,
        now: u64,
    ) -> Verdict {
        match outcome {
            Outcome::Accepted(entry) => {
                let answer = self.answer_of(entry.position, entry.accepted_ms);
                processed(id, answer, false, Some(entry.position))
            }
            Outcome::Known(entry) => {
                let answer = self.answer_of(entry.position, entry.accepted_ms);
                processed(id, answer, true, Some(entry.position))
            }
            Outcome::Passed(_) => {
                let client = id.node.client();
                let verdict = processed(id, self.unplaced_answer(now), false, None);
                self.remember(&client, &verdict);
                verdict
            }
            Outcome::TooLarge => {
                let meta = Meta { id: id.clone(), time, subprotocol: None };
                let outcome = Judgement::Undone(UndoReason::TooLarge, Box::new((action, meta)));
                let answer = self.unplaced_answer(now);
                Verdict { id, outcome, answer, repeated: false, position: None }
            }
        }
    }

    /// Cleaning what is not there, or no longer, is done already.
    async fn clean(
        &self,
        subject: &Subject,
        id: ActionId,
        target: ActionId,
        now: u64,
    ) -> Result<Verdict, Stopped> {
        let cleaned = self.log.clean(subject.user().clone(), target.clone(), now).await?;
        if cleaned == Cleaned::NotOwner {
            let body = serde_json::json!({ "type": builtin::CLEAN, "id": target.to_string() });
            let action = Action::from_parts(body.to_string().into(), builtin::CLEAN);
            let meta = Meta { id, time: now, subprotocol: None };
            return Ok(self.undo(subject, UndoReason::Denied, (action, meta), now));
        }
        let verdict = processed(id, self.unplaced_answer(now), false, None);
        self.remember(subject.client(), &verdict);
        Ok(verdict)
    }

    fn answer_of(&self, position: Position, ms: u64) -> AnswerId {
        AnswerId::of_entry(self.log.incarnation(), position, ms)
    }

    fn unplaced_answer(&self, now: u64) -> AnswerId {
        AnswerId::unplaced(self.log.incarnation(), self.log.head(), now)
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

fn processed(
    id: ActionId,
    answer: AnswerId,
    repeated: bool,
    position: Option<Position>,
) -> Verdict {
    Verdict { id, outcome: Judgement::Processed, answer, repeated, position }
}

fn draft(action: Action, meta: Meta, context: Context, placement: Placement) -> Draft {
    let addresses = Addresses {
        users: placement.users,
        channels: placement.channels,
        clients: placement.clients,
        nodes: placement.nodes,
    };
    Draft {
        id: meta.id,
        time: meta.time,
        subprotocol: meta.subprotocol.unwrap_or_default(),
        addresses,
        context,
        action,
        kept: placement.kept,
    }
}
