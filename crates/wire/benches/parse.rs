//! What parsing and summing cost, in nanoseconds a packet: `cargo bench -p hairpin-wire`.

use std::hint::black_box;
use std::time::Instant;

use hairpin_wire as wire;
use wire::checksum::Sum;
use wire::tcp::Flags;
use wire::{Packet, Trust, craft};

/// Least, median and greatest of several rounds: the machine is not ours alone.
fn nanoseconds(mut work: impl FnMut()) -> [f64; 3] {
    const CALLS: u32 = 20_000;
    let round = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..CALLS {
            work();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    let mut rounds: Vec<f64> = (0..50).map(|_| round(&mut work)).collect();
    rounds.sort_by(f64::total_cmp);
    [rounds[0], rounds[25], rounds[49]]
}

/// The line that `cargo xtask bench` reads.
fn report(name: &str, [min, median, max]: [f64; 3]) {
    println!(
        "bench: {{\"group\":\"wire, one core\",\"name\":\"{name}\",\"unit\":\"ns\",\"ours\":{median:.1},\"ours_min\":{min:.1},\"ours_max\":{max:.1}}}"
    );
}

fn main() {
    let header = craft::Header::new([100, 64, 0, 7].into(), [198, 51, 100, 1].into());
    let segment = craft::Segment::new(40_000, 80, Flags::ACK);
    let stamped = craft::Segment { options: &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], ..segment };
    let mut buffer = vec![0; 65_535];
    let mut packets = vec![];
    let mut add = |name, len: Option<usize>, buffer: &[u8]| {
        packets.push((name, buffer[..len.expect("it fits")].to_vec()));
    };
    let len = craft::tcp(&mut buffer, &header, &segment, &[7; 24]);
    add("TCP, 64 octets", len, &buffer);
    let len = craft::tcp(&mut buffer, &header, &stamped, &[7; 12]);
    add("TCP with timestamps, 64 octets", len, &buffer);
    let len = craft::udp(&mut buffer, &header, 1, 2, &[7; 36]);
    add("UDP, 64 octets", len, &buffer);
    let len = craft::tcp(&mut buffer, &header, &stamped, &[7; 1_448]);
    add("TCP with timestamps, 1,500 octets", len, &buffer);
    let len = craft::tcp(&mut buffer, &header, &stamped, &vec![7; 65_483]);
    add("TCP with timestamps, 65,535 octets", len, &buffer);
    for (name, packet) in &packets {
        let skip = nanoseconds(|| {
            // By reference: a copy of the result would wait for the stores that made it.
            black_box(&Packet::parse(black_box(packet), Trust::Skip));
        });
        let verify = nanoseconds(|| {
            black_box(&Packet::parse(black_box(packet), Trust::Verify));
        });
        report(&format!("parse {name}, transport checksum not verified"), skip);
        report(&format!("parse {name}, verified"), verify);
    }
    for len in [20, 44, 64, 1_480, 65_515] {
        let octets = vec![0x5A; len];
        let time = nanoseconds(|| {
            black_box(Sum::of(black_box(&octets)));
        });
        report(&format!("sum of {len} octets"), time);
    }
}
