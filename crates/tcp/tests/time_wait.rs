//! TIME-WAIT: who may begin anew (RFC 6191), and who may not end it (RFC 1337).

mod common;

use std::time::Duration;

use common::{A, B, Pair, sent_by, tcp_of};
use hairpin_tcp::{Checksum, Config, EndpointConfig, Limits, State};
use wire::tcp::Flags;
use wire::{SeqNumber, craft};

/// B is in TIME-WAIT with A's port 5000; returns RCV.NXT and TS.Recent of B.
fn waiting(timestamps: bool, protect: bool) -> (Pair, SeqNumber, u32) {
    waiting_within(Limits::default(), timestamps, protect)
}

fn waiting_within(limits: Limits, timestamps: bool, protect: bool) -> (Pair, SeqNumber, u32) {
    let connection = Config { timestamps, protect_time_wait: protect, ..Config::default() };
    let b = EndpointConfig { connection: connection.clone(), limits, ..EndpointConfig::default() };
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

/// A's segment, which acknowledges what A acknowledged last.
fn feed(pair: &mut Pair, flags: Flags, seq: SeqNumber, tsval: Option<u32>) -> Vec<Vec<u8>> {
    let last = pair.log.iter().rfind(|flight| flight.from_a).expect("A sent something");
    let ack = tcp_of(&last.octets).ack();
    feed_ack(pair, flags, seq, ack, tsval)
}

fn feed_ack(
    pair: &mut Pair,
    flags: Flags,
    seq: SeqNumber,
    ack: SeqNumber,
    tsval: Option<u32>,
) -> Vec<Vec<u8>> {
    let mut options = vec![];
    if let Some(tsval) = tsval {
        options.extend([1, 1, 8, 10]);
        options.extend(tsval.to_be_bytes());
        options.extend([0; 4]);
    }
    let segment = craft::Segment { seq, ack, options: &options, ..craft::Segment::new(5_000, 80, flags) };
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

// covers: T5
#[test]
fn a_fin_that_acknowledges_something_else_does_not_prolong_time_wait() {
    let (mut pair, nxt, _) = waiting(false, true);
    let first = pair.b.poll_timeout();
    pair.now = pair.now + Duration::from_secs(30);
    for ack in [SeqNumber(0), SeqNumber(1 << 31)] {
        let answers = feed_ack(&mut pair, Flags::FIN | Flags::ACK, nxt.minus(1), ack, None);
        assert_eq!(tcp_of(&answers[0]).ack(), nxt, "it is answered");
        feed_ack(&mut pair, Flags::FIN, nxt.minus(1), ack, None);
    }
    assert_eq!(pair.b.poll_timeout(), first);
}

// covers: T5
#[test]
fn in_a_time_wait_that_is_held_too_only_a_fin_with_the_right_ack_prolongs_it() {
    for (wrong, prolonged) in [(0, true), (1, false), (1 << 30, false)] {
        let mut pair = Pair::new();
        let ids = pair.open(common::plain());
        pair.b.shutdown(ids.1, pair.now).expect("open");
        pair.run(Duration::from_millis(100));
        pair.a.close(ids.0, pair.now);
        pair.run(Duration::from_millis(100));
        assert_eq!(pair.b.info(ids.1).map(|info| info.state), Some(State::TimeWait));
        pair.now = pair.now + Duration::from_secs(30);
        common::forge(&mut pair, ids, true, &[], |segment| {
            segment.flags = Flags::FIN | Flags::ACK;
            segment.seq = segment.seq.minus(1);
            segment.ack = segment.ack.plus(wrong);
        });
        sent_by(&mut pair.b, pair.now);
        pair.run(Duration::from_secs(31));
        let waits = pair.b.info(ids.1).is_some_and(|info| info.state == State::TimeWait);
        assert_eq!(waits, prolonged, "{wrong}");
    }
}

// covers: T5, T10
#[test]
fn a_syn_for_which_there_is_no_room_leaves_time_wait_as_it_is() {
    let none_half_open = Limits { half_open: 0, ..Limits::default() };
    let (mut pair, nxt, _) = waiting_within(none_half_open, false, true);
    let cookies = pair.b.counters().cookies_sent;
    assert!(feed(&mut pair, Flags::SYN, nxt.plus(5), None).is_empty());
    let counters = pair.b.counters();
    assert_eq!((counters.time_wait_kept, counters.time_wait_reused, counters.cookies_sent), (1, 0, cookies));
    assert_eq!((pair.b.time_waits(), pair.b.connections()), (1, 0));

    let one = Limits { connections: 1, ..Limits::default() };
    let (mut pair, nxt, _) = waiting_within(one, false, true);
    pair.connect(80, common::plain());
    pair.run(Duration::from_millis(100));
    assert!(feed(&mut pair, Flags::SYN, nxt.plus(5), None).is_empty());
    assert_eq!((pair.b.counters().connections_full, pair.b.time_waits(), pair.b.connections()), (1, 1, 1));
}

// covers: T5, T10
#[test]
fn a_syn_for_which_there_is_no_room_does_not_end_a_time_wait_that_is_held() {
    let limits = Limits { half_open: 0, ..Limits::default() };
    let b = EndpointConfig { connection: common::plain(), limits, ..EndpointConfig::default() };
    let mut pair = Pair::with(EndpointConfig::default(), b);
    let ids = pair.open(common::plain());
    pair.b.shutdown(ids.1, pair.now).expect("open");
    pair.run(Duration::from_millis(100));
    pair.a.close(ids.0, pair.now);
    pair.run(Duration::from_millis(100));
    common::forge(&mut pair, ids, true, &[], |segment| {
        (segment.flags, segment.seq) = (Flags::SYN, segment.seq.plus(5));
    });
    assert!(sent_by(&mut pair.b, pair.now).is_empty());
    assert_eq!(pair.b.info(ids.1).map(|info| info.state), Some(State::TimeWait));
    assert_eq!(pair.b.counters().time_wait_kept, 1);
}

// covers: T5
#[test]
fn a_syn_with_fin_ends_no_time_wait_and_prolongs_none() {
    let (mut pair, nxt, recent) = waiting(true, true);
    let until = pair.b.poll_timeout();
    pair.now = pair.now + Duration::from_secs(30);
    for (seq, flags) in [(nxt.plus(5), Flags(0)), (nxt.minus(2), Flags::ACK)] {
        let answers =
            feed(&mut pair, Flags::SYN | Flags::FIN | flags, seq, Some(recent.wrapping_add(40_000)));
        assert!(answers.iter().all(|packet| tcp_of(packet).flags() == Flags::ACK));
        assert_eq!((pair.b.time_waits(), pair.b.connections()), (1, 0));
        assert_eq!(pair.b.poll_timeout(), until);
    }

    let mut pair = Pair::new();
    let ids = pair.open(common::plain());
    pair.b.shutdown(ids.1, pair.now).expect("open");
    pair.run(Duration::from_millis(100));
    pair.a.close(ids.0, pair.now);
    pair.run(Duration::from_millis(100));
    common::forge(&mut pair, ids, true, &[], |segment| {
        (segment.flags, segment.seq) = (Flags::SYN | Flags::FIN, segment.seq.plus(5));
    });
    let answers = sent_by(&mut pair.b, pair.now);
    assert!(answers.iter().all(|packet| tcp_of(packet).flags() == Flags::ACK));
    assert_eq!(pair.b.info(ids.1).map(|info| info.state), Some(State::TimeWait));
}
