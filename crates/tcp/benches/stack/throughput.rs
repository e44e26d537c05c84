//! One connection, one direction, as fast as it goes: MTU 1500, checksums on, buffers of 1 MiB, CUBIC.

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

use hairpin_tcp::Config;

use crate::figures::beside;
use crate::{ours, smol};

/// Octets of a round.
const ROUND: usize = 512 << 20;
const BUFFERS: usize = 1 << 20;
/// Octets that the application writes and reads at a time.
const WRITE: usize = 65_536;
/// Packets that one side sends before the other has its turn: a ring of a network card.
const TURN: usize = 64;
const ROUNDS: usize = 7;

pub(crate) fn run() {
    let source: Vec<u8> = (0..WRITE).map(|n| (n * 7) as u8).collect();
    let (mut plain, mut large) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let peer = smoltcp(&source);
        let ours = hairpin(&source, false);
        let peer_again = smoltcp(&source);
        let supers = hairpin(&source, true);
        // The first round warms up.
        if round > 0 {
            plain.push((ours, peer));
            large.push((supers, peer_again));
        }
    }
    let note =
        "one connection in memory, MTU 1500, checksums on, 1 MiB buffers, CUBIC, write and read of 64 KiB";
    beside("throughput beside smoltcp 0.14", "Gbit/s", &plain, Some(1.5), note);
    beside("throughput with super-segments beside smoltcp 0.14", "Gbit/s", &large, Some(2.0), note);
}

fn gbits(start: Clock) -> f64 {
    (ROUND * 8) as f64 / start.elapsed().as_secs_f64() / 1e9
}

fn hairpin(source: &[u8], super_segments: bool) -> f64 {
    let mut pair = ours::Pair::new(super_segments);
    let config = Config { send_buffer: BUFFERS as u32, receive_buffer: BUFFERS as u32, ..Config::default() };
    let (a, b) = pair.open(config);
    let mut sink = vec![0; WRITE];
    let mut read = 0;
    let start = Clock::now();
    while read < ROUND {
        let _ = pair.a.send(a, source, pair.now);
        if pair.pass(TURN) == 0 {
            pair.wait();
        }
        while let Ok(got) = pair.b.recv(b, &mut sink, pair.now) {
            read += got.len;
            black_box(&mut sink);
        }
        pair.now = pair.now + Duration::from_micros(1);
    }
    gbits(start)
}

fn smoltcp(source: &[u8]) -> f64 {
    let mut pair = smol::Pair::new(BUFFERS);
    let mut sink = vec![0; WRITE];
    let mut read = 0;
    let start = Clock::now();
    while read < ROUND {
        pair.send(source);
        pair.pass(TURN);
        loop {
            let got = pair.recv(&mut sink);
            read += got;
            black_box(&mut sink);
            if got == 0 {
                break;
            }
        }
        pair.tick();
    }
    gbits(start)
}
