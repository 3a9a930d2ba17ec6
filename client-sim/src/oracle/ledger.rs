//! What was made, acknowledged and undone: the truth that devices are compared with.
//!
//! An author's acknowledgements come in the order in which it made its actions, so that a number says which are. An
//! action is 8 bytes here, because a crowd that was away for weeks has millions.

use super::Violation;
use super::bodies::{Bodies, REFUSED_FIELD};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;
use tidelog_protocol::{Action, ActionId, Meta, NodeId};

/// An author, by number.
pub(crate) type AuthorNo = usize;
/// A user, by number.
pub(crate) type UserNo = usize;

/// What all authors made.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    authors: Vec<Author>,
    users: Vec<User>,
    /// Entries in the logs of channels.
    channels: HashMap<String, u64>,
    by_node: HashMap<NodeId, AuthorNo>,
    /// Actions that are not acknowledged.
    open: u64,
    acknowledged: u64,
}

/// One node that makes actions.
#[derive(Debug)]
pub(crate) struct Author {
    pub(crate) node: NodeId,
    pub(crate) user: UserNo,
    pub(crate) channel: Option<String>,
    bodies: Rc<Bodies>,
    /// Its times count from here, in ms since the epoch.
    born_ms: u64,
    made: Vec<Made>,
    acknowledged: usize,
    undone: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct User {
    authors: Vec<AuthorNo>,
    /// Entries in its log.
    kept: u64,
}

/// An action: µs since its author was born, a sequence number, and the field that it edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Made(u64);

impl Made {
    const SEQUENCE_BITS: u32 = 12;
    const FIELD_BITS: u32 = 4;

    fn new(micros: u64, sequence: u64, field: u8) -> Self {
        let sequence = sequence & ((1 << Self::SEQUENCE_BITS) - 1);
        let micros = micros << (Self::SEQUENCE_BITS + Self::FIELD_BITS);
        Self(micros | (sequence << Self::FIELD_BITS) | u64::from(field & 15))
    }

    fn micros(self) -> u64 {
        self.0 >> (Self::SEQUENCE_BITS + Self::FIELD_BITS)
    }

    fn sequence(self) -> u64 {
        (self.0 >> Self::FIELD_BITS) & ((1 << Self::SEQUENCE_BITS) - 1)
    }

    fn field(self) -> u8 {
        u8::try_from(self.0 & 15).unwrap_or_default()
    }
}

impl Ledger {
    /// A user, by the number it has from now on.
    pub(crate) fn user(&mut self) -> UserNo {
        self.users.push(User::default());
        self.users.len() - 1
    }

    pub(crate) fn author(
        &mut self,
        node: NodeId,
        user: UserNo,
        channel: Option<String>,
        (born_ms, bodies): (u64, Rc<Bodies>),
    ) -> AuthorNo {
        let number = self.authors.len();
        self.by_node.insert(node.clone(), number);
        if let Some(user) = self.users.get_mut(user) {
            user.authors.push(number);
        }
        let (made, undone) = (Vec::new(), BTreeSet::new());
        self.authors.push(Author {
            node,
            user,
            channel,
            bodies,
            born_ms,
            made,
            acknowledged: 0,
            undone,
        });
        number
    }

    pub(crate) fn of(&self, author: AuthorNo) -> Option<&Author> {
        self.authors.get(author)
    }

    /// Who this node is.
    pub(crate) fn whose(&self, node: &NodeId) -> Option<AuthorNo> {
        self.by_node.get(node.as_str()).copied()
    }

    /// The author makes an action, so many µs after it was born; its number.
    pub(crate) fn make(&mut self, author: AuthorNo, micros: u64, field: u8) -> usize {
        self.open += 1;
        self.authors.get_mut(author).map_or(0, |author| author.make(micros, field))
    }

    /// The author's oldest unacknowledged actions are acknowledged.
    pub(crate) fn acknowledge(
        &mut self,
        author: AuthorNo,
        count: usize,
    ) -> Result<Range<usize>, Violation> {
        let Some(author) = self.authors.get_mut(author) else { return Ok(0..0) };
        let range = author.acknowledged..author.acknowledged + count;
        if range.end > author.made.len() {
            return Err(Violation::AcknowledgedNothing);
        }
        author.acknowledged = range.end;
        let undone = author.undone.range(range.clone()).count();
        let kept = (count - undone) as u64;
        if let Some(user) = self.users.get_mut(author.user) {
            user.kept += kept;
        }
        if let Some(channel) = &author.channel {
            *self.channels.entry(channel.clone()).or_default() += kept;
        }
        self.open -= count as u64;
        self.acknowledged += count as u64;
        match range.clone().find(|at| author.is_refused(*at) && !author.undone.contains(at)) {
            Some(at) => Err(Violation::Accepted { id: author.id(at).to_string() }),
            None => Ok(range),
        }
    }

    /// The server undoes an action of this author.
    pub(crate) fn undo(&mut self, id: &ActionId, reason: &str) -> Result<(), Violation> {
        let author = self.whose(&id.node).and_then(|number| self.authors.get_mut(number));
        let found = author.and_then(|author| author.find(id).map(|at| (author, at)));
        let Some((author, at)) = found else {
            return Err(Violation::NeverMade { id: id.to_string() });
        };
        author.undone.insert(at);
        if author.is_refused(at) {
            return Ok(());
        }
        Err(Violation::Undone { id: id.to_string(), reason: reason.to_owned() })
    }

    /// Actions that are not acknowledged.
    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// Actions that are.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Entries of a user's log that are known to be there.
    pub(crate) fn kept(&self, user: UserNo) -> u64 {
        self.users.get(user).map_or(0, |user| user.kept)
    }

    /// How much a device has to have that is of others, as far as is known now.
    pub(crate) fn owed(&self, own: AuthorNo, channel: Option<&str>) -> u64 {
        let Some(own) = self.authors.get(own) else { return 0 };
        let mine = own.acknowledged - own.undone.range(..own.acknowledged).count();
        let in_channel = channel.and_then(|name| self.channels.get(name)).copied().unwrap_or(0);
        // What came by the user's log comes no second time by the channel.
        let twice: u64 = match (channel, self.users.get(own.user)) {
            (Some(name), Some(user)) => user.authors.iter().map(|of| self.shared(*of, name)).sum(),
            _ => 0,
        };
        (self.kept(own.user) + in_channel).saturating_sub(mine as u64 + twice)
    }

    fn shared(&self, author: AuthorNo, channel: &str) -> u64 {
        let author = self.authors.get(author).filter(|of| of.channel.as_deref() == Some(channel));
        author.map_or(0, |of| (of.acknowledged - of.undone.len()) as u64)
    }

    /// All authors of a user.
    pub(crate) fn authors(&self, user: UserNo) -> &[AuthorNo] {
        self.users.get(user).map_or(&[], |user| &user.authors)
    }
}

impl Author {
    /// A clock that stands still, or goes back, makes no id twice.
    fn make(&mut self, micros: u64, field: u8) -> usize {
        let (micros, sequence) = match self.made.last() {
            Some(last) if last.micros() / 1000 >= micros / 1000 => {
                (last.micros().max(micros), last.sequence() + 1)
            }
            _ => (micros, 0),
        };
        self.made.push(Made::new(micros, sequence, field));
        self.made.len() - 1
    }

    /// The id of its action with this number.
    pub(crate) fn id(&self, at: usize) -> ActionId {
        let made = self.made.get(at).copied().unwrap_or(Made(0));
        let ms = self.born_ms + made.micros() / 1000;
        ActionId { node: self.node.clone(), ms, sequence: made.sequence() }
    }

    pub(crate) fn meta(&self, at: usize) -> Meta {
        let id = self.id(at);
        Meta { time: id.ms, id, subprotocol: None }
    }

    /// What its action with this number says.
    pub(crate) fn body(&self, at: usize) -> &Action {
        self.bodies.of(self.field(at))
    }

    pub(crate) fn field(&self, at: usize) -> u8 {
        self.made.get(at).map_or(0, |made| made.field())
    }

    pub(crate) fn is_refused(&self, at: usize) -> bool {
        self.field(at) == REFUSED_FIELD
    }

    pub(crate) fn is_undone(&self, at: usize) -> bool {
        self.undone.contains(&at)
    }

    /// µs from its birth to the making of this action.
    pub(crate) fn micros(&self, at: usize) -> u64 {
        self.made.get(at).map_or(0, |made| made.micros())
    }

    pub(crate) fn born_ms(&self) -> u64 {
        self.born_ms
    }

    /// Which of its actions has this id.
    pub(crate) fn find(&self, id: &ActionId) -> Option<usize> {
        let key = (id.ms.checked_sub(self.born_ms)?, id.sequence);
        let of = |made: &Made| (made.micros() / 1000, made.sequence());
        self.made.binary_search_by_key(&key, of).ok()
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    pub(crate) fn made(&self) -> usize {
        self.made.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Group;

    fn ledger() -> (Ledger, AuthorNo) {
        let mut ledger = Ledger::default();
        let user = ledger.user();
        let bodies = Rc::new(Bodies::new(&Group::default()).unwrap());
        let author = ledger.author(NodeId::new("1:a:t").unwrap(), user, None, (1000, bodies));
        (ledger, author)
    }

    #[test]
    fn an_action_is_found_by_its_id_even_where_many_are_made_at_once() {
        let (mut ledger, author) = ledger();
        for micros in [0, 10, 999, 1000, 500, 7_000_000] {
            ledger.make(author, micros, 3);
        }
        let author = ledger.of(author).unwrap();
        let ids: Vec<_> = (0..6).map(|at| author.id(at)).collect();
        assert_eq!(
            ids.iter().map(|id| author.find(id)).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5].map(Some)
        );
        assert_eq!(ids.last().unwrap().to_string(), "8000 1:a:t 0");
        assert_eq!((author.field(5), author.body(5).kind()), (3, "sim/add"));
    }

    #[test]
    fn what_is_refused_must_be_undone_and_nothing_else() {
        let (mut ledger, author) = ledger();
        ledger.make(author, 0, 1);
        ledger.make(author, 1, REFUSED_FIELD);
        let ids = [0, 1].map(|at| ledger.of(author).unwrap().id(at));
        assert!(matches!(ledger.undo(&ids[0], "x"), Err(Violation::Undone { .. })));
        assert!(matches!(ledger.acknowledge(author, 2), Err(Violation::Accepted { .. })));
        assert_eq!(ledger.undo(&ids[1], "denied"), Ok(()));
        assert_eq!(ledger.acknowledge(author, 1), Err(Violation::AcknowledgedNothing));
    }
}
