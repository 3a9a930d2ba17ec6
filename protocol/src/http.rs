//! The bodies of the HTTP interface, shared by the server and its clients.
//!
//! The types know no format: JSON and `MessagePack` (with named fields) both work. Requests refuse
//! keys that they do not know, since a misspelt one would otherwise lose what it carries in silence;
//! responses ignore them, so that a newer server can say more.

use crate::codec::Number;
use crate::{Action, ActionId};
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Where a reader stands. Only the server that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Takes a cursor as text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The cursor as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Actions that one push may hold. Of more, one too many is read, so that it shows, and the rest is
/// skipped: a list of the smallest takes many times its length.
pub const ACTIONS_MAX: usize = 10_000;

/// When a request came in and when its answer went out, by the server's clock, in ms.
pub type Times = (u64, u64);

/// The answer to a pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullResponse {
    /// What is new to the reader, in order of position.
    pub actions: Vec<(Action, PulledMeta)>,
    /// Where the reader stands with that.
    pub cursor: Cursor,
    /// Where it stands in its user's log, as a number that a WebSocket's `connect` takes.
    #[serde(default)]
    pub number: u64,
    /// Whether there is more above the cursor right now.
    pub more: bool,
    /// When the request came in and the answer went out.
    pub time: Times,
}

/// What is said about an action that was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledMeta {
    /// The action's name in full.
    pub id: ActionId,
    /// Creation time, in ms.
    pub time: u64,
    /// The action's position in the log.
    pub added: u64,
    /// The version of the application that created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<u32>,
    /// The channels by which it came; none when it came by the user's own log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// The names that servers gave it, if the reader asked for causality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dots: Vec<String>,
    /// What its author had seen, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<SeenBefore>,
}

/// What the author of an action had seen of its logs: by the life of a server's store, in hexadecimal, the position
/// up to which everything, and then ranges of its own actions beyond.
pub type SeenBefore = serde_json::Map<String, serde_json::Value>;

/// The answer to the question for a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentResponse {
    /// What readers see; null when there is nothing.
    pub value: serde_json::Value,
    /// Where a reader stands that has this: what comes later is above it.
    pub cursor: Cursor,
}

/// A push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PushRequest {
    /// The actions, oldest first; see [`ACTIONS_MAX`].
    #[serde(deserialize_with = "actions")]
    pub actions: Vec<(Action, PushedMeta)>,
    /// What their author had seen when making them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Cursor>,
    /// Whether the results say what is known of who had seen what.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub causality: bool,
}

/// What a client says about an action that it pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PushedMeta {
    /// The action's name; the server makes one if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ActionId>,
    /// Creation time, in ms; that of the id, or now, if there is none.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// The version of the application that created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<u32>,
}

/// The answer to a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResponse {
    /// One result per action, in the order of the request.
    pub results: Vec<PushResult>,
    /// When the request came in and the answer went out.
    pub time: Times,
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResult {
    /// The action's name.
    pub id: ActionId,
    /// Whether it counts.
    pub status: Status,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its position, if it is in a log: where it stands among what is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<u64>,
    /// The names that servers gave it, if the request asked for causality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dots: Vec<String>,
    /// What its author had seen, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<SeenBefore>,
}

/// The two verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The action is in the log.
    Processed,
    /// The action does not count; its author takes it back.
    Undone,
}

/// A push and a pull in one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct SyncRequest {
    /// The actions to push, oldest first; see [`ACTIONS_MAX`].
    #[serde(default, deserialize_with = "actions")]
    pub actions: Vec<(Action, PushedMeta)>,
    /// What their author had seen when making them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Cursor>,
    /// Where the reader stands; none for the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Cursor>,
    /// How many actions to pull at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The channels to pull besides the user's own log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Whether results and actions say what is known of who had seen what.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub causality: bool,
}

/// The answer to [`SyncRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResponse {
    /// One result per pushed action, in the order of the request.
    pub results: Vec<PushResult>,
    /// What is new to the reader, in order of position.
    pub actions: Vec<(Action, PulledMeta)>,
    /// Where the reader stands with that.
    pub cursor: Cursor,
    /// Where it stands in its user's log, as a number that a WebSocket's `connect` takes.
    #[serde(default)]
    pub number: u64,
    /// Whether there is more above the cursor right now.
    pub more: bool,
    /// When the request came in and the answer went out.
    pub time: Times,
}

/// What serde derives takes a list of the fields' values for the object itself; a list says something
/// else by mistake, so these are read from objects alone.
macro_rules! objects_only {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, to)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Object;
                impl<'de> Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        $name::deserialize(MapAccessDeserializer::new(map))
                    }
                }
                from.deserialize_map(Object)
            }
        }
    )*};
}

objects_only!(PushRequest, PushedMeta, SyncRequest);

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<Number>::deserialize(deserializer)?.map(|Number(number)| number))
}

fn actions<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Action, PushedMeta)>, D::Error> {
    struct Actions;
    impl<'de> Visitor<'de> for Actions {
        type Value = Vec<(Action, PushedMeta)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of pairs of an action and its meta")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut actions = Vec::new();
            while let Some(pair) = list.next_element()? {
                actions.push(pair);
                if actions.len() > ACTIONS_MAX {
                    while list.next_element::<IgnoredAny>()?.is_some() {}
                    break;
                }
            }
            Ok(actions)
        }
    }
    from.deserialize_seq(Actions)
}
