//! The object that may end `connect` and `connected`: `{"token":…,"subprotocol":…}`.

use super::super::Version;
use super::super::subprotocol::Read;
use crate::Token;
use serde::de::{self, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Keys that it does not know are left alone.
#[derive(Default)]
pub(super) struct Options {
    pub(super) token: Option<Token>,
    pub(super) subprotocol: u32,
}

/// Reads [`Options`] as this version has them.
pub(super) struct OptionsSeed(pub(super) Version);

impl<'de> DeserializeSeed<'de> for OptionsSeed {
    type Value = Options;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Options, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OptionsSeed {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
        let (mut token, mut subprotocol) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "token" if token.is_none() => token = Some(map.next_value::<Option<String>>()?),
                "subprotocol" if subprotocol.is_none() => {
                    subprotocol = Some(map.next_value_seed(Nullable(Read(Some(self.0))))?);
                }
                "token" | "subprotocol" => return Err(A::Error::custom("a key stands twice")),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let token = token.flatten().map(Token::new);
        Ok(Options { token, subprotocol: subprotocol.flatten().unwrap_or(0) })
    }
}

/// A null, or what its inner seed reads.
struct Nullable(Read);

impl<'de> DeserializeSeed<'de> for Nullable {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Nullable {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}
