//! The feed by itself: every row under its checksum and at its place, every record readable, requests to
//! clean done, epochs in order, nothing missing at the end.

use super::super::base::Base;
use super::super::entry::Entry;
use super::super::error::{Corrupt, Damage, OpenError, ReadError};
use super::super::head::Head;
use super::super::identity::Identity;
use super::super::prefix::{Hash, Key, Prefix};
use super::super::record::{Clean, Record};
use super::super::recover::cut_off;
use super::super::row::Row;
use super::super::run::REBUILD;
use super::super::store::Feed;
use super::digest::Digest;
use super::kept::Kept;
use super::{Progress, Report, Severity};
use crate::epochs::Epoch;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use tidelog_crdt::Position;

/// Between two reports of progress.
const TELL_EVERY: u64 = 50_000;

/// The feed that is checked.
#[derive(Clone, Copy)]
pub(super) struct Check<'a> {
    pub(super) dir: &'a Path,
    pub(super) feed: &'a Feed,
    pub(super) identity: Option<&'a Identity>,
}

/// What the index has to say of a feed.
pub(super) struct Expected {
    pub(super) entries: Digest,
    pub(super) ids: Digest,
    /// How many bytes are kept of each user, but for those of the undecided.
    pub(super) kept: Kept,
    /// Whose body may or may not have been taken out yet: requests above the checkpoint.
    pub(super) undecided: HashSet<Position>,
}

/// One walk over the rows.
struct Walk<'a> {
    check: Check<'a>,
    hash: Hash,
    checkpoint: Position,
    last: Position,
    next: Position,
    accepted_ms: u64,
    expected: Expected,
    /// In which logs something is shown where entries went.
    shown: HashMap<Position, Vec<Prefix>>,
}

impl Check<'_> {
    /// Walks over the whole feed; what an index up to `checkpoint` has to say of it.
    pub(super) fn walk(
        self,
        checkpoint: Position,
        report: &mut Report,
        told: &mut dyn FnMut(Progress),
    ) -> Result<Expected, OpenError> {
        let hash = Hash::new(&self.identity.map_or([0; 16], |identity| identity.secret));
        let mut walk = Walk {
            check: self,
            checkpoint,
            last: self.feed.last_key(),
            next: Position::ZERO.plus(1),
            accepted_ms: 0,
            expected: Expected {
                entries: Digest::default(),
                ids: Digest::default(),
                kept: Kept::new(hash.clone()),
                undecided: self.undecided(checkpoint),
            },
            hash,
            shown: self.bases(report)?,
        };
        let mut tell_at = TELL_EVERY;
        for row in self.feed.rows() {
            match row {
                Ok(row) => walk.row(&row, report),
                Err(ReadError::Corrupt(corrupt)) => walk.damaged_row(corrupt, report),
                // Nothing more can be read.
                Err(error) => return Err(error.into()),
            }
            if walk.next.get() >= tell_at {
                told(Progress::Feed(walk.next, walk.last));
                tell_at = walk.next.get() + TELL_EVERY;
            }
        }
        report.head = Position::new(walk.next.get() - 1).unwrap_or_default();
        self.end(report)?;
        self.epochs(report);
        Ok(walk.expected)
    }

    /// What compaction left can be read; where it is shown, and in which logs.
    fn bases(self, report: &mut Report) -> Result<HashMap<Position, Vec<Prefix>>, OpenError> {
        let mut shown: HashMap<_, Vec<_>> = HashMap::new();
        for kept in self.feed.all_bases() {
            let (prefix, position, is_shown, bytes) = match kept {
                Ok(kept) => kept,
                Err(ReadError::Corrupt(corrupt)) => {
                    report.corrupt(Severity::Feed, corrupt);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if is_shown {
                shown.entry(position).or_default().push(prefix);
            }
            if position > Position::ZERO {
                report.counts.documents += 1;
                if let Err(damage) = Base::decode((position, is_shown), &bytes) {
                    report.corrupt(Severity::Feed, self.feed.damaged(position, damage));
                }
            }
        }
        Ok(shown)
    }

    /// Targets of requests to clean above the checkpoint.
    fn undecided(self, checkpoint: Position) -> HashSet<Position> {
        let mut targets = HashSet::new();
        let rows = self.feed.rows_above(checkpoint).into_iter().flatten().filter_map(Result::ok);
        for row in rows {
            for (position, record) in row.records().filter(|(at, _)| *at > checkpoint) {
                if let Ok(Record::Clean(clean)) = Record::decode(position, &record) {
                    targets.insert(clean.target);
                }
            }
        }
        targets
    }

    /// Whether the feed goes up to where was acknowledged.
    fn end(self, report: &mut Report) -> Result<(), OpenError> {
        let Some(identity) = self.identity else { return Ok(()) };
        let acknowledged = Head::read(self.dir, identity)?.unwrap_or_default();
        if acknowledged > report.head {
            report.corrupt(Severity::Feed, cut_off(self.feed, report.head.plus(1)));
        }
        Ok(())
    }

    fn epochs(self, report: &mut Report) {
        match self.feed.epochs() {
            Ok(epochs) => {
                report.counts.epochs = epochs.len() as u64;
                let late = |epoch: &&Epoch| epoch.first > report.head.plus(1);
                if let Some(epoch) = epochs.iter().find(late) {
                    let damage = Damage("an epoch starts behind the end of the feed");
                    report.corrupt(Severity::Feed, self.feed.damaged(epoch.first, damage));
                }
            }
            Err(ReadError::Corrupt(corrupt)) => report.corrupt(Severity::Feed, corrupt),
            Err(ReadError::Io(reason)) => {
                report.unopened(Severity::Feed, self.dir, OpenError::Disk(reason));
            }
        }
    }
}

impl Walk<'_> {
    fn row(&mut self, row: &Row, report: &mut Report) {
        report.counts.rows += 1;
        if row.first() > self.next {
            report.corrupt(Severity::Feed, self.check.feed.gap(self.next));
        }
        if row.first() < self.next {
            self.damaged(row.first(), "two rows have the same position", report);
        }
        for (position, bytes) in row.records() {
            match Record::decode(position, &bytes) {
                Ok(record) => self.record(position, &bytes, record, report),
                Err(Damage(what)) => self.damaged(position, what, report),
            }
        }
        self.next = self.next.max(row.next());
    }

    /// How many records were in it nobody knows, so the next row may be anywhere behind it.
    fn damaged_row(&mut self, corrupt: Corrupt, report: &mut Report) {
        report.counts.rows += 1;
        if corrupt.position > self.next {
            report.corrupt(Severity::Feed, self.check.feed.gap(self.next));
        }
        let first = corrupt.position;
        report.corrupt(Severity::Feed, corrupt);
        let above = self.check.feed.next_key(first);
        self.next = self.next.max(above.unwrap_or_else(|| first.plus(1)));
    }

    fn damaged(&self, position: Position, what: &'static str, report: &mut Report) {
        report.corrupt(Severity::Feed, self.check.feed.damaged(position, Damage(what)));
    }

    fn record(&mut self, at: Position, bytes: &Bytes, record: Record, report: &mut Report) {
        if record.accepted_ms() < self.accepted_ms {
            self.damaged(at, "a commit is earlier than the one before it", report);
        }
        self.accepted_ms = self.accepted_ms.max(record.accepted_ms());
        let logs = self.shown.get(&at).filter(|_| at <= self.checkpoint).into_iter().flatten();
        for prefix in logs {
            self.expected.entries.add(Key { prefix: *prefix, major: at.get(), minor: 0 }, bytes);
        }
        match record {
            Record::Entry(entry) => {
                self.id(self.hash.id(&entry.id), at);
                if entry.cleaned {
                    report.counts.cleaned += 1;
                    return;
                }
                report.counts.entries += 1;
                if at <= self.checkpoint && !self.expected.undecided.contains(&at) {
                    self.indexed(&entry, bytes);
                }
            }
            Record::Clean(clean) => self.clean(at, &clean, report),
            Record::Alias(alias) => {
                if alias.target >= at {
                    self.damaged(at, "a record names an entry that comes after it", report);
                }
            }
            Record::Erased(erased) => {
                report.counts.erased += 1;
                if let Some(id) = erased.id {
                    self.id(id, at);
                }
            }
        }
    }

    fn indexed(&mut self, entry: &Entry, bytes: &Bytes) {
        let logs: HashSet<_> = entry.addresses.logs().collect();
        for log in &logs {
            let (prefix, major) = (self.hash.log(log), entry.position.get());
            self.expected.entries.add(Key { prefix, major, minor: 0 }, bytes);
        }
        self.expected.kept.count(entry);
    }

    fn id(&mut self, id: Key, at: Position) {
        if at <= self.checkpoint {
            self.expected.ids.add(id, &at.get().to_be_bytes());
        }
    }

    /// A body that was to be taken out before the checkpoint passed the request is out.
    fn clean(&self, at: Position, clean: &Clean, report: &mut Report) {
        if clean.target >= at {
            self.damaged(at, "what is to be cleaned comes later", report);
        }
        if at > self.checkpoint {
            return;
        }
        let row = self.check.feed.row_at(clean.target).ok().flatten();
        let record = row.and_then(|row| row.record(clean.target));
        let target = record.and_then(|record| Record::decode(clean.target, &record).ok());
        if let Some(Record::Entry(entry)) = target
            && !entry.cleaned
        {
            let damage = Damage("a body that was cleaned is still here");
            let corrupt = self.check.feed.damaged(clean.target, damage);
            report.corrupt(Severity::Derived, Corrupt { way_out: REBUILD, ..corrupt });
        }
    }
}
