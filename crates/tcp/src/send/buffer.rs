//! The octets from SND.UNA on, sent or not: the user's data is copied in once, and out of here into segments.

use alloc::collections::VecDeque;

use wire::checksum::Sum;

use crate::buffer::{CHUNK, Chunk, Pool};

/// What the user has written and the peer has not acknowledged. Offset 0 is SND.UNA.
///
/// Never dropped with chunks in it: [`clear`](Self::clear) gives them back to the pool that they came from.
pub(crate) struct SendBuffer {
    chunks: VecDeque<Chunk>,
    /// Where in the first chunk offset 0 is; below [`CHUNK`].
    start: u32,
    len: u32,
}

impl SendBuffer {
    /// An empty buffer. Allocates nothing.
    pub(crate) const fn new() -> Self {
        Self { chunks: VecDeque::new(), start: 0, len: 0 }
    }

    /// Octets that are buffered.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Nothing is buffered.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends as much of `data` as fits into `limit` octets in all and into the pool; says how much it was.
    pub(crate) fn write(&mut self, pool: &mut Pool, data: &[u8], limit: usize) -> usize {
        let limit = limit.min(u32::MAX as usize);
        let room = limit.saturating_sub(self.len());
        let wanted = data.len().min(room);
        let mut rest = data.get(..wanted).unwrap_or_default();
        while !rest.is_empty() {
            let end = self.start as usize + self.len();
            let (index, at) = (end / CHUNK, end % CHUNK);
            if index == self.chunks.len() {
                let Some(chunk) = pool.take() else { break };
                self.chunks.push_back(chunk);
            }
            let Some(to) = self.chunks.get_mut(index).and_then(|chunk| chunk.get_mut(at..)) else { break };
            let (piece, left) = rest.split_at(to.len().min(rest.len()));
            to[..piece.len()].copy_from_slice(piece);
            self.len += piece.len() as u32;
            rest = left;
        }
        wanted - rest.len()
    }

    /// The first `octets` are acknowledged: their chunks go back. More than there is empties the buffer.
    pub(crate) fn advance(&mut self, pool: &mut Pool, octets: usize) {
        if octets >= self.len() {
            return self.clear(pool);
        }
        let start = self.start as usize + octets;
        for chunk in self.chunks.drain(..start / CHUNK) {
            pool.give(chunk);
        }
        self.start = (start % CHUNK) as u32;
        self.len -= octets as u32;
    }

    /// Copies `to.len()` octets from `offset` on, and sums them on the way. What is beyond the end is zero.
    #[inline]
    pub(crate) fn copy_and_sum(&self, offset: usize, to: &mut [u8]) -> Sum {
        let mut sum = Sum::default();
        self.each_piece(offset, to, |at, from, to| {
            sum = sum.plus_at(wire::checksum::copy_and_sum(from, to), at);
        });
        sum
    }

    /// As [`copy_and_sum`](Self::copy_and_sum), where something else computes the checksum.
    #[inline]
    pub(crate) fn copy(&self, offset: usize, to: &mut [u8]) {
        self.each_piece(offset, to, |_, from, to| to.copy_from_slice(from));
    }

    /// Everything goes back.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        for chunk in self.chunks.drain(..) {
            pool.give(chunk);
        }
        crate::buffer::shrink(&mut self.chunks);
        (self.start, self.len) = (0, 0);
    }

    /// Calls `copy` for each chunk that `to` is made of: how far into `to` it is, from where, to where.
    #[inline]
    fn each_piece(&self, offset: usize, to: &mut [u8], mut copy: impl FnMut(usize, &[u8], &mut [u8])) {
        let there = self.len().saturating_sub(offset).min(to.len());
        let (mut rest, beyond) = to.split_at_mut(there);
        beyond.fill(0);
        // Bounded by `len` where anything is copied at all.
        let position = offset.min(self.len()) + self.start as usize;
        let (mut index, mut at, mut done) = (position / CHUNK, position % CHUNK, 0);
        while !rest.is_empty() {
            let Some(from) = self.chunks.get(index).and_then(|chunk| chunk.get(at..)) else { return };
            let size = from.len().min(rest.len());
            let (piece, left) = rest.split_at_mut(size);
            copy(done, &from[..size], piece);
            (rest, index, at, done) = (left, index + 1, 0, done + size);
        }
    }
}
