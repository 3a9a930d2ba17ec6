//! What a client sends, in order: judged together while the commit before it is under way,
//! answered, and then acknowledged.

use super::answered::Answered;
use super::answers::{Answer, AnswerId, Sent};
use super::{Effect, FORGET_AFTER_MS, Moment, Session};
use crate::ingest::{Given, Known, Submission, Verdict};
use crate::rules::UndoReason;
use std::collections::VecDeque;
use std::sync::Arc;
use tidelog_protocol::{ActionId, Pair, Sync, builtin};

/// Actions submitted at once. One submission is under way at a time, so that what an author had
/// seen of its own actions is known when the next one is placed.
const SUBMITTED_MAX: usize = 1000;
/// Bytes of answers in one frame, or little more: an undo has its whole action in it.
const ANSWER_FRAME_BYTES: usize = 64 << 10;
/// Room for more than this is given back when nothing is left in it.
const KEPT: usize = 16;
/// A frame that waits this long, for nothing but loads, is acknowledged: stock clients give up
/// after 70 s.
const EARLY_AFTER_MS: u64 = 50_000;

/// What came in and is not acknowledged.
#[derive(Default)]
pub(super) struct Intake {
    frames: VecDeque<Frame>,
    /// The serial number of the first frame in `frames`.
    first: u64,
    /// Actions that wait for their turn.
    queue: VecDeque<Waiting>,
    /// What those actions have in them.
    queue_bytes: usize,
    /// The frames of the actions that are being judged, in order.
    submitted: Vec<(u64, bool)>,
    /// Actions that came in to be judged, and that were, counted.
    received: u64,
    judged: u64,
    /// What is to be answered; an answer is made when there is room for it.
    answers: VecDeque<Answer>,
    answer_bytes: usize,
    answered: Answered,
}

/// One `sync` of the client's.
struct Frame {
    number: u64,
    received_ms: u64,
    /// Actions without a verdict.
    unjudged: usize,
    /// Subscriptions whose load is not over.
    loading: usize,
}

/// An action that waits to be judged.
#[derive(Debug)]
struct Waiting {
    /// The serial number of its frame.
    frame: u64,
    pair: Pair,
    /// What its author had had when it came in.
    known: Known,
    /// It was made before its author had documents that are on their way to it.
    overtakes: bool,
}

impl Intake {
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Frames that were acknowledged, counted.
    pub(super) fn acknowledged(&self) -> u64 {
        self.first
    }

    /// Actions without a verdict, or with an answer that waits for room.
    pub(super) fn waiting(&self) -> usize {
        let unjudged = usize::try_from(self.received - self.judged).unwrap_or(usize::MAX);
        unjudged.saturating_add(self.answers.len())
    }

    /// What the actions that wait for their turn, or for room for their answers, have in them.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.queue_bytes.saturating_add(self.answer_bytes)
    }

    fn take_answer(&mut self) -> Option<Sent> {
        loop {
            let answer = self.answers.pop_front()?;
            give_back(&mut self.answers);
            self.answer_bytes -= answer.bytes();
            // An answer always has a name; if not, the client sends the action again.
            if let Some(answer) = answer.make() {
                return Some(answer);
            }
        }
    }

    fn add_answer(&mut self, answer: Answer) {
        self.answer_bytes += answer.bytes();
        self.answers.push_back(answer);
    }

    /// Whether answers wait.
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether no action waits for its verdict.
    pub(super) fn is_judged(&self) -> bool {
        self.received == self.judged
    }

    /// When the first frame is to be acknowledged, though it still waits for a load.
    pub(super) fn early_at(&self) -> Option<u64> {
        let first = self.frames.front()?;
        (first.unjudged == 0).then_some(first.received_ms + EARLY_AFTER_MS)
    }

    fn frame_mut(&mut self, serial: u64) -> Option<&mut Frame> {
        let at = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        self.frames.get_mut(at)
    }

    /// Actions that came in to be judged.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Actions that were judged.
    pub(super) fn judged(&self) -> u64 {
        self.judged
    }

    fn queue(&mut self, waiting: Waiting) {
        self.received += 1;
        if let Some(frame) = self.frame_mut(waiting.frame) {
            frame.unjudged += 1;
        }
        self.queue_bytes += waiting.pair.action.json().len();
        self.queue.push_back(waiting);
    }

    /// A subscription that came in the frame `serial` waits for its load.
    pub(super) fn loading(&mut self, serial: Option<u64>) {
        if let Some(frame) = serial.and_then(|serial| self.frame_mut(serial)) {
            frame.loading += 1;
        }
    }

    /// A subscription that came in the frame `serial` has been loaded.
    pub(super) fn loaded(&mut self, serial: Option<u64>) {
        if let Some(frame) = serial.and_then(|serial| self.frame_mut(serial)) {
            frame.loading = frame.loading.saturating_sub(1);
        }
    }

    /// Whether nothing that came in waits for its verdict or its answer.
    pub(super) fn is_answered(&self) -> bool {
        self.is_judged() && !self.has_answers()
    }

    /// What has no entry is answered, unless it was on this connection.
    pub(super) fn answer(&mut self, id: &ActionId, answer: impl FnOnce() -> Answer) {
        if self.answered.other(id) {
            self.add_answer(answer());
        }
    }

    /// Whether what has no entry was answered on this connection.
    pub(super) fn has_answered(&self, id: &ActionId) -> bool {
        self.answered.has_other(id)
    }

    fn answer_verdict(&mut self, verdict: Verdict) {
        let new = match verdict.position {
            Some(position) => self.answered.entry(position),
            None => self.answered.other(&verdict.id),
        };
        // On the connection that answered it, a duplicate is acknowledged and no more.
        if new || !verdict.repeated {
            self.add_answer(Answer::to(verdict));
        }
    }

    fn pop_done(&mut self, now: u64) -> Option<u64> {
        let first = self.frames.front()?;
        let patient = now < first.received_ms + EARLY_AFTER_MS;
        if first.unjudged > 0 || (first.loading > 0 && patient) {
            return None;
        }
        self.first += 1;
        self.frames.pop_front().map(|frame| frame.number)
    }
}

/// What a client made offline goes through once: its room would be kept for as long as the connection lasts.
fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > KEPT {
        *queue = VecDeque::new();
    }
}

impl Session {
    /// A `sync` came in.
    pub(super) fn on_sync(&mut self, sync: Sync, at: Moment) {
        let serial = self.intake.first + self.intake.frames.len() as u64;
        let frame = Frame { number: sync.number, received_ms: at.now, unjudged: 0, loading: 0 };
        self.intake.frames.push_back(frame);
        let channels = self.following.now();
        for pair in sync.batch {
            match pair.action.kind() {
                builtin::SUBSCRIBE => self.on_subscribe(pair, serial, at),
                builtin::UNSUBSCRIBE => self.on_unsubscribe(&pair, at),
                _ => {
                    let (time, channels) = (pair.meta.time, channels.clone());
                    let own_log = self.delivery.had(time);
                    let known = Known { own_log, time, channels, own: Arc::default() };
                    let overtakes = self.delivery.is_to_have_states()
                        && self.shared.rules.changes_documents(pair.action.kind());
                    self.intake.queue(Waiting { frame: serial, pair, known, overtakes });
                }
            }
        }
    }

    /// Submits what waits, unless something is being judged.
    pub(super) fn submit(&mut self) {
        if !self.intake.submitted.is_empty() || self.intake.queue.is_empty() {
            return;
        }
        let count = self.intake.queue.len().min(SUBMITTED_MAX);
        let mut batch = Vec::with_capacity(count);
        let own = Arc::new(self.delivery.own());
        for Waiting { frame, pair, known, overtakes } in self.intake.queue.drain(..count) {
            self.intake.queue_bytes -= pair.action.json().len();
            self.intake.submitted.push((frame, overtakes));
            batch.push(Submission { pair, known: Known { own: Arc::clone(&own), ..known } });
        }
        give_back(&mut self.intake.queue);
        self.effects.push(Effect::Ingest(batch));
    }

    pub(super) fn take_verdicts(&mut self, verdicts: Vec<Verdict>) {
        let submitted = std::mem::take(&mut self.intake.submitted);
        for ((serial, overtakes), verdict) in submitted.into_iter().zip(verdicts) {
            if let Some(frame) = self.intake.frame_mut(serial) {
                frame.unjudged = frame.unjudged.saturating_sub(1);
            }
            self.intake.judged += 1;
            if let Some(position) = verdict.position {
                self.delivery.on_own(position);
                self.delivery.on_held(position);
                if overtakes {
                    self.delivery.own_states.is_overtaken(position);
                }
            }
            self.intake.answer_verdict(verdict);
        }
    }

    /// Answers, then acknowledges what is answered, in the order of the frames.
    pub(super) fn settle(&mut self, at: Moment) {
        if self.waits_for_history(at.now) {
            return;
        }
        self.send_answers(at);
        while self.room > 0
            && !self.intake.has_answers()
            && let Some(number) = self.intake.pop_done(at.now)
        {
            let frame = self.conn.synced(number, at.now);
            self.put(frame);
            self.delivery.start_history();
            // Stock clients name their subscriptions when all that they made offline is acknowledged.
            self.forget_at = self.forget_at.map(|_| at.now + FORGET_AFTER_MS);
        }
    }

    /// Sends what answers there are, in as many frames as it takes, as long as there is room.
    pub(super) fn send_answers(&mut self, at: Moment) {
        while self.room > 0 && self.intake.has_answers() {
            let mut frame = Vec::new();
            let mut bytes = 0;
            while frame.len() < self.shared.limits.chunk_actions.max(1)
                && bytes < ANSWER_FRAME_BYTES
                && let Some(answer) = self.intake.take_answer()
            {
                bytes += answer.0.json().len();
                frame.push(answer);
            }
            self.send_frame(&frame, at.now);
        }
    }

    /// Before its first answers a session reads the first page of history, once the first frame is
    /// judged: what that frame brought again is then known to be on the page.
    fn waits_for_history(&mut self, now: u64) -> bool {
        let late = self.intake.early_at().is_some_and(|at| at <= now);
        if !self.intake.has_answers() || late {
            return false;
        }
        let judged = self.intake.frames.front().is_none_or(|frame| frame.unjudged == 0);
        if judged { self.delivery.hold_answers() } else { self.delivery.is_waiting() }
    }

    /// Whether the action comes from this client and says nothing of where it goes.
    pub(super) fn is_own(&self, pair: &Pair) -> bool {
        !pair.extra_keys && pair.meta.id.node.client_str() == self.subject.client().as_str()
    }

    /// Undoes what no entry stands for.
    pub(super) fn reject(&mut self, pair: &Pair, reason: UndoReason, at: Moment) {
        let answer = self.unplaced_answer(at);
        let given = Given { undone: Some(reason.clone()), answer };
        let id = pair.meta.id.clone();
        self.shared.verdicts.remember(self.subject.client(), id, given);
        self.effects.push(Effect::Undone(reason.word()));
        let undo = || Answer::undone(pair, reason, answer);
        self.intake.answer(&pair.meta.id, undo);
    }

    /// Repeats a verdict that this client got on another connection; here it is not said twice.
    pub(super) fn repeat(&mut self, pair: &Pair, given: Given) {
        let id = &pair.meta.id;
        self.intake.answer(id, || match given.undone {
            Some(reason) => Answer::undone(pair, reason, given.answer),
            None => Answer::Processed(id.clone(), given.answer),
        });
    }

    pub(super) fn unplaced_answer(&self, at: Moment) -> AnswerId {
        AnswerId::unplaced(self.shared.incarnation, at.head, at.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_many_is_given_back_when_nothing_is_left_in_it() {
        let mut queue: VecDeque<u64> = (0..1000).collect();
        queue.drain(..999);
        give_back(&mut queue);
        assert_eq!(queue, [999]);
        queue.clear();
        give_back(&mut queue);
        assert!(queue.capacity() <= KEPT);
        queue.push_back(1);
        queue.clear();
        let few = queue.capacity();
        give_back(&mut queue);
        assert_eq!(queue.capacity(), few, "a few are no reason to ask for memory again");
    }
}
