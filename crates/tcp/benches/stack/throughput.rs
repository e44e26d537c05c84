//! One connection, one direction, as fast as it goes: MTU 1500, checksums on, buffers of 1 MiB, CUBIC.

use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

use hairpin_tcp::Config;

use crate::figures::beside;
use crate::{ours, smol};

/// Octets of a round.
const ROUND: usize = 512 << 20;
const BUFFERS: usize = 1 << 20;
const ROUNDS: usize = 7;

/// How the application and the link go about it.
#[derive(Clone, Copy)]
struct Shape {
    /// Octets that are written and read at a time.
    write: usize,
    /// Packets that one side sends before the other has its turn.
    turn: usize,
    super_segments: bool,
}

/// A ring of a network card between two turns.
const BULK: Shape = Shape { write: 65_536, turn: 64, super_segments: false };

pub(crate) fn run() {
    let memory = "one connection in memory, MTU 1500, checksums on, 1 MiB buffers, CUBIC";
    let shapes = [
        ("throughput beside smoltcp 0.14", BULK, Some(1.5), "write and read of 64 KiB"),
        (
            "throughput with super-segments beside smoltcp 0.14",
            Shape { super_segments: true, ..BULK },
            Some(2.0),
            "write and read of 64 KiB",
        ),
        (
            "throughput in small writes beside smoltcp 0.14",
            Shape { write: 4_096, ..BULK },
            None,
            "write and read of 4 KiB, three segments at a time",
        ),
        (
            "throughput by single segments beside smoltcp 0.14",
            Shape { turn: 1, ..BULK },
            None,
            "each segment is taken and read before the next one leaves",
        ),
    ];
    let mut pairs = [const { Vec::new() }; 4];
    for round in 0..=ROUNDS {
        for ((_, shape, ..), pairs) in shapes.iter().zip(&mut pairs) {
            let pair = (hairpin(*shape), smoltcp(*shape));
            // The first round warms up.
            if round > 0 {
                pairs.push(pair);
            }
        }
    }
    for ((name, _, target, how), pairs) in shapes.iter().zip(&pairs) {
        beside(name, "Gbit/s", pairs, *target, &format!("{memory}, {how}"));
    }
}

fn source(shape: Shape) -> Vec<u8> {
    (0..shape.write).map(|n| (n * 7) as u8).collect()
}

fn gbits(start: Clock) -> f64 {
    (ROUND * 8) as f64 / start.elapsed().as_secs_f64() / 1e9
}

fn hairpin(shape: Shape) -> f64 {
    let mut pair = ours::Pair::new(shape.super_segments);
    let source = source(shape);
    let config = Config { send_buffer: BUFFERS as u32, receive_buffer: BUFFERS as u32, ..Config::default() };
    let (a, b) = pair.open(config);
    let mut sink = vec![0; shape.write];
    let mut read = 0;
    let start = Clock::now();
    while read < ROUND {
        let _ = pair.a.send(a, &source, pair.now);
        if pair.pass(shape.turn) == 0 {
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

fn smoltcp(shape: Shape) -> f64 {
    let mut pair = smol::Pair::new(BUFFERS);
    let source = source(shape);
    let mut sink = vec![0; shape.write];
    let mut read = 0;
    let start = Clock::now();
    while read < ROUND {
        pair.send(&source);
        pair.pass(shape.turn);
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
