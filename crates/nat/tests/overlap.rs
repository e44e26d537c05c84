//! One external port for several internal endpoints (RFC 7857 3 and 13, N8), and one for two protocols (N14).

extern crate hairpin_nat as nat;

mod common;

use std::collections::BTreeSet;

use common::*;
use nat::config::Behaviour;
use nat::event::EventKind;
use nat::explicit::{Parity, Request};
use nat::{Protocol, Reason};

const DEPENDENT: [Behaviour; 2] = [Behaviour::AddressDependent, Behaviour::AddressAndPortDependent];
/// The server's address, another port.
const S2: &str = "203.0.113.80:81";

/// Ports overlap, and there are few of them.
fn overlapping(behaviour: Behaviour, ports: std::ops::RangeInclusive<u16>) -> World {
    World::with(|config| {
        config.mapping.behaviour = behaviour;
        config.mapping.port_overlap = true;
        config.pools[0].ports = ports;
    })
}

// covers: N8
#[test]
fn a_port_serves_as_many_as_write_to_different_addresses() {
    for behaviour in DEPENDENT {
        let mut world = overlapping(behaviour, 5_000..=5_000);
        let x = "192.0.2.1:5000";
        world.inside(tcp(A, S).syn()).expect_out(tcp(x, S).syn());
        world.inside(tcp(B, T).syn()).expect_out(tcp(x, T).syn());
        // Both have the same external endpoint, and each its answers.
        world.outside(tcp(S, x).syn_ack()).expect_in(tcp(S, A).syn_ack());
        world.outside(tcp(T, x).syn_ack()).expect_in(tcp(T, B).syn_ack());
        assert_eq!(world.engine.mappings().map(|id| id.external).collect::<BTreeSet<_>>().len(), 1);
        // Another port of the same address is not another address.
        let other = "100.64.0.3:9";
        world.refuses(Inside, tcp(other, S2).syn(), Reason::PortsExhausted);
        // UDP has ports of its own.
        world.inside(udp(other, S2)).expect_out(udp(x, S2));
    }
}

// covers: N8
#[test]
fn the_internal_port_is_kept_as_long_as_it_can_be_told_apart() {
    for behaviour in DEPENDENT {
        let mut world = overlapping(behaviour, 1_024..=65_535);
        let twin = "100.64.0.7:4001";
        world.inside(udp(A, S)).expect_out(udp(XA, S));
        // The same number, another address.
        world.inside(udp(twin, T)).expect_out(udp(XA, T));
        // The same address: another port, and one that nobody has.
        let other = world.inside(udp(twin, S)).out();
        assert_ne!(other, XA.end());
    }
}

// covers: N8
#[test]
fn strangers_do_not_reach_a_shared_port() {
    let mut world = overlapping(Behaviour::AddressDependent, 5_000..=5_000);
    let x = "192.0.2.1:5000";
    world.inside(udp(A, S)).out();
    world.inside(udp(B, T)).out();
    world.refuses(Outside, udp("203.0.113.99:1", x), Reason::NoMapping);
    // Who has been written to from that port may open one more session, if the filter lets it.
    world.outside(udp(S2, x)).expect_in(udp(S2, A));
    world.outside(udp("198.51.100.7:99", x)).expect_in(udp("198.51.100.7:99", B));
}

// covers: N8
#[test]
fn each_share_ends_for_itself_and_the_port_with_the_last() {
    let mut world = overlapping(Behaviour::AddressDependent, 5_000..=5_000);
    let x = "192.0.2.1:5000";
    world.inside(tcp(A, S).syn()).out();
    world.wait_secs(100);
    world.inside(tcp(B, T).syn()).out();
    let created: BTreeSet<_> = world.engine.mappings().collect();
    assert_eq!(created.iter().filter_map(|id| id.remote).count(), 2);
    world.wait_secs(141);
    // The first has gone; what it had can be had again at once, and the second has not noticed.
    assert_eq!(world.engine.mappings().count(), 1);
    world.refuses(Outside, tcp(S, x).syn(), Reason::NoMapping);
    world.inside(tcp("100.64.0.3:9", S).syn()).expect_out(tcp(x, S).syn());
    world.outside(tcp(T, x).syn_ack()).expect_in(tcp(T, B).syn_ack());
    world.wait_secs(8_000);
    assert_eq!(world.engine.mappings().count(), 0);
    let ends = |event: nat::Event| match event.kind {
        EventKind::MappingCreated(id) => Some((id, true)),
        EventKind::MappingDeleted(id) => Some((id, false)),
        _ => None,
    };
    let told: Vec<_> = world.events().into_iter().filter_map(ends).collect();
    for (id, _) in told.iter().filter(|(_, created)| *created) {
        assert_eq!(told.iter().filter(|(other, created)| other == id && !created).count(), 1, "{id:?}");
    }
    // The port is whole again: a mapping that serves all remotes may have it.
    let request = Request {
        protocol: Protocol::Tcp,
        internal: A.end(),
        count: 1,
        suggested: None,
        parity: Parity::Any,
        lifetime: TICK,
        open: true,
    };
    assert_eq!(world.engine.allocate(&request, world.now).map(|given| given.external), Ok(x.end()));
    // And then it is nobody else's.
    world.refuses(Inside, tcp(B, T).syn(), Reason::PortsExhausted);
}

// covers: N8, B10
#[test]
fn a_shared_port_holds_as_many_as_there_are_addresses() {
    let mut world = overlapping(Behaviour::AddressAndPortDependent, 5_000..=5_001);
    let server = |n: u32| Endpoint::new((0xcb00_7100 + n).into(), 80);
    for n in 0..200 {
        world.inside(udp("100.64.0.1:1", server(n))).out();
        world.inside(udp("100.64.0.2:1", server(n))).out();
        world.refuses(Inside, udp("100.64.0.3:1", server(n)), Reason::PortsExhausted);
    }
    for n in 0..200 {
        let a = world
            .engine
            .mappings()
            .find(|id| id.internal == "100.64.0.1:1".end() && id.remote == Some(server(n)));
        let external = a.expect("it has one").external;
        assert_eq!(world.outside(udp(server(n), external)).inward(), "100.64.0.1:1".end());
    }
}

// covers: N8, O1
#[test]
fn what_cannot_overlap_is_told() {
    let wrong = |change: fn(&mut nat::config::MappingBehaviour)| {
        let mut config = config();
        change(&mut config.mapping);
        config.problems().into_iter().map(|problem| problem.error.setting).collect::<Vec<_>>()
    };
    assert_eq!(wrong(|mapping| mapping.port_overlap = true), ["mapping.port_overlap"]);
    let both = wrong(|mapping| {
        mapping.behaviour = Behaviour::AddressDependent;
        (mapping.port_overlap, mapping.protocol_independent) = (true, true);
    });
    assert_eq!(both, ["mapping.protocol_independent"]);
}

/// TCP and UDP have their ports together.
fn together(ports: std::ops::RangeInclusive<u16>) -> World {
    World::with(|config| {
        config.mapping.protocol_independent = true;
        config.ports.preserve = false;
        config.pools[0].ports = ports;
    })
}

// covers: N14
#[test]
fn both_protocols_of_an_endpoint_have_one_port_if_they_are_told_to() {
    let mut world = together(1_024..=65_535);
    for n in 1..=50 {
        let internal = Endpoint::new(addr("100.64.0.1"), 4_000 + n);
        let (of_tcp, of_udp) = if n % 2 == 0 {
            let of_tcp = world.inside(tcp(internal, S).syn()).out();
            (of_tcp, world.inside(udp(internal, T)).out())
        } else {
            let of_udp = world.inside(udp(internal, T)).out();
            (world.inside(tcp(internal, S).syn()).out(), of_udp)
        };
        assert_eq!(of_tcp, of_udp);
    }
    // By default they have nothing to do with one another.
    let mut world = World::with(|config| config.ports.preserve = false);
    let of_tcp = world.inside(tcp(A, S).syn()).out();
    assert_ne!(world.inside(udp(A, S)).out(), of_tcp);
}

// covers: N14
#[test]
fn the_other_protocols_port_is_kept_while_either_lives() {
    let mut world = together(5_000..=5_001);
    let a = world.inside(tcp(A, S).syn()).out();
    let b = world.inside(udp(B, S)).out();
    // Two ports, two endpoints: nobody else has one in either protocol.
    world.refuses(Inside, tcp("100.64.0.3:9", S).syn(), Reason::PortsExhausted);
    world.refuses(Inside, udp("100.64.0.3:9", S), Reason::PortsExhausted);
    assert_eq!(world.inside(udp(A, S)).out(), a);
    assert_eq!(world.inside(tcp(B, S).syn()).out(), b);
    let mut world = together(5_000..=5_000);
    world.inside(tcp(A, S).syn()).out();
    world.inside(udp(A, S)).out();
    // TCP ends after 4 min, UDP a minute later.
    world.wait_secs(240).wait(TICK);
    assert_eq!(world.engine.mappings().count(), 1);
    world.refuses(Inside, tcp(B, S).syn(), Reason::PortsExhausted);
    world.wait_secs(60);
    assert_eq!(world.engine.mappings().count(), 0);
    // UDP's part rests for two minutes as ever, and TCP's with it.
    world.wait_secs(120);
    world.refuses(Inside, tcp(B, S).syn(), Reason::PortsExhausted);
    world.wait(TICK);
    world.inside(tcp(B, S).syn()).out();
}

// covers: N11, N14
#[test]
fn a_stranger_comes_in_by_the_port_that_is_kept() {
    let mut world = World::with(|config| {
        (config.mapping.protocol_independent, config.filtering.protocol_independent) = (true, true);
    });
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    world.outside(udp(T, XA)).expect_in(udp(T, A));
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    assert_eq!(world.engine.mappings().count(), 2);
}
