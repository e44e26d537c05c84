//! Putting a stream together from its segments, and the marks with it.
//!
//! Where copies of an octet differ, or a timestamp says that a segment is old, hosts part ways: an [`Assembly`] is
//! made for each way, from the moment on at which it matters (L6).

use std::collections::BTreeMap;

use crate::Limits;
use crate::fold::{Arrival, Fold, Kind};
use crate::text::Text;

/// What the place of an octet takes in a fold, about.
const ENTRY: usize = 16;

/// What a host does where segments contradict one another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Policy {
    /// Of two copies of an octet that waits for those before it, the later one counts.
    pub(crate) last_wins: bool,
    /// Segments with an old timestamp are dropped (RFC 7323 5).
    pub(crate) paws: bool,
}

/// A stream as a host with one policy puts it together.
#[derive(Clone, Debug)]
pub(crate) struct Assembly {
    pub(crate) policy: Policy,
    /// RCV.NXT as an offset.
    pub(crate) next: u64,
    /// Text beyond `next`, by offset, without overlaps.
    ahead: BTreeMap<u64, Vec<u8>>,
    ahead_octets: usize,
    pub(crate) text: Text,
    /// None before the first mark.
    folds: Vec<Fold>,
    /// Offset of the first mark.
    pub(crate) first_mark: Option<u64>,
    /// Octets that were given up because too much lay ahead.
    pub(crate) given_up: u64,
    /// Offset of the FIN, behind which nothing is read.
    end: u64,
}

/// Text as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    /// Offset of the first octet.
    pub(crate) offset: i64,
    pub(crate) octets: &'a [u8],
    pub(crate) urgent: Option<u16>,
    pub(crate) finished: bool,
}

impl Incoming<'_> {
    pub(crate) fn end(&self) -> i64 {
        self.offset + self.octets.len() as i64
    }
}

impl Assembly {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            next: 0,
            ahead: BTreeMap::new(),
            ahead_octets: 0,
            text: Text::default(),
            folds: Vec::new(),
            first_mark: None,
            given_up: 0,
            end: u64::MAX,
        }
    }

    /// The stream ends at `end`: what waits behind it is thrown away, what comes is not taken.
    pub(crate) fn end_at(&mut self, end: u64) {
        self.end = end;
        self.cut_out(end, u64::MAX);
    }

    /// The same so far, another policy from now on.
    pub(crate) fn with_policy(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Whether a copy that waits beyond `next` says something else than `incoming`.
    pub(crate) fn contradicts_waiting(&self, incoming: &Incoming<'_>) -> bool {
        self.waiting(incoming.offset, incoming.end()).any(|(at, piece)| {
            let from = at.max(incoming.offset.max(0) as u64);
            let to = (at + piece.len() as u64).min(incoming.end().max(0) as u64);
            (from..to).any(|octet| {
                let theirs = piece.get((octet - at) as usize);
                theirs != incoming.octets.get((octet as i64 - incoming.offset) as usize)
            })
        })
    }

    /// Whether what was delivered already says something else.
    pub(crate) fn contradicts_delivered(&self, incoming: &Incoming<'_>) -> bool {
        let behind = (-incoming.offset).clamp(0, incoming.octets.len() as i64) as usize;
        let from = incoming.offset.max(0) as u64;
        from < self.next && self.text.contradicts(from, &incoming.octets[behind..])
    }

    fn waiting(&self, from: i64, to: i64) -> impl Iterator<Item = (u64, &Vec<u8>)> {
        let (from, to) = (from.max(0) as u64, to.max(0) as u64);
        let before = self.ahead.range(..from).next_back();
        let inside = (from < to).then(|| self.ahead.range(from..to)).into_iter().flatten();
        before.into_iter().chain(inside).map(|(&at, piece)| (at, piece))
    }

    /// Takes a segment in.
    pub(crate) fn take(&mut self, incoming: Incoming<'_>, limits: &Limits) {
        let next = self.next;
        if incoming.urgent.is_some() && self.folds.is_empty() {
            self.folds = Kind::ALL.into_iter().map(|kind| Fold::new(kind, next)).collect();
        }
        let room = (self.end as i128 - i128::from(incoming.offset)).clamp(0, incoming.octets.len() as i128);
        self.add(&Incoming { octets: &incoming.octets[..room as usize], ..incoming }, limits);
        if self.folds.is_empty() {
            return;
        }
        if let Some(pointer) = incoming.urgent {
            let mark = incoming.offset + i64::from(pointer.max(1));
            self.first_mark.get_or_insert(mark.max(0) as u64);
        }
        let arrival = Arrival {
            sent_at: incoming.offset,
            len: incoming.octets.len() as u32,
            urgent: incoming.urgent,
            next,
            next_after: self.next,
            finished: incoming.finished,
        };
        for fold in &mut self.folds {
            fold.arrive(arrival, limits.out_of_band as usize);
        }
    }

    fn add(&mut self, incoming: &Incoming<'_>, limits: &Limits) {
        let end = incoming.end().max(0) as u64;
        if end <= self.next {
            return;
        }
        let skip = (self.next as i64 - incoming.offset).clamp(0, incoming.octets.len() as i64) as usize;
        let (start, octets) = ((incoming.offset + skip as i64).max(0) as u64, &incoming.octets[skip..]);
        if start == self.next && self.ahead.is_empty() {
            self.deliver(octets, limits);
        } else {
            self.wait(start, octets, limits);
            self.deliver_waiting(limits);
        }
    }

    /// Text that lies ahead, or overlaps what does.
    fn wait(&mut self, start: u64, octets: &[u8], limits: &Limits) {
        let room = (limits.ahead_octets as usize).saturating_sub(self.ahead_octets);
        if start > self.next && (octets.len() > room || self.ahead.len() >= limits.ahead_pieces as usize) {
            self.given_up += octets.len() as u64;
            return;
        }
        let end = start + octets.len() as u64;
        if self.policy.last_wins {
            self.cut_out(start, end);
            self.hold(start, octets);
            return;
        }
        // What is there stays: only the gaps are filled.
        let there: Vec<(u64, u64)> =
            self.waiting(start as i64, end as i64).map(|(at, piece)| (at, at + piece.len() as u64)).collect();
        let mut at = start;
        for (from, to) in there {
            if at < from.min(end) {
                self.hold(at, &octets[(at - start) as usize..(from.min(end) - start) as usize]);
            }
            at = at.max(to);
        }
        if at < end {
            self.hold(at, &octets[(at - start) as usize..]);
        }
    }

    fn hold(&mut self, at: u64, octets: &[u8]) {
        self.ahead_octets += octets.len();
        self.ahead.insert(at, octets.to_vec());
    }

    /// Removes what waits in `from..to`.
    fn cut_out(&mut self, from: u64, to: u64) {
        let touched: Vec<u64> =
            self.waiting(from as i64, to.min(i64::MAX as u64) as i64).map(|(at, _)| at).collect();
        for at in touched {
            let Some(piece) = self.ahead.remove(&at) else { continue };
            self.ahead_octets -= piece.len();
            let end = at + piece.len() as u64;
            if at < from {
                self.hold(at, &piece[..(from.min(end) - at) as usize]);
            }
            if end > to {
                self.hold(to.max(at), &piece[(to.max(at) - at) as usize..]);
            }
        }
    }

    fn deliver_waiting(&mut self, limits: &Limits) {
        while let Some(entry) = self.ahead.first_entry() {
            if *entry.key() > self.next {
                return;
            }
            let (at, piece) = entry.remove_entry();
            self.ahead_octets -= piece.len();
            let known = (self.next - at).min(piece.len() as u64) as usize;
            self.deliver(&piece[known..], limits);
        }
    }

    fn deliver(&mut self, octets: &[u8], limits: &Limits) {
        if self.folds.is_empty() {
            // Nothing matters yet: the beginning is held, or what came last.
            let end = self.next + octets.len() as u64;
            let most =
                if end <= limits.head_octets.into() { limits.head_octets } else { limits.context_octets };
            let skip = octets.len().saturating_sub(most as usize);
            self.text.push(self.next + skip as u64, &octets[skip..]);
            self.text.keep_last(most as usize);
        } else if self.text.to() == self.next {
            let room = (limits.text_octets as usize).saturating_sub(self.text.len());
            self.text.push(self.next, &octets[..octets.len().min(room)]);
        }
        self.next += octets.len() as u64;
    }

    /// Octets that wait, octets of text, and what the places of urgent octets take.
    pub(crate) fn held(&self) -> usize {
        let entries: usize = self.folds.iter().map(Fold::entries).sum();
        self.text.len() + self.ahead_octets + entries * ENTRY
    }

    /// Gives up the text that was delivered.
    pub(crate) fn forget_text(&mut self) {
        self.text.keep_last(0);
    }

    pub(crate) fn has_marks(&self) -> bool {
        !self.folds.is_empty()
    }

    pub(crate) fn fold(&self, kind: Kind) -> Option<&Fold> {
        self.folds.iter().find(|fold| fold.kind == kind)
    }

    /// Octets that wait for others before them.
    pub(crate) fn waiting_octets(&self) -> usize {
        self.ahead_octets
    }
}
