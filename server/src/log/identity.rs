//! Which store this is, and in which of its lives.

use super::binary::Reader;
use super::error::Damage;
use tidelog_crdt::Incarnation;
use uuid::Uuid;

/// The format of the feed that this version writes, and the newest that it reads.
///
/// 1 had neither erased records nor a generation, 2 nothing that compaction leaves, 3 no entries with several names. A store is brought to the newest format when it is
/// opened to be written.
pub(super) const FORMAT: u32 = 4;

/// The oldest format that this version reads.
pub(super) const OLDEST: u32 = 1;

/// What the feed says of itself; one value in the engine, so that it is there whole or not at all.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Drawn when the store was created.
    pub(super) store_id: Uuid,
    /// Drawn when the store was created, restored or seeded.
    pub(super) incarnation: Incarnation,
    /// The key of [`super::prefix::Hash`].
    pub(super) secret: [u8; 16],
    /// How often the feed was rewritten. What was derived from an earlier generation is made again,
    /// because it may have what the rewriting has taken out.
    pub(super) generation: u64,
}

/// Why an identity cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Written in a later format.
    Newer(u32),
    /// Written in a format that is not read any more.
    Older(u32),
    /// Not what was written.
    Damaged(Damage),
}

impl Identity {
    /// The identity of a new store.
    pub(super) fn draw() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let incarnation = Incarnation(getrandom::u64()?);
        Ok(Self { store_id: Uuid::new_v4(), incarnation, secret, generation: 0 })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = FORMAT.to_le_bytes().to_vec();
        out.extend_from_slice(self.store_id.as_bytes());
        out.extend_from_slice(&self.incarnation.0.to_le_bytes());
        out.extend_from_slice(&self.secret);
        out.extend_from_slice(&self.generation.to_le_bytes());
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// The identity, and the format that the store has.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, u32), Unusable> {
        let damaged = Unusable::Damaged(Damage("the identity of the store cannot be read"));
        let mut reader = Reader::new(bytes);
        // Before the checksum: a later format may have another.
        let format = reader.four().ok_or(damaged)?;
        if format > FORMAT {
            return Err(Unusable::Newer(format));
        }
        if format < OLDEST {
            return Err(Unusable::Older(format));
        }
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(damaged)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return Err(damaged);
        }
        Self::take(&mut reader, format).map(|identity| (identity, format)).ok_or(damaged)
    }

    fn take(reader: &mut Reader<'_>, format: u32) -> Option<Self> {
        Some(Self {
            store_id: Uuid::from_bytes(reader.array()?),
            incarnation: Incarnation(reader.eight()?),
            secret: reader.array()?,
            generation: if format == 1 { 0 } else { reader.eight()? },
        })
    }
}
