//! Destinations to which nothing is translated (B5, RFC 6888 REQ-6).

extern crate hairpin_nat as nat;

mod common;

use common::*;
use nat::Reason;

/// A host of the bypass prefix.
const P: &str = "172.16.5.9:80";

fn world() -> World {
    World::with(|config| {
        config.bypass = vec!["172.16.0.0/16".parse().expect("a prefix")];
        config.rewrite_ip_id = true;
        config.unsolicited_syns = Some(10);
    })
}

/// Of every kind, from inside.
fn outwards() -> Vec<Pkt> {
    let mut all = vec![udp(A, P), tcp(A, P), tcp(A, P).syn(), tcp(A, P).rst(), ping(A, P), pong(A, P)];
    all.extend(udp(A, P).len(100).fragments(40).into_iter().rev());
    all.extend(
        [132, 33, 136, 47, 50]
            .map(|protocol| raw(addr("100.64.0.1"), addr("172.16.5.9"), protocol, &[1; 40])),
    );
    all.push(udp(A, P).no_checksum());
    all
}

/// And from there.
fn inwards() -> Vec<Pkt> {
    let mut all = vec![udp(P, A), tcp(P, A), tcp(P, A).syn(), tcp(P, A).fin(), ping(P, A), pong(P, A)];
    all.extend(tcp(P, A).len(100).fragments(40).into_iter().rev());
    all.extend([132, 47].map(|protocol| raw(addr("172.16.5.9"), addr("100.64.0.1"), protocol, &[1; 40])));
    all
}

// covers: B5, B1.6888-6
#[test]
fn what_goes_to_a_bypass_address_and_back_is_only_one_hop_older() {
    let mut world = world();
    let before = world.snapshot();
    for packet in outwards() {
        world.inside(&packet).expect_out(packet);
    }
    for packet in inwards() {
        world.outside(&packet).expect_in(packet);
    }
    let mut after = world.snapshot();
    assert_eq!(after.counters.forwarded, [outwards().len() as u64, inwards().len() as u64]);
    after.counters.forwarded = [0; 2];
    assert_eq!(after, before, "no state");
    assert!(world.events().is_empty());
}

// covers: B5, B1.6888-6
#[test]
fn everything_else_is_translated_as_before() {
    let mut world = world();
    world.inside(udp(A, S).df()).expect_out(udp(XA, S).df());
    world.inside(udp(A, "172.17.0.1:80").df()).expect_out(udp(XA, "172.17.0.1:80").df());
    // Only from there: a stranger cannot reach a subscriber's own address.
    world.refuses(Outside, udp(S, A), Reason::NotExternal);
    world.refuses(Outside, udp("172.17.0.1:80", A), Reason::NotExternal);
    // Nor may somebody from there use a mapping, whose answers would not be translated.
    world.refuses(Outside, udp(P, XA), Reason::BypassSource);
    world.refuses(Outside, tcp(P, XA).syn(), Reason::BypassSource);
    let later = raw(addr("172.16.5.9"), addr("192.0.2.1"), 17, &[0; 8]).fragment(8, false);
    world.refuses(Outside, later, Reason::BypassSource);
}

// covers: B5, B7, N10
#[test]
fn hops_size_and_addresses_are_looked_at() {
    let mut world = world();
    let (sent, _) = world.refuses(Inside, udp(A, P).ttl(1), Reason::TtlExpired);
    assert_eq!(&sent[0].data[20..22], &[11, 0]);
    let (sent, _) = world.refuses(Inside, udp(A, P).df().len(1_473), Reason::TooBig);
    assert_eq!(&sent[0].data[20..22], &[3, 4]);
    world.refuses(Outside, udp(P, A).ttl(1), Reason::TtlExpired);
    world.refuses(Inside, udp("10.0.0.1:9", P), Reason::SourceNotInside);
    world.refuses(Inside, raw(addr("10.0.0.1"), addr("172.16.5.9"), 47, &[0; 8]), Reason::SourceNotInside);
    world.refuses(Inside, tcp(A, P).flags(wire::tcp::Flags(0)), Reason::TcpFlags);
    world.refuses(Inside, udp(A, P).ip_options(&[131, 7, 4, 1, 2, 3, 4, 0]), Reason::SourceRoute);
    let outcome = world.inside(udp(A, P).len(2_000).id(0x4242));
    assert_eq!(outcome.expect_held().sent.len(), 2);
    for sent in outcome.sent {
        assert_eq!(sent.data[4..6], [0x42, 0x42], "its sender's own number");
    }
}

// covers: B5, B4, B1.6888-6
#[test]
fn errors_about_untranslated_packets_pass_untranslated() {
    let mut world = world();
    let (host, router) = (addr("100.64.0.1"), addr("198.51.100.99"));
    for source in [addr("172.16.5.9"), router] {
        let error = icmp_error(source, host, 3, 4, &udp(A, P).octets());
        world.outside(&error).expect_in(error);
    }
    let error = icmp_error(host, addr("172.16.5.9"), 3, 3, &udp(P, A).octets());
    world.inside(&error).expect_out(error);
    // About a packet that went elsewhere, to somebody else, or from nobody's address.
    world.refuses(Outside, icmp_error(router, host, 3, 1, &udp(A, S).octets()), Reason::QuoteUnknown);
    world.refuses(Outside, icmp_error(router, host, 3, 1, &udp(B, P).octets()), Reason::QuoteUnknown);
    let martian = icmp_error(addr("127.0.0.1"), host, 3, 1, &udp(A, P).octets());
    world.refuses(Outside, martian, Reason::Martian);
    let spoofed = icmp_error(addr("100.64.0.9"), host, 3, 1, &udp(A, P).octets());
    world.refuses(Outside, spoofed, Reason::SpoofedInside);
    let hidden = icmp_error(addr("10.9.8.7"), addr("172.16.5.9"), 3, 3, &udp(P, A).octets());
    world.refuses(Inside, hidden, Reason::SourceNotInside);
}

// covers: B5, O1
#[test]
fn a_bypass_is_neither_a_subscriber_nor_an_external_address() {
    let problems = |prefix: &str| {
        let mut config = config();
        config.bypass = vec![prefix.parse().expect("a prefix")];
        config
            .problems()
            .into_iter()
            .map(|problem| problem.clashes_with.map(|(place, _)| place))
            .collect::<Vec<_>>()
    };
    assert_eq!(problems("172.16.0.0/12"), []);
    assert_eq!(problems("100.64.1.0/24"), [Some("inside.prefixes[0]".into())]);
    assert_eq!(problems("192.0.2.0/24"), [Some("pool[0].addresses[0]".into())]);
    assert_eq!(problems("172.16.0.1/12"), [None]);
    assert_eq!(problems("224.0.0.0/4"), [None]);
}
