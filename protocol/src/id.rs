//! Who speaks, and what an action is called: node, client, user, action id.
//!
//! A node id is `user:client:tab`. The *client* is its first two parts (one browser or device), the
//! *user* its first part; a node id without a colon has no user (Logux, "Peers" in the protocol
//! document).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing between the separators.
    #[error("the id is empty")]
    Empty,
    /// Longer than [`NodeId::BYTES_MAX`].
    #[error("the id is longer than {} bytes", NodeId::BYTES_MAX)]
    TooLong,
    /// A space or a control character, which separate the parts of an action id.
    #[error("the id has a space or a control character")]
    Space,
    /// A user id must not contain a colon.
    #[error("the user id has a colon")]
    Colon,
    /// An action id is `<ms> <node> <sequence>`.
    #[error("an action id is \"<milliseconds> <node> <sequence>\"")]
    Shape,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        Err(IdError::Empty)
    } else if text.len() > NodeId::BYTES_MAX {
        Err(IdError::TooLong)
    } else if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        Err(IdError::Space)
    } else {
        Ok(())
    }
}

/// What is before the first colon, if there is one and something before it.
fn first_part(id: &str) -> Option<&str> {
    let ends = id.bytes().position(|byte| byte == b':')?;
    id.get(..ends).filter(|user| !user.is_empty())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// One tab of one client: `user:client:tab`.
    NodeId
}
text_id! {
    /// One browser or device: `user:client`.
    ClientId
}
text_id! {
    /// A user: the first part of a node id.
    UserId
}

impl NodeId {
    /// The longest node, client or user id, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// Checks and takes a node id.
    pub fn new(text: &str) -> Result<Self, IdError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The first two parts, or the whole id when there are fewer.
    pub fn client_str(&self) -> &str {
        // Ids are short, and this is asked for each action several times: no searcher is set up for it.
        let colons = self.0.bytes().enumerate().filter(|(_, byte)| *byte == b':');
        let ends = colons.map(|(at, _)| at).nth(1).unwrap_or(self.0.len());
        self.0.get(..ends).unwrap_or(&self.0)
    }

    /// The client this node belongs to.
    pub fn client(&self) -> ClientId {
        ClientId(self.client_str().into())
    }

    /// The first part; none when the id has no colon or starts with one.
    pub fn user_str(&self) -> Option<&str> {
        first_part(&self.0)
    }

    /// The user this node belongs to.
    pub fn user(&self) -> Option<UserId> {
        self.user_str().map(|user| UserId(user.into()))
    }
}

impl ClientId {
    /// Checks and takes a client id.
    pub fn new(text: &str) -> Result<Self, IdError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The user this client belongs to.
    pub fn user_str(&self) -> Option<&str> {
        first_part(&self.0)
    }
}

impl UserId {
    /// Checks and takes a user id.
    pub fn new(text: &str) -> Result<Self, IdError> {
        check(text)?;
        if text.contains(':') {
            return Err(IdError::Colon);
        }
        Ok(Self(text.into()))
    }
}

/// The name of an action, unique everywhere: creation time, node, sequence number.
///
/// The text form `"<ms> <node> <sequence>"` is that of protocols up to 5.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId {
    /// The node that created the action.
    pub node: NodeId,
    /// Creation time by the creator's clock, in ms since the epoch.
    pub ms: u64,
    /// Tells apart what one node created in one millisecond.
    pub sequence: u64,
}

impl ActionId {
    /// The greatest number in an id: what a JavaScript number holds exactly.
    pub const NUMBER_MAX: u64 = (1 << 53) - 1;

    /// The text form, made at once: [`ToString`] would put it together piece by piece.
    pub fn text(&self) -> String {
        let (mut ms, mut sequence) = (itoa::Buffer::new(), itoa::Buffer::new());
        [ms.format(self.ms), self.node.as_str(), sequence.format(self.sequence)].join(" ")
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.ms, self.node, self.sequence)
    }
}

impl FromStr for ActionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut parts = text.split(' ');
        let (Some(ms), Some(node), Some(sequence), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(IdError::Shape);
        };
        Ok(Self { node: NodeId::new(node)?, ms: number(ms)?, sequence: number(sequence)? })
    }
}

impl Serialize for ActionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Not piece by piece, each of which would be looked through for what to escape.
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for ActionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Digits only, without leading zeros: each number has one text, so that equal ids have equal texts.
fn number(text: &str) -> Result<u64, IdError> {
    let canonical =
        text == "0" || (text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0'));
    match text.parse::<u64>() {
        Ok(number) if canonical && number <= ActionId::NUMBER_MAX => Ok(number),
        _ => Err(IdError::Shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_has_a_client_and_a_user() {
        let node = NodeId::new("10:lvzqTSjK:SJpRmI9h").unwrap();
        assert_eq!((node.user_str(), node.client_str()), (Some("10"), "10:lvzqTSjK"));
        let bare = NodeId::new("uuid").unwrap();
        assert_eq!((bare.user_str(), bare.client_str()), (None, "uuid"));
        assert_eq!(NodeId::new("10:c").unwrap().client_str(), "10:c");
    }

    #[test]
    fn an_action_id_reads_what_it_writes_and_nothing_else() {
        let text = "1795222838711 10:lvzqTSjK:SJpRmI9h 0";
        let id = text.parse::<ActionId>().unwrap();
        assert_eq!((id.to_string().as_str(), id.text().as_str()), (text, text));
        for bad in
            ["", "1 a", "1 a 0 0", "01 a 0", "+1 a 0", "1 a -1", "1  0", "9007199254740992 a 0"]
        {
            assert!(bad.parse::<ActionId>().is_err(), "{bad}");
        }
    }
}
