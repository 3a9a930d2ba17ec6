//! The object that may end `connect` and `connected`: `{"token":…,"subprotocol":…}`.

use crate::Token;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// Keys that it does not know are left alone.
#[derive(Default)]
pub(super) struct Options {
    pub(super) token: Option<Token>,
    pub(super) subprotocol: u32,
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OptionsVisitor)
    }
}

struct OptionsVisitor;

impl<'de> Visitor<'de> for OptionsVisitor {
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
                    subprotocol = Some(map.next_value::<Option<u32>>()?);
                }
                "token" | "subprotocol" => return Err(A::Error::custom("a key stands twice")),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let token = token.flatten().map(Token::new);
        Ok(Options { token, subprotocol: subprotocol.flatten().unwrap_or(0) })
    }
}
