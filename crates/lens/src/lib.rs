//! The observer: what did each receiving host's application read?
//!
//! A sensor that gives one answer is wrong in principle: what an application reads of a stream with urgent data
//! depends on its host, on a socket option, and on Linux even on *when* it reads (RFC 6093 3 and appendix A). The
//! lens gives all answers, grouped ([`StreamReport::groups`]). It finds wars, too ([`war`]).
//!
//! [`Lens::see`] takes IPv4 packets in the order of the capture; [`Lens::poll_report`] gives flows that are over;
//! [`Lens::finish`] ends the rest. No clock but the capture's. Everything is bounded by [`Limits`], and what was
//! given up is told.
//!
//! ```
//! use hairpin_lens::{Lens, Limits};
//! use rules::Instant;
//! use wire::craft::{Header, Segment, tcp};
//! use wire::SeqNumber;
//! use wire::tcp::Flags;
//!
//! let mut lens = Lens::new(Limits::default());
//! let header = Header::new("192.0.2.1".parse()?, "192.0.2.2".parse()?);
//! let mut packet = [0; 128];
//! let mut send = |seq, flags, urgent, text: &[u8]| {
//!     let segment = Segment { seq: SeqNumber(seq), urgent, ..Segment::new(4_000, 80, flags) };
//!     let len = tcp(&mut packet, &header, &segment, text).expect("it fits");
//!     lens.see(1, Instant::ZERO, &packet[..len]);
//! };
//! send(99, Flags::SYN, 0, b"");
//! send(100, Flags::ACK | Flags::URG, 7, b"maliciX");
//! send(107, Flags::ACK, 0, b"ous");
//! lens.finish();
//! let report = lens.poll_report().expect("one flow");
//! let readings: Vec<_> = report.streams[0].groups.iter().map(|group| group.reading.as_slice()).collect();
//! assert!(readings.contains(&b"malicious".as_slice()) && readings.contains(&b"maliciXous".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assembly;
mod flow;
mod fold;
mod report;
mod segment;
mod stream;
mod text;
mod views;
pub mod war;

use core::time::Duration;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use rules::Instant;
use wire::Trust;

use flow::{Flow, Key};
pub use fold::Reader;
pub use report::{FlowReport, Group, StreamReport, Timing, escaped};
use segment::Segment;
pub use segment::Skipped;
pub use views::{View, ViewName, views};
pub use war::War;

/// What the lens may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Flows at one time; one more ends the one that was quiet longest of a few. Default: 1,048,576.
    pub flows: u32,
    /// Octets of text and waiting segments of all flows. Default: 256 MiB. Beyond it, text without marks is not held.
    pub octets: u64,
    /// Octets of a stream's beginning that are held before anything is urgent. Default: 16 KiB.
    pub head_octets: u32,
    /// Octets before the first mark that are held where it comes later. Default: 1 KiB.
    pub context_octets: u32,
    /// Octets of a stream with marks that are held. Default: 64 KiB.
    pub text_octets: u32,
    /// Octets of a stream that wait for others before them. Default: 1 MiB.
    pub ahead_octets: u32,
    /// Pieces of a stream that wait. Default: 256.
    pub ahead_pieces: u32,
    /// Urgent octets of a stream whose places are kept, for each kind of reader. Default: 65,536.
    pub out_of_band: u32,
    /// A flow that is over is told after so long; one that is quiet so many times as long is told, too.
    /// Default: 60 s.
    pub linger: Duration,
    /// Packets with a wrong TCP checksum are skipped: a capture made on the sending host itself has many that
    /// its network card completes. Default: false.
    pub verify_checksums: bool,
}

/// A quiet flow is told after so many times [`Limits::linger`].
const QUIET: u32 = 120;
/// Flows that are looked at for the one that was quiet longest.
const SAMPLE: usize = 32;
/// After so many packets one flow is asked whether it is over.
const SWEEP: u64 = 4;

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 1 << 20,
            octets: 256 << 20,
            head_octets: 16 << 10,
            context_octets: 1 << 10,
            text_octets: 64 << 10,
            ahead_octets: 1 << 20,
            ahead_pieces: 256,
            out_of_band: 1 << 16,
            linger: Duration::from_secs(60),
            verify_checksums: false,
        }
    }
}

/// What was seen, all flows together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Totals {
    /// Packets given to [`Lens::see`].
    pub packets: u64,
    /// TCP segments among them.
    pub segments: u64,
    /// Malformed packets.
    pub malformed: u64,
    /// Fragments: they are not put together.
    pub fragments: u64,
    /// Packets of other protocols.
    pub not_tcp: u64,
    /// Flows told.
    pub flows: u64,
    /// Flows that were ended early to make room.
    pub evicted: u64,
    /// Segments whose text was not held because [`Limits::octets`] was reached.
    pub text_given_up: u64,
}

/// The observer.
#[derive(Debug)]
pub struct Lens {
    limits: Limits,
    views: Vec<View>,
    index: HashTable<u32>,
    hasher: RandomState,
    flows: Vec<Option<Box<Flow>>>,
    free: Vec<u32>,
    /// Where the next look for flows that are over begins.
    cursor: usize,
    held: u64,
    reports: VecDeque<FlowReport>,
    totals: Totals,
}

impl Lens {
    /// A lens with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            views: views(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            flows: Vec::new(),
            free: Vec::new(),
            cursor: 0,
            held: 0,
            reports: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    /// An IPv4 packet of the capture: frame number from 1, the capture's time, octets (which may go on behind it).
    pub fn see(&mut self, frame: u64, at: Instant, packet: &[u8]) {
        self.totals.packets += 1;
        let trust = if self.limits.verify_checksums { Trust::Verify } else { Trust::Skip };
        match Segment::parse(frame, at, packet, trust) {
            Ok(segment) => self.segment(&segment),
            Err(Skipped::Malformed(_)) => self.totals.malformed += 1,
            Err(Skipped::Fragment) => self.totals.fragments += 1,
            Err(Skipped::NotTcp) => self.totals.not_tcp += 1,
        }
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        self.totals.segments += 1;
        let key = Key::of(segment);
        let hash = self.hasher.hash_one(key);
        let mut index = self.find(hash, key);
        if let Some(known) = index
            && self.flows[known as usize].as_ref().is_some_and(|flow| flow.is_over_for(segment))
        {
            self.tell(known);
            index = None;
        }
        let index = index.unwrap_or_else(|| self.open(hash, key, segment));
        if let Some(flow) = &mut self.flows[index as usize] {
            flow.see(segment, &self.limits);
            self.account(index);
        }
        if self.totals.segments.is_multiple_of(SWEEP) {
            self.sweep(segment.at);
        }
    }

    fn find(&self, hash: u64, key: Key) -> Option<u32> {
        let is_it = |&index: &u32| self.flows[index as usize].as_ref().is_some_and(|flow| flow.key == key);
        self.index.find(hash, is_it).copied()
    }

    fn open(&mut self, hash: u64, key: Key, segment: &Segment<'_>) -> u32 {
        if self.flows.len() - self.free.len() >= self.limits.flows.max(1) as usize {
            self.evict();
        }
        let flow = Some(Box::new(Flow::new(key, segment)));
        let index = match self.free.pop() {
            Some(index) => {
                self.flows[index as usize] = flow;
                index
            }
            None => {
                self.flows.push(flow);
                (self.flows.len() - 1) as u32
            }
        };
        let (flows, hasher) = (&self.flows, &self.hasher);
        let rehash =
            |&index: &u32| flows[index as usize].as_ref().map_or(0, |flow| hasher.hash_one(flow.key));
        self.index.insert_unique(hash, index, rehash);
        index
    }

    /// Keeps account of what flow `index` holds, and gives up text if it is too much in all.
    fn account(&mut self, index: u32) {
        let Some(flow) = &mut self.flows[index as usize] else { return };
        let mut held: usize = flow.streams.iter().map(stream::Stream::held).sum();
        if self.held + (held as u64) > self.limits.octets + flow.held as u64 {
            for stream in &mut flow.streams {
                stream.assemblies.iter_mut().for_each(assembly::Assembly::forget_text);
            }
            held = flow.streams.iter().map(stream::Stream::held).sum();
            self.totals.text_given_up += 1;
        }
        self.held = self.held + held as u64 - flow.held as u64;
        flow.held = held;
    }

    /// Of a few flows, ends the one that was quiet longest.
    fn evict(&mut self) {
        let count = self.flows.len();
        let sample = (0..count.min(4 * SAMPLE)).map(|n| (self.cursor + n) % count);
        let known = sample.filter_map(|at| Some((self.flows[at].as_ref()?.last_seen, at)));
        let oldest = known.take(SAMPLE).min();
        self.cursor = (self.cursor + SAMPLE) % count.max(1);
        if let Some((_, at)) = oldest {
            self.totals.evicted += 1;
            self.tell(at as u32);
        }
    }

    /// Looks at one flow: is it over?
    fn sweep(&mut self, now: Instant) {
        if self.flows.is_empty() {
            return;
        }
        self.cursor = (self.cursor + 1) % self.flows.len();
        let Some(flow) = &self.flows[self.cursor] else { return };
        let quiet = now.since(flow.last_seen);
        if quiet > self.limits.linger * QUIET || flow.is_closed() && quiet > self.limits.linger {
            self.tell(self.cursor as u32);
        }
    }

    /// Flow `index` is over.
    fn tell(&mut self, index: u32) {
        let Some(mut flow) = self.flows[index as usize].take() else { return };
        let hash = self.hasher.hash_one(flow.key);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == index) {
            entry.remove();
        }
        self.free.push(index);
        self.held -= flow.held as u64;
        flow.end();
        self.totals.flows += 1;
        self.reports.push_back(FlowReport::of(&flow, &self.views));
    }

    /// The capture is over: all flows are.
    pub fn finish(&mut self) {
        let mut left: Vec<(u64, u32)> = Vec::new();
        for (index, flow) in (0..).zip(&self.flows) {
            if let Some(flow) = flow {
                left.push((flow.frames.0, index));
            }
        }
        left.sort_unstable();
        for (_, index) in left {
            self.tell(index);
        }
    }

    /// The next flow that is over.
    pub fn poll_report(&mut self) -> Option<FlowReport> {
        self.reports.pop_front()
    }

    /// What was seen until now.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}
