//! The octets from the first unread one on, with holes where segments are missing: text is copied from
//! the packet to where it belongs, whether it is in order or not, and from there to the user.

use alloc::collections::VecDeque;

use wire::checksum::Sum;

use crate::buffer::{CHUNK, Chunk, Pool};

/// Received text. Offset 0, the base, is the first octet that the user has not read.
///
/// It does not know which of its octets are there; RCV.NXT and the assembler do. So it is the caller
/// who says, with [`clear`](Self::clear), that none are and that the last chunk can go: an idle
/// connection holds none. Never dropped with chunks in it.
pub(crate) struct RecvBuffer {
    /// The first chunk has its place here: most connections never have another, and then there is no queue to fetch.
    first: Option<Chunk>,
    rest: VecDeque<Option<Chunk>>,
    /// Where in the first chunk the base is; below [`CHUNK`].
    start: u32,
}

impl RecvBuffer {
    /// An empty buffer. Allocates nothing.
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: VecDeque::new(), start: 0 }
    }

    /// Puts `data` at `offset`. The caller has trimmed it to the window, which bounds what this allocates.
    ///
    /// False when the pool is exhausted: nothing has happened, and the text is as if it were lost.
    #[inline]
    #[must_use]
    pub(crate) fn place(&mut self, pool: &mut Pool, offset: usize, data: &[u8]) -> bool {
        self.each_place(pool, offset, data, |_, from, to| to.copy_from_slice(from)).is_some()
    }

    /// As [`place`](Self::place), and sums `data` on the way.
    ///
    /// Commits to nothing: when the checksum turns out to be wrong, there is garbage beyond what was
    /// received. So the text must not cover any octet that is already there; the caller trims it, or
    /// sums first and then places.
    #[inline]
    pub(crate) fn place_and_sum(&mut self, pool: &mut Pool, offset: usize, data: &[u8]) -> Option<Sum> {
        let mut sum = Sum::default();
        self.each_place(pool, offset, data, |at, from, to| {
            sum = sum.plus_at(wire::checksum::copy_and_sum(from, to), at);
        })?;
        Some(sum)
    }

    /// Moves the first `to.len()` octets to `to`; the caller knows that they are there.
    #[inline]
    pub(crate) fn read(&mut self, pool: &mut Pool, to: &mut [u8]) {
        self.peek(0, to);
        self.discard(pool, to.len());
    }

    /// Copies `to.len()` octets from `offset` on. Where there is no chunk, they are zero.
    pub(crate) fn peek(&self, offset: usize, to: &mut [u8]) {
        let position = offset.saturating_add(self.start as usize);
        let (mut index, mut at) = (position / CHUNK, position % CHUNK);
        let mut rest = to;
        while !rest.is_empty() {
            let (piece, left) = rest.split_at_mut(rest.len().min(CHUNK - at));
            match self.chunk(index) {
                Some(chunk) => piece.copy_from_slice(&chunk[at..at + piece.len()]),
                _ => piece.fill(0),
            }
            (rest, index, at) = (left, index + 1, 0);
        }
    }

    /// The base moves on by `octets`; the chunks before it go back.
    pub(crate) fn discard(&mut self, pool: &mut Pool, octets: usize) {
        let start = octets.saturating_add(self.start as usize);
        for _ in 0..(start / CHUNK).min(1 + self.rest.len()) {
            self.first.take().into_iter().for_each(|chunk| pool.give(chunk));
            self.first = self.rest.pop_front().flatten();
        }
        // Without a chunk, any place for the base is as good as any other.
        let none = self.first.is_none() && self.rest.is_empty();
        self.start = if none { 0 } else { (start % CHUNK) as u32 };
    }

    /// Everything goes back: no octet from the base on is of use, or none has arrived.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        self.first.take().into_iter().chain(self.rest.drain(..).flatten()).for_each(|chunk| pool.give(chunk));
        if self.rest.capacity() > 0 {
            crate::buffer::shrink(&mut self.rest);
        }
        self.start = 0;
    }

    #[inline]
    fn chunk(&self, index: usize) -> Option<&Chunk> {
        match index.checked_sub(1) {
            None => self.first.as_ref(),
            Some(index) => self.rest.get(index)?.as_ref(),
        }
    }

    #[inline]
    fn place_of(&mut self, index: usize) -> Option<&mut Option<Chunk>> {
        match index.checked_sub(1) {
            None => Some(&mut self.first),
            Some(index) => self.rest.get_mut(index),
        }
    }

    /// Calls `copy` for each chunk that `data` goes to: how far into `data` it is, from where, to where.
    #[inline]
    fn each_place(
        &mut self,
        pool: &mut Pool,
        offset: usize,
        data: &[u8],
        mut copy: impl FnMut(usize, &[u8], &mut [u8]),
    ) -> Option<()> {
        if data.is_empty() {
            return Some(());
        }
        let position = offset.checked_add(self.start as usize)?;
        let end = position.checked_add(data.len())?;
        let (mut index, mut at, mut done) = (position / CHUNK, position % CHUNK, 0);
        self.cover(pool, index, end.div_ceil(CHUNK))?;
        let mut rest = data;
        while !rest.is_empty() {
            let to = self.place_of(index)?.as_mut()?.get_mut(at..)?;
            let (piece, left) = rest.split_at(rest.len().min(to.len()));
            copy(done, piece, &mut to[..piece.len()]);
            (rest, index, at, done) = (left, index + 1, 0, done + piece.len());
        }
        Some(())
    }

    /// Sees to it that there are chunks from `first` to before `end`: all or, when the pool has too few, none.
    #[inline]
    fn cover(&mut self, pool: &mut Pool, first: usize, end: usize) -> Option<()> {
        let missing = (first..end).filter(|&index| self.chunk(index).is_none()).count();
        if missing == 0 {
            return Some(());
        }
        if missing > pool.left() {
            return None;
        }
        if self.rest.len() + 1 < end {
            self.rest.resize_with(end - 1, || None);
        }
        for index in first..end {
            if let Some(place) = self.place_of(index)
                && place.is_none()
            {
                *place = pool.take();
            }
        }
        Some(())
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
        Place(usize, usize, u32),
        Discard(usize),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            12 => (0..8 * CHUNK, 0..2 * CHUNK, any::<u32>()).prop_map(|(at, len, seed)| Step::Place(at, len, seed)),
            6 => (0..3 * CHUNK).prop_map(Step::Discard),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        // The model: for each octet from the base on, what was placed there, if anything was.
        // covers: S6
        #[test]
        fn every_octet_placed_is_where_it_was_placed(steps in prop::collection::vec(step(), 1..50)) {
            let mut pool = Pool::new(7 * CHUNK);
            let mut buffer = RecvBuffer::new();
            let mut model: Vec<Option<u8>> = vec![];
            for (round, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Place(at, len, seed) => {
                        let data = noise(len, seed);
                        let before = pool.octets();
                        let placed = if round % 2 == 0 {
                            buffer.place(&mut pool, at, &data)
                        } else {
                            let sum = buffer.place_and_sum(&mut pool, at, &data);
                            prop_assert!(sum.is_none_or(|sum| sum == Sum::of(&data)));
                            sum.is_some()
                        };
                        if placed {
                            model.resize(model.len().max(at + len), None);
                            data.iter().zip(&mut model[at..]).for_each(|(octet, slot)| *slot = Some(*octet));
                        } else {
                            prop_assert_eq!(pool.octets(), before);
                            prop_assert!(pool.left() < len.div_ceil(CHUNK) + 1);
                        }
                    }
                    Step::Discard(octets) if round % 2 == 0 => {
                        buffer.discard(&mut pool, octets);
                        model.drain(..octets.min(model.len()));
                    }
                    Step::Discard(octets) => {
                        let mut to = vec![0; octets];
                        buffer.read(&mut pool, &mut to);
                        let gone = model.drain(..octets.min(model.len()));
                        prop_assert!(gone.zip(&to).all(|(octet, read)| octet.is_none_or(|octet| octet == *read)));
                    }
                    Step::Clear => {
                        buffer.clear(&mut pool);
                        model.clear();
                        prop_assert_eq!(pool.octets(), 0);
                    }
                }
                let mut all = vec![0; model.len()];
                buffer.peek(0, &mut all);
                prop_assert!(model.iter().zip(&all).all(|(octet, read)| octet.is_none_or(|octet| octet == *read)));
                let mut half = vec![0; model.len() / 2];
                buffer.peek(model.len() - half.len(), &mut half);
                prop_assert!(half == all[all.len() - half.len()..]);
            }
        }
    }

    #[test]
    fn text_far_out_takes_only_the_chunks_that_it_covers() {
        let (mut pool, mut buffer) = (Pool::new(usize::MAX), RecvBuffer::new());
        assert!(buffer.place(&mut pool, 100 * CHUNK - 1, &[1, 2]));
        assert_eq!(pool.octets(), 2 * CHUNK);
        buffer.clear(&mut pool);
        assert_eq!(pool.octets(), 0);
    }

    #[test]
    fn an_exhausted_pool_takes_all_of_a_text_or_nothing() {
        let (mut pool, mut buffer) = (Pool::new(CHUNK), RecvBuffer::new());
        assert!(!buffer.place(&mut pool, CHUNK - 1, &[1, 2]));
        assert_eq!(pool.octets(), 0);
        assert!(buffer.place(&mut pool, CHUNK - 1, &[1]));
        assert!(buffer.place_and_sum(&mut pool, CHUNK, &[2]).is_none());
        assert!(!buffer.place(&mut pool, usize::MAX, &[2]));
        buffer.clear(&mut pool);
    }

    #[test]
    fn an_empty_buffer_is_small() {
        assert!(size_of::<RecvBuffer>() <= 48);
    }
}
