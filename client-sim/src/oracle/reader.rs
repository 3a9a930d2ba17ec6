//! What one device has received, and what is wrong with it.
//!
//! What it received of each author is a number and the gaps below it; the order in which authors took turns is a hash,
//! and the state that it all adds up to is who wrote each field last.

use super::Violation;
use super::ledger::{Author, AuthorNo, Ledger, UserNo};
use std::cmp::Ordering;
use tidelog_protocol::{Action, ActionId, Meta};

/// Fields that a device can have.
const FIELDS: usize = 10;
/// Bytes of a body that a violation shows.
const SHOWN: usize = 200;

/// What one device has received.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    user: UserNo,
    own: AuthorNo,
    channel: Option<String>,
    leeway: Leeway,
    traces: Vec<Trace>,
    /// What it has of others.
    received: u64,
    order: u64,
    fields: [Option<Winner>; FIELDS],
}

/// What servers may do beside sending each action once, in its author's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leeway {
    /// Nothing.
    None,
    /// Send them in another order: an author moved, and its later actions were here first.
    Order,
    /// That, and send them again: they do not know what another server has sent.
    Repeats,
}

/// What it has of one author.
#[derive(Clone, Debug)]
struct Trace {
    author: AuthorNo,
    /// Above everything that came.
    next: usize,
    /// What did not come below that.
    gaps: Vec<(usize, usize)>,
}

/// Who wrote a field last, by the order of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Winner {
    ms: u64,
    author: AuthorNo,
    sequence: u64,
}

/// What an action was to the device that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The first time, of somebody else.
    New(AuthorNo, usize),
    /// One of its own.
    Own,
    /// It had it already, where that may be.
    Again,
    /// Nothing of this run.
    Foreign,
}

impl Reader {
    pub(crate) fn new(
        user: UserNo,
        own: AuthorNo,
        channel: Option<String>,
        leeway: Leeway,
    ) -> Self {
        let (traces, fields) = (Vec::new(), [const { None }; FIELDS]);
        Self { user, own, channel, leeway, traces, received: 0, order: 0, fields }
    }

    /// Takes an action that came.
    pub(crate) fn hear(
        &mut self,
        ledger: &Ledger,
        action: &Action,
        meta: &Meta,
    ) -> Result<Heard, Violation> {
        let Some((number, author)) =
            ledger.whose(&meta.id.node).and_then(|number| Some((number, ledger.of(number)?)))
        else {
            return Ok(Heard::Foreign);
        };
        let Some(at) = author.find(&meta.id) else {
            return Err(Violation::NeverMade { id: meta.id.to_string() });
        };
        if author.body(at).json() != action.json() {
            let body = action.json().get(..SHOWN.min(action.json().len())).unwrap_or_default();
            let body = String::from_utf8_lossy(body).into_owned();
            return Err(Violation::Altered { id: meta.id.to_string(), body });
        }
        match self.trace(number).take(at) {
            Taken::InOrder => {}
            Taken::Again if self.leeway == Leeway::Repeats => return Ok(Heard::Again),
            Taken::Again => return Err(Violation::Repeated { id: meta.id.to_string() }),
            Taken::Late if self.leeway != Leeway::None => {}
            Taken::Late => {
                self.received += u64::from(number != self.own);
                return Err(Violation::OutOfOrder { id: meta.id.to_string() });
            }
        }
        // A page that starts with nothing is sent what it made itself, too.
        if number == self.own {
            return Ok(Heard::Own);
        }
        self.received += 1;
        if author.user == self.user {
            self.order = mixed(self.order, number, at);
        }
        self.apply(ledger, number, at);
        Ok(Heard::New(number, at))
    }

    /// Folds an action into the fields: whoever wrote last, by the order of ids, has written.
    pub(crate) fn apply(&mut self, ledger: &Ledger, number: AuthorNo, at: usize) {
        let Some(author) = ledger.of(number) else { return };
        let id = author.id(at);
        let new = Winner { ms: id.ms, author: number, sequence: id.sequence };
        let Some(field) = self.fields.get_mut(usize::from(author.field(at))) else { return };
        if author.user != self.user || field.as_ref().is_some_and(|old| old.beats(&new, ledger)) {
            return;
        }
        *field = Some(new);
    }

    /// What it has of others.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// How much of others it has to have, as far as is known now.
    pub(crate) fn owed(&self, ledger: &Ledger) -> u64 {
        ledger.owed(self.own, self.channel.as_deref())
    }

    /// The first action that it has not got, for people.
    pub(crate) fn first_missing(&self, ledger: &Ledger) -> Option<ActionId> {
        let missing = |number: &AuthorNo| {
            let author = ledger.of(*number).filter(|_| *number != self.own)?;
            let trace = self.traces.iter().find(|trace| trace.author == *number);
            let (next, gap) = trace
                .map_or((0, None), |trace| (trace.next, trace.gaps.first().map(|(from, _)| *from)));
            let at = gap.unwrap_or(next);
            let at = (at..author.acknowledged()).find(|at| !author.is_undone(*at))?;
            Some(author.id(at))
        };
        ledger.authors(self.user).iter().find_map(missing)
    }

    /// The order in which a device that made `own` would have received `sequence`.
    pub(crate) fn order_of(own: AuthorNo, sequence: &[(AuthorNo, usize)]) -> u64 {
        let others = sequence.iter().filter(|(author, _)| *author != own);
        others.fold(0, |order, (author, at)| mixed(order, *author, *at))
    }

    pub(crate) fn order(&self) -> u64 {
        self.order
    }

    pub(crate) fn own(&self) -> AuthorNo {
        self.own
    }

    pub(crate) fn user(&self) -> UserNo {
        self.user
    }

    /// How it differs from what another device of its user has.
    pub(crate) fn differs(&self, from: &Self, ledger: &Ledger) -> Option<Violation> {
        let pairs = self.fields.iter().zip(&from.fields).enumerate();
        let (field, (found, expected)) =
            pairs.into_iter().find(|(_, (own, other))| own != other)?;
        let name = |winner: &Option<Winner>| {
            let author =
                winner.as_ref().and_then(|winner| Some((winner, ledger.of(winner.author)?)));
            author.map_or("nothing".into(), |(winner, author)| {
                format!("{} {} {}", winner.ms, author.node, winner.sequence)
            })
        };
        Some(Violation::EndUnequal { field, expected: name(expected), found: name(found) })
    }

    fn trace(&mut self, author: AuthorNo) -> &mut Trace {
        let at = self.traces.iter().position(|trace| trace.author == author);
        let at = at.unwrap_or_else(|| {
            self.traces.push(Trace { author, next: 0, gaps: Vec::new() });
            self.traces.len() - 1
        });
        self.traces.get_mut(at).unwrap_or_else(|| unreachable!("it was found there"))
    }
}

impl Winner {
    fn beats(&self, other: &Self, ledger: &Ledger) -> bool {
        let node = |winner: &Self| ledger.of(winner.author).map(|author| &author.node);
        let order = self.ms.cmp(&other.ms).then_with(|| node(self).cmp(&node(other)));
        order.then(self.sequence.cmp(&other.sequence)) == Ordering::Greater
    }
}

enum Taken {
    InOrder,
    Late,
    Again,
}

impl Trace {
    fn take(&mut self, at: usize) -> Taken {
        if at >= self.next {
            if at > self.next {
                self.gaps.push((self.next, at));
            }
            self.next = at + 1;
            return Taken::InOrder;
        }
        let Some(gap) = self.gaps.iter().position(|(from, to)| (*from..*to).contains(&at)) else {
            return Taken::Again;
        };
        let (from, to) = self.gaps.remove(gap);
        let parts = [(from, at), (at + 1, to)].into_iter().filter(|(from, to)| from < to);
        for (n, part) in parts.enumerate() {
            self.gaps.insert(gap + n, part);
        }
        Taken::Late
    }
}

fn mixed(order: u64, author: AuthorNo, at: usize) -> u64 {
    let new = (author as u64).rotate_left(32) ^ at as u64;
    (order.rotate_left(23) ^ new.wrapping_add(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// What an author makes is in its own fields at once.
pub(crate) fn is_shown(author: &Author, at: usize) -> bool {
    !author.is_refused(at)
}

#[cfg(test)]
mod tests;
