//! When a device has everything: from wanting to be online until all it made is acknowledged and all it missed is there.

use super::{Device, State, Waiting};
use crate::measure::Episode;
use crate::oracle::ledger::Ledger;
use crate::world::Phase;

impl Device {
    /// From now on it waits until it has everything that there is now.
    pub(super) fn await_everything(&mut self, wanted: u64) {
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
    pub(super) fn made(&self, ledger: &Ledger) -> (usize, usize) {
        ledger.of(self.own).map_or((0, 0), |own| (own.made(), own.acknowledged()))
    }

    /// It is signed in.
    pub(in crate::client) fn let_in(&mut self) {
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
    pub(in crate::client) fn look_whether_current(&mut self) {
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
}
