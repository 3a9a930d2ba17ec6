//! One simulated device: what its plan says, whether it is online, and when it has everything.
//!
//! How it speaks is in `socketed` and `polling`; what it takes in is in `hearing`.

use super::Client;
use super::backoff::Backoff;
use crate::http::Http;
use crate::measure::{Episode, GroupStats};
use crate::oracle::bodies::REFUSED_FIELD;
use crate::oracle::ledger::{Author, AuthorNo, Ledger};
use crate::oracle::reader::{Reader, is_shown};
use crate::plan::{Chance, DevicePlan, Group, Protocol, What, micros};
use crate::tape::{Side, Tape};
use crate::world::{Phase, Signal, World};
use anyhow::Context;
use std::rc::Rc;
use std::time::Duration;
use tidelog_protocol::http::Cursor;
use tidelog_protocol::{NodeId, Token};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Connections that were left without an end, so that the server has to find out.
const GRAVES_MAX: usize = 2;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);
/// Where nothing is due, a device looks after itself this often.
const LOOK_AFTER: Duration = Duration::from_secs(30);

/// A device of a run.
pub(crate) struct Device {
    pub(super) world: Rc<World>,
    /// Its number among those of the scenario, or of the pace.
    pub(super) number: usize,
    pub(super) group: usize,
    pub(super) pace: bool,
    pub(super) node: NodeId,
    token: Token,
    pub(super) own: AuthorNo,
    pub(super) reader: Reader,
    pub(super) protocol: Protocol,
    pub(super) chance: Chance,
    /// The next step of its plan.
    next: usize,
    moves: u64,
    pub(super) client: Option<Box<Client>>,
    pub(super) http: Option<Box<Http>>,
    pub(super) cursor: Option<Cursor>,
    /// Up to where it has everything, as the server numbers it.
    pub(super) synced: u64,
    /// The last number on this connection.
    pub(super) connection_number: u64,
    pub(super) connections: u64,
    /// Up to which of its own actions it has sent on this connection.
    pub(super) sent: usize,
    /// What the subscription is called, until it is answered.
    pub(super) subscribing: Option<String>,
    pub(super) backoff: Backoff,
    pub(super) retry_at: u64,
    wants: bool,
    wanted_first: u64,
    pub(super) state: State,
    outages: u32,
    pub(super) episode: Option<Waiting>,
    /// It is counted among those that are ready for the start.
    ready: bool,
    /// Since when it has everything that there is.
    pub(super) current_since: u64,
    pub(super) tape: Option<Box<Tape>>,
    graves: Vec<Client>,
}

/// Whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Away,
    Waiting,
    Online,
}

/// A device that does not have everything yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    wanted: u64,
    let_in: u64,
    /// What it has to have of others.
    owed: u64,
    /// What has to be acknowledged.
    made: usize,
    /// What it had of both before.
    had: u64,
}

/// A device that is done.
pub(crate) struct Ended {
    pub(crate) node: NodeId,
    pub(crate) reader: Reader,
    pub(crate) tape: Option<Box<Tape>>,
    pub(crate) pace: bool,
}

impl Device {
    /// The device of this number, with what it made offline.
    pub(crate) fn new(world: &Rc<World>, number: usize, pace: bool) -> anyhow::Result<Self> {
        let plan = if pace { &world.plan.pace } else { &world.plan.devices };
        let plan = plan.get(number).context("there is no such device")?;
        let group = world.plan.group(plan).context("there is no such group")?;
        let (name, user, token) = world.user(plan.group, pace, plan.user)?;
        // What comes over HTTP has no tab.
        let tab = if plan.protocol == Protocol::Http { "" } else { ":tab" };
        let node = NodeId::new(&format!("{name}:{}d{}{tab}", world.access.run, plan.device))?;
        let away_ms = away_ms(group);
        let channel = group.send_to.clone();
        let author = (world.clock.zero_ms() - away_ms, world.bodies(plan.group)?);
        let own = world.ledger.borrow_mut().author(node.clone(), user, channel, author);
        let follows = group.follow.clone();
        let reader = Reader::new(user, own, follows, !world.access.is_one());
        let mut device = Self {
            world: Rc::clone(world),
            number,
            group: plan.group,
            pace,
            node,
            token,
            own,
            reader,
            protocol: plan.protocol,
            chance: Chance::new(world.plan.spec.seed ^ 0x5eed, plan.stream),
            next: 0,
            moves: 0,
            client: None,
            http: None,
            cursor: None,
            synced: 0,
            connection_number: 0,
            connections: 0,
            sent: 0,
            subscribing: None,
            backoff: Backoff::default(),
            retry_at: 0,
            wants: false,
            wanted_first: 0,
            state: State::Away,
            outages: 0,
            episode: None,
            ready: false,
            current_since: u64::MAX,
            tape: Some(Box::default()),
            graves: Vec::new(),
        };
        device.make_backlog(plan, group, away_ms);
        Ok(device)
    }

    /// What it made while it was offline, evenly over that time.
    fn make_backlog(&mut self, plan: &DevicePlan, group: &Group, away_ms: u64) {
        for n in 0..u64::from(group.own) {
            let micros = away_ms * 1000 * n / u64::from(group.own).max(1);
            // Devices of a user take turns at the fields, each a bit further.
            let field = (n * 7 + u64::from(plan.device)) % u64::from(group.fields.max(1));
            self.note_own(micros, u8::try_from(field).unwrap_or_default());
        }
    }

    /// Lives until it has everything in the end, or time is up.
    pub(crate) async fn live(mut self) -> Ended {
        let mut signal = self.world.signal.subscribe();
        loop {
            let told = *signal.borrow_and_update();
            self.notice(told);
            self.act();
            if self.is_over(told.phase) {
                return self.end().await;
            }
            if self.protocol == Protocol::Http {
                self.poll(&mut signal).await;
            } else {
                self.speak(&mut signal).await;
            }
        }
    }

    /// Does what is due.
    fn act(&mut self) {
        while let Some((at, what)) = self.step() {
            if at > self.world.clock.micros() {
                return;
            }
            self.next += 1;
            match what {
                What::Online => self.want(at),
                What::Edit(field) => self.make(at, field),
                What::Refused => self.make(at, REFUSED_FIELD),
                What::Cut => self.lose("the network broke"),
                What::Move => {
                    self.moves += 1;
                    self.lose("moved");
                    self.retry_at = at;
                }
                What::Silent(ms) => self.fall_silent(at + u64::from(ms) * 1000),
            }
        }
    }

    /// The next step, and when it is due.
    fn step(&self) -> Option<(u64, What)> {
        let plan = &self.world.plan;
        let devices = if self.pace { &plan.pace } else { &plan.devices };
        let step = devices.get(self.number)?.steps.get(self.next)?;
        let early = self.pace || self.spec().is_some_and(|group| group.before);
        if early && step.what == What::Online {
            return Some((0, step.what));
        }
        let began = self.world.began.get();
        (began > 0 && !self.pace).then(|| (began + step.at, step.what))
    }

    /// When a step is due that ends a connection.
    pub(super) fn breaks_at(&self) -> Option<u64> {
        let began = self.world.began.get();
        let steps = &self.world.plan.devices.get(self.number)?.steps;
        let step = steps.get(self.next..)?.iter().find(|step| step.what.breaks())?;
        (began > 0 && !self.pace).then(|| began + step.at)
    }

    fn want(&mut self, at: u64) {
        self.wants = true;
        // Who is early wants to be online now.
        let at = if at == 0 { self.world.clock.micros() } else { at };
        self.wanted_first = at;
        self.retry_at = at;
        self.await_everything(at);
        self.enter(State::Waiting);
    }

    fn make(&mut self, at: u64, field: u8) {
        let born = self.world.ledger.borrow().of(self.own).map_or(0, Author::born_ms);
        let away = (self.world.clock.zero_ms() - born) * 1000;
        self.note_own(away + at, field);
        self.world.to_make.set(self.world.to_make.get().saturating_sub(1));
        if self.protocol == Protocol::Http && self.state == State::Online {
            self.retry_at = at;
        }
    }

    fn note_own(&mut self, micros: u64, field: u8) {
        let mut ledger = self.world.ledger.borrow_mut();
        let at = ledger.make(self.own, micros, field);
        if ledger.of(self.own).is_some_and(|own| is_shown(own, at)) {
            self.reader.apply(&ledger, self.own, at);
        }
    }

    /// Takes note of an outage.
    fn notice(&mut self, told: Signal) {
        if self.outages != told.outages {
            self.outages = told.outages;
            self.lose("the network broke");
        }
    }

    /// The connection is gone, and the device knows it.
    pub(super) fn lose(&mut self, why: &str) {
        if let Some(client) = self.client.take() {
            self.bury(*client, why);
        }
        if self.http.take().is_some() {
            self.remark(why);
        }
        if !self.wants {
            return;
        }
        let now = self.world.clock.micros();
        if self.state == State::Online {
            self.await_everything(now);
            self.enter(State::Waiting);
        }
        self.try_later(None);
    }

    fn bury(&mut self, mut client: Client, why: &str) {
        self.tape = client.take_tape();
        self.remark(why);
    }

    /// Nothing comes through any more, and nobody says so: the server keeps a connection that leads nowhere.
    fn fall_silent(&mut self, until: u64) {
        if let Some(mut client) = self.client.take() {
            self.tape = client.take_tape();
            self.remark("the line is silent");
            self.graves.push(*client);
            if self.graves.len() > GRAVES_MAX {
                self.graves.remove(0);
            }
        }
        self.lose("the line is silent");
        self.retry_at = until;
    }

    fn remark(&mut self, text: &str) {
        if let Some(tape) = &mut self.tape {
            tape.remark(Side::In, text, crate::now_ms());
        }
    }

    /// An attempt failed; `told` is the seconds that the server said.
    pub(super) fn failed(&mut self, why: &str, told: Option<u64>) {
        self.world.stats.borrow_mut().error(self.group, why);
        self.remark(why);
        self.try_later(told);
    }

    fn try_later(&mut self, told: Option<u64>) {
        let behaviour = self.spec().map(|group| group.behaviour).unwrap_or_default();
        let wait = self.backoff.next(behaviour, told, &mut self.chance);
        self.retry_at = self.world.clock.micros() + u64::try_from(wait.as_micros()).unwrap_or(0);
    }

    /// From now on it waits until it has everything that there is now.
    fn await_everything(&mut self, wanted: u64) {
        let ledger = self.world.ledger.borrow();
        let (owed, made) = (self.reader.owed(&ledger), self.made(&ledger).0);
        let had = self.reader.received() + self.made(&ledger).1 as u64;
        drop(ledger);
        self.current_since = u64::MAX;
        if let Some(waiting) = &mut self.episode {
            (waiting.owed, waiting.made) = (owed, made);
            return;
        }
        self.episode = Some(Waiting { wanted, let_in: 0, owed, made, had });
        self.world.stats.borrow_mut().behind += 1;
    }

    /// The actions that it made, and those of them that are acknowledged.
    fn made(&self, ledger: &Ledger) -> (usize, usize) {
        ledger.of(self.own).map_or((0, 0), |own| (own.made(), own.acknowledged()))
    }

    /// It is signed in.
    pub(super) fn let_in(&mut self) {
        self.connections += 1;
        self.backoff.opened();
        let now = self.world.clock.micros();
        if let Some(waiting) = &mut self.episode {
            waiting.let_in = now;
        }
        self.count(|stats| stats.connections += 1);
        self.enter(State::Online);
    }

    /// Whether it has everything now that it waits for; that is noted.
    pub(super) fn look_whether_current(&mut self) {
        let Some(waiting) = self.episode.filter(|_| self.state == State::Online) else { return };
        let (made, had) = {
            let ledger = self.world.ledger.borrow();
            (self.made(&ledger), self.reader.received())
        };
        let everything = had >= waiting.owed || !self.world.access.is_one();
        if self.subscribing.is_some() || !everything || made.1 < waiting.made {
            return;
        }
        let now = self.world.clock.micros();
        self.episode = None;
        self.current_since = now;
        let running = self.world.phase() >= Phase::Run && !self.pace;
        let mut stats = self.world.stats.borrow_mut();
        stats.behind = stats.behind.saturating_sub(1);
        stats.ready +=
            u64::from(!running && !self.pace && !std::mem::replace(&mut self.ready, true));
        let Some(group) = stats.group(self.group).filter(|_| running) else { return };
        let work = (had + made.1 as u64).saturating_sub(waiting.had);
        group.caught_up.record_micros(now.saturating_sub(waiting.wanted));
        let (wanted, let_in) = (waiting.wanted, waiting.let_in);
        group.episodes.push(Episode { wanted, let_in, caught_up: now, work });
    }

    fn is_over(&self, phase: Phase) -> bool {
        if self.pace {
            return self.state == State::Online && self.episode.is_none() || phase == Phase::End;
        }
        match phase {
            Phase::Prepare | Phase::Run | Phase::Settle => false,
            Phase::Drain => {
                let ledger = self.world.ledger.borrow();
                let (made, acknowledged) = self.made(&ledger);
                let one = self.world.access.is_one();
                made == acknowledged
                    && (!one || self.reader.received() >= self.reader.owed(&ledger))
            }
            Phase::End => true,
        }
    }

    async fn end(mut self) -> Ended {
        if let Some(mut client) = self.client.take() {
            self.tape = client.take_tape();
            // Whoever does not listen is left.
            drop(tokio::time::timeout(GOODBYE, client.close()).await);
        }
        self.enter(State::Away);
        let Self { node, reader, tape, pace, .. } = self;
        Ended { node, reader, tape, pace }
    }

    pub(super) fn enter(&mut self, next: State) {
        let mut stats = self.world.stats.borrow_mut();
        match self.state {
            State::Away => {}
            State::Waiting => stats.waiting -= 1,
            State::Online => stats.online -= 1,
        }
        match next {
            State::Away => {}
            State::Waiting => stats.waiting += 1,
            State::Online => stats.online += 1,
        }
        self.state = next;
    }

    /// Counts something for its group; what measures the pace is not counted.
    pub(super) fn count(&self, how: impl FnOnce(&mut GroupStats)) {
        if !self.pace {
            self.world.stats.borrow_mut().group(self.group).map(how);
        }
    }

    pub(super) fn spec(&self) -> Option<&Group> {
        self.world.plan.spec.groups.get(self.group)
    }

    pub(super) fn target(&self) -> super::Target {
        let (number, token) = (self.number as u64, self.token.clone());
        self.world.access.target(number, self.moves, self.protocol, token)
    }

    pub(super) fn wanted_first(&self) -> u64 {
        self.wanted_first
    }

    pub(super) fn wants(&self) -> bool {
        self.wants
    }

    /// Waits until something is due, or something is said to everybody.
    pub(super) async fn rest(&self, signal: &mut watch::Receiver<Signal>) {
        let retry = self.wants.then_some(self.retry_at);
        let due = self.step().map(|(at, _)| at).into_iter().chain(retry).min();
        let until = due.map_or_else(|| Instant::now() + LOOK_AFTER, |at| self.world.clock.at(at));
        tokio::select! {
            () = sleep_until(until) => {}
            _ = signal.changed() => {}
        }
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.step().map(|(at, _)| self.world.clock.at(at))
    }

    /// Ends when nothing can come through any more.
    pub(super) async fn broken(&self, signal: &mut watch::Receiver<Signal>) {
        let until = self.breaks_at().map_or_else(
            || Instant::now() + Duration::from_secs(3600),
            |at| self.world.clock.at(at),
        );
        let outages = self.outages;
        let told = signal.wait_for(|told| told.outages != outages || told.phase == Phase::End);
        tokio::select! {
            () = sleep_until(until) => {}
            _ = told => {}
        }
    }
}

/// How long the devices of a group were offline, in ms; each action has a ms of its own.
fn away_ms(group: &Group) -> u64 {
    if group.own == 0 {
        return 0;
    }
    (micros(group.days * 86_400.0) / 1000).max(u64::from(group.own) + 1)
}
