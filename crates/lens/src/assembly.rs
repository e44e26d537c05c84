//! Putting a stream together from its segments, and the marks with it.
//!
//! Where copies of an octet differ, or a timestamp says that a segment is old, hosts part ways: an [`Assembly`] is
//! made for each way, from the moment on at which it matters (L6). An assembly knows places. It holds octets
//! only from the moment on at which readings may differ ([`Assembly::hold_text`]).

use std::collections::BTreeMap;

use crate::Limits;
use crate::archive::{NOWHERE, Pieces, Store};
use crate::fold::{Fold, Kind};
use crate::marks::{Marks, OPEN};
use crate::text::Text;

/// What the place of an octet, or a piece that waits, takes in memory, about.
const ENTRY: usize = 32;
/// Pieces that wait behind a hole before the hole is given up that its receiver has acknowledged: the capture
/// does not have it. Before that it may only be late in the capture.
const PATIENCE: usize = 64;

/// What a host does where segments contradict one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Policy {
    /// Of two copies of an octet that was not acknowledged between them, the later one counts: it replaces the
    /// waiting one, or the earlier one was lost behind the capture.
    pub(crate) last_wins: bool,
    /// Segments with an old timestamp are dropped (RFC 7323 5).
    pub(crate) paws: bool,
}

/// Everything around a stream that taking a segment needs.
pub(crate) struct Surroundings<'a, 's> {
    pub(crate) limits: &'a Limits,
    pub(crate) pieces: &'a mut Pieces,
    pub(crate) store: &'a mut Store<'s>,
}

/// A stream as a host with one policy puts it together.
#[derive(Clone, Debug)]
pub(crate) struct Assembly {
    pub(crate) policy: Policy,
    /// RCV.NXT as an offset.
    pub(crate) next: u64,
    /// Text beyond `next`, by offset, without overlaps: where it is to be found, and how long it is.
    ahead: BTreeMap<u64, Waiting>,
    ahead_octets: u64,
    pub(crate) text: Text,
    /// Readings may differ: text is held.
    holds_text: bool,
    /// From the first mark on.
    marks: Option<Marks>,
    /// Octets that were given up because too much lay ahead.
    pub(crate) given_up: u64,
    /// Octets that the receiver acknowledged and the capture does not have.
    pub(crate) missing: u64,
}

/// Text that waits for other before it.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    position: u64,
    len: u32,
}

impl Waiting {
    /// What of it lies from `skip` octets on, `len` of them.
    fn part(self, skip: u64, len: u64) -> Self {
        Self { position: self.position.saturating_add(skip), len: len as u32 }
    }
}

/// Text as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    /// Offset of the first octet.
    pub(crate) offset: i64,
    /// Octets as they were sent.
    pub(crate) len: u32,
    /// All of them, or none if the capture does not have them.
    pub(crate) octets: &'a [u8],
    pub(crate) position: u64,
    pub(crate) urgent: Option<u16>,
    pub(crate) finished: bool,
    /// What the receiver has acknowledged, as an offset.
    pub(crate) acked: Option<u64>,
}

impl Incoming<'_> {
    pub(crate) fn end(&self) -> i64 {
        self.offset + i64::from(self.len)
    }

    /// Text of which only the place is known, and nothing is to be said.
    pub(crate) fn plain(offset: i64, len: u32) -> Self {
        Self { offset, len, octets: &[], position: NOWHERE, urgent: None, finished: false, acked: None }
    }

    /// The octets from offset `from` to offset `to`, if they are there.
    fn slice(&self, from: u64, to: u64) -> Option<&[u8]> {
        let at = |offset: u64| usize::try_from(offset as i64 - self.offset).ok();
        self.octets.get(at(from)?..at(to)?)
    }
}

/// What copies of the same octets say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Copies {
    Same,
    Differ,
    /// One of them is not at hand.
    Unknown,
}

impl Copies {
    /// What two of them say together.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Differ, _) | (_, Self::Differ) => Self::Differ,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Same, Self::Same) => Self::Same,
        }
    }
}

impl Assembly {
    /// From offset `next` on: nothing before it matters.
    pub(crate) fn new(policy: Policy, next: u64) -> Self {
        Self {
            policy,
            next,
            ahead: BTreeMap::new(),
            ahead_octets: 0,
            text: Text::default(),
            holds_text: false,
            marks: None,
            given_up: 0,
            missing: 0,
        }
    }

    /// The same so far, another policy from now on.
    pub(crate) fn with_policy(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Nothing waits, nothing was given up, no reading can differ: the stream needs no assembly.
    pub(crate) fn is_plain(&self) -> bool {
        self.ahead.is_empty() && !self.holds_text && self.marks.is_none() && self.given_up + self.missing == 0
    }

    /// Holds text from now on, and `before`, which lies right before `next`.
    pub(crate) fn hold_text(&mut self, before: &[u8]) {
        if !self.holds_text {
            self.holds_text = true;
            self.text.push(self.next - (before.len() as u64).min(self.next), before);
        }
    }

    pub(crate) fn holds_text(&self) -> bool {
        self.holds_text
    }

    /// Offset of the first octet that is held, or of the next one.
    pub(crate) fn text_from(&self) -> u64 {
        if self.holds_text { self.text.from() } else { self.next }
    }

    /// What copies that wait beyond `next` say, beside `incoming`.
    pub(crate) fn compare_waiting(&self, incoming: &Incoming<'_>, store: &mut Store<'_>) -> Copies {
        let mut copies = Copies::Same;
        for (at, piece) in self.waiting(incoming.offset, incoming.end()) {
            let from = at.max(incoming.offset.max(0) as u64);
            let to = (at + u64::from(piece.len)).min(incoming.end().max(0) as u64);
            if from < to {
                let mut theirs = vec![0; (to - from) as usize];
                let known = store.read(piece.position.saturating_add(from - at), &mut theirs);
                match incoming.slice(from, to).filter(|_| known) {
                    Some(ours) if ours == theirs => {}
                    Some(_) => return Copies::Differ,
                    None => copies = Copies::Unknown,
                }
            }
        }
        copies
    }

    fn waiting(&self, from: i64, to: i64) -> impl Iterator<Item = (u64, Waiting)> {
        let (from, to) = (from.max(0) as u64, to.max(0) as u64);
        let before = self.ahead.range(..from).next_back();
        let inside = (from < to).then(|| self.ahead.range(from..to)).into_iter().flatten();
        before.into_iter().chain(inside).map(|(&at, &piece)| (at, piece))
    }

    /// Takes a segment in. What is delivered is noted as a piece of the stream behind `last`, if that is given.
    pub(crate) fn take(
        &mut self,
        incoming: Incoming<'_>,
        last: Option<&mut u64>,
        around: &mut Surroundings<'_, '_>,
    ) {
        self.add(&incoming, last, around);
        if let Some(marks) = &mut self.marks {
            if self.policy.last_wins {
                marks.lose(&incoming);
            }
            marks.arrive(&incoming, self.next);
        }
    }

    /// Marks may matter from now on. `delivered` is what of the text that was not acknowledged is held of places, oldest
    /// first: offset and length.
    pub(crate) fn begin_marks(&mut self, delivered: &[(u64, u32)], limits: &Limits) {
        if self.marks.is_some() {
            return;
        }
        let text = |at: u64, len: u32| Incoming::plain(at as i64, len);
        let from = delivered.first().map_or(self.next, |&(at, _)| at.min(self.next));
        let mut marks = Marks::new(from, limits.out_of_band as usize);
        for &(at, len) in delivered {
            let end = (at + u64::from(len)).min(self.next);
            marks.arrive(&text(at, len), end);
        }
        for (&at, piece) in self.ahead.iter().take(OPEN) {
            marks.arrive(&text(at, piece.len), self.next);
        }
        self.marks = Some(marks);
    }

    /// What a copy says of marks, beside what of it was there before and may have been lost.
    pub(crate) fn compare_marks(&mut self, incoming: &Incoming<'_>) -> Copies {
        let Some(marks) = &mut self.marks else { return Copies::Same };
        marks.settle(incoming.acked);
        let next_after = self.next.max(incoming.end().max(0) as u64);
        if marks.differ_if_lost(incoming, next_after) {
            Copies::Differ
        } else if marks.knows(incoming) {
            Copies::Same
        } else {
            Copies::Unknown
        }
    }

    fn add(
        &mut self,
        incoming: &Incoming<'_>,
        mut last: Option<&mut u64>,
        around: &mut Surroundings<'_, '_>,
    ) {
        let end = incoming.end().max(0) as u64;
        if end <= self.next {
            return;
        }
        let start = incoming.offset.max(self.next as i64) as u64;
        let skip = (start as i64 - incoming.offset) as u64;
        let piece = Waiting { position: incoming.position, len: incoming.len }.part(skip, end - start);
        if start == self.next && self.ahead.is_empty() {
            self.deliver(piece, incoming.slice(start, end), last.as_deref_mut(), around);
            return;
        }
        self.wait(start, piece, around.limits);
        self.deliver_waiting(last.as_deref_mut(), around);
        if self.ahead.len() > PATIENCE {
            self.skip_hole(incoming.acked, last, around);
        }
    }

    /// Text that lies ahead, or overlaps what does.
    fn wait(&mut self, start: u64, piece: Waiting, limits: &Limits) {
        let room = u64::from(limits.ahead_octets).saturating_sub(self.ahead_octets);
        let full = u64::from(piece.len) > room || self.ahead.len() >= limits.ahead_pieces as usize;
        if start > self.next && full {
            self.given_up += u64::from(piece.len);
            return;
        }
        let end = start + u64::from(piece.len);
        if self.policy.last_wins {
            self.cut_out(start, end);
            self.hold(start, piece);
            return;
        }
        // What is there stays: only the gaps are filled.
        let there: Vec<(u64, u64)> = self
            .waiting(start as i64, end as i64)
            .map(|(at, piece)| (at, at + u64::from(piece.len)))
            .collect();
        let mut at = start;
        for (from, to) in there {
            if at < from.min(end) {
                self.hold(at, piece.part(at - start, from.min(end) - at));
            }
            at = at.max(to);
        }
        if at < end {
            self.hold(at, piece.part(at - start, end - at));
        }
    }

    fn hold(&mut self, at: u64, piece: Waiting) {
        self.ahead_octets += u64::from(piece.len);
        self.ahead.insert(at, piece);
    }

    /// The stream ends at `end`: what waits behind that is thrown away.
    pub(crate) fn end_at(&mut self, end: u64) {
        self.cut_out(end, i64::MAX as u64);
    }

    /// Removes what waits in `from..to`.
    fn cut_out(&mut self, from: u64, to: u64) {
        let touched: Vec<u64> = self.waiting(from as i64, to as i64).map(|(at, _)| at).collect();
        for at in touched {
            let Some(piece) = self.ahead.remove(&at) else { continue };
            self.ahead_octets -= u64::from(piece.len);
            let end = at + u64::from(piece.len);
            if at < from {
                self.hold(at, piece.part(0, from.min(end) - at));
            }
            if end > to {
                let start = to.max(at);
                self.hold(start, piece.part(start - at, end - start));
            }
        }
    }

    fn deliver_waiting(&mut self, mut last: Option<&mut u64>, around: &mut Surroundings<'_, '_>) {
        while let Some(entry) = self.ahead.first_entry() {
            if *entry.key() > self.next {
                return;
            }
            let (at, piece) = entry.remove_entry();
            self.ahead_octets -= u64::from(piece.len);
            let known = (self.next - at).min(piece.len.into());
            if known < u64::from(piece.len) {
                let rest = piece.part(known, u64::from(piece.len) - known);
                self.deliver(rest, None, last.as_deref_mut(), around);
            }
        }
    }

    /// The receiver has acknowledged what lies before the text that waits, so the capture does not have it.
    /// Whether there was such a hole.
    pub(crate) fn skip_hole(
        &mut self,
        acked: Option<u64>,
        last: Option<&mut u64>,
        around: &mut Surroundings<'_, '_>,
    ) -> bool {
        let first = self.ahead.first_key_value().map(|(&at, _)| at);
        let Some(start) = first.filter(|&start| acked.is_some_and(|acked| acked >= start)) else {
            return false;
        };
        self.missing += start - self.next.min(start);
        self.next = start;
        self.deliver_waiting(last, around);
        true
    }

    /// `octets` are those of the piece, if they are at hand anyway.
    fn deliver(
        &mut self,
        piece: Waiting,
        octets: Option<&[u8]>,
        last: Option<&mut u64>,
        around: &mut Surroundings<'_, '_>,
    ) {
        if let Some(last) = last {
            *last = around.pieces.add(*last, self.next, piece.position, piece.len);
        }
        let room = (around.limits.text_octets as usize).saturating_sub(self.text.len());
        if self.holds_text && self.text.to() == self.next && room > 0 {
            let wanted = room.min(piece.len as usize);
            if let Some(octets) = octets {
                self.text.push(self.next, &octets[..wanted.min(octets.len())]);
            } else {
                let mut octets = vec![0; wanted];
                if around.store.read(piece.position, &mut octets) {
                    self.text.push(self.next, &octets);
                }
            }
        }
        self.next += u64::from(piece.len);
    }

    /// Places, pieces that wait, and text, in octets of memory.
    pub(crate) fn held(&self) -> usize {
        let entries = self.marks.as_ref().map_or(0, Marks::entries);
        let folds = self.marks.as_ref().map_or(0, |_| Kind::ALL.len() * size_of::<Fold>());
        size_of::<Self>() + folds + self.text.len() + (self.ahead.len() + entries) * ENTRY
    }

    /// Places of urgent octets that it has, of the kind of reader that has most.
    pub(crate) fn places(&self) -> u64 {
        self.marks.as_ref().map_or(0, Marks::places)
    }

    /// Places that it does not have for want of room, of the same.
    pub(crate) fn places_lost(&self) -> u64 {
        self.marks.as_ref().map_or(0, Marks::lost)
    }

    /// The later copy counts, from offset `from` on and as far as text is held.
    pub(crate) fn overwrite(&mut self, incoming: &Incoming<'_>, from: u64) {
        let from = from.max(incoming.offset.max(0) as u64);
        let to = (incoming.end().max(0) as u64).min(self.next);
        if let Some(octets) = incoming.slice(from, to.max(from)) {
            self.text.overwrite(from, octets);
        }
    }

    pub(crate) fn has_marks(&self) -> bool {
        self.marks.is_some()
    }

    /// The fold of this kind over all that has come, if there was a mark.
    pub(crate) fn fold(&self, kind: Kind) -> Option<Fold> {
        self.marks.as_ref()?.fold(kind)
    }

    /// Octets that wait for others before them.
    pub(crate) fn waiting_octets(&self) -> u64 {
        self.ahead_octets
    }
}

/// What `incoming` says, from offset `from` on, of octets that were delivered: up to `next`, and the latest of their
/// pieces is `last`.
pub(crate) fn compare_delivered(
    incoming: &Incoming<'_>,
    from: u64,
    (next, last): (u64, u64),
    around: &mut Surroundings<'_, '_>,
) -> Copies {
    let from = from.max(incoming.offset.max(0) as u64);
    let to = (incoming.end().max(0) as u64).min(next);
    if from >= to {
        return Copies::Same;
    }
    let mut reached = to;
    let mut buffer = Vec::new();
    for (at, piece) in around.pieces.walk(last, next).take(around.limits.look_back as usize) {
        let (start, end) = (at.max(from), (at + u64::from(piece.len)).min(to));
        if start < end {
            buffer.resize((end - start) as usize, 0);
            let known =
                end >= reached && around.store.read(piece.position.saturating_add(start - at), &mut buffer);
            match incoming.slice(start, end).filter(|_| known) {
                Some(ours) if ours == buffer => reached = start,
                Some(_) => return Copies::Differ,
                None => return Copies::Unknown,
            }
        }
        if at <= from {
            break;
        }
    }
    if reached <= from { Copies::Same } else { Copies::Unknown }
}

/// The octets right before `next`, from offset `from` on if they are all at hand, otherwise the last of them.
pub(crate) fn text_before(next: u64, from: u64, last: u64, around: &mut Surroundings<'_, '_>) -> Vec<u8> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut reached = next;
    for (at, piece) in around.pieces.walk(last, next).take(around.limits.look_back as usize) {
        // A piece that is missing, or a hole: what lies before it cannot be joined.
        if reached <= from || at + u64::from(piece.len) != reached {
            break;
        }
        let start = at.max(from);
        let mut octets = vec![0; (reached - start) as usize];
        if !around.store.read(piece.position.saturating_add(start - at), &mut octets) {
            break;
        }
        found.push(octets);
        reached = start;
    }
    found.reverse();
    found.concat()
}
