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
//! Of a stream on which all hosts agree no octet is held, and none is even looked at: readings are of what is held, so
//! [`Group::reading`] is empty there. From the first mark (or contradiction) on text is held, with the stream's
//! beginning if that is near and otherwise some [context](Limits::context_octets) before it. A capture that can be
//! read again ([`Archive`]) is best given with [`Lens::see_batch`]: then nothing at all is copied before that.
//!
//! ```
//! use hairpin_lens::{Lens, Limits};
//! use rules::Instant;
//! use wire::craft::{Header, Segment, tcp};
//! use wire::SeqNumber;
//! use wire::tcp::Flags;
//!
//! let mut lens = Lens::new(Limits::default(), [7, 9]);
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

mod archive;
mod assembly;
mod flow;
mod fold;
mod fragment;
mod limits;
mod marks;
mod report;
mod segment;
mod stream;
mod table;
mod text;
mod totals;
mod views;
pub mod war;

use std::collections::VecDeque;

use rules::Instant;
use wire::{Trust, tcp};

pub use archive::Archive;
use archive::{Pieces, Recent, Store};
use assembly::Surroundings;
use flow::{Belongs, Flow, Key};
pub use fold::Reader;
use fragment::{Fragments, Outcome};
pub use limits::Limits;
pub use report::{FlowReport, Group, StreamReport, Timing, escaped};
use segment::Segment;
pub use segment::Skipped;
use table::Table;
pub use totals::Totals;
pub use views::{View, ViewName, views};
pub use war::War;

/// Packets that are taken together, so that no wait for memory is waited for alone.
const BATCH: usize = 32;
/// A quiet flow is told after so many times [`Limits::linger`].
const QUIET: u32 = 120;
/// Flows that are looked at for the one that was quiet longest.
const SAMPLE: usize = 32;
/// After so many segments one flow is asked whether it is over.
const SWEEP: u64 = 4;

/// A packet of a capture that can be read again.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Number of its frame in the capture, from 1.
    pub frame: u64,
    /// The capture's time.
    pub at: Instant,
    /// The IPv4 packet; octets may go on behind it.
    pub packet: &'a [u8],
    /// Where the packet stands in the [`Archive`]; below 2^63.
    pub position: u64,
}

/// The observer.
#[derive(Debug)]
pub struct Lens {
    limits: Limits,
    views: Vec<View>,
    flows: Table,
    pieces: Pieces,
    recent: Recent,
    fragments: Fragments,
    /// Where the next look for flows that are over begins.
    cursor: usize,
    held: u64,
    reports: VecDeque<FlowReport>,
    /// Flows that ended with the capture and are not told yet, the last one first.
    ended: Vec<u32>,
    totals: Totals,
}

/// A capture that may be read again.
type Again<'a> = Option<&'a mut dyn Archive>;

impl Lens {
    /// A lens with these limits. `seed` keys the table of flows; it comes from the operating system, or, where
    /// everything must repeat, from the test.
    pub fn new(limits: Limits, seed: [u64; 2]) -> Self {
        Self {
            limits,
            views: views(),
            flows: Table::new(seed),
            pieces: Pieces::new(limits.pieces as usize),
            recent: Recent::new(limits.recent_octets as usize),
            fragments: Fragments::new(limits.fragment_octets as usize),
            cursor: 0,
            held: 0,
            reports: VecDeque::new(),
            ended: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// An IPv4 packet of the capture: frame number from 1, the capture's time, octets (which may go on behind it).
    ///
    /// Its text is kept for a while in a ring of [`Limits::recent_octets`].
    pub fn see(&mut self, frame: u64, at: Instant, packet: &[u8]) {
        self.totals.packets += 1;
        match Segment::parse(frame, at, packet, 0, self.trust()) {
            Ok(segment) => self.own(segment, None),
            Err(skipped) => self.skip(skipped, frame, at, packet, None),
        }
    }

    /// Packets of a capture that can be read again, in their order.
    pub fn see_batch(&mut self, packets: &[Seen<'_>], archive: &mut dyn Archive) {
        for packets in packets.chunks(BATCH) {
            self.totals.packets += packets.len() as u64;
            // Parse all, then look all up, then touch what was found: cache misses overlap.
            let trust = self.trust();
            let mut numbers = [None; BATCH];
            let mut parsed = [const { None }; BATCH];
            for (parsed, seen) in parsed.iter_mut().zip(packets) {
                *parsed = Some(Segment::parse(seen.frame, seen.at, seen.packet, seen.position, trust));
            }
            for (number, parsed) in numbers.iter_mut().zip(&parsed) {
                if let Some(Ok(segment)) = parsed {
                    *number = self.flows.find(Key::of(segment));
                }
            }
            self.touch(&numbers);
            for ((parsed, number), seen) in parsed.into_iter().zip(numbers).zip(packets) {
                match parsed {
                    Some(Ok(segment)) => self.segment(&segment, number, Some(&mut *archive)),
                    Some(Err(skipped)) => {
                        self.skip(skipped, seen.frame, seen.at, seen.packet, Some(&mut *archive));
                    }
                    None => {}
                }
            }
        }
    }

    /// Loads that do not depend on one another, so that the processor waits for all of them at once.
    fn touch(&self, numbers: &[Option<u32>]) {
        let sum = numbers.iter().flatten().fold(0, |sum: u64, &number| {
            sum ^ self.flows.get(number).map_or(0, |flow| {
                flow.frames.1 ^ flow.streams[0].next ^ flow.streams[1].next ^ u64::from(flow.held)
            })
        });
        core::hint::black_box(sum);
    }

    fn trust(&self) -> Trust {
        if self.limits.verify_checksums { Trust::Verify } else { Trust::Skip }
    }

    fn skip(&mut self, skipped: Skipped, frame: u64, at: Instant, packet: &[u8], archive: Again<'_>) {
        match skipped {
            Skipped::Malformed(_) => self.totals.malformed += 1,
            Skipped::NotTcp => self.totals.not_tcp += 1,
            Skipped::Fragment => self.fragment(frame, at, packet, archive),
        }
    }

    /// A part of a packet.
    fn fragment(&mut self, frame: u64, at: Instant, packet: &[u8], archive: Again<'_>) {
        self.totals.fragments += 1;
        if packet.get(9) != Some(&tcp::PROTOCOL) {
            self.totals.not_tcp += 1;
            return;
        }
        match self.fragments.take(packet, at, &mut self.totals.fragments_given_up) {
            Outcome::Waits => {}
            Outcome::Refused => self.totals.fragments_refused += 1,
            Outcome::Malformed => self.totals.malformed += 1,
            Outcome::Whole(packet) => match Segment::parse(frame, at, &packet, 0, self.trust()) {
                Ok(segment) => self.own(segment, archive),
                Err(_) => self.totals.malformed += 1,
            },
        }
    }

    /// A segment whose text cannot be read again but from the ring.
    fn own(&mut self, mut segment: Segment<'_>, archive: Again<'_>) {
        if segment.len > 0 && !segment.text.is_empty() {
            segment.position = self.recent.put(segment.text);
        }
        let number = self.flows.find(Key::of(&segment));
        self.segment(&segment, number, archive);
    }

    /// `number` is that of its flow, if it had one a moment ago.
    #[inline]
    fn segment(&mut self, segment: &Segment<'_>, number: Option<u32>, mut archive: Again<'_>) {
        self.totals.segments += 1;
        self.totals.cut += u64::from(segment.text.len() < segment.len as usize);
        let key = Key::of(segment);
        // Another packet of the batch may have begun or ended it.
        let is_it = |number: &u32| self.flows.get(*number).is_some_and(|flow| flow.key == key);
        let mut number = number.filter(is_it).or_else(|| self.flows.find(key));
        let mut before = None;
        if let Some(known) = number {
            match self.flows.get_mut(known).map_or(Belongs::Here, |flow| flow.belongs(segment)) {
                Belongs::Here => {}
                Belongs::ToNext => number = None,
                Belongs::ToNextSince(syn) => (number, before) = (None, Some(syn)),
            }
            if number.is_none() {
                self.tell(known, again(&mut archive));
            }
        }
        let number = match (number, before) {
            (Some(number), _) => number,
            (None, Some(syn)) => {
                let number = self.open(key, &syn, again(&mut archive));
                self.hand(number, &syn, again(&mut archive));
                number
            }
            (None, None) => self.open(key, segment, again(&mut archive)),
        };
        self.hand(number, segment, again(&mut archive));
        if self.totals.segments.is_multiple_of(SWEEP) {
            self.sweep(segment.at, archive);
        }
    }

    /// Hands a segment to its flow, and keeps account of what that holds.
    #[inline]
    fn hand(&mut self, number: u32, segment: &Segment<'_>, mut archive: Again<'_>) {
        let Some(flow) = self.flows.get_mut(number) else { return };
        let mut store = Store { recent: &mut self.recent, archive: again(&mut archive) };
        let mut around = Surroundings { limits: &self.limits, pieces: &mut self.pieces, store: &mut store };
        flow.see(segment, &mut around);
        let mut held = flow.holds() as u64;
        if self.held + held > self.limits.octets + u64::from(flow.held) {
            flow.forget();
            held = flow.holds() as u64;
            self.totals.text_given_up += 1;
        }
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.held = self.held + u64::from(held) - u64::from(flow.held);
        flow.held = held;
    }

    fn open(&mut self, key: Key, segment: &Segment<'_>, archive: Again<'_>) -> u32 {
        if self.flows.len() >= self.limits.flows.max(1) as usize {
            self.evict(archive);
        }
        self.flows.insert(Flow::new(key, segment))
    }

    /// Of a few flows, ends the one that was quiet longest.
    fn evict(&mut self, archive: Again<'_>) {
        let count = self.flows.slots();
        let sample = (0..count.min(4 * SAMPLE)).map(|n| ((self.cursor + n) % count) as u32);
        let known = sample.filter_map(|number| Some((self.flows.get(number)?.last_seen, number)));
        let oldest = known.take(SAMPLE).min();
        self.cursor = (self.cursor + SAMPLE) % count.max(1);
        if let Some((_, number)) = oldest {
            self.totals.evicted += 1;
            self.tell(number, archive);
        }
    }

    /// Looks at one flow: is it over?
    fn sweep(&mut self, now: Instant, archive: Again<'_>) {
        self.cursor = (self.cursor + 1) % self.flows.slots().max(1);
        let Some(flow) = self.flows.get(self.cursor as u32) else { return };
        let quiet = now.since(flow.last_seen);
        if quiet > self.limits.linger && (flow.is_closed() || quiet > self.limits.linger * QUIET) {
            self.tell(self.cursor as u32, archive);
        }
    }

    /// The flow with this number is over.
    fn tell(&mut self, number: u32, archive: Again<'_>) {
        self.end(number, archive);
        if let Some(report) = self.report(number) {
            self.reports.push_back(report);
        }
    }

    /// No more comes of this flow.
    fn end(&mut self, number: u32, mut archive: Again<'_>) {
        let Some(flow) = self.flows.get_mut(number) else { return };
        let mut store = Store { recent: &mut self.recent, archive: again(&mut archive) };
        flow.end(&mut Surroundings { limits: &self.limits, pieces: &mut self.pieces, store: &mut store });
        self.totals.flows += 1;
        self.totals.add(flow);
    }

    /// Removes a flow that has ended; what is to be told of it.
    fn report(&mut self, number: u32) -> Option<FlowReport> {
        let flow = self.flows.remove(number)?;
        self.held -= u64::from(flow.held);
        (self.limits.all_flows || flow.is_unusual()).then(|| FlowReport::of(&flow, &self.views))
    }

    /// The capture is over: all flows are. What comes afterwards is another capture, once all reports of this one
    /// have been fetched.
    pub fn finish(&mut self) {
        self.end_all(None);
    }

    /// As [`finish`](Self::finish), of a capture that was given with [`see_batch`](Self::see_batch).
    pub fn finish_batch(&mut self, archive: &mut dyn Archive) {
        self.end_all(Some(archive));
    }

    fn end_all(&mut self, mut archive: Again<'_>) {
        let numbers = 0..self.flows.slots() as u32;
        let left = numbers.filter_map(|number| Some((self.flows.get(number)?.frames.0, number)));
        let mut left: Vec<(u64, u32)> = left.collect();
        left.sort_unstable();
        for &(_, number) in &left {
            self.end(number, again(&mut archive));
        }
        // A report is larger than its flow: they are made as they are fetched.
        self.ended = left.into_iter().rev().map(|(_, number)| number).collect();
    }

    /// The next flow that is over.
    pub fn poll_report(&mut self) -> Option<FlowReport> {
        if let Some(report) = self.reports.pop_front() {
            return Some(report);
        }
        while let Some(number) = self.ended.pop() {
            if let Some(report) = self.report(number) {
                return Some(report);
            }
        }
        None
    }

    /// What was seen until now.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Octets that flows hold beyond their records: what [`Limits::octets`] bounds.
    pub fn held(&self) -> u64 {
        self.held
    }
}

/// The capture once more, for a shorter while.
fn again<'s>(archive: &'s mut Again<'_>) -> Again<'s> {
    match archive {
        Some(archive) => Some(&mut **archive),
        None => None,
    }
}
