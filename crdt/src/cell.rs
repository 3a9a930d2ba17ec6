//! A value of one kind at one place: what operations do to it, and what readers see of it.

pub(crate) mod counter;
pub(crate) mod list;
pub(crate) mod live;
mod parts;
pub(crate) mod record;
pub(crate) mod sequence;
pub(crate) mod set;
pub(crate) mod text;

use crate::entry::Sight;
use crate::{Json, Kind, Operation, Switch};
use counter::Amounts;
use list::List;
use live::{Both, Live, Ranked, Writes};
use record::Record;
use serde_json::Value;
use set::{Elements, RankedElements};
use text::Text;

/// A value, by how it is represented. Kinds that share a representation differ in what retires what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Record(Record),
    List(Box<List>),
    Text(Box<Text>),
    Elements(Elements),
    RankedElements(RankedElements),
    Writes(Writes<Json>),
    Switches(Live<Switch>),
    Amounts(Amounts),
}

impl Cell {
    /// A value of `kind` that nothing was done to; none for a map, which is no cell.
    pub(crate) fn new(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Map => return None,
            Kind::Record => Self::Record(Record::default()),
            Kind::List => Self::List(Box::default()),
            Kind::Text => Self::Text(Box::default()),
            Kind::Set | Kind::TwoPhaseSet | Kind::GrowSet => Self::Elements(Elements::default()),
            Kind::LwwSet => Self::RankedElements(RankedElements::default()),
            Kind::MultiRegister | Kind::Register => Self::Writes(Writes::default()),
            Kind::EnableWinsFlag | Kind::DisableWinsFlag => Self::Switches(Live::default()),
            Kind::Counter | Kind::GrowCounter => Self::Amounts(Amounts::default()),
        })
    }

    /// Takes away what `operation` takes the place of. Doing it again, or later, changes nothing
    /// more: what is retired never depends on what else was.
    pub(crate) fn retire(&mut self, operation: &Operation, sight: &Sight<'_>) {
        let kind = operation.kind();
        match (self, operation) {
            (Self::Record(record), Operation::Record(operation)) => record.retire(operation, sight),
            (
                Self::Elements(set),
                Operation::Set(operation) | Operation::TwoPhaseSet(operation),
            ) => {
                set.retire(kind, operation.parts(), sight);
            }
            (Self::Elements(set), Operation::GrowSet(values)) => {
                set.retire(kind, (values, true), sight);
            }
            (Self::RankedElements(set), Operation::LwwSet(operation)) => {
                set.retire(operation.parts(), sight);
            }
            (Self::Writes(writes), Operation::Register(_)) => writes.outrank(sight),
            (Self::Writes(writes), Operation::MultiRegister(_)) => {
                writes.retire(|dot, _| sight.saw(dot));
            }
            (
                Self::Switches(switches),
                Operation::EnableWinsFlag(_) | Operation::DisableWinsFlag(_),
            ) => switches.retire(|dot, _| sight.saw(dot)),
            _ => {}
        }
    }

    /// Takes away what `operation` takes the place of, and puts in what it brings.
    pub(crate) fn apply(&mut self, operation: &Operation, number: u32, sight: &Sight<'_>) {
        let kind = operation.kind();
        match (&mut *self, operation) {
            (
                Self::Elements(set),
                Operation::Set(operation) | Operation::TwoPhaseSet(operation),
            ) => {
                set.apply(kind, operation.parts(), sight);
            }
            (Self::Elements(set), Operation::GrowSet(values)) => {
                set.apply(kind, (values, true), sight);
            }
            _ => {
                self.retire(operation, sight);
                self.admit(operation, number, sight);
            }
        }
    }

    /// Puts in what `operation` brings. `number` is what earlier operations of the entry have counted
    /// the elements of this list or text to.
    fn admit(&mut self, operation: &Operation, number: u32, sight: &Sight<'_>) {
        let dot = sight.dot;
        match (self, operation) {
            (Self::Record(record), Operation::Record(operation)) => record.admit(operation, sight),
            (Self::List(list), Operation::List(operation)) => list.admit(operation, number, sight),
            (Self::Text(text), Operation::Text(operation)) => text.admit(operation, number, sight),
            (Self::RankedElements(set), Operation::LwwSet(operation)) => {
                set.admit(operation.parts(), sight);
            }
            (
                Self::Writes(writes),
                Operation::Register(value) | Operation::MultiRegister(value),
            ) => {
                writes.insert(dot, Ranked { stamp: sight.stamp.clone(), value: value.clone() });
            }
            (Self::Switches(switches), Operation::DisableWinsFlag(switch)) => {
                switches.insert(dot, *switch);
            }
            (Self::Switches(switches), Operation::EnableWinsFlag(Switch::Enable)) => {
                switches.insert(dot, Switch::Enable);
            }
            (Self::Amounts(amounts), Operation::Counter(by)) => amounts.add(dot, *by),
            (Self::Amounts(amounts), Operation::GrowCounter(by)) => {
                amounts.add(dot, i64::try_from(*by).unwrap_or(i64::MAX));
            }
            _ => {}
        }
    }

    /// Takes away everything that was seen: the place or one above it was removed.
    pub(crate) fn erase(&mut self, sight: &Sight<'_>) {
        match self {
            Self::Record(record) => record.erase(sight),
            Self::List(list) => list.0.erase(sight),
            Self::Text(text) => text.0.erase(sight),
            Self::Elements(set) => set.erase(sight),
            Self::RankedElements(set) => set.erase(sight),
            Self::Writes(writes) => writes.retire(|dot, _| sight.saw(dot)),
            Self::Switches(switches) => switches.retire(|dot, _| sight.saw(dot)),
            Self::Amounts(amounts) => amounts.erase(sight),
        }
    }

    /// Takes in another state of the same kind.
    pub(crate) fn merge(&mut self, other: &Self, both: Both<'_>) {
        match (self, other) {
            (Self::Record(mine), Self::Record(theirs)) => mine.merge(theirs, both),
            (Self::List(mine), Self::List(theirs)) => mine.0.merge(&theirs.0),
            (Self::Text(mine), Self::Text(theirs)) => mine.0.merge(&theirs.0),
            (Self::Elements(mine), Self::Elements(theirs)) => mine.merge(theirs, both),
            (Self::RankedElements(mine), Self::RankedElements(theirs)) => mine.merge(theirs, both),
            (Self::Writes(mine), Self::Writes(theirs)) => mine.merge(theirs, both),
            (Self::Switches(mine), Self::Switches(theirs)) => mine.merge(theirs, both),
            (Self::Amounts(mine), Self::Amounts(theirs)) => mine.merge(theirs, both),
            _ => {}
        }
    }

    /// What readers see; none when there is nothing.
    pub(crate) fn value(&self, kind: Kind) -> Option<Value> {
        match self {
            Self::Record(record) => record.value(),
            Self::List(list) => list.value(),
            Self::Text(text) => text.value(),
            Self::Elements(set) => set.value(),
            Self::RankedElements(set) => set.value(),
            Self::Writes(writes) if kind == Kind::Register => {
                writes.last().map(|(_, write)| write.value.to_value())
            }
            Self::Writes(writes) => concurrent(writes),
            Self::Switches(switches) if switches.is_empty() => None,
            Self::Switches(switches) => {
                Some(switches.iter().all(|(_, switch)| *switch == Switch::Enable).into())
            }
            Self::Amounts(amounts) if amounts.is_empty() => None,
            Self::Amounts(amounts) => Some(number(amounts.total())),
        }
    }

    /// Whether nothing is left of it, so that it need not be kept.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Record(record) => record.is_empty(),
            Self::List(list) => list.0.is_untouched(),
            Self::Text(text) => text.0.is_untouched(),
            Self::Elements(set) => set.0.is_empty(),
            Self::RankedElements(set) => set.0.is_empty(),
            Self::Writes(writes) => writes.is_empty(),
            Self::Switches(switches) => switches.is_empty(),
            Self::Amounts(amounts) => amounts.is_empty(),
        }
    }
}

/// The values of a multi-value register: each once, the last written at the end.
fn concurrent(writes: &Writes<Json>) -> Option<Value> {
    let mut ranked: Vec<_> = writes.iter().map(|(_, write)| write).collect();
    ranked.sort_unstable();
    let mut values: Vec<&Json> = Vec::new();
    for write in ranked {
        values.retain(|value| **value != write.value);
        values.push(&write.value);
    }
    (!values.is_empty()).then(|| values.into_iter().map(Json::to_value).collect())
}

/// A sum as JSON: exact as far as 64 bits go.
fn number(total: i128) -> Value {
    match i64::try_from(total) {
        Ok(total) => total.into(),
        Err(_) => total.to_string().parse::<f64>().unwrap_or_default().into(),
    }
}
