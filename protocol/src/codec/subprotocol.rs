//! The version of an application: a number since protocol 5, before that the text of a semantic
//! version, of which the first number counts here.

use super::Version;
use serde::de::{self, DeserializeSeed, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

/// The version `0`, as `version` of the protocol writes it.
pub(super) struct Written(pub(super) u32, pub(super) Version);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Version::V4 => serializer.collect_str(&format_args!("{}.0.0", self.0)),
            Version::V5 | Version::V7 => serializer.serialize_u32(self.0),
        }
    }
}

/// Reads what [`Written`] writes; without a version of the protocol, either form.
#[derive(Clone, Copy)]
pub(super) struct Read(pub(super) Option<Version>);

impl<'de> DeserializeSeed<'de> for Read {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Read {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(Version::V4) => "a subprotocol such as \"1.2.3\"",
            Some(Version::V5 | Version::V7) | None => "a subprotocol: a number",
        })
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
        u32::try_from(number).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u32, E> {
        match self.0 {
            Some(Version::V4) | None => major(text)
                .ok_or_else(|| E::custom("a subprotocol is a semantic version such as \"1.2.3\"")),
            Some(Version::V5 | Version::V7) => {
                Err(E::invalid_type(de::Unexpected::Str(text), &self))
            }
        }
    }
}

/// The first number of a semantic version.
pub(crate) fn major(text: &str) -> Option<u32> {
    let version = semver::Version::parse(text).ok()?;
    u32::try_from(version.major).ok()
}
