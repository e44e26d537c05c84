//! TIME-WAIT: who may begin anew (RFC 6191), and who may not end it (RFC 1337).

mod common;

use std::time::Duration;

use common::{A, B, Pair, sent_by, tcp_of};
use hairpin_tcp::{Checksum, Config, EndpointConfig};
use wire::tcp::Flags;
use wire::{SeqNumber, craft};

/// B is in TIME-WAIT with A's port 5000; returns RCV.NXT and TS.Recent of B.
fn waiting(timestamps: bool, protect: bool) -> (Pair, SeqNumber, u32) {
    let connection = Config { timestamps, protect_time_wait: protect, ..Config::default() };
    let b = EndpointConfig { connection: connection.clone(), ..EndpointConfig::default() };
    let mut pair = Pair::with(EndpointConfig::default(), b);
    let listener = pair.listen(80);
    let (from, to) = (std::net::SocketAddrV4::new(A, 5_000), std::net::SocketAddrV4::new(B, 80));
    let a = pair.a.connect(from, to, connection, pair.now).expect("a free port");
    pair.run(Duration::from_millis(100));
    let b = pair.b.accept(listener).expect("open");
    pair.b.close(b, pair.now);
    pair.run(Duration::from_millis(100));
    pair.a.close(a, pair.now);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.b.time_waits(), 1);
    let last = pair.log.iter().rfind(|flight| flight.from_a).expect("A sent something").clone();
    let tcp = tcp_of(&last.octets);
    let value = tcp.options().map_while(Result::ok).find_map(|option| match option {
        wire::tcp::TcpOption::Timestamps { value, .. } => Some(value),
        _ => None,
    });
    let nxt = tcp.seq().plus(tcp.segment_len());
    (pair, nxt, value.unwrap_or(0))
}

fn feed(pair: &mut Pair, flags: Flags, seq: SeqNumber, tsval: Option<u32>) -> Vec<Vec<u8>> {
    let mut options = vec![];
    if let Some(tsval) = tsval {
        options.extend([1, 1, 8, 10]);
        options.extend(tsval.to_be_bytes());
        options.extend([0; 4]);
    }
    let segment = craft::Segment { seq, options: &options, ..craft::Segment::new(5_000, 80, flags) };
    let mut buf = [0; 100];
    let len = craft::tcp(&mut buf, &craft::Header::new(A, B), &segment, &[]).expect("it fits");
    pair.b.handle_packet(&buf[..len], Checksum::Verify, pair.now);
    sent_by(&mut pair.b, pair.now)
}

// covers: T5
#[test]
fn a_syn_begins_anew_if_its_timestamp_or_its_number_is_newer() {
    // Timestamps before; the new SYN's timestamp and sequence number, from the old ones; accepted.
    let rows: [(bool, Option<i32>, i32, bool); 9] = [
        (true, Some(1), -5, true),
        (true, Some(0), 5, true),
        (true, Some(0), -5, false),
        (true, Some(-1), 5, false),
        (true, None, 5, true),
        (true, None, -5, false),
        (false, None, 5, true),
        (false, None, -5, false),
        (false, Some(0), -5, true),
    ];
    for (before, tsval, seq, accepted) in rows {
        let (mut pair, nxt, recent) = waiting(before, true);
        let tsval = tsval.map(|offset| recent.wrapping_add(offset as u32));
        let answers = feed(&mut pair, Flags::SYN, nxt.plus(seq as u32), tsval);
        let flags: Vec<_> = answers.iter().map(|packet| tcp_of(packet).flags()).collect();
        let begun = flags == [Flags::SYN | Flags::ACK];
        assert_eq!(begun, accepted, "{before} {tsval:?} {seq}: {flags:?}");
        assert_eq!((pair.b.time_waits(), pair.b.connections()), if begun { (0, 1) } else { (1, 0) });
    }
}

// covers: T5
#[test]
fn a_rst_does_not_end_time_wait_unless_the_settings_say_so() {
    for (protect, left) in [(true, 1), (false, 0)] {
        let (mut pair, nxt, _) = waiting(false, protect);
        assert!(feed(&mut pair, Flags::RST, nxt, None).is_empty());
        assert_eq!(pair.b.time_waits(), left);
    }
}

// covers: T5, S7
#[test]
fn the_peers_fin_once_more_is_answered_and_the_time_begins_anew() {
    let (mut pair, nxt, _) = waiting(false, true);
    let first = pair.b.poll_timeout().unwrap();
    pair.now = pair.now + Duration::from_secs(30);
    let answers = feed(&mut pair, Flags::FIN | Flags::ACK, nxt.minus(1), None);
    assert_eq!(tcp_of(&answers[0]).ack(), nxt);
    assert!(pair.b.poll_timeout().unwrap() > first + Duration::from_secs(29));
}
