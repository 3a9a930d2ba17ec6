//! JSON values as elements and register contents.

use serde_json::{Number, Value};
use std::fmt;

/// A JSON value in one canonical writing, so that equal values are equal texts on every replica.
///
/// No white space, object keys in ascending order of their bytes, and a number that is an integer
/// written as one: `1.0` and `1` are the same number to a JavaScript client, so they are here.
///
/// ```
/// use tidelog_crdt::Json;
///
/// let value: Json = serde_json::json!({ "b": 1.0, "a": [true, null] }).into();
/// assert_eq!(value.as_str(), r#"{"a":[true,null],"b":1}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Box<str>);

/// Beyond this an `f64` no longer tells neighbouring integers apart.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl Json {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Takes a text that [`Json::as_str`] gave; none when it is not canonical.
    pub(crate) fn from_canonical(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let json = Self::from(value);
        (*json.0 == *text).then_some(json)
    }
}

impl From<Value> for Json {
    fn from(mut value: Value) -> Self {
        settle_numbers(&mut value);
        Self(value.to_string().into())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Value::from(text).into()
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes every number that is an integer as one. The parser has bounded the depth.
fn settle_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(integer) = integer(number) {
                *number = integer;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(settle_numbers),
        Value::Object(fields) => fields.values_mut().for_each(settle_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn integer(number: &Number) -> Option<Number> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    let exact = float.fract() == 0.0 && float.abs() <= EXACT_MAX;
    exact.then(|| format!("{float:.0}").parse::<i64>().ok().map(Number::from)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values_have_one_text() {
        let text = |value: Value| Json::from(value).to_string();
        assert_eq!(text(json!(1.0)), "1");
        assert_eq!(text(json!(-0.0)), "0");
        assert_eq!(text(json!(1.5)), "1.5");
        assert_eq!(text(json!(-3e0)), "-3");
        assert_eq!(
            text(json!({ "z": 1, "a": { "c": 2.0, "b": [] } })),
            r#"{"a":{"b":[],"c":2},"z":1}"#
        );
        assert_eq!(text(json!(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn only_canonical_text_is_taken_back() {
        assert_eq!(Json::from_canonical("[1,\"x\"]"), Some(json!([1, "x"]).into()));
        for other in ["1.0", " 1", "{\"b\":1,\"a\":1}", "", "{", "[1, 2]"] {
            assert_eq!(Json::from_canonical(other), None, "{other}");
        }
    }
}
