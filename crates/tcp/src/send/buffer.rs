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
        if !beyond.is_empty() {
            beyond.fill(0);
        }
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

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::buffer::noise;

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize, u32, usize),
        Advance(usize),
        Copy(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..3 * CHUNK, any::<u32>(), 0..9 * CHUNK).prop_map(|(len, seed, limit)| Step::Write(len, seed, limit)),
            2 => (0..3 * CHUNK).prop_map(Step::Advance),
            4 => (0..8 * CHUNK, 0..2 * CHUNK).prop_map(|(offset, len)| Step::Copy(offset, len)),
        ]
    }

    proptest! {
        #[test]
        fn a_send_buffer_is_a_queue_of_octets(steps in prop::collection::vec(step(), 1..60)) {
            let mut pool = Pool::new(6 * CHUNK);
            let mut buffer = SendBuffer::new();
            let mut model: Vec<u8> = vec![];
            for step in steps {
                match step {
                    Step::Write(len, seed, limit) => {
                        let data = noise(len, seed);
                        let written = buffer.write(&mut pool, &data, limit);
                        prop_assert!(written == len.min(limit.saturating_sub(model.len())) || pool.left() == 0);
                        model.extend(&data[..written]);
                    }
                    Step::Advance(octets) => {
                        buffer.advance(&mut pool, octets);
                        model.drain(..octets.min(model.len()));
                    }
                    Step::Copy(offset, len) => {
                        let there = model.iter().skip(offset).take(len).copied();
                        let expected: Vec<u8> = there.chain(core::iter::repeat(0)).take(len).collect();
                        let (mut plain, mut summed) = (vec![1; len], vec![2; len]);
                        buffer.copy(offset, &mut plain);
                        let sum = buffer.copy_and_sum(offset, &mut summed);
                        prop_assert!(plain == expected && summed == expected);
                        prop_assert_eq!(sum, Sum::of(&expected));
                    }
                }
                prop_assert_eq!(buffer.len(), model.len());
                prop_assert!(pool.octets() <= model.len() + 2 * CHUNK);
                prop_assert!(!model.is_empty() || pool.octets() == 0);
            }
            buffer.clear(&mut pool);
            prop_assert_eq!((buffer.len(), pool.octets()), (0, 0));
        }
    }

    #[test]
    fn a_piece_from_an_odd_place_across_chunks_has_the_sum_of_the_whole() {
        let (mut pool, mut buffer) = (Pool::new(usize::MAX), SendBuffer::new());
        let data = noise(3 * CHUNK, 7);
        assert_eq!(buffer.write(&mut pool, &data, usize::MAX), data.len());
        buffer.advance(&mut pool, 1);
        for offset in CHUNK - 70..CHUNK {
            let mut to = vec![0; CHUNK + 99];
            assert_eq!(buffer.copy_and_sum(offset, &mut to), Sum::of(&data[1 + offset..][..CHUNK + 99]));
        }
        buffer.clear(&mut pool);
    }

    #[test]
    fn offsets_beyond_all_bounds_do_not_panic() {
        let (mut pool, mut buffer) = (Pool::new(usize::MAX), SendBuffer::new());
        buffer.write(&mut pool, &[1, 2, 3], usize::MAX);
        let mut to = [9; 4];
        assert_eq!(buffer.copy_and_sum(usize::MAX, &mut to), Sum::default());
        assert_eq!(to, [0; 4]);
        buffer.advance(&mut pool, usize::MAX);
        assert_eq!((buffer.len(), pool.octets()), (0, 0));
    }

    #[test]
    fn an_empty_buffer_is_small() {
        assert!(size_of::<SendBuffer>() <= 40);
    }
}
