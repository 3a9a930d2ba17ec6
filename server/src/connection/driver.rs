//! The loop of a signed-in connection: events to the session, effects to the rest of the server.

use super::{End, earlier};
use crate::app::App;
use crate::aside::{aside, blocking};
use crate::catch_up::{self, Reading};
use crate::clock;
use crate::hub::{Inbox, Parcel};
use crate::ingest::Verdict;
use crate::log::{LogName, ReadError, Stopped};
use crate::metrics::Share;
use crate::session::{Effect, Moment, NodeState, ReadOrder, Session};
use crate::sync_map::Fates;
use crate::ws::{Incoming, Socket};
use std::collections::HashSet;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::{Frame, NodeId, WireError};
use tokio::time::{Instant, Sleep};

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A session, and what it waits for.
pub(super) struct Driver<'a> {
    app: &'a App,
    session: Box<Session>,
    inbox: Arc<Inbox>,
    node: NodeId,
    connected_ms: u64,
    ingest: Option<Task<Result<Vec<Verdict>, Stopped>>>,
    reading: Option<Task<Result<Reading, ReadError>>>,
    followed: HashSet<LogName>,
    /// The server stops: what came in is finished, and nothing more is read.
    draining: bool,
    large_frame_since: Option<u64>,
    catching_up: Share,
    outgoing: Share,
}

/// What happened next.
enum Event {
    Socket(Incoming),
    Mail,
    Replaced,
    Judged(Result<Vec<Verdict>, Stopped>),
    Read(Result<Reading, ReadError>),
    Time,
    Stopping,
}

impl<'a> Driver<'a> {
    pub(super) fn new(app: &'a App, session: Box<Session>, inbox: Arc<Inbox>) -> Self {
        Self {
            app,
            node: session.subject().node().clone(),
            session,
            inbox,
            connected_ms: clock::now_ms(),
            ingest: None,
            reading: None,
            followed: HashSet::new(),
            draining: false,
            large_frame_since: None,
            catching_up: app.metrics.catching_up(),
            outgoing: app.metrics.outgoing(),
        }
    }

    /// What is to be remembered, and the logs that were followed.
    pub(super) fn end(self) -> (NodeState, HashSet<LogName>) {
        (self.session.end(), self.followed)
    }

    /// Runs until the connection ends.
    pub(super) async fn run(
        &mut self,
        socket: &mut Socket,
        queued: Vec<Frame>,
        expires_ms: Option<u64>,
    ) -> End {
        self.session.set_room(socket.room());
        for frame in queued {
            if let Err(end) = self.on_frame(socket, &frame) {
                return end;
            }
        }
        self.act(socket);
        let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
        // What is waited for all the while: to begin anew each time takes a lock that all share.
        let (app, inbox) = (self.app, self.inbox.clone());
        let (mut stopping, mut ended) = (pin!(app.stopping()), pin!(inbox.ended()));
        let mut mail = pin!(inbox.mail());
        let mut now = clock::now_ms();
        loop {
            self.measure(socket);
            self.set_alarm(sleep.as_mut(), expires_ms, now);
            let read = !self.draining && self.session.wants_frames();
            let wants_room = self.session.wants_room();
            let event = tokio::select! {
                biased;
                () = stopping.as_mut(), if !self.draining => Event::Stopping,
                judged = finish(&mut self.ingest) => Event::Judged(judged),
                read = finish(&mut self.reading) => Event::Read(read),
                () = ended.as_mut() => Event::Replaced,
                () = mail.as_mut(), if self.session.wants_mail() => {
                    mail.set(inbox.mail());
                    Event::Mail
                }
                incoming = socket.next(read, wants_room) => Event::Socket(incoming),
                () = sleep.as_mut() => Event::Time,
            };
            now = clock::now_ms();
            if expires_ms.is_some_and(|expires| expires <= now) {
                return End::Silent;
            }
            if let Err(end) = self.on_event(event, socket, now) {
                return end;
            }
            self.act(socket);
            if self.session.is_answered() {
                socket.release();
                // Loads do not hold up a stop: they start again elsewhere.
                if self.draining {
                    return End::Silent;
                }
            }
        }
    }

    fn on_event(&mut self, event: Event, socket: &mut Socket, now: u64) -> Result<(), End> {
        let at = self.moment(now);
        self.session.set_room(socket.room());
        match event {
            Event::Socket(Incoming::Room) => self.session.on_room(at),
            Event::Socket(Incoming::Frame(frame)) => self.on_frame(socket, &frame)?,
            Event::Socket(Incoming::TooLong(limit)) => {
                return Err(self.refuse(socket, WireError::WrongFormat(limit)));
            }
            Event::Socket(Incoming::Malformed(breach)) => return Err(End::Malformed(breach)),
            Event::Mail => self.take_mail(at),
            Event::Judged(Ok(verdicts)) => {
                // The client's own entries are in the inbox by now, so that the answers can carry
                // a number that covers them.
                if self.session.wants_mail() {
                    self.take_mail(at);
                }
                self.session.on_verdicts(verdicts, at);
            }
            // When the log takes nothing more, what is unanswered comes again, here or elsewhere.
            Event::Socket(Incoming::Closed) | Event::Replaced | Event::Judged(Err(Stopped)) => {
                return Err(End::Silent);
            }
            Event::Read(Ok(Reading::Page(page, fates))) => {
                // What no log has takes its place among the entries of the page.
                if !self.session.is_live() {
                    self.take_mail(at);
                }
                self.session.on_page(&page, &fates, at);
            }
            Event::Read(Ok(Reading::Own(part))) => {
                self.take_mail(at);
                self.session.on_own(part, at);
            }
            Event::Read(Ok(Reading::Loaded(loaded))) => self.session.on_loaded(loaded, at),
            Event::Read(Err(error)) => {
                tracing::error!(%error, node = %self.node, "cannot read the log");
                return Err(End::Silent);
            }
            Event::Time => {}
            Event::Stopping => self.draining = true,
        }
        // Not only on the alarm: a socket that always has something to read would silence it.
        if self.session.deadline() <= now {
            self.session.on_tick(at).map_err(|_| End::Silent)?;
        }
        self.watch_large_frame(socket, now)
    }

    fn take_mail(&mut self, at: Moment) {
        let Parcel { mut entries, mut overflowed, dropped } = self.inbox.take();
        let told = entries.iter().map(|mail| &mail.entry);
        let fates = catch_up::fates_cached(self.app, told).unwrap_or_else(|| {
            // It takes the disk: the session reads them from the log, where that is done.
            let last = entries.iter().filter(|mail| !mail.live).map(|mail| mail.entry.position);
            if let Some(last) = last.max() {
                self.inbox.leave_to_log(last);
            }
            entries.retain(|mail| mail.live);
            overflowed = true;
            Fates::default()
        });
        let no_room = self.session.on_mail(entries, overflowed, &fates, at);
        self.app.metrics.live_dropped(dropped + no_room);
    }

    /// Memory is reserved for a large frame while it comes in, so it may not take for ever.
    fn watch_large_frame(&mut self, socket: &Socket, now: u64) -> Result<(), End> {
        if !socket.in_large_frame() {
            self.large_frame_since = None;
            return Ok(());
        }
        let since = *self.large_frame_since.get_or_insert(now);
        let patience = self.app.peer.timers.answer_ms;
        if now >= since.saturating_add(patience) { Err(End::Silent) } else { Ok(()) }
    }

    fn on_frame(&mut self, socket: &mut Socket, frame: &Frame) -> Result<(), End> {
        let at = self.moment(clock::now_ms());
        let read = aside(frame.len(), || self.session.on_frame(frame, at));
        read.map_err(|error| self.refuse(socket, error))
    }

    fn refuse(&mut self, socket: &mut Socket, error: WireError) -> End {
        socket.send(self.session.error(&error, clock::now_ms()));
        End::Error(error)
    }

    fn moment(&self, now: u64) -> Moment {
        Moment { now, head: self.app.log.head() }
    }

    /// Does what the session asks for, until it asks for nothing more.
    fn act(&mut self, socket: &mut Socket) {
        loop {
            let effects = self.session.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.do_effect(effect, socket);
            }
        }
    }

    fn do_effect(&mut self, effect: Effect, socket: &mut Socket) {
        match effect {
            Effect::Send(frame) => socket.send(frame),
            Effect::Ingest(submissions) => {
                let (ingest, subject) = (self.app.ingest.clone(), self.session.subject().clone());
                let (app, connected_ms, now) =
                    (self.app.clone(), self.connected_ms, clock::now_ms());
                self.ingest = Some(Box::pin(async move {
                    let submissions =
                        earlier::add(&app, subject.node(), connected_ms, submissions).await;
                    ingest.take(&subject, submissions, now).await
                }));
            }
            Effect::Read(order) => self.read(order),
            Effect::Follow(log) => {
                self.app.hub.follow(log.clone(), &self.inbox);
                self.followed.insert(log);
            }
            Effect::Unfollow(log) => {
                self.app.hub.unfollow(&log, &self.inbox);
                self.followed.remove(&log);
            }
            Effect::Resume(through) => {
                let resumed = self.inbox.resume(through);
                let at = self.moment(clock::now_ms());
                self.session.on_resumed(&resumed, at);
            }
            Effect::Undone(reason) => self.app.metrics.undone(reason),
            Effect::Remember(state) => self.app.save_node(&self.node, &state, clock::now_ms()),
        }
    }

    /// Reads a little from memory at once, everything else on a thread that may wait.
    fn read(&mut self, order: ReadOrder) {
        if let Some(done) = catch_up::at_once(self.app, &order) {
            self.reading = Some(Box::pin(std::future::ready(Ok(done))));
            return;
        }
        let app = self.app.clone();
        self.reading = Some(match order {
            ReadOrder::Items { channel, map, single: false, wanted } => Box::pin(async move {
                let (log, name, begins) = (app.log.clone(), channel.clone(), wanted.begins());
                let fold = move || catch_up::fold(&log, &name, &map);
                let snapshot = app.maps.snapshots.shared(&channel, begins, fold).await?;
                Ok(Reading::Loaded(snapshot.part(&wanted, app.page)))
            }),
            order => Box::pin(blocking(move || catch_up::patiently(&app, &order))),
        });
    }

    fn measure(&mut self, socket: &Socket) {
        self.catching_up.set(i64::from(!self.session.is_live()));
        self.outgoing.set(i64::try_from(socket.outgoing_bytes()).unwrap_or(i64::MAX));
    }

    fn set_alarm(&self, sleep: Pin<&mut Sleep>, expires_ms: Option<u64>, now: u64) {
        let large = self
            .large_frame_since
            .map(|since| since.saturating_add(self.app.peer.timers.answer_ms));
        let deadlines = [expires_ms, large].into_iter().flatten();
        let due = deadlines.fold(self.session.deadline(), u64::min);
        // A far deadline, so that adding it to now cannot overflow.
        let wait = Duration::from_millis(due.saturating_sub(now).min(86_400_000));
        sleep.reset(Instant::now() + wait);
    }
}

/// Waits for the task in `slot`, if there is one, and empties the slot.
async fn finish<T>(slot: &mut Option<Task<T>>) -> T {
    match slot {
        Some(task) => {
            let done = task.await;
            *slot = None;
            done
        }
        None => std::future::pending().await,
    }
}
