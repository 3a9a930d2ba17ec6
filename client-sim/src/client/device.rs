//! One simulated device: what its plan says, whether it is online, and when it has everything.
//!
//! What its plan has it do is in `acting`, when it has everything in `waiting`; how it speaks is in `socketed` and `polling`, what it
//! takes in is in `hearing`.

mod acting;
mod waiting;

use super::Client;
use super::backoff::Backoff;
use crate::http::Http;
use crate::measure::GroupStats;
use crate::oracle::ledger::AuthorNo;
use crate::oracle::reader::Reader;
use crate::plan::{Behaviour, Chance, DevicePlan, Group, Protocol, micros};
use crate::tape::Tape;
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
    /// Up to where it has everything, as the servers number it.
    numbers: Vec<u64>,
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
        let reader = Reader::new(user, own, follows, world.access.leeway());
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
            numbers: Vec::new(),
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

    /// Up to where it has everything, as it says when it connects.
    pub(super) fn synced(&self) -> u64 {
        self.numbers.get(self.numbering()).copied().unwrap_or(0)
    }

    /// It has everything up to `number` of the server that it is connected with.
    pub(super) fn set_synced(&mut self, number: u64) {
        let at = self.numbering();
        self.numbers.resize(self.numbers.len().max(at + 1), 0);
        if let Some(known) = self.numbers.get_mut(at) {
            *known = number.max(*known);
        }
    }

    /// Which of its numbers counts: stock devices have one for all servers.
    fn numbering(&self) -> usize {
        match self.spec().map(|group| group.behaviour).unwrap_or_default() {
            Behaviour::Stock => 0,
            Behaviour::Better => self.world.access.server(self.number as u64, self.moves),
        }
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
