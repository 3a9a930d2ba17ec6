//! Of the entries of a document in a log go the first ones, as many as may: so a base has exactly what went,
//! and what stays is above it.
//!
//! Whether an entry goes depends on those before it alone, in each of the logs that it is in. So all is known
//! by the end of one reading of the feed.

use super::plan::home;
use crate::log::{Entry, Log, LogName, Positions, ReadError};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::HashMap;
use std::hash::Hash;
use tidelog_crdt::{DocumentName, Position};

/// So many bits of a hash are a mark's place: 64 MiB at most. Two documents of one place have their marks
/// together, which lets less go and never more.
const MARK_BITS: u32 = 29;

/// What is known of the documents of all logs, up to an entry.
#[derive(Default)]
pub(super) struct Prefixes {
    /// Where the last base of a document in a log is, and whether readers are shown it.
    bases: HashMap<u128, (Position, bool)>,
    marks: Positions,
}

/// What can be said of a document in a log.
#[derive(Clone, Copy, Hash)]
enum Mark {
    /// An entry of it stays.
    Stays,
    /// What goes of it is shown by another log, which has it all.
    Elsewhere,
}

impl Prefixes {
    /// With what went from `log` before.
    pub(super) fn new(log: &Log) -> Result<Self, ReadError> {
        let mut bases = HashMap::new();
        // In order of position, in each log: the last one counts.
        log.every_base(&mut |name, base| {
            bases.insert(hash(name, &base.name), (base.position, base.shown));
        })?;
        Ok(Self { bases, marks: Positions::default() })
    }

    /// Whether `entry` goes, which is of the document called `name` and may go.
    pub(super) fn goes(&mut self, entry: &Entry, name: &DocumentName) -> bool {
        let home = home(&entry.addresses);
        let is_free = |log: LogName| {
            let base = self.bases.get(&hash(&log, name));
            // What was not taken to be of the document when what is around it went has no place in it.
            let is_above = base.is_none_or(|(position, _)| entry.position > *position);
            // One place cannot show what readers get by this log and leave out what they get by another.
            let is_shown = home.as_ref() != Some(&log)
                || (base.is_none_or(|(_, shown)| *shown)
                    && !self.is_marked(Mark::Elsewhere, &log, name));
            is_above && is_shown && !self.is_marked(Mark::Stays, &log, name)
        };
        let goes = home.is_some() && entry.addresses.logs().all(is_free);
        if goes {
            for log in entry.addresses.logs().filter(|log| home.as_ref() != Some(log)) {
                self.marks.insert(place(Mark::Elsewhere, &log, name));
            }
        }
        goes
    }

    /// `entry` stays, and with it what comes after it in the document called `name`.
    pub(super) fn stays(&mut self, entry: &Entry, name: &DocumentName) {
        for log in entry.addresses.logs() {
            let base = self.bases.get(&hash(&log, name));
            if base.is_none_or(|(position, _)| entry.position > *position) {
                self.marks.insert(place(Mark::Stays, &log, name));
            }
        }
    }

    fn is_marked(&self, mark: Mark, log: &LogName, name: &DocumentName) -> bool {
        self.marks.contains(place(mark, log, name))
    }
}

fn hash(log: &LogName, name: &DocumentName) -> u128 {
    hashed(&(key(log), name.as_str()))
}

fn place(mark: Mark, log: &LogName, name: &DocumentName) -> Position {
    let number = hashed(&(mark, key(log), name.as_str())) >> (u128::BITS - MARK_BITS);
    Position::new(u64::try_from(number).unwrap_or_default()).unwrap_or_default()
}

fn key(log: &LogName) -> (bool, &str) {
    match log {
        LogName::User(user) => (true, user.as_str()),
        LogName::Channel(channel) => (false, channel.as_str()),
    }
}

fn hashed(of: &impl Hash) -> u128 {
    let mut hasher = SipHasher24::new();
    of.hash(&mut hasher);
    hasher.finish128().as_u128()
}
