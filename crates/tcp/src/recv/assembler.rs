//! What has arrived beyond RCV.NXT: which ranges, and which of them changed last (RFC 2018), and what
//! came twice (RFC 2883).

use alloc::boxed::Box;
use alloc::vec::Vec;

use wire::SeqNumber;

/// The ranges beyond RCV.NXT that are there. Nothing is allocated while there are none.
pub(crate) struct Assembler {
    held: Option<Box<Held>>,
}

/// Disjoint ranges with holes between them, in the order of their sequence numbers.
struct Held {
    ranges: Vec<(SeqNumber, SeqNumber)>,
    /// Of each range, when text last arrived in it: what `arrivals` was.
    stamps: Vec<u64>,
    arrivals: u64,
}

/// What came of an arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inserted {
    /// The next number that is expected, after what had been waiting for this text.
    pub(crate) rcv_nxt: SeqNumber,
    /// The first part of the text that was there already, beyond RCV.NXT: for a D-SACK block (RFC 2883, section 4).
    pub(crate) duplicate: Option<(SeqNumber, SeqNumber)>,
}

impl Assembler {
    /// Nothing beyond RCV.NXT.
    pub(crate) const fn new() -> Self {
        Self { held: None }
    }

    /// Text from `start` to before `end` has arrived; trimmed to the window, so `start` is not before `rcv_nxt`.
    ///
    /// `None` when it would take one range more than `limit`: the caller drops the text, as if it were lost.
    /// Text at `rcv_nxt` is never refused.
    pub(crate) fn insert(
        &mut self,
        start: SeqNumber,
        end: SeqNumber,
        rcv_nxt: SeqNumber,
        limit: usize,
    ) -> Option<Inserted> {
        let _ = (start, end, rcv_nxt, limit);
        None
    }

    /// Nothing has arrived beyond RCV.NXT.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// The ranges, in the order of their sequence numbers.
    #[inline]
    pub(crate) fn ranges(&self) -> &[(SeqNumber, SeqNumber)] {
        self.held.as_ref().map_or(&[], |held| &held.ranges)
    }

    /// Up to `most` ranges for a SACK option: that of the newest arrival first, then by how recently text
    /// arrived in them (RFC 2018, section 4).
    pub(crate) fn blocks(&self, most: usize) -> impl Iterator<Item = (SeqNumber, SeqNumber)> {
        let _ = most;
        self.ranges().iter().copied()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.held = None;
    }
}
