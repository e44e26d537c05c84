//! The hot path: a batch of packets in stages, so that no cache miss is waited for alone.
//!
//! 1. Parse every packet, hash its tuple, ask for the bucket of the flow table.
//! 2. Ask for the session that the bucket points to.
//! 3. Translate, one after the other, in their order; whatever a packet changes, the next one sees.
//!
//! Validate, then commit: everything that can refuse a packet is asked before anything is written.

use rules::Instant;
use rules::tracking::Segment;
use wire::tcp::Flags;
use wire::{Fragment, Malformed, Options, Packet as Parsed, Transport, Trust};

use crate::engine::Engine;
use crate::event::Limit;
use crate::fragment::verdict_of;
use crate::hash::Flow;
use crate::memory::prefetch;
use crate::rewrite::Rewrite;
use crate::session::Session;
use crate::{BATCH, Checksum, Endpoint, Offload, Packet, Protocol, Realm, Reason, Verdict};

/// What the first stage found out about each packet of a batch.
pub(crate) type Stages = Box<[Option<Result<Staged, Reason>>]>;

/// A packet that is well-formed, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staged {
    pub(crate) parsed: Parsed,
    /// Its tuple and the hash of it; `None` where it has no ports of its own.
    flow: Option<(Flow, u64)>,
}

/// Where a packet comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// One of the two realms.
    From(Realm),
    /// Another shard, which has translated its source and taken one off its time to live.
    Hairpin,
}

/// Where a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    To(Realm),
    Shard(u16),
}

/// What is to be done with a packet; everything else about it is settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) route: Route,
    pub(crate) rewrite: Rewrite,
    pub(crate) fit: Fit,
}

/// How a packet fits the next link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fit {
    /// As it is.
    Whole,
    /// As fragments of so many octets at most.
    Split(u16),
    /// As a super-segment of smaller segments.
    Segment(u16),
}

/// Why not, with what an ICMP error about it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    Reason(Reason),
    /// Not larger than this, please (RFC 1191).
    TooBig(u16),
    Limit(Limit),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Reason(malformed.into())
    }
}

impl From<Limit> for Refusal {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl Arrival {
    pub(crate) const fn realm(self) -> Realm {
        match self {
            Self::From(realm) => realm,
            Self::Hairpin => Realm::Outside,
        }
    }

    /// What passing takes off the time to live.
    pub(crate) const fn age(self) -> u8 {
        match self {
            Self::From(_) => 1,
            Self::Hairpin => 0,
        }
    }
}

impl Engine {
    /// Translates up to [`BATCH`] packets in place, in their order; `verdicts[i]` says what became
    /// of `packets[i]`. What is beyond `BATCH`, or beyond the shorter of the two, is not looked at.
    pub fn handle_batch(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict], now: Instant) {
        self.advance(now);
        if self.stages.is_empty() {
            self.stages = vec![None; BATCH].into_boxed_slice();
        }
        let mut stages = core::mem::take(&mut self.stages);
        for (packet, stage) in packets.iter().zip(stages.iter_mut()) {
            *stage = Some(self.stage(packet));
        }
        for stage in stages.iter().take(packets.len()) {
            if let Some(Ok(Staged { flow: Some((_, hash)), .. })) = stage
                && let Some(index) = self.flows.guess(*hash)
            {
                prefetch(self.sessions.lines(), index as usize);
            }
        }
        for ((packet, verdict), stage) in packets.iter_mut().zip(verdicts).zip(stages.iter()) {
            if let Some(staged) = stage {
                *verdict = self.finish(packet, Arrival::From(packet.from), staged);
            }
        }
        self.stages = stages;
    }

    /// A packet that another shard translated outwards and whose destination is this shard's.
    pub fn handle_hairpin(&mut self, packet: &mut Packet<'_>, now: Instant) -> Verdict {
        self.advance(now);
        packet.from = Realm::Outside;
        let staged = self.stage(packet);
        self.finish(packet, Arrival::Hairpin, &staged)
    }

    /// First stage.
    #[inline(always)]
    fn stage(&self, packet: &Packet<'_>) -> Result<Staged, Reason> {
        let trust = match packet.offload.checksum {
            Checksum::Full => Trust::Verify,
            Checksum::Verified | Checksum::Partial => Trust::Skip,
        };
        let parsed = Parsed::parse(packet.data, trust)?;
        let flow = flow_of(packet.from, &parsed).map(|flow| {
            let hash = self.key.flow(flow);
            self.flows.prefetch(hash);
            (flow, hash)
        });
        Ok(Staged { parsed, flow })
    }

    /// Third stage.
    #[inline(always)]
    fn finish(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        staged: &Result<Staged, Reason>,
    ) -> Verdict {
        let outcome = match staged {
            Ok(staged) => match (staged.flow, staged.parsed.fragment) {
                (Some((flow, hash)), Fragment::Whole) => self
                    .decide(arrival, &staged.parsed, packet.offload, flow, hash)
                    .and_then(|decision| self.carry_out(packet, arrival, &staged.parsed, &decision)),
                _ => self.handle_uncommon(packet, arrival, staged),
            },
            Err(reason) => Err(Refusal::Reason(*reason)),
        };
        match outcome {
            Ok(verdict) => {
                self.count(arrival, verdict);
                verdict
            }
            Err(refusal) => Verdict::Drop(self.refuse(packet, arrival, staged.as_ref().ok(), refusal)),
        }
    }

    #[inline(always)]
    pub(crate) fn count(&mut self, arrival: Arrival, verdict: Verdict) {
        let counters = &mut self.output.counters;
        match verdict {
            Verdict::Forward(to) => {
                counters.forwarded[arrival.realm() as usize] += 1;
                counters.hairpinned += u64::from(arrival.realm() == to);
            }
            Verdict::Hairpin { .. } => {
                counters.forwarded[arrival.realm() as usize] += 1;
                counters.hairpinned += 1;
            }
            Verdict::Held | Verdict::Drop(_) => {}
        }
    }

    /// Fragments, ICMP errors, and what is not translated at all.
    #[cold]
    fn handle_uncommon(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        staged: &Staged,
    ) -> Result<Verdict, Refusal> {
        let parsed = &staged.parsed;
        match (parsed.fragment, parsed.transport) {
            (_, Transport::Other) => Err(Reason::Protocol.into()),
            (Fragment::Whole, Transport::IcmpError { quote }) => {
                self.handle_icmp_error(packet, arrival, parsed, &quote)
            }
            (_, Transport::IcmpError { .. }) => Err(Reason::QuoteRefused.into()),
            (_, Transport::IcmpOther) => Err(Reason::IcmpType.into()),
            (Fragment::Later { .. }, _) if Protocol::from_number(parsed.protocol).is_none() => {
                Err(Reason::Protocol.into())
            }
            _ => self.handle_fragment(packet, arrival, parsed),
        }
    }

    /// What is to be done with a packet that has ports: the session's word, or a new session's.
    #[inline(always)]
    pub(crate) fn decide(
        &mut self,
        arrival: Arrival,
        parsed: &Parsed,
        offload: Offload,
        flow: Flow,
        hash: u64,
    ) -> Result<Decision, Refusal> {
        let realm = arrival.realm();
        if let Transport::Tcp { flags, .. } = parsed.transport
            && is_illegal(flags)
        {
            return Err(Reason::TcpFlags.into());
        }
        if parsed.options.intersects(Options::SOURCE_ROUTE) {
            return Err(Reason::SourceRoute.into());
        }
        let lines = self.sessions.lines();
        if let Some(index) = self.flows.find(hash, |index| lines[index as usize].flow(realm) == flow)
            && self.settle(index)
        {
            return self.pass(index, arrival, parsed, offload);
        }
        self.open(arrival, parsed, offload)
    }

    /// A packet of session `index`.
    #[inline(always)]
    fn pass(
        &mut self,
        index: u32,
        arrival: Arrival,
        parsed: &Parsed,
        offload: Offload,
    ) -> Result<Decision, Refusal> {
        let session = &self.sessions.lines()[index as usize];
        let realm = arrival.realm();
        if session.is_hairpin() {
            match arrival {
                Arrival::From(Realm::Inside) => return self.pass_hairpin(index, parsed, offload),
                // Only another shard may bring packets from an address of the pools.
                Arrival::From(Realm::Outside) => return Err(Reason::SpoofedInside.into()),
                Arrival::Hairpin => {}
            }
        }
        let rewrite = rewrite(session, realm);
        let fit = self.fit(arrival, parsed, offload, realm.other())?;
        self.touch(index, realm, parsed);
        Ok(Decision { route: Route::To(realm.other()), rewrite, fit })
    }

    /// A packet from `realm` moves session `index`'s state and timer.
    #[inline(always)]
    pub(crate) fn touch(&mut self, index: u32, realm: Realm, parsed: &Parsed) {
        let session = &mut self.sessions.lines_mut()[index as usize];
        match parsed.transport {
            Transport::Tcp { flags, .. } => {
                if session.track(realm, Segment::from_flags(flags), self.tick) {
                    let deadline = session.deadline(&self.timers);
                    self.wheel.hasten(self.sessions.lines_mut(), index, deadline);
                }
            }
            Transport::Udp { .. } if realm == Realm::Outside && !self.config.udp.inbound_refresh => {}
            _ => session.last_seen = self.tick,
        }
    }

    /// Whether a packet has hops left and fits the link towards `to` (B7).
    #[inline(always)]
    pub(crate) fn fit(
        &self,
        arrival: Arrival,
        parsed: &Parsed,
        offload: Offload,
        to: Realm,
    ) -> Result<Fit, Refusal> {
        if parsed.ttl <= arrival.age() {
            return Err(Reason::TtlExpired.into());
        }
        let mtu = match to {
            Realm::Inside => self.config.mtu.inside,
            Realm::Outside => self.config.mtu.outside,
        };
        // Of a super-segment it is the segments that must fit.
        let headers = u16::from(parsed.header_len)
            + match parsed.transport {
                Transport::Tcp { header_len, .. } => u16::from(header_len),
                _ => 8,
            };
        let size = match offload.gso_size {
            0 => parsed.total_len,
            segment => parsed.total_len.min(headers.saturating_add(segment)),
        };
        if size <= mtu {
            return Ok(Fit::Whole);
        }
        match (parsed.dont_fragment, offload.gso_size, parsed.transport) {
            (true, ..) => Err(Refusal::TooBig(mtu)),
            (false, 0, _) => Ok(Fit::Split(mtu)),
            (false, _, Transport::Tcp { .. }) if mtu > headers => Ok(Fit::Segment(mtu - headers)),
            // Datagrams cannot be cut anew.
            (false, ..) => Err(Refusal::TooBig(mtu)),
        }
    }

    /// Does what was decided.
    #[inline(always)]
    pub(crate) fn carry_out(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        parsed: &Parsed,
        decision: &Decision,
    ) -> Result<Verdict, Refusal> {
        if let Transport::Tcp { flags, .. } = parsed.transport
            && flags.contains(Flags::SYN)
            && let Some(limit) = self.config.mss_clamp
        {
            crate::mss::clamp(packet.data, parsed, packet.offload.checksum, limit);
        }
        decision.rewrite.apply(packet.data, parsed, packet.offload.checksum, arrival.age());
        match decision.fit {
            Fit::Whole => {}
            Fit::Segment(size) => packet.offload.gso_size = size,
            Fit::Split(mtu) => return self.split(packet, arrival, parsed, decision.route, mtu),
        }
        Ok(verdict_of(decision.route))
    }
}

/// What a packet of `session` from `realm` is rewritten to.
#[inline(always)]
pub(crate) fn rewrite(session: &Session, realm: Realm) -> Rewrite {
    match realm {
        Realm::Inside => Rewrite {
            source: Some(session.external()),
            destination: None,
            ip: session.ip_delta(),
            transport: session.transport_delta(),
        },
        Realm::Outside => Rewrite {
            source: None,
            destination: Some(session.internal()),
            ip: session.ip_delta().reverse(),
            transport: session.transport_delta().reverse(),
        },
    }
}

/// Flags that no TCP sends: SYN with FIN or RST, or none of those that every segment has one of.
#[inline(always)]
fn is_illegal(flags: Flags) -> bool {
    let any = Flags::SYN | Flags::FIN | Flags::RST | Flags::ACK;
    !flags.intersects(any) || flags.contains(Flags::SYN) && flags.intersects(Flags::FIN | Flags::RST)
}

/// The two ends of a packet that has ports. An ICMP query's identifier is the subscriber's port:
/// the source's from inside, the destination's from outside.
#[inline(always)]
pub(crate) fn ends(realm: Realm, parsed: &Parsed) -> Option<(Protocol, Endpoint, Endpoint)> {
    let (protocol, source, destination) = match parsed.transport {
        Transport::Tcp { source_port, destination_port, .. } => {
            (Protocol::Tcp, source_port, destination_port)
        }
        Transport::Udp { source_port, destination_port, .. } => {
            (Protocol::Udp, source_port, destination_port)
        }
        Transport::IcmpQuery { identifier, .. } => match realm {
            Realm::Inside => (Protocol::Icmp, identifier, 0),
            Realm::Outside => (Protocol::Icmp, 0, identifier),
        },
        _ => return None,
    };
    Some((protocol, Endpoint::new(parsed.source, source), Endpoint::new(parsed.destination, destination)))
}

#[inline(always)]
pub(crate) fn flow_of(realm: Realm, parsed: &Parsed) -> Option<Flow> {
    ends(realm, parsed).map(|(protocol, source, destination)| Flow::new(realm, protocol, source, destination))
}
