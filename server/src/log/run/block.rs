//! A block of a run: keys in groups of one prefix, with their values, under a checksum.
//!
//! ```text
//! group     prefix (2 × u64), count of keys; then for each key:
//!   item    major as the distance from the one before it in the group, minor, length, value
//! checksum  u32: CRC-32 of the groups
//! ```

use super::super::binary::{Reader, put_count, put_number};
use super::super::error::Damage;
use super::super::prefix::{Key, Prefix};
use super::Item;
use bytes::Bytes;

/// Collects the items of one block, in order of their keys.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    first: Option<Key>,
    groups: Vec<u8>,
    group: Group,
}

/// The group that is open.
#[derive(Debug, Default)]
struct Group {
    prefix: Prefix,
    count: usize,
    major: u64,
    items: Vec<u8>,
}

impl BlockBuilder {
    pub(super) fn push(&mut self, key: Key, value: &[u8]) {
        if self.group.prefix != key.prefix {
            self.end_group();
            self.group.prefix = key.prefix;
        }
        let group = &mut self.group;
        put_number(&mut group.items, key.major.wrapping_sub(group.major));
        put_number(&mut group.items, key.minor);
        put_count(&mut group.items, value.len());
        group.items.extend_from_slice(value);
        group.major = key.major;
        group.count += 1;
        self.first.get_or_insert(key);
    }

    fn end_group(&mut self) {
        let group = &mut self.group;
        if group.count > 0 {
            self.groups.extend_from_slice(&group.prefix.0.to_le_bytes());
            self.groups.extend_from_slice(&group.prefix.1.to_le_bytes());
            put_count(&mut self.groups, group.count);
            self.groups.append(&mut group.items);
        }
        (group.count, group.major) = (0, 0);
    }

    /// About how long the block is by now.
    pub(super) fn length(&self) -> usize {
        self.groups.len() + self.group.items.len()
    }

    /// Appends the block to `out` and starts another; the first key, if there was any.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Option<Key> {
        self.end_group();
        let first = self.first.take()?;
        out.extend_from_slice(&self.groups);
        out.extend_from_slice(&crc32fast::hash(&self.groups).to_le_bytes());
        self.groups.clear();
        Some(first)
    }
}

/// A block whose checksum is right.
#[derive(Clone, Debug)]
pub(super) struct Block {
    groups: Bytes,
}

impl Block {
    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, Damage> {
        let (groups, sum) = bytes.split_last_chunk::<4>().ok_or(Damage("a block is cut off"))?;
        if crc32fast::hash(groups) != u32::from_le_bytes(*sum) {
            return Err(Damage("the checksum of a block does not match"));
        }
        bytes.truncate(bytes.len() - 4);
        Ok(Self { groups: bytes })
    }

    /// The items whose keys are in `first..=last`, ascending.
    pub(super) fn items(&self, first: Key, last: Key) -> Result<Vec<Item>, Damage> {
        let mut reader = Reader::new(&self.groups);
        let mut items = Vec::new();
        while !reader.is_empty() {
            self.group(&mut reader, (first, last), &mut items)
                .ok_or(Damage("a block cannot be read"))?;
        }
        Ok(items)
    }

    fn group(
        &self,
        reader: &mut Reader<'_>,
        (first, last): (Key, Key),
        items: &mut Vec<Item>,
    ) -> Option<()> {
        let prefix = Prefix(reader.eight()?, reader.eight()?);
        let mut key = Key { prefix, major: 0, minor: 0 };
        for _ in 0..reader.count()? {
            key.major = key.major.wrapping_add(reader.number()?);
            key.minor = reader.number()?;
            let length = reader.count()?;
            let value = reader.bytes(length)?;
            if first <= key && key <= last {
                items.push(Item { key, value: self.groups.slice_ref(value) });
            }
        }
        Some(())
    }
}
