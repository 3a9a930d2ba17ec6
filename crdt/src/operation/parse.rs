//! Operations from JSON: everything that can be wrong with one is found here.

use super::{Fields, Gap, ListOp, Operation, RecordOp, SetOp, Switch, TextOp};
use crate::{Element, Elements, Json, Malformed, Path};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The greatest step of a counter: what every JSON implementation reads exactly.
const STEP_MAX: u64 = 1 << 53;

impl Operation {
    /// Reads the operation called `name`, such as `set/add`, from the fields of an action or of a
    /// rule's result. Fields that it does not know are left alone.
    pub fn parse(name: &str, fields: &Map<String, Value>) -> Result<Self, Malformed> {
        Ok(match name {
            "map/remove" => Self::Remove,
            "record/create" => Self::Record(RecordOp::Create(record_fields(fields)?)),
            "record/change" => Self::Record(RecordOp::Change(record_fields(fields)?)),
            "record/delete" => Self::Record(RecordOp::Delete),
            "list/insert" => {
                Self::List(ListOp::Insert { at: gap(fields)?, values: values(fields)? })
            }
            "list/delete" => Self::List(ListOp::Delete(elements(fields)?)),
            "list/move" => Self::List(ListOp::Move { element: element(fields)?, to: gap(fields)? }),
            "text/insert" => Self::Text(TextOp::Insert { at: gap(fields)?, text: text(fields)? }),
            "text/delete" => Self::Text(TextOp::Delete(elements(fields)?)),
            "set/add" => Self::Set(SetOp::Add(values(fields)?)),
            "set/remove" => Self::Set(SetOp::Remove(values(fields)?)),
            "two-phase-set/add" => Self::TwoPhaseSet(SetOp::Add(values(fields)?)),
            "two-phase-set/remove" => Self::TwoPhaseSet(SetOp::Remove(values(fields)?)),
            "lww-set/add" => Self::LwwSet(SetOp::Add(values(fields)?)),
            "lww-set/remove" => Self::LwwSet(SetOp::Remove(values(fields)?)),
            "grow-set/add" => Self::GrowSet(values(fields)?),
            "multi-register/set" => Self::MultiRegister(value(fields)?),
            "register/set" => Self::Register(value(fields)?),
            "enable-wins-flag/enable" => Self::EnableWinsFlag(Switch::Enable),
            "enable-wins-flag/disable" => Self::EnableWinsFlag(Switch::Disable),
            "disable-wins-flag/enable" => Self::DisableWinsFlag(Switch::Enable),
            "disable-wins-flag/disable" => Self::DisableWinsFlag(Switch::Disable),
            "counter/add" => Self::Counter(step(fields, false)?),
            "grow-counter/add" => Self::GrowCounter(step(fields, true)?.unsigned_abs()),
            _ => return Err(Malformed::new("op", format!("there is no operation `{name}`"))),
        })
    }
}

/// `value`: any JSON value.
fn value(fields: &Map<String, Value>) -> Result<Json, Malformed> {
    let value = fields.get("value").ok_or_else(|| Malformed::new("value", "a value is needed"))?;
    Ok(value.clone().into())
}

/// `value`, or several as `values`.
fn values(fields: &Map<String, Value>) -> Result<Vec<Json>, Malformed> {
    match (fields.get("value"), fields.get("values")) {
        (Some(value), None) => Ok(vec![value.clone().into()]),
        (None, Some(Value::Array(values))) if !values.is_empty() => {
            Ok(values.iter().cloned().map(Json::from).collect())
        }
        (None, Some(_)) => {
            Err(Malformed::new("values", "an array with at least one value is needed"))
        }
        (None, None) => Err(Malformed::new("value", "a value is needed, or several as `values`")),
        (Some(_), Some(_)) => Err(Malformed::new("values", "either `value` or `values`, not both")),
    }
}

/// `by`: a whole number, 1 when it is left out.
fn step(fields: &Map<String, Value>, only_up: bool) -> Result<i64, Malformed> {
    let by = match fields.get("by") {
        None => Some(1),
        // JavaScript writes 1e3 and the like for whole numbers too.
        Some(by) => Json::from(by.clone()).to_value().as_i64(),
    };
    let wanted = if only_up { "from 0 to 2^53" } else { "from -2^53 to 2^53" };
    by.filter(|by| by.unsigned_abs() <= STEP_MAX && (*by >= 0 || !only_up))
        .ok_or_else(|| Malformed::new("by", format!("a whole number {wanted} is needed")))
}

fn record_fields(fields: &Map<String, Value>) -> Result<Fields, Malformed> {
    let written = match fields.get("fields") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(written)) => written,
        Some(_) => return Err(Malformed::new("fields", "an object is needed")),
    };
    let field = |(name, value): (&String, &Value)| {
        if name.len() > Path::KEY_BYTES_MAX {
            return Err(Malformed::new("fields", "a field's name has at most 1024 bytes"));
        }
        Ok((name.as_str().into(), value.clone().into()))
    };
    written.iter().map(field).collect()
}

fn text(fields: &Map<String, Value>) -> Result<std::sync::Arc<str>, Malformed> {
    let text = fields.get("text").and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(Into::into)
        .ok_or_else(|| Malformed::new("text", "a string with at least one character is needed"))
}

fn element(fields: &Map<String, Value>) -> Result<Element, Malformed> {
    let value = fields.get("element");
    Element::parse(value.ok_or_else(|| Malformed::new("element", "an element is needed"))?)
}

fn elements(fields: &Map<String, Value>) -> Result<Vec<Elements>, Malformed> {
    match (fields.get("element"), fields.get("elements")) {
        (Some(element), None) => Ok(vec![Elements::parse(element)?]),
        (None, Some(Value::Array(elements))) if !elements.is_empty() => {
            let read = |(at, value): (usize, &Value)| {
                Elements::parse(value)
                    .map_err(|fault| Malformed::new(format!("elements[{at}]"), fault.reason))
            };
            elements.iter().enumerate().map(read).collect()
        }
        (None, Some(_)) => {
            Err(Malformed::new("elements", "an array with at least one element is needed"))
        }
        (None, None) => {
            Err(Malformed::new("element", "an element is needed, or several as `elements`"))
        }
        (Some(_), Some(_)) => {
            Err(Malformed::new("elements", "either `element` or `elements`, not both"))
        }
    }
}

/// `after` and `before`: elements; null, or left out, for the start and the end.
fn gap(fields: &Map<String, Value>) -> Result<Gap, Malformed> {
    let side = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            Element::parse(value).map(Some).map_err(|fault| Malformed::new(name, fault.reason))
        }
    };
    Ok(Gap { after: side("after")?, before: side("before")? })
}
