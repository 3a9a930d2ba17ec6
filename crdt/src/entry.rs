//! What a document folds: an entry of its log, with what it does to the document.

use crate::{Context, Dot, Kind, ListOp, Operation, Path, Stamp, TextOp};
use std::collections::BTreeMap;

/// One operation at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: Path,
    /// What.
    pub operation: Operation,
}

/// An entry of the document's log.
///
/// What an entry means is fixed when it is accepted: its context and stamp never change, and it does
/// the same on every replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name that the accepting server gave it; the smallest, if several accepted it.
    pub dot: Dot,
    /// The names that other servers gave it. A context that covers one of them covers the entry.
    pub aliases: Vec<Dot>,
    /// What its author had seen of the log.
    pub context: Context,
    /// Where it stands in the total order. Without its `time` this is the action id, by which
    /// elements of lists and texts are named.
    pub stamp: Stamp,
    /// What it does to the document, in order. Nothing: it only counts as seen.
    pub changes: Vec<Change>,
}

impl Entry {
    /// How many elements the changes before number `at` bring to the list or text that it works on;
    /// the next one has this number.
    pub(crate) fn elements_before(&self, at: usize) -> u32 {
        let Some((change, before)) = self.changes.get(..=at).and_then(|upto| upto.split_last())
        else {
            return 0;
        };
        let kind = change.operation.kind();
        if !matches!(kind, Kind::List | Kind::Text) {
            return 0;
        }
        let same = |other: &&Change| other.operation.kind() == kind && other.path == change.path;
        before.iter().filter(same).map(|other| other.operation.elements()).sum()
    }
}

impl Operation {
    /// How many elements it brings to a list or text.
    fn elements(&self) -> u32 {
        let count = match self {
            Self::List(ListOp::Insert { values, .. }) => values.len(),
            Self::List(ListOp::Move { .. }) => 1,
            Self::Text(TextOp::Insert { text, .. }) => text.chars().count(),
            _ => 0,
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The further names of entries, by their dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aliases(BTreeMap<Dot, Vec<Dot>>);

impl Aliases {
    /// Records the names of an entry; keeps them sorted.
    pub(crate) fn insert(&mut self, dot: Dot, aliases: &[Dot]) {
        if aliases.is_empty() {
            return;
        }
        let known = self.0.entry(dot).or_default();
        known.extend_from_slice(aliases);
        known.sort_unstable();
        known.dedup();
    }

    /// The further names of `dot`.
    pub(crate) fn of(&self, dot: Dot) -> &[Dot] {
        self.0.get(&dot).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of them, by dot.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Dot, &[Dot])> {
        self.0.iter().map(|(dot, aliases)| (*dot, aliases.as_slice()))
    }
}

/// What one entry knows of others: whose place it takes.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) dot: Dot,
    pub(crate) stamp: &'a Stamp,
    context: &'a Context,
    aliases: &'a Aliases,
}

impl<'a> Sight<'a> {
    pub(crate) fn new(entry: &'a Entry, aliases: &'a Aliases) -> Self {
        Self { dot: entry.dot, stamp: &entry.stamp, context: &entry.context, aliases }
    }

    /// Whether the author had seen the entry named `dot`. Nobody has seen their own entry before
    /// they made it, whatever a context claims.
    pub(crate) fn saw(&self, dot: Dot) -> bool {
        let covers = |dot: &Dot| self.context.covers(*dot);
        dot != self.dot && (covers(&dot) || self.aliases.of(dot).iter().any(covers))
    }
}
