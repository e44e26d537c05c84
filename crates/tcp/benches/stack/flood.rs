//! A flood of SYNs from addresses that do not exist: memory stays flat, and who does exist gets through.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant as Clock};

use hairpin_tcp::{Checksum, Config, Endpoint, EndpointConfig, ListenOptions};
use rules::Instant;
use wire::SeqNumber;
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;

use crate::figures::alone;
use crate::many::next;
use crate::memory;
use crate::ours::{A, B, config};

const SYNS: usize = 10_000_000;
/// A tenth of a million SYNs a second.
const GAP: Duration = Duration::from_micros(10);

pub(crate) fn run() {
    let mut server = Endpoint::new(config(B, false), [2; 32]);
    let listener = server.listen(SocketAddrV4::new(B, 80), ListenOptions::default()).expect("free");
    let (mut random, mut now) = (1, Instant::from_secs(1));
    let (mut syn, mut answer) = ([0; 64], [0; 1_500]);
    let (mut early, mut spent, mut connected, mut asked) = (0, Duration::ZERO, 0, 0);
    let mut most = 0;
    for number in 0..SYNS {
        let bits = next(&mut random);
        // 11.0.0.0/8: nothing in it is martian.
        let header = Header::new(Ipv4Addr::from_bits(0x0B00_0001 | (bits as u32 & 0x00FF_FFFE)), B);
        let segment = Segment {
            seq: SeqNumber((bits >> 32) as u32),
            options: &[2, 4, 5, 180],
            ..Segment::new(1_024 + (bits >> 24) as u16 % 60_000, 80, Flags::SYN)
        };
        let len = craft::tcp(&mut syn, &header, &segment, &[]).expect("room");
        let start = Clock::now();
        server.handle_packet(&syn[..len], Checksum::Verify, now);
        while server.poll_transmit(&mut answer, now).is_some() {}
        if server.poll_timeout().is_some_and(|time| time <= now) {
            server.handle_timeout(now);
            while server.poll_transmit(&mut answer, now).is_some() {}
        }
        spent += start.elapsed();
        now = now + GAP;
        most = most.max(memory::octets());
        if number == SYNS / 10 {
            early = most;
        }
        if number % (SYNS / 10) == SYNS / 20 {
            asked += 1;
            connected += usize::from(connects(&mut server, &mut now));
            while let Some(id) = server.accept(listener) {
                server.abort(id, now);
            }
        }
    }
    let note = "10 million SYNs from random addresses; the most that was allocated after them all less after a tenth";
    alone("memory that a SYN flood adds", "octets", vec![(most - early) as f64], Some(65_536.0), true, note);
    let name = "real clients that connect during a SYN flood";
    alone(
        name,
        "%",
        vec![100.0 * connected as f64 / asked as f64],
        Some(100.0),
        false,
        "10 in turn, one try each",
    );
    let rate = SYNS as f64 / spent.as_secs_f64() / 1e6;
    alone(
        "SYNs of a flood",
        "M/s",
        vec![rate],
        None,
        false,
        "each answered with a cookie once the half-open are full",
    );
}

/// A real client comes in the middle of it.
fn connects(server: &mut Endpoint, now: &mut Instant) -> bool {
    let config = EndpointConfig { addresses: vec![A], ..EndpointConfig::default() };
    let mut client = Endpoint::new(config, [now.as_nanos() as u8; 32]);
    let to = SocketAddrV4::new(B, 80);
    let local = SocketAddrV4::new(A, 0);
    let Ok(id) = client.connect(local, to, Config::default(), *now) else { return false };
    let mut packet = [0; 1_500];
    loop {
        if let Some(sent) = client.poll_transmit(&mut packet, *now) {
            server.handle_packet(&packet[..sent.len], Checksum::Verify, *now);
        } else if let Some(sent) = server.poll_transmit(&mut packet, *now) {
            client.handle_packet(&packet[..sent.len], Checksum::Verify, *now);
        } else {
            break;
        }
    }
    let open = client.info(id).is_some_and(|info| info.state == hairpin_tcp::State::Established);
    open
}
