//! What the marks of a stream do, with the arrivals that may yet turn out to have been lost.
//!
//! A segment that was not acknowledged may never have reached its host. If a copy of it follows, the host may have
//! seen the copy alone, in another order and with another mark. So the folds wait behind what the receiver has
//! acknowledged, and the arrivals beyond it are kept as they came: what the host read that saw only the later copies
//! is then the same folds over the arrivals that are left ([`Marks::lose`], L6).

use std::collections::VecDeque;

use crate::assembly::Incoming;
use crate::fold::{Arrival, Fold, Kind};

/// Arrivals that are kept at most. What is older is taken for seen.
pub(crate) const OPEN: usize = 64;

/// The folds of one assembly.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    /// One of each kind, over the arrivals before the open ones.
    folds: Vec<Fold>,
    /// In the order in which they came.
    open: VecDeque<Arrival>,
    /// RCV.NXT behind all of them, as an offset.
    next: u64,
    /// From where to where there is text of arrivals before the open ones that lay right of RCV.NXT when the first of
    /// these came.
    ahead: VecDeque<(i64, i64)>,
    /// So far octets may lie that were taken for seen before they were acknowledged.
    taken_for_seen: u64,
    /// Places that each fold may hold.
    most: usize,
}

impl Marks {
    /// Of a stream whose folds begin at offset `from` and may hold `most` places each.
    pub(crate) fn new(from: u64, most: usize) -> Self {
        let folds = Kind::ALL.into_iter().map(|kind| Fold::new(kind, from)).collect();
        Self { folds, open: VecDeque::new(), next: from, ahead: VecDeque::new(), taken_for_seen: 0, most }
    }

    /// The receiver has acknowledged `acked`: what lies before it was seen.
    pub(crate) fn settle(&mut self, acked: Option<u64>) {
        let Some(acked) = acked else { return };
        while let Some(first) = self.open.pop_front_if(|first| first.end() <= acked as i64) {
            self.see(first);
        }
    }

    fn see(&mut self, arrival: Arrival) {
        let hosts = self.folds.iter_mut().filter(|fold| fold.kind.is_host());
        hosts.for_each(|fold| fold.arrive(arrival, self.most));
        let next = self.open.front().map_or(self.next, |first| first.next) as i64;
        self.ahead.push_back((arrival.sent_at, arrival.end()));
        self.ahead.retain(|&(_, end)| end > next);
        self.ahead.truncate(OPEN);
    }

    /// A segment arrives, and RCV.NXT goes to `next_after`.
    pub(crate) fn arrive(&mut self, incoming: &Incoming<'_>, next_after: u64) {
        let next_after = next_after.max(self.next);
        let arrival = Arrival::of(incoming, self.next, next_after);
        // What is no host sits where the capture was made: nothing is lost on the way to it.
        let observers = self.folds.iter_mut().filter(|fold| !fold.kind.is_host());
        observers.for_each(|fold| fold.arrive(arrival, self.most));
        self.open.push_back(arrival);
        self.next = next_after;
        self.keep_bound();
    }

    fn keep_bound(&mut self) {
        while self.open.len() > OPEN
            && let Some(first) = self.open.pop_front()
        {
            self.taken_for_seen = self.taken_for_seen.max(first.end().max(0) as u64);
            self.see(first);
        }
    }

    /// The fold of this kind, over all that has come.
    pub(crate) fn fold(&self, kind: Kind) -> Option<Fold> {
        let mut fold = self.folds.iter().find(|fold| fold.kind == kind)?.clone();
        if kind.is_host() {
            self.open.iter().for_each(|&arrival| fold.arrive(arrival, self.most));
        }
        Some(fold)
    }

    /// Places that are held, or are to be, of all folds.
    pub(crate) fn entries(&self) -> usize {
        self.folds.iter().map(Fold::entries).sum::<usize>() + self.open.len() + self.ahead.len()
    }

    /// Places of the kind of reader that has most.
    pub(crate) fn places(&self) -> u64 {
        self.folds.iter().map(|fold| fold.entries() as u64 + fold.lost()).max().unwrap_or(0)
    }

    /// Places beyond the bound, of the kind of reader that has most of them.
    pub(crate) fn lost(&self) -> u64 {
        // An arrival makes two entries at most: only near the bound must the open ones be looked at.
        let near = self.folds.iter().any(|fold| fold.entries() + 2 * self.open.len() > self.most);
        let lost = |kind| self.fold(kind).map_or(0, |fold| fold.lost());
        if near { Kind::ALL.into_iter().map(lost).max().unwrap_or(0) } else { 0 }
    }

    /// Whether all that `copy` holds and its receiver has not acknowledged is among the arrivals kept.
    pub(crate) fn knows(&self, copy: &Incoming<'_>) -> bool {
        let from = copy.offset.max(copy.acked.unwrap_or(0) as i64);
        from >= copy.end().min(self.taken_for_seen as i64)
    }

    /// Whether any reader finds something else, now or later, if what `copy` repeats was lost before it.
    pub(crate) fn differ_if_lost(&self, copy: &Incoming<'_>, next_after: u64) -> bool {
        if !self.has_some_of(copy) {
            return false;
        }
        let mut seen = self.without_places();
        let mut lost = seen.clone();
        lost.lose(copy);
        for marks in [&mut seen, &mut lost] {
            marks.arrive(copy, next_after);
        }
        let reads_as = |kind| Some(seen.fold(kind)?.reads_as(&lost.fold(kind)?, next_after));
        !Kind::ALL.into_iter().filter(|kind| kind.is_host()).all(|kind| reads_as(kind) == Some(true))
    }

    /// The same, of which only what comes from now on can be told: places may be many.
    fn without_places(&self) -> Self {
        let folds = self.folds.iter().map(Fold::without_places).collect();
        Self { folds, most: usize::MAX, open: self.open.clone(), ahead: self.ahead.clone(), ..*self }
    }

    /// What `copy`, which comes next, repeats was lost before it.
    pub(crate) fn lose(&mut self, copy: &Incoming<'_>) {
        let Some(first) = self.open.front().filter(|_| self.has_some_of(copy)) else { return };
        let mut next = first.next;
        let left: Vec<Arrival> =
            self.open.iter().flat_map(|arrival| arrival.without(copy)).flatten().collect();
        let mut ahead = self.ahead.clone();
        self.open.clear();
        for arrival in left {
            ahead.push_back((arrival.sent_at, arrival.end()));
            let before = next;
            while let Some(&(_, end)) =
                ahead.iter().find(|&&(at, end)| at <= next as i64 && end > next as i64)
            {
                next = end as u64;
            }
            self.open.push_back(Arrival { next: before, next_after: next, ..arrival });
        }
        self.next = next;
        // A copy of the middle of a segment makes two of it.
        self.keep_bound();
    }

    fn has_some_of(&self, copy: &Incoming<'_>) -> bool {
        self.open.iter().any(|arrival| arrival.overlaps(copy))
    }
}

impl Arrival {
    fn of(incoming: &Incoming<'_>, next: u64, next_after: u64) -> Self {
        let Incoming { offset: sent_at, len, urgent, finished, .. } = *incoming;
        Self { sent_at, len, urgent, next, next_after, finished }
    }

    fn end(&self) -> i64 {
        self.sent_at + i64::from(self.len)
    }

    fn overlaps(&self, copy: &Incoming<'_>) -> bool {
        self.len > 0 && self.sent_at < copy.end() && copy.offset < self.end()
    }

    /// What `copy` does not repeat of it, left and right: text of which another copy is yet to come. What the lost
    /// segment said of marks is lost with it.
    fn without(&self, copy: &Incoming<'_>) -> [Option<Self>; 2] {
        if !self.overlaps(copy) {
            return [Some(*self), None];
        }
        let part = |from: i64, to: i64| {
            let len = u32::try_from(to - from).ok().filter(|&len| len > 0)?;
            Some(Self { sent_at: from, len, urgent: None, ..*self })
        };
        [part(self.sent_at, copy.offset), part(copy.end(), self.end())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(offset: i64, len: u32, urgent: Option<u16>) -> Incoming<'static> {
        Incoming { urgent, ..Incoming::plain(offset, len) }
    }

    /// All of them, in order, nothing acknowledged.
    fn marks(arrivals: &[(i64, u32, Option<u16>)]) -> Marks {
        let mut marks = Marks::new(0, 100);
        let mut next = 0;
        for &(at, len, urgent) in arrivals {
            next = next.max(at as u64 + u64::from(len));
            marks.arrive(&text(at, len, urgent), next);
        }
        marks
    }

    fn removed(marks: &Marks, kind: Kind) -> Vec<u64> {
        marks.fold(kind).map_or_else(Vec::new, |fold| fold.removed(marks.next))
    }

    const PROMPT: Kind = Kind::Linux { stdurg: false, prompt: true };
    const BSD: Kind = Kind::Bsd { last: false };

    // covers: L1, L6
    #[test]
    fn a_copy_without_the_mark_is_all_that_a_host_saw_which_lost_the_first() {
        let mut marks = marks(&[(0, 3, Some(3))]);
        assert_eq!((removed(&marks, PROMPT), removed(&marks, BSD)), (vec![2], vec![2]));
        let copy = text(0, 3, None);
        assert!(marks.differ_if_lost(&copy, 3));
        marks.lose(&copy);
        marks.arrive(&copy, 3);
        assert_eq!((removed(&marks, PROMPT), removed(&marks, BSD)), (vec![], vec![]));
    }

    // covers: L1, L6
    #[test]
    fn the_same_copy_or_one_of_what_was_acknowledged_changes_nothing() {
        let mut marks = marks(&[(0, 3, Some(3))]);
        assert!(!marks.differ_if_lost(&text(0, 3, Some(3)), 3), "the same mark");
        assert!(!marks.differ_if_lost(&text(3, 2, None), 5), "not a copy");
        marks.arrive(&text(4, 0, Some(1)), 3);
        assert!(!marks.differ_if_lost(&text(3, 2, None), 5), "of no text there is no copy");
        marks.arrive(&text(3, 2, None), 5);
        marks.settle(Some(3));
        assert!(!marks.differ_if_lost(&text(0, 3, None), 5), "acknowledged");
        assert_eq!(marks.open.len(), 2);
    }

    // covers: L1, L6
    #[test]
    fn what_came_behind_a_lost_segment_waited_for_its_copy() {
        // The second mark arrives first, if the first segment is lost: then the first mark is the older one.
        let mut marks = marks(&[(0, 3, Some(3)), (3, 3, Some(3))]);
        assert_eq!(removed(&marks, PROMPT), [2, 5]);
        let copy = text(0, 3, Some(3));
        assert!(marks.differ_if_lost(&copy, 6));
        marks.lose(&copy);
        assert_eq!((marks.next, marks.open.len()), (0, 1));
        marks.arrive(&copy, 6);
        assert_eq!(removed(&marks, PROMPT), [5]);
    }

    // covers: L6
    #[test]
    fn a_copy_of_a_part_leaves_the_rest() {
        let mut marks = marks(&[(0, 10, Some(8))]);
        marks.lose(&text(2, 3, None));
        let left: Vec<_> = marks.open.iter().map(|part| (part.sent_at, part.len, part.urgent)).collect();
        assert_eq!(left, [(0, 2, None), (5, 5, None)]);
        assert_eq!(marks.next, 2);
    }

    // covers: L4
    #[test]
    fn as_many_arrivals_are_kept_as_may_be_and_what_is_beyond_is_known() {
        let arrivals: Vec<_> = (0..100).map(|n| (2 * n, 2, Some(2))).collect();
        let marks = marks(&arrivals);
        assert_eq!(marks.open.len(), OPEN);
        assert!(!marks.knows(&text(10, 2, None)));
        assert!(marks.knows(&Incoming { acked: Some(12), ..text(10, 2, None) }), "acknowledged");
        assert!(marks.knows(&text(190, 2, None)));
        assert_eq!(removed(&marks, PROMPT).len(), 100);
    }

    // covers: L4
    #[test]
    fn copies_of_the_middle_of_segments_take_no_more_room() {
        let mut marks = marks(&[(0, 1_000, Some(500))]);
        for at in 0..400 {
            let copy = text(2 * at, 1, Some(1));
            marks.lose(&copy);
            marks.arrive(&copy, 1_000);
            assert!(marks.open.len() <= OPEN && marks.entries() <= 10 * OPEN + 8 * 400);
        }
        assert_eq!(marks.next, 1_000);
    }
}
