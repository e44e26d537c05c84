//! ICMP errors in both directions (B4, RFC 5508), and those that the engine sends.

extern crate hairpin_nat as nat;

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::*;
use nat::{Protocol, Reason};
use wire::Malformed;

/// A router outside, which may be anybody.
const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 99);
/// A router inside, which is nobody's host.
const INNER: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 7);

/// A datagram, a segment and a query of `A`: inside, outside, and the answers the same way.
fn flows() -> [[Pkt; 4]; 3] {
    [
        [udp(A, S), udp(XA, S), udp(S, XA), udp(S, A)],
        [tcp(A, S).payload(b"data"), tcp(XA, S).payload(b"data"), tcp(S, XA), tcp(S, A)],
        [ping(A, S), ping(XA, S), pong(S, XA), pong(S, A)],
    ]
}

fn world() -> World {
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.establish(A, S);
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    world.events();
    world
}

fn host(end: impl End) -> Ipv4Addr {
    end.end().address
}

/// What a router got has one hop less, which must not matter.
fn arrived(packet: &Pkt) -> Vec<u8> {
    packet.clone().one_hop_less().octets()
}

// covers: B4, B1.5508-4, B1.5508-4a, B1.5508-4b, B1.5508-4c, B1.5382-9, B1.4787-12b, B1.5508-10a1, B1.5508-10a2
#[test]
fn an_error_from_outside_shows_the_subscriber_what_it_sent() {
    let mut world = world();
    for (kind, code, rest) in [
        (3, 0, [0; 4]),
        (3, 1, [0; 4]),
        (3, 3, [0; 4]),
        (3, 4, [0, 0, 4, 210]),
        (3, 13, [0; 4]),
        (11, 0, [0; 4]),
        (11, 1, [0; 4]),
        (12, 0, [20, 0, 0, 0]),
    ] {
        for [sent, seen, ..] in flows() {
            let error = |to, quoted: Vec<u8>| icmp(ROUTER, to, kind, code, rest, &quoted);
            let outcome = world.outside(error(host(XA), arrived(&seen)));
            outcome.expect_in(error(host(A), arrived(&sent)));
        }
    }
}

// covers: B4, B1.5508-5, B1.5508-5a, B1.5508-5b, B1.5508-5c, B1.5382-9
#[test]
fn an_error_from_inside_hides_the_subscriber_and_its_routers() {
    let mut world = world();
    for [_, _, answer, inner] in flows() {
        for source in [host(A), INNER] {
            let error = icmp_error(source, host(S), 3, 3, &arrived(&inner));
            world.inside(error).expect_out(icmp_error(host(XA), host(S), 3, 3, &arrived(&answer)));
        }
    }
}

// covers: B4, B1.5508-3d
#[test]
fn a_quote_may_end_anywhere_behind_eight_octets_of_transport_header() {
    let mut world = world();
    for [sent, seen, ..] in flows() {
        let (sent, seen) = (sent.octets(), seen.octets());
        for len in 0..=seen.len() {
            let outcome = world.outside(icmp_error(ROUTER, host(XA), 11, 0, &seen[..len]));
            if len < 28 {
                outcome.expect_refused(Malformed::QuoteTruncated);
            } else {
                let mut quoted = sent[..len].to_vec();
                if sent[9] == 6 && len == 37 {
                    // Half a checksum: what it becomes depends on the half that is not there.
                    quoted[36] = seen[36];
                }
                outcome.expect_in(icmp_error(ROUTER, host(A), 11, 0, &quoted));
            }
        }
    }
}

// covers: B4, B1.5508-3b
#[test]
fn options_in_the_quoted_header_are_skipped() {
    let mut world = world();
    for options in [&[1, 1, 1, 1][..], &[148, 4, 0, 0], &[68, 8, 5, 0, 0, 0, 0, 0]] {
        for [sent, seen, ..] in flows() {
            let (sent, seen) = (sent.ip_options(options).octets(), seen.ip_options(options).octets());
            for len in [28 + options.len(), seen.len()] {
                let outcome = world.outside(icmp_error(ROUTER, host(XA), 3, 1, &seen[..len]));
                outcome.expect_in(icmp_error(ROUTER, host(A), 3, 1, &sent[..len]));
            }
            let short = icmp_error(ROUTER, host(XA), 3, 1, &seen[..27 + options.len()]);
            world.outside(short).expect_refused(Malformed::QuoteTruncated);
        }
    }
}

// covers: B4, B6
#[test]
fn a_quoted_udp_checksum_of_zero_stays_zero() {
    let mut world = world();
    let quoted = |from, to| udp(from, to).no_checksum().octets();
    let error = icmp_error(ROUTER, host(XA), 3, 3, &quoted(XA, S));
    world.outside(error).expect_in(icmp_error(ROUTER, host(A), 3, 3, &quoted(A, S)));
    let error = icmp_error(host(A), host(S), 3, 3, &quoted(S, A));
    world.inside(error).expect_out(icmp_error(host(XA), host(S), 3, 3, &quoted(S, XA)));
}

// covers: B4, B1.5508-3c
#[test]
fn the_transport_checksum_of_a_quote_is_not_held_against_it() {
    let mut world = world();
    // Wrong by as much before as after: the update is by difference.
    for ([sent, seen, ..], at) in flows().into_iter().zip([26, 36, 22]) {
        let spoil = |packet: Pkt| {
            let mut octets = packet.octets();
            octets[at] ^= 0x10;
            octets
        };
        let outcome = world.outside(icmp_error(ROUTER, host(XA), 3, 3, &spoil(seen)));
        assert_eq!(outcome.verdict, nat::Verdict::Forward(Inside));
        assert_sound(&outcome.after);
        assert_eq!(outcome.after[28..48], sent.octets()[..20]);
    }
}

// covers: B4, B1.5508-3d
#[test]
fn extensions_and_padding_are_left_alone() {
    let mut world = world();
    // RFC 4884: the quote padded to 128 octets, then an MPLS label stack.
    let extension = [0x20, 0, 0x9e, 0x5b, 0, 8, 1, 1, 0x18, 0x6a, 0x11, 1];
    let padded = |packet: &Pkt| {
        let mut octets = packet.octets();
        octets.resize(128, 0);
        octets.extend(extension);
        octets
    };
    for [sent, seen, ..] in flows() {
        for rest in [[0, 32, 0, 0], [0; 4]] {
            let outcome = world.outside(icmp(ROUTER, host(XA), 11, 0, rest, &padded(&seen)));
            outcome.expect_in(icmp(ROUTER, host(A), 11, 0, rest, &padded(&sent)));
        }
    }
    // A quote that is longer than the length says goes on behind the extensions' beginning.
    let long = |from, to| {
        let mut octets = tcp(from, to).len(200).octets();
        octets.truncate(128);
        octets.extend(extension);
        octets
    };
    let outcome = world.outside(icmp(ROUTER, host(XA), 3, 1, [0, 32, 0, 0], &long(XA, S)));
    let expected = {
        // Its checksum is that of the whole packet, which was translated.
        let mut octets = tcp(A, S).len(200).octets();
        octets.truncate(128);
        octets.extend(extension);
        octets
    };
    outcome.expect_in(icmp(ROUTER, host(A), 3, 1, [0, 32, 0, 0], &expected));
}

// covers: B4, B1.5508-5a, B1.5508-3d
#[test]
fn a_length_that_leaves_no_room_for_the_quote_does_not_leave_it_untranslated() {
    let mut world = world();
    for words in 1..32 {
        let error = |from, to, quoted: &Pkt| icmp(from, to, 3, 1, [0, words, 0, 0], &quoted.octets());
        for [_, _, answer, inner] in flows() {
            let outcome = world.inside(error(host(A), host(S), &inner));
            assert_eq!(outcome.verdict, nat::Verdict::Forward(Outside));
            assert_sound(&outcome.after);
            assert_eq!(outcome.after[28..], answer.octets(), "length {words}: an inside address leaks");
        }
    }
}

// covers: B1.5508-3, B1.5508-3a
#[test]
fn damaged_errors_are_dropped_in_silence() {
    let mut world = world();
    let good = icmp_error(ROUTER, host(XA), 3, 1, &udp(XA, S).octets()).octets();
    for at in [20, 22, 24, 40, 50] {
        let mut octets = good.clone();
        octets[at] ^= 4;
        let reason = if at < 20 { Malformed::Ipv4Checksum } else { Malformed::IcmpChecksum };
        let (sent, _) = world.refuses(Outside, octets, reason.into());
        assert!(sent.is_empty());
    }
    let mut quoted = udp(XA, S).octets();
    quoted[8] ^= 1;
    let (sent, _) =
        world.refuses(Outside, icmp_error(ROUTER, host(XA), 3, 1, &quoted), Malformed::QuoteChecksum.into());
    assert!(sent.is_empty());
}

// covers: B1.5508-4, B1.5508-5
#[test]
fn errors_about_nothing_known_are_dropped_in_silence() {
    let mut world = world();
    let strangers = [udp(XA, T), tcp(XA, T), ping(XA, T), udp(port(XA, 9), S), udp("192.0.2.9:4001", S)];
    for quoted in strangers {
        let error = icmp_error(ROUTER, host(XA), 3, 1, &quoted.octets());
        let (sent, _) = world.refuses(Outside, error, Reason::QuoteUnknown);
        assert!(sent.is_empty());
    }
    // It goes to somebody else than who sent what it quotes.
    world.refuses(
        Outside,
        icmp_error(ROUTER, addr("192.0.2.9"), 3, 1, &udp(XA, S).octets()),
        Reason::QuoteUnknown,
    );
    world.refuses(Inside, icmp_error(host(A), host(T), 3, 1, &udp(S, A).octets()), Reason::QuoteUnknown);
    // What the subscriber itself sent is no answer to anybody.
    world.refuses(Inside, icmp_error(host(A), host(A), 3, 1, &udp(A, S).octets()), Reason::QuoteUnknown);
    // A later fragment has no ports to be known by.
    let later = raw(host(XA), host(S), 17, &[0; 16]).fragment(64, false);
    world.refuses(Outside, icmp_error(ROUTER, host(XA), 11, 1, &later.octets()), Reason::QuoteUnknown);
    // The time of what it quotes is up.
    world.wait_secs(301);
    world.refuses(Outside, icmp_error(ROUTER, host(XA), 3, 3, &udp(XA, S).octets()), Reason::QuoteUnknown);
}

// covers: B1.5508-10e, B4
#[test]
fn errors_about_errors_and_about_other_protocols_are_refused() {
    let mut world = world();
    let about = |quoted: Pkt| icmp_error(ROUTER, host(XA), 3, 1, &quoted.octets());
    let error = icmp_error(host(XA), host(S), 3, 3, &udp(S, XA).octets());
    world.refuses(Outside, about(error), Reason::QuoteRefused);
    world.refuses(Outside, about(raw(host(XA), host(S), 132, &[0; 16])), Reason::QuoteRefused);
    world.refuses(Outside, about(icmp(host(XA), host(S), 10, 0, [0; 4], b"")), Reason::QuoteRefused);
    // An error that comes in fragments.
    let error = icmp_error(ROUTER, host(XA), 3, 1, &udp(XA, S).len(100).octets());
    world.refuses(Outside, &error.fragments(64)[0], Reason::QuoteRefused);
}

// covers: B1.5508-10c, B1.5508-11
#[test]
fn messages_that_are_neither_query_nor_error_are_refused() {
    let mut world = world();
    // Router discovery, information messages and what nobody knows.
    for kind in [1, 2, 9, 10, 15, 16, 30, 40, 255] {
        world.refuses(Inside, icmp(host(A), host(S), kind, 0, [0; 4], b""), Reason::IcmpType);
        world.refuses(Outside, icmp(host(S), host(XA), kind, 0, [0; 4], b""), Reason::IcmpType);
    }
}

// covers: B1.5508-10b, B1.5508-10c
#[test]
fn redirects_and_source_quenches_do_not_pass_whatever_they_quote() {
    let mut world = world();
    for kind in [4, 5] {
        for [_, seen, _, inner] in flows() {
            let from_outside = icmp_error(ROUTER, host(XA), kind, 1, &arrived(&seen));
            world.refuses(Outside, from_outside, Reason::IcmpType);
            let from_inside = icmp_error(host(A), host(S), kind, 1, &arrived(&inner));
            world.refuses(Inside, from_inside, Reason::IcmpType);
        }
    }
}

// covers: B1.5508-10b
#[test]
fn a_parameter_problem_points_to_where_it_pointed() {
    let mut world = world();
    for [sent, seen, ..] in flows() {
        let error = |to, quoted: Vec<u8>| icmp(ROUTER, to, 12, 0, [20, 0, 0, 0], &quoted);
        world.outside(error(host(XA), arrived(&seen))).expect_in(error(host(A), arrived(&sent)));
    }
    // Nobody is told which option a gateway does not like (RFC 5508 7.3 leaves source routes to it).
    let (sent, _) =
        world.refuses(Inside, udp(A, S).ip_options(&[131, 7, 4, 1, 2, 3, 4, 0]), Reason::SourceRoute);
    assert!(sent.is_empty());
}

// covers: B1.5508-10d
#[test]
fn a_generated_error_has_the_class_of_what_it_is_about_and_no_ecn() {
    let mut world = world();
    for (tos, class) in [(0, 0), (0xb8, 0xb8), (0xbb, 0xb8), (0x01, 0)] {
        let packet = udp(A, S).ttl(1).tos(tos);
        let (sent, _) = world.refuses(Inside, packet.clone(), Reason::TtlExpired);
        let error = icmp_error(addr("192.0.0.8"), host(A), 11, 0, &packet.octets());
        assert_eq!(sent[0].data, error.id(0).df().tos(class).octets());
    }
}

// covers: B1.5508-10d
#[test]
fn a_translated_message_keeps_its_class_inside_and_out() {
    let mut world = world();
    for tos in [0, 0xb8, 0xc0, 0xff] {
        world.inside(ping(A, S).tos(tos)).expect_out(ping(XA, S).tos(tos));
        let [sent, seen, ..] = flows()[0].clone().map(|packet| packet.tos(tos));
        let error = |to, quoted: Vec<u8>| icmp_error(ROUTER, to, 3, 1, &quoted).tos(tos);
        world.outside(error(host(XA), arrived(&seen))).expect_in(error(host(A), arrived(&sent)));
    }
}

// covers: B1.5508-9
#[test]
fn each_realm_can_be_spared_the_gateways_own_errors() {
    for (inside, outside) in [(true, false), (false, true), (false, false)] {
        let mut world = World::with(|config| config.icmp_errors_to = [inside, outside]);
        world.inside(udp(A, S)).expect_out(udp(XA, S));
        let (sent, _) = world.refuses(Inside, udp(A, S).ttl(1), Reason::TtlExpired);
        assert_eq!(sent.len(), usize::from(inside));
        let (sent, _) = world.refuses(Outside, udp(S, XA).ttl(1), Reason::TtlExpired);
        assert_eq!(sent.len(), usize::from(outside));
        // Those of others pass.
        let error = icmp_error(ROUTER, host(XA), 3, 1, &udp(XA, S).octets());
        world.outside(error).expect_in(icmp_error(ROUTER, host(A), 3, 1, &udp(A, S).octets()));
    }
}

// covers: B1.5508-1, B1.5508-10a3, B1.5508-10b
#[test]
fn every_kind_of_query_and_its_reply_pass() {
    for (query, reply) in [(8, 0), (13, 14), (17, 18)] {
        let mut world = World::default();
        let message = |from, to, kind, id: u16| {
            let [a, b] = id.to_be_bytes();
            icmp(host(from), host(to), kind, 0, [a, b, 0, 7], b"1234567890ab")
        };
        world.inside(message(A, S, query, 0)).expect_out(message(XA, S, query, 0));
        world.outside(message(S, XA, reply, 0)).expect_in(message(S, A, reply, 0));
        // Another host's identifier is taken, so it is given another.
        let outcome = world.inside(message(B, S, query, 0));
        let id = outcome.out().port;
        assert_ne!(id, 0);
        outcome.expect_out(message(XB, S, query, id));
        world.outside(message(S, XB, reply, id)).expect_in(message(S, B, reply, 0));
    }
}

// covers: B4, B1.4787-12, B1.5382-10, B1.5508-6
#[test]
fn no_error_ends_or_keeps_or_moves_a_session() {
    let mut world = world();
    let mut other = self::world();
    for secs in [0, 10, 40, 100, 140, 1_000, 6_000] {
        world.wait_secs(secs);
        other.wait_secs(secs);
        for [_, seen, _, inner] in flows() {
            for (kind, code) in [(3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (11, 0), (12, 0), (4, 0), (5, 1)] {
                world.outside(icmp_error(ROUTER, host(XA), kind, code, &seen.octets()));
                world.inside(icmp_error(host(A), host(S), kind, code, &inner.octets()));
            }
        }
        assert_eq!(world.snapshot().sessions, other.snapshot().sessions);
        assert_eq!(world.engine.poll_timeout(), other.engine.poll_timeout());
    }
    world.wait_secs(100_000);
    other.wait_secs(100_000);
    assert_eq!(world.events(), other.events());
}

// covers: B4, B7
#[test]
fn errors_have_hops_and_sizes_too() {
    let mut world = world();
    let error = |ttl| icmp_error(ROUTER, host(XA), 3, 1, &udp(XA, S).octets()).ttl(ttl);
    world.outside(error(2)).expect_in(icmp_error(ROUTER, host(A), 3, 1, &udp(A, S).octets()).ttl(2));
    let (sent, _) = world.refuses(Outside, error(1), Reason::TtlExpired);
    assert!(sent.is_empty(), "an error about an error");
    let large = icmp_error(ROUTER, host(XA), 3, 1, &udp(XA, S).len(1_600).octets());
    let (sent, _) = world.refuses(Outside, large.clone().df(), Reason::TooBig);
    assert!(sent.is_empty(), "an error about an error");
    let outcome = world.outside(large);
    outcome.expect_held();
    let pieces: Vec<_> = outcome.sent.into_iter().map(|sent| sent.data).collect();
    let whole = icmp_error(ROUTER, host(A), 3, 1, &udp(A, S).len(1_600).octets());
    assert_eq!(reassemble(&pieces), Some(whole.one_hop_less().octets()));
}

// covers: B1.4787-12a, B4, N10
#[test]
fn an_error_may_come_from_any_router_but_from_outside_not_from_inside() {
    let mut world = world();
    for router in [ROUTER, host(S), addr("8.8.8.8"), addr("192.0.0.8")] {
        let error = icmp_error(router, host(XA), 3, 1, &udp(XA, S).octets());
        world.outside(error).expect_in(icmp_error(router, host(A), 3, 1, &udp(A, S).octets()));
    }
    let error = |router| icmp_error(router, host(XA), 3, 1, &udp(XA, S).octets());
    world.refuses(Outside, error(host(B)), Reason::SpoofedInside);
    world.refuses(Outside, error(host(XA)), Reason::SpoofedInside);
    world.refuses(Outside, error(addr("127.0.0.1")), Reason::Martian);
    world.refuses(Outside, error(addr("255.255.255.255")), Reason::Martian);
}

// covers: B1.5508-10f, B4
#[test]
fn generated_errors_are_limited_in_rate() {
    let mut world = World::with(|config| config.icmp_errors_per_second = 5);
    let expired = |world: &mut World| world.inside(udp(A, S).ttl(1)).sent.len();
    let burst: usize = (0..50).map(|_| expired(&mut world)).sum();
    assert_eq!(burst, 5);
    assert_eq!(world.engine.counters().icmp_errors_limited, 45);
    assert_eq!(world.dropped(Reason::TtlExpired), 50, "all are refused, told or not");
    world.wait(Duration::from_millis(199));
    assert_eq!(expired(&mut world), 0);
    world.wait(Duration::from_millis(1));
    assert_eq!((expired(&mut world), expired(&mut world)), (1, 0));
    world.wait_secs(3_600);
    let burst: usize = (0..50).map(|_| expired(&mut world)).sum();
    assert_eq!(burst, 5, "an hour of rest saves a second's worth");
}

// covers: B1.5508-10e
#[test]
fn nothing_is_answered_that_must_not_be() {
    let mut world = world();
    let silent = |world: &mut World, from, packet: Pkt, reason| {
        let (sent, _) = world.refuses(from, packet, reason);
        assert!(sent.is_empty(), "{reason}");
    };
    // A later fragment, of a datagram whose first went through.
    let pieces = udp(A, S).len(200).fragments(64);
    world.inside(&pieces[0]).out();
    silent(&mut world, Inside, pieces[1].clone().ttl(1), Reason::TtlExpired);
    // A message that is neither query nor error; a martian's.
    silent(&mut world, Inside, icmp(host(A), host(S), 10, 0, [0; 4], b"").ttl(1), Reason::IcmpType);
    silent(&mut world, Outside, udp("127.0.0.1:1", XA).ttl(1), Reason::Martian);
    // Those who ask for what is refused without a word.
    silent(&mut world, Outside, udp(S, port(XA, 9)), Reason::NoMapping);
    silent(&mut world, Inside, tcp(B, S), Reason::NotSyn);
}

// covers: B1.5508-10e, B7
#[test]
fn a_first_fragment_and_a_query_may_be_answered() {
    let mut world = world();
    for packet in [udp(A, S).len(200).fragments(64).remove(0), ping(A, S), tcp(A, S)] {
        let packet = packet.ttl(1);
        let (sent, _) = world.refuses(Inside, &packet, Reason::TtlExpired);
        let error = icmp_error(addr("192.0.0.8"), host(A), 11, 0, &packet.octets());
        assert_eq!(sent[0].data, error.id(0).df().octets());
    }
    assert_eq!(world.engine.mappings().filter(|m| m.protocol == Protocol::Udp).count(), 1);
}

// covers: B1.5508-10d, B4
#[test]
fn the_gateways_own_addresses_are_the_source_of_its_errors() {
    let mut world = World::with(|config| {
        config.gateway.inside = addr("100.127.255.254");
        config.gateway.outside = addr("192.0.2.254");
    });
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    for (from, packet, source) in
        [(Inside, udp(A, S).ttl(1), "100.127.255.254"), (Outside, udp(S, XA).ttl(1), "192.0.2.254")]
    {
        let (sent, _) = world.refuses(from, &packet, Reason::TtlExpired);
        assert_eq!(sent[0].to, from);
        assert_eq!(parse(&sent[0].data).source, addr(source));
        assert_eq!(parse(&sent[0].data).destination, packet.source());
    }
}

// covers: B4, N19
#[test]
fn a_query_has_no_pseudo_header_and_so_no_partial_checksum() {
    // Both addresses and the identifier change.
    let mut world = World::with(|config| config.ports.preserve = false);
    let outcome = world.inside(ping(A, S).offload(partial()));
    let external = world.external(Protocol::Icmp, A);
    outcome.expect_out(ping(external, S));
    world.outside(pong(S, external).offload(partial())).expect_in(pong(S, A));
}
