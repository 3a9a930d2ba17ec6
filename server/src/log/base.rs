//! What stands for entries of a log that compaction took out: documents, as those entries and all
//! before them add up to.
//!
//! A base is as much the truth as the entries were, so it is kept in the feed, and comes into it only
//! with the rewriting that takes the entries out. It stands at the position of the last entry in it.
//! There a reader of its log is shown the document, as `crdt/state`, if it is *shown*: all that
//! the reader has missed of the document up to there.

use super::Log;
use super::entry::{Addresses, Causes, Channel, Entry, LogName};
use super::error::{Damage, ReadError};
use super::prefix::Prefix;
use super::shared::Shared;
use super::store::Feed;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidelog_crdt::{Document, DocumentName, Dot, Incarnation, Position};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};

const VERSION: u8 = 1;
/// Before, what is not above could be of documents nevertheless, by rules that were new.
const HEAD_VERSION: u8 = 2;
/// The type of the action that shows a base.
const STATE: &str = "crdt/state";
/// The sequence in the id of what shows a base. Answers have the same node, and 0, 1, or what is 2 or 3
/// modulo 4.
const STATE_SEQUENCE: u64 = 4;

/// A document, as the entries of its log add up to that are not above `position`.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    /// The document.
    pub(crate) name: DocumentName,
    /// The last entry in it.
    pub(crate) position: Position,
    /// When that was accepted, in ms since the epoch.
    pub(crate) accepted_ms: u64,
    /// When the latest of its entries was made.
    pub(crate) latest_ms: u64,
    /// How many entries are in it.
    pub(crate) entries: u64,
    /// Whether readers of the log are shown it.
    pub(crate) shown: bool,
    /// What they add up to.
    pub(crate) document: Document,
}

/// All bases of a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bases {
    /// All that is not above has gone, whatever it was; what is above may be of documents, by rules that are
    /// new.
    pub(crate) through: Position,
    /// One for each document of which anything went.
    pub(crate) bases: Vec<Base>,
}

/// What is kept under a base's position.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u8,
    user: bool,
    log: String,
    name: String,
    accepted_ms: u64,
    latest_ms: u64,
    entries: u64,
    #[serde(with = "serde_bytes_vec")]
    document: Vec<u8>,
}

/// What is kept of the log as a whole, under position 0.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u8,
    through: Position,
}

/// Bytes as MessagePack has them, and not as an array of numbers.
mod serde_bytes_vec {
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;
    use std::fmt;

    #[expect(clippy::ptr_arg, reason = "serde passes fields by reference")]
    pub(super) fn serialize<S: Serializer>(bytes: &Vec<u8>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain data always serializes.
    let mut bytes = rmp_serde::to_vec(value).unwrap_or_default();
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn unseal<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    let (body, checksum) = bytes.split_last_chunk::<4>()?;
    let whole = crc32fast::hash(body) == u32::from_le_bytes(*checksum);
    whole.then(|| rmp_serde::from_slice(body).ok()).flatten()
}

impl Base {
    /// As bytes, for the log called `log`.
    pub(super) fn encode(&self, log: &LogName) -> Vec<u8> {
        let (user, log) = match log {
            LogName::User(user) => (true, user.as_str()),
            LogName::Channel(channel) => (false, channel.as_str()),
        };
        seal(&Kept {
            version: VERSION,
            user,
            log: log.to_owned(),
            name: self.name.as_str().to_owned(),
            accepted_ms: self.accepted_ms,
            latest_ms: self.latest_ms,
            entries: self.entries,
            document: self.document.encode(),
        })
    }

    /// The log and the base that are kept as these bytes.
    pub(super) fn decode(
        (position, shown): (Position, bool),
        bytes: &[u8],
    ) -> Result<(LogName, Self), Damage> {
        let damage = Damage("what compaction made of a document cannot be read");
        let read = || {
            let kept: Kept = unseal(bytes)?;
            let log = if kept.user {
                LogName::User(UserId::new(&kept.log).ok()?)
            } else {
                LogName::Channel(Channel::new(&kept.log).ok()?)
            };
            let base = Self {
                name: DocumentName::new(&kept.name).ok()?,
                position,
                accepted_ms: kept.accepted_ms,
                latest_ms: kept.latest_ms,
                entries: kept.entries,
                shown,
                document: Document::decode(&kept.document).ok()?,
            };
            (kept.version == VERSION).then_some((log, base))
        };
        read().ok_or(damage)
    }

    /// How a reader of `log` is shown it. The id is the server's: whoever made the last entry has not had the
    /// rest.
    pub(super) fn entry(&self, log: LogName, incarnation: Incarnation) -> Option<Entry> {
        let json = serde_json::to_vec(&self.document.to_action(&self.name)).ok()?;
        // As of other states of documents: of two of one time the later one counts, and nodes are compared as
        // texts.
        let place = self.position.get();
        let node = NodeId::new(&format!("server:{incarnation}:{place:013}")).ok()?;
        let addresses = match log {
            LogName::User(user) => Addresses { users: vec![user], ..Addresses::default() },
            LogName::Channel(name) => Addresses { channels: vec![name], ..Addresses::default() },
        };
        Some(Entry {
            position: self.position,
            id: ActionId { node, ms: self.accepted_ms, sequence: STATE_SEQUENCE },
            // After all that is in it, for stores that put actions in the order of their times.
            time: self.latest_ms.saturating_add(1),
            accepted_ms: self.accepted_ms,
            subprotocol: 0,
            addresses,
            dot: Dot { incarnation, position: self.position },
            aliases: Vec::new(),
            causes: Causes::default(),
            action: Action::from_parts(Bytes::from(json), STATE),
            kept: true,
            cleaned: false,
        })
    }
}

/// What is kept of a log as a whole.
pub(super) fn encode_head(through: Position) -> Vec<u8> {
    seal(&Head { version: HEAD_VERSION, through })
}

impl Feed {
    /// The bases of the log with this prefix, if it has any.
    pub(super) fn bases_of(&self, prefix: Prefix) -> Result<Option<Bases>, ReadError> {
        let mut through = None;
        let mut bases = Vec::new();
        for kept in self.bases(prefix) {
            let (_, position, shown, bytes) = kept?;
            if position == Position::ZERO {
                let head: Option<Head> = unseal(&bytes);
                let damage = Damage("what compaction said of a log cannot be read");
                let head = head.ok_or_else(|| self.damaged(position, damage))?;
                let is_whole = head.version == HEAD_VERSION;
                through = Some(if is_whole { head.through } else { Position::ZERO });
                continue;
            }
            let base = Base::decode((position, shown), &bytes);
            bases.push(base.map_err(|damage| self.damaged(position, damage))?.1);
        }
        Ok(through.map(|through| Bases { through, bases }))
    }
}

impl Log {
    /// Shows `look` what compaction made of each document, by log, and of one log by position. Waits for the disk.
    pub(crate) fn every_base(
        &self,
        look: &mut dyn FnMut(&LogName, &Base),
    ) -> Result<(), ReadError> {
        let feed = self.shared().feed();
        for kept in feed.all_bases() {
            let (_, position, shown, bytes) = kept?;
            if position > Position::ZERO {
                let base = Base::decode((position, shown), &bytes);
                let (log, base) = base.map_err(|damage| feed.damaged(position, damage))?;
                look(&log, &base);
            }
        }
        Ok(())
    }
}

impl Shared {
    /// What a reader of the log with this prefix is shown at this position instead of entries that went, by the
    /// bases in `feed`; none if it is nothing.
    pub(super) fn shown_at(
        &self,
        feed: &Feed,
        (prefix, position): (Prefix, Position),
    ) -> Result<Option<Entry>, ReadError> {
        if let Some(entry) = feed.shown().get((prefix, position)) {
            return Ok(Some(entry));
        }
        let Some(bytes) = feed.shown_base(prefix, position)? else { return Ok(None) };
        let base = Base::decode((position, true), &bytes);
        let (log, base) = base.map_err(|damage| feed.damaged(position, damage))?;
        let entry = base.entry(log, self.identity.incarnation);
        if let Some(entry) = &entry {
            feed.shown().keep((prefix, position), entry);
        }
        Ok(entry)
    }

    /// The bases of a log, if it has any.
    pub(super) fn bases(&self, log: &LogName) -> Result<Option<Bases>, ReadError> {
        self.feed().bases_of(self.hash.log(log))
    }
}

/// Whether the bytes of a base name a node of `user`: what somebody made is in it under that name.
pub(super) fn names(user: &UserId, bytes: &[u8]) -> bool {
    let start = format!("{}:", user.as_str());
    bytes.windows(start.len()).any(|window| window == start.as_bytes())
}
