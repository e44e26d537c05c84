//! IPv4 fragments of TCP segments, put together before anything else looks at them.
//!
//! Without that, whoever splits packets would pass unseen. Overlapping fragments that are not copies of one another end
//! their datagram, as on hosts of today (RFC 5722 says so for IPv6, Linux does it for both): that is told.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rules::Instant;
use wire::fragment::DatagramKey;
use wire::ipv4::Ipv4;

/// A datagram of which nothing more comes is given up after so long, as Linux does.
const LIFETIME: Duration = Duration::from_secs(30);
/// What a fragment takes beside its octets, about.
const ENTRY: usize = 64;
/// Fragments of one datagram at most: that many of the least size are a full one of 1 KiB.
const MOST: usize = 128;

/// Datagrams that are not whole yet.
#[derive(Debug)]
pub(crate) struct Fragments {
    waiting: BTreeMap<DatagramKey, Datagram>,
    /// In the order in which they began.
    order: VecDeque<(DatagramKey, u64)>,
    began: u64,
    octets: usize,
    most: usize,
}

#[derive(Debug)]
struct Datagram {
    /// Tells it from a later one with the same key.
    number: u64,
    at: Instant,
    /// The first fragment's header.
    header: Vec<u8>,
    pieces: Vec<(usize, Vec<u8>)>,
    /// Octets in all; known with the last fragment.
    len: Option<usize>,
    /// Fragments contradicted one another.
    is_refused: bool,
}

/// What became of a fragment.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It waits for others, or is of a datagram that was refused already.
    Waits,
    /// With it the datagram is whole: this packet.
    Whole(Vec<u8>),
    /// It overlaps another one, or there are too many: the datagram is refused.
    Refused,
    /// It is not a proper fragment.
    Malformed,
}

impl Fragments {
    pub(crate) fn new(most: usize) -> Self {
        Self { waiting: BTreeMap::new(), order: VecDeque::new(), began: 0, octets: 0, most }
    }

    /// Takes a fragment of a TCP segment in; `given_up` counts datagrams that are not waited for any longer.
    pub(crate) fn take(&mut self, octets: &[u8], at: Instant, given_up: &mut u64) -> Outcome {
        let Ok(packet) = Ipv4::new(octets) else { return Outcome::Malformed };
        let header = octets.get(..packet.header_len()).unwrap_or_default();
        let (field, payload) = (packet.fragment(), packet.payload());
        let (from, more) = (usize::from(field.offset()), field.more_fragments());
        let end = from + payload.len();
        let misaligned = more && !payload.len().is_multiple_of(8);
        let proper = packet.checksum_is_valid() && !payload.is_empty() && !misaligned;
        if !proper || packet.header_len() + end > 65_535 {
            return Outcome::Malformed;
        }
        self.give_up_old(at, payload.len() + ENTRY, given_up);
        let key = packet.datagram_key();
        let began = &mut self.began;
        let order = &mut self.order;
        let datagram = self.waiting.entry(key).or_insert_with(|| {
            *began += 1;
            order.push_back((key, *began));
            Datagram {
                number: *began,
                at,
                header: Vec::new(),
                pieces: Vec::new(),
                len: None,
                is_refused: false,
            }
        });
        if datagram.is_refused {
            return Outcome::Waits;
        }
        let beyond = datagram.len.is_some_and(|len| end > len || !more && end != len);
        let overlapping = datagram.pieces.iter().find(|(at, piece)| *at < end && at + piece.len() > from);
        match overlapping {
            Some((at, piece)) if *at == from && piece == payload && !beyond => return Outcome::Waits,
            None if !beyond && datagram.pieces.len() < MOST => {}
            _ => {
                self.octets -= datagram.held();
                datagram.pieces = Vec::new();
                datagram.is_refused = true;
                return Outcome::Refused;
            }
        }
        if from == 0 {
            datagram.header = header.to_vec();
        }
        if !more {
            datagram.len = Some(end);
        }
        datagram.pieces.push((from, payload.to_vec()));
        self.octets += payload.len() + ENTRY;
        match datagram.whole() {
            Some(whole) => {
                self.octets -= datagram.held();
                self.waiting.remove(&key);
                Outcome::Whole(whole)
            }
            None => Outcome::Waits,
        }
    }

    /// Makes room, and ends what has waited too long.
    fn give_up_old(&mut self, now: Instant, wanted: usize, given_up: &mut u64) {
        while let Some(&(key, number)) = self.order.front() {
            match self.waiting.get(&key).filter(|datagram| datagram.number == number) {
                Some(oldest)
                    if now.since(oldest.at) <= LIFETIME
                        && self.octets + wanted <= self.most
                        && self.order.len() <= self.most / ENTRY =>
                {
                    return;
                }
                Some(oldest) => {
                    *given_up += u64::from(!oldest.is_refused);
                    self.octets -= oldest.held();
                    self.waiting.remove(&key);
                }
                None => {}
            }
            self.order.pop_front();
        }
    }
}

impl Datagram {
    fn held(&self) -> usize {
        self.pieces.iter().map(|(_, piece)| piece.len() + ENTRY).sum()
    }

    /// The packet, if all of it is there.
    fn whole(&self) -> Option<Vec<u8>> {
        let (len, header_len) = (self.len?, self.header.len());
        // They do not overlap, so their lengths tell.
        let there: usize = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
        if header_len == 0 || there != len {
            return None;
        }
        let mut packet = self.header.clone();
        packet.resize(header_len + len, 0);
        for (at, piece) in &self.pieces {
            packet.get_mut(header_len + at..header_len + at + piece.len())?.copy_from_slice(piece);
        }
        let total_len = u16::try_from(packet.len()).ok()?.to_be_bytes();
        packet[2..4].copy_from_slice(&total_len);
        packet[6..8].fill(0);
        Ipv4::new(packet.as_mut_slice()).ok()?.fill_checksum();
        Some(packet)
    }
}
