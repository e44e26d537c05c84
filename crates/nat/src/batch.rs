//! The hot path: a batch of packets in stages, so that no cache miss is waited for alone.
//!
//! 1. Parse every packet, hash its tuple, ask for the bucket of the flow table.
//! 2. Ask for the session that the bucket points to, or for what a new session will need.
//! 3. Translate, one after the other, in their order; whatever a packet changes, the next one sees.
//!
//! Validate, then commit: everything that can refuse a packet is asked before anything is written.

use rules::Instant;
use rules::tracking::{Segment, is_illegal};
use wire::tcp::Flags;
use wire::{Fragment, Malformed, Options, Packet as Parsed, Transport, Trust};

use crate::brief::Brief;
use crate::engine::Engine;
use crate::event::Limit;
use crate::foresight::Sight;
use crate::fragment::verdict_of;
use crate::rewrite::Rewrite;
use crate::session::CONTROL;
use crate::{BATCH, Checksum, Endpoint, Packet, Protocol, Realm, Reason, Verdict};

/// How many packets the second stage is behind the first: a bucket has come by then, and the sessions are
/// asked for one by one while packets are parsed. Asked for all at once, they would queue.
pub(crate) const BEHIND: usize = 12;

/// What the first stage found out about each packet of a batch.
pub(crate) type Stages = Vec<Result<Brief, Malformed>>;

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
        let mut stages = core::mem::take(&mut self.stages);
        stages.clear();
        self.prepare(packets, &mut stages);
        for ((packet, verdict), stage) in packets.iter_mut().zip(verdicts).zip(&stages) {
            *verdict = self.finish(packet, Arrival::From(packet.from), stage);
        }
        self.stages = stages;
    }

    /// A packet that another shard translated outwards and whose destination is this shard's.
    pub fn handle_hairpin(&mut self, packet: &mut Packet<'_>, now: Instant) -> Verdict {
        self.advance(now);
        packet.from = Realm::Outside;
        let stage = self.stage(packet);
        self.finish(packet, Arrival::Hairpin, &stage)
    }

    /// The first two stages, one some packets behind the other.
    #[inline(always)]
    fn prepare(&self, packets: &[Packet<'_>], stages: &mut Stages) {
        let mut sight = Sight::default();
        for (n, packet) in packets.iter().take(BATCH).enumerate() {
            stages.push(self.stage(packet));
            if let Some(behind) = n.checked_sub(BEHIND) {
                self.foresee(stages, behind, &mut sight);
            }
        }
        for n in stages.len().saturating_sub(BEHIND)..stages.len() {
            self.foresee(stages, n, &mut sight);
        }
        self.foresee_rest(stages, sight);
    }

    /// First stage.
    #[inline(always)]
    fn stage(&self, packet: &Packet<'_>) -> Result<Brief, Malformed> {
        let parsed = Parsed::parse(packet.data, trust(packet))?;
        let mut brief = Brief::new(&parsed, packet.data, packet.from, packet.offload.checksum);
        brief.hash = self.key.flow(brief.flow);
        self.flows.prefetch(brief.hash, 0);
        Ok(brief)
    }

    /// Third stage.
    #[inline(always)]
    fn finish(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        stage: &Result<Brief, Malformed>,
    ) -> Verdict {
        let outcome = match stage {
            Ok(brief) if brief.common => self
                .decide(arrival, packet, brief)
                .and_then(|decision| self.carry_out(packet, arrival, brief, &decision)),
            Ok(_) => self.handle_uncommon(packet, arrival),
            Err(malformed) => Err((*malformed).into()),
        };
        if !self.resets.is_empty() {
            self.end_resets();
        }
        match outcome {
            Ok(verdict) => {
                self.count(arrival, verdict);
                verdict
            }
            Err(refusal) => Verdict::Drop(self.refuse(packet, arrival, refusal)),
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
    fn handle_uncommon(&mut self, packet: &mut Packet<'_>, arrival: Arrival) -> Result<Verdict, Refusal> {
        let parsed = Parsed::parse(packet.data, Trust::Skip)?;
        if parsed.options.intersects(Options::SOURCE_ROUTE) {
            return Err(Reason::SourceRoute.into());
        }
        if !self.bypass.is_empty()
            && let Some(verdict) = self.pass_bypass(packet, arrival, &parsed)?
        {
            return Ok(verdict);
        }
        match (parsed.fragment, parsed.transport) {
            _ if Protocol::from_number(parsed.protocol).is_none()
                && !self.passes_other(arrival, parsed.source, parsed.destination) =>
            {
                Err(Reason::Protocol.into())
            }
            (Fragment::Whole, Transport::Other) => {
                let mut brief = Brief::new(&parsed, packet.data, arrival.realm(), packet.offload.checksum);
                brief.hash = self.key.flow(brief.flow);
                let decision = self.decide(arrival, packet, &brief)?;
                self.carry_out(packet, arrival, &brief, &decision)
            }
            (Fragment::Whole, Transport::IcmpError { quote }) => {
                self.handle_icmp_error(packet, arrival, &parsed, &quote)
            }
            (_, Transport::IcmpError { .. }) => Err(Reason::QuoteRefused.into()),
            (_, Transport::IcmpOther) => Err(Reason::IcmpType.into()),
            _ => self.handle_fragment(packet, arrival, &parsed),
        }
    }

    /// What is to be done with a packet that has ports: its session's word, or a new session's.
    #[inline(always)]
    pub(crate) fn decide(
        &mut self,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Decision, Refusal> {
        if is_illegal(brief.flags) {
            return self.decide_illegal(arrival, packet, brief);
        }
        if brief.marks & self.scrub.drops != 0 {
            self.check_marks(brief)?;
        }
        let realm = arrival.realm();
        if let Some(index) = self.session_of(realm, brief)
            && self.settle(index)
        {
            return self.pass(index, arrival, packet, brief);
        }
        self.open(arrival, packet, brief)
    }

    /// The session that a packet from `realm` belongs to: the second stage's guess, which a tuple proves
    /// right, or what the table says.
    #[inline(always)]
    pub(crate) fn session_of(&self, realm: Realm, brief: &Brief) -> Option<u32> {
        let lines = self.sessions.lines();
        let is_it = |index: u32| lines[index as usize].flow(realm) == brief.flow;
        match brief.guess {
            Some(index) if lines[index as usize].is_live() && is_it(index) => Some(index),
            _ => self.flows.find(brief.hash, is_it),
        }
    }

    /// A packet of session `index`.
    #[inline(always)]
    fn pass(
        &mut self,
        index: u32,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Decision, Refusal> {
        let session = &self.sessions.lines()[index as usize];
        let realm = arrival.realm();
        if session.is_hairpin() {
            match arrival {
                Arrival::From(Realm::Inside) => return self.pass_hairpin(index, packet, brief),
                // Only another shard may bring packets from an address of the pools.
                Arrival::From(Realm::Outside) => return Err(Reason::SpoofedInside.into()),
                Arrival::Hairpin => {}
            }
        }
        let mut rewrite = session.rewrite(realm);
        let fit = self.fit(arrival, packet, brief, realm.other())?;
        self.judge(index, realm, brief)?;
        if rewrite.shift & CONTROL != 0 {
            self.pass_control(index, arrival, packet, brief)?;
            // It may have its first place only now.
            rewrite.shift = CONTROL | self.sessions.lines()[index as usize].shift();
        }
        self.touch(index, realm, brief);
        Ok(Decision { route: Route::To(realm.other()), rewrite, fit })
    }

    /// A packet from `realm` moves session `index`'s state and timer.
    #[inline(always)]
    pub(crate) fn touch(&mut self, index: u32, realm: Realm, brief: &Brief) {
        // The setting first: which protocol it is nobody can foretell.
        if !self.config.udp.inbound_refresh && brief.is_udp && brief.has_ports && realm == Realm::Outside {
            return;
        }
        if !self.follow(index, realm, brief) {
            return;
        }
        let session = &mut self.sessions.lines_mut()[index as usize];
        if session.track(realm, Segment::from_flags(brief.flags), self.tick) {
            self.moved(index);
        }
    }

    /// Session `index` has changed its timer.
    #[cold]
    pub(crate) fn hasten(&mut self, index: u32) {
        let deadline = self.sessions.lines()[index as usize].deadline(&self.timers);
        self.wheel.hasten(self.sessions.ties_mut(), index, deadline);
    }

    /// Whether a packet has hops left and fits the link towards `to` (B7).
    #[inline(always)]
    pub(crate) fn fit(
        &self,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
        to: Realm,
    ) -> Result<Fit, Refusal> {
        if brief.ttl <= arrival.age() {
            return Err(Reason::TtlExpired.into());
        }
        let mtu = [self.config.mtu.inside, self.config.mtu.outside][to as usize];
        if brief.total_len <= mtu { Ok(Fit::Whole) } else { fit_large(packet, brief, mtu) }
    }

    /// Does what was decided.
    #[inline(always)]
    pub(crate) fn carry_out(
        &mut self,
        packet: &mut Packet<'_>,
        arrival: Arrival,
        brief: &Brief,
        decision: &Decision,
    ) -> Result<Verdict, Refusal> {
        let is_syn = brief.flags.contains(Flags::SYN);
        if self.scrub.concerns(brief.marks, brief.ttl) || is_syn && self.scrubs_syn(brief) {
            self.scrub_packet(packet, arrival, brief);
        }
        if decision.rewrite.shift != 0 && brief.has_ports && !brief.is_udp {
            let (checksum, realm) = (packet.offload.checksum, arrival.realm());
            self.apply_shift(packet.data, brief, checksum, realm, decision.rewrite.shift);
            if decision.rewrite.shift & CONTROL != 0
                && realm == Realm::Inside
                && let Some(outcome) = self.carry_command(packet, arrival, brief, decision)
            {
                return outcome;
            }
        }
        decision.rewrite.apply(packet.data, brief, packet.offload.checksum, arrival.age());
        if brief.needs_id && self.config.rewrite_ip_id {
            self.identify(packet, brief, decision);
        }
        match decision.fit {
            Fit::Whole => {}
            Fit::Segment(size) => packet.offload.gso_size = size,
            Fit::Split(mtu) => return self.split(packet, arrival, brief, decision.route, mtu),
        }
        Ok(verdict_of(decision.route))
    }
}

/// A packet that is longer than `mtu`: of a super-segment it is the segments that must fit.
#[inline(never)]
fn fit_large(packet: &Packet<'_>, brief: &Brief, mtu: u16) -> Result<Fit, Refusal> {
    let headers = u16::from(brief.header_len) + u16::from(brief.transport_len);
    let segment = packet.offload.gso_size;
    if segment != 0 && headers.saturating_add(segment) <= mtu {
        return Ok(Fit::Whole);
    }
    match (brief.dont_fragment, segment) {
        (true, _) => Err(Refusal::TooBig(mtu)),
        (false, 0) => Ok(Fit::Split(mtu)),
        (false, _) if !brief.is_udp && mtu > headers => Ok(Fit::Segment(mtu - headers)),
        // Datagrams cannot be cut anew.
        (false, _) => Err(Refusal::TooBig(mtu)),
    }
}

/// Whether a packet's transport checksum is to be verified.
#[inline(always)]
fn trust(packet: &Packet<'_>) -> Trust {
    match packet.offload.checksum {
        Checksum::Full => Trust::Verify,
        Checksum::Verified | Checksum::Partial => Trust::Skip,
    }
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
        Transport::Other => match realm {
            Realm::Inside => (Protocol::Other, parsed.protocol.into(), 0),
            Realm::Outside => (Protocol::Other, 0, parsed.protocol.into()),
        },
        _ => return None,
    };
    Some((protocol, Endpoint::new(parsed.source, source), Endpoint::new(parsed.destination, destination)))
}
