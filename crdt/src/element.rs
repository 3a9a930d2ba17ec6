//! The names of elements of lists and texts.

use crate::{Malformed, Stamp};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// One element of a list or a character of a text: the id of the action that put it where it is,
/// and its number among those that this action put there, from 0.
///
/// In JSON: the action id as `"<ms> <node> <sequence>"` for the first (often the only) one,
/// `["<ms> <node> <sequence>", number]` for any. The id is the one with three parts, as protocol
/// versions up to 5 write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// The milliseconds in the action id.
    pub created: u64,
    /// The node in the action id.
    pub node: Arc<str>,
    /// The sequence number in the action id.
    pub sequence: u64,
    /// Which of the action's elements.
    pub number: u32,
}

/// Elements that one action put in, in a row by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Elements {
    /// The first of them.
    pub first: Element,
    /// How many; at least one.
    pub count: u32,
}

impl Element {
    /// The longest node id, in bytes.
    const NODE_BYTES_MAX: usize = 256;

    /// The element with `number` among those that the action with this stamp put in.
    pub fn of(stamp: &Stamp, number: u32) -> Self {
        let Stamp { node, sequence, created, .. } = stamp;
        Self { created: *created, node: node.clone(), sequence: *sequence, number }
    }

    /// The element `further` on among those of the same action.
    #[must_use]
    pub fn plus(&self, further: u32) -> Self {
        Self { number: self.number.saturating_add(further), ..self.clone() }
    }

    /// Reads one from an operation.
    pub fn parse(value: &Value) -> Result<Self, Malformed> {
        let (id, number) = match value {
            Value::String(id) => (id, Some(0)),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(id), number] => (id, small(number)),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        number.and_then(|number| Self::from_id(id, number)).ok_or_else(wrong)
    }

    fn from_id(id: &str, number: u32) -> Option<Self> {
        let (created, rest) = id.split_once(' ')?;
        let (node, sequence) = rest.split_once(' ')?;
        let fits = (1..=Self::NODE_BYTES_MAX).contains(&node.len());
        let plain = fits && !node.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
        let node = plain.then(|| node.into())?;
        Some(Self { created: decimal(created)?, node, sequence: decimal(sequence)?, number })
    }

    /// The id of the action that put it in.
    pub fn action_id(&self) -> String {
        format!("{} {} {}", self.created, self.node, self.sequence)
    }

    /// As an operation names it.
    pub fn to_value(&self) -> Value {
        match self.number {
            0 => Value::from(self.action_id()),
            number => Value::from(vec![Value::from(self.action_id()), Value::from(number)]),
        }
    }
}

impl Elements {
    /// Reads them: one element, or `["<id>", first, count]`.
    pub fn parse(value: &Value) -> Result<Self, Malformed> {
        let Some([id, first, count]) = value.as_array().map(Vec::as_slice) else {
            return Ok(Self { first: Element::parse(value)?, count: 1 });
        };
        let first = Element::parse(&Value::from(vec![id.clone(), first.clone()]))?;
        let count =
            small(count).filter(|count| *count > 0 && first.number.checked_add(*count).is_some());
        Ok(Self { first, count: count.ok_or_else(wrong)? })
    }

    /// As an operation names them.
    pub fn to_value(&self) -> Value {
        if self.count == 1 {
            return self.first.to_value();
        }
        let id = Value::from(self.first.action_id());
        Value::from(vec![id, Value::from(self.first.number), Value::from(self.count)])
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}#{}", self.created, self.node, self.sequence, self.number)
    }
}

fn wrong() -> Malformed {
    let reason = "an element is \"<ms> <node> <sequence>\" or [\"<ms> <node> <sequence>\", number], \
        several are [\"<ms> <node> <sequence>\", first, count]";
    Malformed::new("element", reason)
}

fn small(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// A number as ids have it: digits without a sign or a leading zero, at most 2^53.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number <= 1 << 53 && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_read_as_they_are_written() {
        for value in [json!("1795 10:a:b 0"), json!(["1795 10:a:b 0", 3])] {
            assert_eq!(Element::parse(&value).unwrap().to_value(), value);
        }
        for value in [json!("1795 10:a:b 0"), json!(["1795 10:a:b 0", 3, 4])] {
            assert_eq!(Elements::parse(&value).unwrap().to_value(), value);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for value in [
            json!(1),
            json!(""),
            json!("1795 10:a:b"),
            json!("01795 10:a:b 0"),
            json!("+1 10:a:b 0"),
            json!("1795  0"),
            json!("1795 10:a b 0"),
            json!(["1795 10:a:b 0"]),
            json!(["1795 10:a:b 0", -1]),
            json!(["1795 10:a:b 0", 0, 0]),
            json!(["1795 10:a:b 0", 4_294_967_295_u32, 1]),
        ] {
            assert!(Elements::parse(&value).is_err(), "{value}");
        }
    }
}
