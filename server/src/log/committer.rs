//! The committer: the one thread that writes the feed.
//!
//! It takes everything that waits, drops duplicates, gives positions, writes rows, and, when they
//! are durable, publishes and answers. While one sync runs the next batch gathers and is put
//! together, so no timer is needed. After a failed write or sync nothing is known about what is on
//! disk: it stops for good.

mod adopt;
mod commit;
mod own;
mod syncer;

use super::clean;
use super::entry::{Cleaned, Draft, Entry, Outcome, Step};
use super::error::Failure;
use super::marks::{Mark, Marks};
use super::prefix::{Key, Prefix};
use super::queue::{Append, Batch, BatchLimit, NoteRequest};
use super::recent::Recent;
use super::record::{Record, cleaned_action};
use super::row::Row;
use super::shared::Shared;
use super::tail::Tail;
use super::usage::bytes_of;
use commit::{Answer, Commit, Sealed};
use own::Own;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use syncer::Syncer;
use tidelog_crdt::{Dot, Position};
use tidelog_protocol::{Action, ActionId, UserId};
use tokio::sync::oneshot;

/// Rows that are rewritten after a commit, so that others do not wait long.
const REWRITES_PER_COMMIT: usize = 4;
/// Bodies that may wait to be taken out of their rows; beyond that commits wait for it.
const BODIES_TO_TAKE_MAX: usize = 256;
/// A commit waits no longer than this, nor than half a sync, for those who were just answered.
const GATHER_MAX: Duration = Duration::from_micros(500);
/// Ids of actions that were published and not stored, so that none is published twice. Who sends
/// them remembers more; this is for an action that comes again before its verdict is remembered.
const PASSED_MAX: usize = 1 << 16;

/// What the committer is told when it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) batch: BatchLimit,
    /// A tail of this size is handed over to be written as runs.
    pub(super) tail_bytes: usize,
    pub(super) marks_max: usize,
    pub(super) kept_bytes_max: Option<u64>,
    /// The time of the last commit, in ms since the epoch.
    pub(super) accepted_ms: u64,
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    terms: Terms,
    marks: Marks,
    passed: Recent<Key, ()>,
    /// What is kept of whom, with all that is staged; not kept up without a quota.
    kept: Recent<Prefix, u64>,
    /// The greatest so far, so that commit times never fall.
    accepted_ms: u64,
    /// The position that the next record gets.
    next: Position,
    /// The commit that is being synced.
    in_flight: Option<Sealed>,
    gathering: Gathering,
}

/// What the next commit waits for: those who were just answered are about to come again, and a sync costs
/// the same however many share it.
#[derive(Clone, Copy, Default)]
struct Gathering {
    /// As many actions as the last one had.
    actions: usize,
    patience: Duration,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, terms: Terms) -> Self {
        let next = shared.head().plus(1);
        let marks = Marks::new(terms.marks_max);
        let (passed, kept) = (Recent::new(PASSED_MAX), Recent::new(terms.marks_max));
        let accepted_ms = terms.accepted_ms;
        let gathering = Gathering::default();
        Self { shared, terms, marks, passed, kept, accepted_ms, next, in_flight: None, gathering }
    }

    /// Serves the queue until it is closed.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let serve = || {
            thread::scope(|scope| {
                let syncer = Syncer::start(scope, &shared)?;
                self.serve(&syncer)
            })
        };
        match catch_unwind(AssertUnwindSafe(serve)) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => shared.fail(failure),
            Err(_) => shared.fail(Failure("the committer panicked".into())),
        }
    }

    fn serve(&mut self, syncer: &Syncer) -> Result<(), Failure> {
        loop {
            let work = self.in_flight.is_some() || !self.shared.state().bodies_to_take.is_empty();
            if !work {
                self.shared.queue.gather(self.gathering.actions, self.gathering.patience);
            }
            let next = match self.shared.queue.take(self.terms.batch, work) {
                Batch::Appends(appends) => Some(self.stage(appends)?),
                Batch::Notes(requests) => {
                    self.keep(requests)?;
                    None
                }
                Batch::Alone(work) => {
                    self.land(syncer)?;
                    self.checkpoint()?;
                    work.run();
                    // It may have taken out what counted.
                    self.kept = Recent::new(self.terms.marks_max);
                    continue;
                }
                Batch::Idle => None,
                Batch::Close(answer) => {
                    self.land(syncer)?;
                    return self.close(answer);
                }
                Batch::Closed => return self.land(syncer),
            };
            self.land(syncer)?;
            self.tidy()?;
            if let Some(commit) = next {
                self.launch(commit, syncer)?;
            }
        }
    }

    /// Puts a commit together.
    fn stage(&mut self, appends: Vec<Append>) -> Result<Sealed, Failure> {
        let mut commit = Commit::new(self.next);
        self.passed.settle();
        for Append { steps, now_ms, answer, room } in appends {
            self.accepted_ms = self.accepted_ms.max(now_ms);
            let mut own = Own::default();
            let mut outcomes = Vec::with_capacity(steps.len());
            for step in steps {
                outcomes.push(match step {
                    Step::Append(draft) => {
                        own.place(draft, |draft| self.place(draft, &mut commit))?
                    }
                    Step::Adopt(foreign) => self.adopt(*foreign, &mut commit)?,
                    Step::Reject(rejected) => self.reject(*rejected, &mut commit)?,
                    Step::Clean(owner, id) => {
                        Outcome::Cleaned(self.clean(&owner, &id, &mut commit)?)
                    }
                });
            }
            commit.answer(Answer { outcomes, to: answer, room });
        }
        self.next = commit.next();
        Ok(commit.seal())
    }

    /// Takes the body of an action out, unless that is under way.
    fn clean(
        &mut self,
        owner: &UserId,
        id: &ActionId,
        commit: &mut Commit,
    ) -> Result<Cleaned, Failure> {
        let entry = self.known(self.shared.hash.id(id), id, commit)?;
        let (cleaned, target) = clean::judge(owner, id, entry.as_deref());
        if let Some(target) = target {
            self.take_out(target, cleaned_action(), commit)?;
        }
        Ok(cleaned)
    }

    /// Puts `instead` in the place of a body, unless that goes already.
    fn take_out(
        &mut self,
        target: &Entry,
        instead: Action,
        commit: &mut Commit,
    ) -> Result<(), Failure> {
        let in_flight = self.in_flight.as_ref();
        let under_way =
            in_flight.is_some_and(|sealed| sealed.targets.contains_key(&target.position));
        if !under_way
            && commit.clean(target.clone(), instead, self.accepted_ms)
            && let Some((author, _)) = self.quota_of(&target.id)
        {
            let kept = self.kept_of(author)?.saturating_sub(bytes_of(target));
            self.kept.set(author, kept);
        }
        Ok(())
    }

    /// Keeps or forgets notes, on disk when it is answered.
    fn keep(&self, requests: Vec<NoteRequest>) -> Result<(), Failure> {
        let (feed, mut answers) = (self.shared.feed(), Vec::with_capacity(requests.len()));
        for NoteRequest { notes, answer } in requests {
            notes.iter().try_for_each(|(name, note)| feed.put_note(name, note.as_deref()))?;
            answers.push(answer);
        }
        feed.sync()?;
        for answer in answers {
            // Whoever asked may have gone; what was done stays done.
            let _ = answer.send(());
        }
        Ok(())
    }

    /// Writes the rows of a commit and lets the sync begin.
    fn launch(&mut self, commit: Sealed, syncer: &Syncer) -> Result<(), Failure> {
        if commit.staged.rows.is_empty() {
            self.gathering = Gathering::default();
            return self.publish(commit);
        }
        let feed = self.shared.feed();
        self.put_loose(&commit)?;
        commit.staged.rows.iter().try_for_each(|row| feed.put(row))?;
        self.put_adopted(&commit)?;
        if self.shared.queue.actions() >= commit.steps {
            // There is enough for the next one to be put together meanwhile.
            syncer.begin()?;
            self.in_flight = Some(commit);
            return Ok(());
        }
        let took = syncer::sync(&self.shared)?;
        self.gathering = Gathering { actions: commit.steps, patience: (took / 2).min(GATHER_MAX) };
        self.settle(commit)?;
        self.tidy()
    }

    /// Waits for the commit that is being synced, and makes it visible.
    fn land(&mut self, syncer: &Syncer) -> Result<(), Failure> {
        if self.in_flight.is_some() {
            syncer.end()?;
        }
        if let Some(commit) = self.in_flight.take() {
            self.gathering = Gathering::default();
            self.settle(commit)?;
        }
        Ok(())
    }

    /// A commit that is on disk.
    fn settle(&mut self, commit: Sealed) -> Result<(), Failure> {
        self.publish(commit)?;
        self.marks.settle();
        self.kept.settle();
        Ok(())
    }

    /// Makes a durable commit visible, then heard, then answered.
    fn publish(&self, commit: Sealed) -> Result<(), Failure> {
        if let Some(head) = commit.staged.rows.last().map(Row::last) {
            self.shared.head_file.iter().try_for_each(|file| file.write(head))?;
            let bytes = commit.staged.rows.iter().map(|row| row.value().len()).sum();
            self.shared.meter.committed(commit.entries.len(), bytes, &commit.since);
            self.show_adopted(&commit.foreign, head);
            self.shared.publish(commit.staged);
        }
        for (target, instead) in commit.targets.into_values() {
            let bytes = bytes_of(&target);
            let addresses = target.addresses.clone();
            clean::hide(&self.shared, target, bytes, instead);
            if let Some(on_clean) = self.shared.on_clean.get() {
                on_clean(&addresses);
            }
        }
        if let Some(on_commit) = self.shared.on_commit.get()
            && !commit.entries.is_empty()
        {
            on_commit(&commit.entries);
        }
        commit.answers.into_iter().for_each(Answer::send);
        if let Some(on_answered) = self.shared.on_answered.get() {
            on_answered();
        }
        Ok(())
    }

    /// Decides what becomes of one draft, and adds it to `commit` if it is new.
    fn place(&mut self, draft: Draft, commit: &mut Commit) -> Result<Outcome, Failure> {
        let id = self.shared.hash.id(&draft.id);
        if !draft.kept {
            return Ok(self.pass(draft, id, commit));
        }
        let mark = self.mark(id)?;
        if mark.covers(id)
            && let Some(known) = self.known(id, &draft.id, commit)?
        {
            return Ok(Outcome::Known(known));
        }
        let entry = self.entry(draft, commit.next());
        let quota = self.quota_of(&entry.id);
        let mut kept = 0;
        if let Some((author, most)) = quota {
            kept = self.kept_of(author)?.saturating_add(bytes_of(&entry));
            if kept > most {
                return Ok(Outcome::OverQuota);
            }
        }
        let Some(entry) = commit.add(entry, id, &self.shared.hash) else {
            return Ok(Outcome::TooLarge);
        };
        if let Some((author, _)) = quota {
            self.kept.set(author, kept);
        }
        if !mark.covers(id) {
            self.marks.set(id.prefix, Mark::Greatest(id));
        }
        Ok(Outcome::Accepted(entry))
    }

    /// Who pays for the action named `id`, and how many bytes may be kept; none without a quota.
    fn quota_of(&self, id: &ActionId) -> Option<(Prefix, u64)> {
        let most = self.terms.kept_bytes_max?;
        Some((self.shared.hash.user(id.node.user_str()?), most))
    }

    /// How many bytes of `author`'s are kept, with all that is staged.
    fn kept_of(&mut self, author: Prefix) -> Result<u64, Failure> {
        if let Some(kept) = self.kept.get(author) {
            return Ok(kept);
        }
        let kept = self.shared.kept_bytes(author)?;
        self.kept.set(author, kept);
        Ok(kept)
    }

    /// Publishes a draft that is not stored, once.
    fn pass(&mut self, draft: Draft, id: Key, commit: &mut Commit) -> Outcome {
        if self.passed.get(id).is_some() {
            return Outcome::PassedBefore;
        }
        self.passed.set(id, ());
        let head = Position::new(commit.next().get() - 1).unwrap_or_default();
        let entry = Arc::new(self.entry(draft, head));
        commit.pass(Arc::clone(&entry));
        Outcome::Passed(entry)
    }

    fn entry(&self, draft: Draft, position: Position) -> Entry {
        Entry {
            position,
            id: draft.id,
            time: draft.time,
            accepted_ms: self.accepted_ms,
            subprotocol: draft.subprotocol,
            addresses: draft.addresses,
            dot: Dot { incarnation: self.shared.identity.incarnation, position },
            aliases: Vec::new(),
            causes: draft.context.into(),
            action: draft.action,
            kept: draft.kept,
            cleaned: false,
        }
    }

    /// What is known of the node of `id`.
    fn mark(&mut self, id: Key) -> Result<Mark, Failure> {
        if let Some(mark) = self.marks.get(id.prefix) {
            return Ok(mark);
        }
        let greatest = self.shared.greatest(id.prefix)?;
        let mark = greatest.map_or(Mark::Unseen, Mark::Greatest);
        self.marks.set(id.prefix, mark);
        Ok(mark)
    }

    /// The entry that has this id already: in `commit`, in the one before it, or on disk.
    fn known(
        &self,
        key: Key,
        id: &ActionId,
        commit: &Commit,
    ) -> Result<Option<Arc<Entry>>, Failure> {
        let in_flight = self.in_flight.as_ref().and_then(|sealed| sealed.fresh.get(&key));
        if let Some(entry) = commit.fresh(&key).or(in_flight) {
            return Ok(Some(Arc::clone(entry)));
        }
        let Some(position) = self.shared.find(key)? else { return Ok(None) };
        let entry = match self.shared.record(position)? {
            Some(Record::Entry(entry)) => Some(entry).filter(|entry| entry.id == *id),
            Some(Record::Erased(erased)) => Some(erased.entry(position, id.clone())),
            Some(Record::Clean(_) | Record::Alias(_)) | None => None,
        };
        Ok(entry.map(Arc::new))
    }

    /// What is done between commits: taking bodies out, and handing over a full tail.
    fn tidy(&self) -> Result<(), Failure> {
        let bodies = || self.shared.state().bodies_to_take.len();
        if bodies() > 0 {
            clean::rewrite(&self.shared, REWRITES_PER_COMMIT)?;
            while bodies() > BODIES_TO_TAKE_MAX {
                clean::rewrite(&self.shared, REWRITES_PER_COMMIT)?;
            }
            if bodies() == 0 {
                self.shared.feed().sync()?;
            }
        }
        if self.shared.state().active.bytes() >= self.terms.tail_bytes {
            self.freeze()?;
        }
        Ok(())
    }

    /// Hands the tail over to be written as runs.
    fn freeze(&self) -> Result<(), Failure> {
        // The checkpoint will pass the requests to clean, so the bodies must be gone for good.
        clean::rewrite(&self.shared, usize::MAX)?;
        self.shared.feed().sync()?;
        let stopped = |_| Failure("the checkpoint was not written".into());
        self.shared.handover.wait().map_err(stopped)?;
        let tail = {
            let mut state = self.shared.state_mut();
            let next = Tail::new(state.active.next());
            let tail = Arc::new(std::mem::replace(&mut state.active, next));
            state.frozen = Some(Arc::clone(&tail));
            tail
        };
        self.shared.handover.give(tail);
        Ok(())
    }

    /// Writes the whole tail as runs, and waits for it.
    fn checkpoint(&self) -> Result<(), Failure> {
        if !self.shared.state().active.is_empty() {
            self.freeze()?;
        }
        let stopped = |_| Failure("the last checkpoint was not written".into());
        self.shared.handover.wait().map_err(stopped)
    }

    /// Writes everything that is derived, too.
    fn close(&self, answer: oneshot::Sender<()>) -> Result<(), Failure> {
        self.shared.queue.abandon();
        self.checkpoint()?;
        self.shared.nodes.write(&self.shared.index)?;
        // Whoever closed may have stopped waiting.
        let _ = answer.send(());
        Ok(())
    }
}
