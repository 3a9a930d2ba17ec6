//! JSON as values of expressions, read in one pass and without copying its strings.

use super::reads::Reads;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString,
    CelUInt,
};
use cel::common::value::Val;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value as Json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// A JSON object, as expressions read it.
pub(super) type Object<'v> = CelMap<'v>;

/// What is read of a JSON object, with what going through it costs.
pub(super) struct Body<'v> {
    object: Object<'v>,
    /// The length of each field's JSON.
    lengths: HashMap<Cow<'v, str>, usize>,
    length: usize,
}

impl<'v> Body<'v> {
    /// Reads what `reads` wants of a JSON object, which it borrows from; the rest is skipped.
    pub(super) fn read(json: &'v [u8], reads: &Reads) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let body = reader.deserialize_map(ReadBody(reads))?;
        reader.end()?;
        Ok(body)
    }

    /// The object, and the length of what was read.
    pub(super) fn object(&self) -> (&Object<'v>, usize) {
        (&self.object, self.length)
    }

    /// A field, and its length.
    pub(super) fn field(&self, name: &str) -> Option<(&(dyn Val + 'v), usize)> {
        let value = self.object.inner().get(&key(name.to_owned()))?;
        Some((&**value, *self.lengths.get(name)?))
    }
}

struct ReadBody<'r>(&'r Reads);

impl<'v> Visitor<'v> for ReadBody<'_> {
    type Value = Body<'v>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'v>>(self, mut map: A) -> Result<Body<'v>, A::Error> {
        let (mut fields, mut lengths, mut length) = (HashMap::new(), HashMap::new(), 0);
        while let Some(Text(name)) = map.next_key()? {
            if !self.0.wants(&name) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let json: &RawValue = map.next_value()?;
            let Read(value) = serde_json::from_str(json.get()).map_err(A::Error::custom)?;
            length += json.get().len();
            // A name that comes twice counts as its last value, as `JSON.parse` has it.
            fields.insert(CelMapKey::from(name.clone().into_owned()), value);
            lengths.insert(name, json.get().len());
        }
        Ok(Body { object: CelMap::from(fields), lengths, length })
    }
}

/// A string that is copied only if it has escapes.
#[derive(Deserialize)]
struct Text<'v>(#[serde(borrow)] Cow<'v, str>);

/// An object that owns what it holds.
pub(super) fn owned_object(json: serde_json::Map<String, serde_json::Value>) -> Object<'static> {
    let entries = json.into_iter().map(|(name, value)| (key(name), owned(value)));
    CelMap::from(entries.collect::<HashMap<_, _>>())
}

/// An object of named values.
pub(super) fn record<'v>(
    fields: impl IntoIterator<Item = (&'v str, Box<dyn Val + 'v>)>,
) -> Object<'v> {
    let fields = fields.into_iter().map(|(name, value)| (CelMapKey::from(name), value));
    CelMap::from(fields.collect::<HashMap<_, _>>())
}

/// A text.
pub(super) fn text<'v>(text: impl Into<Cow<'v, str>>) -> Box<dyn Val + 'v> {
    match text.into() {
        Cow::Borrowed(text) => Box::new(CelString::from(text)),
        Cow::Owned(text) => Box::new(CelString::from(text)),
    }
}

/// An integer; beyond what `int` holds, an unsigned one.
pub(super) fn number(number: u64) -> Box<dyn Val> {
    match i64::try_from(number) {
        Ok(number) => Box::new(CelInt::from(number)),
        Err(_) => Box::new(CelUInt::from(number)),
    }
}

/// A truth value.
pub(super) fn truth(value: bool) -> Box<dyn Val> {
    Box::new(CelBool::from(value))
}

fn key(name: String) -> CelMapKey<'static> {
    CelMapKey::from(name)
}

fn owned(json: serde_json::Value) -> Box<dyn Val> {
    use serde_json::Value;
    match json {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(value)),
        Value::Number(value) => match (value.as_u64(), value.as_i64(), value.as_f64()) {
            (Some(value), ..) => number(value),
            (None, Some(value), _) => Box::new(CelInt::from(value)),
            (None, None, value) => Box::new(CelDouble::from(value.unwrap_or(f64::NAN))),
        },
        Value::String(value) => text(value),
        Value::Array(values) => {
            Box::new(CelList::from(values.into_iter().map(owned).collect::<Vec<_>>()))
        }
        Value::Object(fields) => Box::new(owned_object(fields)),
    }
}

struct Read<'v>(Box<dyn Val + 'v>);

impl<'v> Deserialize<'v> for Read<'v> {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Anything).map(Self)
    }
}

struct Anything;

impl<'v> Visitor<'v> for Anything {
    type Value = Box<dyn Val + 'v>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(number(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'v str) -> Result<Self::Value, E> {
        Ok(text(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'v>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(Read(element)) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Box::new(CelList::from(elements)))
    }

    fn visit_map<A: MapAccess<'v>>(self, map: A) -> Result<Self::Value, A::Error> {
        fields(map).map(|object| Box::new(object) as Self::Value)
    }
}

/// A name that comes twice counts as its last value, as `JSON.parse` has it.
fn fields<'v, A: MapAccess<'v>>(mut map: A) -> Result<Object<'v>, A::Error> {
    let mut fields = HashMap::with_capacity(map.size_hint().unwrap_or(8).min(64));
    while let Some((Name(name), Read(value))) = map.next_entry()? {
        fields.insert(name, value);
    }
    Ok(CelMap::from(fields))
}

struct Name<'v>(CelMapKey<'v>);

impl<'v> Deserialize<'v> for Name<'v> {
    fn deserialize<D: Deserializer<'v>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'v> Visitor<'v> for Text {
            type Value = CelMapKey<'v>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'v str) -> Result<Self::Value, E> {
                Ok(CelMapKey::from(name))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(key(name.to_owned()))
            }
        }
        from.deserialize_str(Text).map(Self)
    }
}

/// The longest JSON that an expression gives, about: an action is shorter.
const JSON_BYTES_MAX: usize = 256 << 10;
/// What any value counts for, beside its text.
const VALUE_BYTES: usize = 8;

/// What an expression gave, as JSON; none for an optional without a value.
pub(super) fn to_json(value: &dyn Val) -> Result<Option<Json>, &'static str> {
    let mut left = JSON_BYTES_MAX;
    match value.downcast_ref::<CelOptional<'_>>() {
        Some(optional) => optional.option().map(|value| json(value, &mut left)).transpose(),
        None => json(value, &mut left).map(Some),
    }
}

fn json(value: &dyn Val, left: &mut usize) -> Result<Json, &'static str> {
    spend(left, VALUE_BYTES)?;
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        spend(left, text.inner().len())?;
        return Ok(text.inner().into());
    }
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        return list.inner().iter().map(|item| json(&**item, left)).collect();
    }
    if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let entries = map.inner().iter().map(|(key, value)| {
            let key = key.inner().downcast_ref::<CelString<'_>>().ok_or("a key is no text")?;
            spend(left, key.inner().len())?;
            Ok((key.inner().to_owned(), json(&**value, left)?))
        });
        return entries.collect::<Result<_, _>>().map(Json::Object);
    }
    scalar(value).ok_or("it has no JSON")
}

fn scalar(value: &dyn Val) -> Option<Json> {
    if value.downcast_ref::<CelNull>().is_some() {
        return Some(Json::Null);
    }
    let truth = value.downcast_ref::<CelBool>().map(|it| Json::from(*it.inner()));
    let int = || value.downcast_ref::<CelInt>().map(|it| Json::from(*it.inner()));
    let uint = || value.downcast_ref::<CelUInt>().map(|it| Json::from(*it.inner()));
    // Neither an infinity nor what is no number has JSON.
    let double = || Number::from_f64(*value.downcast_ref::<CelDouble>()?.inner()).map(Json::Number);
    truth.or_else(int).or_else(uint).or_else(double)
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), &'static str> {
    *left = left.checked_sub(bytes).ok_or("it is larger than an action may be")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of a JSON object.
    fn object(json: &[u8]) -> Result<Object<'_>, serde_json::Error> {
        Body::read(json, &Reads::whole()).map(|body| body.object)
    }

    fn owned_from(json: &str) -> Object<'static> {
        owned_object(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn json_reads_the_same_borrowed_and_owned() {
        let json =
            r#"{"a":null,"b":[true,-1,1,1.5],"c":{"d":"\u00e9\n","":{}},"e":18446744073709551615}"#;
        assert!(object(json.as_bytes()).unwrap().equals(&owned_from(json)));
        let other = json.replace("1.5", "1.25");
        assert!(!object(json.as_bytes()).unwrap().equals(&owned_from(&other)));
    }

    #[test]
    fn a_name_that_comes_twice_counts_as_its_last_value() {
        assert!(object(br#"{"a":1,"a":2}"#).unwrap().equals(&owned_from(r#"{"a":2}"#)));
    }

    #[test]
    fn only_an_object_is_an_object_and_depth_is_bounded() {
        for json in ["[]", "1", "\"a\"", "", "{", "{\"a\":1}x", "{\"a\":\"\\ud800\"}"] {
            assert!(object(json.as_bytes()).is_err(), "{json}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(object(deep.as_bytes()).is_err());
    }
}
