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
#[derive(Default)]
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
        if start == end || (self.held.is_none() && start == rcv_nxt) {
            return Some(Inserted { rcv_nxt: if start == rcv_nxt { end } else { rcv_nxt }, duplicate: None });
        }
        let mut empty = None;
        let held = self.held.as_mut().unwrap_or_else(|| empty.insert(Box::default()));
        let inserted = held.insert((start, end), rcv_nxt, limit)?;
        if let Some(first) = empty {
            self.held = Some(first);
        }
        if self.ranges().is_empty() {
            self.held = None;
        }
        Some(inserted)
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
        let mut older_than = u64::MAX;
        core::iter::from_fn(move || {
            let held = self.held.as_ref()?;
            let dated = held.stamps.iter().zip(&held.ranges);
            let (stamp, range) =
                dated.filter(|(stamp, _)| **stamp < older_than).max_by_key(|(stamp, _)| **stamp)?;
            older_than = *stamp;
            Some(*range)
        })
        .take(most)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.held = None;
    }
}

impl Held {
    fn insert(
        &mut self,
        (start, end): (SeqNumber, SeqNumber),
        rcv_nxt: SeqNumber,
        limit: usize,
    ) -> Option<Inserted> {
        // Everything here is ahead of RCV.NXT, so distances from it have the order that the numbers lack.
        let ahead = |seq: SeqNumber| seq.distance_from(rcv_nxt);
        // The ranges that the text overlaps or touches.
        let first = self.ranges.partition_point(|range| ahead(range.1) < ahead(start));
        let behind = self.ranges.partition_point(|range| ahead(range.0) <= ahead(end)).max(first);
        let Some(joined) = self.ranges.get(first..behind) else { return None };
        let mut whole = (start, end);
        let mut duplicate = None;
        for &(from, to) in joined {
            let overlap =
                (if ahead(from) > ahead(start) { from } else { start }, if ahead(to) < ahead(end) { to } else { end });
            if duplicate.is_none() && ahead(overlap.0) < ahead(overlap.1) {
                duplicate = Some(overlap);
            }
        }
        if let (Some(low), Some(high)) = (joined.first(), joined.last()) {
            whole.0 = if ahead(low.0) < ahead(start) { low.0 } else { start };
            whole.1 = if ahead(high.1) > ahead(end) { high.1 } else { end };
        }
        let next = start == rcv_nxt;
        if joined.is_empty() && !next && self.ranges.len() >= limit {
            return None;
        }
        self.replace(first, behind, (!next).then_some(whole));
        Some(Inserted { rcv_nxt: if next { whole.1 } else { rcv_nxt }, duplicate })
    }

    /// Puts `whole`, as the newest, in the place of the ranges from `first` to before `behind`.
    fn replace(&mut self, first: usize, behind: usize, whole: Option<(SeqNumber, SeqNumber)>) {
        self.arrivals += 1;
        match (whole, self.ranges.get_mut(first), self.stamps.get_mut(first)) {
            // By far the most frequent: the newest range grows.
            (Some(whole), Some(range), Some(stamp)) if behind == first + 1 => {
                (*range, *stamp) = (whole, self.arrivals);
            }
            _ => {
                self.ranges.splice(first..behind, whole);
                self.stamps.splice(first..behind, whole.map(|_| self.arrivals));
            }
        }
    }
}
