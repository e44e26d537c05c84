//! One direction of a flow: where its text stands, what its receiver acknowledged, and its assemblies.

use rules::paws::{self, PawsVerdict, TsRecent};
use wire::SeqNumber;
use wire::tcp::Flags;

use crate::Limits;
use crate::assembly::{Assembly, Incoming, Policy};
use crate::segment::Segment;

/// Frames that are named in a report at most.
const FRAMES: usize = 16;

/// One direction.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// The sequence number of offset 0.
    origin: Option<SeqNumber>,
    /// Its SYN was not seen: offset 0 is the first octet seen.
    pub(crate) mid_stream: bool,
    /// One, and more from the moment on at which hosts part ways.
    pub(crate) assemblies: Vec<Assembly>,
    /// What the receiver has acknowledged, as an offset.
    acked: Option<u64>,
    /// The right edge of the receiver's window, as an offset.
    right_edge: Option<u64>,
    /// Of the windows that this side advertises.
    window_scale: Option<u8>,
    /// Behind the last octet that was sent, as an offset.
    sent_end: u64,
    ts_recent: Option<TsRecent>,
    /// Offset of the FIN.
    pub(crate) fin: Option<u64>,
    pub(crate) segments: u64,
    /// Segments with URG, and the frames of the first of them.
    pub(crate) urgent_segments: u64,
    pub(crate) urgent_frames: Vec<u64>,
    /// Segments that the receiver's window refuses.
    pub(crate) outside_window: u64,
    /// Copies of an octet that differ, and the frames of the first of them.
    pub(crate) contradictions: u64,
    pub(crate) contradiction_frames: Vec<u64>,
    /// Segments with an old timestamp that would have brought text.
    pub(crate) old_timestamps: u64,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            origin: None,
            mid_stream: false,
            assemblies: vec![Assembly::new(Policy { last_wins: false, paws: true })],
            acked: None,
            right_edge: None,
            window_scale: None,
            sent_end: 0,
            ts_recent: None,
            fin: None,
            segments: 0,
            urgent_segments: 0,
            urgent_frames: Vec::new(),
            outside_window: 0,
            contradictions: 0,
            contradiction_frames: Vec::new(),
            old_timestamps: 0,
        }
    }

    /// RCV.NXT of its receiver, as an offset; of the host that does as most do.
    pub(crate) fn next(&self) -> u64 {
        self.assemblies.first().map_or(0, |assembly| assembly.next)
    }

    /// Octets that its receiver acknowledged, the FIN left out.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        self.acked.map(|acked| acked.min(self.fin.unwrap_or(u64::MAX)))
    }

    /// The sequence number that its receiver acknowledged.
    pub(crate) fn acked_seq(&self) -> Option<SeqNumber> {
        Some(self.origin?.plus(self.acked? as u32))
    }

    /// The right edge of its receiver's window.
    pub(crate) fn edge_seq(&self) -> Option<SeqNumber> {
        Some(self.origin?.plus(self.right_edge? as u32))
    }

    /// Behind the last octet that was sent.
    pub(crate) fn end_seq(&self) -> Option<SeqNumber> {
        Some(self.origin?.plus(self.sent_end as u32))
    }

    /// Whether the stream is over and the receiver has said so.
    pub(crate) fn is_closed(&self) -> bool {
        self.fin.is_some_and(|fin| self.acked.is_some_and(|acked| acked > fin))
    }

    /// A segment of this direction.
    pub(crate) fn sent(&mut self, segment: &Segment<'_>, limits: &Limits) {
        self.segments += 1;
        let syn = segment.has(Flags::SYN);
        let text_seq = segment.seq.plus(u32::from(syn));
        if self.origin.is_none() {
            self.origin = Some(text_seq);
            self.mid_stream = !syn;
        }
        if syn {
            self.window_scale = segment.window_scale;
        }
        let Some(offset) = self.offset(text_seq) else { return };
        let end = offset + segment.text.len() as i64;
        self.sent_end = self.sent_end.max(end.max(0) as u64);
        self.take(segment, offset, limits);
    }

    fn take(&mut self, segment: &Segment<'_>, offset: i64, limits: &Limits) {
        let incoming = Incoming {
            offset,
            octets: segment.text,
            urgent: segment.has(Flags::URG).then_some(segment.urgent),
            finished: self.fin.is_some_and(|fin| self.next() >= fin),
        };
        if incoming.urgent.is_some() {
            self.urgent_segments += 1;
            note(&mut self.urgent_frames, segment.frame);
        }
        if incoming.octets.is_empty() && incoming.urgent.is_none() && !segment.has(Flags::FIN) {
            return;
        }
        if !self.is_acceptable(&incoming) {
            self.outside_window += 1;
            return;
        }
        let old = self.is_old(segment);
        if old && incoming.end() > self.next() as i64 {
            self.old_timestamps += 1;
            self.part(|policy| Policy { paws: false, ..policy }, |policy| !policy.paws);
        }
        if self.assemblies.iter().any(|assembly| assembly.contradicts_waiting(&incoming)) {
            self.part(|policy| Policy { last_wins: true, ..policy }, |policy| policy.last_wins);
            self.contradiction(segment.frame);
        } else if self.assemblies.iter().any(|assembly| assembly.contradicts_delivered(&incoming)) {
            self.contradiction(segment.frame);
        }
        let fin =
            u64::try_from(incoming.end()).ok().filter(|&fin| segment.has(Flags::FIN) && fin >= self.next());
        if let Some(fin) = fin.filter(|&fin| self.fin.is_none_or(|known| fin < known)) {
            self.fin = Some(fin);
            self.assemblies.iter_mut().for_each(|assembly| assembly.end_at(fin));
        }
        for assembly in &mut self.assemblies {
            if !(old && assembly.policy.paws) {
                assembly.take(incoming, limits);
            }
        }
        self.refresh_ts_recent(segment, offset);
    }

    fn contradiction(&mut self, frame: u64) {
        self.contradictions += 1;
        note(&mut self.contradiction_frames, frame);
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

    /// Whether the receiver looks at the segment at all: it does not lie wholly left of what was
    /// acknowledged, nor wholly right of the window (RFC 9293 3.10.7.4; what is not known forbids nothing).
    fn is_acceptable(&self, incoming: &Incoming<'_>) -> bool {
        let left = self.acked.unwrap_or_else(|| self.next());
        let beyond = self.right_edge.is_some_and(|edge| incoming.offset > edge as i64);
        incoming.end() >= left.min(self.next()) as i64 && !beyond
    }

    fn is_old(&self, segment: &Segment<'_>) -> bool {
        segment.tsval.is_some_and(|tsval| {
            paws::paws(tsval, self.ts_recent, segment.flags, segment.at) == PawsVerdict::Old
        })
    }

    fn refresh_ts_recent(&mut self, segment: &Segment<'_>, offset: i64) {
        let Some(tsval) = segment.tsval else { return };
        let fits = offset <= self.acked.unwrap_or_else(|| self.next()) as i64;
        let newer = self.ts_recent.is_none_or(|recent| !SeqNumber(tsval).before(SeqNumber(recent.value)));
        if fits && newer {
            self.ts_recent = Some(TsRecent { value: tsval, seen: segment.at });
        }
    }

    /// A segment of the other direction, whose sender scales its window by `scale` if that is known.
    pub(crate) fn answered(&mut self, answer: &Segment<'_>, scales_known: bool, scale: u8) {
        if !answer.has(Flags::ACK) {
            return;
        }
        let Some(acked) = self.offset(answer.ack).and_then(|offset| u64::try_from(offset).ok()) else {
            return;
        };
        self.acked = Some(self.acked.map_or(acked, |before| before.max(acked)));
        if scales_known {
            let scale = if answer.has(Flags::SYN) { 0 } else { scale };
            let edge = acked + (u64::from(answer.window) << scale);
            self.right_edge = Some(self.right_edge.map_or(edge, |before| before.max(edge)));
        }
    }

    pub(crate) fn window_scale(&self) -> Option<u8> {
        self.window_scale
    }

    pub(crate) fn began_with_syn(&self) -> bool {
        self.origin.is_some() && !self.mid_stream
    }

    /// The offset of a sequence number, the nearest to where the stream stands.
    fn offset(&self, seq: SeqNumber) -> Option<i64> {
        let next = self.next();
        let ahead = seq.distance_from(self.origin?.plus(next as u32)) as i32;
        Some(next as i64 + i64::from(ahead))
    }

    /// Octets held for it.
    pub(crate) fn held(&self) -> usize {
        self.assemblies.iter().map(Assembly::held).sum()
    }
}

fn note(frames: &mut Vec<u64>, frame: u64) {
    if frames.len() < FRAMES {
        frames.push(frame);
    }
}
