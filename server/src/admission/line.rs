//! Who waits at the door, and in which order they come in.
//!
//! A state machine: it knows neither sockets nor clocks. Users take rounds, so that one with a hundred
//! devices does not keep all others waiting; and every few turns whoever has waited longest comes in,
//! so that nobody waits for ever. Who gives up keeps a place for a while, by the name of its client.

use crate::ws::Owner;
use std::collections::{BTreeMap, HashMap};
use tidelog_protocol::ClientId;

/// Every so many turns are not of the next round, but of who has waited longest.
const LONGEST_EVERY: u64 = 4;

/// How much a client has missed, as far as can be told without the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// No more than a page, all of it in memory.
    Light,
    /// What takes the disk, or several pages.
    Heavy,
}

impl Class {
    pub(crate) const ALL: [Self; 2] = [Self::Light, Self::Heavy];

    /// Its name among metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Heavy => "heavy",
        }
    }
}

/// Who comes.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// Whose turn it takes.
    pub owner: Owner,
    /// The name under which its place is kept, if it has one that is nobody else's.
    pub name: Option<Name>,
}

/// The name of a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    /// A client that waits with a WebSocket: it has one, and the latest counts.
    Socket(ClientId),
    /// A device that makes requests, several at once perhaps; the first of them has its place.
    Request(ClientId),
}

/// One wait of one client.
pub(super) type Ticket = u64;

/// Somebody has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) ticket: Ticket,
    /// The wait of the same client that this one takes the place of.
    pub(super) replaced: Option<Ticket>,
}

/// Somebody is let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) ticket: Ticket,
    pub(super) class: Class,
    /// When it came first.
    pub(super) since_ms: u64,
}

/// As many wait as may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The line.
#[derive(Debug)]
pub(super) struct Line {
    /// Who may wait, and who may have a place, at most.
    most: usize,
    light: Queue,
    heavy: Queue,
    waiting: HashMap<Ticket, Waiting>,
    /// The waits of clients that have a name.
    here: HashMap<Name, Ticket>,
    places: HashMap<Name, Place>,
    /// Places in the order in which they are forgotten.
    ends: BTreeMap<(u64, u64), Name>,
    tickets: u64,
}

/// Those of one class.
#[derive(Debug, Default)]
struct Queue {
    permits: usize,
    inside: usize,
    order: BTreeMap<Turn, Ticket>,
    /// The same, by how long they have waited.
    ages: BTreeMap<u64, Turn>,
    /// Of each owner who waits: how many of its clients, and the round of the last of them.
    owners: HashMap<Owner, (usize, u64)>,
    /// The round that is being served.
    round: u64,
    served: u64,
}

/// When somebody's turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    round: u64,
    serial: u64,
}

#[derive(Debug)]
struct Waiting {
    who: Who,
    class: Class,
    turn: Turn,
    since_ms: u64,
}

#[derive(Debug)]
struct Place {
    class: Class,
    turn: Turn,
    since_ms: u64,
    until_ms: u64,
}

impl Line {
    /// A line of `most` at most; nobody is let in before there are permits.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            light: Queue::default(),
            heavy: Queue::default(),
            waiting: HashMap::new(),
            here: HashMap::new(),
            places: HashMap::new(),
            ends: BTreeMap::new(),
            tickets: 0,
        }
    }

    /// How many of a class may be inside at once.
    pub(super) fn set_permits(&mut self, class: Class, permits: usize) {
        self.queue_mut(class).permits = permits;
    }

    /// How many of a class wait.
    pub(super) fn len(&self, class: Class) -> usize {
        self.queue(class).order.len()
    }

    /// How many of a class are inside.
    pub(super) fn inside(&self, class: Class) -> usize {
        self.queue(class).inside
    }

    /// Takes somebody in who then waits for [`Line::next`]. Who has a place gets that.
    pub(super) fn arrive(&mut self, mut who: Who, class: Class, now: u64) -> Result<Arrived, Full> {
        self.forget_places(now);
        who.name.take_if(|name| matches!(name, Name::Request(_)) && self.here.contains_key(name));
        let (replaced, kept) = self.kept(who.name.as_ref());
        if kept.is_none() && self.waiting.len() >= self.most {
            return Err(Full);
        }
        self.tickets += 1;
        let ticket = self.tickets;
        let (turn, since_ms) = match kept {
            Some(place) if place.class == class => (place.turn, place.since_ms),
            // What it has missed has changed meanwhile, and how long it has waited has not.
            Some(place) => (Turn { round: 0, ..place.turn }, place.since_ms),
            None => (Turn { round: self.queue(class).next_round(&who.owner), serial: ticket }, now),
        };
        if let Some(name) = &who.name {
            self.here.insert(name.clone(), ticket);
        }
        self.queue_mut(class).add(turn, ticket, &who.owner);
        self.waiting.insert(ticket, Waiting { who, class, turn, since_ms });
        Ok(Arrived { ticket, replaced })
    }

    /// Lets somebody in at once, if there is a permit and nobody waits. Returns when it came first.
    pub(super) fn pass(&mut self, who: &Who, class: Class, now: u64) -> Option<u64> {
        // An earlier wait of the same client has to end.
        let waits = who.name.as_ref().is_some_and(|name| self.here.contains_key(name));
        let queue = self.queue_mut(class);
        if waits || queue.inside >= queue.permits || !queue.order.is_empty() {
            return None;
        }
        queue.inside += 1;
        let place = who.name.as_ref().and_then(|name| self.take_place(name));
        Some(place.map_or(now, |place| place.since_ms))
    }

    /// Somebody waits no longer, and has its place until `until_ms` if it has a name.
    pub(super) fn give_up(&mut self, ticket: Ticket, until_ms: u64) {
        let Some(Waiting { who, class, turn, since_ms }) = self.remove(ticket) else { return };
        let Some(name) = who.name else { return };
        while self.places.len() >= self.most
            && let Some((_, first)) = self.ends.pop_first()
        {
            self.places.remove(&first);
        }
        self.ends.insert((until_ms, turn.serial), name.clone());
        self.places.insert(name, Place { class, turn, since_ms, until_ms });
    }

    /// The next to be let in, if there is a permit: it is inside then.
    pub(super) fn next(&mut self) -> Option<Granted> {
        Class::ALL.into_iter().find_map(|class| self.next_of(class))
    }

    fn next_of(&mut self, class: Class) -> Option<Granted> {
        let ticket = self.queue_mut(class).take_turn()?;
        let Waiting { since_ms, .. } = self.remove(ticket)?;
        self.queue_mut(class).inside += 1;
        Some(Granted { ticket, class, since_ms })
    }

    /// One of a class is inside no longer.
    pub(super) fn leave(&mut self, class: Class) {
        let queue = self.queue_mut(class);
        queue.inside = queue.inside.saturating_sub(1);
    }

    /// The wait of the same client that goes on in this one, and the place that it has.
    fn kept(&mut self, name: Option<&Name>) -> (Option<Ticket>, Option<Place>) {
        let Some(name) = name else { return (None, None) };
        if let Some(ticket) = self.here.get(name).copied() {
            let place = self.remove(ticket).map(|Waiting { class, turn, since_ms, .. }| Place {
                class,
                turn,
                since_ms,
                until_ms: 0,
            });
            return (Some(ticket), place);
        }
        (None, self.take_place(name))
    }

    fn take_place(&mut self, name: &Name) -> Option<Place> {
        let place = self.places.remove(name)?;
        self.ends.remove(&(place.until_ms, place.turn.serial));
        Some(place)
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        self.queue_mut(waiting.class).remove(waiting.turn, &waiting.who.owner);
        if let Some(name) = &waiting.who.name {
            self.here.remove(name);
        }
        Some(waiting)
    }

    fn forget_places(&mut self, now: u64) {
        while let Some(first) = self.ends.first_entry() {
            if first.key().0 > now {
                return;
            }
            self.places.remove(&first.remove());
        }
    }

    fn queue(&self, class: Class) -> &Queue {
        match class {
            Class::Light => &self.light,
            Class::Heavy => &self.heavy,
        }
    }

    fn queue_mut(&mut self, class: Class) -> &mut Queue {
        match class {
            Class::Light => &mut self.light,
            Class::Heavy => &mut self.heavy,
        }
    }
}

impl Queue {
    /// The round of one more client of `owner`.
    fn next_round(&self, owner: &Owner) -> u64 {
        let after = self.owners.get(owner).map_or(0, |(_, last)| last.saturating_add(1));
        after.max(self.round)
    }

    fn add(&mut self, turn: Turn, ticket: Ticket, owner: &Owner) {
        self.order.insert(turn, ticket);
        self.ages.insert(turn.serial, turn);
        let (count, last) = self.owners.entry(owner.clone()).or_default();
        *count += 1;
        *last = turn.round.max(*last);
    }

    fn remove(&mut self, turn: Turn, owner: &Owner) {
        self.order.remove(&turn);
        self.ages.remove(&turn.serial);
        if let Some((count, _)) = self.owners.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(owner);
            }
        }
    }

    /// Whose turn it is, if there is a permit.
    fn take_turn(&mut self) -> Option<Ticket> {
        if self.inside >= self.permits {
            return None;
        }
        let longest = self.ages.first_key_value().map(|(_, turn)| *turn);
        let next = self.order.first_key_value().map(|(turn, _)| *turn);
        let turn = if self.served % LONGEST_EVERY == LONGEST_EVERY - 1 { longest } else { next }?;
        self.served += 1;
        // Who has waited longest may be of a round that is far from its turn.
        self.round = self.round.max(next?.round);
        self.order.get(&turn).copied()
    }
}
