//! Writing a run: keys come in order, the file is synced before it may be named anywhere.

use super::super::bloom::Bloom;
use super::super::prefix::{Key, Prefix};
use super::block::BlockBuilder;
use super::chunk::{BLOCKS_MAX, Chunk, Span};
use super::{Footer, put_key};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Written to the file in pieces of this size.
const WRITE_BYTES: usize = 1 << 20;
/// Synced in steps, so that a large run never makes the feed's sync wait for all of it.
const SYNC_BYTES: u64 = 8 << 20;

/// A run that is being written.
#[derive(Debug)]
pub(in super::super) struct RunWriter {
    file: File,
    /// A block is closed once it is this long.
    block_bytes: usize,
    /// What was not written to the file yet, and where it goes.
    pending: Vec<u8>,
    at: u64,
    synced: u64,
    block: BlockBuilder,
    blocks: Vec<(Key, Span)>,
    prefixes: Vec<Prefix>,
    count: u64,
    majors: Option<(u64, u64)>,
}

impl RunWriter {
    /// Starts a run at `path` with blocks of about `block_bytes`; what is there is overwritten.
    pub(in super::super) fn create(path: &Path, block_bytes: usize) -> io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
            block_bytes,
            pending: Vec::with_capacity(WRITE_BYTES + 2 * block_bytes),
            at: 0,
            synced: 0,
            block: BlockBuilder::default(),
            blocks: Vec::new(),
            prefixes: Vec::new(),
            count: 0,
            majors: None,
        })
    }

    /// Adds an item; its key is greater than all before it.
    pub(in super::super) fn push(&mut self, key: Key, value: &[u8]) -> io::Result<()> {
        if self.prefixes.last() != Some(&key.prefix) {
            self.prefixes.push(key.prefix);
        }
        self.count += 1;
        let (low, high) = self.majors.unwrap_or((key.major, key.major));
        self.majors = Some((low.min(key.major), high.max(key.major)));
        self.block.push(key, value);
        if self.block.length() >= self.block_bytes { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        let start = self.pending.len();
        if let Some(first) = self.block.finish(&mut self.pending) {
            let length = u32::try_from(self.pending.len() - start).map_err(io::Error::other)?;
            self.blocks.push((first, Span { at: self.at + start as u64, length }));
        }
        if self.pending.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.at += self.pending.len() as u64;
        self.pending.clear();
        if self.at - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.at;
        }
        Ok(())
    }

    /// Writes what is left and syncs the file; how many items it has.
    pub(in super::super) fn finish(mut self) -> io::Result<u64> {
        self.end_block()?;
        let chunks_at = self.at + self.pending.len() as u64;
        let chunks: Vec<_> = self.blocks.chunks(BLOCKS_MAX).collect();
        for blocks in &chunks {
            Chunk::put(&mut self.pending, blocks);
        }
        let fence_from = self.pending.len();
        for (first, _) in chunks.iter().filter_map(|blocks| blocks.first()) {
            put_key(&mut self.pending, *first);
        }
        let filter_from = self.pending.len();
        Bloom::of(&self.prefixes).put(&mut self.pending);
        let footer = Footer {
            chunks_at,
            fence_at: self.at + fence_from as u64,
            filter_at: self.at + filter_from as u64,
            count: self.count,
            majors: self.majors.unwrap_or_default(),
        };
        footer.put(&mut self.pending);
        let sum = crc32fast::hash(self.pending.get(fence_from..).unwrap_or_default());
        self.pending.extend_from_slice(&sum.to_le_bytes());
        self.file.write_all(&self.pending)?;
        self.file.sync_all()?;
        Ok(self.count)
    }
}
