//! A chunk of a run's directory: the first keys of up to 64 blocks and where the blocks are.

use super::super::binary::Reader;
use super::super::error::Damage;
use super::super::prefix::Key;
use super::{KEY_BYTES, put_key, take_key};

/// A piece of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) length: u32,
}

impl Span {
    /// Where it ends.
    pub(super) fn end(self) -> Option<u64> {
        self.at.checked_add(u64::from(self.length))
    }

    /// Spans that follow each other as one.
    pub(super) fn over(spans: &[Self]) -> Option<Self> {
        let mut whole = *spans.first()?;
        for span in spans.get(1..)? {
            (whole.end()? == span.at).then_some(())?;
            whole.length = whole.length.checked_add(span.length)?;
        }
        Some(whole)
    }
}

/// Blocks in a chunk.
pub(super) const BLOCKS_MAX: usize = 64;

/// Ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    blocks: Vec<(Key, Span)>,
}

impl Chunk {
    /// The length of every chunk but the last.
    pub(super) const BYTES_MAX: usize = BLOCKS_MAX * (KEY_BYTES + 12) + 4;

    /// Appends a chunk of these blocks.
    pub(super) fn put(out: &mut Vec<u8>, blocks: &[(Key, Span)]) {
        let start = out.len();
        for (key, span) in blocks {
            put_key(out, *key);
            out.extend_from_slice(&span.at.to_le_bytes());
            out.extend_from_slice(&span.length.to_le_bytes());
        }
        let sum = crc32fast::hash(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&sum.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(Damage("a chunk is cut off"))?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return Err(Damage("the checksum of a chunk does not match"));
        }
        let mut reader = Reader::new(body);
        let mut blocks = Vec::with_capacity(BLOCKS_MAX);
        while !reader.is_empty() {
            blocks.push(take_block(&mut reader).ok_or(Damage("a chunk cannot be read"))?);
        }
        Ok(Self { blocks })
    }

    /// The blocks that may have keys in `first..=last`.
    pub(super) fn blocks(&self, first: Key, last: Key) -> &[(Key, Span)] {
        let from = self.blocks.partition_point(|(key, _)| *key <= first).saturating_sub(1);
        let to = self.blocks.partition_point(|(key, _)| *key <= last);
        self.blocks.get(from..to).unwrap_or_default()
    }
}

fn take_block(reader: &mut Reader<'_>) -> Option<(Key, Span)> {
    let key = take_key(reader)?;
    Some((key, Span { at: reader.eight()?, length: reader.four()? }))
}
