//! Reading a JSON frame in one pass, without an intermediate value.
//!
//! A frame that breaks the grammar makes the parser fail, and is looked at again to tell "not JSON"
//! from "not a message". A frame that is refused for another reason is read to its end first, so
//! that "not JSON" comes before everything else.

use super::super::json::{Number, unknown_message, unspoken, wrong_format};
use super::super::{Link, Version, bodies};
use super::meta::MetaSeed;
use super::options::{Options, OptionsSeed};
use crate::{
    Action, Connect, Connected, Headers, Limits, Message, NodeId, OverLimit, Pair, Sync, WireError,
};
use bytes::Bytes;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor,
};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// Reads a frame of a running connection.
pub(in super::super) fn decode(
    frame: &[u8],
    version: Version,
    limits: &Limits,
    link: &Link,
) -> Result<Message, WireError> {
    if frame.len() > limits.frame_bytes {
        return Err(OverLimit::Frame(limits.frame_bytes).into());
    }
    // An error's options become a tree of values, which can take many times the bytes of its frame.
    let only_sync = frame.len() > limits.frame_bytes_before_sign_in;
    read(frame, FrameSeed { version: Some(version), limits, link: Some(link), only_sync })
}

/// Reads a frame from before the handshake was over. The batch of a sync is checked, and not kept.
pub(in super::super) fn decode_opening(
    frame: &[u8],
    version: Option<Version>,
    limits: &Limits,
) -> Result<Message, WireError> {
    if frame.len() > limits.frame_bytes_before_sign_in {
        return Err(OverLimit::FrameBeforeSignIn(limits.frame_bytes_before_sign_in).into());
    }
    read(frame, FrameSeed { version, limits, link: None, only_sync: false })
}

fn read(frame: &[u8], seed: FrameSeed<'_>) -> Result<Message, WireError> {
    let text = std::str::from_utf8(frame).map_err(|_| wrong_format(frame))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = seed.deserialize(&mut json).and_then(|read| json.end().map(|()| read));
    read.map_err(|_| wrong_format(frame))?
}

/// The outer error of a function that reads elements is a broken grammar, this one's is the rest.
type Read<T> = Result<T, WireError>;

struct FrameSeed<'a> {
    /// None before `connect` came: then what is well-formed in any version passes.
    version: Option<Version>,
    limits: &'a Limits,
    /// None before the handshake is over.
    link: Option<&'a Link>,
    /// Whether the frame is too long for every other message.
    only_sync: bool,
}

impl<'de> DeserializeSeed<'de> for FrameSeed<'_> {
    type Value = Read<Message>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FrameSeed<'_> {
    type Value = Read<Message>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array that starts with the message's type")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let read = match next(&mut seq)? {
            Name::Sync => self.sync(&mut seq)?.map(Message::Sync),
            Name::Unknown(error) => Err(error),
            Name::Ready if self.version.is_some_and(|version| !version.says_ready()) => {
                Err(unknown_message("ready"))
            }
            _ if self.only_sync => {
                Err(OverLimit::Message(self.limits.frame_bytes_before_sign_in).into())
            }
            Name::Connect => connect(&mut seq)?.map(Message::Connect),
            Name::Connected => self.connected(&mut seq)?.map(Message::Connected),
            Name::Headers => self.headers(&mut seq)?.map(Message::Headers),
            Name::Error => Ok(Message::Error(error(&mut seq)?)),
            Name::Debug => Ok(Message::Debug(debug(&mut seq)?)),
            Name::Ping => Ok(Message::Ping(number(&mut seq)?)),
            Name::Pong => Ok(Message::Pong(number(&mut seq)?)),
            Name::Synced => Ok(Message::Synced(number(&mut seq)?)),
            Name::Ready => Ok(Message::Ready(number(&mut seq)?)),
        };
        match (&read, seq.next_element::<IgnoredAny>()?) {
            (Ok(_), Some(_)) => return Err(A::Error::custom("one element too many")),
            (Err(_), Some(_)) => while seq.next_element::<IgnoredAny>()?.is_some() {},
            (_, None) => {}
        }
        Ok(read)
    }
}

impl FrameSeed<'_> {
    fn headers<'de, A: SeqAccess<'de>>(&self, seq: &mut A) -> Result<Read<Headers>, A::Error> {
        let json = next::<&RawValue, _>(seq)?.get();
        if !json.starts_with('{') {
            return Err(A::Error::custom("headers are an object"));
        }
        if let Err(limit) = self.limits.check_headers(json.as_bytes()) {
            return Ok(Err(limit.into()));
        }
        Ok(Ok(Headers::checked(Bytes::copy_from_slice(json.as_bytes()))))
    }

    /// Reads all pairs, and keeps them if the link is known.
    fn sync<'de, A: SeqAccess<'de>>(&self, seq: &mut A) -> Result<Read<Sync>, A::Error> {
        let number = number(seq)?;
        // Most frames have one action; growing from nothing would make room for four at once.
        let mut batch = Vec::with_capacity(1);
        let mut count = 0;
        while let Some(json) = seq.next_element::<&RawValue>()? {
            count += 1;
            if count > self.limits.actions_per_frame {
                return Ok(Err(OverLimit::Actions(self.limits.actions_per_frame).into()));
            }
            let action = match self.action(json.get())? {
                Ok(action) => action,
                Err(limit) => return Ok(Err(limit.into())),
            };
            let meta = seq
                .next_element_seed(MetaSeed { version: self.version, link: self.link })?
                .ok_or_else(short)?;
            let Some(link) = self.link else { continue };
            let action = match self.version {
                Some(Version::V7) => bodies::from_names(action),
                Some(Version::V4 | Version::V5) | None => action,
            };
            let extra_keys = meta.extra_keys;
            let meta = meta.expand(link).ok_or_else(|| A::Error::custom("out of range"))?;
            batch.push(Pair { action, meta, extra_keys });
        }
        Ok(Ok(Sync { number, batch }))
    }

    /// A client takes its own version only; a server never gets this in a place where it counts.
    fn connected<'de, A: SeqAccess<'de>>(&self, seq: &mut A) -> Result<Read<Connected>, A::Error> {
        let used = protocol(seq)?;
        let version = match (self.version, Version::of(used)) {
            (Some(own), spoken) if spoken != Some(own) => {
                let supported = own.protocol();
                return Ok(Err(WireError::WrongProtocol { supported, used }));
            }
            (_, Some(version)) => version,
            (_, None) => return Ok(Err(unspoken(used))),
        };
        let node = node(seq)?;
        let (Number(start), Number(end)) = next(seq)?;
        let Options { token, subprotocol } = options(seq, version)?;
        Ok(Ok(Connected { node, start, end, token, subprotocol }))
    }

    fn action<E: de::Error>(&self, json: &str) -> Result<Result<Action, OverLimit>, E> {
        if let Err(limit) = self.limits.check_action(json.as_bytes()) {
            return Ok(Err(limit));
        }
        let action = Action::copied(json).map_err(E::custom)?;
        Ok(self.limits.check_name(action.kind()).map(|()| action))
    }
}

fn connect<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<Read<Connect>, A::Error> {
    let used = protocol(seq)?;
    let Some(version) = Version::of(used) else { return Ok(Err(unspoken(used))) };
    let (node, synced) = (node(seq)?, number(seq)?);
    let Options { token, subprotocol } = options(seq, version)?;
    Ok(Ok(Connect { version, node, synced, token, subprotocol }))
}

fn options<'de, A: SeqAccess<'de>>(seq: &mut A, version: Version) -> Result<Options, A::Error> {
    seq.next_element_seed(OptionsSeed(version)).map(Option::unwrap_or_default)
}

/// Comes first and is judged first: in another version other elements may follow.
fn protocol<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<u32, A::Error> {
    u32::try_from(number(seq)?).map_err(A::Error::custom)
}

fn error<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<WireError, A::Error> {
    let kind = next(seq)?;
    let options = seq.next_element::<Value>()?.unwrap_or_default();
    Ok(WireError::from_wire(kind, options))
}

fn debug<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<String, A::Error> {
    if next::<String, _>(seq)? != "error" {
        return Err(A::Error::custom("the only kind of debug message is \"error\""));
    }
    next(seq)
}

fn node<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<NodeId, A::Error> {
    NodeId::new(&next::<String, _>(seq)?).map_err(A::Error::custom)
}

fn number<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<u64, A::Error> {
    next(seq).map(|Number(number)| number)
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(short)
}

fn short<E: de::Error>() -> E {
    E::custom("an element is missing")
}

enum Name {
    Connect,
    Connected,
    Headers,
    Error,
    Debug,
    Ping,
    Pong,
    Sync,
    Synced,
    Ready,
    Unknown(WireError),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message type")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "connect" => Name::Connect,
                    "connected" => Name::Connected,
                    "headers" => Name::Headers,
                    "error" => Name::Error,
                    "debug" => Name::Debug,
                    "ping" => Name::Ping,
                    "pong" => Name::Pong,
                    "sync" => Name::Sync,
                    "synced" => Name::Synced,
                    "ready" => Name::Ready,
                    unknown => Name::Unknown(unknown_message(unknown)),
                })
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
