//! Mappings that somebody asks for (PCP, a gateway for FTP): sets, parity, and how long they are kept (N15, RFC 7753).

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::config::Behaviour;
use nat::event::{EventKind, Limit};
use nat::explicit::{Allocation, Parity, Request, Unallocated};
use nat::{Event, Protocol, Reason};
use rules::Instant;

const MINUTE: Duration = Duration::from_secs(60);

fn request(internal: &str) -> Request {
    Request {
        protocol: Protocol::Udp,
        internal: internal.end(),
        count: 1,
        suggested: None,
        parity: Parity::Any,
        lifetime: MINUTE,
        open: false,
    }
}

fn allocate(world: &mut World, request: Request) -> Allocation {
    world.engine.allocate(&request, world.now).expect("there is one")
}

fn deleted(events: &[Event]) -> Vec<Instant> {
    let is_end = |event: &&Event| matches!(event.kind, EventKind::MappingDeleted(_));
    events.iter().filter(is_end).map(|event| event.at).collect()
}

// covers: B5, N15
#[test]
fn of_a_whole_address_a_set_has_the_ports_that_it_has_inside() {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1_024..=65_535);
    config.pools[0].kind = nat::config::PoolKind::Basic;
    let mut world = World::new(&config);
    let odd = Request { parity: Parity::Odd, count: 3, suggested: Some(9), ..request("100.64.0.1:80") };
    assert_eq!(world.engine.allocate(&odd, world.now), Err(Unallocated::Limit(Limit::PortsExhausted)));
    for parity in [Parity::Any, Parity::Even, Parity::Preserved] {
        let given = allocate(&mut world, Request { parity, open: true, ..odd });
        assert_eq!((given.external, given.count), ("192.0.2.1:80".end(), 3));
    }
    for n in 80..83 {
        let (external, internal) = (port("192.0.2.1:0", n), port("100.64.0.1:0", n));
        world.outside(udp(S, external)).expect_in(udp(S, internal));
        world.inside(udp(internal, T)).expect_out(udp(external, T));
    }
    world.wait_secs(400);
    assert_eq!(world.engine.mappings().count(), 0);
}

// covers: B5
#[test]
fn it_is_kept_to_the_tick_and_told() {
    let mut world = World::default();
    let given = allocate(&mut world, request(A));
    let until = Instant::ZERO + MINUTE + TICK;
    assert_eq!(given, Allocation { external: XA.end(), count: 1, until: Some(until) });
    assert!(matches!(world.events()[..], [event] if matches!(event.kind, EventKind::MappingCreated(_))));
    world.outside(udp(S, XA)).expect_in(udp(S, A));
    world.wait(MINUTE);
    // One tick before it is there, with the session or without.
    assert_eq!(world.engine.mappings().count(), 1);
    let mut world = World::default();
    allocate(&mut world, request(A));
    world.events();
    assert_eq!(world.engine.poll_timeout(), Some(until));
    world.wait(MINUTE);
    assert_eq!(world.engine.mappings().count(), 1);
    world.wait(TICK);
    assert_eq!(world.engine.mappings().count(), 0);
    assert_eq!(deleted(&world.events()), [until]);
    assert_eq!(world.engine.poll_timeout(), None);
}

// covers: B5
#[test]
fn its_sessions_outlive_the_time_for_which_it_is_kept() {
    let mut world = World::default();
    allocate(&mut world, request(A));
    world.wait_secs(59);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.wait_secs(300);
    world.outside(udp(S, XA)).expect_in(udp(S, A));
    world.wait(Duration::from_secs(300));
    assert_eq!(world.engine.mappings().count(), 1);
    world.events();
    world.wait(TICK);
    assert_eq!(deleted(&world.events()).len(), 1);
    // And with a session that ends earlier it stays.
    let mut world = World::default();
    allocate(&mut world, Request { lifetime: Duration::from_secs(1_000), ..request(A) });
    world.inside(udp(A, S)).out();
    world.wait_secs(600);
    assert_eq!((world.sessions(), world.engine.mappings().count()), (0, 1));
}

// covers: B5
#[test]
fn asking_again_and_extending_count_from_now() {
    let mut world = World::default();
    let first = allocate(&mut world, request(A));
    world.wait_secs(30);
    let again = allocate(&mut world, request(A));
    assert_eq!(again.external, first.external);
    assert_eq!(again.until, Some(world.now + MINUTE + TICK));
    world.wait_secs(30);
    let set = (Protocol::Udp, A.end(), 1);
    let extended = world.engine.extend(set, Duration::from_secs(10), world.now).expect("it is kept");
    // Shorter than before, as it was asked for.
    assert_eq!(extended.until, Some(world.now + Duration::from_secs(10) + TICK));
    world.wait_secs(10);
    assert_eq!(world.engine.mappings().count(), 1);
    world.wait(TICK);
    assert_eq!(world.engine.mappings().count(), 0);
    assert_eq!(world.engine.extend(set, MINUTE, world.now), None);
    // One that a packet made is not kept until somebody asks for it.
    world.inside(udp(B, S)).out();
    assert_eq!(world.engine.extend((Protocol::Udp, B.end(), 1), MINUTE, world.now), None);
    assert_eq!(allocate(&mut world, Request { lifetime: 10 * MINUTE, ..request(B) }).external, XB.end());
    world.wait_secs(500);
    assert_eq!((world.sessions(), world.engine.mappings().count()), (0, 1));
}

// covers: B5
#[test]
fn what_is_given_back_ends_at_once_unless_it_is_used() {
    let mut world = World::default();
    allocate(&mut world, request(A));
    allocate(&mut world, request(B));
    world.inside(udp(B, S)).out();
    world.events();
    for (internal, left) in [(A, 1), (B, 1)] {
        assert_eq!(world.engine.deallocate((Protocol::Udp, internal.end(), 1), world.now), 1);
        assert_eq!(world.engine.mappings().count(), left);
        assert_eq!(world.engine.deallocate((Protocol::Udp, internal.end(), 1), world.now), 0);
    }
    assert_eq!(deleted(&world.events()), [world.now]);
    world.wait_secs(301);
    assert_eq!(world.engine.mappings().count(), 0);
}

// covers: N15, B5
#[test]
fn a_set_is_consecutive_and_of_the_parity_that_was_asked_for() {
    for (parity, odd) in [(Parity::Even, 0), (Parity::Odd, 1), (Parity::Preserved, 1)] {
        let mut world = World::with(|config| config.ports.preserve = false);
        for n in 0..50 {
            let internal = format!("100.64.0.{}:4001", n + 1);
            let given = allocate(&mut world, Request { count: 4, parity, ..request(&internal) });
            assert_eq!((given.count, given.external.port % 2), (4, odd), "{parity:?}");
            for more in 0..4 {
                let internal = Endpoint::new(addr(&format!("100.64.0.{}", n + 1)), 4_001 + more);
                let external = world.external(Protocol::Udp, internal);
                assert_eq!(external.port, given.external.port + more);
            }
        }
    }
}

// covers: N15
#[test]
fn a_wish_is_granted_where_the_whole_set_is_free_there() {
    let mut world = World::default();
    let wish = Request { count: 3, suggested: Some(7_000), ..request(A) };
    assert_eq!(allocate(&mut world, wish).external.port, 7_000);
    // 7002 is taken; then the internal number is the next best.
    let other = Request { internal: B.end(), suggested: Some(7_002), ..wish };
    assert_eq!(allocate(&mut world, other).external.port, 5_001);
    // A wish of the wrong parity is none.
    let third =
        Request { internal: "100.64.0.3:6001".end(), suggested: Some(9_001), parity: Parity::Even, ..wish };
    assert_eq!(allocate(&mut world, third).external.port % 2, 0);
}

// covers: N15
#[test]
fn as_many_as_there_are_are_given() {
    let mut world = World::with(|config| config.pools[0].ports = 5_000..=5_007);
    world.inside(udp("100.64.0.9:5003", S)).out();
    // 5004 to 5007 is the longest run; with an odd beginning, 5005 to 5007.
    let given = allocate(&mut world, Request { count: 8, parity: Parity::Odd, ..request(B) });
    assert_eq!((given.external.port, given.count), (5_005, 3));
    let given = allocate(&mut world, Request { count: 8, ..request("100.64.0.3:1") });
    assert_eq!((given.external.port, given.count), (5_000, 3));
    let given = allocate(&mut world, Request { count: 8, ..request("100.64.0.4:1") });
    assert_eq!((given.external.port, given.count), (5_004, 1));
    let none = world.engine.allocate(&request("100.64.0.5:1"), world.now);
    assert_eq!(none, Err(Unallocated::Limit(Limit::PortsExhausted)));
    // A set ends before a port that has a mapping already, and answers for as much of it as goes up with it.
    let again = allocate(&mut world, Request { count: 8, ..request("100.64.0.3:1") });
    assert_eq!((again.external.port, again.count), (5_000, 3));
}

// covers: B10, B5
#[test]
fn nobody_gets_more_ports_by_asking_for_them() {
    let mut world = World::with(|config| config.limits.ports_per_subscriber = 5);
    world.inside(udp("100.64.0.1:1", S)).out();
    assert_eq!(allocate(&mut world, Request { count: 9, ..request(A) }).count, 4);
    let more = world.engine.allocate(&request("100.64.0.1:2"), world.now);
    assert_eq!(more, Err(Unallocated::Limit(Limit::PortsPerSubscriber)));
    world.refuses(Inside, udp("100.64.0.1:2", S), Reason::LimitPorts);
    assert_eq!(allocate(&mut world, request(B)).count, 1);
}

// covers: B5
#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut world = World::default();
    let before = world.snapshot();
    let good = request(A);
    let wrong = [
        (Request { protocol: Protocol::Icmp, ..good }, Unallocated::Protocol),
        (Request { internal: S.end(), ..good }, Unallocated::Endpoint),
        (Request { internal: "100.64.0.1:0".end(), ..good }, Unallocated::Endpoint),
        (Request { count: 0, ..good }, Unallocated::Endpoint),
        (Request { internal: "100.64.0.1:65535".end(), count: 2, ..good }, Unallocated::Endpoint),
        (Request { count: u16::MAX, ..good }, Unallocated::Endpoint),
    ];
    for (request, why) in wrong {
        assert_eq!(world.engine.allocate(&request, world.now), Err(why), "{request:?}");
    }
    assert_eq!(world.engine.deallocate((Protocol::Udp, A.end(), u16::MAX), world.now), 0);
    assert_eq!(world.snapshot(), before);
}

// covers: B5, N8, N10
#[test]
fn it_serves_all_remotes_and_those_whom_it_is_open_to() {
    for open in [false, true] {
        let mut world = World::with(|config| {
            config.mapping.behaviour = Behaviour::AddressAndPortDependent;
            config.filtering.udp = Behaviour::AddressDependent;
        });
        let given = allocate(&mut world, Request { open, ..request(A) });
        for remote in [S, T] {
            assert_eq!(world.inside(udp(A, remote)).out(), given.external);
        }
        let stranger = udp("203.0.113.99:9", given.external);
        if open {
            world.outside(stranger).inward();
        } else {
            world.refuses(Outside, stranger, Reason::Filtered);
        }
    }
}
