//! The model: a NAT of lists and linear scans, each rule in its plainest form.
//!
//! It does not choose ports. It is told the choice of the engine and says whether that was allowed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use hairpin_nat::config::Pool;
use hairpin_nat::event::{BlockId, EventKind, Limit, MappingId, OpenedFrom, SessionId};
use hairpin_nat::{Checksum, Config, Counters, Endpoint, Event, Offload, Protocol, Realm, Reason, Verdict};
use rules::Instant;
use wire::tcp::Flags;
use wire::{Fragment, Options, Packet as Parsed, Transport, Trust};

use crate::basic::Unused;
use crate::edge::{Syn, UsedId, set_id};
use crate::fragments::Datagrams;
use crate::ftp::{Edit, Shift};
use crate::judge::{Conn, Numbers};
use crate::octets::{self, Ends};
use crate::scrub::Scrubs;
use crate::tcp::Phase;
use crate::tombs::{Change, Tomb};

/// Nanoseconds of a tick.
pub(crate) const TICK: u64 = 100_000_000;

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    pub(crate) tick: u64,
    pub(crate) sessions: Vec<Session>,
    pub(crate) mappings: Vec<MappingId>,
    /// Those that live without sessions: until a tick, or for ever.
    pub(crate) kept: BTreeMap<MappingId, Option<u64>>,
    /// Those that filtering does not apply to.
    pub(crate) open: BTreeSet<MappingId>,
    /// Whom mappings for data connections of FTP are for.
    pub(crate) expected: BTreeMap<MappingId, Ipv4Addr>,
    /// A mapping that leaves the engine no choice.
    pub(crate) given: Option<MappingId>,
    /// Ports that are not given out before a tick, in the order in which they were freed.
    pub(crate) held: Vec<(u64, Protocol, Endpoint)>,
    pub(crate) subscribers: BTreeMap<Ipv4Addr, Subscriber>,
    /// Blocks that somebody has, in the order in which they were given.
    pub(crate) blocks: Vec<BlockId>,
    /// Whole addresses that nobody has.
    pub(crate) unused: Unused,
    /// When a limit was last reported for whom is no subscriber.
    pub(crate) reported: BTreeMap<usize, u64>,
    pub(crate) datagrams: Datagrams,
    /// Billionths of ICMP errors that may be sent, and when that was right.
    pub(crate) errors: (u64, Instant),
    pub(crate) counters: Counters,
    pub(crate) events: Vec<Event>,
    pub(crate) sent: Vec<Sent>,
    /// Mappings that the engine has made in this call and the model has not yet.
    pub(crate) choices: VecDeque<MappingId>,
    /// Sessions that the engine has ended in this call, in its order.
    pub(crate) ended: Vec<SessionId>,
    /// The same of mappings.
    pub(crate) ended_mappings: Vec<MappingId>,
    /// Connections that are over, and how many there have been.
    pub(crate) tombs: Vec<Tomb>,
    pub(crate) buried: u64,
    /// As `errors`, for last ACKs.
    pub(crate) acks: (u64, Instant),
    /// How often a session came to TIME-WAIT, and lost its port there.
    pub(crate) rests: u64,
    /// How often a whole address was given, and a session without ports opened.
    pub(crate) wholes: u64,
    pub(crate) others: u64,
    pub(crate) reused: u64,
    /// The numbers of the segment under way.
    pub(crate) numbers: Option<Numbers>,
    /// Sessions that it ends.
    pub(crate) doomed: Vec<SessionId>,
    /// Why the engine has refused the packet under way.
    pub(crate) refused: Option<Reason>,
    pub(crate) scrubs: Scrubs,
    /// SYNs that nobody waited for, the first first.
    pub(crate) syns: Vec<Syn>,
    pub(crate) used_ids: Vec<UsedId>,
    /// The Identification of the packet under way as the engine let it through, and what the engine
    /// transmits.
    pub(crate) forwarded_id: Option<u16>,
    pub(crate) transmitted: Vec<Sent>,
    /// What the engine did that is not allowed.
    pub(crate) fault: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Of a TCP session.
    pub(crate) phase: Option<Phase>,
    /// Its numbers.
    pub(crate) conn: Conn,
    /// What is added to them on their way out: to sequence numbers, to timestamps.
    pub(crate) shift: Shift,
    /// The engine has a record of that.
    pub(crate) shifted: bool,
    /// Of FTP.
    pub(crate) control: bool,
    /// Its turn among those in TIME-WAIT.
    pub(crate) rested: u64,
    pub(crate) last_seen: u64,
}

/// Somebody with at least one mapping.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) external: Ipv4Addr,
    /// Tenths of sessions that it may open at once, and the tick when that was right.
    pub(crate) credit: (u64, u64),
    /// The same of those that the outside may open.
    pub(crate) inbound_credit: (u64, u64),
    pub(crate) reported: BTreeMap<usize, u64>,
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
    /// How its numbers change.
    pub(crate) change: Option<Change>,
    /// What of its payload is replaced.
    pub(crate) edit: Option<Edit>,
    /// The new Identification, where that is known from a first fragment.
    pub(crate) id: Option<u16>,
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
        let mut model = Self {
            config: config.clone(),
            now,
            tick: now.as_nanos() / TICK,
            sessions: Vec::new(),
            mappings: Vec::new(),
            kept: BTreeMap::new(),
            open: BTreeSet::new(),
            expected: BTreeMap::new(),
            given: None,
            held: Vec::new(),
            subscribers: BTreeMap::new(),
            blocks: Vec::new(),
            unused: Unused::new(),
            reported: BTreeMap::new(),
            datagrams: Datagrams::default(),
            errors: (u64::from(config.icmp_errors_per_second) * 1_000_000_000, now),
            counters: Counters::default(),
            events: Vec::new(),
            sent: Vec::new(),
            choices: VecDeque::new(),
            ended: Vec::new(),
            ended_mappings: Vec::new(),
            tombs: Vec::new(),
            buried: 0,
            acks: (u64::from(config.icmp_errors_per_second) * 1_000_000_000, now),
            rests: 0,
            wholes: 0,
            others: 0,
            reused: 0,
            numbers: None,
            doomed: Vec::new(),
            refused: None,
            scrubs: Scrubs::default(),
            syns: Vec::new(),
            used_ids: Vec::new(),
            forwarded_id: None,
            transmitted: Vec::new(),
            fault: None,
        };
        model.make_unused();
        model.make_statics();
        model
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
        self.numbers = Numbers::of(&parsed, data);
        let outcome = match (parsed.transport, parsed.fragment) {
            // RFC 6274 3.13.2: before everything else.
            _ if parsed.options.intersects(Options::SOURCE_ROUTE) => Err(Reason::SourceRoute.into()),
            _ if self.is_untranslated(&parsed, from) => self.untranslated(data, offload, &parsed, from),
            _ if Protocol::from_number(parsed.protocol).is_none()
                && !self.passes_other(from, parsed.source, parsed.destination) =>
            {
                Err(Reason::Protocol.into())
            }
            // RFC 5508 REQ-10: what is neither query nor error has no business here.
            (Transport::IcmpOther, _) => Err(Reason::IcmpType.into()),
            (Transport::IcmpError { quote }, Fragment::Whole) => self.icmp_error(data, &parsed, &quote, from),
            (Transport::IcmpError { .. }, _) => Err(Reason::QuoteRefused.into()),
            (_, Fragment::Whole) => self
                .decide(&parsed, data, *offload, from)
                .and_then(|passage| self.pass(data, offload, &parsed, from, passage)),
            _ => self.fragment(data, offload, &parsed, from),
        };
        self.end_doomed();
        match outcome {
            Ok(verdict) => verdict,
            Err(refusal) => Verdict::Drop(self.refuse(data, &parsed, from, refusal)),
        }
    }

    /// Whether a packet is one that passes, or is refused, without translation.
    pub(crate) fn is_untranslated(&self, parsed: &Parsed, from: Arrival) -> bool {
        // Its flags and addresses are looked at first, where it has a tuple that could be a session's.
        parsed.transport != Transport::IcmpOther && !matches!(self.bypass(parsed, from), Ok(None))
    }

    fn untranslated(
        &mut self,
        data: &mut Vec<u8>,
        offload: &mut Offload,
        parsed: &Parsed,
        from: Arrival,
    ) -> Result<Verdict, Refusal> {
        let whole = parsed.fragment == Fragment::Whole;
        let counts = if whole { self.check_flags(parsed, data)? } else { *parsed };
        if whole && let Some(outcome) = self.pass_illegal(&counts, data, *offload, from) {
            return outcome.and_then(|passage| self.pass(data, offload, parsed, from, passage));
        }
        let to = self.bypass(parsed, from);
        if !matches!(parsed.transport, Transport::IcmpError { .. }) {
            let at = |address| Endpoint::new(address, 0);
            let has_ports = parsed.transport != Transport::Other;
            let ends = ends_of(parsed, from.realm()).filter(|_| whole && has_ports);
            let (source, destination) = ends
                .map_or((at(parsed.source), at(parsed.destination)), |(_, source, destination)| {
                    (source, destination)
                });
            if to.is_ok() || ends.is_some() {
                self.check_addresses(parsed, from, source, destination)?;
            }
        }
        match to? {
            Some(to) => self.pass_untranslated(data, offload, parsed, from, to),
            None => Err(Reason::Protocol.into()),
        }
    }

    // --- what changes ---

    pub(crate) fn open(&mut self, id: SessionId) {
        let (mapping, address) = (id.mapping, self.whose(id.mapping.internal));
        if !self.mappings.contains(&mapping) {
            let legal = match self.choices.iter().position(|choice| *choice == mapping) {
                Some(at) => {
                    self.choices.remove(at);
                    if self.given == Some(mapping) { Ok(()) } else { self.check_choice(mapping) }
                }
                None => Err(format!(
                    "no mapping for {} {}, though it may have one",
                    mapping.protocol, mapping.internal
                )),
            };
            if let Err(why) = legal {
                self.fault.get_or_insert(why);
            }
            self.make_mapping(mapping);
        }
        let credit = (self.credit(address).saturating_sub(10), self.tick);
        if let Some(subscriber) = self.subscribers.get_mut(&address) {
            subscriber.credit = credit;
        }
        if id.opened_from == OpenedFrom::Outside {
            let credit = (self.inbound_credit(address).saturating_sub(10), self.tick);
            if let Some(subscriber) = self.subscribers.get_mut(&address) {
                subscriber.inbound_credit = credit;
            }
        }
        self.others += u64::from(mapping.protocol == Protocol::Other);
        self.forgive_syn(mapping.protocol, id.remote, mapping.external);
        let phase = (mapping.protocol == Protocol::Tcp).then_some(Phase::Opening);
        self.forget_suspect(id);
        self.sessions.push(Session {
            id,
            phase,
            conn: Conn::default(),
            shift: Shift::default(),
            shifted: false,
            control: self.is_control(id),
            rested: 0,
            last_seen: self.tick,
        });
        self.event(self.tick, EventKind::SessionCreated(id));
    }

    pub(crate) fn make_mapping(&mut self, mapping: MappingId) {
        let address = self.whose(mapping.internal);
        self.mappings.push(mapping);
        let inbound_credit = (self.inbound_credit(address), self.tick);
        let credit = (self.credit(address), self.tick);
        let external = mapping.external.address;
        if !self.subscribers.contains_key(&address) {
            self.claim_whole(external);
        }
        self.subscribers.entry(address).or_insert(Subscriber {
            external,
            credit,
            inbound_credit,
            reported: BTreeMap::new(),
        });
        self.take_block(mapping);
        self.event(self.tick, EventKind::MappingCreated(mapping));
        self.move_home(address, mapping.external.address);
    }

    /// A packet from `realm` passes: it moves its session's state and timer.
    pub(crate) fn touch(&mut self, id: SessionId, realm: Realm, parsed: &Parsed) {
        let tick = self.tick;
        let udp_refreshes = realm == Realm::Inside || self.config.udp.inbound_refresh;
        let Some(index) = self.session(id) else { return };
        match (parsed.transport, self.sessions[index].phase) {
            (Transport::Tcp { flags, .. }, Some(phase)) => {
                if !self.hear(index, realm, flags, phase) {
                    return;
                }
                let session = &mut self.sessions[index];
                let phase = session.phase.unwrap_or(phase);
                let client = session.id.opened_from == OpenedFrom::from(realm);
                if let Some(next) = phase.segment(client, flags) {
                    let rests = next == Phase::TimeWait && phase != next;
                    self.rests += u64::from(rests);
                    session.rested = if rests { self.rests } else { session.rested };
                    session.phase = Some(next);
                    session.last_seen = tick;
                }
            }
            // RFC 4787 REQ-6: what goes out refreshes, what comes in may.
            (Transport::Udp { .. }, _) if !udp_refreshes => {}
            _ => self.sessions[index].last_seen = tick,
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
        self.scrub(data, *offload, parsed, from);
        if let (Some(change), Transport::Tcp { .. }) = (passage.change, parsed.transport) {
            *data = octets::renumber(data, change, offload.checksum);
        }
        let mut grown = *parsed;
        if let Some(edit) = passage.edit {
            *data = octets::edited(data, parsed, &edit, offload.checksum);
            grown.total_len = octets::get16(data, 2);
        }
        let in_place = passage.edit.is_none() || grown.total_len == parsed.total_len && cut.is_none();
        let cut = if in_place { cut } else { self.fit(&grown, *offload, from, passage.route.realm())? };
        let parsed = &grown;
        *data = octets::translate(data, passage.ends, offload.checksum, from.age());
        match passage.id {
            Some(id) => set_id(data, id),
            None => {
                let size = cut.map_or(offload.gso_size, |mtu| mtu.saturating_sub(headers(parsed) as u16));
                let gso_size = if offload.gso_size == 0 { 0 } else { size };
                self.identify(data, parsed, Offload { gso_size, ..*offload }, from);
            }
        }
        let verdict = self.emit(data, offload, parsed, from, passage.route, cut);
        if in_place || verdict == Verdict::Held {
            return Ok(verdict);
        }
        // It has another length than what was given: it is one of the engine's own.
        let data = data[..usize::from(parsed.total_len)].to_vec();
        self.sent.push(Sent { route: passage.route, offload: *offload, data });
        Ok(Verdict::Held)
    }

    pub(crate) fn emit(
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

    // --- look-ups ---

    /// How the numbers of a packet of session `id` from `realm` change.
    pub(crate) fn change(&self, id: SessionId, realm: Realm) -> Option<Change> {
        self.session(id).and_then(|index| Change::of(self.sessions[index].shift, realm, false))
    }

    pub(crate) fn find(&self, is_it: impl Fn(&SessionId) -> bool) -> Option<usize> {
        self.sessions.iter().position(|session| is_it(&session.id))
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<usize> {
        self.find(|other| same_session(*other, id))
    }

    pub(crate) fn mapping_at(&self, protocol: Protocol, external: Endpoint) -> Option<MappingId> {
        self.mappings.iter().copied().find(|id| id.protocol == protocol && id.external == external)
    }

    /// The subscriber that an internal endpoint belongs to: by the first address of its prefix.
    pub(crate) fn whose(&self, internal: Endpoint) -> Ipv4Addr {
        let others = 32 - u32::from(self.config.subscriber_prefix);
        Ipv4Addr::from((u64::from(internal.address.to_bits()) >> others << others) as u32)
    }

    /// The addresses of the pools that a subscriber may use: those that name it, else those that name nobody.
    pub(crate) fn homes(&self, subscriber: Ipv4Addr) -> Vec<Ipv4Addr> {
        if let Some((home, _)) = self.computed(subscriber) {
            return vec![home];
        }
        let names = |pool: &&Pool| pool.subscribers.iter().any(|net| net.contains(&subscriber));
        let named: Vec<&Pool> = self.config.pools.iter().filter(names).collect();
        let nobodys = self.config.pools.iter().filter(|pool| pool.subscribers.is_empty()).collect();
        let pools = if named.is_empty() { nobodys } else { named };
        let has = |address: &Ipv4Addr| {
            pools.iter().any(|pool| pool.addresses.iter().any(|range| range.contains(address)))
        };
        self.addresses().into_iter().filter(has).filter(|address| !self.is_whole(*address)).collect()
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
pub(crate) fn same_session(one: SessionId, other: SessionId) -> bool {
    one.mapping == other.mapping && one.remote == other.remote
}

/// IP and transport headers: what every segment of a super-segment repeats.
pub(crate) fn headers(parsed: &Parsed) -> u32 {
    let transport = if let Transport::Tcp { header_len, .. } = parsed.transport { header_len } else { 8 };
    u32::from(parsed.header_len) + u32::from(transport)
}

/// N10: a SYN alone opens a TCP session, a query an ICMP session.
pub(crate) fn check_opens(parsed: &Parsed) -> Result<(), Reason> {
    match parsed.transport {
        Transport::Tcp { flags, .. } if !flags.contains(Flags::SYN) || flags.contains(Flags::ACK) => {
            Err(Reason::NotSyn)
        }
        Transport::IcmpQuery { request: false, .. } => Err(Reason::NotQuery),
        _ => Ok(()),
    }
}

/// RFC 1812 4.2.2.11 and 5.3.7.
pub(crate) fn is_martian(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 0 | 127 | 224..)
}

/// Source and destination; a query's identifier is the subscriber's port, and so is the number of a protocol
/// that has none.
pub(crate) fn ends_of(parsed: &Parsed, realm: Realm) -> Option<(Protocol, Endpoint, Endpoint)> {
    let (protocol, source, destination) = match parsed.transport {
        Transport::Tcp { source_port, destination_port, .. } => {
            (Protocol::Tcp, source_port, destination_port)
        }
        Transport::Udp { source_port, destination_port, .. } => {
            (Protocol::Udp, source_port, destination_port)
        }
        Transport::IcmpQuery { identifier, .. } if realm == Realm::Inside => (Protocol::Icmp, identifier, 0),
        Transport::IcmpQuery { identifier, .. } => (Protocol::Icmp, 0, identifier),
        Transport::Other if realm == Realm::Inside => (Protocol::Other, parsed.protocol.into(), 0),
        Transport::Other => (Protocol::Other, 0, parsed.protocol.into()),
        _ => return None,
    };
    Some((protocol, Endpoint::new(parsed.source, source), Endpoint::new(parsed.destination, destination)))
}
