//! What a device takes in: actions, answers, acknowledgements, numbers.

use super::device::Device;
use super::{ClientError, Event};
use crate::oracle::Violation;
use crate::oracle::bodies::{EDIT, REFUSED, SHARE};
use crate::oracle::reader::Heard;
use crate::tape::Tape;
use serde::Deserialize;
use tidelog_protocol::{Action, ActionId, Meta, Sync, builtin};

/// The body of an answer.
#[derive(Deserialize)]
struct Answer {
    id: String,
    #[serde(default)]
    reason: String,
}

impl Device {
    /// Takes what came over the socket.
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Sync(sync) => self.on_sync(&sync),
            Event::Synced(sent) => {
                self.acknowledged(usize::try_from(sent.token).unwrap_or_default());
            }
            Event::Number(number) => self.on_number(number),
            Event::Other => {}
        }
    }

    fn on_sync(&mut self, sync: &Sync) {
        for pair in &sync.batch {
            match pair.action.kind() {
                builtin::PROCESSED => self.on_processed(&pair.action),
                builtin::UNDO => self.on_undo(&pair.action),
                _ => self.on_action(&pair.action, &pair.meta),
            }
        }
        self.on_number(sync.number);
    }

    pub(super) fn on_action(&mut self, action: &Action, meta: &Meta) {
        if ![EDIT, SHARE, REFUSED].contains(&action.kind()) {
            return;
        }
        let ledger = self.world.ledger.borrow();
        let heard = self.reader.hear(&ledger, action, meta);
        let since = match heard {
            Ok(Heard::New(author, at)) => ledger.of(author).map(|author| {
                let away = (self.world.clock.zero_ms() - author.born_ms()) * 1000;
                author.micros(at).checked_sub(away)
            }),
            _ => None,
        };
        drop(ledger);
        match heard {
            Ok(Heard::New(..)) => self.delivered(since.flatten()),
            Ok(Heard::Again) => self.count(|stats| stats.repeats += 1),
            Ok(Heard::Own | Heard::Foreign) => {}
            Err(violation) => self.violated(violation),
        }
    }

    /// An action came; `made` is when it was meant to be made, unless that was before the run.
    fn delivered(&self, made: Option<u64>) {
        let now = self.world.clock.micros();
        self.world.stats.borrow_mut().deliveries += 1;
        self.count(|stats| {
            stats.deliveries += 1;
            // Who was not there then waits for something else.
            if let Some(made) = made.filter(|made| *made >= self.current_since) {
                stats.delivered.record_micros(now.saturating_sub(made));
            }
        });
    }

    fn on_processed(&mut self, action: &Action) {
        // Only a subscription's answer says something new.
        if let Some(subscribing) = &self.subscribing
            && action.body::<Answer>().is_ok_and(|answer| answer.id == *subscribing)
        {
            self.subscribing = None;
        }
    }

    fn on_undo(&mut self, action: &Action) {
        let Ok(answer) = action.body::<Answer>() else { return };
        self.undone(&answer.id, &answer.reason);
    }

    /// The server undoes an action.
    pub(super) fn undone(&mut self, id: &str, reason: &str) {
        if self.subscribing.as_deref() == Some(id) {
            let reason = format!("the channel is refused: {reason}; see `tidelog-sim rules`");
            self.violated(Violation::Undone { id: id.to_owned(), reason });
            return;
        }
        let Ok(id) = id.parse::<ActionId>() else { return };
        let judged = self.world.ledger.borrow_mut().undo(&id, reason);
        match judged {
            Ok(()) => self.count(|stats| stats.refused += 1),
            Err(violation) => self.violated(violation),
        }
    }

    /// The oldest of its actions are acknowledged.
    pub(super) fn acknowledged(&mut self, count: usize) {
        let judged = self.world.ledger.borrow_mut().acknowledge(self.own, count);
        match judged {
            Ok(range) => self.measure(range),
            Err(violation) => self.violated(violation),
        }
    }

    fn measure(&self, range: std::ops::Range<usize>) {
        let now = self.world.clock.micros();
        let ledger = self.world.ledger.borrow();
        let Some(own) = ledger.of(self.own) else { return };
        let away = (self.world.clock.zero_ms() - own.born_ms()) * 1000;
        let mut stats = self.world.stats.borrow_mut();
        for at in range {
            let made = own.micros(at).checked_sub(away);
            let took = now.saturating_sub(made.unwrap_or(self.wanted_first()));
            if made.is_some() {
                stats.recent.record_micros(took);
            }
            let Some(group) = stats.group(self.group).filter(|_| !self.pace) else { continue };
            let times = if made.is_some() { &mut group.acknowledged } else { &mut group.backlog };
            times.record_micros(took);
        }
    }

    /// Numbers never fall on a connection, and the greatest is what a device has.
    pub(super) fn on_number(&mut self, number: u64) {
        let before = std::mem::replace(&mut self.connection_number, number);
        if before > number {
            self.violated(Violation::NumberFell { from: before, to: number });
        }
        self.set_synced(number);
    }

    pub(super) fn violated(&self, violation: Violation) {
        let live = self.client.as_ref().and_then(|client| client.tape());
        let tape: Option<&Tape> = live.or(self.tape.as_deref());
        self.world.violated(self.node.as_str(), violation, tape);
    }
}

/// What an error is called where errors are counted.
pub(super) fn kind(error: &ClientError) -> String {
    match error {
        ClientError::Open(open) => match open.refusal() {
            Some((status, _)) => format!("the upgrade is answered {status}"),
            None => "no connection".to_owned(),
        },
        ClientError::Closed => "closed by the server".to_owned(),
        ClientError::Told(error) => format!("the server says {}", error.kind()),
        ClientError::Breach(error) => format!("a frame of the server is {}", error.kind()),
    }
}
