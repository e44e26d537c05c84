//! What is quicker does the same: a run, and looking ahead.

extern crate std;

use core::net::Ipv4Addr;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::packet::CACHED;
use super::*;
use crate::{Checksum, CongestionControl, Transmit};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Two ends of a connection, and what is on its way to the second.
struct Pair {
    a: Endpoint,
    b: Endpoint,
    id: ConnectionId,
    beside: ConnectionId,
    peer: ConnectionId,
    on_the_way: Vec<Vec<u8>>,
    /// Every packet is decided by itself.
    asks: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        len: usize,
        urgent: bool,
    },
    /// The first writes on its second connection: who has something to send takes turns.
    WriteBeside(usize),
    /// The second writes.
    Answer(usize),
    /// Packets that the first sends.
    Send(usize),
    /// Those on their way arrive but for every so manieth, and so does what the other side sends. `marked`: the network
    /// says that it is congested (RFC 3168).
    Arrive {
        lost: usize,
        marked: bool,
    },
    Read(usize),
    Wait(u64),
    Finish,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..60_000usize, prop::bool::weighted(0.1)).prop_map(|(len, urgent)| Step::Write { len, urgent }),
        1 => (1..20_000usize).prop_map(Step::WriteBeside),
        2 => (1..9_000usize).prop_map(Step::Answer),
        6 => (1..60usize).prop_map(Step::Send),
        6 => (prop_oneof![4 => Just(0), 1 => 2..40usize], prop::bool::weighted(0.1))
            .prop_map(|(lost, marked)| Step::Arrive { lost, marked }),
        3 => (1..200_000usize).prop_map(Step::Read),
        2 => (0..300u64).prop_map(Step::Wait),
        1 => prop::bool::weighted(0.1).prop_map(|finish| if finish { Step::Finish } else { Step::Wait(0) }),
    ]
}

fn settings() -> impl Strategy<Value = (Config, EndpointConfig)> {
    let switches = prop::collection::vec(any::<bool>(), 7);
    let rare = prop::collection::vec(prop::bool::weighted(0.1), 5);
    (switches, rare, prop_oneof![Just(None), Just(Some(88)), Just(Some(536))]).prop_map(
        |(on, rarely, mss)| {
            let config = Config {
                send_buffer: 200_000,
                receive_buffer: if on[0] { 60_000 } else { 400_000 },
                timestamps: on[1],
                sack: on[2],
                nagle: on[3],
                ecn: on[4],
                congestion: if on[5] { CongestionControl::Cubic } else { CongestionControl::NewReno },
                initial_window: if on[6] { 10 } else { 40 },
                cork: rarely[0],
                pacing: rarely[1],
                told_user_timeout: rarely[4].then_some(Duration::from_secs(600)),
                path_mtu_discovery: !rarely[2],
                mss,
                ..Config::default()
            };
            (config, EndpointConfig { checksum_offload: rarely[3], ..EndpointConfig::default() })
        },
    )
}

impl Pair {
    fn new(config: &Config, host: &EndpointConfig, asks: bool, now: Instant) -> Self {
        let host =
            |address| EndpointConfig { addresses: vec![address], connection: config.clone(), ..host.clone() };
        let (mut a, mut b) = (Endpoint::new(host(A), [1; 32]), Endpoint::new(host(B), [2; 32]));
        let at = SocketAddrV4::new(B, 80);
        let listener = b.listen(at, ListenOptions::default()).expect("free");
        let [id, beside] =
            [0; 2].map(|_| a.connect(SocketAddrV4::new(A, 0), at, config.clone(), now).expect("a port"));
        let mut pair = Self { a, b, id, beside, peer: id, on_the_way: vec![], asks };
        for _ in 0..2 {
            pair.send(2, now);
            pair.arrive((0, false), now);
        }
        pair.peer = pair.b.accept(listener).expect("open");
        pair
    }

    /// What was sent, and how many packets of it were of a run.
    fn send(&mut self, most: usize, now: Instant) -> (Vec<(Vec<u8>, Transmit)>, usize) {
        let (mut sent, mut in_runs) = (vec![], 0);
        for _ in 0..most {
            if self.asks {
                (self.a.run, self.a.decided) = (None, None);
            }
            in_runs += usize::from(self.a.run.is_some());
            let mut packet = vec![0xEE; 1_600];
            let Some(transmit) = self.a.poll_transmit(&mut packet, now) else { break };
            packet.truncate(transmit.len);
            self.on_the_way.push(packet.clone());
            sent.push((packet, transmit));
        }
        (sent, in_runs)
    }

    fn arrive(&mut self, (lost, marked): (usize, bool), now: Instant) {
        let arrives = |number: usize| lost == 0 || !number.is_multiple_of(lost);
        for (number, mut packet) in (1..).zip(core::mem::take(&mut self.on_the_way)) {
            if marked && packet[1] & 0b11 != 0 {
                packet[1] |= 0b11;
                packet[10..12].fill(0);
                let checksum = wire::checksum::Sum::of(&packet[..20]).checksum();
                packet[10..12].copy_from_slice(&checksum.to_be_bytes());
            }
            if arrives(number) {
                self.b.handle_packet(&packet, Checksum::Trusted, now);
            }
        }
        let mut packet = vec![0; 1_600];
        for number in 1.. {
            let Some(transmit) = self.b.poll_transmit(&mut packet, now) else { break };
            if arrives(number) {
                self.a.handle_packet(&packet[..transmit.len], Checksum::Trusted, now);
            }
        }
    }

    /// What is seen of the first, whatever it keeps for itself.
    fn seen(&self) -> (Option<Info>, Option<Instant>, u64) {
        (self.a.info(self.id), self.a.poll_timeout(), self.a.counters().sent)
    }

    fn step(&mut self, step: &Step, now: Instant) -> (Vec<(Vec<u8>, Transmit)>, usize) {
        match *step {
            Step::Write { len, urgent } => {
                let data: Vec<u8> = (0..len).map(|n| (n * 13) as u8).collect();
                let _ = match urgent {
                    true => self.a.send_urgent(self.id, &data, now),
                    false => self.a.send(self.id, &data, now),
                };
            }
            Step::WriteBeside(len) => drop(self.a.send(self.beside, &vec![5; len], now)),
            Step::Answer(len) => drop(self.b.send(self.peer, &vec![9; len], now)),
            Step::Send(most) => return self.send(most, now),
            Step::Arrive { lost, marked } => self.arrive((lost, marked), now),
            Step::Read(len) => {
                let _ = self.b.recv(self.peer, &mut vec![0; len], now);
                let _ = self.a.recv(self.id, &mut vec![0; len], now);
            }
            Step::Wait(_) => {
                self.a.handle_timeout(now);
                self.b.handle_timeout(now);
            }
            Step::Finish => drop(self.a.shutdown(self.id, now)),
        }
        (vec![], 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    // covers: T1, T10
    #[test]
    fn a_run_sends_what_would_be_decided_segment_by_segment(
        (config, host) in settings(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut now = Instant::from_secs(1_000);
        let (mut runs, mut asks) =
            (Pair::new(&config, &host, false, now), Pair::new(&config, &host, true, now));
        for step in &steps {
            if let Step::Wait(millis) = step {
                now = now + Duration::from_millis(*millis);
            }
            let (ours, theirs) = (runs.step(step, now), asks.step(step, now));
            prop_assert_eq!(ours.0, theirs.0);
            prop_assert_eq!(theirs.1, 0);
            prop_assert_eq!(runs.seen(), asks.seen());
        }
    }
}

/// The test above would pass as well if there were no runs.
#[test]
fn text_in_bulk_goes_in_runs() {
    let now = Instant::from_secs(1_000);
    let config = Config { initial_window: 40, ..Config::default() };
    let mut pair = Pair::new(&config, &EndpointConfig::default(), false, now);
    pair.step(&Step::Write { len: 50_000, urgent: false }, now);
    // Two full segments to begin with, and 32 more; the short one waits (Nagle).
    let (sent, in_runs) = pair.send(100, now);
    assert_eq!((sent.len(), in_runs), (34, 32));
    pair.arrive((0, false), now);
    assert_eq!(pair.b.info(pair.peer).map(|info| info.unread), Some(34 * 1_448));
}

/// Enough connections that looking ahead is worth it.
const MANY: usize = CACHED + 76;

// covers: T1, T12
#[test]
fn looking_ahead_changes_nothing_and_takes_any_octets() {
    let now = Instant::from_secs(1_000);
    let limits = crate::Limits { half_open: MANY as u32, ..crate::Limits::default() };
    let host =
        |address| EndpointConfig { addresses: vec![address], limits: limits.clone(), ..Default::default() };
    let (mut a, mut b) = (Endpoint::new(host(A), [1; 32]), Endpoint::new(host(B), [2; 32]));
    let at = SocketAddrV4::new(B, 80);
    let options = ListenOptions { backlog: MANY as u32, ..ListenOptions::default() };
    let listener = b.listen(at, options).expect("free");
    let ids: Vec<_> = (0..MANY)
        .map(|_| a.connect(SocketAddrV4::new(A, 0), at, Config::default(), now).expect("a port"))
        .collect();
    let mut told = 0;
    let mut pass = |from: &mut Endpoint, to: &mut Endpoint| {
        let mut packets: Vec<Vec<u8>> = vec![];
        let mut buf = vec![0; 1_500];
        while let Some(transmit) = from.poll_transmit(&mut buf, now) {
            packets.push(buf[..transmit.len].to_vec());
        }
        for batch in packets.chunks(Endpoint::AHEAD / 2) {
            // Between the segments lies what is none, whole or cut off anywhere.
            let noise =
                (0..).zip(batch).map(|(number, packet)| packet[..packet.len().min(number * 7)].to_vec());
            let mixed: Vec<Vec<u8>> = batch.iter().cloned().zip(noise).flat_map(|(a, b)| [a, b]).collect();
            let before = std::format!("{:?}", to.counters());
            to.anticipate(&mixed);
            assert_eq!(before, std::format!("{:?}", to.counters()));
            told += mixed.len();
            batch.iter().for_each(|packet| to.handle_packet(packet, Checksum::Verify, now));
        }
    };
    for _ in 0..2 {
        pass(&mut a, &mut b);
        pass(&mut b, &mut a);
    }
    for (&id, number) in ids.iter().zip(0u32..) {
        assert_eq!(a.send(id, &number.to_be_bytes(), now), Ok(4));
    }
    pass(&mut a, &mut b);
    let mut read: Vec<u32> = (0..MANY)
        .map(|_| {
            let (id, mut octets) = (b.accept(listener).expect("open"), [0; 4]);
            assert_eq!(b.recv(id, &mut octets, now).map(|read| read.len), Ok(4));
            u32::from_be_bytes(octets)
        })
        .collect();
    read.sort_unstable();
    assert!(read.into_iter().eq(0..MANY as u32));
    assert!(told > 6 * MANY);
}
