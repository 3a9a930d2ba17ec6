//! What waits for the committer: bounded in bytes, and whoever appends waits for room.

use super::entry::{Outcome, Step};
use super::error::Stopped;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// What a step costs beside its JSON, and an append beside its steps.
const STEP_BYTES: usize = 512;

/// Steps that go into one commit, in order.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) steps: Vec<Step>,
    pub(super) now_ms: u64,
    pub(super) answer: oneshot::Sender<Vec<Outcome>>,
    /// Room in the queue, given back when the append is answered.
    pub(super) room: OwnedSemaphorePermit,
}

/// A note under its name; none forgets what is kept there.
pub(super) type Noted = (String, Option<Vec<u8>>);

/// Requests for notes that one sync makes durable.
const NOTES_AT_ONCE: usize = 256;

/// Notes to keep, or to forget.
#[derive(Debug)]
pub(super) struct NoteRequest {
    pub(super) notes: Vec<Noted>,
    pub(super) answer: oneshot::Sender<()>,
}

/// Work that is done on the committer's thread, while nothing is being committed and memory has no
/// tail.
pub(super) struct Alone(Box<dyn FnOnce() + Send>);

impl Alone {
    pub(super) fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(work))
    }

    pub(super) fn run(self) {
        (self.0)();
    }
}

impl fmt::Debug for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alone")
    }
}

/// What the committer is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    Append(Append),
    Note(NoteRequest),
    Alone(Alone),
    /// Write everything that is derived, and end.
    Close(oneshot::Sender<()>),
}

/// What the committer takes at once.
#[derive(Debug)]
pub(super) enum Batch {
    Appends(Vec<Append>),
    Notes(Vec<NoteRequest>),
    Alone(Alone),
    Close(oneshot::Sender<()>),
    /// Nothing waits, and the committer has work of its own.
    Idle,
    /// Nothing waits, and nothing will come.
    Closed,
}

/// How much a batch may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimit {
    pub(super) actions: usize,
    pub(super) bytes: usize,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
    room: Arc<Semaphore>,
    bytes_max: u32,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    /// Actions among them, and requests of other kinds.
    actions: usize,
    others: usize,
    closed: bool,
    /// The committer sleeps until so many actions wait, or anything else does.
    awaited: Option<usize>,
}

impl Queue {
    /// A queue with room for `bytes_max`.
    pub(super) fn new(bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        let room = Arc::new(Semaphore::new(bytes_max as usize));
        Self { waiting: Mutex::default(), ready: Condvar::new(), room, bytes_max }
    }

    /// Waits for room and for its turn. What is larger than the whole queue goes alone.
    pub(super) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Stopped> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| Stopped)
    }

    /// Bytes that wait or are being committed.
    pub(super) fn bytes(&self) -> usize {
        (self.bytes_max as usize).saturating_sub(self.room.available_permits())
    }

    /// Adds a request that has its room.
    pub(super) fn push(&self, request: Request) -> Result<(), Stopped> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Stopped);
        }
        waiting.push(request);
        // To wake somebody costs a system call, so nobody is woken who would go on sleeping.
        if waiting.awaited.is_some_and(|awaited| waiting.has(awaited)) {
            waiting.awaited = None;
            drop(waiting);
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Takes nothing more; what waits is still given out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.ready.notify_one();
    }

    /// Takes nothing more, and drops what waits.
    pub(super) fn abandon(&self) {
        self.close();
        let mut waiting = self.lock();
        waiting.requests.clear();
        (waiting.actions, waiting.others) = (0, 0);
    }

    /// How many actions wait.
    pub(super) fn actions(&self) -> usize {
        self.lock().actions
    }

    /// Waits for something; and then until `actions` wait, if that takes no longer than `patience`: a
    /// sync costs the same however many share it.
    pub(super) fn gather(&self, actions: usize, patience: Duration) {
        let mut waiting = self.lock();
        while !waiting.has(1) {
            waiting.awaited = Some(1);
            waiting = self.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if !waiting.has(actions) && !patience.is_zero() {
            waiting.awaited = Some(actions);
            let few = |waiting: &mut Waiting| !waiting.has(actions);
            let waited = self.ready.wait_timeout_while(waiting, patience, few);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.awaited = None;
    }

    /// The next batch: everything that waits, within the limit. Waits for something, unless `idle`
    /// says that there is something else to do.
    pub(super) fn take(&self, limit: BatchLimit, idle: bool) -> Batch {
        let mut waiting = self.lock();
        loop {
            match waiting.pop() {
                Some(Request::Append(first)) => {
                    return Batch::Appends(waiting.take_appends(first, limit));
                }
                Some(Request::Note(first)) => return Batch::Notes(waiting.take_notes(first)),
                Some(Request::Alone(work)) => return Batch::Alone(work),
                Some(Request::Close(answer)) => return Batch::Close(answer),
                None if waiting.closed => return Batch::Closed,
                None if idle => return Batch::Idle,
                None => {
                    waiting.awaited = Some(1);
                    waiting = self.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether so many actions wait, or anything that is not to wait for more of them.
    fn has(&self, actions: usize) -> bool {
        self.actions >= actions || self.others > 0 || self.closed
    }

    fn push(&mut self, request: Request) {
        match &request {
            Request::Append(append) => self.actions += append.steps.len(),
            Request::Note(_) | Request::Alone(_) | Request::Close(_) => self.others += 1,
        }
        self.requests.push_back(request);
    }

    fn pop(&mut self) -> Option<Request> {
        let request = self.requests.pop_front()?;
        match &request {
            Request::Append(append) => self.actions -= append.steps.len(),
            Request::Note(_) | Request::Alone(_) | Request::Close(_) => self.others -= 1,
        }
        Some(request)
    }

    /// At least the first, so that an append above the limit is a batch of its own.
    fn take_appends(&mut self, first: Append, limit: BatchLimit) -> Vec<Append> {
        let (mut actions, mut bytes) = (first.steps.len(), first.room.num_permits());
        let mut taken = vec![first];
        while let Some(Request::Append(next)) = self.requests.front() {
            actions += next.steps.len();
            bytes += next.room.num_permits();
            if actions > limit.actions || bytes > limit.bytes {
                break;
            }
            if let Some(Request::Append(next)) = self.pop() {
                taken.push(next);
            }
        }
        taken
    }
}

impl Waiting {
    fn take_notes(&mut self, first: NoteRequest) -> Vec<NoteRequest> {
        let mut taken = vec![first];
        while taken.len() < NOTES_AT_ONCE
            && matches!(self.requests.front(), Some(Request::Note(_)))
            && let Some(Request::Note(next)) = self.pop()
        {
            taken.push(next);
        }
        taken
    }
}

/// What `steps` cost in the queue.
pub(super) fn cost(steps: &[Step]) -> usize {
    let bytes = steps.iter().map(|step| match step {
        Step::Append(draft) => STEP_BYTES + draft.action.json().len(),
        Step::Adopt(foreign) => STEP_BYTES + foreign.draft.action.json().len(),
        Step::Reject(rejected) => STEP_BYTES + rejected.foreign.draft.action.json().len(),
        Step::Clean(..) => STEP_BYTES,
    });
    STEP_BYTES + bytes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const EVER: Duration = Duration::from_secs(600);

    /// An append of so many steps.
    fn append(queue: &Queue, steps: usize) -> Request {
        let step = || {
            let id = "1 10:a:b 0".parse().unwrap();
            Step::Clean(tidelog_protocol::UserId::new("10").unwrap(), id)
        };
        let room = Arc::clone(&queue.room).try_acquire_many_owned(1).unwrap();
        let steps = (0..steps).map(|_| step()).collect();
        Request::Append(Append { steps, now_ms: 0, answer: oneshot::channel().0, room })
    }

    fn note() -> Request {
        Request::Note(NoteRequest { notes: Vec::new(), answer: oneshot::channel().0 })
    }

    /// What waits when gathering `actions` is over; `come` comes while it lasts, or before.
    fn gathered(actions: usize, come: impl FnOnce(&Queue)) -> usize {
        let queue = Queue::new(1 << 20);
        queue.push(append(&queue, 1)).unwrap();
        thread::scope(|scope| {
            let gathering = scope.spawn(|| queue.gather(actions, EVER));
            come(&queue);
            gathering.join().unwrap();
        });
        queue.actions()
    }

    #[test]
    fn a_batch_is_gathered_until_it_is_as_large_as_was_asked_for() {
        assert_eq!(gathered(1, |_| ()), 1);
        let push = |queue: &Queue, steps| queue.push(append(queue, steps)).unwrap();
        assert_eq!(gathered(3, |queue| [1, 1].into_iter().for_each(|steps| push(queue, steps))), 3);
        assert_eq!(gathered(3, |queue| push(queue, 5)), 6);
    }

    #[test]
    fn what_is_no_action_and_the_end_do_not_wait_for_more_actions() {
        assert_eq!(gathered(3, |queue| queue.push(note()).unwrap()), 1);
        assert_eq!(gathered(3, Queue::close), 1);
        let queue = Queue::new(1 << 20);
        queue.push(append(&queue, 1)).unwrap();
        queue.gather(3, Duration::from_millis(1));
        assert_eq!(queue.actions(), 1, "nobody waits for ever");
    }

    #[test]
    fn what_was_taken_does_not_count() {
        let queue = Queue::new(1 << 20);
        let limit = BatchLimit { actions: 2, bytes: 1 << 20 };
        for request in [append(&queue, 1), append(&queue, 1), append(&queue, 1), note()] {
            queue.push(request).unwrap();
        }
        assert!(matches!(queue.take(limit, false), Batch::Appends(taken) if taken.len() == 2));
        assert_eq!(queue.actions(), 1);
        assert!(matches!(queue.take(limit, false), Batch::Appends(taken) if taken.len() == 1));
        assert!(matches!(queue.take(limit, false), Batch::Notes(taken) if taken.len() == 1));
        assert!(matches!(queue.take(limit, true), Batch::Idle));
        queue.push(append(&queue, 1)).unwrap();
        queue.abandon();
        assert_eq!(queue.actions(), 0);
        assert!(matches!(queue.take(limit, false), Batch::Closed));
    }
}
