//! Which lines of an arena are free: a stack of those given back, and then those never used.
//!
//! A stack and not a list through the lines themselves, so that taking one does not wait for its
//! memory, and the next ones to be taken can be asked for ahead of time.

use crate::memory::Arena;

/// The free lines of one arena.
#[derive(Debug)]
pub(crate) struct FreeList {
    /// Lines that were given back, the last one on top: `stack[..depth]`.
    stack: Arena<u32>,
    depth: u32,
    /// Lines that were ever in use: all live ones are among the first so many.
    used: u32,
}

impl FreeList {
    pub(crate) fn new(capacity: u32) -> std::io::Result<Self> {
        Ok(Self { stack: Arena::cold(capacity as usize)?, depth: 0, used: 0 })
    }

    /// Takes a free line, if there is one.
    pub(crate) fn take(&mut self) -> Option<u32> {
        if let Some(depth) = self.depth.checked_sub(1) {
            self.depth = depth;
            return Some(self.stack[depth as usize]);
        }
        let fresh = self.used;
        ((fresh as usize) < self.stack.len()).then(|| {
            self.used += 1;
            fresh
        })
    }

    /// Gives line `index` back.
    pub(crate) fn give(&mut self, index: u32) {
        self.stack[self.depth as usize] = index;
        self.depth += 1;
    }

    /// The lines that the next `count` calls of [`Self::take`] will answer, at most.
    pub(crate) fn next(&self, count: usize) -> impl Iterator<Item = u32> + '_ {
        let given = self.stack[..self.depth as usize].iter().rev().copied();
        given.chain(self.used..self.stack.len() as u32).take(count)
    }

    pub(crate) fn has_room(&self, count: u32) -> bool {
        (self.live() + count) as usize <= self.stack.len()
    }

    pub(crate) fn live(&self) -> u32 {
        self.used - self.depth
    }

    pub(crate) fn used(&self) -> usize {
        self.used as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: B10
    #[test]
    fn it_gives_out_each_line_once_and_foretells_which() {
        let mut free = FreeList::new(4).expect("memory");
        assert_eq!(free.next(9).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!([free.take(), free.take(), free.take()], [Some(0), Some(1), Some(2)]);
        free.give(1);
        free.give(0);
        assert_eq!((free.live(), free.used()), (1, 3));
        let foretold: Vec<_> = free.next(3).collect();
        let taken: Vec<_> = (0..3).filter_map(|_| free.take()).collect();
        assert_eq!(taken, foretold);
        assert_eq!(taken, [0, 1, 3]);
        assert!(free.take().is_none() && !free.has_room(1));
    }
}
