//! What the rules say of actions, without anybody else waiting for it.
//!
//! A client may send thousands of actions at once, and rules may go through all of a large one. So
//! actions are judged for a moment at a time; and those that may take longer than a moment leave the
//! threads that serve connections, a slice at a time, one user after the other.

use super::{Given, Known, Submission, Verdicts};
use crate::aside::blocking;
use crate::clock::Stopwatch;
use crate::log::{Addresses, Draft, Incarnations, Step};
use crate::rules::{Placement, Rules, Subject, UndoReason};
use crate::turns::Turns;
use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;
use tidelog_crdt::Context;
use tidelog_protocol::{Action, ActionId, Meta, Pair, builtin};

/// Actions are judged so long before others have their turn.
const SLICE: Duration = Duration::from_millis(1);

/// Judges actions. Cheap to clone.
#[derive(Clone)]
pub(super) struct Judge {
    bench: Arc<Bench>,
    /// Threads that judge what is slow; users take turns.
    turns: Turns<Box<str>>,
}

struct Bench {
    rules: Arc<Rules>,
    verdicts: Arc<Verdicts>,
    lives: Incarnations,
    action_bytes: usize,
}

/// One action after the rules have seen it.
pub(super) enum Judged {
    /// It was judged before.
    Given(Given),
    /// It cannot be right, whatever is in the log.
    Undone(UndoReason),
    /// It is not let in today. What was let in once stays in.
    Rejected(UndoReason),
    /// The log decides: so many of the next steps are its, with one outcome.
    Steps(usize),
}

/// An action with its meta, as it came.
pub(super) type Sent = (Action, Meta);

/// Actions of one client, some of them judged.
struct Batch {
    subject: Arc<Subject>,
    left: IntoIter<Submission>,
    judged: Vec<(Judged, Sent)>,
    steps: Vec<Step>,
}

impl Judge {
    /// Judges by `rules` what comes to the store with this life; actions of more than `action_bytes` are
    /// undone.
    pub(super) fn new(rules: Arc<Rules>, lives: Incarnations, action_bytes: usize) -> Self {
        // Half of the processors at most, so that connections are served meanwhile.
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get() / 2);
        let bench = Bench { rules, verdicts: Arc::default(), lives, action_bytes };
        Self { bench: Arc::new(bench), turns: Turns::new(threads.max(1), threads.max(1)) }
    }

    /// The memory of verdicts that no entry stands for.
    pub(super) fn verdicts(&self) -> &Arc<Verdicts> {
        &self.bench.verdicts
    }

    /// Judges all, in order, and says what the log is asked to do.
    pub(super) async fn all(
        &self,
        subject: &Arc<Subject>,
        submissions: Vec<Submission>,
    ) -> (Vec<(Judged, Sent)>, Vec<Step>) {
        let mut batch = Batch {
            subject: Arc::clone(subject),
            judged: Vec::with_capacity(submissions.len()),
            steps: Vec::with_capacity(submissions.len()),
            left: submissions.into_iter(),
        };
        loop {
            self.bench.judge(&mut batch, |rules, action| !rules.is_slow(action));
            let Some(next) = batch.left.as_slice().first() else {
                return (batch.judged, batch.steps);
            };
            if self.bench.rules.is_slow(&next.pair.action) {
                batch = self.apart(batch).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Judges for a slice on a thread that serves no connection.
    async fn apart(&self, mut batch: Batch) -> Batch {
        let subject = &batch.subject;
        // Anonymous clients share a user, and are strangers to each other.
        let owner =
            if subject.anonymous() { subject.client().as_str() } else { subject.user().as_str() };
        let turn = self.turns.take(owner.into(), 1).await;
        let bench = Arc::clone(&self.bench);
        let judge = move || {
            bench.judge(&mut batch, |_, _| true);
            // Held until here, even if nobody waits for the outcome any more.
            drop(turn);
            batch
        };
        blocking(judge).await
    }
}

impl Bench {
    /// Judges what comes next, as long as `here` says so and there is time.
    fn judge(&self, batch: &mut Batch, here: impl Fn(&Rules, &Action) -> bool) {
        let slice = Stopwatch::start();
        while let Some(next) = batch.left.as_slice().first()
            && here(&self.rules, &next.pair.action)
            && let Some(Submission { pair, known }) = batch.left.next()
        {
            let judged = self.judge_one(&batch.subject, &pair, &known, &mut batch.steps);
            batch.judged.push((judged, (pair.action, pair.meta)));
            if slice.has_passed(SLICE) {
                return;
            }
        }
    }

    fn judge_one(
        &self,
        subject: &Subject,
        Pair { action, meta, extra_keys }: &Pair,
        known: &Known,
        steps: &mut Vec<Step>,
    ) -> Judged {
        if let Some(given) = self.verdicts.of(subject.client(), &meta.id) {
            return Judged::Given(given);
        }
        if *extra_keys || meta.id.node.client_str() != subject.client().as_str() {
            return Judged::Undone(UndoReason::Denied);
        }
        if action.json().len() > self.action_bytes {
            return Judged::Rejected(UndoReason::TooLarge);
        }
        let asked = match self.rules.place(subject, action, meta) {
            Err(reason) => return Judged::Rejected(reason),
            Ok(_) if action.kind() == builtin::CLEAN => clean(subject, action),
            Ok(placement) => {
                let placed = (subject, action.kind(), &placement);
                let context = known.context(&self.lives, placed, &self.rules);
                Ok(vec![Step::Append(draft(action, meta, context, placement))])
            }
        };
        match asked {
            Err(reason) => Judged::Undone(reason),
            Ok(asked) => {
                let count = asked.len();
                steps.extend(asked);
                Judged::Steps(count)
            }
        }
    }
}

/// What a `0/clean` asks for: all of it, or nothing.
fn clean(subject: &Subject, action: &Action) -> Result<Vec<Step>, UndoReason> {
    let body = action.body::<builtin::Clean>().map_err(|_| UndoReason::Error)?;
    let targets = body.targets().ok_or(UndoReason::Error)?;
    let mine = |target: &ActionId| {
        if subject.anonymous() {
            // Anonymous clients share a user, and are strangers to each other.
            target.node.client_str() == subject.client().as_str()
        } else {
            target.node.user_str() == Some(subject.user().as_str())
        }
    };
    if !targets.iter().all(mine) {
        return Err(UndoReason::Denied);
    }
    Ok(targets.into_iter().map(|target| Step::Clean(subject.user().clone(), target)).collect())
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
