//! What a mapping depends on (RFC 4787 4.1), who may use it from outside (RFC 4787 5, RFC 5382 REQ-3), and what a
//! stranger can do at most (RFC 7857 7; N8, N10 to N12).

extern crate hairpin_nat as nat;

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use nat::config::Behaviour;
use nat::event::{EventKind, Limit};
use nat::{Protocol, Reason};
use wire::tcp::Flags;

const ALL: [Behaviour; 3] =
    [Behaviour::EndpointIndependent, Behaviour::AddressDependent, Behaviour::AddressAndPortDependent];
/// The server's address, another port.
const S2: &str = "203.0.113.80:81";

fn mapped(behaviour: Behaviour) -> World {
    World::with(|config| {
        config.mapping.behaviour = behaviour;
        config.ports.preserve = false;
    })
}

fn filtered(behaviour: Behaviour) -> World {
    World::with(|config| (config.filtering.tcp, config.filtering.udp) = (behaviour, behaviour))
}

// covers: N8, B1.4787-1, B1.5382-1
#[test]
fn a_mapping_depends_on_as_much_of_the_remote_as_it_is_told_to() {
    for (behaviour, different) in ALL.into_iter().zip([1, 2, 3]) {
        let mut world = mapped(behaviour);
        let of_udp: BTreeSet<_> = [S, S2, T].map(|remote| world.inside(udp(A, remote)).out()).into();
        assert_eq!(of_udp.len(), different, "{behaviour:?}: {of_udp:?}");
        let of_tcp: BTreeSet<_> = [S, S2, T].map(|remote| world.inside(tcp(A, remote).syn()).out()).into();
        assert_eq!(of_tcp.len(), different, "{behaviour:?}: {of_tcp:?}");
        // Once more, and it is the same.
        let again: BTreeSet<_> = [S, S2, T].map(|remote| world.inside(udp(A, remote)).out()).into();
        assert_eq!(again, of_udp);
        // One external address whatever the mapping (paired pooling).
        assert_eq!(of_udp.iter().map(|end| end.address).collect::<BTreeSet<_>>().len(), 1);
    }
}

// covers: N8
#[test]
fn each_mapping_ends_with_its_own_last_session() {
    let mut world = mapped(Behaviour::AddressAndPortDependent);
    world.inside(udp(A, S)).out();
    world.wait_secs(100);
    world.inside(udp(A, T)).out();
    world.events();
    world.wait_secs(201);
    world.engine.handle_timeout(world.now);
    let ended = |events: Vec<nat::Event>| {
        events.iter().filter(|event| matches!(event.kind, EventKind::MappingDeleted(_))).count()
    };
    assert_eq!(ended(world.events()), 1);
    world.wait_secs(100);
    world.engine.handle_timeout(world.now);
    assert_eq!(ended(world.events()), 1);
    assert_eq!(world.engine.mappings().count(), 0);
}

// covers: N8, N19
#[test]
fn hairpinning_works_under_each_mapping_behaviour() {
    for behaviour in ALL {
        let mut world = mapped(behaviour);
        let b = world.inside(udp(B, S)).out();
        let there = world.inside(udp(A, b));
        assert_eq!(there.inward(), B.end());
        let a = ends_of(&there.after).0;
        // The answer comes from B's endpoint to A's, whatever B's mapping for others is.
        let answer = world.inside(udp(B, a));
        assert_eq!(answer.inward(), A.end(), "{behaviour:?}");
        assert_eq!(ends_of(&answer.after).0, b);
    }
}

// covers: B1.4787-8, B1.4787-8a, B1.5382-3, B1.5382-3a, N10, N12
#[test]
fn a_filter_asks_for_as_much_of_the_stranger_as_it_is_told_to() {
    for behaviour in ALL {
        let [any, address] = match behaviour {
            Behaviour::EndpointIndependent => [true, true],
            Behaviour::AddressDependent => [false, true],
            Behaviour::AddressAndPortDependent => [false, false],
        };
        for (stranger, admitted) in [(T, any), (S2, address)] {
            for (out, back) in [(udp(A, S), udp(stranger, XA)), (tcp(A, S).syn(), tcp(stranger, XA).syn())] {
                let mut world = filtered(behaviour);
                world.inside(out).out();
                if admitted {
                    assert_eq!(world.outside(back).inward(), A.end(), "{behaviour:?} {stranger}");
                } else {
                    world.refuses(Outside, back, Reason::Filtered);
                }
                // Who was written to may always answer.
                world.outside(udp(S, XA));
            }
        }
    }
}

// covers: B1.5382-3b
#[test]
fn tcp_and_udp_have_filters_of_their_own() {
    let mut world = World::with(|config| config.filtering.tcp = Behaviour::AddressAndPortDependent);
    world.inside(udp(A, S)).out();
    world.inside(tcp(A, S).syn()).out();
    world.outside(udp(T, XA)).inward();
    world.refuses(Outside, tcp(T, XA).syn(), Reason::Filtered);
}

// covers: N10
#[test]
fn filtering_is_set_by_application() {
    // Only these applications...
    let mut world = World::with(|config| config.filtering.udp_ports = vec![4_001..=4_001]);
    world.inside(udp(A, S)).out();
    world.inside(udp(port(A, 4_002), S)).out();
    world.outside(udp(T, XA)).inward();
    world.refuses(Outside, udp(T, port(XA, 4_002)), Reason::Filtered);
    // ... or these besides.
    let mut world = World::with(|config| {
        config.filtering.udp = Behaviour::AddressDependent;
        config.filtering.udp_ports = vec![4_001..=4_001];
    });
    world.inside(udp(A, S)).out();
    world.inside(udp(port(A, 4_002), S)).out();
    world.outside(udp(T, XA)).inward();
    world.refuses(Outside, udp(T, port(XA, 4_002)), Reason::Filtered);
}

// covers: N10, N12
#[test]
fn a_stranger_loses_the_right_with_the_session_that_gave_it() {
    let mut world = filtered(Behaviour::AddressDependent);
    world.inside(udp(A, S)).out();
    world.wait_secs(200);
    world.inside(udp(A, T)).out();
    // One tick before the session to S is over its address is known, at that tick it is not.
    world.wait(Duration::from_secs(100));
    assert_eq!(world.outside(udp(S2, XA)).inward(), A.end());
    let mut world = filtered(Behaviour::AddressDependent);
    world.inside(udp(A, S)).out();
    world.wait_secs(200);
    world.inside(udp(A, T)).out();
    world.wait(Duration::from_secs(100) + TICK);
    world.refuses(Outside, udp(S2, XA), Reason::Filtered);
}

// covers: N12, B1.4787-6
#[test]
fn what_a_filter_refuses_keeps_nothing_alive() {
    for behaviour in [Behaviour::AddressDependent, Behaviour::AddressAndPortDependent] {
        let mut world = filtered(behaviour);
        assert!(config().udp.inbound_refresh, "even with it");
        world.inside(udp(A, S)).out();
        for _ in 0..3 {
            world.wait_secs(100);
            world.refuses(Outside, udp(T, XA), Reason::Filtered);
        }
        world.wait(TICK);
        world.engine.handle_timeout(world.now);
        assert_eq!(world.engine.mappings().count(), 0, "{behaviour:?}");
    }
}

// covers: N10, B10
#[test]
fn what_strangers_open_is_limited_by_mapping_subscriber_and_rate() {
    let mut world = World::with(|config| config.limits.inbound_sessions_per_mapping = 2);
    world.inside(udp(A, S)).out();
    world.inside(udp(port(A, 4_002), S)).out();
    world.outside(udp(port(T, 1), XA)).inward();
    world.outside(udp(port(T, 2), XA)).inward();
    world.refuses(Outside, udp(port(T, 3), XA), Reason::LimitInboundMapping);
    world.outside(udp(port(T, 3), port(XA, 4_002))).inward();

    let mut world = World::with(|config| config.limits.inbound_sessions_per_subscriber = 2);
    world.inside(udp(A, S)).out();
    world.inside(udp(port(A, 4_002), S)).out();
    world.inside(udp(B, S)).out();
    world.outside(udp(port(T, 1), XA)).inward();
    world.outside(udp(port(T, 2), port(XA, 4_002))).inward();
    let (_, events) = world.refuses(Outside, udp(port(T, 3), XA), Reason::LimitInboundSubscriber);
    let hit = EventKind::LimitHit { subscriber: A.end().address, limit: Limit::InboundPerSubscriber };
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [hit]);
    world.outside(udp(port(T, 3), XB)).inward();
    // The subscriber itself goes on as it likes, and what ends makes room.
    for n in 1..50 {
        world.inside(udp(A, port(T, 1_000 + n))).out();
    }
    world.wait_secs(301);
    let external = world.inside(udp(A, S)).out();
    world.outside(udp(port(T, 9), external)).inward();

    let mut world = World::with(|config| config.limits.inbound_rate_per_subscriber = 2);
    world.inside(udp(A, S)).out();
    world.outside(udp(port(T, 1), XA)).inward();
    world.outside(udp(port(T, 2), XA)).inward();
    world.refuses(Outside, udp(port(T, 3), XA), Reason::LimitInboundRate);
    world.wait(TICK * 4);
    world.refuses(Outside, udp(port(T, 3), XA), Reason::LimitInboundRate);
    world.wait(TICK);
    world.outside(udp(port(T, 3), XA)).inward();
}

// covers: N10
#[test]
fn a_flood_from_outside_exhausts_no_subscriber() {
    let mut world = World::with(|config| {
        config.limits.sessions_per_subscriber = 100;
        config.limits.inbound_sessions_per_subscriber = 50;
    });
    world.inside(udp(A, S)).out();
    for n in 0..5_000u16 {
        let _ = world.outside(udp(port(T, 1 + n), XA));
    }
    assert_eq!(world.sessions(), 51);
    for n in 0..49 {
        world.inside(udp(A, port(T, 10_000 + n))).out();
    }
}

// covers: N11, B1.4787-8
#[test]
fn a_mapping_of_one_protocol_serves_the_other_if_it_is_told_to() {
    // RFC 7857 6: not by default.
    let mut world = World::with(|_| {});
    world.inside(tcp(A, S).syn()).out();
    world.refuses(Outside, udp(T, XA), Reason::NoMapping);
    // Update-01 6: it does.
    let mut world = World::with(|config| config.filtering.protocol_independent = true);
    world.inside(tcp(A, S).syn()).out();
    assert_eq!(world.outside(udp(T, XA)).inward(), A.end());
    assert_eq!(world.inside(udp(A, T)).out(), XA.end(), "and the answer goes out as it came in");
    world.refuses(Outside, ping(T, port(XA, 4_001)), Reason::NoMapping);
    let mut world = World::with(|config| config.filtering.protocol_independent = true);
    world.inside(udp(A, S)).out();
    assert_eq!(world.outside(tcp(T, XA).syn()).inward(), A.end());
    world.refuses(Outside, tcp(S, XA).flags(Flags::ACK), Reason::NotSyn);
    // The filter counts there as well.
    let mut world = World::with(|config| {
        config.filtering.protocol_independent = true;
        config.filtering.udp = Behaviour::AddressDependent;
    });
    world.inside(udp(A, S)).out();
    world.refuses(Outside, tcp(T, XA).syn(), Reason::Filtered);
}

// covers: N11
#[test]
fn an_endpoint_that_has_another_port_for_the_protocol_keeps_it() {
    let mut world = World::with(|config| config.filtering.protocol_independent = true);
    world.inside(udp(B, S)).out();
    // A's own number is taken in UDP, not in TCP.
    let b = world.external(Protocol::Udp, B);
    world.inside(tcp(port(A, b.port), S).syn()).out();
    let own = world.inside(udp(port(A, b.port), S)).out();
    assert_ne!(own.port, b.port);
    // B's port is B's, in UDP; TCP's at that number is A's.
    assert_eq!(world.outside(udp(T, b)).inward(), B.end());
    assert_eq!(world.outside(tcp(T, b).syn()).inward(), port(A, b.port));
}

// covers: N8, N10
#[test]
fn a_stranger_cannot_take_the_place_of_a_session_over_another_mapping() {
    let mut world = mapped(Behaviour::AddressAndPortDependent);
    let to_s = world.inside(udp(A, S)).out();
    let to_t = world.inside(udp(A, T)).out();
    assert_ne!(to_s, to_t);
    // T is known, but by the other endpoint: its answer would not come from here.
    world.refuses(Outside, udp(T, to_s), Reason::Filtered);
    assert_eq!(world.outside(udp(T, to_t)).inward(), A.end());
    assert_eq!(world.outside(udp(S2, to_s)).inward(), A.end());
    assert_eq!(world.inside(udp(A, S2)).out(), to_s);
}
