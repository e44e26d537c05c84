//! The octets of all connections live in chunks of one size, out of one pool: what is buffered is what
//! takes memory, not what a window could hold, and one limit covers the whole endpoint.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Octets in a chunk. Half of it made the way through both buffers up to a tenth slower, and twice as much at
/// most a tenth faster; a connection with a single unread octet pays for a whole chunk.
pub(crate) const CHUNK: usize = 8192;

/// How many free chunks a pool keeps; what comes back beyond them goes to the allocator.
const KEPT: usize = (4 << 20) / CHUNK;

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

/// Octets for tests, of which no two places look alike.
#[cfg(test)]
pub(crate) fn noise(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|i| ((i ^ seed).wrapping_mul(0x9E37_79B1) >> 24) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_chunks_are_in_use_than_the_limit_allows() {
        let mut pool = Pool::new(2 * CHUNK + 1);
        let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
        assert!(pool.take().is_none());
        assert_eq!((pool.octets(), pool.left()), (2 * CHUNK, 0));
        pool.give(first);
        assert_eq!((pool.octets(), pool.left()), (CHUNK, 1));
        pool.give(second);
        assert_eq!((pool.octets(), pool.left()), (0, 2));
    }

    #[test]
    fn the_chunk_given_back_last_is_taken_first() {
        let mut pool = Pool::new(usize::MAX);
        let (first, mut second) = (pool.take().unwrap(), pool.take().unwrap());
        second[7] = 9;
        pool.give(first);
        pool.give(second);
        assert_eq!(pool.take().unwrap()[7], 9);
    }

    #[test]
    fn a_pool_keeps_a_bounded_number_of_free_chunks() {
        let mut pool = Pool::new(usize::MAX);
        let many: Vec<Chunk> = (0..2 * KEPT).map(|_| pool.take().unwrap()).collect();
        many.into_iter().for_each(|chunk| pool.give(chunk));
        assert_eq!((pool.free.len(), pool.octets()), (KEPT, 0));
    }
}
