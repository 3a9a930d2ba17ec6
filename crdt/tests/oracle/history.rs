//! Random histories: clients with clocks that are wrong, two servers that are linked now and then,
//! actions that are sent to both of them.

use crate::acting::action;
use crate::meaning::{Event, Name};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const CLIENTS: usize = 4;
const SERVERS: usize = 2;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A client dispatches an action, offline or not.
    Act { client: usize, what: Vec<u16>, clock: u8 },
    /// A client sends what this server has not acknowledged.
    Send { client: usize, server: usize, count: usize },
    /// A client reads on in a server's log.
    Pull { client: usize, server: usize, count: usize },
    /// The other server gets what it lacks of this one's log.
    Link { from: usize, count: usize },
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = (0..CLIENTS, proptest::collection::vec(any::<u16>(), 8), 0_u8..20)
        .prop_map(|(client, what, clock)| Step::Act { client, what, clock });
    let send = (0..CLIENTS, 0..SERVERS, 1_usize..4)
        .prop_map(|(client, server, count)| Step::Send { client, server, count });
    let pull = (0..CLIENTS, 0..SERVERS, 1_usize..6)
        .prop_map(|(client, server, count)| Step::Pull { client, server, count });
    let link = (0..SERVERS, 1_usize..6).prop_map(|(from, count)| Step::Link { from, count });
    let step = prop_oneof![4 => act, 4 => send, 3 => pull, 2 => link];
    proptest::collection::vec(step, 0..60)
}

/// An action, and how each server that accepted it from its author names it.
#[derive(Clone, Debug)]
struct Known {
    event: Event,
    /// What its author had seen when it was made: per server a prefix.
    prefixes: [u64; SERVERS],
    /// By each server that accepted it: what its author had seen there.
    accepted: BTreeMap<Name, BTreeSet<Name>>,
}

#[derive(Default)]
struct World {
    actions: Vec<Known>,
    /// The log of each server: actions in the order in which it got them.
    logs: [Vec<usize>; SERVERS],
    /// How far each server has followed the other's log.
    followed: [usize; SERVERS],
    /// Up to where each client has read each log.
    read: [[usize; SERVERS]; CLIENTS],
    /// Of each client's actions, how many each server has acknowledged.
    sent: [[usize; SERVERS]; CLIENTS],
    sequences: u64,
}

/// What happened, once both servers have everything.
pub(crate) fn play(steps: &[Step]) -> Vec<Event> {
    let mut world = World::default();
    for step in steps {
        match step {
            Step::Act { client, what, clock } => world.act(*client, what, *clock),
            Step::Send { client, server, count } => world.send(*client, *server, *count),
            Step::Pull { client, server, count } => {
                let read = &mut world.read[*client][*server];
                *read = (*read + count).min(world.logs[*server].len());
            }
            Step::Link { from, count } => world.link(*from, *count),
        }
    }
    world.actions.into_iter().filter_map(Known::named).collect()
}

impl Known {
    /// The event under the smallest of its names, whose context counts. None was accepted: none.
    fn named(self) -> Option<Event> {
        let (_, seen) = self.accepted.iter().next()?;
        let (names, seen) = (self.accepted.keys().copied().collect(), seen.clone());
        Some(Event { names, seen, ..self.event })
    }
}

impl World {
    fn act(&mut self, client: usize, what: &[u16], clock: u8) {
        self.sequences += 1;
        let created = 1000 + u64::from(clock);
        let stamp =
            (created + u64::from(what[7] % 3), format!("{client}:c:t"), self.sequences, created);
        let view: Vec<Event> = self.view(client).into_iter().cloned().collect();
        let action = action(what, &view);
        let event = Event { names: BTreeSet::new(), seen: BTreeSet::new(), stamp, action };
        let prefixes = std::array::from_fn(|server| self.prefix(client, server));
        self.actions.push(Known { event, prefixes, accepted: BTreeMap::new() });
    }

    /// Up to which position of `server` the client has everything: what it read there, or what it
    /// read elsewhere that had come from there.
    fn prefix(&self, client: usize, server: usize) -> u64 {
        let read = self.read[client].iter().zip(&self.logs);
        let names = read.flat_map(|(read, log)| {
            log[..*read].iter().flat_map(|at| self.actions[*at].accepted.keys())
        });
        names.filter(|name| name.0 == server as u64).map(|name| name.1).max().unwrap_or_default()
    }

    /// What the client has on its screen: what it read, and its own.
    fn view(&self, client: usize) -> Vec<&Event> {
        let read = self.read[client].iter().zip(&self.logs);
        let mut known: BTreeSet<usize> =
            read.flat_map(|(read, log)| log[..*read].to_vec()).collect();
        known.extend(self.own(client));
        known.into_iter().map(|at| &self.actions[at].event).collect()
    }

    fn own(&self, client: usize) -> impl Iterator<Item = usize> {
        let node = format!("{client}:c:t");
        (0..self.actions.len()).filter(move |at| self.actions[*at].event.stamp.1 == node)
    }

    fn send(&mut self, client: usize, server: usize, count: usize) {
        let own: Vec<usize> = self.own(client).collect();
        let sent = self.sent[client][server];
        for at in own.iter().skip(sent).take(count).copied() {
            self.sent[client][server] += 1;
            if !self.logs[server].contains(&at) {
                self.accept(server, at, &own);
            }
        }
    }

    /// The server names the action by the next position. Its author had seen what it had read when
    /// it made the action, and its own earlier actions that are here.
    fn accept(&mut self, server: usize, at: usize, own: &[usize]) {
        let name = (server as u64, 1 + self.logs[server].len() as u64);
        let prefixes = self.actions[at].prefixes;
        let names = self.actions.iter().flat_map(|known| known.accepted.keys());
        let mut seen: BTreeSet<Name> =
            names.filter(|name| name.1 <= prefixes[name.0 as usize]).copied().collect();
        let earlier =
            own.iter().filter(|earlier| **earlier < at && self.logs[server].contains(earlier));
        seen.extend(earlier.flat_map(|earlier| self.actions[*earlier].accepted.keys()));
        self.actions[at].accepted.insert(name, seen);
        self.logs[server].push(at);
    }

    fn link(&mut self, from: usize, count: usize) {
        let to = 1 - from;
        let news = self.logs[from].clone();
        for at in news.into_iter().skip(self.followed[to]).take(count) {
            self.followed[to] += 1;
            if !self.logs[to].contains(&at) {
                self.logs[to].push(at);
            }
        }
    }
}
