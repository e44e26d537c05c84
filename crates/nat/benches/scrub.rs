//! What scrubbing costs: in the NAT, as the difference of two engines that are given the same packets in turn;
//! and alone, without connection state and with it, the latter beside the NAT with the same checks.
//!
//! `cargo bench -p hairpin-nat --bench scrub` prints a line of JSON for each figure, behind `bench: `. Packets are
//! built outside of the timed part, 16,384 at a time. Pairs are run A B A B and compared round by round.

mod common;

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant as Clock;

use common::{EACH, LEN, PIECE, Random};
use hairpin_nat as nat;
use nat::config::{Config, Pool, Scrub, Watch};
use nat::event::EventKind;
use nat::{BATCH, Endpoint, Engine, Offload, Packet, Realm, Scrubber, Verdict};
use rules::Instant;
use wire::craft;
use wire::tcp::Flags;

/// Pieces of a round: four million packets.
const PIECES: usize = 256;
const ROUNDS: usize = 9;
const FLOWS: usize = 65_536;

fn main() {
    cost_in_the_engine();
    stateless();
    stateful();
}

/// One TCP connection as the bench knows it.
#[derive(Clone, Copy)]
struct Flow {
    internal: Endpoint,
    remote: Endpoint,
    external: Endpoint,
}

fn flows() -> Vec<Flow> {
    let flow = |number: usize| {
        let address = Ipv4Addr::from_bits(0x6440_0001 + (number / EACH) as u32);
        let remote = Ipv4Addr::from_bits(0xc612_0001 + (number * 7 % 65_536) as u32);
        let internal = Endpoint::new(address, 10_000 + (number % EACH) as u16);
        Flow { internal, remote: Endpoint::new(remote, 443), external: internal }
    };
    (0..FLOWS).map(flow).collect()
}

fn config(scrub: Scrub) -> Config {
    let pool = Pool::new(vec![Ipv4Addr::new(203, 0, 113, 0)..=Ipv4Addr::new(203, 0, 113, 2)], 1..=65_535);
    let mut config = Config::new(vec!["100.64.0.0/10".parse().expect("a prefix")], vec![pool]);
    config.limits.sessions = FLOWS as u32;
    config.limits.mappings = FLOWS as u32;
    config.scrub = scrub;
    config
}

/// What both kinds of engine have.
trait Handles {
    fn handle(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict]);
}

impl Handles for Engine {
    fn handle(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict]) {
        self.handle_batch(packets, verdicts, Instant::from_secs(1));
    }
}

impl Handles for Scrubber {
    fn handle(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict]) {
        self.handle_batch(packets, verdicts, Instant::from_secs(1));
    }
}

/// Nanoseconds for each of `buffers`.
fn run(engine: &mut impl Handles, buffers: &mut [[u8; LEN]], realms: &[Realm]) -> f64 {
    let count = buffers.len() as f64;
    let start = Clock::now();
    let mut verdicts = [Verdict::Held; BATCH];
    for (buffers, realms) in buffers.chunks_mut(BATCH).zip(realms.chunks(BATCH)) {
        let mut packets: Vec<Packet<'_>> = Vec::with_capacity(BATCH);
        let each = buffers.iter_mut().zip(realms);
        packets.extend(each.map(|(data, from)| Packet { data, from: *from, offload: Offload::default() }));
        engine.handle(&mut packets, &mut verdicts);
        assert!(verdicts[..packets.len()].iter().all(|verdict| matches!(verdict, Verdict::Forward(_))));
        black_box(&mut packets);
    }
    start.elapsed().as_nanos() as f64 / count
}

fn write(buffer: &mut [u8; LEN], (source, destination): (Endpoint, Endpoint), flags: Flags, urgent: u16) {
    let header = craft::Header::new(source.address, destination.address);
    let segment = craft::Segment { urgent, ..craft::Segment::new(source.port, destination.port, flags) };
    assert_eq!(craft::tcp(buffer, &header, &segment, &[0; LEN - 40]), Some(LEN));
}

/// Opens every flow in a NAT and learns its external endpoint.
fn open_nat(engine: &mut Engine, flows: &mut [Flow]) {
    let mut buffers = vec![[0u8; LEN]; BATCH];
    for flows in flows.chunks_mut(BATCH) {
        for (buffer, flow) in buffers.iter_mut().zip(flows.iter()) {
            write(buffer, (flow.internal, flow.remote), Flags::SYN, 0);
        }
        run(engine, &mut buffers, &[Realm::Inside; BATCH]);
        let mut created = flows.iter_mut();
        while let Some(event) = engine.poll_event() {
            if let EventKind::MappingCreated(id) = event.kind {
                created.next().expect("one for each").external = id.external;
            }
        }
        for (buffer, flow) in buffers.iter_mut().zip(flows.iter()) {
            write(buffer, (flow.remote, flow.external), Flags::SYN | Flags::ACK, 0);
        }
        run(engine, &mut buffers, &[Realm::Outside; BATCH]);
    }
}

/// The same in a scrubber, which sees no external endpoints.
fn open_alone(scrubber: &mut Scrubber, flows: &[Flow]) {
    let mut buffers = vec![[0u8; LEN]; BATCH];
    for flows in flows.chunks(BATCH) {
        for realm in [Realm::Inside, Realm::Outside] {
            for (buffer, flow) in buffers.iter_mut().zip(flows) {
                match realm {
                    Realm::Inside => write(buffer, (flow.internal, flow.remote), Flags::SYN, 0),
                    Realm::Outside => write(buffer, (flow.remote, flow.internal), Flags::SYN | Flags::ACK, 0),
                }
            }
            run(scrubber, &mut buffers, &[realm; BATCH]);
        }
    }
}

/// Packets of random flows, both ways; `urgent`: with an urgent indication.
struct Traffic {
    random: Random,
    buffers: Vec<[u8; LEN]>,
    realms: Vec<Realm>,
    picks: Vec<usize>,
}

impl Traffic {
    fn new() -> Self {
        Self {
            random: Random(0x1234_5678_9abc_def1),
            buffers: vec![[0; LEN]; PIECE],
            realms: vec![Realm::Inside; PIECE],
            picks: vec![0; PIECE],
        }
    }

    fn draw(&mut self) {
        for (pick, realm) in self.picks.iter_mut().zip(&mut self.realms) {
            *pick = (self.random.next() % FLOWS as u64) as usize;
            *realm = if self.random.next() & 1 << 40 == 0 { Realm::Inside } else { Realm::Outside };
        }
    }

    /// The packets that were drawn, as `flows` have them.
    fn build(&mut self, flows: &[Flow], urgent: bool) {
        let (flags, pointer) = if urgent { (Flags::ACK | Flags::URG, 1) } else { (Flags::ACK, 0) };
        for ((buffer, realm), pick) in self.buffers.iter_mut().zip(&self.realms).zip(&self.picks) {
            let flow = flows[*pick];
            let ends = match realm {
                Realm::Inside => (flow.internal, flow.remote),
                Realm::Outside => (flow.remote, flow.external),
            };
            write(buffer, ends, flags, pointer);
        }
    }
}

/// Both get the same packets, piece by piece in turn; nanoseconds a packet of each, by round.
fn pairs(
    traffic: &mut Traffic,
    (one, one_flows): (&mut impl Handles, &[Flow]),
    (other, other_flows): (&mut impl Handles, &[Flow]),
    urgent: bool,
) -> Vec<[f64; 2]> {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut spent = [0.0; 2];
        for piece in 0..PIECES / 2 {
            traffic.draw();
            // Who goes first has the colder cache: they take turns.
            for turn in [piece % 2, 1 - piece % 2] {
                if turn == 0 {
                    traffic.build(one_flows, urgent);
                    spent[0] += run(one, &mut traffic.buffers, &traffic.realms);
                } else {
                    traffic.build(other_flows, urgent);
                    spent[1] += run(other, &mut traffic.buffers, &traffic.realms);
                }
            }
        }
        if round > 0 {
            rounds.push(spent.map(|nanos| nanos / (PIECES / 2) as f64));
        }
    }
    rounds
}

/// C1 and C2 as they are shipped, against nothing at all.
fn cost_in_the_engine() {
    let now = Instant::from_secs(1);
    let mut flows_on = flows();
    let mut flows_off = flows();
    let mut on = Engine::new(&config(Scrub::default()), [7; 32], now).expect("good");
    let mut off = Engine::new(&config(Scrub::off()), [7; 32], now).expect("good");
    open_nat(&mut on, &mut flows_on);
    open_nat(&mut off, &mut flows_off);
    let mut traffic = Traffic::new();
    for (urgent, name, target) in [
        (false, "scrubbing in the NAT, a packet", Some(3.0)),
        (true, "scrubbing in the NAT, a packet that is changed", None),
    ] {
        let rounds = pairs(&mut traffic, (&mut on, &flows_on), (&mut off, &flows_off), urgent);
        let mut costs: Vec<f64> = rounds.iter().map(|[on, off]| on - off).collect();
        let plain: Vec<f64> = rounds.iter().map(|[_, off]| *off).collect();
        let note = format!("beyond {:.1} ns without", plain.iter().sum::<f64>() / plain.len() as f64);
        report(name, "ns", &mut costs, target, true, &note);
    }
}

/// C1, C2 and C4, each packet by itself.
fn stateless() {
    let flows = flows();
    let mut scrub = Scrub { ttl_floor: 32, ..Scrub::default() };
    scrub.reserved_bits = nat::config::Action::Clear;
    let mut alone = Scrubber::new(&config(scrub), [7; 32], Instant::from_secs(1)).expect("good");
    let mut traffic = Traffic::new();
    for (urgent, name, target) in [
        (false, "scrubber alone, no connection state", Some(20.0)),
        (true, "scrubber alone, no connection state, every packet changed", None),
    ] {
        let mut rates = Vec::new();
        for round in 0..ROUNDS {
            let mut spent = 0.0;
            for _ in 0..PIECES / 2 {
                traffic.draw();
                traffic.build(&flows, urgent);
                spent += run(&mut alone, &mut traffic.buffers, &traffic.realms);
            }
            if round > 0 {
                rates.push(1e3 * (PIECES / 2) as f64 / spent);
            }
        }
        report(name, "Mpps", &mut rates, target, false, "64 octets, checksums verified");
    }
}

/// C3 alone and in the NAT.
fn stateful() {
    let now = Instant::from_secs(1);
    let scrub = || Scrub {
        out_of_window: Watch::Drop,
        war_limit: Some(8),
        flows: Some(FLOWS as u32),
        ..Scrub::default()
    };
    let (plain, mut translated) = (flows(), flows());
    let mut alone = Scrubber::new(&config(scrub()), [7; 32], now).expect("good");
    let mut engine = Engine::new(&config(scrub()), [7; 32], now).expect("good");
    open_alone(&mut alone, &plain);
    open_nat(&mut engine, &mut translated);
    assert_eq!((alone.flow_count(), engine.session_count()), (FLOWS as u32, FLOWS as u32));
    let mut traffic = Traffic::new();
    let rounds = pairs(&mut traffic, (&mut alone, &plain), (&mut engine, &translated), false);
    let median = |of: &dyn Fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        [values[0], values[values.len() / 2], values[values.len() - 1]]
    };
    let [least, middle, most] = median(&|[alone, nat]| nat / alone);
    let ours = 1e3 / median(&|[alone, _]| *alone)[1];
    let peer = 1e3 / median(&|[_, nat]| *nat)[1];
    println!(
        "bench: {{\"group\":\"scrubber\",\"name\":\"scrubber alone, {FLOWS} connections followed\",\"unit\":\"Mpps\",\"ours\":{ours:.2},\"peer\":{peer:.2},\"ratio_min\":{least:.3},\"ratio_median\":{middle:.3},\"ratio_max\":{most:.3},\"target\":1,\"note\":\"peer: our NAT with the same checks\"}}"
    );
}

fn report(name: &str, unit: &str, values: &mut [f64], target: Option<f64>, at_most: bool, note: &str) {
    values.sort_by(f64::total_cmp);
    let (min, median, max) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    let target = target.map_or(String::new(), |target| format!(",\"target\":{target}"));
    println!(
        "bench: {{\"group\":\"scrubber\",\"name\":\"{name}\",\"unit\":\"{unit}\",\"ours\":{median:.2},\"ours_min\":{min:.2},\"ours_max\":{max:.2}{target},\"at_most\":{at_most},\"note\":\"{note}\"}}"
    );
}
