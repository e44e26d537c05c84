//! The whole engine under mutated traffic: packets of every shape, damaged where damage gets past the
//! parser, with every offload and every jump of the clock, through engines with little room. A fixed
//! seed drives it, so a failure repeats. Beside the engine runs a ledger of what it said; the model
//! (tests/model) says what it should have said, this one that it never contradicts itself.

#![allow(clippy::panic)]

extern crate hairpin_nat as nat;

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use nat::config::{Action, Mtu, RstPolicy, TcpChecks, TcpTimeouts, TimeWaitPolicy, Watch};
use nat::event::{EventKind, MappingId, SessionId};
use nat::{BATCH, Checksum, Config, Engine, Event, Offload, Packet, Realm, Reason, Verdict};
use rules::Instant;
use rules::port_selection::Algorithm;
use wire::tcp::Flags;
use wire::{Fragment, Malformed, Trust};

/// Batches for each engine. All of them together take a few seconds.
const BATCHES: u32 = 5_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const INSIDERS: [&str; 4] = ["100.64.0.1:4001", "100.64.0.2:5001", "100.64.0.3:80", "100.127.255.255:65535"];
const OUTSIDERS: [&str; 3] = ["203.0.113.80:80", "198.51.100.7:7", "8.8.8.8:53"];
const EXTERNALS: [&str; 3] = ["192.0.2.1:4001", "192.0.2.2:5001", "192.0.2.3:1024"];
const NOBODY: [&str; 4] = ["127.0.0.1:1", "0.0.0.0:9", "255.255.255.255:67", "192.0.0.8:8"];

/// What can be known of the engine from what it said, and what it must keep to.
struct Ledger {
    config: Config,
    given: u64,
    held: u64,
    split: u64,
    mappings: BTreeSet<MappingId>,
    sessions: BTreeSet<SessionId>,
}

impl Ledger {
    fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            given: 0,
            held: 0,
            split: 0,
            mappings: BTreeSet::new(),
            sessions: BTreeSet::new(),
        }
    }

    fn event(&mut self, event: Event, now: Instant) {
        assert!(event.at <= now, "{event:?} is told at {now:?}, before it happened");
        let is_new = match event.kind {
            EventKind::MappingCreated(id) => {
                let behaviour = self.config.mapping.behaviour;
                let one = behaviour == nat::config::Behaviour::EndpointIndependent;
                let taken = self.mappings.iter().any(|other| {
                    other.protocol == id.protocol
                        && (other.external == id.external || one && other.internal == id.internal)
                });
                assert!(!taken, "{id:?} shares an endpoint with another mapping");
                self.mappings.insert(id)
            }
            EventKind::MappingDeleted(id) => {
                assert!(self.sessions.iter().all(|session| session.mapping != id), "{id:?} was in use");
                self.mappings.remove(&id)
            }
            EventKind::SessionCreated(id) => {
                assert!(self.mappings.contains(&id.mapping), "{id:?} has no mapping");
                self.sessions.insert(id)
            }
            EventKind::SessionDeleted(id, _) => self.sessions.remove(&id),
            EventKind::LimitHit { .. } | EventKind::BlockAllocated(_) | EventKind::BlockReleased(_) => true,
        };
        assert!(is_new, "{event:?} happened twice, or was undone before it happened");
    }

    /// Tables and counters against what was told.
    fn check(&self, engine: &Engine) {
        let mappings: BTreeSet<_> = engine.mappings().collect();
        let sessions: BTreeSet<_> = engine.sessions().collect();
        assert_eq!(mappings, self.mappings, "events and mappings differ");
        assert_eq!(sessions, self.sessions, "events and sessions differ");
        assert_eq!(sessions.len(), engine.session_count() as usize);
        for mapping in &mappings {
            assert!(sessions.iter().any(|session| session.mapping == *mapping), "{mapping:?} has no session");
        }
        self.check_limits();
        let counters = engine.counters();
        assert_eq!(counters.sessions_created - counters.sessions_deleted, sessions.len() as u64);
        assert_eq!(counters.mappings_created - counters.mappings_deleted, mappings.len() as u64);
        // Every packet was forwarded or dropped, once, or is waiting: a fragment for its first.
        let done = counters.forwarded.iter().sum::<u64>() + counters.dropped.iter().sum::<u64>();
        let waiting = self.given.checked_sub(done).expect("more has come out than went in");
        assert!(waiting <= self.held, "{waiting} packets are nowhere");
        assert!(waiting <= u64::from(self.config.fragments.waiting_octets) / 21, "more wait than may");
        assert!(counters.hairpinned <= counters.forwarded.iter().sum());
    }

    fn check_limits(&self) {
        let limits = &self.config.limits;
        assert!(self.sessions.len() <= limits.sessions as usize);
        assert!(self.mappings.len() <= limits.mappings as usize);
        let hosts: BTreeSet<_> = self.mappings.iter().map(|id| id.internal.address).collect();
        assert!(hosts.len() <= limits.subscribers as usize);
        for host in hosts {
            let own: Vec<_> = self.mappings.iter().filter(|id| id.internal.address == host).collect();
            let paired = own.iter().all(|id| id.external.address == own[0].external.address);
            assert!(paired, "{host} has two external addresses");
            for protocol in nat::Protocol::ALL {
                let ports = own.iter().filter(|id| id.protocol == protocol).count();
                assert!(ports <= limits.ports_per_subscriber as usize);
            }
            let sessions = self.sessions.iter().filter(|id| id.mapping.internal.address == host).count();
            assert!(sessions <= limits.sessions_per_subscriber as usize);
        }
    }
}

/// One engine, its ledger, and what it has let through, from which answers are made.
struct Run {
    random: Random,
    engine: Engine,
    ledger: Ledger,
    now: Instant,
    /// Packets that were forwarded, and where to.
    passed: Vec<(Vec<u8>, Realm)>,
    buffer: Vec<u8>,
    /// Hops that the packets under way lose.
    age: u8,
}

impl Run {
    fn new(config: &Config, seed: u64) -> Self {
        let engine = Engine::new(config, [seed as u8; 32], Instant::ZERO).expect("these settings make sense");
        Self {
            random: Random(seed | 1 << 40),
            engine,
            ledger: Ledger::new(config),
            now: Instant::ZERO,
            passed: Vec::new(),
            buffer: vec![0; 65_535],
            age: 1,
        }
    }

    fn batch(&mut self) {
        let most = self.random.of(&[1, 4, BATCH]);
        let count = 1 + self.random.below(most);
        let mut data: Vec<_> = (0..count).map(|_| self.packet()).collect();
        let before: Vec<_> = data.iter().map(|(octets, ..)| octets.clone()).collect();
        let mut verdicts = vec![Verdict::Held; count];
        let mut packets: Vec<_> = data
            .iter_mut()
            .map(|(octets, from, offload)| Packet { data: octets, from: *from, offload: *offload })
            .collect();
        let is_handed_over = count == 1 && self.random.one_in(4);
        self.age = u8::from(!is_handed_over);
        if is_handed_over {
            verdicts[0] = self.engine.handle_hairpin(&mut packets[0], self.now);
        } else {
            self.engine.handle_batch(&mut packets, &mut verdicts, self.now);
        }
        let offloads: Vec<_> = packets.iter().map(|packet| packet.offload).collect();
        self.ledger.given += count as u64;
        for (n, verdict) in verdicts.into_iter().enumerate() {
            self.judge(&before[n], &data[n].0, offloads[n], data[n].2, verdict);
        }
        self.drain();
    }

    fn judge(&mut self, before: &[u8], after: &[u8], offload: Offload, given: Offload, verdict: Verdict) {
        match verdict {
            Verdict::Drop(reason) => {
                assert_eq!(before, after, "{reason}: a refused packet's octets changed");
                assert_eq!(offload, given, "{reason}: a refused packet's offloads changed");
            }
            Verdict::Held => self.ledger.held += 1,
            Verdict::Forward(to) => self.forwarded(before, after, offload, to),
            Verdict::Hairpin { shard } => {
                assert!(shard < self.ledger.config.shard.count && shard != self.ledger.config.shard.index);
                self.forwarded(before, after, offload, Inside);
            }
        }
    }

    /// It is a packet still, and nothing behind it was touched.
    fn forwarded(&mut self, before: &[u8], after: &[u8], offload: Offload, to: Realm) {
        let trust = if offload.checksum == Checksum::Full { Trust::Verify } else { Trust::Skip };
        let (was, is) = (show(before), show(after));
        let packet = wire::Packet::parse(after, trust).unwrap_or_else(|e| panic!("{e}: {was} became {is}"));
        let old = wire::Packet::parse(before, Trust::Skip).expect("it was forwarded");
        assert_eq!(packet.ttl + self.age, old.ttl, "{was}");
        assert_eq!((packet.total_len, packet.protocol), (old.total_len, old.protocol));
        assert_eq!((packet.fragment, packet.options), (old.fragment, old.options));
        assert_eq!(
            before[usize::from(old.total_len)..],
            after[usize::from(old.total_len)..],
            "padding of {was}"
        );
        self.check_size(&packet, offload, to);
        self.passed.truncate(200);
        let place = self.random.below(self.passed.len() + 1);
        self.passed.insert(place, (after.to_vec(), to));
    }

    fn check_size(&self, packet: &wire::Packet, offload: Offload, to: Realm) {
        let mtu = [self.ledger.config.mtu.inside, self.ledger.config.mtu.outside][to as usize];
        assert!(packet.total_len <= mtu || offload.gso_size != 0 && offload.gso_size < mtu, "{packet:?}");
    }

    /// What was sent and told.
    fn drain(&mut self) {
        while let Some(transmit) = self.engine.poll_transmit(&mut self.buffer) {
            let octets = self.buffer[..transmit.len].to_vec();
            let trust = if transmit.offload.checksum == Checksum::Full { Trust::Verify } else { Trust::Skip };
            let packet =
                wire::Packet::parse(&octets, trust).unwrap_or_else(|e| panic!("sent {e}: {octets:02x?}"));
            self.check_size(&packet, transmit.offload, transmit.to);
            self.ledger.split += u64::from(packet.fragment != Fragment::Whole);
        }
        while let Some(event) = self.engine.poll_event() {
            self.ledger.event(event, self.now);
        }
    }

    /// Time goes on, mostly little, sometimes to when something is due, sometimes far, and rarely back.
    fn tick(&mut self) {
        let ahead = match self.random.below(400) {
            0 => Duration::from_secs(20_000),
            1..=3 => Duration::from_secs(self.random.next() % 400),
            4..=8 => Duration::from_secs(16),
            9 if self.now.as_nanos() > 1_000_000_000 => {
                // An engine's time never goes back, whatever it is told.
                let earlier = Instant::from_nanos(self.now.as_nanos() - 1_000_000_000);
                return self.engine.handle_timeout(earlier);
            }
            10..=90 => return self.due(),
            _ => Duration::from_millis(self.random.next() % 120),
        };
        self.now = self.now + ahead;
        if self.random.one_in(2) {
            self.engine.handle_timeout(self.now);
            self.drain();
        }
    }

    fn due(&mut self) {
        if let Some(at) = self.engine.poll_timeout() {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.drain();
        }
    }

    /// One packet, where it comes from, and its offloads.
    fn packet(&mut self) -> (Vec<u8>, Realm, Offload) {
        let random = &mut self.random;
        let mut from = if random.one_in(2) { Inside } else { Outside };
        let checksum = random.of(&[Checksum::Full, Checksum::Full, Checksum::Verified, Checksum::Partial]);
        let gso_size = if random.one_in(5) { random.of(&[1, 8, 536, 1_448, 65_535]) } else { 0 };
        let offload = Offload { checksum, gso_size };
        let mut octets = if !random.one_in(3) && !self.passed.is_empty() {
            let (octets, to) = &self.passed[random.below(self.passed.len())];
            from = *to;
            answer(random, octets)
        } else {
            fresh(random, from)
        };
        let damage = random.below(8).saturating_sub(4);
        for _ in 0..damage {
            mutate(random, &mut octets);
        }
        // The sums are what keeps damage out; most of it is to get in.
        if damage > 0 && !random.one_in(5) {
            repair(&mut octets, random.one_in(2));
        }
        if random.one_in(20) {
            octets.extend([0xee; 9]);
        }
        (octets, from, offload)
    }

    /// Everything comes to its end, and then there is nothing left.
    fn finish(&mut self) {
        for _ in 0..1_000_000 {
            let Some(at) = self.engine.poll_timeout() else { break };
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.drain();
        }
        assert_eq!(self.engine.poll_timeout(), None, "the engine never comes to rest");
        self.ledger.check(&self.engine);
        assert_eq!(self.engine.session_count(), 0);
        let counters = self.engine.counters();
        let done = counters.forwarded.iter().sum::<u64>() + counters.dropped.iter().sum::<u64>();
        assert_eq!(self.ledger.given, done, "some packets were neither forwarded nor dropped");
        self.begin_again();
    }

    /// What was used is free again: for as many new subscribers as there may be.
    fn begin_again(&mut self) {
        self.now = self.now + self.ledger.config.ports.hold + TICK + TICK;
        for n in 0..self.ledger.config.limits.subscribers.min(3) {
            let host = Endpoint::new((0x6440_ff00 + n).into(), 4_001);
            let mut data = udp(host, S).octets();
            let mut packets = [Packet { data: &mut data, from: Inside, offload: Offload::default() }];
            let mut verdicts = [Verdict::Held];
            self.engine.handle_batch(&mut packets, &mut verdicts, self.now);
            let is_forwarded = matches!(verdicts[0], Verdict::Forward(Outside));
            assert!(is_forwarded, "something was not given back: {:?}", verdicts[0]);
        }
    }
}

/// A packet of any shape from `from`.
fn fresh(random: &mut Random, from: Realm) -> Vec<u8> {
    let any = |random: &mut Random| match random.below(8) {
        0..=2 => random.of(&INSIDERS),
        3..=4 => random.of(&OUTSIDERS),
        5..=6 => random.of(&EXTERNALS),
        _ => random.of(&NOBODY),
    };
    let likely = match from {
        Inside => (
            random.of(&INSIDERS),
            if random.one_in(3) { random.of(&EXTERNALS) } else { random.of(&OUTSIDERS) },
        ),
        Outside => (random.of(&OUTSIDERS), random.of(&EXTERNALS)),
    };
    let (source, destination) = if random.one_in(6) { (any(random), any(random)) } else { likely };
    let (source, destination) = (port_near(random, source), port_near(random, destination));
    let flags =
        [Flags::SYN, Flags::SYN, Flags::SYN, Flags::ACK, Flags::RST | Flags::ACK, Flags::SYN | Flags::FIN];
    let packet = match random.below(10) {
        0..=2 => udp(source, destination),
        3..=6 => tcp(source, destination).flags(random.of(&flags)),
        7 => ping(source, destination),
        8 => pong(source, destination),
        _ => {
            let protocol = random.of(&[1, 6, 17, 47]);
            let at = random.of(&[8u16, 64, 128, 1_024, 65_528]);
            raw(source.address, destination.address, protocol, &vec![1; 8 * (1 + random.below(20))])
                .fragment(at, random.one_in(2))
        }
    };
    let packet = packet
        .ttl(if random.one_in(8) { random.of(&[0, 1, 2, 255]) } else { 64 })
        .id(random.next() as u16 % 8);
    let packet = if random.one_in(4) { packet.df() } else { packet };
    if !random.one_in(3) {
        return packet.octets();
    }
    let packet = packet.len(random.of(&[0, 1, 64, 600, 1_472, 1_473, 4_000, 60_000]));
    let packet = match random.below(6) {
        0 => packet.ip_options(&random.of(&[
            [7, 7, 4, 0, 0, 0, 0, 0],
            [0x94, 4, 0, 0, 1, 1, 1, 1],
            [131, 7, 4, 1, 2, 3, 4, 0],
        ])),
        1 => return packet.octets(),
        2 => return random_piece(random, &packet),
        _ => packet,
    };
    packet.octets()
}

fn random_piece(random: &mut Random, packet: &Pkt) -> Vec<u8> {
    let pieces = packet.fragments(random.of(&[8, 24, 64, 512, 1_480]));
    let piece = random.below(pieces.len());
    pieces.get(piece).unwrap_or(packet).octets()
}

fn port_near(random: &mut Random, end: &str) -> Endpoint {
    let end = end.end();
    port(end, end.port.wrapping_add(if random.one_in(3) { random.below(40) as u16 } else { 0 }))
}

/// What the receiver of `octets` might send back, or its sender send again.
fn answer(random: &mut Random, octets: &[u8]) -> Vec<u8> {
    let mut back = octets.to_vec();
    let header = usize::from(octets[0] & 15) * 4;
    match random.below(4) {
        0 => return back,
        1 => {
            let (from, to) = (u32_at(octets, 16), u32_at(octets, 12));
            let quoted = &octets[..octets.len().min(random.of(&[20, 28, 36, 548]))];
            let kind = random.of(&[3, 4, 5, 11, 12]);
            return icmp_error(from.into(), to.into(), kind, random.below(16) as u8, quoted).octets();
        }
        _ => {}
    }
    back[12..20].rotate_left(4);
    if matches!(octets[9], 6 | 17) && octets.len() >= header + 4 {
        back[header..header + 4].rotate_left(2);
    }
    if octets[9] == 6 && octets.len() >= header + 20 && random.one_in(2) {
        back[header + 13] = random.of(&[0x12, 0x10, 0x11, 0x14, 0x04, 0x02]);
    }
    if octets[9] == 1 && octets.len() > header {
        back[header] ^= 8;
    }
    repair(&mut back, true);
    back
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

/// One thing wrong.
fn mutate(random: &mut Random, octets: &mut Vec<u8>) {
    let at = random.below(octets.len().min(80));
    match random.below(9) {
        0 => octets.truncate(at),
        1 => octets.extend(std::iter::repeat_n(random.next() as u8, random.below(70))),
        2 if octets.len() > at => octets[at] ^= 1 << random.below(8),
        3 if octets.len() > at => octets[at] = random.of(&[0, 1, 0x7f, 0x80, 0xff]),
        4 if octets.len() > 7 => octets[6 + random.below(2)] = random.next() as u8,
        5 if octets.len() > 3 => octets[2..4].copy_from_slice(&(random.next() as u16).to_be_bytes()),
        6 if !octets.is_empty() => octets[0] = 0x40 | random.of(&[0, 4, 5, 6, 15]),
        7 if octets.len() > 9 => octets[9] = random.of(&[1, 6, 17, 0, 255]),
        8 if octets.len() > at + 20 => octets[at..].rotate_left(random.below(20)),
        _ => {}
    }
}

/// Makes length and checksums right, as far as there is anything to be right.
fn repair(octets: &mut Vec<u8>, length: bool) {
    if octets.len() < 20 {
        return;
    }
    octets.truncate(65_535);
    if length {
        let len = octets.len() as u16;
        octets[2..4].copy_from_slice(&len.to_be_bytes());
    }
    if octets.len() >= usize::from(octets[0] & 15) * 4 && octets[0] & 15 >= 5 {
        fix(octets);
    }
}

/// Settings under which one thing or another runs out.
fn configs() -> Vec<Config> {
    let mut tight = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 1_020..=1_040);
    tight.limits.sessions = 24;
    tight.limits.mappings = 16;
    tight.limits.subscribers = 3;
    tight.limits.ports_per_subscriber = 4;
    tight.limits.sessions_per_subscriber = 9;
    tight.fragments.datagrams = 6;
    tight.fragments.waiting_per_source = 3;
    tight.fragments.waiting_octets = 3_000;
    tight.ports.preserve = false;
    tight.ports.hold_max = 5;
    tight.mtu.outside = 576;
    tight.mss_clamp = Some(536);
    tight.icmp_errors_per_second = 3;
    tight.udp.inbound_refresh = false;
    let mut rated = config_with(&["192.0.2.1"], 4_001..=4_003);
    rated.limits.session_rate_per_subscriber = 2;
    rated.limits.report_interval = Duration::from_secs(1);
    rated.ports.algorithm = Algorithm::RandomIncrements;
    rated.tcp.opening = Duration::from_secs(1);
    rated.tcp.closing = Duration::from_secs(1);
    rated.tcp.time_wait = Duration::from_secs(1);
    rated.tcp_checks = TcpChecks {
        rst: RstPolicy::Delete,
        time_wait: TimeWaitPolicy::Rfc6191,
        paws: true,
        monotonic_rewrite: true,
        resend_last_ack: true,
    };
    rated.ports.hold = Duration::ZERO;
    rated.scrub.urgent_pointer = Action::Drop;
    rated.scrub.reserved_bits = Action::Drop;
    rated.scrub.out_of_window = Watch::Drop;
    rated.scrub.war_limit = Some(4);
    rated.scrub.sample = Some(2);
    let mut sharded = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 1..=65_535);
    sharded.shard.count = 2;
    sharded.mtu.inside = 1_000;
    sharded.ports.algorithm = Algorithm::RandomAgain;
    sharded.bypass = vec!["203.0.113.80/32".parse().expect("a prefix")];
    let mut one = config_with(&["192.0.2.1"], 4_001..=4_001);
    one.limits.sessions = 1;
    one.limits.mappings = 1;
    one.limits.subscribers = 1;
    one.fragments.datagrams = 1;
    let large = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 1_024..=65_535);
    use nat::config::Behaviour::{AddressAndPortDependent, AddressDependent};
    let mut strict = large.clone();
    (strict.filtering.tcp, strict.filtering.udp) = (AddressDependent, AddressAndPortDependent);
    strict.mapping.behaviour = AddressDependent;
    let mut guarded = large.clone();
    guarded.filtering.protocol_independent = true;
    guarded.limits.inbound_sessions_per_mapping = 1;
    guarded.limits.inbound_sessions_per_subscriber = 3;
    let mut slow = large.clone();
    slow.limits.inbound_rate_per_subscriber = 1;
    let mut blocked = large.clone();
    blocked.pools[0].blocks = Some(nat::config::Blocks {
        size: 2,
        max_per_subscriber: 1,
        shared: nat::config::SharedPorts::None,
        deterministic: false,
    });
    vec![large, tight, rated, sharded, one, strict, guarded, slow, blocked, extreme()]
}

/// The largest of every number that is allowed, but for those that cost memory.
fn extreme() -> Config {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 65_535..=65_535);
    let month = Duration::from_secs(30 * 86_400);
    config.tcp = TcpTimeouts {
        opening: month,
        established: month,
        closing: month,
        time_wait: month,
        transitory: month,
    };
    config.udp.timeout = month;
    config.icmp_timeout = month;
    config.ports.hold = month;
    config.ports.hold_max = u32::MAX;
    config.limits.report_interval = month;
    config.limits.session_rate_per_subscriber = u32::MAX;
    config.limits.sessions_per_subscriber = 1 << 28;
    config.limits.ports_per_subscriber = 65_535;
    config.fragments.timeout = Duration::from_secs(120);
    config.fragments.datagrams = 1 << 24;
    config.fragments.waiting_per_source = 65_535;
    config.fragments.waiting_octets = 1 << 30;
    config.mtu = Mtu { inside: u16::MAX, outside: u16::MAX };
    config.mss_clamp = Some(65_495);
    config.icmp_errors_per_second = 1_000_000;
    config
}

// covers: B3, B4, B10, N10
#[test]
fn whatever_comes_the_engine_stays_consistent() {
    let mut dropped = BTreeSet::new();
    let (mut forwarded, mut split) = (0, 0);
    for (n, config) in configs().iter().enumerate() {
        let mut run = Run::new(config, 0x5eed + n as u64 * 77);
        for batch in 0..BATCHES {
            run.tick();
            run.batch();
            if batch % 8 == 0 {
                run.ledger.check(&run.engine);
            }
        }
        run.finish();
        let counters = run.engine.counters();
        dropped.extend(counters.drops().map(|(reason, _)| reason.name()));
        forwarded += counters.forwarded.iter().sum::<u64>();
        split += run.ledger.split;
    }
    // A fuzz that reaches nothing proves nothing.
    // There is no link layer in front of these packets.
    dropped.extend([Malformed::LinkTruncated, Malformed::VlanDepth].map(Malformed::name));
    // These take a connection that is opened and closed in order; the model's traffic has such.
    dropped.extend(
        [Reason::OldDuplicate, Reason::TimeWaitSyn, Reason::FtpPending, Reason::WarDamped].map(Reason::name),
    );
    let missed: Vec<_> = Reason::all().map(Reason::name).filter(|name| !dropped.contains(name)).collect();
    assert!(missed.is_empty(), "no packet was dropped for {missed:?}");
    assert!(forwarded > 30_000 && split > 500, "{forwarded} forwarded, {split} pieces");
}

// covers: B10
#[test]
fn octets_at_random_are_refused_and_change_nothing() {
    let mut random = Random(0xdead_beef_0bad_cafe);
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    let before = world.snapshot();
    for n in 0..40_000 {
        let len = random.below(120);
        let mut octets: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        // Half of them look like IPv4, or nothing would get past its first octet.
        if n % 2 == 0 && len >= 20 {
            octets[0] = 0x45;
            octets[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            fix_ip(&mut octets);
        }
        let checksum = random.of(&[Checksum::Full, Checksum::Verified, Checksum::Partial]);
        let offload = Offload { checksum, gso_size: random.next() as u16 };
        let from = random.of(&[Inside, Outside]);
        let outcome = world.send(from, Octets { data: octets, offload });
        assert!(matches!(outcome.verdict, Verdict::Drop(_)), "{outcome:?}");
        assert_eq!(outcome.before, outcome.after);
    }
    let after = world.snapshot();
    assert_eq!(
        (after.mappings, after.sessions, after.timeout),
        (before.mappings, before.sessions, before.timeout)
    );
    assert_eq!(after.counters.dropped.iter().sum::<u64>(), 40_000);
}
