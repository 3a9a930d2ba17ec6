//! The loop of a signed-in connection: events to the session, effects to the rest of the server.

mod watching;

use super::{End, earlier};
use crate::admission::{Arrival, Permit};
use crate::app::App;
use crate::aside::{aside, blocking};
use crate::catch_up::{self, Reading};
use crate::clock;
use crate::hub::{Inbox, Parcel};
use crate::ingest::Verdict;
use crate::log::{LogName, ReadError, Stopped};
use crate::metrics::Share;
use crate::outgoing::Chunk;
use crate::session::{Effect, Moment, NodeState, ReadOrder, Session};
use crate::sync_map::Fates;
use crate::ws::{Incoming, Socket};
use futures_util::FutureExt;
use std::collections::HashSet;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tidelog_protocol::{Frame, NodeId, WireError};

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What was read, and the memory for it if it was not there before.
type Read = (Option<Chunk>, Result<Reading, ReadError>);

/// A session, and what it waits for.
pub(super) struct Driver<'a> {
    app: &'a App,
    session: Box<Session>,
    inbox: Arc<Inbox>,
    node: NodeId,
    connected_ms: u64,
    ingest: Option<Task<Result<Vec<Verdict>, Stopped>>>,
    reading: Option<Task<Read>>,
    /// Memory for what was read, until the client has taken it.
    chunk: Option<Chunk>,
    /// Since when the client takes nothing of what it is sent, and how much it had then.
    stuck: Option<(u64, u64)>,
    followed: HashSet<LogName>,
    /// The server stops: what came in is finished, and nothing more is read.
    draining: bool,
    /// When it is the client's turn to leave a server that stops.
    leave_at: Option<u64>,
    /// Since when the large frame is under way, or its memory is waited for.
    large_frame_since: Option<(u64, bool)>,
    /// Its leave to have the server work, while it catches up.
    permit: Option<Permit>,
    /// When it came, until it has caught up for the first time.
    arrival: Option<Arrival>,
    /// Entries that it was sent, and verdicts, until then.
    served: u64,
    large_frame_due: Option<u64>,
    catching_up: Share,
    outgoing: Share,
}

/// What happened next.
enum Event {
    Socket(Incoming),
    Mail,
    Replaced,
    Judged(Result<Vec<Verdict>, Stopped>),
    Read(Read),
    Time,
    Stopping,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        app: &'a App,
        session: Box<Session>,
        inbox: Arc<Inbox>,
        permit: Permit,
    ) -> Self {
        Self {
            app,
            node: session.subject().node().clone(),
            session,
            inbox,
            connected_ms: clock::now_ms(),
            ingest: None,
            reading: None,
            chunk: None,
            stuck: None,
            followed: HashSet::new(),
            draining: false,
            leave_at: None,
            large_frame_since: None,
            large_frame_due: None,
            arrival: Some(permit.arrival()),
            permit: Some(permit),
            served: 0,
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
            self.settle(socket, now);
            self.measure(socket);
            self.set_alarm(sleep.as_mut(), expires_ms, now);
            let read = !self.draining && self.session.wants_frames();
            let may_send = self.may_send(socket);
            let wants_room =
                self.session.wants_room() || !may_send || self.waits_to_release(socket);
            let event = tokio::select! {
                biased;
                () = stopping.as_mut(), if self.leave_at.is_none() => Event::Stopping,
                judged = finish(&mut self.ingest) => Event::Judged(judged),
                read = finish(&mut self.reading) => Event::Read(read),
                () = ended.as_mut() => Event::Replaced,
                () = mail.as_mut(), if may_send && self.session.wants_mail() => {
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
            self.draining |= self.leave_at.is_some_and(|at| at <= now);
            if self.session.is_answered() {
                // Until the client takes its answers, they are in memory instead of its frame.
                if socket.has_taken_most() {
                    socket.release();
                }
                // Loads do not hold up a stop: they start again elsewhere.
                if self.draining {
                    return End::Silent;
                }
            }
        }
    }

    fn on_event(&mut self, event: Event, socket: &mut Socket, now: u64) -> Result<(), End> {
        let at = self.moment(now);
        self.session.set_room(if self.may_send(socket) { socket.room() } else { 0 });
        let event = match event {
            Event::Read((chunk, read)) => {
                self.chunk = chunk.or_else(|| self.chunk.take());
                Event::Read((None, read))
            }
            event => event,
        };
        match event {
            Event::Socket(Incoming::Room) => self.session.on_room(at),
            Event::Socket(Incoming::Frame(frame)) => self.on_frame(socket, &frame)?,
            Event::Socket(Incoming::TooLong(limit)) => {
                return Err(self.refuse(socket, WireError::WrongFormat(limit)));
            }
            Event::Socket(Incoming::Malformed(breach)) => return Err(End::Malformed(breach)),
            Event::Mail => self.take_mail(at),
            Event::Judged(Ok(verdicts)) => {
                self.served += verdicts.len() as u64;
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
            Event::Read((_, Ok(Reading::Page(page, fates)))) => {
                self.served += page.entries.len() as u64;
                // What no log has takes its place among the entries of the page.
                if !self.session.is_live() {
                    self.take_mail(at);
                }
                self.session.on_page(&page, &fates, at);
            }
            Event::Read((_, Ok(Reading::Own(part)))) => {
                self.take_mail(at);
                self.session.on_own(part, at);
            }
            Event::Read((_, Ok(Reading::Loaded(loaded)))) => self.session.on_loaded(loaded, at),
            Event::Read((_, Err(error))) => {
                tracing::error!(%error, node = %self.node, "cannot read the log");
                return Err(End::Silent);
            }
            Event::Time => {}
            Event::Stopping => {
                let turn = self.app.leaving.turn_ms(self.arrival.is_none());
                self.leave_at = Some(now.saturating_add(turn));
            }
        }
        // Not only on the alarm: a socket that always has something to read would silence it.
        if self.session.deadline() <= now {
            self.session.on_tick(at).map_err(|_| End::Silent)?;
        }
        self.watch_large_frame(socket, now)?;
        self.watch_outgoing(socket, now)
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
            Effect::Read(order) => self.read(order, socket),
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

    /// Reads a little from memory at once, everything else on a thread that may wait; once there is
    /// memory for what goes out.
    fn read(&mut self, order: ReadOrder, socket: &Socket) {
        let mut chunk = self.chunk.take();
        if chunk.is_none() {
            let (outgoing, owner) = (self.app.outgoing.clone(), socket.owner().clone());
            let mut asking = Box::pin(async move { outgoing.chunk(owner).await });
            chunk = asking.as_mut().now_or_never();
            if chunk.is_none() {
                let app = self.app.clone();
                self.reading = Some(Box::pin(async move {
                    let chunk = asking.await;
                    let read = match catch_up::at_once(&app, &order) {
                        Some(done) => Ok(done),
                        None => patiently(app, order).await,
                    };
                    (Some(chunk), read)
                }));
                return;
            }
        }
        if let Some(done) = catch_up::at_once(self.app, &order) {
            self.reading = Some(Box::pin(std::future::ready((chunk, Ok(done)))));
            return;
        }
        let app = self.app.clone();
        self.reading = Some(Box::pin(async move { (chunk, patiently(app, order).await) }));
    }
}

/// What a session asked for, on a thread that may wait for the disk.
async fn patiently(app: App, order: ReadOrder) -> Result<Reading, ReadError> {
    match order {
        ReadOrder::Items { channel, map, single: false, wanted } => {
            let (log, name, begins) = (app.log.clone(), channel.clone(), wanted.begins());
            let fold = move || catch_up::fold(&log, &name, &map);
            let snapshot = app.maps.snapshots.shared(&channel, begins, fold).await?;
            Ok(Reading::Loaded(snapshot.part(&wanted, app.page)))
        }
        order => blocking(move || catch_up::patiently(&app, &order)).await,
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
