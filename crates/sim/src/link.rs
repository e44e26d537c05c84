//! A link: what happens to a packet between two nodes.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rules::Instant;

/// One direction of the way between two nodes. The default is perfect and takes 10 ms.
#[derive(Clone, Debug)]
pub struct Link {
    /// Propagation delay.
    pub delay: Duration,
    /// Up to so much is added to the delay of each packet: more than the gap between two packets re-orders them.
    pub jitter: Duration,
    /// Bits a second; `None`: no limit, and no queue.
    pub rate: Option<u64>,
    /// Packets that wait for their turn; beyond it they are dropped.
    pub queue: usize,
    /// Largest packet, in octets; a larger one is lost.
    pub mtu: usize,
    /// Packets lost, in a million.
    pub loss: u32,
    /// Packets that arrive twice, in a million.
    pub duplicate: u32,
    /// Packets of which one bit is turned over, in a million.
    pub corrupt: u32,
    /// These are lost, whatever else: the n-th packets sent over the link, counted from 0.
    pub lose: Vec<u64>,
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The link's loss, or the test's will.
    Loss,
    /// The queue was full.
    Queue,
    /// It was larger than the link's MTU.
    Mtu,
    /// No node has the address it was sent to.
    NoRoute,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            rate: None,
            queue: 100,
            mtu: 65_535,
            loss: 0,
            duplicate: 0,
            corrupt: 0,
            lose: Vec::new(),
        }
    }
}

/// A link and what is on it.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) link: Link,
    sent: u64,
    /// When the packets that wait for the wire, or are on it, will have left it.
    departures: std::collections::VecDeque<Instant>,
}

/// What a link does with a packet.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// When it arrives; two for a duplicate, none if it is lost.
    pub(crate) arrivals: Vec<Instant>,
    pub(crate) lost: Option<Why>,
    /// The bit that is turned over, counted from the packet's start.
    pub(crate) flipped: Option<usize>,
}

impl Wire {
    pub(crate) fn new(link: Link) -> Self {
        Self { link, sent: 0, departures: std::collections::VecDeque::new() }
    }

    /// A packet of `octets` enters now.
    pub(crate) fn carry(&mut self, octets: usize, now: Instant, rng: &mut ChaCha8Rng) -> Verdict {
        let number = self.sent;
        self.sent += 1;
        if octets > self.link.mtu {
            return Verdict { lost: Some(Why::Mtu), ..Verdict::default() };
        }
        let Some(departure) = self.departure(octets, now) else {
            return Verdict { lost: Some(Why::Queue), ..Verdict::default() };
        };
        // Each fault draws its number whether it happens or not: changing one setting leaves the others alone.
        let (lost, twice) = (chance(self.link.loss, rng), chance(self.link.duplicate, rng));
        let (corrupted, bit) = (chance(self.link.corrupt, rng), below(octets as u64 * 8, rng));
        let arrival = departure + self.link.delay;
        let arrivals = [arrival + self.jitter(rng), arrival + self.jitter(rng)];
        if lost || self.link.lose.contains(&number) {
            return Verdict { lost: Some(Why::Loss), ..Verdict::default() };
        }
        let count = if twice { 2 } else { 1 };
        Verdict {
            arrivals: arrivals[..count].to_vec(),
            lost: None,
            flipped: corrupted.then_some(bit as usize),
        }
    }

    /// When the packet has left the sender; `None` if the queue is full.
    fn departure(&mut self, octets: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = self.link.rate else { return Some(now) };
        while self.departures.front().is_some_and(|&at| at <= now) {
            self.departures.pop_front();
        }
        if self.departures.len() > self.link.queue {
            return None;
        }
        let nanos = (octets as u64 * 8).saturating_mul(1_000_000_000) / rate.max(1);
        let begin = self.departures.back().copied().unwrap_or(now);
        let departure = begin + Duration::from_nanos(nanos);
        self.departures.push_back(departure);
        Some(departure)
    }

    fn jitter(&self, rng: &mut ChaCha8Rng) -> Duration {
        Duration::from_nanos(below(self.link.jitter.as_nanos() as u64 + 1, rng))
    }
}

/// True `in_a_million` times of a million.
fn chance(in_a_million: u32, rng: &mut ChaCha8Rng) -> bool {
    below(1_000_000, rng) < u64::from(in_a_million)
}

/// A number below `bound`, or 0. The bias of 64 bits against bounds of this size does not matter here.
fn below(bound: u64, rng: &mut ChaCha8Rng) -> u64 {
    rng.next_u64() % bound.max(1)
}
