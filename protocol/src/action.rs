//! An action as raw JSON: its bytes go from socket to store to socket untouched.

mod convert;
mod nearest;
mod scan;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{self, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Why bytes are no action.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// Not text.
    #[error("an action is UTF-8: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// Not JSON, or not an object with a string `type`.
    #[error("an action is a JSON object with one string \"type\": {0}")]
    Shape(#[from] serde_json::Error),
}

/// A JSON object with a string `type`. The body is parsed only where a rule asks for it.
#[derive(Clone, Debug)]
pub struct Action {
    json: Bytes,
    kind: Kind,
}

impl PartialEq for Action {
    /// The JSON decides; where the type was found in it does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for Action {}

/// Where the `type` is. Most have no escapes and stand in the body as they are.
#[derive(Clone, Debug)]
enum Kind {
    Within { start: u32, end: u32 },
    Unescaped(Box<str>),
}

impl Action {
    /// Checks that `json` is an object with a string `type`, and keeps it as it is.
    pub fn new(json: Bytes) -> Result<Self, ActionError> {
        let kind = Kind::find(std::str::from_utf8(&json)?)?;
        Ok(Self { json, kind })
    }

    /// Takes JSON that [`Action::new`] took before, such as the log's, and reads it only as far as its
    /// type.
    pub fn taken_before(json: Bytes) -> Result<Self, ActionError> {
        match scan::kind(std::str::from_utf8(&json)?) {
            Some(kind) => Ok(Self { json, kind }),
            None => Self::new(json),
        }
    }

    /// The same for a piece of a frame. It is copied: a slice would keep the whole frame, and what
    /// the socket read with it, in memory for as long as one of its actions is cached.
    pub(crate) fn copied(json: &str) -> Result<Self, serde_json::Error> {
        let kind = Kind::find(json)?;
        Ok(Self { json: Bytes::copy_from_slice(json.as_bytes()), kind })
    }

    /// Takes JSON that was checked before, such as a row of the log, with the `type` it has.
    pub fn from_parts(json: Bytes, kind: &str) -> Self {
        // Any place where the same text stands will do.
        let within =
            std::str::from_utf8(&json).ok().and_then(|json| Kind::at(json.find(kind)?, kind));
        let kind = within.unwrap_or_else(|| Kind::Unescaped(kind.into()));
        Self { json, kind }
    }

    /// The action's `type`.
    pub fn kind(&self) -> &str {
        match &self.kind {
            Kind::Within { start, end } => {
                let kind = self.json.get(*start as usize..*end as usize).map(std::str::from_utf8);
                kind.and_then(Result::ok).expect("it was found there, in text")
            }
            Kind::Unescaped(kind) => kind,
        }
    }

    /// The action's JSON, byte for byte as it came.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Reads the body as `T`.
    pub fn body<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }
}

impl Kind {
    fn find(json: &str) -> Result<Self, serde_json::Error> {
        let Head(kind) = serde_json::from_str(json)?;
        let within = match &kind {
            Cow::Borrowed(kind) => Self::at(kind.as_ptr().addr() - json.as_ptr().addr(), kind),
            Cow::Owned(_) => None,
        };
        Ok(within.unwrap_or_else(|| Self::Unescaped(kind.into())))
    }

    fn at(start: usize, kind: &str) -> Option<Self> {
        let end = u32::try_from(start + kind.len()).ok()?;
        Some(Self::Within { start: u32::try_from(start).ok()?, end })
    }
}

/// The `type` of an object. A derived reader would take an array for an object, too.
struct Head<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Head<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadVisitor)
    }
}

struct HeadVisitor;

impl<'de> Visitor<'de> for HeadVisitor {
    type Value = Head<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a string \"type\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let mut kind = None;
        while let Some(IsType(is_type)) = map.next_key()? {
            if !is_type {
                map.next_value::<IgnoredAny>()?;
            } else if kind.is_none() {
                kind = Some(map.next_value::<Text<'de>>()?.0);
            } else {
                // Readers disagree on which of two counts, so that a rule could judge one type and
                // a client see the other.
                return Err(A::Error::duplicate_field("type"));
            }
        }
        kind.map(Head).ok_or_else(|| A::Error::missing_field("type"))
    }
}

/// A string that is copied only if it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct IsType(bool);

impl<'de> Deserialize<'de> for IsType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = IsType;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: de::Error>(self, key: &str) -> Result<IsType, E> {
                Ok(IsType(key == "type"))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(json: &'static str) -> Result<Action, ActionError> {
        Action::new(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn an_action_keeps_its_bytes_and_knows_its_type() {
        for (json, kind) in [
            (r#"{"type":"tasks/add"}"#, "tasks/add"),
            (r#"  { "a":{"type":"inner"}, "type" : "ä" }  "#, "ä"),
            (r#"{"type":"tasks\/add\u00e4"}"#, "tasks/addä"),
            (r#"{"\u0074ype":"x","type2":"y"}"#, "x"),
            (r#"{"type":""}"#, ""),
            (r#"{"type":"a\"b","n":1}"#, "a\"b"),
            (r#"{"a":[1,{"type":"no"},"\"}],"],"b":{},"c":"","n":-1.5e3 , "type" : "yes"}"#, "yes"),
            (r#"{"a":"\\","b":[[],{"x":"]"}],"ty":"no","type":"yes"}"#, "yes"),
        ] {
            let action = action(json).unwrap();
            assert_eq!((action.kind(), &action.json()[..]), (kind, json.as_bytes()));
            let again = Action::taken_before(action.json().clone()).unwrap();
            assert_eq!((again.kind(), again.json()), (kind, action.json()));
        }
    }

    #[test]
    fn an_action_from_its_parts_is_the_same() {
        for json in [r#"{"x":"tasks/add","type":"tasks/add"}"#, r#"{"type":"tasks\/add"}"#] {
            let checked = action(json).unwrap();
            let parts = Action::from_parts(checked.json().clone(), checked.kind());
            assert_eq!((parts.kind(), &parts), (checked.kind(), &checked));
        }
    }

    #[test]
    fn what_is_no_object_with_one_string_type_is_no_action() {
        for json in [
            "",
            "null",
            "1",
            "[]",
            r#"["x"]"#,
            r#""type""#,
            "{}",
            r#"{"type":1}"#,
            r#"{"type":null}"#,
            r#"{"type":["x"]}"#,
            r#"{"type":"a","type":"b"}"#,
            r#"{"type":"a"}{}"#,
            r#"{"type":"a",}"#,
            r#"{"type":"a","b":01}"#,
            r#"{"type":"\ud800"}"#,
        ] {
            assert!(action(json).is_err(), "{json}");
        }
        let not_text = Bytes::from_static(b"{\"type\":\"a\",\"b\":\"\xff\"}");
        assert!(matches!(Action::new(not_text), Err(ActionError::Text(_))));
    }
}
