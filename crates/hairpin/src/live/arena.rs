//! Frames of one batch, one behind the other in memory that is used again and again.

use nat::BATCH;

use super::handover::Origin;
use tun::vnet::LENGTH;

/// Octets after which a batch is full. Sixty-four super-segments would be 4 MiB and pushed out of
/// the cache before they are written again; small packets never come near it.
const FULL: usize = 256 * 1024;

/// Room for the longest frame: the header and the longest IPv4 packet.
pub(crate) const FRAME: usize = LENGTH + 65_535;

/// A cache line. Packets, not headers, begin on one: the engine reads the first 44 octets.
const LINE: usize = 64;

/// The frames of a batch.
#[derive(Debug)]
pub struct Arena {
    octets: Box<[u8]>,
    /// Where each frame begins and ends.
    frames: [(usize, usize); BATCH],
    origins: [Origin; BATCH],
    count: usize,
    /// Where the next begins.
    next: usize,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self {
            octets: vec![0; FULL + LINE + FRAME].into_boxed_slice(),
            frames: [(0, 0); BATCH],
            origins: [Origin::Inside; BATCH],
            count: 0,
            next: LINE - LENGTH,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.next = LINE - LENGTH;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// [`FRAME`] octets for the next frame, unless the batch is full.
    pub(crate) fn room(&mut self) -> Option<&mut [u8]> {
        if self.count == BATCH || self.next > FULL {
            return None;
        }
        Some(&mut self.octets[self.next..self.next + FRAME])
    }

    /// The first `length` octets of the room are a frame.
    pub(crate) fn push(&mut self, length: usize, origin: Origin) {
        let end = self.next + length.min(FRAME);
        self.frames[self.count] = (self.next, end);
        self.origins[self.count] = origin;
        self.count += 1;
        self.next = (end + LENGTH).next_multiple_of(LINE) - LENGTH;
    }

    pub(crate) fn frame(&self, index: usize) -> &[u8] {
        let (start, end) = self.frames[index];
        &self.octets[start..end]
    }

    /// All frames, in order, to be changed at the same time.
    pub(crate) fn frames_mut(&mut self) -> impl Iterator<Item = (Origin, &mut [u8])> {
        let mut rest = &mut self.octets[..];
        let mut before = 0;
        self.frames[..self.count].iter().zip(&self.origins).map(move |(&(start, end), &origin)| {
            let (_, behind) = std::mem::take(&mut rest).split_at_mut(start - before);
            let (frame, behind) = behind.split_at_mut(end - start);
            rest = behind;
            before = end;
            (origin, frame)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: O7
    #[test]
    fn a_batch_ends_at_its_number_or_at_its_octets() {
        let mut arena = Arena::new();
        for round in 0..3 {
            let mut count: usize = 0;
            while let Some(room) = arena.room() {
                assert_eq!(room.len(), FRAME);
                room[0] = count as u8;
                let length = if round == 1 { FRAME } else { 1 + count };
                arena.push(length, Origin::Inside);
                count += 1;
            }
            assert_eq!(count, if round == 1 { 4 } else { BATCH });
            let lengths: Vec<usize> = arena.frames_mut().map(|(_, frame)| frame.len()).collect();
            assert_eq!(lengths.len(), count);
            for (index, &length) in lengths.iter().enumerate() {
                assert_eq!(usize::from(arena.frame(index)[0]), index, "frames do not overlap");
                assert_eq!(arena.frame(index).len(), length);
            }
            arena.clear();
            assert!(arena.is_empty());
        }
    }
}
