//! The engine on one core under attack: what is left for established flows, and what memory is taken.
//!
//! `cargo bench -p hairpin-nat --bench attack [-- outside limit]` prints a line of JSON for each figure,
//! behind `bench: `. The core is kept busy with established flows; into them so many packets of the
//! attack are mixed as are offered in the time that the engine has taken so far. With and without it in
//! turn, so that the ratio holds where a figure does not. Packets are built outside the timed part.

mod common;

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant as Clock;

use common::{EACH, Flow, LEN, PIECE, Random, flow, resident, write};
use hairpin_nat as nat;
use nat::config::{Config, Pool};
use nat::event::EventKind;
use nat::{BATCH, Endpoint, Engine, Offload, Packet, Protocol, Realm, Verdict};
use rules::Instant;
use wire::tcp::Flags;

/// Established sessions.
const SESSIONS: usize = 65_536;
/// Pairs of rounds, and the seconds of each: half a minute of attack in all.
const ROUNDS: usize = 5;
const SECONDS: f64 = 6.0;
/// Spoofed packets a second.
const SPOOFED: f64 = 5e6;
/// Packets of established flows a second, where the core is not to be full without an attack.
const CALM: f64 = 4e6;
/// New flows that a subscriber at its limit tries a second.
const TRIED: f64 = 1e6;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|arg| arg == name);
    if wants("outside") {
        let name = "5 M/s of spoofed inbound packets";
        let note = "random sources to random ports of the pool: UDP, TCP SYN, TCP ACK and TCP RST, mapped and unmapped";
        compare(name, note, SPOOFED, spoofed);
        beside_calm("5 M/s of spoofed inbound packets", SPOOFED, spoofed);
        each_kind();
    }
    if wants("limit") {
        let name = "1 M/s of new flows of a subscriber at its limit";
        compare(name, "other subscribers' established flows", TRIED, at_limit);
        beside_calm(name, TRIED, at_limit);
    }
}

fn config() -> Config {
    let pool = Pool::new(vec![Ipv4Addr::new(203, 0, 113, 0)..=Ipv4Addr::new(203, 0, 113, 1)], 1_024..=65_535);
    let mut config = Config::new(vec!["100.64.0.0/10".parse().expect("a prefix")], vec![pool]);
    config.gateway.inside = Ipv4Addr::new(100, 127, 0, 1);
    config.limits.sessions = 4 * SESSIONS as u32;
    config.limits.mappings = 4 * SESSIONS as u32;
    // What a subscriber has, and a little of it for strangers.
    config.limits.sessions_per_subscriber = EACH as u32 + 100;
    config.limits.inbound_sessions_per_subscriber = 100;
    config.limits.inbound_rate_per_subscriber = 10;
    config
}

/// The packet of an attack, and where it comes from.
type Attack = fn(&mut Random, &[Flow], &mut [u8; LEN]) -> Realm;

/// What anybody outside can send.
const KINDS: [(&str, Protocol, Flags); 4] = [
    ("UDP", Protocol::Udp, Flags::ACK),
    ("TCP SYN", Protocol::Tcp, Flags::SYN),
    ("TCP ACK", Protocol::Tcp, Flags::ACK),
    ("TCP RST", Protocol::Tcp, Flags::RST),
];

/// Any of them, to a port that is mapped every fourth time.
fn spoofed(random: &mut Random, flows: &[Flow], buffer: &mut [u8; LEN]) -> Realm {
    let dice = random.next();
    spoof(random, flows, buffer, (dice >> 60 & 3) as usize, dice >> 62 == 0)
}

fn spoof(random: &mut Random, flows: &[Flow], buffer: &mut [u8; LEN], kind: usize, is_mapped: bool) -> Realm {
    let dice = random.next();
    let source = Endpoint::new(
        Ipv4Addr::from_bits(Ipv4Addr::new(20, 0, 0, 0).to_bits() + (dice as u32 >> 8)),
        (dice >> 40) as u16 | 1,
    );
    let (place, (_, protocol, flags)) = (random.next(), KINDS[kind]);
    let target = if is_mapped {
        flows[(place % flows.len() as u64) as usize].external
    } else {
        let address = Ipv4Addr::new(203, 0, 113, (place & 1) as u8);
        Endpoint::new(address, 1_024 + (place >> 8) as u16 % 64_512)
    };
    write(buffer, protocol, source, target, flags);
    Realm::Outside
}

/// A subscriber who has all that it may have wants more.
fn at_limit(random: &mut Random, flows: &[Flow], buffer: &mut [u8; LEN]) -> Realm {
    let dice = random.next();
    let subscriber = flows[0].internal.address;
    let source = Endpoint::new(subscriber, 20_000 + (dice >> 16) as u16 % 40_000);
    let remote = Endpoint::new(Ipv4Addr::from_bits(0x1400_0000 | (dice >> 40) as u32), 443);
    let protocol = if dice & 1 == 0 { Protocol::Udp } else { Protocol::Tcp };
    write(buffer, protocol, source, remote, Flags::SYN);
    Realm::Inside
}

/// An engine with its flows, and packets for it.
struct Bench {
    engine: Engine,
    flows: Vec<Flow>,
    random: Random,
    buffers: Vec<[u8; LEN]>,
    realms: Vec<Realm>,
    /// Whether a packet is of an established flow.
    ours: Vec<bool>,
    now: Instant,
}

/// Established flows that leave the core time of its own, half a minute of it: what of them gets through when
/// the attack comes on top, and what does not fit is lost of both alike.
fn beside_calm(name: &str, offered: f64, attack: Attack) {
    let mut bench = Bench::new();
    bench.round(1.0, offered, attack);
    let mut shares: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let packets = bench.mixed(SECONDS, offered / (offered + CALM), attack);
            (packets / (offered + CALM)).min(1.0)
        })
        .collect();
    shares.sort_by(f64::total_cmp);
    println!(
        "bench: {{\"group\":\"engine under attack\",\"name\":\"4 M/s of established flows with {name}\",\"unit\":\"share\",\"ours\":{:.3},\"ours_min\":{:.3},\"ours_max\":{:.3},\"target\":0.8,\"note\":\"that gets through one core; beyond what it can do, both lose alike\"}}",
        shares[ROUNDS / 2],
        shares[0],
        shares[ROUNDS - 1]
    );
}

/// What one packet of each kind costs, alone in its batch with others of its kind.
fn each_kind() {
    let mut bench = Bench::new();
    bench.ours.fill(false);
    for (kind, (name, ..)) in KINDS.iter().enumerate() {
        for (is_mapped, port) in [(false, "any"), (true, "a mapped")] {
            let mut costs: Vec<f64> = (0..41).map(|_| bench.cost(kind, is_mapped)).collect();
            costs.sort_by(f64::total_cmp);
            println!(
                "bench: {{\"group\":\"engine under attack\",\"name\":\"a spoofed {name} to {port} port\",\"unit\":\"ns\",\"ours\":{:.1},\"ours_min\":{:.1},\"ours_max\":{:.1}}}",
                costs[20], costs[0], costs[40]
            );
        }
    }
}

fn compare(name: &str, note: &str, offered: f64, attack: Attack) {
    let mut bench = Bench::new();
    // Everything is touched once, and the limits are reached.
    bench.round(0.5, 0.0, attack);
    bench.round(1.0, offered, attack);
    let before = resident();
    let (mut under, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let quiet = bench.round(SECONDS / 2.0, 0.0, attack);
        let attacked = bench.round(SECONDS, offered, attack);
        under.push(attacked);
        ratios.push(attacked / quiet);
    }
    let grown = (resident() - before).max(0);
    ratios.sort_by(f64::total_cmp);
    under.sort_by(f64::total_cmp);
    let middle = ROUNDS / 2;
    println!(
        "bench: {{\"group\":\"engine under attack\",\"name\":\"established flows with {name}\",\"unit\":\"Mpps\",\"ours\":{:.2},\"peer\":{:.2},\"ratio_min\":{:.3},\"ratio_median\":{:.3},\"ratio_max\":{:.3},\"target\":0.8,\"note\":\"{note}; the peer is the same core without; {} s of it\"}}",
        under[middle],
        under[middle] / ratios[middle],
        ratios[0],
        ratios[middle],
        ratios[ROUNDS - 1],
        SECONDS * ROUNDS as f64
    );
    println!(
        "bench: {{\"group\":\"engine under attack\",\"name\":\"memory that is added by {name}\",\"unit\":\"octets\",\"ours\":{grown},\"target\":65536,\"at_most\":true,\"note\":\"resident, after a second of it\"}}"
    );
}

impl Bench {
    fn new() -> Self {
        let now = Instant::from_secs(1);
        let mut bench = Self {
            engine: Engine::new(&config(), [7; 32], now).expect("a good configuration"),
            flows: (0..SESSIONS).map(flow).collect(),
            random: Random(0x1234_5678_9abc_def1),
            buffers: vec![[0; LEN]; PIECE],
            realms: vec![Realm::Inside; PIECE],
            ours: vec![true; PIECE],
            now,
        };
        bench.open_all();
        bench
    }

    /// Packets a second of a mixture, of which `share` is the attack's.
    fn mixed(&mut self, seconds: f64, share: f64, attack: Attack) -> f64 {
        let (mut spent, mut count, limit) = (0.0, 0, (share * 2_f64.powi(32)) as u64);
        while spent < seconds {
            for n in 0..PIECE {
                self.ours[n] = self.random.next() >> 32 >= limit;
                let build: Attack = if self.ours[n] { established } else { attack };
                self.realms[n] = build(&mut self.random, &self.flows, &mut self.buffers[n]);
            }
            let start = Clock::now();
            self.handle(PIECE);
            let piece = start.elapsed();
            self.now = self.now + piece;
            spent += piece.as_secs_f64();
            count += PIECE;
        }
        count as f64 / spent
    }

    /// Nanoseconds for a packet, over one piece of them.
    fn cost(&mut self, kind: usize, is_mapped: bool) -> f64 {
        for n in 0..PIECE {
            self.realms[n] = spoof(&mut self.random, &self.flows, &mut self.buffers[n], kind, is_mapped);
        }
        let start = Clock::now();
        self.handle(PIECE);
        start.elapsed().as_secs_f64() * 1e9 / PIECE as f64
    }

    /// Opens every flow and learns its external endpoint from the event.
    fn open_all(&mut self) {
        let mut flows = std::mem::take(&mut self.flows);
        for flows in flows.chunks_mut(BATCH) {
            for (buffer, flow) in self.buffers.iter_mut().zip(flows.iter()) {
                write(buffer, flow.protocol, flow.internal, flow.remote, Flags::SYN);
            }
            self.realms.fill(Realm::Inside);
            self.handle(flows.len());
            let mut created = flows.iter_mut();
            while let Some(event) = self.engine.poll_event() {
                if let EventKind::MappingCreated(id) = event.kind {
                    created.next().expect("one for each").external = id.external;
                }
            }
            for (buffer, flow) in self.buffers.iter_mut().zip(flows.iter()) {
                write(buffer, flow.protocol, flow.remote, flow.external, Flags::SYN | Flags::ACK);
            }
            self.realms.fill(Realm::Outside);
            self.handle(flows.len());
        }
        self.flows = flows;
        assert_eq!(self.engine.session_count() as usize, SESSIONS);
    }

    /// Keeps the core busy for `seconds` of the engine's time, with `offered` packets of the attack a
    /// second among established flows; how many of these it forwarded, in millions a second.
    fn round(&mut self, seconds: f64, offered: f64, attack: Attack) -> f64 {
        let (mut spent, mut attacked, mut forwarded) = (0.0, 0.0, 0_u64);
        let mut last_piece = 0.001;
        while spent < seconds {
            // What will have been offered when this piece is done, less what has been.
            let owed = (offered * (spent + last_piece) - attacked).clamp(0.0, PIECE as f64);
            let share = (owed / PIECE as f64 * 2_f64.powi(32)) as u64;
            for n in 0..PIECE {
                let ours = self.random.next() >> 32 >= share;
                self.ours[n] = ours;
                if ours {
                    self.realms[n] = established(&mut self.random, &self.flows, &mut self.buffers[n]);
                } else {
                    attacked += 1.0;
                    self.realms[n] = attack(&mut self.random, &self.flows, &mut self.buffers[n]);
                }
            }
            let start = Clock::now();
            forwarded += self.handle(PIECE);
            last_piece = start.elapsed().as_secs_f64();
            spent += last_piece;
            // The engine's clock goes as its time does.
            self.now = self.now + core::time::Duration::from_secs_f64(last_piece);
        }
        // A core that the attack alone is too much for has forwarded next to nothing.
        forwarded as f64 / spent / 1e6
    }

    /// The first `count` packets through the engine, and what comes of them; how many of our own were
    /// forwarded, which has to be all.
    fn handle(&mut self, count: usize) -> u64 {
        let mut verdicts = [Verdict::Held; BATCH];
        let (mut forwarded, mut out) = (0, [0; 2_048]);
        for first in (0..count).step_by(BATCH) {
            let range = first..count.min(first + BATCH);
            let mut packets: Vec<Packet<'_>> = Vec::with_capacity(BATCH);
            let realms = &self.realms[range.clone()];
            packets.extend(self.buffers[range.clone()].iter_mut().zip(realms).map(|(data, &from)| Packet {
                data,
                from,
                offload: Offload::default(),
            }));
            self.engine.handle_batch(&mut packets, &mut verdicts, self.now);
            for (verdict, &ours) in verdicts.iter().zip(&self.ours[range]) {
                assert!(!ours || matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
                forwarded += u64::from(ours);
            }
            black_box(&mut packets);
            while let Some(sent) = self.engine.poll_transmit(&mut out) {
                black_box(sent);
            }
            if !self.flows.is_empty() {
                while let Some(event) = self.engine.poll_event() {
                    black_box(event);
                }
            }
        }
        forwarded
    }
}

/// A packet of any flow but those of the first subscriber, in either direction.
fn established(random: &mut Random, flows: &[Flow], buffer: &mut [u8; LEN]) -> Realm {
    let dice = random.next();
    let flow = flows[EACH + (dice % (flows.len() - EACH) as u64) as usize];
    if dice & 1 << 60 == 0 {
        write(buffer, flow.protocol, flow.internal, flow.remote, Flags::ACK);
        Realm::Inside
    } else {
        write(buffer, flow.protocol, flow.remote, flow.external, Flags::ACK);
        Realm::Outside
    }
}
