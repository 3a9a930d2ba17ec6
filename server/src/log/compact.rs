//! Compaction: entries whose whole effect is in documents leave the feed, and what they add up to is kept
//! instead (see `base`). What goes, and what it adds up to, is for others to say; here it is done, in one
//! step.
//!
//! What is left of an entry that went is what is left of a cleaned one, without addresses and context: its
//! place and its id, so that it is known when it is sent again.

use super::Log;
use super::base::{Base, Bases, encode_head};
use super::entry::{Addresses, Causes, Entry, LogName};
use super::error::{Damage, Failure};
use super::positions::Positions;
use super::prefix::{Hash, Prefix};
use super::record::{Record, put_entry, take_body};
use super::rewrite::{Refused, RewriteError, Rewriting};
use super::row::{Row, RowBuilder};
use super::run::Item;
use super::shared::Shared;
use super::usage::{Changes, bytes_of};
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_crdt::Position;

/// How far a compaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Entries are looked at, up to the first position of the second.
    Reading(Position, Position),
    /// Logs are folded, so many of so many.
    Folding(u64, u64),
    /// The feed is copied, up to the first position of the second.
    Copying(Position, Position),
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compacted {
    /// The head when it was done.
    pub(crate) head: Position,
    /// How often the feed has been rewritten.
    pub(crate) generation: u64,
    /// How long the file of the feed was, and is.
    pub(crate) feed_bytes: (u64, u64),
}

/// A compaction that is being planned: nobody else rewrites the feed.
pub(crate) struct Compacting<'a> {
    rewriting: &'a Rewriting,
    hash: &'a Hash,
    replaced: HashSet<Prefix>,
}

impl Compacting<'_> {
    /// What the documents of a log are from now on, as far as entries of it go; it had these before.
    pub(crate) fn put(&mut self, log: &LogName, bases: &Bases) -> Result<(), RewriteError> {
        let (prefix, next) = (self.hash.log(log), self.rewriting.next());
        self.replaced.insert(prefix);
        next.put_base((prefix, Position::ZERO, false), &encode_head(bases.through))?;
        let put =
            |base: &Base| next.put_base((prefix, base.position, base.shown), &base.encode(log));
        Ok(bases.bases.iter().try_for_each(put)?)
    }

    /// What is kept of logs of which nothing goes now.
    fn put_others(&self, through: Position) -> Result<(), RewriteError> {
        let (from, next) = (self.rewriting.from(), self.rewriting.next());
        for kept in from.all_bases() {
            let (prefix, position, shown, bytes) = kept?;
            if !self.replaced.contains(&prefix) {
                next.put_base((prefix, position, shown), &bytes)?;
            }
        }
        Ok(next.put_compacted(through.max(from.compacted()?))?)
    }
}

impl Log {
    /// Takes entries out, as `plan` says: up to where any go, and which, if any. Blocks for as long as it
    /// takes to plan and to copy the feed; commits go on meanwhile.
    pub(crate) fn compact(
        &self,
        plan: impl FnOnce(
            &mut Compacting<'_>,
            &mut dyn FnMut(Step),
        ) -> Result<Option<(Position, Positions)>, RewriteError>,
        told: &mut dyn FnMut(Step),
    ) -> Result<Option<Compacted>, RewriteError> {
        let shared = self.shared();
        let rewriting = Rewriting::begin(shared)?;
        let mut compacting =
            Compacting { rewriting: &rewriting, hash: &shared.hash, replaced: HashSet::new() };
        let planned = plan(&mut compacting, told)?.filter(|(_, going)| !going.is_empty());
        let Some((through, going)) = planned else { return Ok(None) };
        compacting.put_others(through)?;
        let hash = shared.hash.clone();
        let taker = Arc::new(Taker { going, hash, found: Mutex::default() });
        let (changing, head) = (Arc::clone(&taker), shared.head());
        let change = Box::new(move |row| changing.row(row));
        let rewritten = rewriting.run(change, &mut |at| told(Step::Copying(at, head)))?;
        shared.set_compacted(through.max(shared.compacted()));
        // From here on the feed is right and the index is not, so a failure is one of the log: the
        // next opening makes the index anew.
        taker.clear_index(shared, rewritten.generation).map_err(|failure| {
            shared.fail(failure);
            RewriteError::Stopped
        })?;
        Ok(Some(Compacted {
            head: rewritten.head,
            generation: rewritten.generation,
            feed_bytes: rewritten.bytes,
        }))
    }
}

/// What goes, and what was found of it so far.
struct Taker {
    going: Positions,
    hash: Hash,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// Logs that have lost an entry.
    logs: HashSet<Prefix>,
    /// What counts no more for whom.
    changes: Changes,
    /// What is in that: a row that was changed meanwhile comes again.
    counted: Positions,
}

impl Taker {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row that takes the place of `row`.
    fn row(&self, row: Row) -> Result<Vec<Row>, Refused> {
        if !row.records().any(|(position, _)| self.going.contains(position)) {
            return Ok(vec![row]);
        }
        let mut found = self.found();
        let mut builder = RowBuilder::new(row.first());
        for (position, record) in row.records() {
            if !self.going.contains(position) {
                builder.push(&record);
                continue;
            }
            match Record::decode(position, &record)? {
                Record::Entry(entry) if !entry.cleaned => {
                    found.note(&entry, &self.hash);
                    builder.push(&left_of(entry));
                }
                // What it did is in what was folded, and its author wants it gone.
                Record::Entry(_) | Record::Clean(_) | Record::Erased(_) | Record::Alias(_) => {
                    return Err(Refused::Overtaken);
                }
            }
        }
        Ok(vec![builder.finish()])
    }

    /// What becomes of an item in a run: the run says what the feed says now.
    fn item(&self, item: &Item, shown: impl Fn(Position) -> bool) -> Result<Option<Bytes>, Damage> {
        let position = Position::new(item.key.major).unwrap_or_default();
        let left = match Record::decode(position, &item.value)? {
            Record::Entry(entry) if entry.cleaned => item.value.clone(),
            Record::Entry(entry) if self.going.contains(position) => left_of(entry),
            Record::Erased(_) => item.value.clone(),
            Record::Entry(_) | Record::Clean(_) | Record::Alias(_) => {
                return Ok(Some(item.value.clone()));
            }
        };
        // Where nothing is shown nobody needs to know of it.
        Ok(shown(position).then_some(left))
    }

    /// Brings the index to what the feed says.
    fn clear_index(&self, shared: &Shared, generation: u64) -> Result<(), Failure> {
        let Found { logs, changes, .. } = std::mem::take(&mut *self.found());
        shared.change_usage(&changes, generation)?;
        let shown = shown(shared, &logs)?;
        let keep =
            |item: &Item| self.item(item, |position| shown.contains(&(item.key.prefix, position)));
        let publish = |current: &_| shared.publish_rewritten(current);
        shared.index.rewrite_runs((&logs, generation), keep, publish)?;
        shared.index.remove_others()
    }
}

/// Where something is shown in these logs.
fn shown(shared: &Shared, logs: &HashSet<Prefix>) -> Result<HashSet<(Prefix, Position)>, Failure> {
    let feed = shared.feed();
    let places = feed.shown_places(Position::ZERO);
    let places = places.map(|place| place.map(|(position, prefix)| (prefix, position)));
    let concerned =
        places.filter(|place| place.as_ref().map_or(true, |(prefix, _)| logs.contains(prefix)));
    concerned.collect::<Result<_, _>>().map_err(Failure::from)
}

/// What is left of an entry in its place.
fn left_of(entry: Entry) -> Bytes {
    let (addresses, causes) = (Addresses::default(), Causes::default());
    let left = take_body(Entry { addresses, causes, ..entry });
    let mut out = Vec::new();
    put_entry(&mut out, &left);
    out.into()
}

impl Found {
    fn note(&mut self, entry: &Entry, hash: &Hash) {
        self.logs.extend(entry.addresses.logs().map(|log| hash.log(&log)));
        if let Some(author) = entry.id.node.user_str()
            && self.counted.insert(entry.position)
        {
            self.changes.add(hash.user(author), 0_i64.saturating_sub_unsigned(bytes_of(entry)));
        }
    }
}
