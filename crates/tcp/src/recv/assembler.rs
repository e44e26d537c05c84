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

    /// Forgets what lies at `end` and beyond. Returns how many ranges became shorter or went.
    pub(crate) fn cut(&mut self, end: SeqNumber, rcv_nxt: SeqNumber) -> u32 {
        let Some(held) = &mut self.held else { return 0 };
        let ahead = |seq: SeqNumber| seq.distance_from(rcv_nxt);
        let whole = held.ranges.partition_point(|range| ahead(range.1) <= ahead(end));
        let cut = held.ranges.len() - whole;
        let begun = held.ranges.get_mut(whole).filter(|range| ahead(range.0) < ahead(end));
        let kept = whole + usize::from(begun.map(|range| range.1 = end).is_some());
        held.ranges.truncate(kept);
        held.stamps.truncate(kept);
        if kept == 0 {
            self.held = None;
        }
        cut as u32
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
        let joined = self.ranges.get(first..behind)?;
        let mut whole = (start, end);
        let mut duplicate = None;
        for &(from, to) in joined {
            let overlap = (
                if ahead(from) > ahead(start) { from } else { start },
                if ahead(to) < ahead(end) { to } else { end },
            );
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

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeSet;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The octets beyond RCV.NXT, one by one, as distances from the first number.
    #[derive(Default)]
    struct Model {
        octets: BTreeSet<u32>,
        next: u32,
        /// An octet of each arrival, the newest last.
        arrivals: Vec<u32>,
    }

    impl Model {
        fn ranges(&self) -> Vec<(u32, u32)> {
            let mut ranges: Vec<(u32, u32)> = vec![];
            for &octet in &self.octets {
                match ranges.last_mut() {
                    Some(last) if last.1 == octet => last.1 += 1,
                    _ => ranges.push((octet, octet + 1)),
                }
            }
            ranges
        }

        fn duplicate(&self, start: u32, end: u32) -> Option<(u32, u32)> {
            let first = (start..end).find(|octet| self.octets.contains(octet))?;
            Some((first, (first..end).find(|octet| !self.octets.contains(octet)).unwrap_or(end)))
        }

        fn insert(&mut self, start: u32, end: u32) {
            self.octets.extend(start..end);
            self.arrivals.push(start);
            while self.octets.remove(&self.next) {
                self.next += 1;
            }
        }

        fn blocks(&self) -> Vec<(u32, u32)> {
            let mut blocks = vec![];
            for &arrival in self.arrivals.iter().rev() {
                let holds = |range: &&(u32, u32)| (range.0..range.1).contains(&arrival);
                if let Some(range) = self.ranges().iter().find(holds)
                    && !blocks.contains(range)
                {
                    blocks.push(*range);
                }
            }
            blocks
        }
    }

    proptest! {
        // covers: S6, T6
        #[test]
        fn the_ranges_are_those_of_a_set_of_octets(
            isn in prop_oneof![any::<u32>(), (0u32..400).prop_map(|back| 0u32.wrapping_sub(back))],
            limit in 1usize..8,
            arrivals in prop::collection::vec((0u32..120, 1u32..20), 1..60),
        ) {
            let first = SeqNumber(isn);
            let seq = |(start, end): (u32, u32)| (first.plus(start), first.plus(end));
            let (mut assembler, mut model) = (Assembler::new(), Model::default());
            for (ahead, len) in arrivals {
                let (start, end) = (model.next + ahead / 2, model.next + ahead / 2 + len);
                let (from, to) = seq((start, end));
                let rcv_nxt = first.plus(model.next);
                let before = model.ranges();
                let touches = before.iter().any(|range| range.0 <= end && start <= range.1);
                let Some(inserted) = assembler.insert(from, to, rcv_nxt, limit) else {
                    prop_assert!(!touches && start != model.next && before.len() >= limit);
                    continue;
                };
                prop_assert!(touches || start == model.next || before.len() < limit);
                prop_assert_eq!(inserted.duplicate, model.duplicate(start, end).map(seq));
                model.insert(start, end);
                prop_assert_eq!(inserted.rcv_nxt, first.plus(model.next));
                let ranges: Vec<_> = model.ranges().into_iter().map(seq).collect();
                prop_assert_eq!(assembler.ranges(), &ranges[..]);
                prop_assert_eq!(assembler.is_empty(), ranges.is_empty());
                let blocks: Vec<_> = model.blocks().into_iter().map(seq).collect();
                prop_assert_eq!(assembler.blocks(usize::MAX).collect::<Vec<_>>(), &blocks[..]);
                prop_assert_eq!(assembler.blocks(3).collect::<Vec<_>>(), &blocks[..blocks.len().min(3)]);
            }
            assembler.clear();
            prop_assert!(assembler.is_empty() && assembler.ranges().is_empty());
        }
    }

    const NXT: SeqNumber = SeqNumber(u32::MAX - 150);

    fn at(offset: u32) -> SeqNumber {
        NXT.plus(offset)
    }

    // RFC 2018 section 4: the block with the segment that triggered the ACK first, then the most recent others.
    // covers: T6
    #[test]
    fn the_newest_arrival_is_in_the_first_block() {
        let mut assembler = Assembler::new();
        for start in [100, 300, 200] {
            assert!(assembler.insert(at(start), at(start + 50), NXT, 8).is_some());
        }
        let blocks = |assembler: &Assembler| assembler.blocks(3).collect::<Vec<_>>();
        assert_eq!(blocks(&assembler), [(at(200), at(250)), (at(300), at(350)), (at(100), at(150))]);
        // A second copy is an arrival as well (RFC 2883 section 4: the block that has the duplicate follows it).
        let again = assembler.insert(at(110), at(120), NXT, 8).unwrap();
        assert_eq!(again, Inserted { rcv_nxt: NXT, duplicate: Some((at(110), at(120))) });
        assert_eq!(blocks(&assembler)[0], (at(100), at(150)));
    }

    // covers: S6
    #[test]
    fn text_that_fills_the_gap_moves_rcv_nxt_over_what_waited() {
        let mut assembler = Assembler::new();
        assembler.insert(at(100), at(200), NXT, 8).unwrap();
        assembler.insert(at(300), at(400), NXT, 8).unwrap();
        let inserted = assembler.insert(NXT, at(150), NXT, 8).unwrap();
        assert_eq!(inserted, Inserted { rcv_nxt: at(200), duplicate: Some((at(100), at(150))) });
        assert_eq!(assembler.ranges(), [(at(300), at(400))]);
        assert_eq!(assembler.insert(at(200), at(300), at(200), 8).unwrap().rcv_nxt, at(400));
        assert!(assembler.is_empty());
    }

    #[test]
    fn at_the_limit_only_text_that_needs_no_range_of_its_own_is_taken() {
        let mut assembler = Assembler::new();
        assert!(assembler.insert(at(10), at(20), NXT, 0).is_none());
        assert!(assembler.is_empty());
        assembler.insert(at(10), at(20), NXT, 1).unwrap();
        assert_eq!(assembler.insert(at(30), at(40), NXT, 1), None);
        assert!(assembler.insert(at(20), at(25), NXT, 1).is_some());
        assert_eq!(assembler.insert(NXT, at(5), NXT, 1).unwrap().rcv_nxt, at(5));
        assert_eq!(assembler.ranges(), [(at(10), at(25))]);
    }

    #[test]
    fn an_empty_assembler_is_small() {
        assert!(size_of::<Assembler>() <= 32);
    }
}
