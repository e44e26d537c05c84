//! Every time of the configuration at its edge: one table, which does not compile while a time is missing.
//!
//! What was seen in tick `t` is over with tick `t + time + 1`, wherever in its tick it was seen.

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::config::{Fragments, Limits, PortSelection, TcpTimeouts, Udp};
use nat::event::EventKind;
use nat::{Config, Reason};
use rules::Instant;

/// Whether an event is the one that is waited for.
type IsTold = fn(&EventKind) -> bool;

/// A timer: its name, how it is set, what begins it, and whether it is over.
struct Timer {
    name: &'static str,
    set: fn(&mut Config, Duration),
    begin: fn(&mut World),
    is_over: fn(&mut World) -> bool,
    /// What is told when it is over, and how much later.
    told: Option<(IsTold, Duration)>,
}

const SESSION: IsTold = |kind| matches!(kind, EventKind::SessionDeleted(..));
const MINUTES: Duration = Duration::from_secs(240);

fn no_session(world: &mut World) -> bool {
    world.sessions() == 0
}

fn session(name: &'static str, set: fn(&mut Config, Duration), begin: fn(&mut World)) -> Timer {
    Timer { name, set, begin, is_over: no_session, told: Some((SESSION, Duration::ZERO)) }
}

/// A GRE packet between these.
fn gre(from: &str, to: &str) -> Pkt {
    raw(from.end().address, to.end().address, 47, &[0; 20])
}

fn close(world: &mut World) {
    world.establish(A, S);
    world.inside(tcp(A, S).fin()).out();
    world.outside(tcp(S, XA).fin()).inward();
}

/// All times of a configuration have a line here, by name.
fn timers(config: &Config) -> Vec<Timer> {
    let TcpTimeouts { opening: _, established: _, closing: _, time_wait: _, transitory: _ } = config.tcp;
    let Udp { timeout: _, inbound_refresh: _, port_timeouts: _ } = &config.udp;
    let (_, _) = (config.icmp_timeout, config.other_timeout);
    let PortSelection {
        preserve: _,
        algorithm: _,
        preserve_parity: _,
        preserve_range: _,
        hold: _,
        hold_max: _,
    } = config.ports;
    let Fragments { datagrams: _, waiting_per_source: _, waiting_octets: _, timeout: _ } = config.fragments;
    let Limits { report_interval: _, .. } = config.limits;
    vec![
        session(
            "tcp.opening",
            |config, time| config.tcp.opening = time,
            |world| {
                world.inside(tcp(A, S).syn()).out();
            },
        ),
        Timer {
            name: "tcp.established",
            set: |config, time| config.tcp.established = Duration::from_secs(7_440) + time,
            begin: |world| {
                world.establish(A, S);
                world.wait(Duration::from_secs(7_440));
            },
            // On notice, a SYN leads nowhere, and what was open has the transitory time alone.
            is_over: |world| world.engine.poll_timeout().is_some_and(|at| at > world.now + MINUTES),
            told: Some((SESSION, MINUTES + TICK)),
        },
        session("tcp.closing", |config, time| config.tcp.closing = time, close),
        session(
            "tcp.time_wait",
            |config, time| config.tcp.time_wait = time,
            |world| {
                close(world);
                world.inside(tcp(A, S)).out();
            },
        ),
        session(
            "tcp.transitory",
            |config, time| config.tcp.transitory = MINUTES + time,
            |world| {
                world.establish(A, S);
                world.outside(tcp(S, XA).rst()).inward();
                world.wait(MINUTES);
            },
        ),
        session(
            "udp.timeout",
            |config, time| config.udp.timeout = MINUTES + time,
            |world| {
                world.inside(udp(A, S)).out();
                world.wait(MINUTES);
            },
        ),
        session(
            "udp.port_timeouts",
            |config, time| config.udp.port_timeouts = vec![(53, time)],
            |world| {
                world.inside(udp(A, "203.0.113.80:53")).out();
            },
        ),
        session(
            "icmp_timeout",
            |config, time| config.icmp_timeout = MINUTES + time,
            |world| {
                world.inside(ping(A, S)).out();
                world.wait(MINUTES);
            },
        ),
        session(
            "other_timeout",
            |config, time| {
                config.other_timeout = time;
                config.pools[0].kind = nat::config::PoolKind::Basic;
            },
            |world| {
                world.inside(gre(A, S));
            },
        ),
        Timer {
            name: "ports.hold",
            set: |config, time| {
                config.ports.hold = time;
                config.pools[0].ports = 4_001..=4_001;
            },
            begin: |world| {
                world.inside(udp(A, S)).out();
                world.wait(Duration::from_secs(300) + TICK);
                // The port's time begins with the tick in which its mapping ended.
                assert_eq!(world.sessions(), 0);
            },
            is_over: |world| world.inside(udp(B, S)).verdict != nat::Verdict::Drop(Reason::PortsExhausted),
            told: None,
        },
        Timer {
            name: "fragments.timeout",
            set: |config, time| config.fragments.timeout = time,
            begin: |world| {
                world.inside(&udp(A, S).len(400).fragments(128)[1]).expect_held();
            },
            is_over: |world| world.dropped(Reason::FragmentTimeout) == 1,
            told: None,
        },
        Timer {
            name: "limits.report_interval",
            set: |config, time| {
                // A report is due with the interval, not behind it.
                config.limits.report_interval = time + TICK;
                config.limits.subscribers = 1;
            },
            begin: |world| {
                world.inside(tcp(A, S).syn()).out();
                world.inside(udp(B, S)).expect_refused(Reason::LimitSubscribers);
            },
            is_over: |world| {
                world.inside(udp(B, S)).expect_refused(Reason::LimitSubscribers);
                world.events().iter().any(|event| matches!(event.kind, EventKind::LimitHit { .. }))
            },
            told: None,
        },
    ]
}

// covers: N2, N18, B3, B10, B1.4787-5, B1.5382-5, B1.5508-2, B1.6888-8, B1.6888-11c
#[test]
fn each_time_of_the_configuration_is_over_at_its_tick_and_not_before() {
    for (millis, begun) in [(1_000, 0), (2_000, 37), (3_050, 0), (1_001, 99), (61_999, 50)] {
        let time = Duration::from_millis(millis);
        let ticks = millis.div_ceil(100) as u32;
        for timer in timers(&config()) {
            let mut config = config();
            (timer.set)(&mut config, time);
            assert_eq!(config.validate(), Ok(()), "{}", timer.name);
            let mut world = World::new(&config);
            world.wait(Duration::from_millis(begun));
            (timer.begin)(&mut world);
            let _ = world.events();
            let start = world.now.as_nanos() / TICK.as_nanos() as u64 * TICK.as_nanos() as u64;
            let due = Instant::from_nanos(start) + (ticks + 1) * TICK;
            let name = timer.name;
            world.now = Instant::from_nanos(due.as_nanos() - 1);
            world.engine.handle_timeout(world.now);
            assert!(!(timer.is_over)(&mut world), "{name} of {time:?} is over before its tick");
            world.now = due;
            world.engine.handle_timeout(world.now);
            assert!((timer.is_over)(&mut world), "{name} of {time:?} is not over at its tick");
            let Some((told, later)) = timer.told else { continue };
            world.wait(later);
            world.engine.handle_timeout(world.now);
            let at: Vec<_> = world.events().into_iter().filter(|event| told(&event.kind)).collect();
            assert_eq!(at.iter().map(|event| event.at).collect::<Vec<_>>(), [due + later], "{name}: {at:?}");
        }
    }
}

// covers: B8
#[test]
fn an_expected_data_connection_is_given_up_at_its_tick_and_told() {
    let mut world = World::default();
    world.establish(A, "203.0.113.21:21");
    world.inside(tcp(A, "203.0.113.21:21").payload(b"PORT 100,64,0,1,19,137\r\n"));
    let due = world.now + Duration::from_secs(120) + TICK;
    let _ = world.events();
    let ended = |world: &mut World| {
        let is_end = |event: &nat::Event| matches!(event.kind, EventKind::MappingDeleted(_));
        world.events().into_iter().filter(is_end).map(|event| event.at).collect::<Vec<_>>()
    };
    world.now = Instant::from_nanos(due.as_nanos() - 1);
    world.engine.handle_timeout(world.now);
    assert_eq!(ended(&mut world), []);
    assert!(world.engine.poll_timeout().is_some_and(|at| at <= due));
    world.now = due + Duration::from_secs(9);
    world.engine.handle_timeout(world.now);
    assert_eq!(ended(&mut world), [due], "told on time, however late anybody looked");
}

// covers: N6
#[test]
fn a_connection_that_is_over_is_remembered_for_its_time_wait_and_no_longer() {
    for (late, answers) in [(Duration::from_nanos(1), 1), (Duration::ZERO, 0)] {
        let mut world = World::with(|config| {
            config.tcp_checks.resend_last_ack = true;
            config.tcp.time_wait = Duration::from_secs(30);
        });
        world.establish(A, S);
        let (x, fin) = (world.close(A, S), |x| tcp(S, x).fin().seq(1_000).acks(1_001));
        world.wait(Duration::from_secs(30) + TICK);
        assert_eq!(world.sessions(), 0);
        let forgotten = world.now + Duration::from_secs(30) + TICK;
        world.now = Instant::from_nanos(forgotten.as_nanos() - late.as_nanos() as u64);
        assert_eq!(world.outside(fin(x)).sent.len(), answers, "{late:?} before");
    }
}
