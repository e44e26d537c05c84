//! Listeners: the backlog, the bound on what is half open, and cookies beyond it (T10).

mod common;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use common::{B, Pair, octets, plain, sent_by};
use hairpin_tcp::{Checksum, Config, EndpointConfig, Limits, ListenOptions, State};
use wire::craft;
use wire::tcp::Flags;

fn flooded(half_open: u32, syns: u16) -> Pair {
    let limits = Limits { half_open, ..Limits::default() };
    let mut pair =
        Pair::with(EndpointConfig::default(), EndpointConfig { limits, ..EndpointConfig::default() });
    pair.listen(80);
    let mut buf = [0; 100];
    for port in 1..=syns {
        let header = craft::Header::new(Ipv4Addr::new(10, 9, 9, 9), B);
        let len =
            craft::tcp(&mut buf, &header, &craft::Segment::new(port, 80, Flags::SYN), &[]).expect("it fits");
        pair.b.handle_packet(&buf[..len], Checksum::Verify, pair.now);
        sent_by(&mut pair.b, pair.now);
    }
    pair
}

// covers: T10
#[test]
fn beyond_the_bound_of_half_open_connections_cookies_are_sent_and_nothing_is_kept() {
    for (syns, connections, cookies) in [(4, 4, 0), (5, 5, 0), (6, 5, 1), (200, 5, 195)] {
        let pair = flooded(5, syns);
        assert_eq!((pair.b.connections(), pair.b.counters().cookies_sent), (connections, cookies));
    }
}

// covers: T10, T12
#[test]
fn a_client_gets_through_a_flood_with_what_it_offered_as_far_as_a_cookie_holds_it() {
    for timestamps in [true, false] {
        let mut pair = flooded(0, 50);
        let a = pair.connect(80, Config { timestamps, ..Config::default() });
        pair.run(Duration::from_millis(100));
        assert_eq!(pair.a.info(a).unwrap().state, State::Established);
        assert_eq!((pair.b.counters().cookies_accepted, pair.b.connections()), (1, 1));
        let listener = pair.events_b.iter().find_map(|event| match event {
            hairpin_tcp::Event::Incoming(listener) => Some(*listener),
            _ => None,
        });
        let b = pair.b.accept(listener.expect("it is told")).expect("it waits");
        for info in [pair.a.info(a).unwrap(), pair.b.info(b).unwrap()] {
            assert_eq!(
                (info.timestamps, info.sack, info.window_scaling),
                (timestamps, timestamps, timestamps)
            );
        }
        let data = octets(100_000);
        assert_eq!(pair.transfer(a, b, &data), data);
    }
}

// covers: T10
#[test]
fn a_full_backlog_ignores_syns_until_somebody_is_accepted() {
    let mut pair = Pair::new();
    let at = SocketAddrV4::new(B, 80);
    let listener = pair.b.listen(at, ListenOptions { backlog: 2, connection: None }).unwrap();
    let ids: Vec<_> = (0..2).map(|_| pair.connect(80, plain())).collect();
    pair.run(Duration::from_millis(100));
    let late = pair.connect(80, plain());
    pair.run(Duration::from_millis(100));
    assert!(ids.iter().all(|&id| pair.a.info(id).unwrap().state == State::Established));
    assert_eq!(pair.a.info(late).unwrap().state, State::SynSent);
    assert_eq!(pair.b.counters().backlog_full, 1);
    assert!(pair.b.accept(listener).is_some());
    pair.run(Duration::from_secs(3));
    assert_eq!(pair.a.info(late).unwrap().state, State::Established, "its SYN came again");
}

// covers: T10, T12
#[test]
fn a_right_cookie_is_worth_nothing_to_an_endpoint_that_sent_none_lately() {
    // Two endpoints of the same secret; one has to send cookies, the other never did.
    for (syns, accepted) in [(1, 1), (0, 0)] {
        let cookie = {
            let mut sender = flooded(0, 1);
            craft_to_b(&mut sender, Flags::SYN, 99, 0)
        };
        let mut pair = flooded(0, syns);
        craft_to_b(&mut pair, Flags::ACK, 100, cookie.wrapping_add(1));
        assert_eq!((pair.b.counters().cookies_accepted, pair.b.connections()), (accepted, accepted as usize));
    }
}

/// A segment from 10.9.9.9:7777; returns the sequence number of the answer, 0 if there is none.
fn craft_to_b(pair: &mut Pair, flags: Flags, seq: u32, ack: u32) -> u32 {
    let segment = craft::Segment {
        seq: wire::SeqNumber(seq),
        ack: wire::SeqNumber(ack),
        ..craft::Segment::new(7_777, 80, flags)
    };
    let mut buf = [0; 100];
    let header = craft::Header::new(Ipv4Addr::new(10, 9, 9, 9), B);
    let len = craft::tcp(&mut buf, &header, &segment, &[]).expect("it fits");
    pair.b.handle_packet(&buf[..len], Checksum::Verify, pair.now);
    sent_by(&mut pair.b, pair.now).first().map_or(0, |packet| common::tcp_of(packet).seq().0)
}
