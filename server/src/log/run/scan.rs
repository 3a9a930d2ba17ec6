//! Walking over a part of a run, in either direction, a block at a time.

use super::super::error::ReadError;
use super::super::prefix::Key;
use super::chunk::Span;
use super::{Item, Run};
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

/// The items of a run whose keys are in `first..=last`. Reads nothing before it is asked.
#[derive(Debug)]
pub(in super::super) struct Scan {
    run: Arc<Run>,
    first: Key,
    last: Key,
    order: Order,
    /// Chunks, blocks of the chunk, and items of the block that are still to come.
    chunks: VecDeque<usize>,
    blocks: VecDeque<Span>,
    items: VecDeque<Item>,
}

impl Scan {
    pub(in super::super) fn new(run: Arc<Run>, first: Key, last: Key, order: Order) -> Self {
        let chunks = match run.chunks() {
            0 => VecDeque::new(),
            _ => (run.chunk_of(first)..=run.chunk_of(last)).collect(),
        };
        Self { run, first, last, order, chunks, blocks: VecDeque::new(), items: VecDeque::new() }
    }

    fn step(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            if let Some(item) = self.order.pop(&mut self.items) {
                return Ok(Some(item));
            }
            if let Some(span) = self.order.pop(&mut self.blocks) {
                let block = self.run.block(span)?;
                let items = block.items(self.first, self.last);
                self.items = items.map_err(|damage| self.run.damaged(damage))?.into();
            } else if let Some(nth) = self.order.pop(&mut self.chunks) {
                let chunk = self.run.chunk(nth)?;
                let blocks = chunk.blocks(self.first, self.last);
                self.blocks = blocks.iter().map(|(_, span)| *span).collect();
            } else {
                return Ok(None);
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Item, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
