//! Our endpoint beside lwIP: one connection in memory, one direction, as fast as it goes.
//!
//! `cargo bench -p hairpin-sim --features peers --bench lwip` prints a line for `cargo xtask bench`. lwIP is what the crate
//! lwip 0.4 builds: buffers of 16 and 32 segments, which ours get, too, and checksums that are written but not
//! verified, which ours do. Rounds run A B A B in one process.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant as Clock};

use hairpin_sim::{Host, Node};
use rules::Instant;
use serde_json::json;
use tcp::{Checksum, Config, ConnectionId, Endpoint, EndpointConfig, ListenOptions, State};

#[allow(dead_code)]
#[path = "../tests/peers/lwip.rs"]
mod lwip;

use lwip::{Lwip, Stack};

/// Octets of a round.
const ROUND: usize = 128 << 20;
const ROUNDS: usize = 7;
/// Octets that are written at a time, at most.
const WRITE: usize = 65_536;
/// TCP_SND_BUF and TCP_WND of the crate's lwipopts.h.
const SEND_BUFFER: u32 = 16 * 1_460;
const RECEIVE_BUFFER: u32 = 32 * 1_460;

const A: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 50_000);
const B: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 80);

fn main() {
    let source: Vec<u8> = (0..WRITE).map(|n| (n * 7) as u8).collect();
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    for round in 0..=ROUNDS {
        let pair = (ours(&source), lwips(&source));
        // The first round warms up.
        if round > 0 {
            pairs.push(pair);
        }
    }
    let [_, ours, _] = spread(pairs.iter().map(|pair| pair.0));
    let [_, peer, _] = spread(pairs.iter().map(|pair| pair.1));
    let [min, median, max] = spread(pairs.iter().map(|pair| pair.0 / pair.1));
    let note = "one connection in memory, MTU 1500, buffers of 16 and 32 segments; lwIP verifies no checksum, ours does";
    let figure = json!({
        "group": "endpoint", "name": "throughput beside lwIP 2.x", "unit": "Gbit/s", "ours": ours, "peer": peer,
        "ratio_min": min, "ratio_median": median, "ratio_max": max, "note": note,
    });
    println!("bench: {figure}");
}

fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn gbits(start: Clock) -> f64 {
    (ROUND * 8) as f64 / start.elapsed().as_secs_f64() / 1e9
}

/// Packets that are sent arrive at once; the buffers are used again.
#[derive(Default)]
struct Wire {
    packets: VecDeque<(Vec<u8>, usize)>,
    free: Vec<Vec<u8>>,
}

impl Wire {
    /// All that `send` writes to a buffer goes to `arrive`; how many packets that were.
    fn pass(
        &mut self,
        mut send: impl FnMut(&mut [u8]) -> Option<usize>,
        mut arrive: impl FnMut(&[u8]),
    ) -> usize {
        loop {
            let mut buffer = self.free.pop().unwrap_or_else(|| vec![0; 1_514]);
            let Some(len) = send(&mut buffer) else {
                self.free.push(buffer);
                break;
            };
            self.packets.push_back((buffer, len));
        }
        let passed = self.packets.len();
        while let Some((buffer, len)) = self.packets.pop_front() {
            arrive(&buffer[..len]);
            self.free.push(buffer);
        }
        passed
    }
}

fn ours(source: &[u8]) -> f64 {
    let config = Config { send_buffer: SEND_BUFFER, receive_buffer: RECEIVE_BUFFER, ..Config::default() };
    let host = |at: SocketAddrV4| EndpointConfig {
        addresses: vec![*at.ip()],
        connection: config.clone(),
        ..EndpointConfig::default()
    };
    let (mut a, mut b) = (Endpoint::new(host(A), [1; 32]), Endpoint::new(host(B), [2; 32]));
    let (mut now, mut wire) = (Instant::from_secs(1), Wire::default());
    let listener = b.listen(B, ListenOptions::default()).expect("free");
    let from = a.connect(A, B, config.clone(), now).expect("free");
    let mut turn = |a: &mut Endpoint, b: &mut Endpoint, now| {
        wire.pass(|buf| Some(a.poll_transmit(buf, now)?.len), |it| b.handle_packet(it, Checksum::Verify, now))
            + wire.pass(
                |buf| Some(b.poll_transmit(buf, now)?.len),
                |it| a.handle_packet(it, Checksum::Verify, now),
            )
    };
    while turn(&mut a, &mut b, now) > 0 {}
    let to: ConnectionId = b.accept(listener).expect("open");
    let mut sink = vec![0; WRITE];
    let (mut read, start) = (0, Clock::now());
    while read < ROUND {
        let _ = a.send(from, source, now);
        now = now + Duration::from_micros(1);
        if turn(&mut a, &mut b, now) == 0 {
            let next = [a.poll_timeout(), b.poll_timeout()].into_iter().flatten().min();
            now = next.unwrap_or(now).max(now);
            a.handle_timeout(now);
            b.handle_timeout(now);
        }
        while let Ok(got) = b.recv(to, &mut sink, now) {
            read += got.len;
            black_box(&mut sink);
        }
    }
    gbits(start)
}

fn lwips(source: &[u8]) -> f64 {
    let stack = Stack::take();
    stack.clear();
    let (mut a, mut b) = (Lwip::new(&stack, *A.ip()), Lwip::new(&stack, *B.ip()));
    let mut now = Instant::from_secs(1);
    b.listen(B, now);
    a.open(A, B, now);
    while turn(&mut a, &mut b, now) > 0 {}
    assert_eq!((a.tcp_state(), b.tcp_state()), (State::Established, State::Established));
    let (mut read, start) = (0, Clock::now());
    while read < ROUND {
        a.write(source, now);
        if turn(&mut a, &mut b, now) == 0 {
            now = now + Duration::from_millis(250);
            a.handle_timeout(now);
            b.handle_timeout(now);
        }
        read += black_box(b.read(now)).len();
    }
    gbits(start)
}

/// The packets of both arrive: how many. What lwIP gives to its link is copied once, and not once more.
fn turn(a: &mut Lwip, b: &mut Lwip, now: Instant) -> usize {
    carry(a, b, now) + carry(b, a, now)
}

fn carry(from: &mut Lwip, to: &mut Lwip, now: Instant) -> usize {
    std::iter::from_fn(|| from.take_packet()).map(|packet| to.handle_packet(&packet, now)).count()
}
