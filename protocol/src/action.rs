//! An action as raw JSON: its bytes go from socket to store to socket untouched.

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;
use std::sync::Arc;

/// Why bytes are no action.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// Not JSON, or not an object with a string `type`.
    #[error("an action is a JSON object with a string \"type\": {0}")]
    Shape(#[from] serde_json::Error),
}

/// A JSON object with a string `type`. The body is parsed only where a rule asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    json: Bytes,
    kind: Arc<str>,
}

impl Action {
    /// Checks that `json` is an object with a string `type`, and keeps it as it is.
    pub fn new(json: Bytes) -> Result<Self, ActionError> {
        let Head(kind) = serde_json::from_slice(&json)?;
        Ok(Self { json, kind })
    }

    /// Takes JSON that was checked before, such as a row of the log, with the `type` it has.
    pub fn from_parts(json: Bytes, kind: &str) -> Self {
        Self { json, kind: kind.into() }
    }

    /// The action's `type`.
    pub fn kind(&self) -> &str {
        &self.kind
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

/// The `type` of an object. A derived reader would take an array for an object, too.
struct Head(Arc<str>);

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadVisitor)
    }
}

struct HeadVisitor;

impl<'de> Visitor<'de> for HeadVisitor {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a string \"type\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
        let mut kind: Option<Arc<str>> = None;
        while let Some(IsType(is_type)) = map.next_key()? {
            if !is_type {
                map.next_value::<IgnoredAny>()?;
            } else if kind.is_none() {
                kind = Some(map.next_value()?);
            } else {
                // Readers disagree on which of two counts, so that a rule could judge one type and
                // a client see the other.
                return Err(A::Error::duplicate_field("type"));
            }
        }
        kind.map(Head).ok_or_else(|| A::Error::missing_field("type"))
    }
}

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
