//! One direction of a flow: where its text stands, and what its receiver acknowledged.
//!
//! That is all there is as long as text comes in order and nothing is urgent: a few counters. Everything else is in a
//! [`Trouble`], which a stream has only from the moment on at which something is unusual.

use rules::Instant;
use rules::acceptability::{Acceptability, Edge, Window, acceptability};
use rules::paws::{self, PawsVerdict, TsRecent};
use wire::SeqNumber;
use wire::tcp::Flags;

use crate::assembly::{Assembly, Copies, Incoming, Policy, Surroundings, compare_delivered, text_before};
use crate::marks::OPEN;
use crate::segment::Segment;

/// Frames that are named in a report at most.
const FRAMES: usize = 16;
/// No offset yet.
const NONE: u64 = u64::MAX;

/// One direction.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// RCV.NXT of its receiver, as an offset; of the host that does as most do.
    pub(crate) next: u64,
    /// What the receiver has acknowledged, as an offset; or [`NONE`].
    acked: u64,
    /// Offset of the FIN; or [`NONE`].
    fin: u64,
    pub(crate) segments: u64,
    /// Its latest piece of text that was delivered ([`Pieces`](crate::archive::Pieces)).
    last_piece: u64,
    /// TS.Recent, if there is one: when it was taken over, and its value.
    ts_seen: Instant,
    /// What is unusual.
    pub(crate) trouble: Option<Box<Trouble>>,
    ts_value: u32,
    /// The sequence number of offset 0.
    origin: SeqNumber,
    /// From `acked` to the right edge of the receiver's window.
    edge_ahead: u32,
    /// From `next` to what lies behind the last octet that was sent.
    sent_ahead: u32,
    /// Of the windows that this side advertises.
    window_scale: Option<u8>,
    has_origin: bool,
    has_edge: bool,
    has_timestamp: bool,
    /// Its SYN was not seen: offset 0 is the first octet seen.
    pub(crate) mid_stream: bool,
}

/// What is unusual in a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// None while all hosts do the same and nothing waits, one, and more from the moment on at which hosts part ways.
    pub(crate) assemblies: Vec<Assembly>,
    /// Segments with URG, and the frames of the first of them.
    pub(crate) urgent_segments: u64,
    pub(crate) urgent_frames: Vec<u64>,
    /// Segments that the receiver's window refuses.
    pub(crate) outside_window: u64,
    /// Copies of an octet that differ, or their marks do, and the frames of the first of them.
    pub(crate) contradictions: u64,
    pub(crate) contradiction_frames: Vec<u64>,
    /// Segments of which a part had been sent before, and that could not be compared with it.
    pub(crate) not_compared: u64,
    /// Segments with an old timestamp that would have brought text.
    pub(crate) old_timestamps: u64,
    /// Octets that the receiver acknowledged and the capture does not have.
    pub(crate) missing: u64,
    /// How often all that was held was given up, and what with it: then nothing is known of what was before.
    pub(crate) readings_given_up: u64,
    pub(crate) octets_given_up: u64,
    pub(crate) places_given_up: u64,
}

impl Trouble {
    /// Nothing is worth keeping.
    fn is_over(&self) -> bool {
        self.assemblies.is_empty()
            && self.urgent_segments + self.outside_window + self.contradictions == 0
            && self.not_compared + self.old_timestamps + self.missing + self.readings_given_up == 0
    }

    fn contradiction(&mut self, frame: u64) {
        self.contradictions += 1;
        note(&mut self.contradiction_frames, frame);
    }

    /// What it holds beyond its own few octets.
    pub(crate) fn held(&self) -> usize {
        let frames = (self.urgent_frames.capacity() + self.contradiction_frames.capacity()) * 8;
        frames + self.assemblies.iter().map(Assembly::held).sum::<usize>()
    }

    /// Gives up everything that may grow; counters stay.
    fn forget(&mut self) {
        if let Some(assembly) = self.assemblies.first() {
            self.octets_given_up += assembly.given_up + assembly.waiting_octets();
            self.missing += assembly.missing;
            self.places_given_up += assembly.places();
            self.readings_given_up += 1;
        }
        self.assemblies = Vec::new();
        self.urgent_frames = Vec::new();
        self.contradiction_frames = Vec::new();
    }
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            acked: NONE,
            fin: NONE,
            segments: 0,
            last_piece: 0,
            ts_seen: Instant::ZERO,
            trouble: None,
            ts_value: 0,
            origin: SeqNumber(0),
            edge_ahead: 0,
            sent_ahead: 0,
            window_scale: None,
            has_origin: false,
            has_edge: false,
            has_timestamp: false,
            mid_stream: false,
        }
    }

    fn acked(&self) -> Option<u64> {
        (self.acked != NONE).then_some(self.acked)
    }

    fn right_edge(&self) -> Option<u64> {
        Some(self.acked()?.saturating_add(self.edge_ahead.into())).filter(|_| self.has_edge)
    }

    /// Offset of the FIN.
    pub(crate) fn fin(&self) -> Option<u64> {
        (self.fin != NONE).then_some(self.fin)
    }

    /// Octets that its receiver acknowledged, the FIN left out.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        Some(self.acked()?.min(self.fin))
    }

    fn at_offset(&self, offset: u64) -> Option<SeqNumber> {
        self.has_origin.then(|| self.origin.plus(offset as u32))
    }

    /// The sequence number that its receiver acknowledged.
    pub(crate) fn acked_seq(&self) -> Option<SeqNumber> {
        self.at_offset(self.acked()?)
    }

    /// The right edge of its receiver's window.
    pub(crate) fn edge_seq(&self) -> Option<SeqNumber> {
        self.at_offset(self.right_edge()?)
    }

    /// Behind the last octet that was sent.
    pub(crate) fn end_seq(&self) -> Option<SeqNumber> {
        self.at_offset(self.next + u64::from(self.sent_ahead))
    }

    /// Whether the stream is over and the receiver has said so.
    pub(crate) fn is_closed(&self) -> bool {
        self.fin().is_some_and(|fin| self.acked().is_some_and(|acked| acked > fin))
    }

    /// Something was sent, or something said of its beginning.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_origin
    }

    /// Whether `syn` is the SYN that the stream began with, once more.
    pub(crate) fn began_with(&self, syn: &Segment<'_>) -> bool {
        self.has_origin && !self.mid_stream && self.origin == syn.seq.plus(1)
    }

    /// A segment of this direction.
    #[inline]
    pub(crate) fn sent(&mut self, segment: &Segment<'_>, around: &mut Surroundings<'_, '_>) {
        self.segments += 1;
        let syn = segment.has(Flags::SYN);
        let text_seq = segment.seq.plus(u32::from(syn));
        if !self.has_origin {
            (self.origin, self.has_origin, self.mid_stream) = (text_seq, true, !syn);
        }
        if syn && self.origin == text_seq {
            self.window_scale = segment.window_scale;
        }
        let Some(offset) = self.offset(text_seq) else { return };
        let (before, sent_end) = (self.next, self.next + u64::from(self.sent_ahead));
        self.take(segment, offset, around);
        let end = sent_end.max((offset + i64::from(segment.len)).max(0) as u64).max(self.next);
        debug_assert!(self.next >= before);
        self.sent_ahead = u32::try_from(end - self.next).unwrap_or(u32::MAX);
    }

    #[inline]
    fn take(&mut self, segment: &Segment<'_>, offset: i64, around: &mut Surroundings<'_, '_>) {
        let (urgent, fin) = (segment.has(Flags::URG), segment.has(Flags::FIN));
        if urgent {
            let trouble = self.trouble();
            trouble.urgent_segments += 1;
            note(&mut trouble.urgent_frames, segment.frame);
        }
        if segment.len == 0 && !urgent && !fin {
            return;
        }
        let mut incoming = Incoming {
            offset,
            len: segment.len,
            octets: segment.text,
            position: segment.position,
            urgent: urgent.then_some(segment.urgent),
            finished: self.fin != NONE && self.next >= self.fin,
            acked: self.acked(),
        };
        if !self.is_acceptable(&incoming) {
            self.trouble().outside_window += 1;
            return;
        }
        if fin {
            self.end_at(incoming.end());
        }
        if let Some(end) = self.fin().filter(|&end| incoming.end() > end as i64) {
            // Nothing is read that lies behind a FIN.
            incoming.len = (end as i64 - offset).max(0) as u32;
            incoming.octets = segment.text.get(..incoming.len as usize).unwrap_or(segment.text);
        }
        let old = self.is_old(segment);
        let plain = self.trouble.as_ref().is_none_or(|trouble| trouble.assemblies.is_empty());
        if plain && !urgent && !old && offset == self.next as i64 {
            // What almost all text is: next in order, and nothing to be said of it.
            if incoming.len > 0 {
                self.last_piece =
                    around.pieces.add(self.last_piece, self.next, segment.position, incoming.len);
                self.next += u64::from(incoming.len);
            }
        } else {
            self.take_unusual(segment, &incoming, old, around);
        }
        self.refresh_ts_recent(segment, offset);
    }

    /// A FIN at `end`. One that lies left of what has arrived is old; of several the first in order counts.
    fn end_at(&mut self, end: i64) {
        let Some(end) = u64::try_from(end).ok().filter(|end| (self.next..self.fin).contains(end)) else {
            return;
        };
        self.fin = end;
        if let Some(trouble) = &mut self.trouble {
            trouble.assemblies.iter_mut().for_each(|assembly| assembly.end_at(end));
        }
    }

    #[cold]
    fn take_unusual(
        &mut self,
        segment: &Segment<'_>,
        incoming: &Incoming<'_>,
        old: bool,
        around: &mut Surroundings<'_, '_>,
    ) {
        let (next, last) = (self.next, self.last_piece);
        let copies = compare_delivered(incoming, 0, (next, last), around);
        let trouble = self.trouble();
        if trouble.assemblies.is_empty() {
            let changes = incoming.end() > next as i64 || incoming.urgent.is_some();
            if !changes && copies == Copies::Same {
                self.settle();
                return;
            }
            trouble.assemblies.push(Assembly::new(Policy { last_wins: false, paws: true }, next));
        }
        if incoming.urgent.is_some() {
            trouble.hold_text(next, (next, last), around);
            trouble.begin_marks(incoming.acked, (next, last), around);
        }
        if old && incoming.end() > next as i64 {
            trouble.old_timestamps += 1;
            trouble.hold_text(next, (next, last), around);
            trouble.part(|policy| Policy { paws: false, ..policy }, |policy| !policy.paws);
        }
        trouble.compare(segment.frame, incoming, copies, (next, last), around);
        let mut piece = self.last_piece;
        let mut logged = Some(&mut piece);
        let trouble = self.trouble();
        for assembly in &mut trouble.assemblies {
            // Pieces are those of the host that does as most do, the first one.
            let log = logged.take();
            if !(old && assembly.policy.paws) {
                assembly.take(*incoming, log, around);
            }
        }
        self.next = trouble.assemblies.first().map_or(next, |assembly| assembly.next);
        self.last_piece = piece;
        self.settle();
    }

    /// Gives up what is not needed any longer.
    fn settle(&mut self) {
        let Some(trouble) = &mut self.trouble else { return };
        if let [assembly] = trouble.assemblies.as_slice()
            && assembly.is_plain()
        {
            trouble.assemblies = Vec::new();
        }
        if trouble.is_over() {
            self.trouble = None;
        }
    }

    fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    /// Whether the receiver looks at the segment at all: it does not lie wholly left of what was
    /// acknowledged, nor wholly right of the window (RFC 9293 3.10.7.4; what is not known forbids nothing).
    fn is_acceptable(&self, incoming: &Incoming<'_>) -> bool {
        let left = self.acked().unwrap_or(self.next).min(self.next);
        let wnd = self.right_edge().map_or(1 << 30, |edge| edge.saturating_sub(left).min(1 << 30) as u32);
        let window = Window { nxt: SeqNumber(left as u32), wnd };
        let (seq, len) = (SeqNumber(incoming.offset as u32), (incoming.end() - incoming.offset) as u32);
        // Hosts look at text that ends where the window begins, as Linux does (docs/what-linux-reads.md), and not at
        // an empty segment left of it.
        let edge = if len == 0 { Edge::Rfc793 } else { Edge::Seqval };
        acceptability(seq, len, window, edge) != Acceptability::Unacceptable
    }

    fn is_old(&self, segment: &Segment<'_>) -> bool {
        let recent = TsRecent { value: self.ts_value, seen: self.ts_seen };
        let recent = self.has_timestamp.then_some(recent);
        segment
            .tsval
            .is_some_and(|tsval| paws::paws(tsval, recent, segment.flags, segment.at) == PawsVerdict::Old)
    }

    fn refresh_ts_recent(&mut self, segment: &Segment<'_>, offset: i64) {
        let Some(tsval) = segment.tsval else { return };
        let fits = offset <= self.acked().unwrap_or(self.next) as i64;
        let newer = !self.has_timestamp || !SeqNumber(tsval).before(SeqNumber(self.ts_value));
        if fits && newer {
            (self.ts_value, self.ts_seen, self.has_timestamp) = (tsval, segment.at, true);
        }
    }

    /// A segment of the other direction, whose sender scales its window by `scale` if that is known.
    #[inline]
    pub(crate) fn answered(&mut self, answer: &Segment<'_>, scales_known: bool, scale: u8) {
        if !answer.has(Flags::ACK) {
            return;
        }
        let Some(acked) = self.offset(answer.ack).and_then(|offset| u64::try_from(offset).ok()) else {
            return;
        };
        let edge_before = self.right_edge();
        self.acked = self.acked().map_or(acked, |before| before.max(acked));
        let mut edge = edge_before;
        if scales_known {
            let scale = if answer.has(Flags::SYN) { 0 } else { scale };
            let told = acked + (u64::from(answer.window) << scale);
            edge = Some(edge.map_or(told, |before| before.max(told)));
        }
        if let Some(edge) = edge {
            self.has_edge = true;
            self.edge_ahead = u32::try_from(edge.saturating_sub(self.acked)).unwrap_or(u32::MAX);
        }
    }

    pub(crate) fn window_scale(&self) -> Option<u8> {
        self.window_scale
    }

    pub(crate) fn began_with_syn(&self) -> bool {
        self.has_origin && !self.mid_stream
    }

    /// The offset of a sequence number, the nearest to where the stream stands.
    #[inline]
    fn offset(&self, seq: SeqNumber) -> Option<i64> {
        let ahead = seq.distance_from(self.at_offset(self.next)?) as i32;
        Some(self.next as i64 + i64::from(ahead))
    }

    /// No more will come: what waits behind a hole that was acknowledged is delivered.
    pub(crate) fn end(&mut self, around: &mut Surroundings<'_, '_>) {
        let acked = self.acked();
        let Some(trouble) = &mut self.trouble else { return };
        for assembly in &mut trouble.assemblies {
            while assembly.skip_hole(acked, None, around) {}
        }
        trouble.missing += trouble.assemblies.iter().map(|assembly| assembly.missing).max().unwrap_or(0);
        self.next = trouble.assemblies.first().map_or(self.next, |assembly| assembly.next);
    }

    /// Gives up everything that may grow.
    pub(crate) fn forget(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.forget();
        }
        self.settle();
    }

    /// Octets of memory beyond its own.
    pub(crate) fn held(&self) -> usize {
        self.trouble.as_ref().map_or(0, |trouble| trouble.held())
    }
}

impl Trouble {
    /// Readings may differ from offset `at` on: text is held, and some that lies before.
    fn hold_text(&mut self, at: u64, (next, last): (u64, u64), around: &mut Surroundings<'_, '_>) {
        if self.assemblies.iter().all(Assembly::holds_text) {
            return;
        }
        let limits = around.limits;
        let whole = next <= limits.head_octets.into();
        let from = if whole { 0 } else { at.saturating_sub(limits.context_octets.into()) };
        let from = from.max(next.saturating_sub(limits.text_octets.into()));
        let before = text_before(next, from, last, around);
        for assembly in &mut self.assemblies {
            assembly.hold_text(&before);
        }
    }

    /// Marks may matter from now on; what was delivered and not acknowledged may yet come again with one.
    fn begin_marks(&mut self, acked: Option<u64>, (next, last): (u64, u64), around: &Surroundings<'_, '_>) {
        if self.assemblies.iter().all(Assembly::has_marks) {
            return;
        }
        let acked = acked.unwrap_or(0);
        let pieces = around.pieces.walk(last, next).map(|(at, piece)| (at, piece.len)).take(OPEN);
        let mut delivered: Vec<_> = pieces.take_while(|&(at, len)| at + u64::from(len) > acked).collect();
        delivered.reverse();
        for assembly in &mut self.assemblies {
            assembly.begin_marks(&delivered, around.limits);
        }
    }

    /// Compares copies of the same octets, and parts hosts where they differ.
    fn compare(
        &mut self,
        frame: u64,
        incoming: &Incoming<'_>,
        delivered: Copies,
        (next, last): (u64, u64),
        around: &mut Surroundings<'_, '_>,
    ) {
        let mut waiting = Copies::Same;
        let mut marks = Copies::Same;
        for assembly in &mut self.assemblies {
            waiting = waiting.and(assembly.compare_waiting(incoming, around.store));
            marks = marks.and(assembly.compare_marks(incoming));
        }
        if [delivered, waiting, marks].contains(&Copies::Unknown) {
            self.not_compared += 1;
        }
        if ![delivered, waiting, marks].contains(&Copies::Differ) {
            return;
        }
        self.contradiction(frame);
        // What was acknowledged was read as it was first; before that, the first copy may have been lost.
        let acked = incoming.acked.unwrap_or(0);
        let open = delivered == Copies::Differ
            && compare_delivered(incoming, acked, (next, last), around) == Copies::Differ;
        if open || waiting == Copies::Differ || marks == Copies::Differ {
            let at = if waiting == Copies::Differ && !open {
                next
            } else {
                acked.max(incoming.offset.max(0) as u64)
            };
            self.hold_text(at, (next, last), around);
            self.part(|policy| Policy { last_wins: true, ..policy }, |policy| policy.last_wins);
        }
        if open {
            let later = self.assemblies.iter_mut().filter(|assembly| assembly.policy.last_wins);
            later.for_each(|assembly| assembly.overwrite(incoming, acked));
        }
    }

    /// Hosts part ways: each assembly has a twin from now on, unless there are such already.
    fn part(&mut self, other: impl Fn(Policy) -> Policy, is_other: impl Fn(&Policy) -> bool) {
        if self.assemblies.iter().any(|assembly| is_other(&assembly.policy)) {
            return;
        }
        let twins: Vec<Assembly> =
            self.assemblies.iter().map(|assembly| assembly.with_policy(other(assembly.policy))).collect();
        self.assemblies.extend(twins);
    }
}

fn note(frames: &mut Vec<u64>, frame: u64) {
    if frames.len() < FRAMES {
        frames.push(frame);
    }
}
