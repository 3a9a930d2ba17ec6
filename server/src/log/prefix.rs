//! Names as fixed 128 bits, so that the keys of everything derived have one size.
//!
//! A keyed hash: the key is drawn with the store and never leaves it, so that nobody can choose
//! two names that collide. What is found by a prefix is still compared with the whole name.

use super::entry::LogName;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use tidelog_protocol::{ActionId, NodeId};

/// A log name or a node id, hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Prefix(pub(super) u64, pub(super) u64);

/// What derived data is sorted by: (log, position, 0) or (node, milliseconds, sequence).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) prefix: Prefix,
    pub(super) major: u64,
    pub(super) minor: u64,
}

impl Key {
    /// The first key that `prefix` can have.
    pub(super) fn first_of(prefix: Prefix) -> Self {
        Self { prefix, major: 0, minor: 0 }
    }

    /// The last key that `prefix` can have.
    pub(super) fn last_of(prefix: Prefix) -> Self {
        Self { prefix, major: u64::MAX, minor: u64::MAX }
    }
}

/// Makes prefixes, with the secret of the store.
#[derive(Clone)]
pub(super) struct Hash {
    secret: SipHasher24,
}

impl Hash {
    pub(super) fn new(secret: &[u8; 16]) -> Self {
        Self { secret: SipHasher24::new_with_key(secret) }
    }

    /// The prefix of a log's entries.
    pub(super) fn log(&self, log: &LogName) -> Prefix {
        match log {
            LogName::User(user) => self.user(user.as_str()),
            LogName::Channel(channel) => self.channel(channel.as_str()),
        }
    }

    pub(super) fn user(&self, user: &str) -> Prefix {
        self.of(b'u', user)
    }

    pub(super) fn channel(&self, channel: &str) -> Prefix {
        self.of(b'c', channel)
    }

    /// The prefix of a node's ids.
    pub(super) fn node(&self, node: &NodeId) -> Prefix {
        self.of(b'n', node.as_str())
    }

    /// The key of an action id.
    pub(super) fn id(&self, id: &ActionId) -> Key {
        Key { prefix: self.node(&id.node), major: id.ms, minor: id.sequence }
    }

    fn of(&self, kind: u8, name: &str) -> Prefix {
        let mut hasher = self.secret;
        hasher.write(name.as_bytes());
        hasher.write_u8(kind);
        let hash = hasher.finish128();
        Prefix(hash.h1, hash.h2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_a_channel_and_a_node_of_one_name_have_different_prefixes() {
        let hash = Hash::new(&[7; 16]);
        let node = NodeId::new("10").unwrap();
        let all = [hash.user("10"), hash.channel("10"), hash.node(&node)];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
        assert_ne!(hash.user("10"), Hash::new(&[8; 16]).user("10"), "the secret matters");
    }
}
