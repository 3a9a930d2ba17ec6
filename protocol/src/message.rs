//! The messages of the protocol, parsed: what every version says, in the words of none.

use crate::codec::Version;
use crate::{Action, Meta, NodeId, WireError};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

/// One message. Nothing outside the codecs knows how it looks on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A client says who it is.
    Connect(Connect),
    /// The server lets it in.
    Connected(Connected),
    /// What the sender's application wants known about this connection; replaces what was known.
    Headers(Headers),
    /// The sender found an error.
    Error(WireError),
    /// A text for the developer's console.
    Debug(String),
    /// Is anyone there? The number is the sender's.
    Ping(u64),
    /// The answer to a ping, with the answerer's number.
    Pong(u64),
    /// Actions, oldest first.
    Sync(Sync),
    /// The answer to a sync: what it held need not be sent again.
    Synced(u64),
    /// The sender has sent what it had before the connection; its number. Protocol 7 only.
    Ready(u64),
}

/// The first message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The protocol version that the client speaks.
    pub version: Version,
    /// Who it is.
    pub node: NodeId,
    /// The number up to which the client has everything; 0 for nothing.
    pub synced: u64,
    /// What proves who it is.
    pub token: Option<Token>,
    /// The version of the client's application; 0 when it gave none.
    pub subprotocol: u32,
}

/// The server's answer to [`Connect`], in the same version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Who the server is.
    pub node: NodeId,
    /// When `connect` came in, by the server's clock, in ms.
    pub start: u64,
    /// When this was sent; times on this connection are relative to it.
    pub end: u64,
    /// What proves who the server is; unused in practice.
    pub token: Option<Token>,
    /// The version of the server's application; 0 when it gave none.
    pub subprotocol: u32,
}

/// A number, and actions with their meta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Where the sender's log stands; the receiver names it when it connects again.
    pub number: u64,
    /// The actions, oldest first. May be empty.
    pub batch: Vec<Pair>,
}

/// One action of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The action.
    pub action: Action,
    /// Its meta.
    pub meta: Meta,
    /// Whether the meta had keys that no client sends. They are not kept; a server denies the
    /// action, because whoever sent them tried to say where it goes.
    pub extra_keys: bool,
}

impl Pair {
    /// An action with its meta and nothing else.
    pub fn new(action: Action, meta: Meta) -> Self {
        Self { action, meta, extra_keys: false }
    }
}

/// A secret. It reads like a string, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl Deref for Token {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A JSON object that an application attaches to its connection, such as its locale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers(Bytes);

impl Headers {
    /// Checks that `json` is an object, and keeps it as it is.
    pub fn new(json: Bytes) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<BTreeMap<String, &RawValue>>(&json)?;
        Ok(Self(json))
    }

    /// What is already known to be a JSON object.
    pub(crate) fn checked(json: Bytes) -> Self {
        Self(json)
    }

    /// The object's JSON.
    pub fn json(&self) -> &Bytes {
        &self.0
    }

    /// The value under `name`, if there is one and it is a `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let mut all: BTreeMap<String, &RawValue> = self.body().ok()?;
        serde_json::from_str(all.remove(name)?.get()).ok()
    }

    /// Reads the object as `T`.
    pub fn body<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}
