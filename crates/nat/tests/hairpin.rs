//! Two subscribers who meet through their external addresses (N19).

extern crate hairpin_nat as nat;

mod common;

use common::*;
use nat::config::Shard;
use nat::event::OpenedFrom;
use nat::{Protocol, Reason, Steering, Verdict};

/// `B` has spoken to somebody, so it has an external endpoint.
fn with_b() -> World {
    let mut world = World::default();
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    world.inside(tcp(B, S).syn()).expect_out(tcp(XB, S).syn());
    world.inside(ping("100.64.0.2:4001", S)).expect_out(ping("192.0.2.1:4001", S));
    world
}

// covers: N19, B1.4787-9, B1.4787-9a
#[test]
fn datagrams_turn_round_and_show_the_external_source() {
    let mut world = with_b();
    world.inside(udp(A, XB)).expect_in(udp(XA, B));
    world.inside(udp(B, XA)).expect_in(udp(XB, A));
    world.inside(udp(A, XB).no_checksum()).expect_in(udp(XA, B).no_checksum());
    // Both ends have a session of their own.
    let mut of: Vec<_> = world
        .engine
        .sessions()
        .filter(|session| session.mapping.protocol == Protocol::Udp && session.remote != S.end())
        .map(|session| (session.mapping.internal, session.remote, session.opened_from))
        .collect();
    of.sort_unstable();
    assert_eq!(of, [(A.end(), XB.end(), OpenedFrom::Inside), (B.end(), XA.end(), OpenedFrom::Outside)]);
    assert_eq!(world.engine.counters().hairpinned, 3);
}

// covers: N19, B1.5382-8, B1.5382-8a, N1
#[test]
fn connections_turn_round_and_are_tracked_on_both_sides() {
    let mut world = with_b();
    world.inside(tcp(A, XB).syn()).expect_in(tcp(XA, B).syn());
    world.inside(tcp(B, XA).syn_ack()).expect_in(tcp(XB, A).syn_ack());
    world.inside(tcp(A, XB)).expect_in(tcp(XA, B));
    world.wait_secs(7_000);
    world.inside(tcp(B, XA).payload(b"still here")).expect_in(tcp(XB, A).payload(b"still here"));
    assert_eq!(world.sessions(), 2, "the two of the hairpin");
    world.inside(tcp(A, XB).fin()).expect_in(tcp(XA, B).fin());
    world.inside(tcp(B, XA).fin()).expect_in(tcp(XB, A).fin());
    world.inside(tcp(A, XB)).expect_in(tcp(XA, B));
    world.wait_secs(241);
    assert_eq!(world.sessions(), 0, "both were closing");
}

// covers: N19, B1.5508-7
#[test]
fn queries_turn_round() {
    let mut world = World::default();
    // An identifier is what names the receiver, so that of the sender must become the receiver's: under
    // one address only its own. With two addresses the same identifier is free on both.
    let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1_024..=65_535);
    config.limits.subscribers = 64;
    for seed in 0..32 {
        world = World::seeded(&config, [seed; 32]);
        let sender = world.inside(ping("100.64.0.1:77", S)).out();
        let receiver = world.inside(ping("100.64.0.2:77", S)).out();
        if sender.address == receiver.address {
            continue;
        }
        world.inside(ping("100.64.0.1:77", receiver)).expect_in(ping(sender, "100.64.0.2:77"));
        world.inside(pong("100.64.0.2:77", sender)).expect_in(pong(receiver, "100.64.0.1:77"));
        return;
    }
    panic!("32 seeds gave both hosts one address: {:?}", world.snapshot());
}

// covers: N19
#[test]
fn a_hairpin_takes_one_hop() {
    let mut world = with_b();
    world.inside(udp(A, XB).ttl(2)).expect_in(udp(XA, B).ttl(2));
    let (sent, _) = world.refuses(Inside, udp(A, XB).ttl(1), Reason::TtlExpired);
    assert_eq!((sent[0].to, sent[0].data[20]), (Inside, 11));
}

// covers: N19
#[test]
fn a_subscriber_reaches_itself() {
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(udp(A, XA)).expect_in(udp(XA, A));
    world.inside(udp(A, XA)).expect_in(udp(XA, A));
    world
        .inside(udp(port(A, 9), XA))
        .expect_in(udp(port(XA, world.external(Protocol::Udp, port(A, 9)).port), A));
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    world.inside(ping(A, XA)).expect_in(ping(XA, A));
    // Nothing of it stays.
    world.wait_secs(301);
    assert_eq!((world.sessions(), world.engine.mappings().count()), (0, 0));
}

// covers: N19, B1.5382-8
#[test]
fn a_connection_to_itself_is_a_simultaneous_open_with_itself() {
    let mut world = World::default();
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    world.inside(tcp(A, XA).syn()).expect_in(tcp(XA, A).syn());
    world.inside(tcp(A, XA).syn_ack()).expect_in(tcp(XA, A).syn_ack());
    world.wait_secs(7_000);
    world.inside(tcp(A, XA)).expect_in(tcp(XA, A));
}

// covers: N19
#[test]
fn a_first_packet_to_ones_own_endpoint_to_be_finds_no_mapping() {
    let mut world = World::default();
    world.refuses(Inside, udp(A, XA), Reason::NoMapping);
    world.refuses(Inside, udp(A, XB), Reason::NoMapping);
    world.refuses(Inside, tcp(A, XB).syn(), Reason::NoMapping);
}

// covers: N19, B1.4787-6a, N12
#[test]
fn where_the_receivers_session_ends_first_the_next_packet_finds_its_way() {
    let mut world = World::with(|config| config.udp.inbound_refresh = false);
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    for _ in 0..7 {
        // `B` keeps its mapping by talking to `S`, not by what `A` says to it.
        world.inside(udp(A, XB)).expect_in(udp(XA, B));
        world.wait_secs(100);
        world.inside(udp(B, S)).expect_out(udp(XB, S));
    }
    assert_eq!(world.engine.counters().sessions_deleted, 1, "the receiver's session ended meanwhile");
    world.inside(udp(B, XA)).expect_in(udp(XB, A));
}

// covers: N19, N12
#[test]
fn a_refused_hairpin_packet_does_not_keep_the_senders_session() {
    let mut world = World::with(|config| config.udp.inbound_refresh = false);
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    world.wait_secs(250);
    world.inside(udp(A, XB)).expect_in(udp(XA, B));
    // `B`'s session with `S` ends, then its hairpin session, last its mapping.
    world.wait_secs(200);
    world.inside(udp(A, XB)).expect_in(udp(XA, B));
    world.wait_secs(101);
    world.refuses(Inside, udp(A, XB), Reason::NoMapping);
    world.wait_secs(198);
    assert_eq!(world.sessions(), 1);
    world.wait_secs(2);
    assert_eq!(world.sessions(), 0, "300 s after its last packet that passed");
}

// covers: N19, N10
#[test]
fn an_external_source_from_outside_is_spoofed_whatever_there_is() {
    let mut world = with_b();
    world.inside(udp(A, XB)).expect_in(udp(XA, B));
    world.inside(tcp(A, XB).syn()).expect_in(tcp(XA, B).syn());
    world.refuses(Outside, udp(XA, XB), Reason::SpoofedInside);
    world.refuses(Outside, udp(XB, XA), Reason::SpoofedInside);
    world.refuses(Outside, tcp(XA, XB), Reason::SpoofedInside);
    world.refuses(Outside, tcp(XA, XB).rst(), Reason::SpoofedInside);
    let error = icmp_error(addr("198.51.100.9"), addr("192.0.2.1"), 3, 3, &udp(XA, XB).octets());
    world.refuses(Outside, error, Reason::SpoofedInside);
}

// covers: N19, B1.5508-7, B1.5508-7a, B4
#[test]
fn errors_about_hairpinned_packets_turn_round() {
    let mut world = with_b();
    world.inside(udp(A, XB)).expect_in(udp(XA, B));
    world.inside(tcp(A, XB).syn()).expect_in(tcp(XA, B).syn());
    // `B` has no such port open. It quotes what it got; `A` is to see what it sent.
    for (got, sent) in [(udp(XA, B), udp(A, XB)), (tcp(XA, B).syn(), tcp(A, XB).syn())] {
        let from_b = icmp_error(addr("100.64.0.2"), addr("192.0.2.1"), 3, 3, &got.octets());
        let to_a = icmp_error(addr("192.0.2.1"), addr("100.64.0.1"), 3, 3, &sent.octets());
        world.inside(&from_b).expect_in(to_a);
    }
    // And the other way: `A` about what `B` answered.
    world.inside(udp(B, XA)).expect_in(udp(XB, A));
    let from_a = icmp_error(addr("100.64.0.1"), addr("192.0.2.1"), 3, 3, &udp(XB, A).octets());
    let to_b = icmp_error(addr("192.0.2.1"), addr("100.64.0.2"), 3, 3, &udp(B, XA).octets());
    world.inside(from_a).expect_in(to_b);
}

// covers: N19, B10
#[test]
fn a_hairpin_with_itself_counts_both_sessions_against_the_limit() {
    let mut world = World::with(|config| config.limits.sessions_per_subscriber = 3);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(udp(port(A, 4_002), S)).out();
    world.inside(udp(A, port(XA, 4_002)));
    assert!(world.sessions() <= 3, "{} sessions", world.sessions());
}

// covers: N19
#[test]
fn a_hairpin_is_cut_and_refused_for_size_like_any_packet() {
    let mut world = World::with(|config| config.mtu.inside = 600);
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    let (sent, _) = world.refuses(Inside, udp(A, XB).len(1_000).df(), Reason::TooBig);
    assert_eq!(
        (sent[0].to, &sent[0].data[20..22], &sent[0].data[24..28]),
        (Inside, &[3, 4][..], &[0, 0, 2, 88][..])
    );
    let outcome = world.inside(udp(A, XB).len(1_000));
    outcome.expect_held();
    assert!(outcome.sent.iter().all(|sent| sent.to == Inside && sent.shard.is_none()));
    let pieces: Vec<_> = outcome.sent.into_iter().map(|sent| sent.data).collect();
    assert_eq!(reassemble(&pieces), Some(udp(XA, B).len(1_000).one_hop_less().octets()));
}

/// Two shards of one gateway, and a host of each.
struct Pair {
    shards: [World; 2],
    hosts: [Endpoint; 2],
}

fn two_shards() -> Pair {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1_024..=65_535);
    config.shard.count = 2;
    let shards = [0, 1].map(|index| {
        config.shard = Shard { index, count: 2 };
        World::new(&config)
    });
    let steering = Steering::new(&config);
    let host = |shard| {
        let mut hosts = (1..=255u8).map(|n| Endpoint::new([100, 64, 0, n].into(), 4_000 + u16::from(n)));
        hosts.find(|host| steering.inside(host.address) == shard).expect("each shard has hosts")
    };
    Pair { shards, hosts: [host(0), host(1)] }
}

impl Pair {
    /// A packet of shard `from`'s host to the other's, through both engines.
    fn pass(&mut self, from: usize, packet: Pkt) -> Outcome {
        let first = self.shards[from].inside(packet);
        let shard = 1 - from as u16;
        assert_eq!(first.verdict, Verdict::Hairpin { shard });
        assert_eq!(ends_of(&first.after).0.address, external_of(from));
        self.shards[1 - from].hairpin(first.after)
    }
}

fn external_of(shard: usize) -> std::net::Ipv4Addr {
    addr(["192.0.2.1", "192.0.2.2"][shard])
}

// covers: N19, B1.4787-9a, B1.5382-8
#[test]
fn subscribers_of_two_shards_meet() {
    let mut pair = two_shards();
    let [a, b] = pair.hosts;
    let external = pair.shards[1].inside(udp(b, S)).out();
    assert_eq!(external.address, external_of(1));
    let mine = Endpoint::new(external_of(0), a.port);
    pair.pass(0, udp(a, external)).expect_in(udp(mine, b));
    pair.pass(1, udp(b, mine)).expect_in(udp(external, a));
    pair.pass(0, udp(a, external).ttl(2)).expect_in(udp(mine, b).ttl(2));
    let too_old = pair.shards[0].inside(udp(a, external).ttl(1));
    too_old.expect_refused(Reason::TtlExpired);

    let external = pair.shards[1].inside(tcp(b, S).syn()).out();
    pair.pass(0, tcp(a, external).syn()).expect_in(tcp(mine, b).syn());
    pair.pass(1, tcp(b, mine).syn_ack()).expect_in(tcp(external, a).syn_ack());
    pair.pass(0, tcp(a, external)).expect_in(tcp(mine, b));
    for shard in &mut pair.shards {
        shard.wait_secs(7_000);
        assert_eq!(shard.sessions(), 1, "established on both sides");
    }
}

// covers: N19, B1.5508-7, B1.5508-7a
#[test]
fn errors_pass_between_shards() {
    let mut pair = two_shards();
    let [a, b] = pair.hosts;
    let external = pair.shards[1].inside(udp(b, S)).out();
    let mine = Endpoint::new(external_of(0), a.port);
    pair.pass(0, udp(a, external)).expect_in(udp(mine, b));
    let from_b = icmp_error(b.address, mine.address, 3, 3, &udp(mine, b).octets());
    let to_a = icmp_error(external.address, a.address, 3, 3, &udp(a, external).octets());
    pair.pass(1, from_b).expect_in(to_a);
}

// covers: N19, N10
#[test]
fn what_another_shard_brings_is_checked_too() {
    let mut pair = two_shards();
    let [a, b] = pair.hosts;
    let external = pair.shards[1].inside(udp(b, S)).out();
    let mine = Endpoint::new(external_of(0), a.port);
    pair.pass(0, udp(a, external)).expect_in(udp(mine, b));
    // The same packet from outside is spoofed, and one for nobody is refused.
    pair.shards[1].outside(udp(mine, external)).expect_refused(Reason::SpoofedInside);
    let first = pair.shards[0].inside(udp(a, port(external, 9)));
    assert_eq!(first.verdict, Verdict::Hairpin { shard: 1 });
    let before = pair.shards[1].snapshot();
    let outcome = pair.shards[1].hairpin(first.after);
    outcome.expect_refused(Reason::NoMapping);
    assert!(outcome.sent.is_empty());
    assert_eq!(pair.shards[1].snapshot().sessions, before.sessions);
    pair.shards[1].hairpin(udp(mine, mine)).expect_refused(Reason::SourceIsDestination);
    pair.shards[1].hairpin(udp(external, mine)).expect_refused(Reason::WrongShard);
}

// covers: N19, B3
#[test]
fn fragments_pass_between_shards_in_any_order() {
    let mut pair = two_shards();
    let [a, b] = pair.hosts;
    let external = pair.shards[1].inside(udp(b, S)).out();
    let mine = Endpoint::new(external_of(0), a.port);
    for (id, order) in [[0, 1, 2], [2, 1, 0], [1, 0, 2]].iter().enumerate() {
        let pieces = udp(a, external).len(400).id(id as u16).fragments(160);
        let mut between = Vec::new();
        for &n in order {
            let outcome = pair.shards[0].inside(&pieces[n]);
            if outcome.verdict == (Verdict::Hairpin { shard: 1 }) {
                between.push(outcome.after);
            } else {
                outcome.expect_held();
            }
            assert!(outcome.sent.iter().all(|sent| sent.shard == Some(1)));
            between.extend(outcome.sent.into_iter().map(|sent| sent.data));
        }
        let mut out = Vec::new();
        // And they change places on the way.
        for fragment in between.into_iter().rev() {
            let outcome = pair.shards[1].hairpin(fragment);
            if outcome.verdict == Verdict::Forward(Inside) {
                out.push(outcome.after);
            }
            out.extend(outcome.sent.into_iter().map(|sent| sent.data));
        }
        let whole = udp(mine, b).len(400).id(id as u16).one_hop_less().octets();
        assert_eq!(reassemble(&out), Some(whole), "{order:?}");
    }
}
