//! Fragments (B3): in and out of order, hostile, too many.

#![allow(clippy::panic)]

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::{Reason, Verdict};
use wire::Malformed;

/// Sends fragments in this order; what comes out, in its order.
fn through(world: &mut World, from: nat::Realm, pieces: &[Pkt], order: &[usize]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for &n in order {
        let outcome = world.send(from, &pieces[n]);
        match outcome.verdict {
            Verdict::Forward(to) => {
                assert!(outcome.sent.iter().all(|sent| sent.to == to));
                out.push(outcome.after);
            }
            Verdict::Held => assert_eq!(outcome.before, outcome.after),
            other => panic!("fragment {n}: {other:?}"),
        }
        out.extend(outcome.sent.into_iter().map(|sent| sent.data));
    }
    out
}

/// Every order of `0..count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    shorter
        .iter()
        .flat_map(|order| {
            (0..=order.len()).map(move |at| {
                let mut order = order.clone();
                order.insert(at, count - 1);
                order
            })
        })
        .collect()
}

// covers: B3, B1.4787-14
#[test]
fn fragments_pass_in_every_order_in_both_directions() {
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    let mut id = 0;
    for order in orders(5) {
        for (from, sent, seen) in [(Inside, udp(A, S), udp(XA, S)), (Outside, udp(S, XA), udp(S, A))] {
            id += 1;
            let pieces = sent.len(600).id(id).fragments(128);
            let out = through(&mut world, from, &pieces, &order);
            assert_eq!(out.len(), 5);
            let whole = seen.len(600).id(id).one_hop_less().octets();
            assert_eq!(reassemble(&out), Some(whole), "{order:?}");
        }
    }
    assert_eq!(world.sessions(), 1);
    assert_eq!(world.engine.poll_timeout().map(|at| at > world.now), Some(true));
}

// covers: B3, B1.4787-14
#[test]
fn segments_and_queries_may_come_in_fragments_too() {
    let mut world = World::default();
    world.establish(A, S);
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    let pairs = [
        (tcp(A, S), tcp(XA, S)),
        (ping(A, S), ping(XA, S)),
        (udp(A, S).no_checksum(), udp(XA, S).no_checksum()),
    ];
    for (n, (sent, seen)) in pairs.into_iter().enumerate() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let options = [148, 4, 0, 0];
            let pieces = sent.clone().len(400).id(n as u16).ip_options(&options).fragments(160);
            let out = through(&mut world, Inside, &pieces, &order);
            let whole = seen.clone().len(400).id(n as u16).ip_options(&options).one_hop_less().octets();
            assert_eq!(reassemble(&out), Some(whole), "{order:?}");
        }
    }
}

// covers: B3
#[test]
fn a_first_fragment_opens_a_session_and_the_rest_follows_it() {
    let mut world = World::default();
    let pieces = udp(A, S).len(400).fragments(160);
    let out = through(&mut world, Inside, &pieces, &[2, 0, 1]);
    assert_eq!(reassemble(&out), Some(udp(XA, S).len(400).one_hop_less().octets()));
    assert_eq!(world.sessions(), 1);
}

// covers: B3
#[test]
fn datagrams_interleave() {
    let mut world = World::default();
    let datagrams: Vec<_> =
        (0..20).map(|id| udp(A, S).len(480 + usize::from(id)).id(id).fragments(128)).collect();
    let mut out = vec![Vec::new(); 20];
    for n in (0..4).rev() {
        for (id, pieces) in datagrams.iter().enumerate() {
            out[id].extend(through(&mut world, Inside, pieces, &[n]));
        }
    }
    for (id, out) in out.iter().enumerate() {
        let whole = udp(XA, S).len(480 + id).id(id as u16).one_hop_less().octets();
        assert_eq!(reassemble(out), Some(whole), "{id}");
    }
}

// covers: B3, N19
#[test]
fn fragments_turn_round() {
    let mut world = World::default();
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    for (id, order) in [[0, 1, 2], [2, 1, 0], [1, 0, 2]].iter().enumerate() {
        let pieces = udp(A, XB).len(400).id(id as u16).fragments(160);
        let out = through(&mut world, Inside, &pieces, order);
        assert_eq!(reassemble(&out), Some(udp(XA, B).len(400).id(id as u16).one_hop_less().octets()));
    }
}

// covers: B3, B7
#[test]
fn a_fragment_that_is_too_big_is_cut_again() {
    let mut world = World::with(|config| config.mtu.outside = 576);
    let pieces = udp(A, S).len(2_400).fragments(1_200);
    for order in [[0, 1, 2], [2, 1, 0]] {
        let mut out = Vec::new();
        for &n in &order {
            let outcome = world.inside(&pieces[n]);
            if outcome.verdict == Verdict::Forward(Outside) {
                out.push(outcome.after);
            }
            out.extend(outcome.sent.into_iter().map(|sent| sent.data));
        }
        assert!(out.iter().all(|piece| piece.len() <= 576));
        assert_eq!(reassemble(&out), Some(udp(XA, S).len(2_400).one_hop_less().octets()), "{order:?}");
    }
}

// covers: B3
#[test]
fn what_overlaps_or_comes_twice_is_refused() {
    let piece = |at: u16, len: usize, more| {
        raw(addr("100.64.0.1"), addr("203.0.113.80"), 17, &vec![7; len]).fragment(at, more)
    };
    let mut world = World::default();
    world.inside(piece(128, 64, true)).expect_held();
    for (at, len) in [(128, 64), (120, 16), (184, 16), (64, 72), (136, 8), (64, 256)] {
        world.refuses(Inside, piece(at, len, true), Reason::FragmentOverlap);
    }
    world.inside(piece(192, 64, true)).expect_held();
    world.inside(piece(64, 64, true)).expect_held();
    world.inside(piece(320, 60, false)).expect_held();
    // Behind the end there is nothing.
    world.refuses(Inside, piece(384, 8, true), Reason::FragmentOverlap);
    world.refuses(Inside, piece(380 / 8 * 8 + 8, 8, false), Reason::FragmentOverlap);
    // The same holds once the first has been there.
    let first = udp(A, S).len(372).fragments(64).remove(0);
    let outcome = world.inside(&first);
    assert_eq!((outcome.verdict, outcome.sent.len()), (Verdict::Forward(Outside), 4));
    world.refuses(Inside, &first, Reason::FragmentOverlap);
    world.refuses(Inside, piece(256, 72, true), Reason::FragmentOverlap);
    world.inside(piece(256, 64, true)).out_as_fragment();
}

impl Outcome {
    fn out_as_fragment(&self) {
        self.out_to(Outside);
    }

    fn out_to(&self, realm: nat::Realm) {
        assert_eq!(self.verdict, Verdict::Forward(realm));
        assert_sound(&self.after);
    }
}

// covers: B3, N10
#[test]
fn a_fragment_that_could_never_pass_does_not_wait() {
    let mut world = World::default();
    let piece =
        |source, destination| raw(addr(source), addr(destination), 17, &[7; 64]).fragment(64, false).id(9);
    for (from, source, destination, reason) in [
        (Outside, "100.64.0.9", "192.0.2.1", Reason::SpoofedInside),
        (Outside, "192.0.2.1", "192.0.2.1", Reason::SourceIsDestination),
        (Outside, "127.0.0.1", "192.0.2.1", Reason::Martian),
        (Outside, "203.0.113.80", "239.1.1.1", Reason::Martian),
        (Outside, "203.0.113.80", "192.0.2.2", Reason::NotExternal),
        (Outside, "203.0.113.80", "100.64.0.1", Reason::NotExternal),
        (Inside, "203.0.113.80", "198.51.100.7", Reason::SourceNotInside),
        (Inside, "100.64.0.1", "100.64.0.2", Reason::DestinationInside),
        (Inside, "100.64.0.1", "255.255.255.255", Reason::Martian),
    ] {
        world.refuses(from, piece(source, destination), reason);
    }
    assert_eq!(world.engine.poll_timeout(), None, "nothing waits");
    let mut sharded = World::with(|config| {
        config.pools = config_with(&["192.0.2.1", "192.0.2.2"], 1024..=65_535).pools;
        config.shard.count = 2;
    });
    sharded.refuses(Outside, piece("203.0.113.80", "192.0.2.2"), Reason::WrongShard);
    // From one address of the pools to another, as another shard hands it over: that may wait.
    sharded.hairpin(piece("192.0.2.2", "192.0.2.1")).expect_held();
}

// covers: B3, N10
#[test]
fn hostile_fragments_take_no_room_from_honest_ones() {
    let mut world = World::with(|config| config.fragments.datagrams = 1);
    let spoofed = raw(addr("100.64.0.9"), addr("192.0.2.1"), 17, &[7; 64]).fragment(64, false);
    for id in 0..100 {
        world.refuses(Outside, spoofed.clone().id(id), Reason::SpoofedInside);
    }
    let pieces = udp(A, S).len(400).fragments(160);
    let out = through(&mut world, Inside, &pieces, &[2, 0, 1]);
    assert_eq!(reassemble(&out), Some(udp(XA, S).len(400).one_hop_less().octets()));
    // And while an honest one has the only place, the others are still told what is wrong with them.
    world.inside(&pieces[1]).expect_held();
    world.refuses(Outside, spoofed, Reason::SpoofedInside);
}

// covers: B3
#[test]
fn tiny_fragments_are_refused() {
    let mut world = World::default();
    world.establish(A, S);
    let pieces = tcp(A, S).len(100).fragments(8);
    world.refuses(Inside, &pieces[0], Malformed::FragmentTiny.into());
    world.refuses(Inside, &pieces[1], Malformed::FragmentTiny.into());
    let pieces = tcp(A, S).len(100).fragments(16);
    world.refuses(Inside, &pieces[0], Malformed::FragmentTiny.into());
    // All of the header, the options too.
    let pieces = tcp(A, S).tcp_options(&[1; 12]).len(100).fragments(24);
    world.refuses(Inside, &pieces[0], Malformed::FragmentTiny.into());
}

// covers: B3
#[test]
fn what_waits_in_vain_is_counted_when_its_time_is_up() {
    let mut world = World::default();
    let pieces = udp(A, S).len(400).fragments(128);
    let due = world.now + Duration::from_secs(15) + TICK;
    world.inside(&pieces[2]).expect_held();
    world.wait_secs(10);
    world.inside(&pieces[1]).expect_held();
    assert_eq!(world.engine.poll_timeout(), Some(due));
    world.wait_secs(5);
    assert_eq!(world.dropped(Reason::FragmentTimeout), 0);
    world.wait(TICK);
    assert_eq!(world.dropped(Reason::FragmentTimeout), 2);
    assert_eq!(world.engine.poll_timeout(), None);
    // What comes now is another beginning.
    world.inside(&pieces[2]).expect_held();
    world.inside(&pieces[0]).out_as_fragment();
}

// covers: B3
#[test]
fn a_first_fragment_that_is_refused_leaves_the_others_waiting() {
    let mut world = World::with(|config| config.limits.subscribers = 1);
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    let pieces = udp(A, S).len(400).fragments(160);
    world.inside(&pieces[1]).expect_held();
    world.refuses(Inside, &pieces[0], Reason::LimitSubscribers);
    world.wait(Duration::from_secs(15) + TICK);
    assert_eq!(world.dropped(Reason::FragmentTimeout), 1);
    assert_eq!(world.sessions(), 1);
}

// covers: B3
#[test]
fn waiting_fragments_that_run_out_of_hops_are_counted() {
    let mut world = World::default();
    let pieces = udp(A, S).len(400).fragments(160);
    world.inside(pieces[1].clone().ttl(1)).expect_held();
    let outcome = world.inside(&pieces[0]);
    outcome.out_as_fragment();
    assert!(outcome.sent.is_empty(), "neither a fragment nor an error about it");
    assert_eq!(world.dropped(Reason::TtlExpired), 1);
}

// covers: B3, B1.4787-14a
#[test]
fn one_sources_fragments_do_not_take_anothers_room() {
    let mut world = World::with(|config| config.fragments.waiting_per_source = 8);
    let piece = |from, id: u16| udp(from, S).len(100).id(id).fragments(64).remove(1);
    for id in 0..8 {
        world.inside(piece(A, id)).expect_held();
    }
    world.refuses(Inside, piece(A, 8), Reason::FragmentSource);
    world.inside(piece(B, 8)).expect_held();
    // Room is given back, by completion and by time.
    world.inside(&udp(A, S).len(100).id(3).fragments(64)[0]).out_as_fragment();
    world.inside(piece(A, 9)).expect_held();
    world.refuses(Inside, piece(A, 10), Reason::FragmentSource);
    world.wait(Duration::from_secs(15) + TICK);
    for id in 20..28 {
        world.inside(piece(A, id)).expect_held();
    }
    world.refuses(Inside, piece(A, 28), Reason::FragmentSource);
}

// covers: B3, B1.4787-14a
#[test]
fn waiting_octets_and_datagrams_are_bounded_to_the_one() {
    let mut world = World::with(|config| config.fragments.waiting_octets = 2_000);
    let piece = |id, len: usize| {
        raw(addr("100.64.0.1"), addr("203.0.113.80"), 17, &vec![1; len - 20]).id(id).fragment(800, false)
    };
    world.inside(piece(1, 1_000)).expect_held();
    world.refuses(Inside, piece(2, 1_001), Reason::FragmentOctets);
    world.inside(piece(2, 1_000)).expect_held();
    world.refuses(Inside, piece(3, 21), Reason::FragmentOctets);

    let mut world = World::with(|config| config.fragments.datagrams = 3);
    for id in 0..3 {
        world.inside(piece(id, 100)).expect_held();
    }
    world.refuses(Inside, piece(3, 100), Reason::FragmentDatagrams);
    let first = udp(A, T).len(100).id(9).fragments(64).remove(0);
    world.refuses(Inside, first, Reason::FragmentDatagrams);
    assert_eq!(world.sessions(), 0, "nothing was opened for it");
    // What needs no following passes.
    world.inside(udp(A, S)).expect_out(udp(XA, S));
}

// covers: B3, B1.4787-14a, B10
#[test]
fn ten_thousand_fragments_without_a_first_stay_within_bounds() {
    let mut world = World::with(|config| {
        config.fragments.waiting_octets = 100_000;
        config.fragments.datagrams = 500;
    });
    let mut held = 0;
    for n in 0..10_000u32 {
        let source = std::net::Ipv4Addr::from_bits(addr("100.64.0.0").to_bits() + n % 1_000);
        let piece =
            raw(source, addr("203.0.113.80"), 17, &[1; 480]).id((n / 1_000) as u16).fragment(800, false);
        match world.inside(piece).verdict {
            Verdict::Held => held += 1,
            Verdict::Drop(Reason::FragmentOctets | Reason::FragmentDatagrams) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(held, 200, "100,000 octets");
    // All the while everybody else is served.
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.wait(Duration::from_secs(15) + TICK);
    assert_eq!(world.dropped(Reason::FragmentTimeout), 200);
    let octets: u64 =
        [Reason::FragmentOctets, Reason::FragmentDatagrams].map(|reason| world.dropped(reason)).iter().sum();
    assert_eq!(octets, 9_800);
}

// covers: B3, B10
#[test]
fn a_datagram_with_more_gaps_than_anybody_has_is_refused() {
    let mut world = World::with(|config| config.fragments.waiting_per_source = 1_000);
    let piece = |n: u16| raw(addr("100.64.0.1"), addr("203.0.113.80"), 17, &[1; 8]).fragment(n * 16, true);
    let held = (1..200).take_while(|&n| world.inside(piece(n)).verdict == Verdict::Held).count();
    assert!((8..100).contains(&held), "{held}");
    world.refuses(Inside, piece(500), Reason::FragmentDatagrams);
}

// covers: B3
#[test]
fn an_id_may_come_again_as_soon_as_its_datagram_is_complete() {
    let mut world = World::default();
    for len in 300..340 {
        for order in [[0, 1, 2], [2, 0, 1]] {
            let pieces = udp(A, S).len(len).id(7).fragments(128);
            let out = through(&mut world, Inside, &pieces, &order);
            assert_eq!(reassemble(&out), Some(udp(XA, S).len(len).id(7).one_hop_less().octets()));
        }
    }
    // Not one of them is followed any longer: only the session wants to be looked at.
    assert!(world.engine.poll_timeout().expect("the session") > world.now + Duration::from_secs(299));
}

// covers: B3
#[test]
fn the_same_id_in_another_direction_or_protocol_is_another_datagram() {
    let mut world = World::default();
    world.establish(A, S);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    let [one, two] = [udp(A, S).len(200).id(5).fragments(128), tcp(A, S).len(200).id(5).fragments(128)];
    let three = udp(S, XA).len(200).id(5).fragments(128);
    for (from, pieces) in [(Inside, &one), (Inside, &two), (Outside, &three)] {
        world.send(from, &pieces[1]).expect_held();
    }
    for (from, pieces) in [(Inside, &one), (Inside, &two), (Outside, &three)] {
        let outcome = world.send(from, &pieces[0]);
        assert_eq!((outcome.verdict, outcome.sent.len()), (Verdict::Forward(from.other()), 1));
    }
}

// covers: B3, B10
#[test]
fn an_engine_that_follows_many_datagrams_forgets_them_all() {
    let mut world = World::with(|config| config.fragments.datagrams = 16);
    for n in 0..1_000u16 {
        let pieces = udp(A, S).len(100).id(n).fragments(64);
        let out = through(&mut world, Inside, &pieces, &[1, 0]);
        assert_eq!(out.len(), 2);
        if n % 10 == 0 {
            world.wait(Duration::from_millis(700));
        }
    }
    world.wait_secs(1_000);
    assert_eq!(world.engine.poll_timeout(), None);
}

// covers: B3, N10
#[test]
fn fragments_from_outside_do_not_join_a_datagram_from_inside() {
    let mut world = World::default();
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    let pieces = udp(A, XB).len(400).fragments(160);
    world.inside(&pieces[0]).out_to(Inside);
    // The same source, destination, protocol and ID, but not from there.
    world.outside(&pieces[1]).expect_refused(Reason::SpoofedInside);
    world.inside(&pieces[1]).out_to(Inside);
    world.outside(&pieces[2]).expect_refused(Reason::SpoofedInside);
    world.inside(&pieces[2]).out_to(Inside);
    world.outside(&pieces[0]).expect_refused(Reason::SpoofedInside);
    // Nor do those that another shard hands over.
    world.hairpin(&pieces[1]).expect_held();
    world.wait(Duration::from_secs(15) + TICK);
    assert_eq!(world.dropped(Reason::FragmentTimeout), 1);
}

// covers: B3, B10
#[test]
fn strangers_with_later_fragments_leave_half_of_the_places_to_others() {
    let mut world = World::with(|config| config.fragments.datagrams = 8);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    let later = |n: u16| raw(addr("198.51.100.7"), addr("192.0.2.1"), 17, &[1; 8]).fragment(8, true).id(n);
    for n in 0..4 {
        world.outside(later(n)).expect_held();
    }
    world.refuses(Outside, later(4), Reason::FragmentDatagrams);
    // From inside, and from outside with the first of them, they pass as before.
    let mut expect = |from, pieces: Vec<Pkt>, order: &[usize], seen: Pkt| {
        let out = through(&mut world, from, &pieces, order);
        assert_eq!(reassemble(&out), reassemble(&[seen.one_hop_less().octets()]));
    };
    expect(Inside, udp(A, S).len(100).id(1).fragments(40), &[2, 1, 0], udp(XA, S).len(100).id(1));
    expect(Outside, udp(S, XA).len(100).id(2).fragments(40), &[0, 1, 2], udp(S, A).len(100).id(2));
    // A place that was given up is free for the next stranger.
    world.wait(Duration::from_millis(15_100));
    assert_eq!(world.dropped(Reason::FragmentTimeout), 4);
    world.outside(later(4)).expect_held();
}

// covers: B3, B10
#[test]
fn a_call_gives_up_a_bounded_number_of_datagrams() {
    let mut world = World::default();
    for n in 0..3_000 {
        let source = (0x6440_0001 + u32::from(n) / 64).into();
        let later = raw(source, addr("203.0.113.80"), 17, &[1; 8]).fragment(8, true);
        world.inside(later.id(n)).expect_held();
    }
    world.wait(Duration::from_millis(15_100));
    let first = world.dropped(Reason::FragmentTimeout);
    assert!((1..3_000).contains(&first), "{first}");
    while world.engine.poll_timeout().is_some_and(|at| at <= world.now) {
        world.engine.handle_timeout(world.now);
    }
    assert_eq!(world.dropped(Reason::FragmentTimeout), 3_000);
}
