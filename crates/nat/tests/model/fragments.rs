//! The model's fragments (B3, RFC 4787 REQ-14): the first decides, the others follow or wait for it.

use hairpin_nat::{Endpoint, Offload, Reason, Verdict};
use wire::{Fragment, Packet as Parsed};

use crate::nat::{Arrival, Model, Passage, Refusal, Sent, ticks};

/// RFC 791 3.2: what all fragments of a datagram have in common.
type Key = (Arrival, u32, u32, u8, u16);

/// Datagrams that are followed, the oldest first.
pub(crate) type Datagrams = Vec<Datagram>;

#[derive(Debug)]
pub(crate) struct Datagram {
    key: Key,
    /// When it is given up.
    until: u64,
    /// Where its first fragment went.
    passage: Option<Passage>,
    /// The octets of each fragment seen.
    seen: Vec<(u32, u32)>,
    /// Where it ends, if that was seen.
    end: Option<u32>,
    waiting: Vec<(Vec<u8>, Offload, Parsed)>,
}

/// Places in which a datagram may have holes.
const RUNS: usize = 32;

impl Model {
    pub(crate) fn expire_fragments(&mut self) {
        while self.datagrams.first().is_some_and(|datagram| datagram.until <= self.tick) {
            let lost = self.datagrams.remove(0).waiting.len();
            self.counters.dropped[Reason::FragmentTimeout.index()] += lost as u64;
        }
    }

    /// When the next datagram is given up.
    pub(crate) fn next_fragment_deadline(&self) -> Option<u64> {
        self.datagrams.first().map(|datagram| datagram.until)
    }

    pub(crate) fn fragment(
        &mut self,
        data: &mut Vec<u8>,
        offload: &mut Offload,
        parsed: &Parsed,
        from: Arrival,
    ) -> Result<Verdict, Refusal> {
        let id = u16::from_be_bytes([data[4], data[5]]);
        let key = (from, parsed.source.to_bits(), parsed.destination.to_bits(), parsed.protocol, id);
        let len = u32::from(parsed.total_len) - u32::from(parsed.header_len);
        let (first, is_last) = match parsed.fragment {
            Fragment::Later { offset, last } => {
                // It has no ports, but addresses, and those are refused as of a whole packet.
                let at = |address| Endpoint::new(address, 0);
                self.check_addresses(parsed, from, at(parsed.source), at(parsed.destination))?;
                if from != Arrival::Inside {
                    self.check_own(parsed.destination)?;
                }
                (u32::from(offset), last)
            }
            _ => (0, false),
        };
        let part = (first, first + len, is_last);
        self.check_part(key, part)?;
        let strangers = |of: &&Datagram| of.key.0 == Arrival::Outside && of.passage.is_none();
        let strangers = self.datagrams.iter().filter(strangers).count();
        if self.known(key).is_none() && !self.may_follow_stranger(from, first, strangers) {
            return Err(Reason::FragmentDatagrams.into());
        }
        let passage = self.known(key).and_then(|at| self.datagrams[at].passage);
        match (parsed.fragment, passage) {
            (Fragment::Later { .. }, Some(passage)) => {
                let verdict = self.pass(data, offload, parsed, from, passage)?;
                self.see(key, part);
                Ok(verdict)
            }
            (Fragment::Later { .. }, None) => {
                self.check_waiting(key, u32::from(parsed.total_len))?;
                self.see(key, part);
                let at = self.follow(key);
                let octets = data[..usize::from(parsed.total_len)].to_vec();
                self.datagrams[at].waiting.push((octets, *offload, *parsed));
                Ok(Verdict::Held)
            }
            _ => {
                let mut passage = self.decide(parsed, data, *offload, from)?;
                let at = self.follow(key);
                let told = self.told_id();
                let verdict = self.pass(data, offload, parsed, from, passage)?;
                passage.id = told.filter(|_| from == Arrival::Inside && self.config.rewrite_ip_id);
                self.datagrams[at].passage = Some(passage);
                for (data, offload, parsed) in std::mem::take(&mut self.datagrams[at].waiting) {
                    self.release(data, offload, &parsed, from, passage);
                }
                self.see(key, part);
                Ok(verdict)
            }
        }
    }

    /// RFC 1858: no octet twice, none behind the end. And within the limits.
    fn check_part(&self, key: Key, (first, end, is_last): (u32, u32, bool)) -> Result<(), Reason> {
        let Some(at) = self.known(key) else {
            let full = self.datagrams.len() >= self.config.fragments.datagrams as usize;
            return if full { Err(Reason::FragmentDatagrams) } else { Ok(()) };
        };
        let datagram = &self.datagrams[at];
        let overlaps = datagram.seen.iter().any(|&(from, to)| first < to && from < end);
        let beyond = datagram.end.is_some_and(|last| end > last || is_last && end < last)
            || is_last && datagram.seen.iter().any(|&(_, to)| to > end);
        if overlaps || beyond {
            return Err(Reason::FragmentOverlap);
        }
        let runs = datagram.seen.iter().filter(|(from, _)| !datagram.seen.iter().any(|(_, to)| to == from));
        if runs.count() >= RUNS { Err(Reason::FragmentDatagrams) } else { Ok(()) }
    }

    fn check_waiting(&self, key: Key, octets: u32) -> Result<(), Reason> {
        let of_source = self.datagrams.iter().filter(|datagram| datagram.key.1 == key.1);
        let count = of_source.map(|datagram| datagram.waiting.len()).sum::<usize>();
        let all = self.datagrams.iter().flat_map(|datagram| &datagram.waiting);
        let total = all.map(|(data, ..)| data.len() as u32).sum::<u32>();
        let limits = &self.config.fragments;
        if count >= limits.waiting_per_source as usize {
            Err(Reason::FragmentSource)
        } else if total + octets > limits.waiting_octets {
            Err(Reason::FragmentOctets)
        } else {
            Ok(())
        }
    }

    fn known(&self, key: Key) -> Option<usize> {
        self.datagrams.iter().position(|datagram| datagram.key == key)
    }

    fn follow(&mut self, key: Key) -> usize {
        self.known(key).unwrap_or_else(|| {
            let until = self.tick + ticks(self.config.fragments.timeout) + 1;
            let (seen, waiting) = (Vec::new(), Vec::new());
            self.datagrams.push(Datagram { key, until, passage: None, seen, end: None, waiting });
            self.datagrams.len() - 1
        })
    }

    fn see(&mut self, key: Key, (first, end, is_last): (u32, u32, bool)) {
        let at = self.follow(key);
        let datagram = &mut self.datagrams[at];
        datagram.seen.push((first, end));
        if is_last {
            datagram.end = Some(end);
        }
        // None overlaps another, so when it adds up it is complete, and its ID may come again.
        let octets = datagram.seen.iter().map(|(from, to)| to - from).sum::<u32>();
        if datagram.end == Some(octets) {
            self.datagrams.remove(at);
        }
    }

    fn release(
        &mut self,
        mut data: Vec<u8>,
        mut offload: Offload,
        parsed: &Parsed,
        from: Arrival,
        passage: Passage,
    ) {
        match self.pass(&mut data, &mut offload, parsed, from, passage) {
            Ok(Verdict::Held) => {}
            Ok(_) => self.sent.push(Sent { route: passage.route, offload, data }),
            // Nobody is told about a later fragment.
            Err(Refusal::TooBig(_)) => self.counters.dropped[Reason::TooBig.index()] += 1,
            Err(Refusal::Reason(reason)) => self.counters.dropped[reason.index()] += 1,
            Err(Refusal::Limit(limit)) => self.counters.dropped[limit.reason().index()] += 1,
        }
    }
}
