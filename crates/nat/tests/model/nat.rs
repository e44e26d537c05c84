//! The model: a NAT of lists and linear scans, each rule in its plainest form.
//!
//! It does not choose ports. It is told the choice of the engine and says whether that was allowed.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use hairpin_nat::config::Pool;
use hairpin_nat::event::{DeleteReason, EventKind, Limit, MappingId, OpenedFrom, SessionId};
use hairpin_nat::{Checksum, Config, Counters, Endpoint, Event, Offload, Protocol, Realm, Reason, Verdict};
use rules::Instant;
use wire::tcp::Flags;
use wire::{Fragment, Options, Packet as Parsed, Transport, Trust};

use crate::fragments::Datagrams;
use crate::octets::{self, Ends};
use crate::tcp::{Phase, Timer};

/// Nanoseconds of a tick.
const TICK: u64 = 100_000_000;

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    now: Instant,
    pub(crate) tick: u64,
    pub(crate) sessions: Vec<Session>,
    pub(crate) mappings: Vec<MappingId>,
    /// Ports that are not given out before a tick, in the order in which they were freed.
    held: Vec<(u64, Protocol, Endpoint)>,
    subscribers: BTreeMap<Ipv4Addr, Subscriber>,
    /// When a limit was last reported for whom is no subscriber.
    reported: BTreeMap<usize, u64>,
    pub(crate) datagrams: Datagrams,
    /// Billionths of ICMP errors that may be sent, and when that was right.
    errors: (u64, Instant),
    pub(crate) counters: Counters,
    pub(crate) events: Vec<Event>,
    pub(crate) sent: Vec<Sent>,
    /// Mappings that the engine has made in this call and the model has not yet.
    pub(crate) choices: VecDeque<MappingId>,
    /// Sessions that the engine has ended in this call, in its order.
    pub(crate) ended: Vec<SessionId>,
    /// Why the engine has refused the packet under way.
    pub(crate) refused: Option<Reason>,
    /// What the engine did that is not allowed.
    pub(crate) fault: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Of a TCP session.
    phase: Option<Phase>,
    last_seen: u64,
}

/// Somebody with at least one mapping.
#[derive(Debug)]
struct Subscriber {
    external: Ipv4Addr,
    /// Tenths of sessions that it may open at once, and the tick when that was right.
    credit: (u64, u64),
    reported: BTreeMap<usize, u64>,
}

/// A packet that goes out by `poll_transmit`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    pub(crate) route: Route,
    pub(crate) offload: Offload,
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Arrival {
    Inside,
    Outside,
    /// Translated outwards by another shard.
    Shard,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    To(Realm),
    Shard(u16),
}

/// What is to become of a packet that may pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    pub(crate) route: Route,
    pub(crate) ends: Ends,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    Reason(Reason),
    TooBig(u16),
    Limit(Limit),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl Arrival {
    pub(crate) fn realm(self) -> Realm {
        if self == Self::Inside { Realm::Inside } else { Realm::Outside }
    }

    /// A hairpinned packet loses one hop altogether, and the first shard has taken it.
    pub(crate) fn age(self) -> u8 {
        u8::from(self != Self::Shard)
    }
}

impl Route {
    pub(crate) fn realm(self) -> Realm {
        if let Self::To(realm) = self { realm } else { Realm::Inside }
    }

    pub(crate) fn verdict(self) -> Verdict {
        match self {
            Self::To(realm) => Verdict::Forward(realm),
            Self::Shard(shard) => Verdict::Hairpin { shard },
        }
    }
}

pub(crate) fn ticks(time: std::time::Duration) -> u64 {
    (time.as_nanos() as u64).div_ceil(TICK)
}

impl Model {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            config: config.clone(),
            now,
            tick: now.as_nanos() / TICK,
            sessions: Vec::new(),
            mappings: Vec::new(),
            held: Vec::new(),
            subscribers: BTreeMap::new(),
            reported: BTreeMap::new(),
            datagrams: Datagrams::default(),
            errors: (u64::from(config.icmp_errors_per_second) * 1_000_000_000, now),
            counters: Counters::default(),
            events: Vec::new(),
            sent: Vec::new(),
            choices: VecDeque::new(),
            ended: Vec::new(),
            refused: None,
            fault: None,
        }
    }

    // --- time ---

    /// Everything that is over by `now` ends, in the order in which it was due.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.tick = self.now.as_nanos() / TICK;
        while let Some((deadline, index)) = self.next_deadline().filter(|&(tick, _)| tick <= self.tick) {
            self.time_out(index, deadline);
        }
        self.expire_fragments();
    }

    /// When the next session times out, and which. Those of one tick may end in any order, but
    /// where not all of their ports can be held it matters: then they end as they did in the engine.
    pub(crate) fn next_deadline(&self) -> Option<(u64, usize)> {
        let turn =
            |session: &Session| self.ended.iter().position(|id| *id == session.id).unwrap_or(usize::MAX);
        let all = self.sessions.iter().enumerate();
        let (tick, _, index) =
            all.map(|(index, session)| (self.deadline(session), turn(session), index)).min()?;
        Some((tick, index))
    }

    /// The deadline that is number `pick` in time, beginning anew behind the last.
    pub(crate) fn deadline_number(&self, pick: u8) -> Option<u64> {
        let mut all: Vec<_> = self.sessions.iter().map(|session| self.deadline(session)).collect();
        all.extend(self.next_fragment_deadline());
        all.extend(self.held.iter().map(|(until, ..)| *until).filter(|until| *until > self.tick));
        all.sort_unstable();
        all.get(usize::from(pick) % all.len().max(1)).copied()
    }

    /// Never early: a packet may have come late in its tick.
    fn deadline(&self, session: &Session) -> u64 {
        let tcp = &self.config.tcp;
        let timeout = match (session.phase.map(Phase::timer), session.id.mapping.protocol) {
            (Some(Timer::Opening), _) => tcp.opening,
            (Some(Timer::Established), _) => tcp.established,
            (Some(Timer::Closing), _) => tcp.closing,
            (Some(Timer::TimeWait), _) => tcp.time_wait,
            (Some(Timer::Transitory), _) => tcp.transitory,
            (None, Protocol::Icmp) => self.config.icmp_timeout,
            (None, _) => self.config.udp.timeout,
        };
        session.last_seen + ticks(timeout) + 1
    }

    fn time_out(&mut self, index: usize, tick: u64) {
        let session = &mut self.sessions[index];
        if let Some(next) = session.phase.and_then(Phase::timed_out) {
            session.phase = Some(next);
            session.last_seen = tick;
            return;
        }
        let id = self.sessions.remove(index).id;
        self.event(tick, EventKind::SessionDeleted(id, DeleteReason::Idle));
        // RFC 7857 11: a mapping ends with its last session.
        if !self.sessions.iter().any(|other| other.id.mapping == id.mapping) {
            self.delete_mapping(id.mapping, tick);
        }
    }

    fn delete_mapping(&mut self, id: MappingId, tick: u64) {
        self.mappings.retain(|other| *other != id);
        self.event(tick, EventKind::MappingDeleted(id));
        // RFC 6888 REQ-8: not for somebody else at once. TCP's state machine has held the port already.
        let hold = ticks(self.config.ports.hold);
        self.held.retain(|&(until, ..)| until > tick);
        if id.protocol != Protocol::Tcp && hold > 0 && self.held.len() < self.config.ports.hold_max as usize {
            self.held.push((tick + hold + 1, id.protocol, id.external));
        }
        if !self.mappings.iter().any(|other| other.internal.address == id.internal.address) {
            self.subscribers.remove(&id.internal.address);
        }
    }

    fn event(&mut self, tick: u64, kind: EventKind) {
        match kind {
            EventKind::MappingCreated(_) => self.counters.mappings_created += 1,
            EventKind::MappingDeleted(_) => self.counters.mappings_deleted += 1,
            EventKind::SessionCreated(_) => self.counters.sessions_created += 1,
            EventKind::SessionDeleted(..) => self.counters.sessions_deleted += 1,
            EventKind::LimitHit { .. } => {}
        }
        self.events.push(Event { at: Instant::from_nanos(tick * TICK), kind });
    }

    // --- a packet ---

    /// What becomes of a packet; it is translated in place.
    pub(crate) fn packet(&mut self, data: &mut Vec<u8>, offload: &mut Offload, from: Arrival) -> Verdict {
        let trust = if offload.checksum == Checksum::Full { Trust::Verify } else { Trust::Skip };
        let parsed = match Parsed::parse(data, trust) {
            Ok(parsed) => parsed,
            Err(malformed) => {
                self.counters.dropped[Reason::from(malformed).index()] += 1;
                return Verdict::Drop(malformed.into());
            }
        };
        let outcome = match (parsed.transport, parsed.fragment) {
            // RFC 6274 3.13.2: before everything else.
            _ if parsed.options.intersects(Options::SOURCE_ROUTE) => Err(Reason::SourceRoute.into()),
            (Transport::Other, _) => Err(Reason::Protocol.into()),
            // RFC 5508 REQ-10: what is neither query nor error has no business here.
            (Transport::IcmpOther, _) => Err(Reason::IcmpType.into()),
            (Transport::IcmpError { quote }, Fragment::Whole) => self.icmp_error(data, &parsed, &quote, from),
            (Transport::IcmpError { .. }, _) => Err(Reason::QuoteRefused.into()),
            (_, Fragment::Whole) => self
                .decide(&parsed, *offload, from)
                .and_then(|passage| self.pass(data, offload, &parsed, from, passage)),
            _ if Protocol::from_number(parsed.protocol).is_none() => Err(Reason::Protocol.into()),
            _ => self.fragment(data, offload, &parsed, from),
        };
        match outcome {
            Ok(verdict) => verdict,
            Err(refusal) => Verdict::Drop(self.refuse(data, &parsed, from, refusal)),
        }
    }

    /// Whether and where a packet with ports may go; makes the session that it opens.
    pub(crate) fn decide(
        &mut self,
        parsed: &Parsed,
        offload: Offload,
        from: Arrival,
    ) -> Result<Passage, Refusal> {
        if let Transport::Tcp { flags, .. } = parsed.transport {
            let some = flags.intersects(Flags::SYN | Flags::FIN | Flags::RST | Flags::ACK);
            if !some || flags.contains(Flags::SYN) && flags.intersects(Flags::FIN | Flags::RST) {
                return Err(Reason::TcpFlags.into());
            }
        }
        let (protocol, source, destination) = ends_of(parsed, from.realm()).ok_or(Reason::Protocol)?;
        match from {
            Arrival::Inside => self.outbound(parsed, offload, protocol, source, destination),
            _ => self.inbound(parsed, offload, from, protocol, source, destination),
        }
    }

    fn outbound(
        &mut self,
        parsed: &Parsed,
        offload: Offload,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
    ) -> Result<Passage, Refusal> {
        let session = self.find(|id| {
            id.mapping.protocol == protocol && id.mapping.internal == internal && id.remote == remote
        });
        if session.is_none() {
            self.check_addresses(parsed, Arrival::Inside, internal, remote)?;
            check_opens(parsed)?;
        }
        let owner = self.owner(remote.address);
        let route = match owner {
            None => Route::To(Realm::Outside),
            Some(shard) if shard == self.config.shard.index => Route::To(Realm::Inside),
            Some(shard) => Route::Shard(shard),
        };
        self.fit(parsed, offload, Arrival::Inside, route.realm())?;
        let hairpin = route == Route::To(Realm::Inside);
        if hairpin && session.is_none() && protocol != Protocol::Icmp {
            self.mapping_at(protocol, remote).ok_or(Reason::NoMapping)?;
        }
        let mapping = match session {
            Some(index) => self.sessions[index].id.mapping,
            None => self.plan_mapping(protocol, internal)?,
        };
        let own = SessionId { mapping, remote, opened_from: OpenedFrom::Inside };
        let Some(other) = hairpin.then(|| self.other_side(mapping, remote)) else {
            if session.is_none() {
                self.check_room(1)?;
                self.open(own);
            }
            self.touch(own, Realm::Inside, parsed);
            return Ok(Passage { route, ends: Ends { source: Some(mapping.external), destination: None } });
        };
        if protocol == Protocol::Icmp && session.is_none() && self.may_miss(mapping, remote) {
            return Err(self.believed());
        }
        // RFC 4787 REQ-9: out by the sender's session, in by the receiver's, all at once.
        let other = other?;
        let both_new = [session.is_none().then_some(own), self.session(other).is_none().then_some(other)];
        let news: Vec<_> = if same_session(own, other) {
            both_new[0].into_iter().collect()
        } else {
            both_new.into_iter().flatten().collect()
        };
        if news.contains(&other) && !same_session(own, other) {
            check_opens(parsed)?;
            let already =
                news.iter().filter(|new| new.mapping.internal.address == other.mapping.internal.address);
            self.may_open(other.mapping.internal.address, false, protocol, already.count() as u64)?;
        }
        self.check_room(news.len())?;
        news.into_iter().for_each(|new| self.open(new));
        self.touch(own, Realm::Inside, parsed);
        self.touch(other, Realm::Outside, parsed);
        let ends = Ends { source: Some(mapping.external), destination: Some(other.mapping.internal) };
        Ok(Passage { route, ends })
    }

    fn inbound(
        &mut self,
        parsed: &Parsed,
        offload: Offload,
        from: Arrival,
        protocol: Protocol,
        remote: Endpoint,
        external: Endpoint,
    ) -> Result<Passage, Refusal> {
        let session = self.find(|id| {
            id.mapping.protocol == protocol && id.mapping.external == external && id.remote == remote
        });
        if session.is_none() {
            self.check_addresses(parsed, from, remote, external)?;
            check_opens(parsed)?;
        } else if from == Arrival::Outside && self.owner(remote.address).is_some() {
            return Err(Reason::SpoofedInside.into());
        }
        match self.owner(external.address) {
            Some(shard) if shard == self.config.shard.index => {}
            Some(_) => return Err(Reason::WrongShard.into()),
            None => return Err(Reason::NotExternal.into()),
        }
        self.fit(parsed, offload, from, Realm::Inside)?;
        // Endpoint-independent filtering: whoever knows the mapping may use it (RFC 4787 REQ-8).
        let mapping = self.mapping_at(protocol, external).ok_or(Reason::NoMapping)?;
        let id = SessionId { mapping, remote, opened_from: OpenedFrom::Outside };
        if session.is_none() {
            self.may_open(mapping.internal.address, false, protocol, 1)?;
            self.check_room(1)?;
            self.open(id);
        }
        self.touch(id, Realm::Outside, parsed);
        let ends = Ends { source: None, destination: Some(mapping.internal) };
        Ok(Passage { route: Route::To(Realm::Inside), ends })
    }

    /// Without the identifier that the engine drew, which of these refused the packet is its word.
    fn believed(&self) -> Refusal {
        let limits = [Limit::Sessions, Limit::SessionsPerSubscriber, Limit::SessionRate];
        let limit = limits.into_iter().find(|limit| Some(limit.reason()) == self.refused);
        limit.map_or(Refusal::Reason(Reason::NoMapping), Refusal::Limit)
    }

    /// A query whose identifier the engine drew and did not tell, because nobody has that one at
    /// `remote`. To its own address it cannot miss.
    fn may_miss(&self, mapping: MappingId, remote: Endpoint) -> bool {
        let told = self.mappings.contains(&mapping) || self.refused.is_none();
        let free = |address| self.free_ports(Protocol::Icmp, address, 0..=u16::MAX) > 0;
        !told
            && match self.subscribers.get(&mapping.internal.address) {
                Some(subscriber) => subscriber.external != remote.address,
                None => {
                    self.addresses().into_iter().any(|address| address != remote.address && free(address))
                }
            }
    }

    /// The session by which a hairpinned packet of `mapping` to `remote` comes in.
    fn other_side(&self, mapping: MappingId, remote: Endpoint) -> Result<SessionId, Reason> {
        let protocol = mapping.protocol;
        // A query has one identifier, and once the source is translated it is the source's.
        let port = if protocol == Protocol::Icmp { mapping.external.port } else { remote.port };
        let target = Endpoint::new(remote.address, port);
        if target == mapping.external {
            return Ok(SessionId { mapping, remote, opened_from: OpenedFrom::Inside });
        }
        let target = self.mapping_at(protocol, target).ok_or(Reason::NoMapping)?;
        let port = if protocol == Protocol::Icmp { 0 } else { mapping.external.port };
        let remote = Endpoint::new(mapping.external.address, port);
        Ok(SessionId { mapping: target, remote, opened_from: OpenedFrom::Outside })
    }

    // --- what may refuse a packet ---

    fn check_addresses(
        &self,
        parsed: &Parsed,
        from: Arrival,
        source: Endpoint,
        destination: Endpoint,
    ) -> Result<(), Reason> {
        let inside = |address| self.config.inside.iter().any(|net| net.contains(&address));
        if is_martian(parsed.source) || is_martian(parsed.destination) {
            Err(Reason::Martian)
        } else if source == destination {
            Err(Reason::SourceIsDestination)
        } else if from == Arrival::Inside && !inside(parsed.source) {
            Err(Reason::SourceNotInside)
        } else if from == Arrival::Inside && inside(parsed.destination) {
            Err(Reason::DestinationInside)
        } else if self.is_spoofed(parsed.source, from) {
            Err(Reason::SpoofedInside)
        } else {
            Ok(())
        }
    }

    /// From outside, with an address that nobody outside has.
    fn is_spoofed(&self, source: Ipv4Addr, from: Arrival) -> bool {
        let ours = self.config.inside.iter().any(|net| net.contains(&source)) || self.owner(source).is_some();
        from == Arrival::Outside && ours
    }

    /// Hops and size (B7): the MTU that it is to be cut to, if it is to be cut.
    pub(crate) fn fit(
        &self,
        parsed: &Parsed,
        offload: Offload,
        from: Arrival,
        to: Realm,
    ) -> Result<Option<u16>, Refusal> {
        if parsed.ttl <= from.age() {
            return Err(Reason::TtlExpired.into());
        }
        let mtu = if to == Realm::Inside { self.config.mtu.inside } else { self.config.mtu.outside };
        let headers = headers(parsed);
        // A super-segment is never sent itself, its segments are.
        let size = match offload.gso_size {
            0 => u32::from(parsed.total_len),
            segment => u32::from(parsed.total_len).min(headers + u32::from(segment)),
        };
        let can_be_cut = offload.gso_size == 0 || parsed.protocol == 6 && u32::from(mtu) > headers;
        if size <= u32::from(mtu) {
            Ok(None)
        } else if parsed.dont_fragment || !can_be_cut {
            Err(Refusal::TooBig(mtu))
        } else {
            Ok(Some(mtu))
        }
    }

    /// The mapping of `internal`: the one that there is, or one like the engine's new one. Whether
    /// the subscriber may have it, and a session of it.
    fn plan_mapping(&mut self, protocol: Protocol, internal: Endpoint) -> Result<MappingId, Refusal> {
        let address = internal.address;
        // RFC 4787 REQ-1: the same one whatever the remote.
        let known = self.mappings.iter().find(|id| id.protocol == protocol && id.internal == internal);
        if let Some(&id) = known {
            self.may_open(address, false, protocol, 1)?;
            return Ok(id);
        }
        if !self.subscribers.contains_key(&address)
            && self.subscribers.len() >= self.config.limits.subscribers as usize
        {
            return Err(Refusal::Limit(Limit::Subscribers));
        }
        self.may_open(address, true, protocol, 1)?;
        let free = |external| self.free_ports(protocol, external, 0..=u16::MAX) > 0;
        // RFC 4787 REQ-2, RFC 7857 4: all of a subscriber's mappings have one external address.
        let paired = self.subscribers.get(&address).map(|subscriber| subscriber.external);
        let any = || self.addresses().into_iter().any(free);
        if paired.is_none() && !any() {
            return Err(Refusal::Limit(Limit::PortsExhausted));
        }
        if self.mappings.len() >= self.config.limits.mappings as usize {
            return Err(Refusal::Limit(Limit::Mappings));
        }
        if paired.is_some_and(|external| !free(external)) {
            return Err(Refusal::Limit(Limit::PortsExhausted));
        }
        // If the engine has refused this packet, the choice is that for a later one of the batch.
        let told = self.choices.iter().find(|id| id.protocol == protocol && id.internal == internal);
        Ok(told.filter(|_| self.refused.is_none()).copied().unwrap_or_else(|| {
            // Unless something else refuses the packet behind this, it was refused for no reason.
            let some = self.addresses().into_iter().find(|address| free(*address));
            let external = paired.or(some).unwrap_or(Ipv4Addr::UNSPECIFIED);
            MappingId { protocol, internal, external: Endpoint::new(external, 0) }
        }))
    }

    /// Whether the engine was free to choose this external endpoint.
    fn check_choice(&self, id: MappingId) -> Result<(), String> {
        let MappingId { protocol, internal, external } = id;
        let paired = self.subscribers.get(&internal.address).map(|subscriber| subscriber.external);
        if let Some(address) = paired.filter(|address| *address != external.address) {
            return Err(format!("{external} for {internal}, which is paired with {address}"));
        }
        if !self.is_free(protocol, external) {
            return Err(format!("{protocol} {external} for {internal}: taken, held, or no port of the pool"));
        }
        let own = Endpoint::new(external.address, internal.port);
        if self.config.ports.preserve && self.is_free(protocol, own) && external != own {
            return Err(format!("{protocol} {external} for {internal}: its own port is free"));
        }
        // RFC 4787 REQ-3a. Identifiers have no such ranges.
        let same = if internal.port < 1024 { 0..=1023 } else { 1024..=u16::MAX };
        if protocol != Protocol::Icmp
            && !same.contains(&external.port)
            && self.free_ports(protocol, external.address, same) > 0
        {
            return Err(format!("{protocol} {external} for {internal}: one of the same range is free"));
        }
        Ok(())
    }

    /// The ports of `address` that are this shard's to give out. Of queries any identifier is as
    /// good as another (RFC 5508 3).
    fn ports(&self, protocol: Protocol, address: Ipv4Addr) -> Option<RangeInclusive<u16>> {
        let has = |pool: &&Pool| pool.addresses.iter().any(|range| range.contains(&address));
        let pool = self.config.pools.iter().find(has)?;
        let ours = self.owner(address) == Some(self.config.shard.index);
        ours.then(|| if protocol == Protocol::Icmp { 0..=u16::MAX } else { pool.ports.clone() })
    }

    /// Ports that are taken or held; none is twice in it.
    fn used(&self, protocol: Protocol, address: Ipv4Addr) -> impl Iterator<Item = u16> {
        let mapped = self.mappings.iter().map(|id| (id.protocol, id.external));
        let held = self.held.iter().filter(|(until, ..)| *until > self.tick).map(|&(_, of, at)| (of, at));
        let all = mapped.chain(held);
        all.filter(move |(of, at)| *of == protocol && at.address == address).map(|(_, at)| at.port)
    }

    fn is_free(&self, protocol: Protocol, external: Endpoint) -> bool {
        self.ports(protocol, external.address).is_some_and(|ports| ports.contains(&external.port))
            && !self.used(protocol, external.address).any(|port| port == external.port)
    }

    /// How many ports of `address` in `range` are free.
    fn free_ports(&self, protocol: Protocol, address: Ipv4Addr, range: RangeInclusive<u16>) -> usize {
        let Some(ports) = self.ports(protocol, address) else { return 0 };
        let (first, last) = (*ports.start().max(range.start()), *ports.end().min(range.end()));
        let range = first..=last;
        range.len() - self.used(protocol, address).filter(|port| range.contains(port)).count()
    }

    /// Whether a subscriber may open `sessions` more, on a new port if `port` (B10).
    fn may_open(
        &self,
        address: Ipv4Addr,
        port: bool,
        protocol: Protocol,
        sessions: u64,
    ) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        let of = |id: &MappingId| id.internal.address == address;
        let ports = self.mappings.iter().filter(|id| of(id) && id.protocol == protocol).count();
        if port && ports as u64 >= u64::from(limits.ports_per_subscriber) {
            return Err(Refusal::Limit(Limit::PortsPerSubscriber));
        }
        let has = self.sessions.iter().filter(|session| of(&session.id.mapping)).count() as u64;
        if has + sessions > u64::from(limits.sessions_per_subscriber) {
            return Err(Refusal::Limit(Limit::SessionsPerSubscriber));
        }
        if limits.session_rate_per_subscriber > 0 && self.credit(address) < sessions * 10 {
            return Err(Refusal::Limit(Limit::SessionRate));
        }
        Ok(())
    }

    /// Tenths of sessions that it may open now: it earns its rate, and saves a second's worth.
    fn credit(&self, address: Ipv4Addr) -> u64 {
        let rate = u64::from(self.config.limits.session_rate_per_subscriber);
        match self.subscribers.get(&address) {
            Some(&Subscriber { credit: (credit, at), .. }) => {
                (credit + (self.tick - at) * rate).min(rate * 10)
            }
            None => rate * 10,
        }
    }

    fn check_room(&self, sessions: usize) -> Result<(), Refusal> {
        if self.sessions.len() + sessions > self.config.limits.sessions as usize {
            return Err(Refusal::Limit(Limit::Sessions));
        }
        Ok(())
    }

    // --- what changes ---

    fn open(&mut self, id: SessionId) {
        let (mapping, address) = (id.mapping, id.mapping.internal.address);
        if !self.mappings.contains(&mapping) {
            let legal = match self.choices.iter().position(|choice| *choice == mapping) {
                Some(at) => {
                    self.choices.remove(at);
                    self.check_choice(mapping)
                }
                None => Err(format!(
                    "no mapping for {} {}, though it may have one",
                    mapping.protocol, mapping.internal
                )),
            };
            if let Err(why) = legal {
                self.fault.get_or_insert(why);
            }
            self.mappings.push(mapping);
            let credit = (self.credit(address), self.tick);
            let external = mapping.external.address;
            self.subscribers.entry(address).or_insert(Subscriber {
                external,
                credit,
                reported: BTreeMap::new(),
            });
            self.event(self.tick, EventKind::MappingCreated(mapping));
        }
        let credit = (self.credit(address).saturating_sub(10), self.tick);
        if let Some(subscriber) = self.subscribers.get_mut(&address) {
            subscriber.credit = credit;
        }
        let phase = (mapping.protocol == Protocol::Tcp).then_some(Phase::Opening);
        self.sessions.push(Session { id, phase, last_seen: self.tick });
        self.event(self.tick, EventKind::SessionCreated(id));
    }

    /// A packet from `realm` passes: it moves its session's state and timer.
    fn touch(&mut self, id: SessionId, realm: Realm, parsed: &Parsed) {
        let tick = self.tick;
        let udp_refreshes = realm == Realm::Inside || self.config.udp.inbound_refresh;
        let Some(index) = self.session(id) else { return };
        let session = &mut self.sessions[index];
        match (parsed.transport, session.phase) {
            (Transport::Tcp { flags, .. }, Some(phase)) => {
                let client = session.id.opened_from == OpenedFrom::from(realm);
                if let Some(next) = phase.segment(client, flags) {
                    session.phase = Some(next);
                    session.last_seen = tick;
                }
            }
            // RFC 4787 REQ-6: what goes out refreshes, what comes in may.
            (Transport::Udp { .. }, _) if !udp_refreshes => {}
            _ => session.last_seen = tick,
        }
    }

    /// Translates a packet that may pass, and cuts it where the link asks for it.
    pub(crate) fn pass(
        &mut self,
        data: &mut Vec<u8>,
        offload: &mut Offload,
        parsed: &Parsed,
        from: Arrival,
        passage: Passage,
    ) -> Result<Verdict, Refusal> {
        let cut = self.fit(parsed, *offload, from, passage.route.realm())?;
        *data = octets::translate(data, passage.ends, offload.checksum, from.age(), self.config.mss_clamp);
        Ok(self.emit(data, offload, parsed, from, passage.route, cut))
    }

    fn emit(
        &mut self,
        data: &mut [u8],
        offload: &mut Offload,
        parsed: &Parsed,
        from: Arrival,
        route: Route,
        cut: Option<u16>,
    ) -> Verdict {
        self.counters.forwarded[from.realm() as usize] += 1;
        let back = matches!(route, Route::Shard(_)) || route == Route::To(from.realm());
        self.counters.hairpinned += u64::from(back);
        match cut {
            Some(mtu) if offload.gso_size > 0 => offload.gso_size = mtu - headers(parsed) as u16,
            Some(mtu) => {
                if offload.checksum == Checksum::Partial {
                    octets::complete(data);
                }
                for data in octets::fragments(data, mtu) {
                    self.sent.push(Sent { route, offload: Offload::default(), data });
                }
                return Verdict::Held;
            }
            None => {}
        }
        route.verdict()
    }

    /// RFC 5508 4: an error goes to whom its quote came from, and no session notices.
    fn icmp_error(
        &mut self,
        data: &mut Vec<u8>,
        parsed: &Parsed,
        quote: &wire::Quote,
        from: Arrival,
    ) -> Result<Verdict, Refusal> {
        let protocol = Protocol::from_number(quote.protocol).ok_or(Reason::QuoteRefused)?;
        if quote.is_icmp_error || protocol == Protocol::Icmp && !quote.is_icmp_query {
            return Err(Reason::QuoteRefused.into());
        }
        if quote.later_fragment || parsed.destination != quote.source {
            return Err(Reason::QuoteUnknown.into());
        }
        if is_martian(parsed.source) {
            return Err(Reason::Martian.into());
        }
        if self.is_spoofed(parsed.source, from) {
            return Err(Reason::SpoofedInside.into());
        }
        let sender = Endpoint::new(quote.source, quote.source_port);
        let receiver = Endpoint::new(quote.destination, quote.destination_port);
        let index = match from {
            // It quotes what came in: from the remote to the subscriber, who has the identifier.
            Arrival::Inside => {
                let icmp = protocol == Protocol::Icmp;
                let (internal, remote) = if icmp {
                    (Endpoint::new(receiver.address, sender.port), Endpoint::new(sender.address, 0))
                } else {
                    (receiver, sender)
                };
                self.find(|id| {
                    id.mapping.protocol == protocol && id.mapping.internal == internal && id.remote == remote
                })
            }
            _ => self.find(|id| {
                id.mapping.protocol == protocol && id.mapping.external == sender && id.remote == receiver
            }),
        };
        let id = self.sessions[index.ok_or(Reason::QuoteUnknown)?].id;
        let owner = self.owner(id.remote.address);
        let (route, quoted) = match (from, owner) {
            (Arrival::Outside, Some(_)) => return Err(Reason::SpoofedInside.into()),
            (Arrival::Outside | Arrival::Shard, _) => {
                (Route::To(Realm::Inside), Ends { source: Some(id.mapping.internal), destination: None })
            }
            (Arrival::Inside, None) => {
                (Route::To(Realm::Outside), Ends { source: None, destination: Some(id.mapping.external) })
            }
            (Arrival::Inside, Some(shard)) if shard != self.config.shard.index => {
                (Route::Shard(shard), Ends { source: None, destination: Some(id.mapping.external) })
            }
            (Arrival::Inside, Some(_)) => {
                // Hairpin: the quote becomes what the other subscriber sent.
                let other = self.other_side(id.mapping, id.remote).map_err(|_| Reason::QuoteUnknown)?;
                self.session(other).ok_or(Reason::QuoteUnknown)?;
                let (source, destination) = (other.mapping.internal, id.mapping.external);
                (Route::To(Realm::Inside), Ends { source: Some(source), destination: Some(destination) })
            }
        };
        let cut = self.fit(parsed, Offload::default(), from, route.realm())?;
        // An internal router is hidden behind the external address (RFC 5508 REQ-5c).
        let outer = Ends { source: quoted.destination, destination: quoted.source };
        *data = octets::translate_error(data, quoted, outer, from.age());
        Ok(self.emit(data, &mut Offload::default(), parsed, from, route, cut))
    }

    // --- refusals ---

    fn refuse(&mut self, data: &[u8], parsed: &Parsed, from: Arrival, refusal: Refusal) -> Reason {
        let (reason, answer) = match refusal {
            Refusal::Reason(Reason::TtlExpired) => (Reason::TtlExpired, Some((11, 0, 0))),
            Refusal::Reason(reason) => (reason, None),
            Refusal::TooBig(mtu) => (Reason::TooBig, Some((3, 4, mtu))),
            // RFC 6888 REQ-11b: the subscriber is told, softly; the outside is not.
            Refusal::Limit(limit) => (limit.reason(), (from == Arrival::Inside).then_some((3, 1, 0))),
        };
        self.counters.dropped[reason.index()] += 1;
        if let Refusal::Limit(limit) = refusal {
            self.report(limit, parsed, from);
        }
        // RFC 1812 4.3.2.7: never about an error or a later fragment.
        let error = matches!(parsed.transport, Transport::IcmpError { .. } | Transport::IcmpOther);
        let later = matches!(parsed.fragment, Fragment::Later { .. });
        if let Some((kind, code, mtu)) = answer
            && from != Arrival::Shard
            && !error
            && !later
            && !is_martian(parsed.source)
        {
            if self.may_send_error() {
                let gateway = &self.config.gateway;
                let source = if from == Arrival::Inside { gateway.inside } else { gateway.outside };
                let data = octets::error(source, data, kind, code, mtu);
                self.sent.push(Sent { route: Route::To(from.realm()), offload: Offload::default(), data });
                self.counters.icmp_errors_sent += 1;
            } else {
                self.counters.icmp_errors_limited += 1;
            }
        }
        reason
    }

    /// RFC 1812 4.3.2.8: so many a second, a second's worth at once.
    fn may_send_error(&mut self) -> bool {
        let rate = u64::from(self.config.icmp_errors_per_second);
        let earned = (self.now.as_nanos() - self.errors.1.as_nanos()) * rate;
        let tokens = (self.errors.0 + earned).min(rate * 1_000_000_000);
        let may = tokens >= 1_000_000_000;
        self.errors = (if may { tokens - 1_000_000_000 } else { tokens }, self.now);
        may
    }

    /// Once in an interval for each subscriber and limit; those who are none share one memory.
    fn report(&mut self, limit: Limit, parsed: &Parsed, from: Arrival) {
        let subscriber = if from == Arrival::Inside {
            parsed.source
        } else {
            let target = ends_of(parsed, Realm::Outside)
                .and_then(|(protocol, _, external)| self.mapping_at(protocol, external));
            let Some(mapping) = target else { return };
            mapping.internal.address
        };
        let interval = ticks(self.config.limits.report_interval);
        let memory = match self.subscribers.get_mut(&subscriber) {
            Some(subscriber) => &mut subscriber.reported,
            None => &mut self.reported,
        };
        if memory.get(&(limit as usize)).is_none_or(|&last| self.tick - last >= interval) {
            memory.insert(limit as usize, self.tick);
            self.event(self.tick, EventKind::LimitHit { subscriber, limit });
        }
    }

    // --- look-ups ---

    fn find(&self, is_it: impl Fn(&SessionId) -> bool) -> Option<usize> {
        self.sessions.iter().position(|session| is_it(&session.id))
    }

    fn session(&self, id: SessionId) -> Option<usize> {
        self.find(|other| same_session(*other, id))
    }

    fn mapping_at(&self, protocol: Protocol, external: Endpoint) -> Option<MappingId> {
        self.mappings.iter().copied().find(|id| id.protocol == protocol && id.external == external)
    }

    /// All external addresses, in the order of the configuration.
    pub(crate) fn addresses(&self) -> Vec<Ipv4Addr> {
        let ranges = self.config.pools.iter().flat_map(|pool| &pool.addresses);
        ranges
            .flat_map(|range| (range.start().to_bits()..=range.end().to_bits()).map(Ipv4Addr::from))
            .collect()
    }

    /// The shard whose external address it is: they take turns.
    pub(crate) fn owner(&self, address: Ipv4Addr) -> Option<u16> {
        let number = self.addresses().iter().position(|other| *other == address)?;
        Some((number % usize::from(self.config.shard.count)) as u16)
    }
}

/// The same flow, whoever opened it.
fn same_session(one: SessionId, other: SessionId) -> bool {
    one.mapping == other.mapping && one.remote == other.remote
}

/// IP and transport headers: what every segment of a super-segment repeats.
fn headers(parsed: &Parsed) -> u32 {
    let transport = if let Transport::Tcp { header_len, .. } = parsed.transport { header_len } else { 8 };
    u32::from(parsed.header_len) + u32::from(transport)
}

/// N10: a SYN alone opens a TCP session, a query an ICMP session.
fn check_opens(parsed: &Parsed) -> Result<(), Reason> {
    match parsed.transport {
        Transport::Tcp { flags, .. } if !flags.contains(Flags::SYN) || flags.contains(Flags::ACK) => {
            Err(Reason::NotSyn)
        }
        Transport::IcmpQuery { request: false, .. } => Err(Reason::NotQuery),
        _ => Ok(()),
    }
}

/// RFC 1812 4.2.2.11 and 5.3.7.
fn is_martian(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 0 | 127 | 224..)
}

/// Source and destination; a query's identifier is the subscriber's port.
fn ends_of(parsed: &Parsed, realm: Realm) -> Option<(Protocol, Endpoint, Endpoint)> {
    let (protocol, source, destination) = match parsed.transport {
        Transport::Tcp { source_port, destination_port, .. } => {
            (Protocol::Tcp, source_port, destination_port)
        }
        Transport::Udp { source_port, destination_port, .. } => {
            (Protocol::Udp, source_port, destination_port)
        }
        Transport::IcmpQuery { identifier, .. } if realm == Realm::Inside => (Protocol::Icmp, identifier, 0),
        Transport::IcmpQuery { identifier, .. } => (Protocol::Icmp, 0, identifier),
        _ => return None,
    };
    Some((protocol, Endpoint::new(parsed.source, source), Endpoint::new(parsed.destination, destination)))
}
