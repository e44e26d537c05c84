//! Every timer at its exact edge: alive one tick before, gone at its tick, the event at that moment.
//!
//! A session that was seen in tick `t` ends with tick `t + timeout + 1`: the packet may have come late
//! in its tick, and no session ends before its time.

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::{Config, Protocol, Reason};
use rules::Instant;

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Distinct times, so that no test passes for the wrong timer.
fn distinct(config: &mut Config) {
    config.tcp.opening = 11 * SECOND;
    config.tcp.established = 7_513 * SECOND;
    config.tcp.closing = 17 * SECOND;
    config.tcp.time_wait = 19 * SECOND;
    config.tcp.transitory = 241 * SECOND;
    config.udp.timeout = 127 * SECOND;
    config.icmp_timeout = 67 * SECOND;
}

/// The only session of `protocol` lives for `time` from now on to the tick, unless something comes.
fn assert_ends_after(world: &mut World, protocol: Protocol, time: Duration) {
    world.events();
    let due = world.now + time + TICK;
    let count = world.sessions();
    world.wait(time);
    assert_eq!(world.ends(protocol), [], "{protocol} ended before its {time:?}");
    assert_eq!(world.sessions(), count);
    world.wait(TICK - Duration::from_nanos(1));
    assert_eq!(world.ends(protocol), [], "{protocol} ended before its tick");
    world.wait(Duration::from_nanos(1));
    assert_eq!(world.ends(protocol), [due], "{protocol} did not end after {time:?}");
    assert_eq!(world.sessions(), count - 1);
}

// covers: B1.4787-5, B1.4787-5b, B1.4787-5c
#[test]
fn a_udp_session_ends_at_its_time() {
    for (config, time) in [(config(), 300), (World::distinct(), 127)] {
        let mut world = World::new(&config);
        world.inside(udp(A, S)).expect_out(udp(XA, S));
        assert_ends_after(&mut world, Protocol::Udp, time * SECOND);
        world.refuses(Outside, udp(S, XA), Reason::NoMapping);
    }
}

// covers: N18, B1.5508-2, B1.5508-2a
#[test]
fn a_query_session_ends_at_its_time_and_its_mapping_with_it() {
    for (config, time) in [(config(), 60), (World::distinct(), 67)] {
        let mut world = World::new(&config);
        world.inside(ping(A, S)).expect_out(ping(XA, S));
        world.wait_secs(5);
        world.outside(pong(S, XA)).expect_in(pong(S, A));
        assert_ends_after(&mut world, Protocol::Icmp, time * SECOND);
        assert_eq!(world.engine.mappings().count(), 0);
        world.refuses(Outside, pong(S, XA), Reason::NotQuery);
    }
}

// covers: B1.4787-6, B1.4787-6a
#[test]
fn outbound_datagrams_refresh_and_inbound_ones_if_they_may() {
    for (inbound_refresh, left) in [(true, 127), (false, 27)] {
        let mut world = World::with(|config| {
            distinct(config);
            config.udp.inbound_refresh = inbound_refresh;
        });
        world.inside(udp(A, S)).expect_out(udp(XA, S));
        world.wait_secs(100);
        world.inside(udp(A, S)).expect_out(udp(XA, S));
        world.wait_secs(100);
        world.outside(udp(S, XA)).expect_in(udp(S, A));
        assert_ends_after(&mut world, Protocol::Udp, left * SECOND);
    }
}

// covers: N2, B1.5382-5, B1.5382-5a
#[test]
fn each_tcp_state_has_a_timer_of_its_own() {
    let opening: fn(&mut World) = |world| {
        world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    };
    let closing: fn(&mut World) = |world| {
        world.establish(A, S);
        world.inside(tcp(A, S).fin()).expect_out(tcp(XA, S).fin());
        world.outside(tcp(S, XA).fin()).expect_in(tcp(S, A).fin());
    };
    let time_wait: fn(&mut World) = |world| {
        world.establish(A, S);
        world.outside(tcp(S, XA).fin()).expect_in(tcp(S, A).fin());
        world.inside(tcp(A, S).fin()).expect_out(tcp(XA, S).fin());
        world.outside(tcp(S, XA)).expect_in(tcp(S, A));
    };
    let reset: fn(&mut World) = |world| {
        world.establish(A, S);
        world.outside(tcp(S, XA).rst()).expect_in(tcp(S, A).rst());
    };
    for (reach, time) in [(opening, 11), (closing, 17), (time_wait, 19), (reset, 241)] {
        let mut world = World::with(distinct);
        reach(&mut world);
        assert_ends_after(&mut world, Protocol::Tcp, time * SECOND);
    }
}

// covers: N1, N2, B1.5382-5
#[test]
fn an_idle_connection_is_put_on_notice_first() {
    let mut world = World::with(distinct);
    world.establish(A, S);
    // The moment of the first timer is a tick of its own: the second begins there.
    world.wait(7_513 * SECOND + TICK);
    assert_ends_after(&mut world, Protocol::Tcp, 241 * SECOND);
}

// covers: N1, N2
#[test]
fn data_on_notice_makes_it_established_again() {
    let mut world = World::with(distinct);
    world.establish(A, S);
    world.wait(7_600 * SECOND);
    world.outside(tcp(S, XA).payload(b"alive")).expect_in(tcp(S, A).payload(b"alive"));
    world.wait(7_513 * SECOND + TICK);
    assert_ends_after(&mut world, Protocol::Tcp, 241 * SECOND);
}

// covers: N1, N2
#[test]
fn half_closed_keeps_the_established_timer_and_is_over_without_notice() {
    let mut world = World::with(distinct);
    world.establish(A, S);
    world.inside(tcp(A, S).fin()).expect_out(tcp(XA, S).fin());
    assert_ends_after(&mut world, Protocol::Tcp, 7_513 * SECOND);
}

// covers: N1
#[test]
fn only_the_clients_syn_refreshes_an_opening_session() {
    let mut world = World::with(distinct);
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    world.wait_secs(10);
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    world.wait_secs(6);
    world.outside(tcp(S, XA).rst()).expect_in(tcp(S, A).rst());
    world.inside(tcp(A, S)).expect_out(tcp(XA, S));
    assert_ends_after(&mut world, Protocol::Tcp, 5 * SECOND);
}

// covers: N1, N2
#[test]
fn a_reset_takes_effect_on_time_though_the_session_was_filed_hours_ahead() {
    let mut world = World::with(distinct);
    world.establish(A, S);
    // Far into the established timer, which stays filed far ahead.
    world.wait_secs(7_000);
    world.inside(tcp(A, S).rst()).expect_out(tcp(XA, S).rst());
    assert_eq!(world.engine.poll_timeout(), Some(world.now + 241 * SECOND + TICK));
    assert_ends_after(&mut world, Protocol::Tcp, 241 * SECOND);
}

// covers: N1, N2
#[test]
fn in_time_wait_only_a_fin_begins_the_time_anew() {
    let mut world = World::with(distinct);
    world.establish(A, S);
    world.outside(tcp(S, XA).fin()).expect_in(tcp(S, A).fin());
    world.inside(tcp(A, S).fin()).expect_out(tcp(XA, S).fin());
    world.outside(tcp(S, XA)).expect_in(tcp(S, A));
    world.wait_secs(10);
    world.outside(tcp(S, XA).fin()).expect_in(tcp(S, A).fin());
    world.wait_secs(5);
    world.inside(tcp(A, S)).expect_out(tcp(XA, S));
    world.outside(tcp(S, XA).rst()).expect_in(tcp(S, A).rst());
    assert_ends_after(&mut world, Protocol::Tcp, 14 * SECOND);
}

// covers: N1, N2
#[test]
fn a_syn_alone_does_not_open_a_tuple_again() {
    let mut world = World::with(distinct);
    world.establish(A, S);
    world.inside(tcp(A, S).fin()).expect_out(tcp(XA, S).fin());
    world.outside(tcp(S, XA).fin()).expect_in(tcp(S, A).fin());
    world.inside(tcp(A, S)).expect_out(tcp(XA, S));
    world.wait_secs(5);
    world.outside(tcp(S, XA).syn()).expect_in(tcp(S, A).syn());
    world.inside(tcp(A, S)).expect_out(tcp(XA, S));
    assert_ends_after(&mut world, Protocol::Tcp, 11 * SECOND);
}

// covers: N1, N2
#[test]
fn repeated_resets_do_not_keep_a_session() {
    let mut world = World::with(distinct);
    world.establish(A, S);
    world.outside(tcp(S, XA).rst()).expect_in(tcp(S, A).rst());
    world.wait_secs(200);
    world.outside(tcp(S, XA).rst()).expect_in(tcp(S, A).rst());
    assert_ends_after(&mut world, Protocol::Tcp, 41 * SECOND);
}

// covers: N2
#[test]
fn a_session_that_is_kept_busy_is_not_ended_early() {
    let mut world = World::with(distinct);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(ping(B, S)).expect_out(ping(XB, S));
    world.establish(A, S);
    for _ in 0..200 {
        world.wait_secs(66);
        world.inside(udp(A, S)).expect_out(udp(XA, S));
        world.inside(ping(B, S)).expect_out(ping(XB, S));
        world.inside(tcp(A, S)).expect_out(tcp(XA, S));
    }
    assert_eq!(world.engine.counters().sessions_deleted, 0);
    assert_ends_after(&mut world, Protocol::Icmp, 67 * SECOND);
    world.wait(60 * SECOND);
    assert_eq!(world.ends(Protocol::Udp), [world.now]);
}

// covers: N2
#[test]
fn the_engine_says_when_it_wants_to_be_woken() {
    let mut world = World::default();
    assert_eq!(world.engine.poll_timeout(), None);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    assert_eq!(world.engine.poll_timeout(), Some(world.now + 300 * SECOND + TICK));
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    assert_eq!(world.engine.poll_timeout(), Some(world.now + 60 * SECOND + TICK));
    // It wakes, ends what is due, names the next; in the end nothing is left.
    let mut ends = Vec::new();
    while let Some(due) = world.engine.poll_timeout() {
        assert!(due > world.now, "woken for nothing");
        world.now = due;
        world.engine.handle_timeout(due);
        ends.extend(world.events().into_iter().map(|event| event.at));
    }
    assert_eq!(world.sessions(), 0);
    assert!(ends.is_sorted());
    assert_eq!(ends.last(), Some(&(Instant::ZERO + 300 * SECOND + TICK)));
}

// covers: N2
#[test]
fn expiry_needs_no_packet_and_a_late_packet_needs_no_expiry() {
    // The session's time is up, nobody has looked, and its packet is what comes first.
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.now = world.now + 301 * SECOND;
    world.outside(udp(S, XA)).expect_refused(Reason::NoMapping);
    assert_eq!(world.ends(Protocol::Udp), [Instant::ZERO + 300 * SECOND + TICK]);
}

// covers: N2
#[test]
fn a_clock_that_goes_back_does_no_harm() {
    let mut world = World::with(distinct);
    world.wait_secs(1_000);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    let due = world.now + 127 * SECOND + TICK;
    world.now = Instant::from_secs(3);
    world.engine.handle_timeout(world.now);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    assert_eq!(world.engine.poll_timeout(), Some(due));
    world.events();
    world.now = due;
    world.engine.handle_timeout(due);
    assert_eq!(world.ends(Protocol::Udp), [due, due]);
}

// covers: N2
#[test]
fn a_year_may_pass_at_once() {
    let mut world = World::with(distinct);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    world.establish(A, S);
    world.events();
    world.wait(YEAR);
    assert_eq!((world.sessions(), world.engine.mappings().count()), (0, 0));
    assert_eq!(world.engine.poll_timeout(), None);
    let mut ends: Vec<_> = world
        .events()
        .into_iter()
        .filter(|event| matches!(event.kind, nat::event::EventKind::SessionDeleted(..)))
        .map(|event| event.at.since(Instant::ZERO))
        .collect();
    ends.sort_unstable();
    let established = 7_513 * SECOND + TICK;
    assert_eq!(ends, [67 * SECOND + TICK, 127 * SECOND + TICK, established + 241 * SECOND + TICK]);
    // And the world goes on.
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    assert_ends_after(&mut world, Protocol::Udp, 127 * SECOND);
}

// covers: N2
#[test]
fn a_clock_gone_wrong_does_not_stop_the_traffic() {
    for end in
        [Instant::from_nanos(u64::MAX), Instant::ZERO + 429_496_729 * SECOND, Instant::ZERO + 20 * YEAR]
    {
        let mut world = World::with(distinct);
        world.inside(udp(A, S)).expect_out(udp(XA, S));
        world.establish(A, S);
        world.inside(&udp(B, S).len(64).fragments(32)[1]).expect_held();
        world.now = end;
        world.engine.handle_timeout(end);
        assert_eq!(world.sessions(), 0);
        world.inside(udp(A, S)).expect_out(udp(XA, S));
        world.outside(udp(S, XA)).expect_in(udp(S, A));
        world.establish(A, S);
        world.inside(tcp(A, S).rst()).expect_out(tcp(XA, S).rst());
        let out = world.inside(udp(B, S).len(2_000)).sent;
        assert_eq!(out.len(), 2);
    }
}

// covers: N2
#[test]
fn ten_thousand_sessions_due_at_once_all_end_in_bounded_steps() {
    let mut world = World::with(|config| {
        config.limits.sessions = 1 << 14;
        config.limits.sessions_per_subscriber = 1 << 14;
    });
    for n in 1..=10_000 {
        world.inside(udp(A, port(S, n))).out();
    }
    world.events();
    world.wait(301 * SECOND);
    let first = world.ends(Protocol::Udp).len();
    assert!((1..10_000).contains(&first), "one call ended {first}");
    // What is left is due now, and the engine says so.
    while let Some(due) = world.engine.poll_timeout() {
        assert!(due <= world.now);
        world.engine.handle_timeout(world.now);
    }
    let ends = world.ends(Protocol::Udp);
    assert_eq!(ends.len() + first, 10_000);
    assert!(ends.iter().all(|&at| at == Instant::ZERO + 300 * SECOND + TICK));
}

/// A world of one external port, taken by `A` and freed at the moment that `now` is.
fn freed(protocol: Protocol, hold: u32) -> World {
    let mut world = World::with(|config| {
        distinct(config);
        config.pools[0].ports = 4_001..=4_001;
        config.ports.hold = hold * SECOND;
    });
    let (packet, time) = match protocol {
        Protocol::Udp => (udp(A, S), 127),
        Protocol::Tcp => (tcp(A, S).syn(), 11),
        Protocol::Icmp => (ping(A, S), 67),
        Protocol::Other => unreachable!("it has no port to be freed"),
    };
    world.inside(packet).out();
    world.wait(time * SECOND + TICK);
    assert_eq!(world.ends(protocol), [world.now]);
    world
}

// covers: B1.6888-8, B1.6888-8-knobs
#[test]
fn a_freed_udp_port_rests_for_its_time_and_no_longer() {
    for hold in [120, 5] {
        let mut world = freed(Protocol::Udp, hold);
        world.wait(hold * SECOND);
        world.refuses(Inside, udp(B, S), Reason::PortsExhausted);
        world.wait(TICK);
        assert_eq!(world.inside(udp(B, S)).out(), XA.end());
    }
}

// covers: B1.6888-8
#[test]
fn a_freed_query_identifier_rests_too() {
    let mut world = freed(Protocol::Icmp, 120);
    let same = "100.64.0.2:4001";
    world.wait(120 * SECOND);
    let other = world.inside(ping(same, S)).out();
    assert_ne!(other, XA.end(), "resting");
    world.wait(TICK);
    assert_eq!(world.inside(ping("100.64.0.3:4001", S)).out(), XA.end());
}

// covers: B1.6888-8a
#[test]
fn a_freed_tcp_port_is_free_at_once() {
    let mut world = freed(Protocol::Tcp, 120);
    assert_eq!(world.inside(tcp(B, S).syn()).out(), XA.end());
}

// covers: B1.4787-5a
#[test]
fn a_well_known_port_may_have_a_shorter_time_to_the_tick() {
    let with = || World::with(|config| config.udp.port_timeouts = vec![(123, SECOND), (53, 10 * SECOND)]);
    for (port, time) in [(53, 10 * SECOND), (123, SECOND), (54, 300 * SECOND)] {
        let server = Endpoint::new(addr("203.0.113.80"), port);
        let mut world = with();
        world.inside(udp(A, server)).expect_out(udp(XA, server));
        world.wait(time);
        assert_eq!(world.sessions(), 1, "{port}");
        // A packet begins it anew.
        world.outside(udp(server, XA)).expect_in(udp(server, A));
        world.wait(time);
        assert_eq!(world.sessions(), 1, "{port}");
        world.wait(TICK);
        assert_eq!(world.sessions(), 0, "{port}");
        assert_eq!(world.ends(Protocol::Udp), [Instant::ZERO + time + time + TICK]);
    }
}

// covers: B1.4787-5a
#[test]
fn only_the_destination_of_a_udp_session_from_inside_shortens_it() {
    let mut world = World::with(|config| config.udp.port_timeouts = vec![(53, SECOND)]);
    // TCP to that port, a query with that identifier, and somebody outside who uses it as a source.
    world.inside(tcp(A, "203.0.113.80:53").syn()).out();
    world.inside(ping("100.64.0.1:53", S)).out();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.outside(udp("198.51.100.7:53", XA)).expect_in(udp("198.51.100.7:53", A));
    world.wait(2 * SECOND);
    assert_eq!(world.sessions(), 4);
    // The mapping stays for those that are longer.
    world.inside(udp(A, "203.0.113.80:53")).out();
    world.wait(2 * SECOND);
    assert_eq!((world.sessions(), world.external(Protocol::Udp, A)), (4, XA.end()));
}

// covers: B1.4787-5a, O1
#[test]
fn times_are_for_eight_well_known_ports_at_most() {
    let problems = |timeouts: Vec<(u16, Duration)>| {
        let mut config = config();
        config.udp.port_timeouts = timeouts;
        config.problems().into_iter().map(|problem| problem.error.setting).collect::<Vec<_>>()
    };
    let ports = |last| (1..=last).map(|port| (port, SECOND)).collect::<Vec<_>>();
    assert!(problems(ports(8)).is_empty() && problems(vec![(1_023, SECOND)]).is_empty());
    assert_eq!(problems(ports(9)), ["udp.port_timeouts"]);
    assert_eq!(problems(vec![(1_024, SECOND)]), ["udp.port_timeouts[0]"]);
    assert_eq!(problems(vec![(53, SECOND), (53, SECOND)]), ["udp.port_timeouts[1]"]);
    assert_eq!(problems(vec![(53, Duration::ZERO)]), ["udp.port_timeouts[0]"]);
}

// covers: B1.6888-8-knobs
#[test]
fn no_more_ports_rest_than_may() {
    let mut world = World::with(|config| config.ports.hold_max = 1);
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(udp(B, S)).expect_out(udp(XB, S));
    world.wait(301 * SECOND);
    assert_eq!(world.sessions(), 0);
    // One of the two rests, the other is free at once.
    let preserved = [("100.64.0.3:4001", XA), ("100.64.0.3:5001", XB)]
        .into_iter()
        .filter(|(internal, external)| world.inside(udp(*internal, S)).out() == external.end());
    assert_eq!(preserved.count(), 1);
}

impl World {
    fn distinct() -> Config {
        let mut config = config();
        distinct(&mut config);
        config
    }
}
