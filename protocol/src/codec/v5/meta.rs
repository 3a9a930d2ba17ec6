//! Reading the meta of an action: `{"id":…,"time":…,"subprotocol":…}`, with the id in one of three
//! shorter forms.

use super::super::Link;
use super::super::json::{Int, Number};
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
    /// Whether there were keys besides these.
    pub(super) extra_keys: bool,
}

struct WireId {
    ms: i64,
    /// None for the sender's.
    node: Option<NodeId>,
    sequence: u64,
}

impl WireMeta {
    /// The meta in full; none when id or time is before 1970 or beyond a JavaScript number.
    pub(super) fn expand(self, link: &Link) -> Option<Meta> {
        let id = ActionId {
            ms: absolute(link.base, self.id.ms)?,
            node: self.id.node.unwrap_or_else(|| link.remote.clone()),
            sequence: self.id.sequence,
        };
        let time = absolute(link.base_here(), self.time)?;
        Some(Meta { id, time, subprotocol: self.subprotocol })
    }
}

fn absolute(base: u64, offset: i64) -> Option<u64> {
    base.checked_add_signed(offset).filter(|ms| *ms <= ActionId::NUMBER_MAX)
}

/// Reads a [`WireMeta`]. Knowing the sender saves an allocation where its id is spelt out.
#[derive(Clone, Copy)]
pub(super) struct MetaSeed<'a>(pub(super) Option<&'a Link>);

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
                Key::Id if id.is_none() => id = Some(map.next_value_seed(IdSeed(self.0))?),
                Key::Time if time.is_none() => time = Some(map.next_value::<Int>()?.0),
                Key::Subprotocol if subprotocol.is_none() => {
                    subprotocol = Some(map.next_value::<u32>()?);
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    extra_keys = true;
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
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// `ms` | `[ms, sequence]` | `[ms, node, sequence]`
struct IdSeed<'a>(Option<&'a Link>);

impl<'de> DeserializeSeed<'de> for IdSeed<'_> {
    type Value = WireId;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<WireId, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IdSeed<'_> {
    type Value = WireId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id: ms, [ms, sequence] or [ms, node, sequence]")
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<WireId, E> {
        self.visit_i64(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<WireId, E> {
        Ok(WireId { ms: Int::new::<E>(ms)?.0, node: None, sequence: 0 })
    }

    fn visit_f64<E: de::Error>(self, ms: f64) -> Result<WireId, E> {
        Ok(WireId { ms: Int::of_float::<E>(ms)?.0, node: None, sequence: 0 })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<WireId, A::Error> {
        let short = || A::Error::custom("an id has two or three parts");
        let Int(ms) = seq.next_element()?.ok_or_else(short)?;
        let (node, sequence) = match seq.next_element_seed(SecondSeed(self.0))?.ok_or_else(short)? {
            Second::Sequence(sequence) => (None, sequence),
            Second::Node(node) => {
                let Number(sequence) = seq.next_element()?.ok_or_else(short)?;
                (Some(node), sequence)
            }
        };
        // A longer array fails in the parser, which demands the closing bracket here.
        Ok(WireId { ms, node, sequence })
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
