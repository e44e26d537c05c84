//! A flow: two streams that answer one another.

use core::net::Ipv4Addr;

use rules::Instant;
use wire::tcp::Flags;

use crate::Limits;
use crate::segment::Segment;
use crate::stream::Stream;
use crate::war::{Detector, Standing, War};

/// An address and a port.
pub(crate) type End = (Ipv4Addr, u16);

/// Wars that are told of one flow at most.
const WARS: usize = 16;

/// Both ends, the lower one first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key(pub(crate) End, pub(crate) End);

impl Key {
    pub(crate) fn of(segment: &Segment<'_>) -> Self {
        let (from, to) = (segment.from, segment.to);
        if from <= to { Self(from, to) } else { Self(to, from) }
    }

    /// The number of the stream that `segment` belongs to.
    pub(crate) fn side(&self, segment: &Segment<'_>) -> usize {
        usize::from(segment.from != self.0)
    }

    pub(crate) fn is_to_itself(&self) -> bool {
        self.0 == self.1
    }
}

/// A flow.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) key: Key,
    /// What the lower end sends, and what the other one sends.
    pub(crate) streams: [Stream; 2],
    /// Who opened it, or was seen first.
    pub(crate) client: usize,
    pub(crate) frames: (u64, u64),
    pub(crate) began: Instant,
    pub(crate) last_seen: Instant,
    pub(crate) reset: bool,
    detector: Detector,
    pub(crate) wars: Vec<War>,
    /// Octets held when last looked at.
    pub(crate) held: usize,
}

impl Flow {
    pub(crate) fn new(key: Key, segment: &Segment<'_>) -> Self {
        let side = key.side(segment);
        // The answer to a SYN that was not seen comes from the server.
        let answers = segment.has(Flags::SYN | Flags::ACK);
        Self {
            key,
            streams: [Stream::new(), Stream::new()],
            client: if answers { 1 - side } else { side },
            frames: (segment.frame, segment.frame),
            began: segment.at,
            last_seen: segment.at,
            reset: false,
            detector: Detector::default(),
            wars: Vec::new(),
            held: 0,
        }
    }

    /// Whether `segment` begins another connection on the same ends.
    pub(crate) fn is_over_for(&self, segment: &Segment<'_>) -> bool {
        let opens = segment.has(Flags::SYN) && !segment.has(Flags::ACK);
        opens && !self.key.is_to_itself() && self.is_closed()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.reset || self.streams.iter().all(Stream::is_closed)
    }

    pub(crate) fn see(&mut self, segment: &Segment<'_>, limits: &Limits) {
        self.frames.1 = segment.frame;
        self.last_seen = self.last_seen.max(segment.at);
        let side = self.key.side(segment);
        let to_itself = self.key.is_to_itself();
        let [lower, upper] = &mut self.streams;
        let (own, other) = if side == 0 { (lower, upper) } else { (upper, lower) };
        let standing = Standing {
            acked: own.acked_seq(),
            edge: own.edge_seq(),
            end: own.end_seq(),
            ack: other.acked_seq(),
        };
        own.sent(segment, limits);
        if to_itself {
            let scale = own.window_scale().unwrap_or(0);
            own.answered(segment, true, scale);
        } else {
            // Windows are scaled if both SYNs say so (RFC 7323 2.2).
            let known = own.began_with_syn() && other.began_with_syn();
            let scale = own.window_scale().filter(|_| other.window_scale().is_some()).unwrap_or(0);
            other.answered(segment, known, scale);
        }
        self.reset |= segment.has(Flags::RST);
        if let Some(war) = self.detector.see(side, segment, &standing, to_itself) {
            self.note(war);
        }
    }

    /// The flow is not looked at any longer.
    pub(crate) fn end(&mut self) {
        if let Some(war) = self.detector.over(self.key.is_to_itself(), true) {
            self.note(war);
        }
    }

    fn note(&mut self, war: War) {
        if self.wars.len() < WARS {
            self.wars.push(war);
        }
    }
}
