//! What a device does when its plan says so: it wants to be online, edits, loses its connection, moves.

use super::{Client, Device, GRAVES_MAX, State};
use crate::oracle::bodies::REFUSED_FIELD;
use crate::oracle::ledger::Author;
use crate::oracle::reader::is_shown;
use crate::plan::{Protocol, What};
use crate::tape::Side;
use crate::world::Signal;

impl Device {
    /// Does what is due.
    pub(super) fn act(&mut self) {
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
    pub(super) fn step(&self) -> Option<(u64, What)> {
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
    pub(in crate::client) fn breaks_at(&self) -> Option<u64> {
        let began = self.world.began.get();
        let steps = &self.world.plan.devices.get(self.number)?.steps;
        let step = steps.get(self.next..)?.iter().find(|step| step.what.breaks())?;
        (began > 0 && !self.pace).then(|| began + step.at)
    }

    pub(super) fn want(&mut self, at: u64) {
        self.wants = true;
        // Who is early wants to be online now.
        let at = if at == 0 { self.world.clock.micros() } else { at };
        self.wanted_first = at;
        self.retry_at = at;
        self.await_everything(at);
        self.enter(State::Waiting);
    }

    pub(super) fn make(&mut self, at: u64, field: u8) {
        let born = self.world.ledger.borrow().of(self.own).map_or(0, Author::born_ms);
        let away = (self.world.clock.zero_ms() - born) * 1000;
        self.note_own(away + at, field);
        self.world.to_make.set(self.world.to_make.get().saturating_sub(1));
        if self.protocol == Protocol::Http && self.state == State::Online {
            self.retry_at = at;
        }
    }

    pub(super) fn note_own(&mut self, micros: u64, field: u8) {
        let mut ledger = self.world.ledger.borrow_mut();
        let at = ledger.make(self.own, micros, field);
        if ledger.of(self.own).is_some_and(|own| is_shown(own, at)) {
            self.reader.apply(&ledger, self.own, at);
        }
    }

    /// Takes note of an outage.
    pub(super) fn notice(&mut self, told: Signal) {
        if self.outages != told.outages {
            self.outages = told.outages;
            self.lose("the network broke");
        }
    }

    /// The connection is gone, and the device knows it.
    pub(in crate::client) fn lose(&mut self, why: &str) {
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

    pub(super) fn bury(&mut self, mut client: Client, why: &str) {
        self.tape = client.take_tape();
        self.remark(why);
    }

    /// Nothing comes through any more, and nobody says so: the server keeps a connection that leads nowhere.
    pub(super) fn fall_silent(&mut self, until: u64) {
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

    pub(super) fn remark(&mut self, text: &str) {
        if let Some(tape) = &mut self.tape {
            tape.remark(Side::In, text, crate::now_ms());
        }
    }

    /// An attempt failed; `told` is the seconds that the server said.
    pub(in crate::client) fn failed(&mut self, why: &str, told: Option<u64>) {
        self.world.stats.borrow_mut().error(self.group, why);
        self.remark(why);
        self.try_later(told);
    }

    pub(super) fn try_later(&mut self, told: Option<u64>) {
        let behaviour = self.spec().map(|group| group.behaviour).unwrap_or_default();
        let wait = self.backoff.next(behaviour, told, &mut self.chance);
        self.retry_at = self.world.clock.micros() + u64::try_from(wait.as_micros()).unwrap_or(0);
    }
}
