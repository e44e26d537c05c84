//! A flow: two streams that answer one another.

use core::net::Ipv4Addr;

use rules::Instant;
use wire::tcp::Flags;

use crate::assembly::Surroundings;
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
    #[inline]
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

/// A flow: four cache lines, and more only if something about it is unusual.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// What the lower end sends, and what the other one sends.
    pub(crate) streams: [Stream; 2],
    pub(crate) frames: (u64, u64),
    pub(crate) began: Instant,
    pub(crate) last_seen: Instant,
    detector: Detector,
    rare: Option<Box<Rare>>,
    pub(crate) key: Key,
    /// Octets held when last looked at.
    pub(crate) held: u32,
    /// Who opened it, or was seen first: the number of a stream.
    pub(crate) client: u8,
    pub(crate) reset: bool,
}

/// What few flows have.
#[derive(Clone, Debug, Default)]
struct Rare {
    wars: Vec<War>,
    /// A SYN of another connection on the same ends; whether it counts, its answer tells.
    other_syn: Option<Segment<'static>>,
}

/// Which connection a segment belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Belongs {
    /// To this one.
    Here,
    /// It begins another on the same ends.
    ToNext,
    /// It answers this SYN, which has begun another.
    ToNextSince(Segment<'static>),
}

impl Flow {
    pub(crate) fn new(key: Key, segment: &Segment<'_>) -> Self {
        let side = key.side(segment);
        // The answer to a SYN that was not seen comes from the server.
        let answers = segment.has(Flags::SYN | Flags::ACK);
        Self {
            key,
            streams: [Stream::new(), Stream::new()],
            client: if answers { 1 - side } else { side } as u8,
            frames: (segment.frame, segment.frame),
            began: segment.at,
            last_seen: segment.at,
            reset: false,
            detector: Detector::default(),
            rare: None,
            held: 0,
        }
    }

    /// Ports are used again. A SYN opens another connection if this one is over, or was never answered and the SYN is
    /// not the same again. On a connection that is open a host answers it with a challenge (RFC 5961 4), unless it has
    /// lost that connection: then it answers with a SYN of its own, and that is how one knows.
    #[inline]
    pub(crate) fn belongs(&mut self, segment: &Segment<'_>) -> Belongs {
        if !segment.has(Flags::SYN) || self.key.is_to_itself() {
            return Belongs::Here;
        }
        let side = self.key.side(segment);
        let (own, other) = (&self.streams[side & 1], &self.streams[1 - (side & 1)]);
        if own.began_with(segment) && !self.is_closed() {
            return Belongs::Here;
        }
        if segment.is_first_syn() {
            if self.is_closed() || own.has_begun() && !other.has_begun() {
                return Belongs::ToNext;
            }
            if own.has_begun() {
                self.rare.get_or_insert_default().other_syn = Some(segment.without_text());
            }
            return Belongs::Here;
        }
        let syn = self.rare.as_ref().and_then(|rare| rare.other_syn);
        match syn.filter(|syn| syn.from == segment.to && syn.seq.plus(1) == segment.ack) {
            Some(syn) => Belongs::ToNextSince(syn),
            None => Belongs::Here,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.reset || self.streams.iter().all(Stream::is_closed)
    }

    #[inline]
    pub(crate) fn see(&mut self, segment: &Segment<'_>, around: &mut Surroundings<'_, '_>) {
        self.frames.1 = segment.frame;
        self.last_seen = self.last_seen.max(segment.at);
        let side = self.key.side(segment);
        let to_itself = self.key.is_to_itself();
        let [lower, upper] = &mut self.streams;
        let (own, other) = if side == 0 { (lower, upper) } else { (upper, lower) };
        let standing = || Standing {
            acked: own.acked_seq(),
            edge: own.edge_seq(),
            end: own.end_seq(),
            ack: other.acked_seq(),
        };
        let war = self.detector.see(side, segment, standing, to_itself);
        own.sent(segment, around);
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
        if let Some(war) = war {
            self.note(war);
        }
    }

    /// The flow is not looked at any longer.
    pub(crate) fn end(&mut self, around: &mut Surroundings<'_, '_>) {
        if let Some(war) = self.detector.over(self.key.is_to_itself(), true) {
            self.note(war);
        }
        self.streams.iter_mut().for_each(|stream| stream.end(around));
    }

    fn note(&mut self, war: War) {
        let wars = &mut self.rare.get_or_insert_default().wars;
        if wars.len() < WARS {
            wars.push(war);
        }
    }

    pub(crate) fn wars(&self) -> &[War] {
        self.rare.as_ref().map_or(&[], |rare| &rare.wars)
    }

    /// There may be more to tell of it than that it was there.
    pub(crate) fn is_unusual(&self) -> bool {
        self.rare.is_some() || self.streams.iter().any(|stream| stream.trouble.is_some())
    }

    /// Octets of memory beyond its own.
    #[inline]
    pub(crate) fn holds(&self) -> usize {
        let rare =
            self.rare.as_ref().map_or(0, |rare| size_of::<Rare>() + rare.wars.len() * size_of::<War>());
        rare + self.streams.iter().map(Stream::held).sum::<usize>()
    }

    /// Gives up everything that may grow.
    pub(crate) fn forget(&mut self) {
        for trouble in self.streams.iter_mut().filter_map(|stream| stream.trouble.as_mut()) {
            trouble.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: L4
    #[test]
    fn a_flow_is_four_cache_lines() {
        assert!(size_of::<Option<Flow>>() <= 256, "{}", size_of::<Option<Flow>>());
    }
}
