//! What the entries of one log add up to.
//!
//! # A function of a set
//!
//! A document is a function of the *set* of entries that it folded: neither their order, nor how
//! often each came, nor whether they came one by one or as the state of another replica makes a
//! difference. Each operation *retires* what it takes the place of and its author had seen, and
//! *admits* what it brings. What is retired is gone for good, on every replica, whichever of the two
//! entries comes first: an entry whose context reaches beyond what has been folded is kept, and what
//! it had seen is retired when it comes.
//!
//! # Snapshot and tail
//!
//! [`Document::encode`] is a snapshot. It says itself what it includes ([`Document::folded`]), so a
//! tail may overlap it: an entry that is in is [known](Applied::Known). A snapshot with the tail
//! folded into it equals the whole history folded.
//!
//! # Undo
//!
//! An entry that is undone leaves the document by folding again, without it: from a snapshot that
//! does not include it, which the owner of the log keeps below what may still be undone. The same
//! goes for an entry that was folded under one of its names before the other was known; `apply` and
//! `merge` notice that ([`Applied::FoldAgain`]).

mod late;
mod slot;
mod state;
pub(crate) mod why;

use crate::cell::Cell;
use crate::cell::live::Both;
use crate::entry::{Aliases, Sight};
use crate::{Context, Entry, Incarnation, List, Path, Position, Record, Text};
use late::Late;
use serde_json::Value;
pub(crate) use slot::Slot;
use std::sync::Arc;

/// The state of one document.
///
/// ```
/// use serde_json::json;
/// use tidelog_crdt::{Context, Document, DocumentAction, Dot, Entry, Incarnation, Position, Stamp};
///
/// let action = json!({ "type": "crdt/counter/add", "doc": "likes", "path": ["post-1"], "by": 2 });
/// let entry = Entry {
///     dot: Dot { incarnation: Incarnation(1), position: Position::new(7).unwrap() },
///     aliases: Vec::new(),
///     context: Context::default(),
///     stamp: Stamp { time: 1000, node: "10:a:b".into(), sequence: 0, created: 1000 },
///     changes: DocumentAction::parse(&action)?.changes,
/// };
/// let mut document = Document::default();
/// document.apply(&entry);
/// document.apply(&entry); // once or twice is the same
/// assert_eq!(document.value(), json!({ "post-1": 2 }));
/// # Ok::<(), tidelog_crdt::Malformed>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The dots and aliases of what was folded. A prefix says that all below it was.
    pub(crate) folded: Context,
    pub(crate) aliases: Aliases,
    pub(crate) late: Late,
    pub(crate) root: Slot,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`FoldAgain` leaves the document as it was, and it must be folded again"]
pub enum Applied {
    /// It is in now. Whether a reader sees a difference is another matter.
    Folded,
    /// It was in already; nothing changed.
    Known,
    /// The entry was folded before one of its names was known, so that contexts which cover that
    /// name may have missed it. Nothing changed: fold the entries again, from before this one.
    FoldAgain,
}

impl Document {
    /// Folds one entry in.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        if self.folded.covers(entry.dot) {
            let names = self.aliases.of(entry.dot);
            let all_known = entry.aliases.iter().all(|alias| names.contains(alias));
            return if all_known { Applied::Known } else { Applied::FoldAgain };
        }
        if entry.aliases.iter().any(|alias| self.folded.covers(*alias)) {
            return Applied::FoldAgain;
        }
        self.aliases.insert(entry.dot, &entry.aliases);
        let sight = Sight::new(entry, &self.aliases);
        self.root.apply(entry, &sight);
        for (late, sight) in self.late.who_saw(entry, &self.aliases) {
            late.changes.iter().for_each(|change| self.root.retire(change, &sight));
        }
        let mut settles = self.folded.insert_dot(entry.dot);
        for alias in &entry.aliases {
            settles |= self.folded.insert_dot(*alias);
        }
        if settles {
            self.late.forget_settled(&self.folded);
        }
        self.late.remember(entry, &self.folded);
        Applied::Folded
    }

    /// Every entry of this log that `incarnation` accepted up to `through` is folded in, or is none
    /// of this document.
    ///
    /// Whoever follows a feed in order knows that; it keeps what is remembered of the past small.
    /// Call it before and after a page, or with each entry.
    pub fn settle(&mut self, incarnation: Incarnation, through: Position) {
        self.folded.insert_prefix(incarnation, through);
        self.late.forget_settled(&self.folded);
    }

    /// Whether anything is remembered for entries that may still come. If not, settling changes nothing but what
    /// is said to be folded.
    pub fn remembers(&self) -> bool {
        self.late.entries().len() > 0
    }

    /// Takes in the state of another replica of this document: as if its entries had been folded.
    pub fn merge(&mut self, other: &Self) -> Applied {
        if self.misses_a_name_of(other) || other.misses_a_name_of(self) {
            return Applied::FoldAgain;
        }
        let before = self.folded.clone();
        self.root.merge(&other.root, Both { mine: &before, theirs: &other.folded });
        self.folded.union(&other.folded);
        for (dot, aliases) in other.aliases.iter() {
            self.aliases.insert(dot, aliases);
        }
        for entry in other.late.entries() {
            self.late.insert(entry.clone());
        }
        for late in self.late.entries() {
            let sight = Sight::new(late, &self.aliases);
            late.changes.iter().for_each(|change| self.root.retire(change, &sight));
        }
        self.late.forget_settled(&self.folded);
        if self.folded == before { Applied::Known } else { Applied::Folded }
    }

    /// What is folded in: the dots and aliases of entries, as prefixes and what lies beyond them.
    pub fn folded(&self) -> &Context {
        &self.folded
    }

    /// What a reader sees; null when there is nothing.
    pub fn value(&self) -> Value {
        self.root.value().unwrap_or_default()
    }

    /// What a reader sees at `path`, if there is something.
    pub fn value_at(&self, path: &Path) -> Option<Value> {
        self.root.at(path)?.value()
    }

    /// The list at `path`, if there ever was one.
    pub fn list(&self, path: &Path) -> Option<&List> {
        self.root.at(path)?.cells().find_map(|cell| match cell {
            Cell::List(list) => Some(&**list),
            _ => None,
        })
    }

    /// The text at `path`, if there ever was one.
    pub fn text(&self, path: &Path) -> Option<&Text> {
        self.root.at(path)?.cells().find_map(|cell| match cell {
            Cell::Text(text) => Some(&**text),
            _ => None,
        })
    }

    /// The record at `path`, if there is anything of one.
    pub fn record(&self, path: &Path) -> Option<&Record> {
        self.root.at(path)?.cells().find_map(|cell| match cell {
            Cell::Record(record) => Some(record),
            _ => None,
        })
    }

    /// The keys under `path` that have anything under them, whether or not it shows.
    pub fn keys(&self, path: &Path) -> impl Iterator<Item = &Arc<str>> {
        self.root.at(path).into_iter().flat_map(|slot| slot.children.keys())
    }

    /// Whether `other` knows a name of an entry that this folded without it.
    fn misses_a_name_of(&self, other: &Self) -> bool {
        other.aliases.iter().any(|(dot, aliases)| {
            let known = self.aliases.of(dot);
            let is_in = self.folded.covers(dot) || aliases.iter().any(|a| self.folded.covers(*a));
            is_in && aliases.iter().any(|alias| !known.contains(alias))
        })
    }
}
