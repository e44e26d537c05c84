//! Path MTU discovery (RFC 1191) from routers that are believed only about what is in flight (RFC 5927).

mod common;

use std::time::Duration;

use common::{A, Pair, octets, plain, sent_by, tcp_of};
use hairpin_tcp::{Checksum, Config, State};
use wire::craft;

fn too_big(pair: &mut Pair, mtu: u16, quoted: &[u8]) {
    let mut buf = [0; 600];
    let header = craft::Header::new([10, 0, 0, 99].into(), A);
    let len =
        craft::icmp_error(&mut buf, &header, 3, 4, wire::icmpv4::next_hop_mtu(mtu), quoted).expect("it fits");
    pair.a.handle_packet(&buf[..len], Checksum::Verify, pair.now);
}

// covers: T9
#[test]
fn a_narrower_path_makes_segments_smaller_if_the_quote_is_in_flight_and_never_larger() {
    let mut pair = Pair::new();
    let (a, _) = pair.open(plain());
    pair.a.send(a, &octets(5_000), pair.now).unwrap();
    let sent = sent_by(&mut pair.a, pair.now);
    assert_eq!(sent[0].len(), 1_500);
    let mut forged = sent[0].clone();
    forged[24] ^= 0x80;
    too_big(&mut pair, 600, &forged);
    assert_eq!((pair.a.info(a).unwrap().mss, pair.a.counters().icmp_ignored), (1_460, 1));
    too_big(&mut pair, 1_500, &sent[0]);
    too_big(&mut pair, 9_000, &sent[0]);
    assert_eq!((pair.a.info(a).unwrap().mss, pair.a.counters().icmp_ignored), (1_460, 3));
    too_big(&mut pair, 1_000, &sent[0]);
    assert_eq!(pair.a.info(a).unwrap().mss, 960);
    let again = sent_by(&mut pair.a, pair.now);
    assert!(
        !again.is_empty() && again.iter().all(|packet| packet.len() <= 1_000),
        "what was too long goes again"
    );
    assert_eq!(tcp_of(&again[0]).seq(), tcp_of(&sent[0]).seq());
    too_big(&mut pair, 68, &again[0]);
    assert_eq!(pair.a.info(a).unwrap().mss, 552 - 40, "no path is believed to be narrower");
}

// covers: T9
#[test]
fn full_segments_that_vanish_without_a_word_become_smaller() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config { ..plain() });
    pair.lose = Box::new(|_, flight| flight.octets.len() > 1_100);
    let data = octets(30_000);
    pair.a.send(a, &data, pair.now).unwrap();
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.read_all(b, false), data);
    assert!(pair.a.info(a).unwrap().mss <= 1_060);
}

// covers: T9
#[test]
fn below_the_floor_segments_stay_as_large_as_it_and_routers_may_cut_them_up() {
    let df = |packet: &Vec<u8>| packet[6] & 0x40 != 0;
    for (mtu, keeps_df) in [(552, true), (551, false), (68, false)] {
        let mut pair = Pair::new();
        let (a, _) = pair.open(plain());
        pair.a.send(a, &octets(5_000), pair.now).unwrap();
        let sent = sent_by(&mut pair.a, pair.now);
        assert!(sent.iter().all(df));
        too_big(&mut pair, mtu, &sent[0]);
        assert_eq!(pair.a.info(a).unwrap().mss, 552 - 40);
        let again = sent_by(&mut pair.a, pair.now);
        assert!(!again.is_empty() && again.iter().all(|packet| df(packet) == keeps_df), "{mtu}");
        // At the floor already: nothing becomes smaller, but DF goes all the same.
        too_big(&mut pair, 500, &again[0]);
        let third = sent_by(&mut pair.a, pair.now);
        assert_eq!((third.is_empty(), third.iter().any(df)), (!keeps_df, false), "{mtu}");
    }
}

// covers: T9
#[test]
fn while_a_connection_is_opened_a_soft_error_is_borne_and_a_hard_one_ends_it() {
    for (code, state) in [(0, State::SynSent), (1, State::SynSent), (5, State::SynSent), (3, State::Closed)] {
        let mut pair = Pair::new();
        pair.listen(80);
        let a = pair.connect(80, plain());
        let syn = sent_by(&mut pair.a, pair.now);
        let mut buf = [0; 600];
        let header = craft::Header::new([10, 0, 0, 99].into(), A);
        let len = craft::icmp_error(&mut buf, &header, 3, code, [0; 4], &syn[0]).expect("it fits");
        pair.a.handle_packet(&buf[..len], Checksum::Verify, pair.now);
        assert_eq!(pair.a.info(a).unwrap().state, state, "{code}");
        pair.run(Duration::from_secs(5));
        let open = pair.a.info(a).unwrap().state == State::Established;
        assert_eq!(open, state == State::SynSent, "the SYN goes out again");
    }
}
