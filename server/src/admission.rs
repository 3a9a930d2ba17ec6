//! The door: who is let in now, who waits, and who is to come again later.
//!
//! A few thousand clients that were offline come back in the same minute. A stock client cannot be told
//! to come later, but it waits for `connected`; so it waits here, cheaply, and comes in when the disk
//! has time for it. A request is told when to come again. How many are inside at once follows what is
//! measured: how long appends take, and how late tasks run.
//!
//! The order (`line`), the pace (`pace`) and the slots of those who are sent away (`slots`) are state
//! machines; here are the lock around them and those who wait.

mod fairness;
mod lately;
mod line;
mod pace;
mod rate;
mod sampler;
mod slots;
#[cfg(test)]
mod tests;

pub(crate) use lately::Lately;
pub(crate) use line::{Class, Name, Who};
pub(crate) use pace::Measured;
pub(crate) use sampler::{Sources, keep_pace};
pub(crate) use slots::{Slots, in_seconds};

use crate::clock;
use crate::config;
use crate::metrics::{Door, Stage};
use fairness::Fairness;
use line::{Line, Ticket};
use pace::{Bounds, Pace, Targets};
use rate::Rate;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// The door. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Inner>);

struct Inner {
    terms: Terms,
    state: Mutex<State>,
    /// WebSockets that are open and not signed in.
    unsigned: AtomicUsize,
    /// WebSockets that were let in.
    sessions: AtomicUsize,
    told: Door,
}

/// What is set.
struct Terms {
    unsigned: usize,
    waiting: usize,
    sessions: usize,
    targets: Targets,
    patience: Duration,
    hold_ms: u64,
    place_ms: u64,
    request: Duration,
    retry_after_ms: u64,
}

struct State {
    line: Line,
    /// Who waits hears by this that it is let in.
    asked: HashMap<Ticket, oneshot::Sender<Permit>>,
    light: Flow,
    heavy: Flow,
    slots: Slots,
    fairness: Fairness,
    /// Nobody is let in: what was is too much, or the server stops.
    closed: bool,
    stopping: bool,
}

/// The pace of one class.
struct Flow {
    pace: Pace,
    rate: Rate,
    /// Let in since the last tick.
    granted: u64,
}

/// Leave to be inside, and to have the server work. It ends when this is dropped.
pub(crate) struct Permit {
    inner: Arc<Inner>,
    class: Class,
    /// When the client came first, waits that it gave up included.
    pub(crate) since_ms: u64,
    /// When it was let in.
    pub(crate) granted_ms: u64,
    /// Until when it lasts though the client is slow.
    pub(crate) until_ms: u64,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// As many wait as may.
    Full,
    /// Its turn has not come in time.
    Late,
    /// The same client waits in another connection now.
    Replaced,
}

/// A request is to come again after so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Away(pub(crate) u64);

/// A WebSocket counts as one of its kind while this lives.
pub(crate) struct Counted(Arc<Inner>, fn(&Inner) -> &AtomicUsize);

impl Admission {
    /// A door as `settings` have it, that tells `told` what it does.
    pub(crate) fn new(settings: &config::Admission, told: Door) -> Self {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let terms = Terms {
            unsigned: settings.unsigned,
            waiting: settings.waiting,
            sessions: settings.sessions,
            targets: Targets {
                commit: ms(settings.commit_target),
                lag: ms(settings.lag_target),
                debt: ms(settings.debt_target),
            },
            patience: settings.patience,
            hold_ms: ms(settings.hold),
            place_ms: ms(settings.place),
            request: settings.request,
            retry_after_ms: ms(settings.retry_after),
        };
        let flow = |floor, ceiling| Flow {
            pace: Pace::new(Bounds { floor, ceiling }),
            rate: Rate::default(),
            granted: 0,
        };
        let mut state = State {
            line: Line::new(settings.waiting),
            asked: HashMap::new(),
            light: flow(settings.light_floor, settings.light),
            heavy: flow(settings.heavy_floor, settings.heavy),
            slots: Slots::default(),
            fairness: Fairness::default(),
            closed: false,
            stopping: false,
        };
        state.set_permits();
        let (unsigned, sessions) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(Inner { terms, state: Mutex::new(state), unsigned, sessions, told }))
    }

    /// What is counted here.
    pub(crate) fn told(&self) -> &Door {
        &self.0.told
    }

    /// A request for a WebSocket has come. It counts until who sent it has signed in; or is to come
    /// again later.
    pub(crate) fn knock(&self) -> Result<Counted, Away> {
        if self.is_full() {
            self.0.told.shed(Stage::Upgrade);
            return Err(self.away(Class::Heavy).1);
        }
        Ok(self.counted(|inner| &inner.unsigned))
    }

    /// Whether a newcomer is turned away: as many sockets are open, at one stage or in all, as may be.
    pub(crate) fn is_full(&self) -> bool {
        let Inner { terms, unsigned, sessions, .. } = &*self.0;
        let (unsigned, sessions) = (unsigned.load(Relaxed), sessions.load(Relaxed));
        let waiting = self.waiting();
        unsigned >= terms.unsigned
            || waiting >= terms.waiting
            || unsigned.saturating_add(waiting).saturating_add(sessions) >= terms.sessions
    }

    /// A WebSocket that was let in counts among the sessions while this lives.
    pub(crate) fn session(&self) -> Counted {
        self.counted(|inner| &inner.sessions)
    }

    fn counted(&self, which: fn(&Inner) -> &AtomicUsize) -> Counted {
        which(&self.0).fetch_add(1, Relaxed);
        Counted(Arc::clone(&self.0), which)
    }

    /// Waits for the turn of a client with a WebSocket. Who gives up keeps its place for a while.
    pub(crate) async fn enter(&self, who: Who, class: Class) -> Result<Permit, Turned> {
        if let Some(permit) = self.at_once(&who, class) {
            return Ok(permit);
        }
        let mut waiting = self.arrive(who, class)?;
        waiting.turn(self.0.terms.patience).await
    }

    /// Waits for the turn of a request, and not for long; who is sent away keeps its place until it is
    /// to come again, and a while longer.
    pub(crate) async fn request(&self, who: Who, class: Class) -> Result<Permit, Away> {
        if let Some(permit) = self.at_once(&who, class) {
            return Ok(permit);
        }
        let Ok(mut waiting) = self.arrive(who, class) else {
            self.0.told.shed(Stage::Request);
            return Err(self.away(class).1);
        };
        if let Ok(permit) = waiting.turn(self.0.terms.request).await {
            return Ok(permit);
        }
        self.0.told.shed(Stage::Request);
        let (wait_ms, away) = self.away(class);
        waiting.keep_ms = waiting.keep_ms.saturating_add(wait_ms);
        Err(away)
    }

    /// Lets somebody in while nobody waits, which is nearly always.
    fn at_once(&self, who: &Who, class: Class) -> Option<Permit> {
        let now = clock::now_ms();
        let since_ms = {
            let mut state = self.0.state();
            if state.closed || state.stopping {
                return None;
            }
            let since_ms = state.line.pass(who, class, now)?;
            state.flow_mut(class).granted += 1;
            since_ms
        };
        self.0.told.admitted(class);
        Some(self.0.permit(class, since_ms, now))
    }

    fn arrive(&self, who: Who, class: Class) -> Result<Waiting, Turned> {
        let (answer, asked) = oneshot::channel();
        let now = clock::now_ms();
        let (ticket, granted) = {
            let mut state = self.0.state();
            let Ok(arrived) = state.line.arrive(who, class, now) else { return Err(Turned::Full) };
            if let Some(replaced) = arrived.replaced {
                state.asked.remove(&replaced);
            }
            state.asked.insert(arrived.ticket, answer);
            (arrived.ticket, self.0.grant(&mut state, now))
        };
        hand_out(granted);
        let keep_ms = self.0.terms.place_ms;
        Ok(Waiting { inner: Arc::clone(&self.0), ticket, asked, keep_ms })
    }

    /// When whoever is sent away now is to come again: in ms, and as it is told.
    fn away(&self, class: Class) -> (u64, Away) {
        // Without chance slots are as even, and only their seconds are not.
        let chance = getrandom::u32().unwrap_or_default().to_le_bytes();
        let [a, b, c, d] = chance;
        let mut state = self.0.state();
        let (ahead, per_second) = (state.line.len(class), state.per_second(class));
        let most_ms = self.0.terms.retry_after_ms;
        let chance = u16::from_le_bytes([a, b]);
        let wait_ms = state.slots.give(clock::now_ms(), (ahead, per_second), most_ms, chance);
        (wait_ms, Away(in_seconds(wait_ms, u16::from_le_bytes([c, d]))))
    }

    /// The server stops: nobody is let in any more.
    pub(crate) fn stop(&self) {
        self.0.state().stopping = true;
    }

    /// A client that was let in is caught up, after it was served so many entries.
    pub(crate) fn caught_up(&self, permit: &Arrival, entries: u64) {
        let now = clock::now_ms();
        let seconds = |since: u64| Duration::from_millis(now.saturating_sub(since)).as_secs_f64();
        self.0.told.caught_up(permit.class, seconds(permit.since_ms));
        if entries > 0 {
            self.0.state().fairness.add(entries, seconds(permit.granted_ms));
        }
    }

    /// Follows what was measured.
    pub(crate) fn tick(&self, measured: &Measured, now: u64) {
        let granted = {
            let mut state = self.0.state();
            state.closed = self.0.terms.targets.are_far_away(measured);
            state.tick(measured, &self.0.terms.targets, now);
            self.0.grant(&mut state, now)
        };
        hand_out(granted);
    }

    /// Those who wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.state().waiting()
    }

    /// WebSockets in all, wherever they are on their way.
    pub(crate) fn sockets(&self) -> usize {
        self.waiting() + self.0.unsigned.load(Relaxed) + self.0.sessions.load(Relaxed)
    }

    /// What there is to see.
    pub(crate) fn look(&self) -> Look {
        let state = self.0.state();
        let of = |class| {
            let (waiting, inside) = (state.line.len(class), state.line.inside(class));
            let permits = state.flow(class).pace.permits();
            ClassLook { class, waiting, inside, permits, per_second: state.per_second(class) }
        };
        Look {
            classes: Class::ALL.map(of),
            unsigned: self.0.unsigned.load(Relaxed),
            fairness: state.fairness.index(),
        }
    }
}

/// What there is to see of the door.
pub(crate) struct Look {
    pub(crate) classes: [ClassLook; 2],
    /// WebSockets that are open and not signed in.
    pub(crate) unsigned: usize,
    /// Jain's index of those who caught up last.
    pub(crate) fairness: f64,
}

/// What there is to see of one class.
pub(crate) struct ClassLook {
    pub(crate) class: Class,
    pub(crate) waiting: usize,
    pub(crate) inside: usize,
    pub(crate) permits: usize,
    /// How many are let in in a second, when some wait.
    pub(crate) per_second: u64,
}

impl Look {
    /// How long a newcomer would wait, in seconds.
    pub(crate) fn wait_seconds(&self) -> u64 {
        let wait = |it: &ClassLook| (it.waiting as u64).div_ceil(it.per_second.max(1));
        self.classes.iter().map(wait).max().unwrap_or_default()
    }
}

/// When a client that is inside came, after its permit has ended, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    class: Class,
    since_ms: u64,
    granted_ms: u64,
}

impl Permit {
    /// When it came and was let in.
    pub(crate) fn arrival(&self) -> Arrival {
        Arrival { class: self.class, since_ms: self.since_ms, granted_ms: self.granted_ms }
    }
}

/// Somebody who waits. When it is dropped its place is kept for a while.
struct Waiting {
    inner: Arc<Inner>,
    ticket: Ticket,
    asked: oneshot::Receiver<Permit>,
    keep_ms: u64,
}

impl Waiting {
    async fn turn(&mut self, patience: Duration) -> Result<Permit, Turned> {
        match tokio::time::timeout(patience, &mut self.asked).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Turned::Replaced),
            // It may have been let in at the same moment.
            Err(_) => {
                self.asked.close();
                self.asked.try_recv().map_err(|_| Turned::Late)
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        state.asked.remove(&self.ticket);
        let until_ms = clock::now_ms().saturating_add(self.keep_ms);
        // Who was let in, or waits elsewhere, is not in the line any more.
        state.line.give_up(self.ticket, until_ms);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let granted = {
            let mut state = self.inner.state();
            state.line.leave(self.class);
            if state.waiting() == 0 {
                return;
            }
            self.inner.grant(&mut state, clock::now_ms())
        };
        hand_out(granted);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Relaxed);
    }
}

type HandOut = Vec<(oneshot::Sender<Permit>, Permit)>;

/// Who went away meanwhile drops the permit, which lets in the next; so this is never done under the
/// lock.
fn hand_out(granted: HandOut) {
    for (asked, permit) in granted {
        drop(asked.send(permit));
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(self: &Arc<Self>, class: Class, since_ms: u64, granted_ms: u64) -> Permit {
        let until_ms = granted_ms.saturating_add(self.terms.hold_ms);
        Permit { inner: Arc::clone(self), class, since_ms, granted_ms, until_ms }
    }

    /// Lets in as many as there are permits for.
    fn grant(self: &Arc<Self>, state: &mut State, now: u64) -> HandOut {
        let mut all = Vec::new();
        while !state.closed
            && !state.stopping
            && let Some(granted) = state.line.next()
        {
            let (class, since_ms) = (granted.class, granted.since_ms);
            state.flow_mut(class).granted += 1;
            self.told.admitted(class);
            if let Some(asked) = state.asked.remove(&granted.ticket) {
                all.push((asked, self.permit(class, since_ms, now)));
            } else {
                state.line.leave(class);
            }
        }
        all
    }
}

impl State {
    /// Those who wait.
    fn waiting(&self) -> usize {
        Class::ALL.into_iter().map(|class| self.line.len(class)).sum()
    }

    fn tick(&mut self, measured: &Measured, targets: &Targets, now: u64) {
        for class in Class::ALL {
            let (waiting, inside) = (self.line.len(class), self.line.inside(class));
            let flow = self.flow_mut(class);
            let wants_more = waiting > 0 || inside * 2 > flow.pace.permits();
            flow.pace.tick(measured, targets, wants_more, now);
            flow.rate.tick(std::mem::take(&mut flow.granted), waiting > 0, now);
        }
        self.set_permits();
    }

    fn set_permits(&mut self) {
        for class in Class::ALL {
            let permits = self.flow(class).pace.permits();
            self.line.set_permits(class, permits);
        }
    }

    /// How many of a class are let in in a second; before anybody was, a guess.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a measured rate is a small, positive number"
    )]
    fn per_second(&self, class: Class) -> u64 {
        let flow = self.flow(class);
        let guess = flow.pace.permits() as u64;
        flow.rate.per_second().map_or(guess, |rate| rate.round() as u64).max(1)
    }

    fn flow(&self, class: Class) -> &Flow {
        match class {
            Class::Light => &self.light,
            Class::Heavy => &self.heavy,
        }
    }

    fn flow_mut(&mut self, class: Class) -> &mut Flow {
        match class {
            Class::Light => &mut self.light,
            Class::Heavy => &mut self.heavy,
        }
    }
}
