//! Reading the meta of an action: `{"id":…,"time":…,"subprotocol":…}`, with the id in one of three
//! shorter forms, or as the text of protocol 7.

use super::super::json::{Int, Number};
use super::super::name::{Digits, Name};
use super::super::subprotocol::Read;
use super::super::{Link, Version};
use crate::{ActionId, Meta, NodeId};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};
use std::fmt;

/// A meta before base time and sender's node are put in.
pub(super) struct WireMeta {
    id: WireId,
    time: i64,
    subprotocol: Option<u32>,
    /// Whether there were keys besides these, other than what a client's log notes for itself.
    pub(super) extra_keys: bool,
}

/// An id before base time and sender's node are put in.
enum WireId {
    /// Of three parts: its time is an offset from the base; no node stands for the sender's.
    Parts { ms: i64, node: Option<NodeId>, sequence: u64 },
    /// The time of a name whose node is the sender's.
    Own(u64),
    /// A whole name.
    Whole(ActionId),
}

impl WireMeta {
    /// The meta in full; none when id or time is before 1970 or beyond a JavaScript number.
    pub(super) fn expand(self, link: &Link) -> Option<Meta> {
        let id = match self.id {
            WireId::Parts { ms, node, sequence } => ActionId {
                ms: absolute(link.base, ms)?,
                node: node.unwrap_or_else(|| link.remote.clone()),
                sequence,
            },
            WireId::Own(t) => {
                let name = Name { t, node: link.remote.as_str().into() };
                name.id(Some(&link.remote)).ok()?
            }
            WireId::Whole(id) => id,
        };
        let time = absolute(link.base_here(), self.time)?;
        Some(Meta { id, time, subprotocol: self.subprotocol })
    }
}

/// The time that lies `offset` from `base`, if a JavaScript number holds it.
pub(in super::super) fn absolute(base: u64, offset: i64) -> Option<u64> {
    base.checked_add_signed(offset).filter(|ms| *ms <= ActionId::NUMBER_MAX)
}

/// Reads a [`WireMeta`]. Without a version it takes what any of them has. Knowing the sender saves
/// an allocation where its id is spelt out.
#[derive(Clone, Copy)]
pub(super) struct MetaSeed<'a> {
    pub(super) version: Option<Version>,
    pub(super) link: Option<&'a Link>,
}

impl<'de> DeserializeSeed<'de> for MetaSeed<'_> {
    type Value = WireMeta;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<WireMeta, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MetaSeed<'_> {
    type Value = WireMeta;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a meta object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireMeta, A::Error> {
        let (mut id, mut time, mut subprotocol, mut extra_keys) = (None, None, None, false);
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Id if id.is_none() => id = Some(map.next_value_seed(IdSeed(self))?),
                Key::Time if time.is_none() => time = Some(map.next_value::<Int>()?.0),
                Key::Subprotocol if subprotocol.is_none() => {
                    subprotocol = Some(map.next_value_seed(Read(self.version))?);
                }
                key @ (Key::Local | Key::Other) => {
                    map.next_value::<IgnoredAny>()?;
                    extra_keys |= matches!(key, Key::Other);
                }
                Key::Id | Key::Time | Key::Subprotocol => {
                    return Err(A::Error::custom("a key stands twice"));
                }
            }
        }
        match (id, time) {
            (Some(id), Some(time)) => Ok(WireMeta { id, time, subprotocol, extra_keys }),
            _ => Err(A::Error::custom("a meta has an id and a time")),
        }
    }
}

enum Key {
    Id,
    Time,
    Subprotocol,
    /// What the log of a client notes for itself, and `@logux/core` sends unless it is told not to.
    Local,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: de::Error>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "id" => Key::Id,
                    "time" => Key::Time,
                    "subprotocol" => Key::Subprotocol,
                    "reasons" | "keepLast" | "indexes" | "sync" | "tab" | "noAutoReason"
                    | "resubscribe" => Key::Local,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// `ms` | `[ms, sequence]` | `[ms, node, sequence]`, or `"t"` | `"t node"`
struct IdSeed<'a>(MetaSeed<'a>);

impl IdSeed<'_> {
    fn allow<E: de::Error>(&self, version: impl Fn(Version) -> bool) -> Result<(), E> {
        match self.0.version {
            Some(own) if !version(own) => Err(E::custom("an id of another protocol version")),
            Some(_) | None => Ok(()),
        }
    }

    /// The id of a sender whose sequence is 0.
    fn own<E: de::Error>(&self, Int(ms): Int) -> Result<WireId, E> {
        self.allow(has_parts)?;
        Ok(WireId::Parts { ms, node: None, sequence: 0 })
    }
}

fn has_parts(version: Version) -> bool {
    matches!(version, Version::V4 | Version::V5)
}

impl<'de> DeserializeSeed<'de> for IdSeed<'_> {
    type Value = WireId;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<WireId, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IdSeed<'_> {
    type Value = WireId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id: ms, [ms, sequence], [ms, node, sequence], or \"t\", \"t node\"")
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<WireId, E> {
        self.visit_i64(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<WireId, E> {
        self.own(Int::new::<E>(ms)?)
    }

    fn visit_f64<E: de::Error>(self, ms: f64) -> Result<WireId, E> {
        self.own(Int::of_float::<E>(ms)?)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<WireId, E> {
        self.allow(|version| version == Version::V7)?;
        let shape = || E::custom("an id is a time in base 64 and a node");
        if !text.contains(' ') {
            return Digits::parse(text).map(WireId::Own).ok_or_else(shape);
        }
        let name = Name::parse(text).ok_or_else(shape)?;
        let id = name.id(self.0.link.map(|link| &link.remote)).map_err(E::custom)?;
        Ok(WireId::Whole(id))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<WireId, A::Error> {
        self.allow(has_parts)?;
        let short = || A::Error::custom("an id has two or three parts");
        let Int(ms) = seq.next_element()?.ok_or_else(short)?;
        let second = seq.next_element_seed(SecondSeed(self.0.link))?.ok_or_else(short)?;
        let (node, sequence) = match second {
            Second::Sequence(sequence) => (None, sequence),
            Second::Node(node) => {
                let Number(sequence) = seq.next_element()?.ok_or_else(short)?;
                (Some(node), sequence)
            }
        };
        // A longer array fails in the parser, which demands the closing bracket here.
        Ok(WireId::Parts { ms, node, sequence })
    }
}

/// The second part of an id says what it is by being a number or a text.
enum Second {
    Sequence(u64),
    Node(NodeId),
}

struct SecondSeed<'a>(Option<&'a Link>);

impl<'de> DeserializeSeed<'de> for SecondSeed<'_> {
    type Value = Second;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Second, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for SecondSeed<'_> {
    type Value = Second;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence number or a node id")
    }

    fn visit_u64<E: de::Error>(self, sequence: u64) -> Result<Second, E> {
        Number::new(sequence).map(|Number(sequence)| Second::Sequence(sequence))
    }

    fn visit_f64<E: de::Error>(self, sequence: f64) -> Result<Second, E> {
        let Int(sequence) = Int::of_float::<E>(sequence)?;
        u64::try_from(sequence).map(Second::Sequence).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, node: &str) -> Result<Second, E> {
        match self.0 {
            Some(link) if link.remote.as_str() == node => Ok(Second::Node(link.remote.clone())),
            _ => NodeId::new(node).map(Second::Node).map_err(E::custom),
        }
    }
}
