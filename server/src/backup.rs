//! `tidelog backup` and `tidelog restore`: a store as one file, and a store from one.
//!
//! The file is a snapshot (see `log/snapshot.rs`) in blocks that are compressed and checked each (see
//! `container`); what is left out is what a start makes again from the feed. A running server sends
//! the blocks through its socket, and the command writes them down, so that the file belongs to whoever
//! runs the command and a server needs no other directory than its own.

mod command;
mod container;
mod make;
#[cfg(test)]
mod tests;

pub use command::{backup, restore};
pub(crate) use make::send;

use serde::{Deserialize, Serialize};

/// What a backup says of itself, first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// Which store it is of, in the store's own words.
    #[serde(with = "serde_bytes_form")]
    pub(crate) identity: Vec<u8>,
    /// The last position in it.
    pub(crate) head: u64,
    /// When it was begun, in ms since the epoch.
    pub(crate) made_ms: u64,
    /// The version of the program.
    pub(crate) program: String,
}

/// Bytes as text, so that what a backup says of itself can be read by people.
mod serde_bytes_form {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// The backup of a snapshot, for tests of others.
#[cfg(test)]
pub(crate) fn bytes_of(snapshot: crate::log::Snapshot) -> Vec<u8> {
    make::write(snapshot, Vec::new()).unwrap()
}

/// Makes a store of a backup, for tests of others.
#[cfg(test)]
pub(crate) fn put(bytes: &[u8], dir: &std::path::Path, as_replica: bool) {
    tests::put(bytes, dir, as_replica).unwrap();
}
