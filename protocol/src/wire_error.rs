//! What one side tells the other before it gives up on it: the `error` message.

use crate::{Form, Frame, codec};
use serde_json::Value;

/// An error as both sides name it. `Display` is for logs and leaves out what the peer sent, since
/// that can hold tokens and actions; `Debug` does not, so it is for tests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The peer's protocol version is not spoken here.
    #[error("wrong-protocol: the peer speaks {used}, supported is {supported}")]
    WrongProtocol {
        /// The version spoken here.
        supported: u32,
        /// The version that the peer announced.
        used: u32,
    },
    /// The peer's application version is too old.
    #[error("wrong-subprotocol: the peer has {used}, supported is {supported} and newer")]
    WrongSubprotocol {
        /// The oldest version accepted here.
        supported: u32,
        /// The version that the peer announced.
        used: u32,
    },
    /// Nobody may sign in like this.
    #[error("wrong-credentials")]
    WrongCredentials,
    /// A frame is not what the protocol allows: the offending text, or a sentence that names the
    /// limit it passed.
    #[error("wrong-format")]
    WrongFormat(String),
    /// A message of this type does not exist.
    #[error("unknown-message")]
    UnknownMessage(String),
    /// Too many failed sign-ins from one place.
    #[error("bruteforce")]
    Bruteforce,
    /// No answer within so many ms. Tidelog closes without a frame then, as everybody does.
    #[error("timeout: no answer within {0} ms")]
    Timeout(u64),
    /// An error of another type; the connection stays open.
    #[error("{kind}")]
    Custom {
        /// The error's type.
        kind: String,
        /// What comes with it; null for nothing.
        options: Value,
    },
}

impl WireError {
    /// The type, as on the wire.
    pub fn kind(&self) -> &str {
        match self {
            Self::WrongProtocol { .. } => "wrong-protocol",
            Self::WrongSubprotocol { .. } => "wrong-subprotocol",
            Self::WrongCredentials => "wrong-credentials",
            Self::WrongFormat(_) => "wrong-format",
            Self::UnknownMessage(_) => "unknown-message",
            Self::Bruteforce => "bruteforce",
            Self::Timeout(_) => "timeout",
            Self::Custom { kind, .. } => kind,
        }
    }

    /// Whether the side that sends this closes the connection after it.
    pub fn closes(&self) -> bool {
        !matches!(self, Self::Custom { .. })
    }

    /// Whether a client that receives this stops reconnecting.
    pub fn stops_client(&self) -> bool {
        matches!(
            self,
            Self::WrongProtocol { .. } | Self::WrongSubprotocol { .. } | Self::WrongCredentials
        )
    }

    /// The error for a well-formed message that has no place where it came.
    pub(crate) fn misplaced(frame: &Frame) -> Self {
        match frame.form() {
            Form::Text => codec::wrong_format(frame.bytes()),
            Form::Binary => codec::wrong_binary_format(frame.bytes()),
        }
    }

    /// What comes after the type on the wire; null for nothing.
    pub(crate) fn options(&self) -> Value {
        match self {
            Self::WrongProtocol { supported, used }
            | Self::WrongSubprotocol { supported, used } => {
                serde_json::json!({ "supported": supported, "used": used })
            }
            Self::WrongFormat(text) | Self::UnknownMessage(text) => Value::from(text.as_str()),
            Self::Timeout(ms) => Value::from(*ms),
            Self::Custom { options, .. } => options.clone(),
            Self::WrongCredentials | Self::Bruteforce => Value::Null,
        }
    }

    /// The error named on the wire; one whose options are not those of its type is a custom one.
    pub(crate) fn from_wire(kind: String, options: Value) -> Self {
        let versions = || Some((version(&options, "supported")?, version(&options, "used")?));
        let known = match (kind.as_str(), &options) {
            ("wrong-protocol", Value::Object(_)) => {
                versions().map(|(supported, used)| Self::WrongProtocol { supported, used })
            }
            ("wrong-subprotocol", Value::Object(_)) => {
                versions().map(|(supported, used)| Self::WrongSubprotocol { supported, used })
            }
            ("wrong-credentials", Value::Null) => Some(Self::WrongCredentials),
            ("bruteforce", Value::Null) => Some(Self::Bruteforce),
            ("wrong-format", Value::String(text)) => Some(Self::WrongFormat(text.clone())),
            ("unknown-message", Value::String(text)) => Some(Self::UnknownMessage(text.clone())),
            ("timeout", Value::Number(ms)) => ms.as_u64().map(Self::Timeout),
            _ => None,
        };
        known.unwrap_or(Self::Custom { kind, options })
    }
}

/// A number, or, as clients of protocol 4 have it, a semantic version or a range of them.
fn version(options: &Value, key: &str) -> Option<u32> {
    match options.get(key)? {
        Value::String(text) => codec::major(text.trim_start_matches(['^', '>', '='])),
        number => u32::try_from(number.as_u64()?).ok(),
    }
}
