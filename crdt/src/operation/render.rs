//! Operations as JSON, as [`Operation::parse`] reads them.

use super::{Fields, Gap, ListOp, Operation, RecordOp, SetOp, Switch, TextOp};
use crate::{Elements, Json};
use serde_json::{Map, Value};

impl Operation {
    /// What actions call it, such as `set/add`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Remove => "map/remove",
            Self::Record(RecordOp::Create(_)) => "record/create",
            Self::Record(RecordOp::Change(_)) => "record/change",
            Self::Record(RecordOp::Delete) => "record/delete",
            Self::List(ListOp::Insert { .. }) => "list/insert",
            Self::List(ListOp::Delete(_)) => "list/delete",
            Self::List(ListOp::Move { .. }) => "list/move",
            Self::Text(TextOp::Insert { .. }) => "text/insert",
            Self::Text(TextOp::Delete(_)) => "text/delete",
            Self::Set(SetOp::Add(_)) => "set/add",
            Self::Set(SetOp::Remove(_)) => "set/remove",
            Self::TwoPhaseSet(SetOp::Add(_)) => "two-phase-set/add",
            Self::TwoPhaseSet(SetOp::Remove(_)) => "two-phase-set/remove",
            Self::LwwSet(SetOp::Add(_)) => "lww-set/add",
            Self::LwwSet(SetOp::Remove(_)) => "lww-set/remove",
            Self::GrowSet(_) => "grow-set/add",
            Self::MultiRegister(_) => "multi-register/set",
            Self::Register(_) => "register/set",
            Self::EnableWinsFlag(Switch::Enable) => "enable-wins-flag/enable",
            Self::EnableWinsFlag(Switch::Disable) => "enable-wins-flag/disable",
            Self::DisableWinsFlag(Switch::Enable) => "disable-wins-flag/enable",
            Self::DisableWinsFlag(Switch::Disable) => "disable-wins-flag/disable",
            Self::Counter(_) => "counter/add",
            Self::GrowCounter(_) => "grow-counter/add",
        }
    }

    /// Its fields.
    pub fn fields(&self) -> Map<String, Value> {
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
        match self {
            Self::Remove
            | Self::Record(RecordOp::Delete)
            | Self::EnableWinsFlag(_)
            | Self::DisableWinsFlag(_) => {}
            Self::Record(RecordOp::Create(fields) | RecordOp::Change(fields)) => {
                put("fields", record(fields));
            }
            Self::List(ListOp::Insert { at, values }) => {
                put("values", list(values));
                put_gap(&mut put, at);
            }
            Self::Text(TextOp::Insert { at, text }) => {
                put("text", Value::from(&**text));
                put_gap(&mut put, at);
            }
            Self::List(ListOp::Delete(elements)) | Self::Text(TextOp::Delete(elements)) => {
                put("elements", elements.iter().map(Elements::to_value).collect());
            }
            Self::List(ListOp::Move { element, to }) => {
                put("element", element.to_value());
                put_gap(&mut put, to);
            }
            Self::Set(SetOp::Add(values) | SetOp::Remove(values))
            | Self::TwoPhaseSet(SetOp::Add(values) | SetOp::Remove(values))
            | Self::LwwSet(SetOp::Add(values) | SetOp::Remove(values))
            | Self::GrowSet(values) => {
                put("values", list(values));
            }
            Self::MultiRegister(value) | Self::Register(value) => {
                put("value", value.to_value());
            }
            Self::Counter(by) => {
                put("by", Value::from(*by));
            }
            Self::GrowCounter(by) => {
                put("by", Value::from(*by));
            }
        }
        out
    }
}

fn list(values: &[Json]) -> Value {
    values.iter().map(Json::to_value).collect()
}

fn record(fields: &Fields) -> Value {
    fields.iter().map(|(name, value)| (name.to_string(), value.to_value())).collect()
}

fn put_gap(put: &mut impl FnMut(&str, Value) -> Option<Value>, gap: &Gap) {
    for (name, side) in [("after", &gap.after), ("before", &gap.before)] {
        if let Some(element) = side {
            put(name, element.to_value());
        }
    }
}
