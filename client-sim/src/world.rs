//! What all devices of a run share: the plan, the clock, what was made and measured, and what was found.

use crate::access::Access;
use crate::clock::Clock;
use crate::measure::Stats;
use crate::oracle::bodies::Bodies;
use crate::oracle::ledger::{Ledger, UserNo};
use crate::oracle::{Found, Violation};
use crate::plan::Plan;
use crate::tape::Tape;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use tidelog_protocol::Token;
use tokio::sync::watch;

/// What is kept of violations; one is enough to fail, and a broken server makes millions.
const FOUND_MAX: usize = 50;

/// What all devices of a run share. Everything happens on one thread.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) ledger: RefCell<Ledger>,
    pub(crate) stats: RefCell<Stats>,
    pub(crate) found: RefCell<Vec<Found>>,
    /// Violations, those among them that were not kept.
    pub(crate) violations: Cell<u64>,
    /// When the scenario began, by the clock; devices wait for it.
    pub(crate) began: Cell<u64>,
    /// Actions that are still to be made.
    pub(crate) to_make: Cell<u64>,
    pub(crate) signal: watch::Sender<Signal>,
    bodies: Vec<Rc<Bodies>>,
    users: RefCell<HashMap<String, (UserNo, Token)>>,
}

/// What all devices are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) phase: Phase,
    /// Outages so far.
    pub(crate) outages: u32,
    /// Until when nobody can connect, in µs.
    pub(crate) back_at: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Who is online before the start comes online.
    #[default]
    Prepare,
    /// The scenario.
    Run,
    /// Nothing new is made; everything that was is to be acknowledged.
    Settle,
    /// Everything is acknowledged; who has everything leaves.
    Drain,
    /// Time is up.
    End,
}

impl World {
    pub(crate) fn new(plan: Plan, access: Access) -> anyhow::Result<Self> {
        let bodies = plan.spec.groups.iter().map(|group| Ok(Rc::new(Bodies::new(group)?)));
        let bodies = bodies.collect::<anyhow::Result<_>>()?;
        let stats = RefCell::new(Stats::new(plan.spec.groups.len()));
        let makes = |step: &&crate::plan::Step| step.what.makes();
        let to_make = plan.devices.iter().flat_map(|device| &device.steps).filter(makes).count();
        Ok(Self {
            plan,
            access,
            clock: Clock::start(),
            ledger: RefCell::default(),
            stats,
            found: RefCell::default(),
            violations: Cell::new(0),
            began: Cell::new(0),
            to_make: Cell::new(to_make as u64),
            signal: watch::Sender::new(Signal::default()),
            bodies,
            users: RefCell::default(),
        })
    }

    /// The bodies of a group's actions.
    pub(crate) fn bodies(&self, group: usize) -> anyhow::Result<Rc<Bodies>> {
        self.bodies.get(group).cloned().ok_or_else(|| anyhow::anyhow!("there is no group {group}"))
    }

    /// The `number`th user of a group: its name, its number in the ledger, and what signs it in.
    pub(crate) fn user(
        &self,
        group: usize,
        pace: bool,
        number: u32,
    ) -> anyhow::Result<(String, UserNo, Token)> {
        let groups = &self.plan.spec.groups;
        let before = groups.iter().take(group).map(|group| u64::from(group.users)).sum::<u64>();
        let all = groups.iter().map(|group| u64::from(group.users)).sum::<u64>();
        let name = groups.get(group).map_or("", |group| &group.name);
        let (name, token) = if self.access.users.is_empty() {
            let name = if pace { format!("{name}-pace") } else { name.to_owned() };
            self.access.user(&name, u64::from(number))?
        } else {
            let first = if pace { all } else { before };
            self.access.user(name, first + u64::from(number))?
        };
        let mut users = self.users.borrow_mut();
        let (user, token) = users
            .entry(name.clone())
            .or_insert_with(|| (self.ledger.borrow_mut().user(), token))
            .clone();
        Ok((name, user, token))
    }

    /// All users, with their numbers and tokens.
    pub(crate) fn users(&self) -> Vec<(String, UserNo, Token)> {
        let users = self.users.borrow();
        let mut all: Vec<_> = users
            .iter()
            .map(|(name, (user, token))| (name.clone(), *user, token.clone()))
            .collect();
        all.sort_by_key(|(_, user, _)| *user);
        all
    }

    /// A device found something that must not be.
    pub(crate) fn violated(&self, node: &str, violation: Violation, tape: Option<&Tape>) {
        self.violations.set(self.violations.get() + 1);
        let mut found = self.found.borrow_mut();
        if found.len() < FOUND_MAX {
            let transcript = tape.map(ToString::to_string).unwrap_or_default();
            found.push(Found { node: node.to_owned(), violation, transcript });
        }
    }

    /// Tells all devices how far the run is.
    pub(crate) fn enter(&self, phase: Phase) {
        self.signal.send_modify(|signal| signal.phase = phase);
    }

    pub(crate) fn phase(&self) -> Phase {
        self.signal.borrow().phase
    }
}
