//! The Identification of what goes out (N17, RFC 6864 5.3.1).

extern crate hairpin_nat as nat;

mod common;

use std::collections::BTreeSet;

use common::*;
use nat::{Checksum, Offload, Verdict};

fn world() -> World {
    World::with(|config| config.rewrite_ip_id = true)
}

fn id(data: &[u8]) -> u16 {
    u16::from_be_bytes([data[4], data[5]])
}

// covers: N17
#[test]
fn what_may_be_fragmented_gets_its_own_number_whatever_its_sender_chose() {
    let mut world = world();
    let mut seen = BTreeSet::new();
    for n in 0..200u16 {
        let from = Endpoint::new(addr(if n % 2 == 0 { "100.64.0.1" } else { "100.64.0.2" }), 4_001);
        for packet in [udp(from, S), tcp(from, S).syn(), ping(from, S)] {
            let protocol = packet.octets()[9];
            let outcome = world.inside(packet.id(7));
            outcome.out();
            assert!(seen.insert((protocol, id(&outcome.after))), "twice");
        }
    }
}

// covers: N17
#[test]
fn nothing_but_the_number_and_its_checksum_is_other_than_without_it() {
    for packet in [udp(A, S), tcp(A, S).syn(), ping(A, S)] {
        let mut world = world();
        let outcome = world.inside(packet.clone());
        let mut plain = World::default();
        let expected = plain.inside(packet.id(id(&outcome.after)));
        assert_eq!(outcome.after, expected.after);
        assert_eq!(outcome.after[6] & 0x40, 0, "DF as it was");
    }
}

// covers: N17
#[test]
fn atomic_datagrams_and_what_comes_in_are_left_alone() {
    let mut world = world();
    world.inside(udp(A, S).df().id(9)).expect_out(udp(XA, S).df().id(9));
    world.outside(udp(S, XA).id(11)).expect_in(udp(S, A).id(11));
    world.outside(udp(S, XA).df().id(0)).expect_in(udp(S, A).df().id(0));
}

// covers: N17, B3
#[test]
fn all_fragments_of_a_datagram_have_one_new_number_in_whatever_order_they_come() {
    for turn in 0..6 {
        let mut world = world();
        let mut pieces = udp(A, S).len(100).id(0x0102).fragments(40);
        pieces.rotate_left(turn % 3);
        if turn > 2 {
            pieces.reverse();
        }
        let mut out = Vec::new();
        for piece in pieces {
            let outcome = world.inside(piece);
            if outcome.verdict != Verdict::Held {
                out.push(outcome.after);
            }
            out.extend(outcome.sent.into_iter().map(|sent| sent.data));
        }
        assert_eq!(out.len(), 3);
        let ids: BTreeSet<_> = out.iter().map(|data| id(data)).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        out.iter().for_each(|data| assert_ip_sound(data));
        // The next with the same number of its own is another datagram.
        let next = world.inside(udp(A, S).len(100).id(0x0102).fragments(40)[0].clone());
        assert!(!ids.contains(&id(&next.after)));
    }
}

fn assert_ip_sound(data: &[u8]) {
    wire::Packet::parse(data, wire::Trust::Skip).expect("a right header checksum");
}

// covers: N17, B7
#[test]
fn what_the_gateway_cuts_has_one_new_number() {
    let mut world = World::with(|config| {
        config.rewrite_ip_id = true;
        config.mtu.outside = 600;
    });
    let outcome = world.inside(udp(A, S).len(1_400).id(5));
    outcome.expect_held();
    let ids: BTreeSet<_> = outcome.sent.iter().map(|sent| id(&sent.data)).collect();
    assert_eq!((outcome.sent.len(), ids.len()), (3, 1));
}

// covers: N17
#[test]
fn a_super_segment_takes_a_number_for_each_of_its_segments() {
    let mut world = world();
    world.inside(tcp(A, S).syn()).out();
    let large = Offload { checksum: Checksum::Partial, gso_size: 1_000 };
    let first = id(&world.inside(tcp(A, S).len(4_500).offload(large)).after);
    let next = id(&world.inside(tcp(A, S)).after);
    assert_eq!(next, first.wrapping_add(5));
}

// covers: N17
#[test]
fn more_than_sixteen_bits_in_two_minutes_are_counted_and_pass() {
    let mut world = world();
    let whole = |n: u32| udp(A, S).payload(&n.to_be_bytes());
    let first = id(&world.inside(whole(0)).after);
    for n in 1..65_536 {
        assert_ne!(id(&world.inside(whole(n)).after), first);
    }
    assert_eq!(world.engine.counters().ip_ids_reused, 0);
    let outcome = world.inside(whole(65_536));
    outcome.out();
    assert_eq!(id(&outcome.after), first);
    assert_eq!(world.engine.counters().ip_ids_reused, 1);
    // Two minutes later nobody can have the old ones any more.
    world.wait_secs(121);
    world.inside(whole(1)).out();
    assert_eq!(world.engine.counters().ip_ids_reused, 1);
}

// covers: N17, N19
#[test]
fn two_subscribers_who_reach_a_third_through_the_hairpin_never_share_a_number() {
    let mut world = world();
    world.inside(udp("100.64.0.3:7001", S)).out();
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        for from in [A, B] {
            let outcome = world.inside(udp(from, "192.0.2.1:7001").id(3));
            outcome.inward();
            assert!(seen.insert(id(&outcome.after)));
        }
    }
}

// covers: N17, B4
#[test]
fn errors_from_inside_have_new_numbers_and_quotes_stay_as_they_are() {
    let mut world = world();
    world.inside(udp(A, S)).out();
    let inner = world.outside(udp(S, XA).id(77)).after;
    let outcome = world.inside(icmp_error(addr("100.64.0.1"), addr("203.0.113.80"), 3, 3, &inner).id(5));
    outcome.out();
    assert_eq!(id(&outcome.after[28..]), 77, "what came in kept its number, so the quote is right");
    // What went out got a new one, and what it was is not kept.
    let out = world.inside(udp(A, S).id(5)).after;
    let error = icmp_error(addr("198.51.100.99"), addr("192.0.2.1"), 11, 0, &out);
    let outcome = world.outside(error);
    outcome.inward();
    assert_eq!(id(&outcome.after[28..]), id(&out));
}
