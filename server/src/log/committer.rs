//! The committer: the one thread that writes the feed.
//!
//! It takes everything that waits, drops duplicates, gives positions, writes rows, makes them
//! durable, publishes, and answers. While one sync runs the next batch gathers, so no timer is
//! needed. After a failed write or sync nothing is known about what is on disk: it stops for good.

mod commit;

use super::clean;
use super::entry::{Draft, Entry, Outcome};
use super::error::Failure;
use super::marks::{Mark, Marks};
use super::prefix::Key;
use super::queue::{Append, Batch, BatchLimit, CleanRequest};
use super::record::Clean;
use super::shared::Shared;
use super::tail::Tail;
use commit::Commit;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tidelog_crdt::{Dot, Position};
use tidelog_protocol::ActionId;
use tokio::sync::oneshot;

/// Rows that are rewritten after a commit, so that others do not wait long.
const REWRITES_PER_COMMIT: usize = 4;
/// Bodies that may wait to be taken out of their rows; beyond that commits wait for it.
const BODIES_TO_TAKE_MAX: usize = 256;

/// What the committer is told when it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) batch: BatchLimit,
    /// A tail of this size is handed over to be written as runs.
    pub(super) tail_bytes: usize,
    pub(super) marks_max: usize,
    /// The time of the last commit, in ms since the epoch.
    pub(super) accepted_ms: u64,
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    terms: Terms,
    marks: Marks,
    /// The greatest so far, so that commit times never fall.
    accepted_ms: u64,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, terms: Terms) -> Self {
        let marks = Marks::new(terms.marks_max);
        Self { shared, terms, marks, accepted_ms: terms.accepted_ms }
    }

    /// Serves the queue until it is closed.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => shared.fail(failure),
            Err(_) => shared.fail(Failure("the committer panicked".into())),
        }
    }

    fn serve(&mut self) -> Result<(), Failure> {
        loop {
            let idle = !self.shared.state().bodies_to_take.is_empty();
            match self.shared.queue.take(self.terms.batch, idle) {
                Batch::Appends(appends) => self.appends(appends)?,
                Batch::Cleans(requests) => self.cleans(requests)?,
                Batch::Idle => self.shared.feed.sync()?,
                Batch::Close(answer) => return self.close(answer),
                Batch::Closed => return Ok(()),
            }
            clean::rewrite(&self.shared, REWRITES_PER_COMMIT)?;
            while self.shared.state().bodies_to_take.len() > BODIES_TO_TAKE_MAX {
                clean::rewrite(&self.shared, REWRITES_PER_COMMIT)?;
            }
            if self.shared.state().active.bytes() >= self.terms.tail_bytes {
                self.freeze()?;
            }
        }
    }

    fn appends(&mut self, appends: Vec<Append>) -> Result<(), Failure> {
        let mut commit = Commit::new(self.shared.head().plus(1));
        let mut answers = Vec::with_capacity(appends.len());
        for Append { drafts, now_ms, answer, room } in appends {
            self.accepted_ms = self.accepted_ms.max(now_ms);
            let outcomes: Result<Vec<_>, _> =
                drafts.into_iter().map(|draft| self.place(draft, &mut commit)).collect();
            answers.push((outcomes?, answer, room));
        }
        self.write(commit)?;
        self.marks.settle();
        for (outcomes, answer, room) in answers {
            // Whoever asked may have gone; what was appended stays.
            let _ = answer.send(outcomes);
            drop(room);
        }
        Ok(())
    }

    /// Makes `commit` durable, then visible, then heard.
    fn write(&self, commit: Commit) -> Result<(), Failure> {
        let (staged, entries) = commit.finish();
        if !staged.rows.is_empty() {
            staged.rows.iter().try_for_each(|row| self.shared.feed.put(row))?;
            self.shared.feed.sync()?;
            self.shared.publish(staged);
        }
        if let Some(on_commit) = self.shared.on_commit.get()
            && !entries.is_empty()
        {
            on_commit(&entries);
        }
        Ok(())
    }

    /// Decides what becomes of one draft, and adds it to `commit` if it is new.
    fn place(&mut self, draft: Draft, commit: &mut Commit) -> Result<Outcome, Failure> {
        if !draft.kept {
            let head = Position::new(commit.next().get() - 1).unwrap_or_default();
            let entry = Arc::new(self.entry(draft, head));
            commit.pass(Arc::clone(&entry));
            return Ok(Outcome::Passed(entry));
        }
        let id = self.shared.hash.id(&draft.id);
        let mark = self.mark(id)?;
        if mark.covers(id)
            && let Some(known) = self.known(id, &draft.id, commit)?
        {
            return Ok(Outcome::Known(known));
        }
        let entry = self.entry(draft, commit.next());
        let Some(entry) = commit.add(entry, id, &self.shared.hash) else {
            return Ok(Outcome::TooLarge);
        };
        if !mark.covers(id) {
            self.marks.set(id.prefix, Mark::Greatest(id));
        }
        Ok(Outcome::Accepted(entry))
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
            context: draft.context,
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

    /// The entry that has this id already, here or in `commit`.
    fn known(
        &self,
        key: Key,
        id: &ActionId,
        commit: &Commit,
    ) -> Result<Option<Arc<Entry>>, Failure> {
        if let Some(entry) = commit.fresh(&key) {
            return Ok(Some(Arc::clone(entry)));
        }
        let Some(position) = self.shared.find(key)? else {
            return Ok(None);
        };
        let entry = self.shared.entry(position)?;
        Ok(entry.filter(|entry| entry.id == *id).map(Arc::new))
    }

    fn cleans(&mut self, requests: Vec<CleanRequest>) -> Result<(), Failure> {
        let mut commit = Commit::new(self.shared.head().plus(1));
        let mut answers = Vec::with_capacity(requests.len());
        let (mut targets, mut seen) = (Vec::new(), HashSet::new());
        for request in requests {
            self.accepted_ms = self.accepted_ms.max(request.now_ms);
            let (cleaned, target) = clean::judge(&self.shared, &request)?;
            if let Some(target) = target.filter(|target| seen.insert(target.position)) {
                let accepted_ms = self.accepted_ms;
                commit.clean(&Clean { target: target.position, id: request.id, accepted_ms });
                targets.push(target);
            }
            answers.push((cleaned, request.answer, request.room));
        }
        self.write(commit)?;
        for target in targets {
            clean::hide(&self.shared, target);
        }
        for (cleaned, answer, room) in answers {
            // Whoever asked may have gone; what was cleaned stays cleaned.
            let _ = answer.send(cleaned);
            drop(room);
        }
        Ok(())
    }

    /// Hands the tail over to be written as runs.
    fn freeze(&self) -> Result<(), Failure> {
        // The checkpoint will pass the requests to clean, so the bodies must be gone for good.
        clean::rewrite(&self.shared, usize::MAX)?;
        self.shared.feed.sync()?;
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

    /// Writes everything that is derived, too.
    fn close(&self, answer: oneshot::Sender<()>) -> Result<(), Failure> {
        self.shared.queue.abandon();
        if !self.shared.state().active.is_empty() {
            self.freeze()?;
        }
        let stopped = |_| Failure("the last checkpoint was not written".into());
        self.shared.handover.wait().map_err(stopped)?;
        self.shared.nodes.write(self.shared.index.store())?;
        // Whoever closed may have stopped waiting.
        let _ = answer.send(());
        Ok(())
    }
}
