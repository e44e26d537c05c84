//! The octets of all connections live in chunks of one size, out of one pool: what is buffered is what
//! takes memory, not what a window could hold, and one limit covers the whole endpoint.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Octets in a chunk.
pub(crate) const CHUNK: usize = 4096;

/// How many free chunks a pool keeps; what comes back beyond them goes to the allocator.
const KEPT: usize = 256;

/// A piece of a buffer. What a chunk out of the pool holds is what its last user left in it.
pub(crate) type Chunk = Box<[u8; CHUNK]>;

/// Where chunks come from and go back to. The one given back last is taken first: it is in the cache.
pub(crate) struct Pool {
    free: Vec<Chunk>,
    /// Chunks that are in use.
    taken: usize,
    /// How many may be in use.
    limit: usize,
}

impl Pool {
    /// A pool of which no more than `limit` octets, in whole chunks, are ever in use. Allocates nothing.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { free: Vec::new(), taken: 0, limit: limit / CHUNK }
    }

    /// A chunk, or `None` when the limit is reached.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        if self.taken >= self.limit {
            return None;
        }
        self.taken += 1;
        Some(self.free.pop().unwrap_or_else(|| Box::new([0; CHUNK])))
    }

    /// Takes back a chunk of this pool.
    #[inline]
    pub(crate) fn give(&mut self, chunk: Chunk) {
        self.taken = self.taken.saturating_sub(1);
        if self.free.len() < KEPT {
            self.free.push(chunk);
        }
    }

    /// How many more chunks may be taken.
    #[inline]
    pub(crate) const fn left(&self) -> usize {
        self.limit.saturating_sub(self.taken)
    }

    /// Octets in the chunks that are in use.
    pub(crate) const fn octets(&self) -> usize {
        self.taken.saturating_mul(CHUNK)
    }
}

/// An empty queue gives its memory back when it was a long one; a short one is kept for the next segment.
#[inline]
pub(crate) fn shrink<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 8 {
        *queue = VecDeque::new();
    }
}
