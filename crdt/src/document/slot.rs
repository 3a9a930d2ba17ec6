//! One place in a document: what is under its keys, and its values by kind.

use crate::cell::Cell;
use crate::cell::live::Both;
use crate::entry::Sight;
use crate::{Change, Entry, Kind, Operation, Path, SetOp, Switch};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A place. Values of several kinds can be here side by side; the first is what readers see.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Slot {
    /// The map that is here.
    pub(crate) children: BTreeMap<Arc<str>, Slot>,
    /// The other values that are here, by kind.
    pub(crate) cells: Vec<(Kind, Cell)>,
}

impl Slot {
    /// The place that these keys lead to, if there is anything.
    pub(crate) fn at(&self, path: &Path) -> Option<&Self> {
        path.keys().iter().try_fold(self, |slot, key| slot.children.get(key))
    }

    /// The values that are here besides the map.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().map(|(_, cell)| cell)
    }

    /// Takes away what `change` takes the place of, and places that are empty then.
    pub(crate) fn retire(&mut self, change: &Change, sight: &Sight<'_>) {
        self.retire_under(change.path.keys(), &change.operation, sight);
    }

    fn retire_under(&mut self, keys: &[Arc<str>], operation: &Operation, sight: &Sight<'_>) {
        let Some((key, rest)) = keys.split_first() else {
            return self.retire_here(operation, sight);
        };
        if let Some(child) = self.children.get_mut(key) {
            child.retire_under(rest, operation, sight);
            if child.is_empty() {
                self.children.remove(key);
            }
        }
    }

    fn retire_here(&mut self, operation: &Operation, sight: &Sight<'_>) {
        let kind = operation.kind();
        if *operation == Operation::Remove {
            return self.erase(sight);
        }
        if let Ok(at) = self.find(kind)
            && let Some((_, cell)) = self.cells.get_mut(at)
        {
            cell.retire(operation, sight);
            if cell.is_empty() {
                self.cells.remove(at);
            }
        }
    }

    fn erase(&mut self, sight: &Sight<'_>) {
        self.children.retain(|_, child| {
            child.erase(sight);
            !child.is_empty()
        });
        self.cells.retain_mut(|(_, cell)| {
            cell.erase(sight);
            !cell.is_empty()
        });
    }

    /// Does what the changes of `entry` say.
    pub(crate) fn apply(&mut self, entry: &Entry, sight: &Sight<'_>) {
        for (at, change) in entry.changes.iter().enumerate() {
            if change.operation.brings_something() {
                let number = entry.elements_before(at);
                self.make(&change.path).cell(change.operation.kind(), |cell| {
                    cell.apply(&change.operation, number, sight);
                });
            } else {
                self.retire(change, sight);
            }
        }
    }

    fn make(&mut self, path: &Path) -> &mut Self {
        path.keys().iter().fold(self, |slot, key| slot.children.entry(key.clone()).or_default())
    }

    fn cell(&mut self, kind: Kind, act: impl FnOnce(&mut Cell)) {
        let at = match self.find(kind) {
            Ok(at) => at,
            Err(at) => {
                let Some(cell) = Cell::new(kind) else { return };
                self.cells.insert(at, (kind, cell));
                at
            }
        };
        if let Some((_, cell)) = self.cells.get_mut(at) {
            act(cell);
        }
    }

    fn find(&self, kind: Kind) -> Result<usize, usize> {
        self.cells.binary_search_by_key(&kind, |(kind, _)| *kind)
    }

    /// Takes in the same place of another state.
    pub(crate) fn merge(&mut self, other: &Self, both: Both<'_>) {
        let nothing = Self::default();
        self.children.retain(|key, child| {
            child.merge(other.children.get(key).unwrap_or(&nothing), both);
            !child.is_empty()
        });
        for (key, theirs) in &other.children {
            if !self.children.contains_key(key) {
                let mut child = Self::default();
                child.merge(theirs, both);
                if !child.is_empty() {
                    self.children.insert(key.clone(), child);
                }
            }
        }
        self.merge_cells(other, both);
    }

    fn merge_cells(&mut self, other: &Self, both: Both<'_>) {
        for kind in Kind::ALL {
            let Some(fresh) = Cell::new(kind) else { continue };
            let theirs = other.find(kind).ok().and_then(|at| other.cells.get(at));
            if theirs.is_none() && self.find(kind).is_err() {
                continue;
            }
            let theirs = theirs.map_or(&fresh, |(_, cell)| cell);
            self.cell(kind, |mine| mine.merge(theirs, both));
        }
        self.cells.retain(|(_, cell)| !cell.is_empty());
    }

    /// The kind that readers see.
    pub(crate) fn shown(&self) -> Option<Kind> {
        if self.children.values().any(|child| child.shown().is_some()) {
            return Some(Kind::Map);
        }
        let mut cells = self.cells.iter();
        cells.find(|(kind, cell)| cell.value(*kind).is_some()).map(|(kind, _)| *kind)
    }

    /// What readers see: of several kinds the first that shows something.
    pub(crate) fn value(&self) -> Option<Value> {
        let fields: serde_json::Map<_, _> = self
            .children
            .iter()
            .filter_map(|(key, child)| Some((key.to_string(), child.value()?)))
            .collect();
        if fields.is_empty() {
            self.cells.iter().find_map(|(kind, cell)| cell.value(*kind))
        } else {
            Some(fields.into())
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.children.is_empty() && self.cells.is_empty()
    }
}

impl Operation {
    /// Whether it takes the place of anything.
    pub(crate) fn retires(&self) -> bool {
        !matches!(self, Self::Counter(_) | Self::GrowCounter(_) | Self::List(_) | Self::Text(_))
    }

    /// Whether it leaves something at its place; what only takes away makes no place.
    fn brings_something(&self) -> bool {
        !matches!(
            self,
            Self::Remove | Self::Set(SetOp::Remove(_)) | Self::EnableWinsFlag(Switch::Disable)
        )
    }
}
