//! Two endpoints from end to end, where a single segment does not show it: congestion marks, pacing, silly windows,
//! cork, and a window that stays closed.

mod common;

use std::time::Duration;

use common::{Pair, octets, plain, tcp_of};
use hairpin_tcp::{Config, ConnectionId, EndpointConfig, Error, Event, Reason, State};
use rules::Instant;
use wire::tcp::Flags;

/// B's side of connections is as `connection` says.
fn pair(connection: Config) -> Pair {
    Pair::with(EndpointConfig::default(), EndpointConfig { connection, ..EndpointConfig::default() })
}

/// A writes until it would have to wait; how many octets it was.
fn fill(pair: &mut Pair, a: ConnectionId) -> usize {
    let mut written = 0;
    loop {
        match pair.a.send(a, &octets(10_000), pair.now) {
            Ok(taken) => written += taken,
            Err(error) => {
                assert_eq!(error, Error::WouldBlock);
                return written;
            }
        }
        pair.run(Duration::from_millis(100));
    }
}

/// The network marks what may be marked.
fn mark(pair: &mut Pair) -> usize {
    let capable = pair.wire.iter_mut().filter(|flight| flight.from_a && flight.octets[1] & 3 == 2);
    let mut marked = 0;
    for flight in capable {
        flight.octets[1] |= 3;
        flight.octets[10..12].fill(0);
        let header: [u8; 20] = flight.octets[..20].try_into().expect("a header");
        let checksum = wire::checksum::Sum::of_ipv4_header(&header).checksum();
        flight.octets[10..12].copy_from_slice(&checksum.to_be_bytes());
        marked += 1;
    }
    marked
}

// covers: T9, T7
#[test]
fn a_mark_of_congestion_comes_back_until_the_sender_says_that_it_has_slowed_down() {
    let mut pair = pair(Config { ecn: true, ..plain() });
    let (a, b) = pair.open(Config { ecn: true, ..plain() });
    let before = pair.a.info(a).expect("open");
    pair.a.send(a, &octets(40_000), pair.now).expect("room");
    let opened = pair.log.len();
    pair.transmit();
    assert!(mark(&mut pair) > 5);
    pair.run(Duration::from_millis(500));
    assert_eq!(pair.read_all(b, false), octets(40_000));

    let after = pair.a.info(a).expect("open");
    assert!(after.ssthresh < before.cwnd, "{} {}", after.ssthresh, before.cwnd);
    assert_eq!(after.retransmissions, 0, "nothing was lost");
    let flags = |flight: &common::Flight| tcp_of(&flight.octets).flags();
    let from = |from_a: bool| pair.log[opened..].iter().filter(move |flight| flight.from_a == from_a);
    let slowed: Vec<_> = from(true).filter(|flight| flags(flight).contains(Flags::CWR)).collect();
    assert_eq!(slowed.len(), 1, "once for a window of data");
    let echoed: Vec<_> = from(false).filter(|flight| flags(flight).contains(Flags::ECE)).collect();
    assert!(!echoed.is_empty());
    assert!(echoed.iter().all(|flight| flight.arrives <= slowed[0].arrives + pair.delay), "CWR ends it");
    assert!(!flags(pair.log.last().expect("ACKs")).contains(Flags::ECE));
}

// covers: T7
#[test]
fn paced_segments_leave_one_by_one_and_the_others_in_a_burst() {
    for pacing in [false, true] {
        let mut pair = Pair::new();
        let (a, _) = pair.open(Config { pacing, ..plain() });
        let rtt = pair.a.info(a).and_then(|info| info.srtt).expect("measured in the handshake");
        let start = pair.now;
        pair.a.send(a, &octets(14_600), pair.now).expect("room");
        pair.run(Duration::from_millis(200));
        let text = pair.log.iter().filter(|flight| !tcp_of(&flight.octets).payload().is_empty());
        let times: Vec<Duration> = text.map(|flight| flight.arrives.since(start) - pair.delay).collect();
        assert_eq!(times.len(), 10);
        if pacing {
            // Twice the window in a round trip: ten segments take half of one, with nine pauses.
            let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(pauses.iter().all(|pause| *pause > Duration::ZERO), "{times:?}");
            assert!(times[9] > rtt * 2 / 5 && times[9] < rtt / 2, "{times:?} of {rtt:?}");
        } else {
            assert!(times.iter().all(|time| time.is_zero()), "{times:?}");
        }
    }
}

// covers: T8
#[test]
fn a_reader_of_single_octets_draws_no_small_segments() {
    let mut pair = pair(Config { receive_buffer: 20_000, ..plain() });
    let (a, b) = pair.open(plain());
    let written = fill(&mut pair, a);
    assert!(written > 20_000, "more waits than the window takes");
    let (mut read, mut octet) = (0, [0]);
    for _ in 0..30_000 {
        read += pair.b.recv(b, &mut octet, pair.now).expect("there is text").len;
        pair.run(Duration::from_millis(25));
    }
    assert_eq!(read, 30_000);
    let mss = usize::from(pair.a.info(a).expect("open").mss);
    let text = pair.log.iter().map(|flight| tcp_of(&flight.octets).payload().len()).filter(|&len| len > 0);
    // The window's last segment is what is left of it; and probes are one octet.
    let small = text.filter(|&len| len > 1 && len < mss).count();
    assert!(small <= 2, "{small} small segments");
    // Every window that opens does so by a segment or half the buffer (RFC 9293 3.8.6.2.2).
    let mut edge = None;
    for flight in pair.log.iter().filter(|flight| !flight.from_a) {
        let tcp = tcp_of(&flight.octets);
        if tcp.flags().contains(Flags::SYN) {
            continue;
        }
        let right = tcp.ack().plus(u32::from(tcp.window()));
        if let Some(before) = edge.replace(right) {
            assert!(!right.before(before), "never shrinks");
            let gain = right.distance_from(before);
            assert!(gain == 0 || gain >= mss as u32, "{gain}");
        }
    }
}

// covers: T8
#[test]
fn a_corked_stream_of_small_writes_is_full_segments_and_a_rest() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config { cork: true, nagle: false, ..plain() });
    let (start, data) = (pair.log.len(), octets(10_000));
    for piece in data.chunks(100) {
        pair.a.send(a, piece, pair.now).expect("room");
        pair.run(Duration::from_millis(1));
    }
    let mss = usize::from(pair.a.info(a).expect("open").mss);
    let lengths = |pair: &Pair| -> Vec<usize> {
        let text = pair.log[start..].iter().map(|flight| tcp_of(&flight.octets).payload().len());
        text.filter(|&len| len > 0).collect()
    };
    assert_eq!(lengths(&pair), vec![mss; data.len() / mss]);
    pair.a.configure(a, pair.now, |config| config.cork = false).expect("open");
    pair.run(Duration::from_millis(50));
    assert_eq!(lengths(&pair).last(), Some(&(data.len() % mss)));
    assert_eq!(pair.read_all(b, false), data);
}

// covers: T8, T1
#[test]
fn a_window_that_stays_closed_is_probed_for_longer_than_r2_and_then_all_arrives() {
    let mut pair = pair(Config { receive_buffer: 20_000, ..plain() });
    // R2 of three retransmissions would be over in seconds.
    let (a, b) = pair.open(Config { retries: 3, send_buffer: 50_000, ..plain() });
    let written = fill(&mut pair, a);
    let before = pair.log.len();
    pair.run(Duration::from_secs(3_600));
    let info = pair.a.info(a).expect("it is held");
    assert_eq!((info.state, info.snd_wnd, info.closed), (State::Established, 0, None));
    let probes = pair.log[before..].iter().filter(|flight| flight.from_a).count();
    assert!((50..400).contains(&probes), "once a minute at last: {probes}");
    let mut read = 0;
    while read < written {
        read += pair.read_all(b, false).len();
        pair.run(Duration::from_secs(61));
    }
    assert_eq!(read, written);
}

// covers: T8, T1
#[test]
fn a_peer_that_is_gone_behind_its_closed_window_is_given_up() {
    let mut pair = pair(Config { receive_buffer: 20_000, ..plain() });
    let (a, _) = pair.open(Config { retries: 3, send_buffer: 50_000, ..plain() });
    fill(&mut pair, a);
    pair.lose = Box::new(|_, _| true);
    pair.run(Duration::from_secs(3_600));
    assert!(pair.events_a.contains(&Event::Closed(a, Reason::TimedOut)));
    assert!(pair.now < Instant::from_secs(10_000));
}
