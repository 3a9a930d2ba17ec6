//! Why a place shows what it shows.

use super::Document;
use crate::entry::Sight;
use crate::{Change, Dot, Element, Entry, Kind, Operation, Path};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands behind the value at a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The kind that readers see; none when they see nothing.
    pub shown: Option<Kind>,
    /// The keys under the path.
    pub keys: Vec<Arc<str>>,
    /// What was done at the path: first what is in the state, kind by kind, then what is not any more.
    pub parts: Vec<Part>,
}

/// Something that an entry did at the path.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The entry.
    pub dot: Dot,
    /// The kind of value that it worked on. Kinds other than the one shown are hidden by it.
    pub kind: Kind,
    /// What it did, in the words of the vocabulary.
    pub what: Value,
    /// What became of it.
    pub fate: Fate,
}

/// What became of something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It makes the value of its kind.
    Makes,
    /// It is there still, but another wins by the rule of its kind.
    Lost {
        /// The winner.
        to: Dot,
    },
    /// An entry that had seen it took its place, or removed it.
    Replaced {
        /// That entry.
        by: Dot,
    },
    /// Its place in a list or text, or what it moves, is not there.
    Waits {
        /// What it waits for.
        for_element: Element,
    },
    /// It only took away what it had seen.
    TookAway,
    /// It is no part of the value any more, because of an entry that is not kept.
    Gone,
}

impl Document {
    /// What made the value at `path`, what lost, and to what.
    ///
    /// `kept` are entries of the document's log, as many as there still are, in any order. Without
    /// them only what is in the state is told: what was replaced is not known any more.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::{Context, Document, DocumentAction, Dot, Entry, Fate, Incarnation, Path, Position, Stamp};
    /// # let entry = |position: u64, time: u64, action: serde_json::Value| Entry {
    /// #     dot: Dot { incarnation: Incarnation(1), position: Position::new(position).unwrap() },
    /// #     aliases: vec![], context: Context::default(),
    /// #     stamp: Stamp { time, node: "10:a:b".into(), sequence: position, created: time },
    /// #     changes: DocumentAction::parse(&action).unwrap().changes,
    /// # };
    /// let write = |value| json!({ "type": "crdt/register/set", "doc": "d", "value": value });
    /// let (early, late) = (entry(1, 1000, write("a")), entry(2, 2000, write("b")));
    /// let mut document = Document::default();
    /// document.apply(&early);
    /// document.apply(&late);
    /// let why = document.why(&Path::default(), &[early.clone(), late.clone()]);
    /// let fate = |entry: &Entry| why.parts.iter().find(|part| part.dot == entry.dot).map(|part| &part.fate);
    /// assert_eq!(fate(&late), Some(&Fate::Makes));
    /// assert_eq!(fate(&early), Some(&Fate::Lost { to: late.dot }));
    /// ```
    pub fn why<'a>(&self, path: &Path, kept: impl IntoIterator<Item = &'a Entry>) -> Why {
        let slot = self.root.at(path);
        let mut parts = Vec::new();
        for (kind, cell) in slot.map(|slot| slot.cells.as_slice()).unwrap_or_default() {
            parts.extend(cell.parts(*kind).into_iter().map(|standing| Part {
                dot: standing.dot,
                kind: *kind,
                what: standing.what,
                fate: standing.fate,
            }));
        }
        let standing: BTreeSet<(Dot, Kind)> =
            parts.iter().map(|part| (part.dot, part.kind)).collect();
        let concerned: Vec<&Entry> =
            kept.into_iter().filter(|entry| entry.concerns(path)).collect();
        for entry in &concerned {
            for change in entry.changes.iter().filter(|change| change.path == *path) {
                if !standing.contains(&(entry.dot, change.operation.kind())) {
                    parts.push(self.account(entry, change, &concerned));
                }
            }
        }
        Why {
            shown: slot.and_then(super::Slot::shown),
            keys: self.keys(path).cloned().collect(),
            parts,
        }
    }

    /// What became of something that is not in the state.
    fn account(&self, entry: &Entry, change: &Change, kept: &[&Entry]) -> Part {
        let replacer = kept.iter().find(|other| {
            let sight = Sight::new(other, &self.aliases);
            let is_later = entry.stamp < other.stamp;
            let mut over = other.changes.iter().filter(|by| by.works_at(&change.path));
            sight.saw(entry.dot)
                && over.any(|by| by.operation.takes_the_place_of(&change.operation, is_later))
        });
        let fate = match replacer {
            _ if change.operation.only_takes_away() => Fate::TookAway,
            Some(by) => Fate::Replaced { by: by.dot },
            None => self.deleted_by(change, entry, kept),
        };
        let what = Value::Object(change.operation.fields());
        Part { dot: entry.dot, kind: change.operation.kind(), what, fate }
    }

    /// Elements of lists and texts go by being named, not by being seen.
    fn deleted_by(&self, change: &Change, entry: &Entry, kept: &[&Entry]) -> Fate {
        let kind = change.operation.kind();
        let mut actions = vec![Element::of(&entry.stamp, 0)];
        if let Some(list) = self.list(&change.path) {
            actions.extend(list.0.further_names(&entry.stamp));
        }
        let deletes = |other: &&&Entry| {
            let mut here = other.changes.iter().filter(|by| by.path == change.path);
            here.any(|by| by.operation.kind() == kind && by.operation.deletes_of(&actions))
        };
        kept.iter().find(deletes).map_or(Fate::Gone, |by| Fate::Replaced { by: by.dot })
    }
}

impl Entry {
    /// Whether it does something at `path`, or removes something above it.
    fn concerns(&self, path: &Path) -> bool {
        self.changes.iter().any(|change| change.works_at(path))
    }
}

impl Change {
    fn works_at(&self, path: &Path) -> bool {
        self.path == *path || (self.operation == Operation::Remove && self.path.includes(path))
    }
}
