//! The scrubber without a NAT: a bump in the wire that changes what it is told to, and nothing else.
//!
//! Without connection state it reads each packet by itself. What it cannot know then is who opened a connection:
//! it takes *either* port of a segment for the service's, so an exception for port 23 is also one for whoever
//! sends from port 23. With `scrub.flows` it remembers.

use core::net::Ipv4Addr;

use rules::Instant;
use rules::flags::legal;
use rules::middlebox::placement;
use rules::tracking::is_illegal;
use wire::tcp::{self, Flags};
use wire::{Fragment, Packet as Parsed, Trust};

use super::config::Action;
use super::engine::ends;
use super::finding::{Finding, Findings, Found, Headers, ScrubEvent, ScrubEventKind};
use super::flows::{Flows, Key};
use super::segment::{clean, raise_ttl};
use super::wars::Outcome;
use super::{Scrubbing, Service};
use crate::batch::BEHIND;
use crate::brief::Brief;
use crate::config::ConfigError;
use crate::hash::HashKey;
use crate::rewrite::write;
use crate::timer::tick_of;
use crate::{BATCH, Checksum, Config, Counters, Packet, Realm, Reason, Transmit, Verdict};

/// A later fragment of TCP that begins within this could write over a header; no link has so small an MTU that
/// anybody would have to send one (RFC 3128).
const LONGEST_TCP_HEADER: u16 = 60;

/// A scrubber: the verbs of [`crate::Engine`], no translation.
#[derive(Debug)]
pub struct Scrubber {
    scrub: Scrubbing,
    mss: Option<u16>,
    hides_ip_id: bool,
    key: HashKey,
    flows: Option<Flows>,
    counters: Counters,
    now: Instant,
    tick: u32,
    stages: Vec<Result<Stage, Reason>>,
}

#[derive(Clone, Copy, Debug)]
struct Stage {
    brief: Brief,
    /// Of a TCP segment, where connections are followed.
    key: Option<Key>,
}

impl Scrubber {
    /// A scrubber with `config.scrub`, `config.mss_clamp` and, for connections that are followed, `config.tcp`;
    /// nothing else of it counts. `seed` keys its hashes.
    ///
    /// # Errors
    /// The first setting that makes no sense, or for which there is no memory.
    pub fn new(config: &Config, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        if let Some(problem) = config.scrub_problems().into_iter().next() {
            return Err(problem.error);
        }
        let settings = &config.scrub;
        let flows = settings.flows.map(|flows| Flows::new(flows, &config.tcp)).transpose();
        let flows = flows.map_err(|error| ConfigError {
            setting: "scrub.flows".into(),
            problem: format!("no memory for tables of this size: {error}"),
            remedy: "a smaller number, or a machine with more memory".into(),
        })?;
        Ok(Self {
            scrub: Scrubbing::new(settings),
            mss: config.mss_clamp,
            hides_ip_id: settings.hide_ip_id,
            key: HashKey::new(seed),
            flows,
            counters: Counters::default(),
            now,
            tick: tick_of(now),
            stages: Vec::new(),
        })
    }

    /// Octets of memory that it takes at most with these settings.
    pub fn memory_bound(config: &Config) -> u64 {
        Flows::octets(&config.scrub) + Scrubbing::octets(&config.scrub) + (64 << 10)
    }

    /// Scrubs up to [`BATCH`] packets in place, in their order; `verdicts[i]` says what became of `packets[i]`. What
    /// may pass goes to the other realm.
    pub fn handle_batch(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict], now: Instant) {
        self.handle_timeout(now);
        let mut stages = core::mem::take(&mut self.stages);
        stages.clear();
        for (n, packet) in packets.iter().take(BATCH).enumerate() {
            stages.push(self.stage(packet));
            if let Some(behind) = n.checked_sub(BEHIND) {
                self.foresee(&stages, behind);
            }
        }
        for n in stages.len().saturating_sub(BEHIND)..stages.len() {
            self.foresee(&stages, n);
        }
        for ((packet, verdict), stage) in packets.iter_mut().zip(verdicts).zip(&stages) {
            let outcome = match stage {
                Ok(stage) => self.finish(packet, stage),
                Err(reason) => Err(*reason),
            };
            *verdict = match outcome {
                Ok(()) => {
                    self.counters.forwarded[packet.from as usize] += 1;
                    Verdict::Forward(packet.from.other())
                }
                Err(reason) => {
                    self.counters.dropped[reason.index()] += 1;
                    if reason.is_scrubbing() {
                        let lost = self.scrub.told.dropped(self.now, packet.from, reason, packet.data);
                        self.counters.scrubbed.events_lost += u64::from(lost);
                    }
                    Verdict::Drop(reason)
                }
            };
        }
        self.stages = stages;
    }

    /// Second stage of packet `n`: asks for its connection.
    #[inline(always)]
    fn foresee(&self, stages: &[Result<Stage, Reason>], n: usize) {
        if let (Some(flows), Some(Ok(Stage { key: Some(key), .. }))) = (&self.flows, stages.get(n)) {
            flows.prefetch_entry(key.hash);
        }
    }

    /// A scrubber makes no packets of its own.
    pub fn poll_transmit(&mut self, _buffer: &mut [u8]) -> Option<Transmit> {
        None
    }

    /// Nothing happens by time alone.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Time goes on to `now`, never back.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.tick = tick_of(self.now);
    }

    /// The next thing to tell: samples, wars.
    pub fn poll_event(&mut self) -> Option<ScrubEvent> {
        self.scrub.told.poll()
    }

    /// Totals since it was made.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Connections that are followed, those whose time is up included.
    pub fn flow_count(&self) -> u32 {
        self.flows.as_ref().map_or(0, Flows::len)
    }

    /// First stage: what the packet is.
    #[inline(always)]
    fn stage(&self, packet: &Packet<'_>) -> Result<Stage, Reason> {
        let trust = match packet.offload.checksum {
            Checksum::Full => Trust::Verify,
            Checksum::Verified | Checksum::Partial => Trust::Skip,
        };
        let parsed = Parsed::parse(packet.data, trust)?;
        if let Fragment::Later { offset, .. } = parsed.fragment
            && parsed.protocol == tcp::PROTOCOL
            && offset < LONGEST_TCP_HEADER
        {
            return Err(Reason::FragmentOverlap);
        }
        let brief = Brief::new(&parsed, packet.data, packet.from, packet.offload.checksum);
        let key = match &self.flows {
            Some(flows) if brief.is_tcp => {
                let key = Flows::key(self.key, brief.flow);
                flows.prefetch_bucket(key.hash);
                Some(key)
            }
            _ => None,
        };
        Ok(Stage { brief, key })
    }

    /// Last stage: what becomes of it.
    #[inline(always)]
    fn finish(&mut self, packet: &mut Packet<'_>, stage: &Stage) -> Result<(), Reason> {
        let Stage { brief, key } = stage;
        let mut index = None;
        if brief.marks != 0 {
            if is_illegal(brief.flags) {
                return self.finish_illegal(packet, stage);
            }
            if brief.marks & self.scrub.drops != 0 {
                self.check_marks(brief)?;
            }
            if let Some(key) = key {
                index = self.follow(key, packet.from, brief)?;
            }
        }
        self.scrub(packet, brief, index);
        Ok(())
    }

    /// Illegal flags: dropped, passed and not followed, or what is left of them.
    #[cold]
    fn finish_illegal(&mut self, packet: &mut Packet<'_>, stage: &Stage) -> Result<(), Reason> {
        match (self.scrub.illegal(stage.brief.flags), legal(stage.brief.flags)) {
            (Action::Clear, Some(flags)) => {
                let left = stage.brief.with_flags(flags);
                self.check_marks(&left)?;
                let index = match &stage.key {
                    Some(key) => self.follow(key, packet.from, &left)?,
                    None => None,
                };
                self.scrub(packet, &stage.brief, index);
                Ok(())
            }
            (Action::Pass, _) => {
                let findings = Findings::NONE.with(Finding::IllegalPassed);
                let (at, from, headers) = (self.now, packet.from, stage.brief.headers());
                let found = Found { at, from, findings, before: None, data: packet.data, headers };
                self.scrub.told.note(&mut self.counters.scrubbed, found);
                self.scrub(packet, &stage.brief, None);
                Ok(())
            }
            _ => Err(Reason::TcpFlags),
        }
    }

    #[cold]
    fn check_marks(&self, brief: &Brief) -> Result<(), Reason> {
        self.scrub.refuses(brief.marks).map_or(Ok(()), Err)
    }

    /// A whole segment of a connection that is followed, or will be from now on; its number.
    #[inline(always)]
    fn follow(&mut self, key: &Key, from: Realm, brief: &Brief) -> Result<Option<u32>, Reason> {
        let Some(flows) = &mut self.flows else { return Ok(None) };
        let index = match flows.find(key) {
            Some(index) => index,
            None => {
                if !brief.opens_tcp() {
                    return Ok(None);
                }
                let Some(index) = flows.open(key, self.key, self.tick) else {
                    self.counters.scrubbed.not_followed += 1;
                    return Ok(None);
                };
                self.scrub.forget(index);
                index
            }
        };
        if self.scrub.follows {
            self.check_numbers(index, key.side, from, brief)?;
        }
        if let Some(flows) = &mut self.flows {
            flows.follow(index, key.side, brief, self.tick, self.now);
        }
        Ok(Some(index))
    }

    /// Whether the receiver would take a segment, and whether it belongs to a war (C3).
    fn check_numbers(&mut self, index: u32, side: Realm, from: Realm, brief: &Brief) -> Result<(), Reason> {
        let Some(flows) = &self.flows else { return Ok(()) };
        let (line, seen) = (flows.line(index), &brief.seen);
        if !brief.flags.contains(Flags::SYN)
            && let Some((acked, window)) = line.offered(side)
        {
            let findings = self.scrub.placed(placement(seen.seq(), seen.len, acked, window))?;
            self.counters.scrubbed.add(findings);
        }
        let Some(wars) = &mut self.scrub.wars else { return Ok(()) };
        let outcome = wars.see(index, side, seen, brief.flags, line);
        if let Outcome::First(segments) = outcome {
            let (source, destination) = ends(brief);
            let kind = ScrubEventKind::WarDamped { source, destination, segments };
            let lost = self.scrub.told.tell(ScrubEvent { at: self.now, from, kind });
            self.counters.scrubbed.wars += 1;
            self.counters.scrubbed.events_lost += u64::from(lost);
        }
        outcome.reason().map_or(Ok(()), Err)
    }

    /// Changes what is to be changed.
    #[inline(always)]
    fn scrub(&mut self, packet: &mut Packet<'_>, brief: &Brief, index: Option<u32>) {
        let is_syn = brief.marks != 0 && brief.flags.contains(Flags::SYN);
        let hides = self.hides_ip_id && !(brief.dont_fragment && brief.is_whole);
        if self.scrub.concerns(brief.marks, brief.ttl)
            || is_syn && (self.mss.is_some() || is_illegal(brief.flags))
            || hides
        {
            self.change(packet, brief, index, hides);
        }
    }

    #[cold]
    #[inline(never)]
    fn change(&mut self, packet: &mut Packet<'_>, brief: &Brief, index: Option<u32>, hides: bool) {
        let before = self.scrub.told.is_due().then(|| Headers::of(packet.data, brief.headers()));
        let mut findings = Findings::NONE;
        if brief.marks != 0 {
            let wanted = self.scrub.wanted(brief.marks, brief.flags, self.mss, || {
                let (service, ends) = self.about(brief, index);
                self.scrub.clears_urgent(packet.from, service, &ends)
            });
            let segment = packet.data.get_mut(usize::from(brief.header_len)..).unwrap_or_default();
            findings = clean(segment, brief.transport_len.into(), &wanted, packet.offload.checksum);
        }
        if raise_ttl(packet.data, self.scrub.ttl_floor) {
            findings = findings.with(Finding::Ttl);
        }
        if hides {
            self.hide_ip_id(packet.data);
            findings = findings.with(Finding::IpId);
        }
        let (at, from, headers) = (self.now, packet.from, brief.headers());
        let found = Found { at, from, findings, before, data: packet.data, headers };
        self.scrub.told.note(&mut self.counters.scrubbed, found);
    }

    /// The service ports that a segment is about, and its addresses.
    fn about(&self, brief: &Brief, index: Option<u32>) -> (Service, [Ipv4Addr; 2]) {
        let (source, destination) = ends(brief);
        let service = match (&self.flows, index) {
            (Some(flows), Some(index)) => Service::Known([flows.service(index); 2]),
            _ => Service::Either([source.port, destination.port]),
        };
        (service, [source.address, destination.address])
    }

    /// Another Identification: a permutation of all of them, another one for each source, destination and protocol.
    /// So all fragments of a datagram keep the same one, those of two datagrams stay different, and what the
    /// sender has counted nobody can tell.
    fn hide_ip_id(&self, data: &mut [u8]) {
        let Some(header) = data.first_chunk::<20>() else { return };
        let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        let key = self.key.hidden((address(12), address(16), header[9]));
        let id = permuted(key, u16::from_be_bytes([header[4], header[5]]));
        let old = u16::from_be_bytes([header[4], header[5]]);
        write(data, 4, id);
        crate::rewrite::change(data, 10, |field| wire::checksum::Delta::u16(old, id).apply(field));
    }
}

/// Four rounds of a Feistel network over the two octets of `id`: whatever the round function, two numbers never
/// become one.
fn permuted(key: u64, id: u16) -> u16 {
    let [mut left, mut right] = id.to_be_bytes();
    for round in 0..4 {
        let mixed = (u64::from(right) ^ key.rotate_left(16 * round)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (left, right) = (right, left ^ (mixed >> 56) as u8);
    }
    u16::from_be_bytes([left, right])
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C4
    #[test]
    fn every_identification_becomes_another_one_and_no_two_the_same() {
        for key in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let mut seen = vec![false; 1 << 16];
            for id in 0..=u16::MAX {
                assert!(!std::mem::replace(&mut seen[usize::from(permuted(key, id))], true));
            }
        }
        let same =
            (0..=u16::MAX).filter(|&id| permuted(1 << 40 | 77, id) == permuted(1 << 41 | 77, id)).count();
        assert!(same < 300, "another tuple has another order: {same}");
    }
}
