//! Bad input of the middlebox: what strangers send at what is going on. Nothing of it changes state, and
//! each is counted under its reason.

extern crate hairpin_nat as nat;

mod common;

use std::net::Ipv4Addr;

use common::*;
use nat::config::PoolKind;
use nat::{Reason, Verdict};
use wire::tcp::Flags;

const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 99);

fn world() -> World {
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.establish(A, S);
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    world.events();
    world
}

fn external() -> Ipv4Addr {
    addr("192.0.2.1")
}

fn error(quoted: &[u8]) -> Pkt {
    icmp_error(ROUTER, external(), 3, 1, quoted)
}

// covers: B4, B6, B1.5508-3
#[test]
fn errors_that_quote_what_was_never_sent_are_refused() {
    let mut world = world();
    for protocol in [47, 4, 41, 50, 132] {
        let quoted = raw(external(), addr("203.0.113.80"), protocol, &[1; 40]);
        world.refuses(Outside, error(&quoted.octets()), Reason::QuoteRefused);
        let inner = raw(addr("203.0.113.80"), addr("100.64.0.1"), protocol, &[1; 40]);
        let error = icmp_error(addr("100.64.0.1"), addr("203.0.113.80"), 3, 2, &inner.octets());
        world.refuses(Inside, error, Reason::QuoteRefused);
    }
    // A later fragment has no ports to be known by.
    let later = udp(XA, S).len(100).fragments(40)[1].octets();
    world.refuses(Outside, error(&later), Reason::QuoteUnknown);
    // Right addresses and ports, another protocol, remote, or port.
    for quoted in [udp(XA, T), tcp(XA, T), tcp(XB, S), udp("192.0.2.1:4002", S), ping("192.0.2.1:4002", S)] {
        world.refuses(Outside, error(&quoted.octets()), Reason::QuoteUnknown);
    }
}

// covers: B4, B1.5508-3, N10
#[test]
fn a_subscriber_cannot_speak_for_another() {
    let mut world = world();
    // B's session, quoted to or by somebody else.
    let quoted = udp(S, B).octets();
    let error = icmp_error(addr("100.64.0.1"), addr("198.51.100.7"), 3, 3, &quoted);
    world.refuses(Inside, error, Reason::QuoteUnknown);
    // The error goes to whom the quoted packet came from, or nowhere.
    let elsewhere = icmp_error(ROUTER, addr("192.0.2.7"), 3, 1, &udp(XA, S).octets());
    world.refuses(Outside, elsewhere, Reason::QuoteUnknown);
    // The inside as the outside sees it, quoted from inside.
    let seen = icmp_error(addr("100.64.0.1"), addr("203.0.113.80"), 3, 3, &udp(S, XA).octets());
    world.refuses(Inside, seen, Reason::QuoteUnknown);
}

// covers: B4, B1.5508-3, O7
#[test]
fn an_error_cut_at_every_length_is_refused_or_passes_and_changes_nothing() {
    let quotes = [
        udp(XA, S).octets(),
        tcp(XA, S).len(60).octets(),
        ping(XA, S).octets(),
        udp(XA, S).no_checksum().octets(),
    ];
    for quoted in quotes {
        let whole = error(&quoted).octets();
        for len in 0..=whole.len() {
            let mut world = world();
            let mut cut = whole[..len].to_vec();
            // Cut on its way, and cut by who sent it.
            world.send(Outside, cut.clone());
            if len >= 20 {
                cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                fix(&mut cut);
            }
            let before = world.snapshot();
            let outcome = world.send(Outside, cut);
            let after = world.snapshot();
            assert_eq!((after.sessions, after.mappings), (before.sessions, before.mappings));
            assert_eq!(after.timeout, before.timeout, "no timer moves");
            match outcome.verdict {
                Verdict::Forward(Inside) => assert!(len >= 28 + 28, "{len}"),
                Verdict::Drop(reason) => {
                    assert!(matches!(reason, Reason::Malformed(_)), "{len}: {reason}");
                    assert_eq!(after.counters.dropped(reason), before.counters.dropped(reason) + 1);
                }
                other => assert_eq!(other, Verdict::Forward(Inside)),
            }
        }
    }
}

// covers: N10, B10
#[test]
fn segments_without_a_connection_open_none_whatever_they_carry() {
    let mut world = world();
    let (a, f, r, p) = (Flags::ACK, Flags::FIN, Flags::RST, Flags::PSH);
    for flags in [a, f, f | a, r, r | a, a | p, Flags::SYN | a] {
        for packet in [tcp(T, XA).flags(flags), tcp(T, XA).flags(flags).len(500)] {
            world.refuses(Outside, packet, Reason::NotSyn);
        }
        world.refuses(Inside, tcp(B, T).flags(flags).len(10), Reason::NotSyn);
    }
    // A SYN with data is a SYN: where nobody is, it opens nothing; where somebody is, it is let through whole.
    world.refuses(Outside, tcp(T, "192.0.2.1:9").syn().len(100), Reason::NoMapping);
    world.outside(tcp(T, XA).syn().len(100)).expect_in(tcp(T, A).syn().len(100));
}

// covers: B3, B10, O7
#[test]
fn ten_thousand_fragments_without_a_first_take_no_more_than_their_share() {
    let mut world = world();
    let before = world.snapshot();
    let mut held = 0;
    for n in 0..10_000u32 {
        let source = Ipv4Addr::from_bits(addr("203.0.113.0").to_bits() + n % 7);
        let piece = raw(source, external(), 17, &[1; 64]).fragment(64, true).id(n as u16);
        match world.outside(piece).verdict {
            Verdict::Held => held += 1,
            verdict => assert!(
                matches!(verdict, Verdict::Drop(Reason::FragmentSource | Reason::FragmentDatagrams)),
                "{verdict:?}"
            ),
        }
    }
    // Seven sources of 64 each.
    assert_eq!(held, 7 * 64);
    assert_eq!(world.dropped(Reason::FragmentSource), 10_000 - 7 * 64);
    world.wait_secs(16);
    assert_eq!(world.dropped(Reason::FragmentTimeout), 7 * 64);
    let after = world.snapshot();
    assert_eq!((after.sessions, after.mappings), (before.sessions, before.mappings));
    world.inside(udp(A, S).len(100).fragments(40)[0].clone()).out();
}

// covers: B5, B6, O7
#[test]
fn an_address_that_is_translated_whole_is_no_way_around_the_checks() {
    let mut world = World::with(|config| config.pools[0].kind = PoolKind::Basic);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.events();
    for source in ["100.64.3.4", "192.0.2.1"] {
        world.refuses(Outside, raw(addr(source), external(), 47, &[0; 20]), Reason::SpoofedInside);
    }
    world.refuses(Outside, raw(addr("127.0.0.1"), external(), 47, &[0; 20]), Reason::Martian);
    world.refuses(Outside, raw(ROUTER, addr("192.0.2.2"), 47, &[0; 20]), Reason::Protocol);
    world.refuses(Inside, raw(addr("10.0.0.1"), ROUTER, 47, &[0; 20]), Reason::SourceNotInside);
    world.refuses(Outside, raw(ROUTER, external(), 47, &[0; 20]).ttl(1), Reason::TtlExpired);
    world.refuses(Outside, tcp(T, XA).ack(), Reason::NotSyn);
    world.refuses(Outside, pong(T, XA), Reason::NotQuery);
    let short = icmp_error(ROUTER, external(), 3, 2, &raw(external(), ROUTER, 47, &[0; 7]).octets());
    world.refuses(Outside, short, Reason::QuoteUnknown);
}

// covers: N3, B2, B7
#[test]
fn options_malformed_at_every_octet_move_nothing_that_they_should_not() {
    const SYN: [u8; 20] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 244, 0, 0, 0, 0, 1, 3, 3, 7];
    const DATA: [u8; 24] = [1, 1, 8, 10, 0, 0, 1, 245, 0, 0, 2, 188, 1, 1, 5, 10, 0, 0, 3, 233, 0, 0, 3, 240];
    let world = || {
        let mut world = World::with(|config| {
            config.mss_clamp = Some(1_000);
            config.tcp_checks.paws = true;
            config.tcp_checks.time_wait = nat::config::TimeWaitPolicy::Rfc6191;
            config.tcp_checks.monotonic_rewrite = true;
            config.tcp_checks.resend_last_ack = true;
            config.tcp_checks.rst = nat::config::RstPolicy::Delete;
        });
        world.inside(tcp(A, S).syn().timestamps(500, 0)).out();
        world.outside(tcp(S, XA).syn_ack().timestamps(700, 500)).inward();
        world.inside(tcp(A, S).timestamps(500, 700)).out();
        world
    };
    for (good, syn) in [(&SYN[..], true), (&DATA[..], false)] {
        for at in 0..good.len() {
            let mut world = world();
            for value in (0..=255u8).step_by(if at % 4 == 0 { 1 } else { 5 }) {
                let mut options = good.to_vec();
                options[at] = value;
                let segment = |from: &str, to: &str| {
                    let segment = tcp(from, to).tcp_options(&options).len(5);
                    if syn { segment.syn().seq(999) } else { segment }
                };
                let before = world.snapshot();
                for realm in [Inside, Outside] {
                    let outcome = match realm {
                        Inside => world.inside(segment(A, S)),
                        Outside => world.outside(segment(S, XA)),
                    };
                    // What has a length that cannot be is refused, and a timestamp that is older.
                    let refused = match outcome.verdict {
                        Verdict::Drop(reason) => Some(reason),
                        _ => None,
                    };
                    let may = match refused {
                        Some(Reason::Malformed(_)) => true,
                        Some(reason) => reason == Reason::OldDuplicate && !syn,
                        None => outcome.verdict == Verdict::Forward(realm.other()),
                    };
                    assert!(may, "{at} {value}: {outcome:?}");
                    if refused.is_none() {
                        assert_sound(&outcome.after);
                        assert_eq!(outcome.after.len(), outcome.before.len());
                        assert_eq!(outcome.after[60..], outcome.before[60..], "{at} {value}");
                    }
                }
                let after = world.snapshot();
                assert_eq!(
                    (after.mappings, after.sessions),
                    (before.mappings, before.sessions),
                    "{at} {value}"
                );
            }
            // It is as it was: a RST elsewhere ends nothing.
            world.outside(tcp(S, XA).rst().seq(60_000)).inward();
            assert_eq!(world.sessions(), 1, "{at}");
        }
    }
}
