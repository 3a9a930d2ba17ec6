//! Erasing a user: everything the user made, everything in the user's log, and the user's name wherever
//! others have addressed the user, out of the feed, the runs and the records of nodes, and out of the
//! files that they are in.
//!
//! A record that goes leaves its position and a keyed hash of its id behind (see `record`), so that an
//! action which is sent again does not come back. For readers it is what a cleaned one is: nothing.
//!
//! Where another server has erased the user, only what is from before that goes: what has a name that it tells
//! (see `going`).

mod going;

pub(crate) use going::{Going, Past};

use super::Log;
use super::base::{self, Base};
use super::entry::{Addresses, Entry, LogName};
use super::error::{Damage, Failure, ReadError};
use super::prefix::{Hash, Key, Prefix};
use super::record::{Clean, Erased, Record, put_entry, put_erased, take_body};
use super::rewrite::{Refused, RewriteError, Rewriting};
use super::row::{Row, RowBuilder};
use super::run::Item;
use super::shared::Shared;
use super::usage::{Changes, bytes_of};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_crdt::{DocumentName, Dot, Position, Ranges};
use tidelog_protocol::UserId;

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Actions that the user made, by the log they were in.
    pub made: BTreeMap<LogName, Ranges>,
    /// Actions that others had addressed to the user.
    pub received: Ranges,
    /// Requests of the user to clean an action.
    pub cleans: Ranges,
    /// All of these together.
    pub positions: Ranges,
    /// Documents of channels that have what the user made among what others did: it stays there.
    pub documents: Vec<(LogName, DocumentName)>,
    /// The names that those had which the user made.
    pub names: BTreeSet<Dot>,
    /// Records of the user's nodes.
    pub nodes: usize,
    /// The head when it was done: what is above was written later.
    pub head: Position,
    /// How often the feed has been rewritten.
    pub generation: u64,
    /// How long the file of the feed was, and is.
    pub feed_bytes: (u64, u64),
}

impl Log {
    /// Removes everything of `user`. Blocks for as long as it takes to copy the feed; commits go on
    /// meanwhile. `told` hears up to which position that is done.
    ///
    /// The user's sessions have to be over, or the records of their nodes are written anew.
    pub fn erase(
        &self,
        user: &UserId,
        told: &mut dyn FnMut(Position),
    ) -> Result<Removed, RewriteError> {
        self.erase_what(user, &Going::All, told)
    }

    /// The same of what is `going`.
    pub(crate) fn erase_what(
        &self,
        user: &UserId,
        going: &Going,
        told: &mut dyn FnMut(Position),
    ) -> Result<Removed, RewriteError> {
        let shared = self.shared();
        let rewriting = Rewriting::begin(shared)?;
        let eraser = Eraser::new(shared, (user, going), shown(&rewriting)?);
        let eraser = Arc::new(Eraser { undone: self.undone(user, going)?, ..eraser });
        eraser.copy_bases(&rewriting)?;
        let changing = Arc::clone(&eraser);
        let rewritten = rewriting.run(Box::new(move |row| changing.row(row)), told)?;
        // From here on the feed is right and the index is not, so a failure is one of the log: the
        // next opening makes the index anew.
        let nodes = eraser.clear_index(shared, rewritten.generation).map_err(|failure| {
            shared.fail(failure);
            RewriteError::Stopped
        })?;
        let removed = std::mem::take(&mut eraser.found().removed);
        Ok(Removed {
            nodes,
            head: rewritten.head,
            generation: rewritten.generation,
            feed_bytes: rewritten.bytes,
            ..removed
        })
    }
}

/// Who is erased, and what was found of the user so far.
struct Eraser {
    shared: Arc<Shared>,
    user: UserId,
    going: Going,
    /// Actions that go with what tells that they were undone.
    undone: HashSet<Key>,
    hash: Hash,
    /// In which logs something is shown where entries went.
    shown: HashMap<Position, Vec<Prefix>>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    removed: Removed,
    /// Logs that have lost an entry or have a changed one.
    logs: HashSet<Prefix>,
    /// What counts no more for whom, by position: a row that was changed meanwhile comes again.
    uncounted: BTreeMap<Position, (Prefix, u64)>,
}

/// What becomes of a record.
enum Judged {
    Kept,
    /// The user made it.
    Made(Entry, Bytes),
    /// Somebody else made it, and it was addressed to the user.
    Received(Entry, Bytes),
    /// The user's request to clean an action.
    Clean(Bytes),
}

impl Eraser {
    fn new(
        shared: &Arc<Shared>,
        (user, going): (&UserId, &Going),
        shown: HashMap<Position, Vec<Prefix>>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            user: user.clone(),
            going: going.clone(),
            undone: HashSet::new(),
            hash: shared.hash.clone(),
            shown,
            found: Mutex::default(),
        }
    }

    /// The prefix of the user's log.
    fn own(&self) -> Prefix {
        self.hash.user(self.user.as_str())
    }

    /// Documents that entries went into, without those of the user's log.
    fn copy_bases(&self, rewriting: &Rewriting) -> Result<(), RewriteError> {
        let (from, next) = (rewriting.from(), rewriting.next());
        for kept in from.all_bases() {
            let (prefix, position, shown, bytes) = kept?;
            if prefix == self.own() && self.going.has_documents() {
                continue;
            }
            next.put_base((prefix, position, shown), &bytes)?;
            if prefix != self.own() && position > Position::ZERO && base::names(&self.user, &bytes)
            {
                let base = Base::decode((position, shown), &bytes);
                let (log, base) = base
                    .map_err(|damage| from.damaged(position, damage))
                    .map_err(ReadError::from)?;
                self.found().removed.documents.push((log, base.name));
            }
        }
        Ok(next.put_compacted(from.compacted()?)?)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows that take the place of `row`. More than one if it has grown beyond what fits: what is
    /// left of a record can be longer than a cleaned one.
    fn row(&self, row: Row) -> Result<Vec<Row>, Refused> {
        let mut found = self.found();
        let (mut records, mut changed) = (Vec::new(), false);
        for (position, record) in row.records() {
            let judged = self.judge(position, &record)?;
            changed |= !matches!(judged, Judged::Kept);
            found.note(position, &judged, (&self.hash, &self.user));
            if let Judged::Made(entry, _) = &judged {
                found.removed.names.extend(self.shared.naming.dots(entry));
            }
            if let (false, Some(logs)) = (matches!(judged, Judged::Kept), self.shown.get(&position))
            {
                found.logs.extend(logs);
            }
            records.push(judged.bytes().unwrap_or(record));
        }
        if !changed {
            return Ok(vec![row]);
        }
        let (mut rows, mut builder) = (Vec::new(), RowBuilder::new(row.first()));
        for record in records {
            if !builder.fits(record.len()) {
                let next = RowBuilder::new(builder.next());
                rows.push(std::mem::replace(&mut builder, next).finish());
            }
            builder.push(&record);
        }
        rows.push(builder.finish());
        Ok(rows)
    }

    fn judge(&self, position: Position, record: &Bytes) -> Result<Judged, Damage> {
        let is_own = |node: &tidelog_protocol::NodeId| node.user_str() == Some(self.user.as_str());
        let given = self.shared.incarnations.given(position);
        Ok(match Record::decode(position, record)? {
            Record::Entry(entry) if entry.is_of(self.user.as_str()) && self.goes(&entry) => {
                let id = Some(self.hash.id(&entry.id));
                let left = Erased { dot: entry.dot, accepted_ms: entry.accepted_ms, id };
                Judged::Made(entry, left_of(position, &left))
            }
            Record::Entry(entry) => match without(&self.user, &entry.addresses) {
                Some(addresses) if self.goes(&entry) => {
                    let changed = readdressed(entry.clone(), addresses);
                    let mut out = Vec::new();
                    put_entry(&mut out, &changed);
                    Judged::Received(entry, out.into())
                }
                Some(_) | None => Judged::Kept,
            },
            Record::Clean(Clean { id, accepted_ms, target, .. })
                if is_own(&id.node)
                    && self.what_goes(target).unwrap_or(self.going.has([given])) =>
            {
                let left = Erased { dot: given, accepted_ms, id: None };
                Judged::Clean(left_of(position, &left))
            }
            Record::Clean(_) | Record::Erased(_) | Record::Alias(_) => Judged::Kept,
        })
    }

    /// Whether an entry goes. An action and what tells that it was undone go together.
    fn goes(&self, entry: &Entry) -> bool {
        let is_named = self.going.has(self.shared.naming.dots(entry));
        is_named || self.undone.contains(&self.hash.id(&entry.id)) || self.is_of_what_goes(entry)
    }

    fn is_of_what_goes(&self, entry: &Entry) -> bool {
        let undone = entry.undoes().and_then(|id| self.shared.find(self.hash.id(&id)).ok()?);
        undone.is_some_and(|at| {
            let is_gone = matches!(self.shared.record(at), Ok(Some(Record::Erased(_))));
            is_gone || self.what_goes(at) == Some(true)
        })
    }

    /// Whether the entry at `position` goes, if there is one.
    fn what_goes(&self, position: Position) -> Option<bool> {
        let entry = self.shared.entry(position).ok()??;
        let is_named = self.going.has(self.shared.naming.dots(&entry));
        Some(is_named || self.undone.contains(&self.hash.id(&entry.id)))
    }

    /// What becomes of an entry in a run: the run says what the feed says now.
    fn item(&self, item: &Item) -> Result<Option<Bytes>, Damage> {
        let position = Position::new(item.key.major).unwrap_or_default();
        let changed = self.judge(position, &item.value)?.bytes();
        if self.shown.get(&position).is_some_and(|logs| logs.contains(&item.key.prefix)) {
            // What is shown there is of the log, whoever made the entry that was there.
            let goes = item.key.prefix == self.own() && self.going.has_documents();
            return Ok((!goes).then(|| changed.unwrap_or_else(|| item.value.clone())));
        }
        let Some(bytes) = changed else {
            return Ok(Some(item.value.clone()));
        };
        let there = match Record::decode(position, &bytes)? {
            Record::Entry(entry) => {
                !entry.cleaned
                    && entry.addresses.logs().any(|log| self.hash.log(&log) == item.key.prefix)
            }
            Record::Clean(_) | Record::Erased(_) | Record::Alias(_) => false,
        };
        Ok(there.then_some(bytes))
    }

    /// Brings the index to what the feed says; how many records of nodes went.
    fn clear_index(&self, shared: &Shared, generation: u64) -> Result<usize, Failure> {
        let mut logs = self.found().logs.clone();
        logs.insert(self.own());
        let changes = self.found().changes();
        shared.change_usage(&changes, generation)?;
        let publish = |current: &_| shared.publish_rewritten(current);
        shared.index.rewrite_runs((&logs, generation), |item| self.item(item), publish)?;
        shared.index.remove_others()?;
        let user = self.user.as_str();
        let nodes = shared.nodes.of_user(user, &shared.index.store())?.len();
        let is_other = |node: &str| !is_node_of(node, user);
        shared.nodes.forget_user(user, || shared.index.renew(generation, is_other))?;
        Ok(nodes)
    }
}

/// In which logs something is shown where entries went.
fn shown(rewriting: &Rewriting) -> Result<HashMap<Position, Vec<Prefix>>, ReadError> {
    let mut shown: HashMap<_, Vec<_>> = HashMap::new();
    for place in rewriting.from().shown_places(Position::ZERO) {
        let (position, prefix) = place?;
        shown.entry(position).or_default().push(prefix);
    }
    Ok(shown)
}

fn left_of(position: Position, erased: &Erased) -> Bytes {
    let mut out = Vec::new();
    put_erased(&mut out, position, erased);
    out.into()
}

/// Whether `node` names a node of `user`.
fn is_node_of(node: &str, user: &str) -> bool {
    tidelog_protocol::NodeId::new(node).is_ok_and(|node| node.user_str() == Some(user))
}

impl Judged {
    fn bytes(self) -> Option<Bytes> {
        match self {
            Self::Kept => None,
            Self::Made(_, bytes) | Self::Received(_, bytes) | Self::Clean(bytes) => Some(bytes),
        }
    }
}

impl Found {
    fn uncount(&mut self, entry: &Entry, hash: &Hash) {
        if let Some(author) = entry.id.node.user_str() {
            self.uncounted.insert(entry.position, (hash.user(author), bytes_of(entry)));
        }
    }

    fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        for (author, bytes) in self.uncounted.values() {
            changes.add(*author, 0_i64.saturating_sub_unsigned(*bytes));
        }
        changes
    }

    fn note(&mut self, position: Position, judged: &Judged, (hash, user): (&Hash, &UserId)) {
        if !matches!(judged, Judged::Kept) {
            self.removed.positions.insert(position);
        }
        match judged {
            Judged::Kept => {}
            Judged::Made(entry, _) => {
                self.uncount(entry, hash);
                for log in entry.addresses.logs() {
                    self.logs.insert(hash.log(&log));
                    self.removed.made.entry(log).or_default().insert(position);
                }
            }
            Judged::Received(entry, _) => {
                self.logs.extend(entry.addresses.logs().map(|log| hash.log(&log)));
                self.removed.received.insert(position);
                let stays = entry.addresses.logs().any(|log| log != LogName::User(user.clone()));
                if !stays {
                    self.uncount(entry, hash);
                }
            }
            Judged::Clean(_) => self.removed.cleans.insert(position),
        }
    }
}

/// The addresses that are not the user's, if there are any that are.
fn without(user: &UserId, addresses: &Addresses) -> Option<Addresses> {
    let mut rest = addresses.clone();
    rest.users.retain(|known| known != user);
    rest.clients.retain(|client| client.user_str() != Some(user.as_str()));
    rest.nodes.retain(|node| node.user_str() != Some(user.as_str()));
    (rest != *addresses).then_some(rest)
}

/// An entry that was in no other log keeps its id for its author, and nothing to read.
fn readdressed(entry: Entry, addresses: Addresses) -> Entry {
    let entry = Entry { addresses, ..entry };
    let is_read = entry.cleaned || entry.addresses.logs().next().is_some();
    if is_read { entry } else { take_body(entry) }
}
