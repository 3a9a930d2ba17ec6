//! Sets: for each element, what holds it.

use super::Sight;
use super::live::{Both, Live, Ranked, Writes, erase_by_key, merge_by_key};
use crate::{Json, Kind, SetOp};
use serde_json::Value;
use std::collections::BTreeMap;

/// The elements of a grow-only, two-phase or observed-remove set.
///
/// Under each element the additions that hold; in a two-phase set its removals too, marked false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elements(pub(crate) BTreeMap<Json, Live<bool>>);

impl Elements {
    /// Takes away what `operation` takes the place of.
    ///
    /// An addition takes the place of the additions of the element that its author had seen; so an
    /// element that is added again and again has one dot. A removal in an observed-remove set
    /// takes them away; in a two-phase set it stands beside them.
    pub(crate) fn retire(&mut self, kind: Kind, (values, adds): Parts<'_>, sight: &Sight<'_>) {
        for value in values {
            let Some(holders) = self.0.get_mut(value) else { continue };
            let same = |is_add: bool| kind == Kind::Set || is_add == adds;
            holders.retire(|dot, is_add| same(*is_add) && sight.saw(dot));
            if holders.is_empty() {
                self.0.remove(value);
            }
        }
    }

    /// Takes away what `operation` takes the place of, and puts in what it brings, with one look at
    /// each element.
    pub(crate) fn apply(&mut self, kind: Kind, (values, adds): Parts<'_>, sight: &Sight<'_>) {
        if !adds && kind == Kind::Set {
            return self.retire(kind, (values, adds), sight);
        }
        for value in values {
            if let Some(holders) = self.0.get_mut(value) {
                holders.retire(|dot, is_add| *is_add == adds && sight.saw(dot));
                holders.insert(sight.dot, adds);
            } else {
                self.0.entry(value.clone()).or_default().insert(sight.dot, adds);
            }
        }
    }

    pub(crate) fn erase(&mut self, sight: &Sight<'_>) {
        erase_by_key(&mut self.0, sight);
    }

    pub(crate) fn merge(&mut self, other: &Self, both: Both<'_>) {
        merge_by_key(&mut self.0, &other.0, both);
    }

    /// The elements that are in.
    pub(crate) fn value(&self) -> Option<Value> {
        array(self.0.iter().filter(|(_, holders)| is_in(holders)).map(|(value, _)| value))
    }
}

/// In when something holds it and nothing that stays has removed it.
pub(crate) fn is_in(holders: &Live<bool>) -> bool {
    !holders.is_empty() && holders.iter().all(|(_, is_add)| *is_add)
}

/// The elements of a last-write-wins-element set: for each, the writes that say in or out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RankedElements(pub(crate) BTreeMap<Json, Writes<bool>>);

impl RankedElements {
    pub(crate) fn retire(&mut self, (values, _): Parts<'_>, sight: &Sight<'_>) {
        for value in values {
            if let Some(writes) = self.0.get_mut(value) {
                writes.outrank(sight);
                if writes.is_empty() {
                    self.0.remove(value);
                }
            }
        }
    }

    pub(crate) fn admit(&mut self, (values, adds): Parts<'_>, sight: &Sight<'_>) {
        for value in values {
            let write = Ranked { stamp: sight.stamp.clone(), value: adds };
            self.0.entry(value.clone()).or_default().insert(sight.dot, write);
        }
    }

    pub(crate) fn erase(&mut self, sight: &Sight<'_>) {
        erase_by_key(&mut self.0, sight);
    }

    pub(crate) fn merge(&mut self, other: &Self, both: Both<'_>) {
        merge_by_key(&mut self.0, &other.0, both);
    }

    pub(crate) fn value(&self) -> Option<Value> {
        array(self.0.iter().filter(|(_, writes)| wins(writes)).map(|(value, _)| value))
    }
}

/// Whether the last write says in.
pub(crate) fn wins(writes: &Writes<bool>) -> bool {
    writes.last().is_some_and(|(_, write)| write.value)
}

/// Elements, and whether they come in.
pub(crate) type Parts<'a> = (&'a [Json], bool);

impl SetOp {
    pub(crate) fn parts(&self) -> Parts<'_> {
        match self {
            Self::Add(values) => (values, true),
            Self::Remove(values) => (values, false),
        }
    }
}

fn array<'a>(values: impl Iterator<Item = &'a Json>) -> Option<Value> {
    let values: Vec<Value> = values.map(Json::to_value).collect();
    (!values.is_empty()).then(|| values.into())
}
