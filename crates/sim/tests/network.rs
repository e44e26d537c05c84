//! The network itself: faults, order, determinism, bounds, and drawings of all of it.

use std::net::Ipv4Addr;
use std::time::Duration;

use hairpin_sim::explore::{Plan, Stand, explore};
use hairpin_sim::ladder::{self, Numbers, Style};
use hairpin_sim::scenario::Side;
use hairpin_sim::{
    Behaviour, Bounds, Ended, Fate, Hairpin, Host, Instant, Link, Network, Node, NodeId, Why, war,
};
use tcp::State;
use wire::craft;

/// Sends datagrams when told to, keeps what arrives, and answers if it is an echo.
#[derive(Default)]
struct Talker {
    outgoing: Vec<Vec<u8>>,
    received: Vec<(Instant, Vec<u8>)>,
    echo: bool,
}

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

fn datagram(from: usize, number: u16, payload: usize) -> Vec<u8> {
    let mut buffer = vec![0; 2_000];
    let header = craft::Header::new(ADDRESSES[from], ADDRESSES[1 - from]);
    let len = craft::udp(&mut buffer, &header, number, 9, &vec![7; payload]).expect("it fits");
    buffer.truncate(len);
    buffer
}

impl Talker {
    fn numbers(&self) -> Vec<u16> {
        self.received.iter().map(|(_, packet)| u16::from_be_bytes([packet[20], packet[21]])).collect()
    }
}

impl Node for Talker {
    fn handle_packet(&mut self, packet: &[u8], now: Instant) {
        self.received.push((now, packet.to_vec()));
        if self.echo {
            let from = usize::from(packet[15] == 1);
            self.outgoing.push(datagram(from, 1, 0));
        }
    }

    fn poll_transmit(&mut self, buf: &mut [u8], _: Instant) -> Option<usize> {
        let packet = self.outgoing.pop()?;
        buf[..packet.len()].copy_from_slice(&packet);
        Some(packet.len())
    }

    fn poll_timeout(&mut self, _: Instant) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}
}

/// A network in which A sends `count` datagrams over `link`, one a millisecond.
fn sent(seed: u64, link: Link, count: u16) -> Network<Talker> {
    let mut network = Network::new(seed);
    for (name, address) in ["A", "B"].iter().zip(ADDRESSES) {
        network.attach(name, Box::new(Talker::default()), &[address]);
    }
    network.link(A, B, link);
    for number in 0..count {
        let at = Instant::from_millis(u64::from(number));
        network.at(at, A, move |node: &mut Talker, _| node.outgoing.push(datagram(0, number, 100)));
    }
    assert_eq!(network.run_until(Instant::from_secs(60)), Ended::Quiet);
    network
}

#[test]
fn a_perfect_link_delays_and_does_nothing_else() {
    let network = sent(1, Link { delay: Duration::from_millis(7), ..Link::default() }, 50);
    let received = &network.node(B).received;
    assert_eq!(network.node(B).numbers(), (0..50).collect::<Vec<_>>());
    for (number, (at, packet)) in received.iter().enumerate() {
        assert_eq!(*at, Instant::from_millis(number as u64 + 7));
        assert_eq!(*packet, datagram(0, number as u16, 100));
    }
}

#[test]
fn loss_duplication_and_corruption_happen_as_often_as_they_should() {
    let link = Link { loss: 200_000, duplicate: 100_000, corrupt: 50_000, ..Link::default() };
    let network = sent(3, link, 10_000);
    let packets = network.log().packets();
    let lost = packets.iter().filter(|packet| packet.fate == Fate::Lost(Why::Loss)).count();
    let copies = packets.iter().filter(|packet| packet.copy_of.is_some()).count();
    let corrupted = packets.iter().filter(|packet| packet.corrupted).count();
    assert!((1_800..2_200).contains(&lost), "{lost}");
    assert!((700..900).contains(&copies), "{copies}");
    assert!((320..480).contains(&corrupted), "{corrupted}");
}

#[test]
fn corruption_turns_over_one_bit() {
    for seed in 0..20 {
        let network = sent(seed, Link { corrupt: 1_000_000, ..Link::default() }, 1);
        let (_, packet) = &network.node(B).received[0];
        let bits = packet.iter().zip(datagram(0, 0, 100)).map(|(a, b)| (a ^ b).count_ones());
        assert_eq!(bits.sum::<u32>(), 1, "seed {seed}");
    }
}

#[test]
fn jitter_changes_the_order_and_without_it_nothing_does() {
    let jitter = Link { jitter: Duration::from_millis(10), ..Link::default() };
    let mut numbers = sent(4, jitter, 200).node(B).numbers();
    assert!(!numbers.is_sorted());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_slow_link_queues_and_a_full_queue_drops() {
    // 128 octets at 102,400 bit/s: 10 ms each, while one comes each millisecond.
    let link = Link { rate: Some(102_400), queue: 5, delay: Duration::ZERO, ..Link::default() };
    let network = sent(5, link, 20);
    let times: Vec<_> = network.node(B).received.iter().map(|(at, _)| at.as_nanos() / 1_000_000).collect();
    assert_eq!(times, [10, 20, 30, 40, 50, 60, 70]);
    let dropped = network.log().packets().iter().filter(|packet| packet.fate == Fate::Lost(Why::Queue));
    assert_eq!(dropped.count(), 13);
}

#[test]
fn what_is_too_large_or_goes_nowhere_is_lost_with_its_reason() {
    let network = sent(6, Link { mtu: 100, ..Link::default() }, 1);
    assert_eq!(network.log().packets()[0].fate, Fate::Lost(Why::Mtu));
    let mut network = sent(6, Link::default(), 0);
    let mut stray = vec![0; 100];
    let header = craft::Header::new(ADDRESSES[0], Ipv4Addr::new(203, 0, 113, 1));
    let len = craft::udp(&mut stray, &header, 1, 2, b"").expect("it fits");
    network.inject(A, &stray[..len]);
    assert_eq!(network.log().packets()[0].fate, Fate::Lost(Why::NoRoute));
}

#[test]
fn the_seed_decides_and_nothing_else() {
    let link = || Link {
        loss: 100_000,
        duplicate: 100_000,
        corrupt: 100_000,
        jitter: Duration::from_millis(5),
        ..Link::default()
    };
    let run = |seed| sent(seed, link(), 500).node(B).received.clone();
    assert!(run(7) == run(7));
    assert!(run(7) != run(8));
}

#[test]
fn an_endless_exchange_within_one_instant_is_stopped_and_said() {
    let mut network = Network::new(1).bounded(Bounds { packets: 1_000_000, at_one_instant: 500 });
    for (name, address) in ["A", "B"].iter().zip(ADDRESSES) {
        network.attach(name, Box::new(Talker { echo: true, ..Talker::default() }), &[address]);
    }
    network.link_both(A, B, &Link { delay: Duration::ZERO, ..Link::default() });
    network.inject(A, &datagram(0, 1, 0));
    assert_eq!(network.run_until(Instant::from_secs(1)), Ended::Stuck);
    assert_eq!(network.log().packets().len(), 500);
}

#[test]
fn a_bound_on_packets_ends_a_run_over_time() {
    let mut network = Network::new(1).bounded(Bounds { packets: 100, at_one_instant: 10 });
    for (name, address) in ["A", "B"].iter().zip(ADDRESSES) {
        network.attach(name, Box::new(Talker { echo: true, ..Talker::default() }), &[address]);
    }
    network.inject(A, &datagram(0, 1, 0));
    assert_eq!(network.run_until(Instant::from_secs(60)), Ended::Packets);
    assert_eq!(network.log().packets().len(), 100);
}

#[test]
fn exploring_makes_every_order_once() {
    // Three packets in flight at the start, nothing after: 3! orders without loss.
    let begin = || {
        let mut network = Network::new(1);
        for (name, address) in ["A", "B"].iter().zip(ADDRESSES) {
            network.attach(name, Box::new(Talker::default()), &[address]);
        }
        network.hold();
        for number in 0..3 {
            network.inject(A, &datagram(0, number, 0));
        }
        network
    };
    let mut orders = std::collections::BTreeSet::new();
    let plan = |losses| Plan { losses, early_timers: 0, steps: 10, runs: 1_000 };
    let judge = |network: &Network<Talker>| {
        if network.in_flight().is_empty() { Stand::Done } else { Stand::Open }
    };
    let found = explore(&plan(0), begin, |network| {
        if network.in_flight().is_empty() {
            orders.insert(network.node(B).numbers());
        }
        judge(network)
    });
    assert_eq!((found.runs, found.complete, orders.len()), (6, true, 6));
    // With at most one loss each of the six orders of steps may lose one of its three: 6 * (1 + 3).
    assert_eq!(explore(&plan(1), begin, judge).runs, 24);
    let bounded = explore(&Plan { runs: 5, ..plan(1) }, begin, judge);
    assert_eq!((bounded.runs, bounded.complete), (5, false));
}

/// Two endpoints with a bad link between them: A sends a lot to B, and closes.
fn transfer(seed: u64, octets: usize) -> (Network<Hairpin>, Vec<u8>, Vec<u8>) {
    let mut network = Network::new(seed);
    for side in [Side::A, Side::B] {
        let address = *side.endpoint().ip();
        let host = Hairpin::new(address, seed ^ side as u64, Behaviour::default(), None);
        network.attach(if side == Side::A { "A" } else { "B" }, Box::new(host), &[address]);
    }
    let bad = Link {
        loss: 30_000,
        duplicate: 20_000,
        corrupt: 10_000,
        jitter: Duration::from_millis(3),
        rate: Some(10_000_000),
        ..Link::default()
    };
    network.link_both(A, B, &bad);
    network.act(B, |host, now| host.listen(Side::B.endpoint(), now));
    network.act(A, |host, now| host.open(Side::A.endpoint(), Side::B.endpoint(), now));
    let data: Vec<_> = (0..octets).map(|octet| (octet * 31 % 251) as u8).collect();
    let (mut written, mut read) = (0, Vec::new());
    for _ in 0..3_000 {
        network.run_for(Duration::from_millis(100));
        written += network.act(A, |host, now| host.write(&data[written..], now));
        read.extend(network.act(B, |host, now| host.read(now)));
        if read.len() == octets {
            break;
        }
    }
    network.act(A, |host, now| host.close(now));
    network.act(B, |host, now| host.close(now));
    network.run_for(Duration::from_secs(30));
    (network, data, read)
}

#[test]
fn a_stream_survives_a_bad_link_and_its_run_can_be_had_again() {
    for seed in 0..5 {
        let (network, data, read) = transfer(seed, 300_000);
        assert!(read == data, "seed {seed}: {} of {} octets", read.len(), data.len());
        for side in [A, B] {
            let state = network.node(side).tcp_state();
            assert!(matches!(state, State::TimeWait | State::Closed), "seed {seed}: {state:?}");
        }
        assert!(!war::count(network.log()).is_war());
        assert!(war::losses(network.log()) > 0);
        let (again, ..) = transfer(seed, 300_000);
        assert!(again.log().entries() == network.log().entries(), "seed {seed}");
    }
}

#[test]
fn drawings_keep_their_bounds_whatever_happened() {
    let (network, ..) = transfer(2, 100_000);
    for numbers in [Numbers::Figures, Numbers::Absolute, Numbers::From(vec![1, 1])] {
        let style = Style { title: "a <bad> link".to_owned(), numbers, rows: 300 };
        let text = ladder::text(network.log(), &style);
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
        assert!(text.lines().count() <= 2 * 300 + 4);
        assert!(text.contains(" X"), "losses are marked");
        assert!(text.contains("lines more"));
        let svg = ladder::svg(network.log(), &style);
        assert!(svg.len() < 200_000, "{}", svg.len());
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &lt;bad&gt; link") && svg.contains("class=\"x\""));
    }
}
