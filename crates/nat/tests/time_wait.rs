//! SYNs in TIME-WAIT (N3, RFC 6191).

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::Reason;
use nat::config::TimeWaitPolicy;
use nat::event::{DeleteReason, EventKind, OpenedFrom};

const SECOND: Duration = Duration::from_secs(1);

/// A connection in TIME-WAIT whose sides' FINs are at 1,000, with timestamps 500 and 700 or without.
fn world(policy: TimeWaitPolicy, timestamps: bool) -> World {
    let mut world = World::with(|config| config.tcp_checks.time_wait = policy);
    let stamp = |packet: Pkt, value| if timestamps { packet.timestamps(value, 1) } else { packet };
    world.inside(stamp(tcp(A, S).syn(), 500)).out();
    world.outside(stamp(tcp(S, XA).syn_ack(), 700)).inward();
    world.inside(stamp(tcp(A, S), 500)).out();
    world.inside(stamp(tcp(A, S).fin(), 500)).out();
    world.outside(stamp(tcp(S, XA).fin().acks(1_001), 700)).inward();
    world.inside(stamp(tcp(A, S).seq(1_001).acks(1_001), 500)).out();
    world.events();
    world
}

fn kinds(world: &mut World) -> Vec<EventKind> {
    world.events().into_iter().map(|event| event.kind).collect()
}

// covers: N3
#[test]
fn each_row_of_the_list_decides_about_a_syn_of_either_side() {
    // (the connection's timestamps, the SYN's relative to the last, its sequence number relative to the FIN, accepted)
    let rows = [
        (true, Some(1), -5, true),
        (true, Some(0), 1, true),
        (true, Some(0), 0, false),
        (true, None, 1, true),
        (true, None, 0, false),
        (true, Some(-1), 9, false),
        (true, Some(i32::MAX), -9, true),
        (true, Some(i32::MIN), 9, false),
        (false, Some(0), -9, true),
        (false, None, 1, true),
        (false, None, i32::MAX, true),
        (false, None, i32::MIN, false),
        (false, None, 0, false),
        (false, None, -1, false),
    ];
    for (timestamps, stamp, seq, accepted) in rows {
        for realm in [Inside, Outside] {
            let mut world = world(TimeWaitPolicy::Rfc6191, timestamps);
            let last = if realm == Inside { 500u32 } else { 700 };
            let (from, to) = if realm == Inside { (A, S) } else { (S, XA) };
            let mut syn = tcp(from, to).syn().seq(1_000u32.wrapping_add(seq as u32));
            if let Some(stamp) = stamp {
                syn = syn.timestamps(last.wrapping_add(stamp as u32), 0);
            }
            let row = format!("{timestamps} {stamp:?} {seq} {realm:?}");
            if !accepted {
                world.refuses(realm, syn, Reason::TimeWaitSyn);
                continue;
            }
            let outcome = world.send(realm, syn);
            assert!(matches!(outcome.verdict, nat::Verdict::Forward(_)), "{row}: {outcome:?}");
            let ids: Vec<_> = world.engine.sessions().collect();
            assert_eq!(ids[0].opened_from, OpenedFrom::from(realm), "{row}");
            let [EventKind::SessionDeleted(_, DeleteReason::Reopened), EventKind::SessionCreated(new)] =
                kinds(&mut world)[..]
            else {
                panic!("{row}: not told")
            };
            assert_eq!(new, ids[0], "{row}");
            // It is opening, and ends at that timer.
            world.wait(240 * SECOND);
            assert_eq!(world.sessions(), 1, "{row}");
            world.wait(TICK);
            assert_eq!(world.sessions(), 0, "{row}");
        }
    }
}

// covers: N3
#[test]
fn a_session_that_began_anew_is_followed_from_its_syn() {
    let mut world = world(TimeWaitPolicy::Rfc6191, false);
    let start = 5_000_000;
    world.outside(tcp(S, XA).syn().seq(start)).inward();
    world.inside(tcp(A, S).syn_ack().seq(77).acks(start + 1)).out();
    world.outside(tcp(S, XA).seq(start + 1).acks(78)).inward();
    world.wait(7_000 * SECOND);
    assert_eq!(world.sessions(), 1, "established");
    world.outside(tcp(S, XA).rst().seq(1_001)).inward();
    world.wait(300 * SECOND);
    assert_eq!(world.sessions(), 1, "the old connection's RST says nothing");
}

// covers: N3, N10
#[test]
fn who_begins_anew_from_outside_is_within_the_limits_of_the_outside() {
    type Set = fn(&mut nat::Config);
    let limits: [(Set, Reason); 2] = [
        (|config| config.limits.inbound_sessions_per_mapping = 1, Reason::LimitInboundMapping),
        (|config| config.limits.inbound_sessions_per_subscriber = 1, Reason::LimitInboundSubscriber),
    ];
    for (set, reason) in limits {
        let mut world = World::with(|config| {
            config.tcp_checks.time_wait = TimeWaitPolicy::Rfc6191;
            set(config);
        });
        world.establish(A, S);
        world.close(A, S);
        world.outside(tcp(T, XA).syn()).inward();
        // The one that there may be is there.
        let syn = |to| tcp(S, to).syn().seq(5_000_000);
        world.refuses(Outside, syn(XA.end()), reason);
        world.wait_secs(239);
        world.outside(tcp(T, XA).rst()).inward();
        // From inside there is no such limit.
        world.inside(tcp(A, S).syn().seq(5_000_000)).out();
    }
}

// covers: N3
#[test]
fn a_syn_ack_ends_no_time_wait() {
    let mut world = world(TimeWaitPolicy::Rfc6191, false);
    world.refuses(Outside, tcp(S, XA).syn_ack().seq(9_000_000), Reason::TimeWaitSyn);
}

// covers: N3
#[test]
fn kept_time_wait_lets_every_syn_pass_and_needs_those_of_both() {
    let mut world = world(TimeWaitPolicy::Keep, true);
    world.inside(tcp(A, S).syn().seq(1).timestamps(1, 0)).out();
    assert_eq!(kinds(&mut world), []);
    world.wait(240 * SECOND);
    assert_eq!(world.sessions(), 1);
    world.wait(TICK);
    assert_eq!(world.sessions(), 0, "one side alone does not open it");
}
