//! Segments that must not make an endpoint talk to itself or without end: self-connect, LAND, empty answers (S3).

mod common;

use std::net::SocketAddrV4;
use std::time::Duration;

use common::{A, B, Pair, forge, plain, sent_by, tcp_of};
use hairpin_tcp::{Checksum, EndpointConfig, State};
use rules::Instant;
use wire::craft;
use wire::tcp::Flags;

/// Gives A what A sends, until it is silent or `until`.
#[allow(clippy::panic)]
fn loop_back(pair: &mut Pair, until: Instant) {
    for _ in 0..1_000 {
        let packets = sent_by(&mut pair.a, pair.now);
        if packets.is_empty() {
            let Some(due) = pair.a.poll_timeout().filter(|&due| due <= until) else { return };
            pair.now = pair.now.max(due);
            pair.a.handle_timeout(pair.now);
        }
        for packet in packets {
            pair.a.handle_packet(&packet, Checksum::Verify, pair.now);
        }
    }
    panic!("it talks to itself without end");
}

// covers: S3
#[test]
fn a_connection_to_itself_is_a_pipe() {
    let mut pair = Pair::new();
    let own = SocketAddrV4::new(A, 4_000);
    let id = pair.a.connect(own, own, plain(), pair.now).unwrap();
    let until = pair.now + Duration::from_secs(1);
    loop_back(&mut pair, until);
    assert_eq!(pair.a.info(id).unwrap().state, State::Established);
    pair.a.send(id, b"to myself", pair.now).unwrap();
    let until = pair.now + Duration::from_secs(1);
    loop_back(&mut pair, until);
    assert_eq!(pair.read_all(id, true), b"to myself");
    assert_eq!(pair.a.info(id).unwrap().unacknowledged, 0);
}

// covers: S3
#[test]
fn a_land_segment_to_a_listener_or_a_connection_does_nothing_and_is_counted() {
    let mut pair = Pair::new();
    let (_, b) = pair.open(plain());
    let (before, held) = (pair.b.info(b).unwrap(), pair.b.connections());
    let port = before.local.port();
    for flags in [Flags::SYN, Flags::ACK, Flags::RST, Flags::SYN | Flags::ACK] {
        let counted = pair.b.counters().martian;
        let mut segment = craft::Segment::new(port, port, flags);
        (segment.seq, segment.ack) = (before.rcv_nxt, before.snd_una);
        let mut buf = [0; 100];
        let len = craft::tcp(&mut buf, &craft::Header::new(B, B), &segment, &[]).unwrap();
        pair.b.handle_packet(&buf[..len], Checksum::Verify, pair.now);
        assert!(sent_by(&mut pair.b, pair.now).is_empty(), "{flags:?}");
        assert_eq!(pair.b.counters().martian, counted + 1, "{flags:?}");
        assert_eq!(pair.b.connections(), held);
        let after = pair.b.info(b).unwrap();
        assert_eq!((after.state, after.rcv_nxt), (before.state, before.rcv_nxt));
    }
}

// covers: S6
#[test]
fn empty_segments_outside_the_window_are_answered_once_in_500_ms_and_text_each_time() {
    let b = EndpointConfig { connection: plain(), ..EndpointConfig::default() };
    let mut pair = Pair::with(EndpointConfig::default(), b);
    let ids = pair.open(plain());
    let start = pair.now;
    let mut answers = |after: u64, payload: &[u8]| {
        pair.now = start + Duration::from_millis(after);
        forge(&mut pair, ids, true, payload, |segment| segment.seq = segment.seq.minus(100));
        let sent = sent_by(&mut pair.b, pair.now);
        assert!(sent.iter().all(|packet| tcp_of(packet).payload().is_empty()));
        sent.len()
    };
    assert_eq!([answers(0, &[]), answers(0, &[]), answers(499, &[]), answers(500, &[])], [1, 0, 0, 1]);
    assert_eq!([answers(501, b"old"), answers(501, b"old"), answers(501, &[])], [1, 1, 0]);
    assert_eq!(pair.b.counters().empty_answers_withheld, 3);
}
