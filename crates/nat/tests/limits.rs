//! Limits (B10): what exceeds one is refused, told to the subscriber, counted, reported once in a
//! while; nothing that lives is ever removed for it.

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::config::Limits;
use nat::event::{EventKind, Limit};
use nat::{Protocol, Reason};

fn limited(change: impl FnOnce(&mut Limits)) -> World {
    World::with(|config| change(&mut config.limits))
}

/// `packet` from inside is refused for `limit`: with ICMP 3/1 to its sender, reported if `reported`.
fn assert_limited(world: &mut World, packet: Pkt, limit: Limit, reported: bool) {
    let (sent, events) = world.refuses(Inside, &packet, limit.reason());
    let quoted = packet.octets();
    let error = icmp_error(addr("192.0.0.8"), packet.source(), 3, 1, &quoted[..quoted.len().min(548)]);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].to, &sent[0].data), (Inside, &error.id(0).df().tos(0xc0).octets()));
    let subscriber = packet.source();
    let expected: Vec<_> =
        reported.then_some(EventKind::LimitHit { subscriber, limit }).into_iter().collect();
    assert_eq!(events.into_iter().map(|event| event.kind).collect::<Vec<_>>(), expected);
}

/// `packet` from outside is refused for `limit`, in silence.
fn assert_limited_silently(world: &mut World, packet: Pkt, limit: Limit) {
    let (sent, _) = world.refuses(Outside, &packet, limit.reason());
    assert!(sent.is_empty());
}

// covers: B10, B1.6888-4, B1.6888-4a, B1.6888-4b, B1.6888-11a, B1.6888-11b, B1.6888-11c, B1.6888-11d
#[test]
fn ports_of_a_subscriber_are_limited_for_each_protocol() {
    let mut world = limited(|limits| limits.ports_per_subscriber = 3);
    for n in 0..3 {
        world.inside(udp(port(A, 2_000 + n), S)).out();
        world.inside(tcp(port(A, 2_000 + n), S).syn()).out();
        world.inside(ping(port(A, 2_000 + n), S)).out();
    }
    let limit = Limit::PortsPerSubscriber;
    assert_limited(&mut world, udp(port(A, 3_000), S), limit, true);
    assert_limited(&mut world, tcp(port(A, 3_000), S).syn(), limit, false);
    assert_limited(&mut world, ping(port(A, 3_000), S), limit, false);
    // What there is goes on, new sessions of it as well; another subscriber notices nothing.
    world.inside(udp(port(A, 2_001), T)).out();
    world.outside(udp(T, port(XA, 2_000))).inward();
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    // And a port that is given back can be had again.
    world.wait_secs(301);
    world.inside(udp(port(A, 3_000), S)).out();
}

// covers: B10, B1.6888-5, B1.6888-5a
#[test]
fn sessions_of_a_subscriber_are_limited_whoever_opens_them() {
    let mut world = limited(|limits| limits.sessions_per_subscriber = 5);
    for n in 1..=3 {
        world.inside(udp(A, port(S, n))).expect_out(udp(XA, port(S, n)));
    }
    for n in 4..=5 {
        world.outside(udp(port(S, n), XA)).expect_in(udp(port(S, n), A));
    }
    let limit = Limit::SessionsPerSubscriber;
    assert_limited(&mut world, udp(A, port(S, 6)), limit, true);
    assert_limited_silently(&mut world, udp(port(S, 6), XA), limit);
    for n in 1..=5 {
        world.inside(udp(A, port(S, n))).expect_out(udp(XA, port(S, n)));
    }
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    assert_eq!(world.sessions(), 6);
}

// covers: B10, B1.6888-11d
#[test]
fn sessions_of_the_engine_are_limited() {
    let mut world = limited(|limits| limits.sessions = 4);
    for n in 1..=4 {
        world.inside(udp(A, port(S, n))).out();
    }
    assert_limited(&mut world, udp(A, port(S, 5)), Limit::Sessions, true);
    assert_limited(&mut world, udp(B, S), Limit::Sessions, true);
    assert_limited(&mut world, udp(B, S), Limit::Sessions, false);
    assert_limited_silently(&mut world, udp(T, XA), Limit::Sessions);
    world.wait_secs(200);
    for n in 2..=4 {
        world.inside(udp(A, port(S, n))).out();
    }
    // One ended by itself: its line is free again.
    world.wait(Duration::from_secs(100) + TICK);
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    assert_limited(&mut world, udp(B, T), Limit::Sessions, true);
}

// covers: B10, B1.6888-11d
#[test]
fn mappings_of_the_engine_are_limited() {
    let mut world = limited(|limits| limits.mappings = 2);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    assert_limited(&mut world, ping(A, S), Limit::Mappings, true);
    assert_limited(&mut world, udp(B, S), Limit::Mappings, true);
    world.inside(udp(A, T)).expect_out(udp(XA, T));
}

// covers: B10
#[test]
fn subscribers_of_the_engine_are_limited() {
    let mut world = limited(|limits| limits.subscribers = 2);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(tcp(B, S).syn()).expect_out(tcp(XB, S).syn());
    let third = "100.64.0.3:6001";
    assert_limited(&mut world, udp(third, S), Limit::Subscribers, true);
    assert_limited(&mut world, udp("100.64.0.4:6001", S), Limit::Subscribers, false);
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    // A subscriber whose last mapping ended is none.
    world.wait(Duration::from_secs(240) + TICK);
    world.inside(udp(third, S)).out();
}

// covers: B10, B1.6888-4c, B1.6888-5b
#[test]
fn new_sessions_are_limited_in_rate_to_the_edge() {
    let mut world = limited(|limits| limits.session_rate_per_subscriber = 5);
    for n in 1..=5 {
        world.inside(udp(A, port(S, n))).out();
    }
    let limit = Limit::SessionRate;
    assert_limited(&mut world, udp(A, port(S, 6)), limit, true);
    // What comes from outside counts against it as well.
    assert_limited_silently(&mut world, udp(T, XA), limit);
    // What is open, and everybody else, is not slowed down.
    world.inside(udp(A, port(S, 1))).out();
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    // Five a second are one in two ticks.
    world.wait(TICK);
    assert_limited(&mut world, udp(A, port(S, 6)), limit, false);
    world.wait(TICK);
    world.inside(udp(A, port(S, 6))).out();
    assert_limited(&mut world, udp(A, port(S, 7)), limit, false);
    // A long rest saves a second's worth and no more.
    world.wait_secs(60);
    for n in 11..=15 {
        world.inside(udp(A, port(S, n))).out();
    }
    assert_limited(&mut world, udp(A, port(S, 16)), limit, true);
}

// covers: B10, B1.4787-2, B1.6888-2, B1.6888-11b
#[test]
fn ports_exhausted_is_told_even_where_another_address_has_some() {
    // Paired pooling: the subscriber's address or none.
    let mut world = World::new(&config_with(&["192.0.2.1", "192.0.2.2"], 4_000..=4_001));
    let first = world.inside(udp(port(A, 1), S)).out();
    world.inside(udp(port(A, 2), S)).out();
    assert_limited(&mut world, udp(port(A, 3), S), Limit::PortsExhausted, true);
    assert_limited(&mut world, udp(port(A, 3), S), Limit::PortsExhausted, false);
    // Newcomers go where there is room, each to one address.
    let second = world.inside(udp(port(B, 1), S)).out();
    assert_ne!(first.address, second.address);
    world.inside(udp(port(B, 2), S)).out();
    assert_limited(&mut world, udp("100.64.0.3:1", S), Limit::PortsExhausted, true);
    // Other protocols have ports of their own.
    assert_eq!(world.inside(tcp(port(A, 3), S).syn()).out().address, first.address);
}

// covers: B10, B1.6888-11c
#[test]
fn a_limit_is_reported_once_in_its_interval_for_each_subscriber_and_kind() {
    let mut world = limited(|limits| {
        limits.ports_per_subscriber = 1;
        limits.sessions_per_subscriber = 2;
        limits.report_interval = Duration::from_secs(10);
    });
    for host in [A, B] {
        world.inside(udp(host, S)).out();
        world.inside(tcp(host, S).syn()).out();
    }
    let (ports, sessions) = (Limit::PortsPerSubscriber, Limit::SessionsPerSubscriber);
    assert_limited(&mut world, udp(port(A, 9), S), ports, true);
    assert_limited(&mut world, udp(A, T), sessions, true);
    assert_limited(&mut world, udp(port(B, 9), S), ports, true);
    for _ in 0..99 {
        world.wait(TICK);
        assert_limited(&mut world, udp(port(A, 9), S), ports, false);
    }
    world.wait(TICK);
    assert_limited(&mut world, udp(port(A, 9), S), ports, true);
    assert_limited(&mut world, udp(A, T), sessions, true);
    assert_limited(&mut world, udp(A, T), sessions, false);
    assert_eq!(world.dropped(Reason::LimitPorts), 102, "all are counted");
}

// covers: B10, B1.6888-11d
#[test]
fn nothing_is_ever_evicted() {
    let mut world = limited(|limits| limits.sessions = 64);
    for n in 0..64 {
        world.inside(udp(port(A, 2_000 + n), S)).out();
    }
    let before = world.snapshot();
    for n in 0..2_000u16 {
        let stranger = Endpoint::new([100, 65, (n >> 8) as u8, n as u8].into(), 2_000);
        world.inside(udp(stranger, S)).expect_refused(Reason::LimitSessions);
    }
    let after = world.snapshot();
    assert_eq!((after.sessions, after.mappings), (before.sessions, before.mappings));
    for n in 0..64 {
        world.outside(udp(S, port(XA, 2_000 + n))).expect_in(udp(S, port(A, 2_000 + n)));
    }
}

// covers: B10, B1.6888-11a
#[test]
fn a_refusal_in_the_middle_of_a_hairpin_leaves_nothing_behind() {
    // The sender's session would fit, the receiver's does not.
    for change in
        [(|limits| limits.sessions = 2) as fn(&mut Limits), |limits| limits.sessions_per_subscriber = 1]
    {
        let mut world = limited(change);
        world.inside(udp(B, S)).expect_out(udp(XB, S));
        let packet = udp("100.64.0.3:6001", XB);
        let reason = match world.engine.session_count() {
            1 if world.inside(udp(A, XB)).verdict == nat::Verdict::Drop(Reason::LimitSessions) => {
                Reason::LimitSessions
            }
            _ => Reason::LimitSubscriberSessions,
        };
        world.refuses(Inside, packet, reason);
        assert_eq!(world.sessions(), 1);
        assert_eq!(world.engine.mappings().filter(|m| m.protocol == Protocol::Udp).count(), 1);
    }
}

// covers: B10, N16, B1.4787-11
#[test]
fn a_refusal_draws_nothing_from_port_selection() {
    let seen = |refused: bool| {
        let mut world = World::with(|config| {
            config.ports.preserve = false;
            config.limits.sessions = 4;
        });
        for n in 1..=4 {
            world.inside(udp(A, port(S, n))).out();
        }
        if refused {
            world.inside(udp(B, S)).expect_refused(Reason::LimitSessions);
        }
        world.wait_secs(301);
        world.inside(udp(B, S)).out()
    };
    assert_eq!(seen(true), seen(false));
}

// covers: B10, N19
#[test]
fn a_subscriber_reaches_itself_at_a_rate_of_one() {
    for rate in [1, 2] {
        let mut world = limited(|limits| limits.session_rate_per_subscriber = rate);
        world.inside(udp(A, S)).out();
        let again = "100.64.0.1:4002";
        world.wait_secs(1);
        assert_eq!(world.inside(udp(again, XA)).inward(), A.end());
        // It took all that there was.
        assert_limited(&mut world, udp(A, T), Limit::SessionRate, true);
        // And half a second earlier there would not have been enough.
        let mut world = limited(|limits| limits.session_rate_per_subscriber = rate);
        (0..rate).for_each(|n| drop(world.inside(udp(A, port(S, n as u16 + 1)))));
        world.wait(9 * TICK);
        assert_limited(&mut world, udp(again, XA), Limit::SessionRate, true);
        world.wait(TICK);
        assert_eq!(world.inside(udp(again, XA)).inward(), A.end());
    }
}
