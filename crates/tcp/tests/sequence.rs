//! What a segment at the edges of the window may do (S1, S6, S7), end to end.

mod common;

use std::time::Duration;

use common::{Pair, forge, plain, sent_by, tcp_of};
use hairpin_tcp::{Config, ConnectionId, EndpointConfig};
use wire::tcp::Flags;

fn open(config: Config) -> (Pair, (ConnectionId, ConnectionId)) {
    let b = EndpointConfig { connection: config, ..EndpointConfig::default() };
    let mut pair = Pair::with(EndpointConfig::default(), b);
    let ids = pair.open(plain());
    (pair, ids)
}

// covers: S1, S6
#[test]
fn the_ack_and_the_window_of_a_segment_one_octet_left_are_taken() {
    let (mut pair, ids) = open(plain());
    pair.b.send(ids.1, b"waits for its ACK", pair.now).unwrap();
    let sent = sent_by(&mut pair.b, pair.now);
    assert_eq!(sent.len(), 1);
    let nxt = pair.b.info(ids.1).unwrap().snd_nxt;
    forge(&mut pair, ids, true, &[], |segment| {
        (segment.seq, segment.ack) = (segment.seq.minus(1), nxt);
    });
    assert_eq!(pair.b.info(ids.1).unwrap().unacknowledged, 0);
    // Two octets left it is outside: nothing of it counts.
    pair.b.send(ids.1, b"again", pair.now).unwrap();
    sent_by(&mut pair.b, pair.now);
    let nxt = pair.b.info(ids.1).unwrap().snd_nxt;
    forge(&mut pair, ids, true, &[], |segment| {
        (segment.seq, segment.ack) = (segment.seq.minus(2), nxt);
    });
    assert_eq!(pair.b.info(ids.1).unwrap().unacknowledged, 5);
}

// covers: S6, S7
#[test]
fn a_keep_alive_is_answered_and_its_octet_is_never_delivered() {
    for payload in [&[][..], &[0xEE]] {
        let (mut pair, ids) = open(plain());
        pair.a.send(ids.0, b"x", pair.now).unwrap();
        pair.run(Duration::from_millis(300));
        forge(&mut pair, ids, true, payload, |segment| segment.seq = segment.seq.minus(1));
        let packets = sent_by(&mut pair.b, pair.now);
        assert_eq!(packets.len(), 1, "{payload:?}");
        assert_eq!(tcp_of(&packets[0]).ack(), pair.b.info(ids.1).unwrap().rcv_nxt);
        assert_eq!(pair.read_all(ids.1, false), b"x");
    }
}

// covers: S6
#[test]
fn of_a_segment_across_an_edge_only_what_is_new_and_in_the_window_is_taken() {
    let (mut pair, ids) = open(Config { receive_buffer: 10, ..plain() });
    pair.a.send(ids.0, b"abcd", pair.now).unwrap();
    pair.run(Duration::from_millis(300));
    forge(&mut pair, ids, true, b"XefghijKK", |segment| segment.seq = segment.seq.minus(1));
    assert_eq!(pair.read_all(ids.1, false), b"abcdefghij");
    let (mut pair, ids) = open(plain());
    forge(&mut pair, ids, true, b"later", |segment| segment.seq = segment.seq.plus(3));
    assert_eq!(pair.b.info(ids.1).unwrap().unread, 0);
    forge(&mut pair, ids, true, b"now", |_| {});
    assert_eq!(pair.read_all(ids.1, false), b"nowlater");
}

// covers: S1
#[test]
fn into_a_closed_window_no_text_comes_but_its_ack_counts() {
    let (mut pair, ids) = open(Config { receive_buffer: 4, ..plain() });
    pair.a.send(ids.0, b"full", pair.now).unwrap();
    pair.run(Duration::from_millis(300));
    assert_eq!(pair.b.info(ids.1).unwrap().rcv_wnd, 0);
    pair.b.send(ids.1, b"waits", pair.now).unwrap();
    sent_by(&mut pair.b, pair.now);
    let nxt = pair.b.info(ids.1).unwrap().snd_nxt;
    forge(&mut pair, ids, true, b"!", |segment| segment.ack = nxt);
    let info = pair.b.info(ids.1).unwrap();
    assert_eq!((info.unacknowledged, info.unread), (0, 4));
    assert_eq!(sent_by(&mut pair.b, pair.now).len(), 1, "it is what a probe asks for");
    forge(&mut pair, ids, true, &[], |segment| segment.flags = Flags::RST | Flags::ACK);
    assert!(pair.b.info(ids.1).unwrap().closed.is_some(), "and so does its RST");
}
