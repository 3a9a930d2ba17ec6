//! One commit on its way: records in rows, what is to be known of them, and who waits.

use super::super::entry::{Addresses, Entry, Outcome};
use super::super::naming::Named;
use super::super::prefix::{Hash, Key};
use super::super::record::{Alias, Clean, put_alias, put_clean, put_entry};
use super::super::row::{END_BYTES as RECORD_IN_ROW_BYTES, RECORD_BYTES_MAX, RowBuilder};
use super::super::tail::Staged;
use crate::clock::Stopwatch;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tidelog_crdt::{Dot, Incarnation, Position, Ranges};
use tidelog_protocol::Action;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// What one sync makes durable.
#[derive(Debug)]
pub(super) struct Commit {
    builder: RowBuilder,
    staged: Staged,
    entries: Vec<Arc<Entry>>,
    fresh: HashMap<Key, Arc<Entry>>,
    targets: BTreeMap<Position, (Entry, Action)>,
    foreign: Adopted,
    answers: Vec<Answer>,
    record: Vec<u8>,
    steps: usize,
    since: Stopwatch,
}

/// What a commit says of other servers, on disk with it.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    /// The last dot of each incarnation that it brings.
    pub(super) origins: BTreeMap<Incarnation, Position>,
    /// The dots of those before which others may be missing.
    pub(super) loose: BTreeMap<Incarnation, Ranges>,
    /// Names of entries.
    pub(super) named: Vec<(Position, Named)>,
    /// In which logs entries are that were here and have other names now.
    pub(super) renamed: Vec<Addresses>,
}

/// A commit whose rows are complete.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) staged: Staged,
    /// What is published, in order.
    pub(super) entries: Vec<Arc<Entry>>,
    /// What this commit brings, so that a duplicate is found before it is on disk.
    pub(super) fresh: HashMap<Key, Arc<Entry>>,
    /// Whose bodies are to be taken out, and what stands there instead.
    pub(super) targets: BTreeMap<Position, (Entry, Action)>,
    pub(super) foreign: Adopted,
    pub(super) answers: Vec<Answer>,
    /// How many steps it answers.
    pub(super) steps: usize,
    /// When its batch was taken.
    pub(super) since: Stopwatch,
}

/// What to say to whom when the commit is on disk.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) to: oneshot::Sender<Vec<Outcome>>,
    /// Room in the queue.
    pub(super) room: OwnedSemaphorePermit,
}

impl Answer {
    /// Gives the room in the queue back, and says it.
    pub(super) fn send(self) {
        drop(self.room);
        // Whoever asked may have gone; what was done stays done.
        let _ = self.to.send(self.outcomes);
    }
}

impl Commit {
    /// A commit whose first record will be at `first`.
    pub(super) fn new(first: Position) -> Self {
        Self {
            builder: RowBuilder::new(first),
            staged: Staged::default(),
            entries: Vec::new(),
            fresh: HashMap::new(),
            targets: BTreeMap::new(),
            foreign: Adopted::default(),
            answers: Vec::new(),
            record: Vec::new(),
            steps: 0,
            since: Stopwatch::start(),
        }
    }

    /// The position that the next record gets.
    pub(super) fn next(&self) -> Position {
        self.builder.next()
    }

    /// The entry with this id, if this commit brings it.
    pub(super) fn fresh(&self, id: &Key) -> Option<&Arc<Entry>> {
        self.fresh.get(id)
    }

    /// Adds an entry at [`Commit::next`]; none if it is too large for a row.
    pub(super) fn add(&mut self, entry: Entry, id: Key, hash: &Hash) -> Option<Arc<Entry>> {
        self.record.clear();
        put_entry(&mut self.record, &entry);
        if self.record.len() > RECORD_BYTES_MAX {
            return None;
        }
        self.push_record();
        if entry.cleaned {
            return Some(self.known_only(entry, id));
        }
        let logs = entry.addresses.users.iter().map(|user| hash.user(user.as_str()));
        self.staged.logs.extend(logs.map(|log| (log, entry.position)));
        let logs = entry.addresses.channels.iter().map(|name| hash.channel(name.as_str()));
        self.staged.logs.extend(logs.map(|log| (log, entry.position)));
        self.staged.ids.push((id, entry.position));
        self.staged.count(&entry, hash);
        let entry = Arc::new(entry);
        self.fresh.insert(id, Arc::clone(&entry));
        self.pass(Arc::clone(&entry));
        Some(entry)
    }

    /// Of an entry without a body nothing is to be seen, but its id is known.
    fn known_only(&mut self, entry: Entry, id: Key) -> Arc<Entry> {
        self.staged.ids.push((id, entry.position));
        let entry = Arc::new(entry);
        self.fresh.insert(id, Arc::clone(&entry));
        entry
    }

    /// Adds that `entry`, which was here before, has these names.
    pub(super) fn rename(&mut self, entry: &Entry, named: Named, accepted_ms: u64) {
        self.record.clear();
        put_alias(&mut self.record, Alias { target: entry.position, accepted_ms });
        self.push_record();
        self.foreign.named.push((entry.position, named));
        self.foreign.renamed.push(entry.addresses.clone());
    }

    /// Adds the names of an entry that this commit brings.
    pub(super) fn adopted(&mut self, entry: &Entry, loose: bool) {
        if loose {
            let Dot { incarnation, position } = entry.dot;
            self.foreign.loose.entry(incarnation).or_default().insert(position);
        } else {
            self.met(entry);
        }
        if !entry.aliases.is_empty() {
            self.foreign.named.push((entry.position, Named::of(entry)));
        }
    }

    /// An entry of another server has come, in the order of its dots if it has one.
    pub(super) fn met(&mut self, entry: &Entry) {
        let Dot { incarnation, position } = entry.dot;
        // Which of several dots came in order nobody can tell.
        if entry.aliases.is_empty() {
            let last = self.foreign.origins.entry(incarnation).or_default();
            *last = position.max(*last);
        }
    }

    /// Adds an entry that is published and not stored.
    pub(super) fn pass(&mut self, entry: Arc<Entry>) {
        self.entries.push(entry);
    }

    /// Adds the request to put `instead` in the place of the body of `target`; whether it was not there
    /// before.
    pub(super) fn clean(&mut self, target: Entry, instead: Action, accepted_ms: u64) -> bool {
        if self.targets.contains_key(&target.position) {
            return false;
        }
        let (position, id) = (target.position, target.id.clone());
        let clean = Clean { target: position, id, accepted_ms, instead };
        self.record.clear();
        put_clean(&mut self.record, &clean);
        self.push_record();
        self.targets.insert(position, (target, clean.instead));
        true
    }

    /// Adds what is to be said when the commit is on disk.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.steps += answer.outcomes.len();
        self.answers.push(answer);
    }

    /// What comes next, these entries one after the other, will be in one row, so that a crash leaves
    /// all of them or none; false if they are too large for that.
    pub(super) fn keep_together(&mut self, entries: &[&Entry]) -> bool {
        let mut builder = RowBuilder::new(self.builder.next());
        let mut fits_on = true;
        let mut bytes = 0;
        for entry in entries {
            self.record.clear();
            put_entry(&mut self.record, entry);
            if !builder.fits(self.record.len()) {
                return false;
            }
            builder.push(&self.record);
            bytes += self.record.len();
            // The table of a row grows with each.
            fits_on &= self.builder.fits(bytes + RECORD_IN_ROW_BYTES * entries.len());
        }
        if !fits_on && !self.builder.is_empty() {
            self.end_row();
        }
        true
    }

    fn push_record(&mut self) {
        if !self.builder.fits(self.record.len()) {
            self.end_row();
        }
        self.builder.push(&self.record);
    }

    fn end_row(&mut self) {
        let next = RowBuilder::new(self.builder.next());
        self.staged.rows.push(std::mem::replace(&mut self.builder, next).finish());
    }

    /// Ends the last row.
    pub(super) fn seal(mut self) -> Sealed {
        if !self.builder.is_empty() {
            self.end_row();
        }
        let Self { staged, entries, fresh, targets, foreign, answers, steps, since, .. } = self;
        Sealed { staged, entries, fresh, targets, foreign, answers, steps, since }
    }
}
