//! Memory for what goes out: what waits for clients to take it is bounded in all, not only for each.
//!
//! A session that reads history takes a chunk of it first, and holds that until the client has taken
//! what was read; users take turns. What is live goes out without one, as long as there is room.

use crate::turns::{Held, Turns};
use crate::ws::Owner;
use prometheus_client::metrics::gauge::Gauge;

/// A page, and the frame that is made of it.
const CHUNK_BYTES: usize = 128 << 10;
/// Chunks that there are however little memory there is.
const CHUNKS_MIN: usize = 16;

/// The memory. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OutgoingMemory {
    chunks: Turns<Owner>,
    bytes_max: usize,
    /// What waits for all clients together.
    waiting: Gauge,
}

/// A chunk of it, until it is dropped.
pub(crate) type Chunk = Held<Owner>;

impl OutgoingMemory {
    /// Memory of `bytes_max`, of which `waiting` tells what is in use.
    pub(crate) fn new(bytes_max: usize, waiting: Gauge) -> Self {
        let chunks = (bytes_max / CHUNK_BYTES).max(CHUNKS_MIN);
        // Half of them for one owner: a user's devices do not hold up everybody else's.
        Self { chunks: Turns::new(chunks, chunks / 2), bytes_max, waiting }
    }

    /// Waits for a chunk.
    pub(crate) async fn chunk(&self, owner: Owner) -> Chunk {
        self.chunks.take(owner, 1).await
    }

    /// Whether so much waits for clients that those who do not take it are cut sooner, nobody is let in,
    /// and only who has taken what it was sent is sent more.
    pub(crate) fn is_short(&self) -> bool {
        let waiting = usize::try_from(self.waiting.get()).unwrap_or_default();
        waiting >= self.bytes_max / 4 * 3
    }
}
