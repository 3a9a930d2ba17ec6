//! Which runs there are, and up to where they cover the feed: one value in the engine, replaced as a
//! whole.

use super::binary::{Reader, put_count, put_number};
use super::error::Damage;
use super::identity::Identity;
use super::run::Run;
use std::sync::Arc;
use tidelog_crdt::{Incarnation, Position};
use uuid::Uuid;

/// The format of the index; another one is rebuilt from the feed.
const FORMAT: u32 = 3;

/// A run and its place among the others.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The number in the file's name.
    pub(super) file: u64,
    /// How often its items were merged.
    pub(super) level: u8,
    /// The open file.
    pub(super) run: Arc<Run>,
}

/// Which keys a list of runs has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// (log, position) → the whole entry, so that a log is read in sequence.
    Entries,
    /// (node, milliseconds, sequence) → position.
    Ids,
    /// (user, last position of a stretch) → by how much the user's bytes changed in it.
    Usage,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::Entries, Self::Ids, Self::Usage];

    /// A log is read in sequence; of the others one is looked up, and a smaller block is read faster.
    pub(super) fn block_bytes(self) -> usize {
        match self {
            Self::Entries => 16 << 10,
            Self::Ids | Self::Usage => 4 << 10,
        }
    }
}

/// The runs of all families, each from the oldest to the newest.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) entries: Vec<Part>,
    pub(super) ids: Vec<Part>,
    pub(super) usage: Vec<Part>,
}

impl Lists {
    pub(super) fn of(&self, family: Family) -> &Vec<Part> {
        match family {
            Family::Entries => &self.entries,
            Family::Ids => &self.ids,
            Family::Usage => &self.usage,
        }
    }

    pub(super) fn of_mut(&mut self, family: Family) -> &mut Vec<Part> {
        match family {
            Family::Entries => &mut self.entries,
            Family::Ids => &mut self.ids,
            Family::Usage => &mut self.usage,
        }
    }
}

/// The manifest as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The feed that the runs were derived from.
    pub(super) store_id: Uuid,
    /// And the life that it was in.
    pub(super) incarnation: Incarnation,
    /// How often that feed had been rewritten.
    pub(super) generation: u64,
    /// Everything up to here is in the runs.
    pub(super) checkpoint: Position,
    /// The number that the next file gets.
    pub(super) next_file: u64,
    /// File numbers and levels.
    pub(super) entries: Vec<(u64, u8)>,
    /// File numbers and levels.
    pub(super) ids: Vec<(u64, u8)>,
    /// File numbers and levels.
    pub(super) usage: Vec<(u64, u8)>,
}

impl Manifest {
    /// Whether it describes what was derived from this feed, as it is now.
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        (self.store_id, self.incarnation, self.generation)
            == (identity.store_id, identity.incarnation, identity.generation)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = FORMAT.to_le_bytes().to_vec();
        out.extend_from_slice(self.store_id.as_bytes());
        out.extend_from_slice(&self.incarnation.0.to_le_bytes());
        put_number(&mut out, self.generation);
        put_number(&mut out, self.checkpoint.get());
        put_number(&mut out, self.next_file);
        for parts in [&self.entries, &self.ids, &self.usage] {
            put_count(&mut out, parts.len());
            for (file, level) in parts {
                put_number(&mut out, *file);
                out.push(*level);
            }
        }
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// The manifest; none if it has another format.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, Damage> {
        let damage = Damage("the manifest of the index cannot be read");
        if bytes.first_chunk() != Some(&FORMAT.to_le_bytes()) {
            return Ok(None);
        }
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(damage)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return Err(damage);
        }
        Self::take(body.get(4..).unwrap_or_default()).map(Some).ok_or(damage)
    }

    fn take(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let manifest = Self {
            store_id: Uuid::from_bytes(reader.array()?),
            incarnation: Incarnation(reader.eight()?),
            generation: reader.number()?,
            checkpoint: Position::new(reader.number()?)?,
            next_file: reader.number()?,
            entries: take_parts(&mut reader)?,
            ids: take_parts(&mut reader)?,
            usage: take_parts(&mut reader)?,
        };
        reader.is_empty().then_some(manifest)
    }
}

fn take_parts(reader: &mut Reader<'_>) -> Option<Vec<(u64, u8)>> {
    let count = reader.count()?;
    (0..count).map(|_| Some((reader.number()?, reader.byte()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_what_it_wrote_refuses_damage_and_leaves_other_formats_alone() {
        let manifest = Manifest {
            store_id: Uuid::from_bytes([1; 16]),
            incarnation: Incarnation(2),
            generation: 1,
            checkpoint: Position::new(300).unwrap(),
            next_file: 9,
            entries: vec![(4, 1), (7, 0)],
            ids: vec![(8, 0)],
            usage: vec![(9, 2)],
        };
        let mut bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(Some(manifest)));
        for nth in 4..bytes.len() {
            bytes[nth] ^= 1;
            assert!(Manifest::decode(&bytes).is_err(), "byte {nth}");
            bytes[nth] ^= 1;
        }
        bytes[0] = 9;
        assert_eq!(Manifest::decode(&bytes), Ok(None));
    }
}
