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
    chunks: VecDeque<Option<Chunk>>,
    /// Where in the first chunk the base is; below [`CHUNK`].
    start: u32,
}

impl RecvBuffer {
    /// An empty buffer. Allocates nothing.
    pub(crate) const fn new() -> Self {
        Self { chunks: VecDeque::new(), start: 0 }
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
            match self.chunks.get(index) {
                Some(Some(chunk)) => piece.copy_from_slice(&chunk[at..at + piece.len()]),
                _ => piece.fill(0),
            }
            (rest, index, at) = (left, index + 1, 0);
        }
    }

    /// The base moves on by `octets`; the chunks before it go back.
    pub(crate) fn discard(&mut self, pool: &mut Pool, octets: usize) {
        let start = octets.saturating_add(self.start as usize);
        let gone = (start / CHUNK).min(self.chunks.len());
        for chunk in self.chunks.drain(..gone).flatten() {
            pool.give(chunk);
        }
        // Without a chunk, any place for the base is as good as any other.
        self.start = if self.chunks.is_empty() { 0 } else { (start % CHUNK) as u32 };
    }

    /// Everything goes back: no octet from the base on is of use, or none has arrived.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        for chunk in self.chunks.drain(..).flatten() {
            pool.give(chunk);
        }
        crate::buffer::shrink(&mut self.chunks);
        self.start = 0;
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
            let Some(Some(chunk)) = self.chunks.get_mut(index) else { return None };
            let to = chunk.get_mut(at..)?;
            let (piece, left) = rest.split_at(rest.len().min(to.len()));
            copy(done, piece, &mut to[..piece.len()]);
            (rest, index, at, done) = (left, index + 1, 0, done + piece.len());
        }
        Some(())
    }

    /// Sees to it that there are chunks from `first` to before `end`: all or, when the pool has too few, none.
    #[inline]
    fn cover(&mut self, pool: &mut Pool, first: usize, end: usize) -> Option<()> {
        let missing = (first..end).filter(|&index| !matches!(self.chunks.get(index), Some(Some(_)))).count();
        if missing == 0 {
            return Some(());
        }
        if missing > pool.left() {
            return None;
        }
        if self.chunks.len() < end {
            self.chunks.resize_with(end, || None);
        }
        for slot in self.chunks.range_mut(first..end).filter(|slot| slot.is_none()) {
            *slot = pool.take();
        }
        Some(())
    }
}
