//! Walking over a part of a run, in either direction, a block at a time.

use super::super::error::ReadError;
use super::super::prefix::Key;
use super::block::Block;
use super::chunk::Span;
use super::{Item, Run};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Which way to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Order {
    /// Smallest key first.
    Ascending,
    /// Greatest key first.
    Descending,
}

impl Order {
    /// Takes from the end that comes first.
    fn pop<T>(self, queue: &mut VecDeque<T>) -> Option<T> {
        match self {
            Self::Ascending => queue.pop_front(),
            Self::Descending => queue.pop_back(),
        }
    }
}

/// Blocks that are read at once: what a log has in a run is mostly in one piece.
const BLOCKS_AT_ONCE: usize = 4;

/// The items of a run whose keys are in `first..=last`. Reads nothing before it is asked.
#[derive(Debug)]
pub(in super::super) struct Scan {
    run: Arc<Run>,
    first: Key,
    last: Key,
    order: Order,
    /// What is still to come: chunks, blocks of the chunk, blocks that were read, items of the block.
    chunks: VecDeque<usize>,
    blocks: VecDeque<Span>,
    read: VecDeque<Bytes>,
    items: VecDeque<Item>,
}

impl Scan {
    pub(in super::super) fn new(run: Arc<Run>, first: Key, last: Key, order: Order) -> Self {
        let chunks = match run.chunks() {
            0 => VecDeque::new(),
            _ => (run.chunk_of(first)..=run.chunk_of(last)).collect(),
        };
        Self {
            run,
            first,
            last,
            order,
            chunks,
            blocks: VecDeque::new(),
            read: VecDeque::new(),
            items: VecDeque::new(),
        }
    }

    fn step(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            if let Some(item) = self.order.pop(&mut self.items) {
                return Ok(Some(item));
            }
            if let Some(bytes) = self.order.pop(&mut self.read) {
                let items = Block::decode(bytes)
                    .and_then(|block| block.items(self.first, self.last))
                    .map_err(|damage| self.run.damaged(damage))?;
                self.items = items.into();
            } else if !self.blocks.is_empty() {
                self.read_blocks()?;
            } else if let Some(nth) = self.order.pop(&mut self.chunks) {
                let chunk = self.run.chunk(nth)?;
                let blocks = chunk.blocks(self.first, self.last);
                self.blocks = blocks.iter().map(|(_, span)| *span).collect();
            } else {
                return Ok(None);
            }
        }
    }

    /// Reads the next blocks, which follow each other, in one piece.
    fn read_blocks(&mut self) -> Result<(), ReadError> {
        let count = BLOCKS_AT_ONCE.min(self.blocks.len());
        let next = match self.order {
            Order::Ascending => 0..count,
            Order::Descending => self.blocks.len() - count..self.blocks.len(),
        };
        let spans: Vec<Span> = self.blocks.drain(next).collect();
        self.read = self.run.blocks(&spans)?.into();
        Ok(())
    }
}

impl Iterator for Scan {
    type Item = Result<Item, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
