//! SYNs from outside that nobody waits for (B2, RFC 5382 REQ-4), to the tick.

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::Reason;
use rules::Instant;

/// An external endpoint of A that no mapping is at.
const CLOSED: &str = "192.0.2.1:4001";

fn world() -> World {
    World::with(|config| {
        config.unsolicited_syns = Some(100);
        config.gateway.outside = addr("192.0.2.1");
    })
}

fn answer_to(syn: &Pkt) -> Vec<u8> {
    icmp_error(addr("192.0.2.1"), syn.source(), 3, 3, &syn.octets()).id(0).df().octets()
}

// covers: B2, B1.5382-4
#[test]
fn a_syn_that_nobody_waited_for_is_answered_after_six_seconds_and_not_before() {
    let mut world = world();
    world.wait_secs(1);
    let syn = tcp(S, CLOSED).syn();
    let outcome = world.outside(&syn);
    outcome.expect_refused(Reason::NoMapping);
    assert!(outcome.sent.is_empty(), "silence");
    // It may have come at the end of its tick.
    assert_eq!(world.engine.poll_timeout(), Some(Instant::from_millis(7_100)));
    world.wait(Duration::from_millis(6_099));
    assert!(world.sent().is_empty());
    world.wait(Duration::from_millis(1));
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].to, &sent[0].data), (Outside, &answer_to(&syn)));
    assert_eq!(world.engine.poll_timeout(), None);
    world.wait_secs(60);
    assert!(world.sent().is_empty(), "once");
}

// covers: B2, B1.5382-4
#[test]
fn a_syn_of_the_subscriber_meanwhile_means_silence_for_good() {
    let mut world = world();
    world.outside(tcp(S, CLOSED).syn()).expect_refused(Reason::NoMapping);
    world.wait(Duration::from_millis(6_050));
    assert!(world.sent().is_empty());
    world.inside(tcp(A, S).syn()).expect_out(tcp(CLOSED, S).syn());
    // The other half of the simultaneous open comes again, and passes.
    world.outside(tcp(S, CLOSED).syn()).expect_in(tcp(S, A).syn());
    world.wait_secs(600);
    assert!(world.sent().is_empty());
}

// covers: B2, B1.5382-4
#[test]
fn a_syn_of_the_subscriber_to_somebody_else_saves_nobody() {
    let mut world = world();
    world.outside(tcp(S, CLOSED).syn()).expect_refused(Reason::NoMapping);
    world.inside(tcp(A, T).syn()).expect_out(tcp(CLOSED, T).syn());
    world.wait(Duration::from_millis(6_100));
    assert_eq!(world.sent().len(), 1);
}

// covers: B2, B1.5382-4
#[test]
fn a_syn_that_comes_again_does_not_prolong_the_silence_and_is_not_answered_twice() {
    let mut world = world();
    for _ in 0..6 {
        world.outside(tcp(S, CLOSED).syn()).expect_refused(Reason::NoMapping);
        world.wait_secs(1);
    }
    assert!(world.sent().is_empty());
    world.wait(Duration::from_millis(100));
    assert_eq!(world.sent().len(), 1);
    world.wait_secs(60);
    assert!(world.sent().is_empty());
    // The next one is a new one.
    world.outside(tcp(S, CLOSED).syn()).expect_refused(Reason::NoMapping);
    world.wait(Duration::from_millis(6_100));
    assert_eq!(world.sent().len(), 1);
}

// covers: B1.5382-4a, B1.5508-9
#[test]
fn where_policy_forbids_the_answer_there_is_none() {
    let silent: [fn(&mut nat::Config); 2] =
        [|config| config.unsolicited_syns = None, |config| config.icmp_errors_to = [true, false]];
    for change in silent {
        let mut world = World::with(|config| {
            config.unsolicited_syns = Some(100);
            change(config);
        });
        world.refuses(Outside, tcp(S, CLOSED).syn(), Reason::NoMapping);
        assert_eq!(world.engine.poll_timeout(), None);
        world.wait_secs(60);
        assert!(world.sent().is_empty());
    }
}

// covers: B2
#[test]
fn only_syns_to_our_addresses_are_remembered() {
    let mut world = world();
    world.refuses(Outside, udp(S, CLOSED), Reason::NoMapping);
    world.refuses(Outside, tcp(S, CLOSED).rst(), Reason::NotSyn);
    world.refuses(Outside, tcp(S, CLOSED).syn_ack(), Reason::NotSyn);
    world.refuses(Outside, tcp(S, "192.0.2.9:1").syn(), Reason::NotExternal);
    world.refuses(Outside, tcp("127.0.0.1:9", CLOSED).syn(), Reason::Martian);
    world.refuses(Outside, tcp("100.64.0.7:9", CLOSED).syn(), Reason::SpoofedInside);
    // A subscriber who knocks at a closed port hears nothing: it could not have a simultaneous open
    // with itself.
    world.refuses(Inside, tcp(B, CLOSED).syn(), Reason::NoMapping);
    assert_eq!(world.engine.poll_timeout(), None);
}

// covers: B2, B1.5508-10f, B10
#[test]
fn a_flood_of_syns_takes_no_more_room_and_sends_no_more_than_was_said() {
    let mut world = World::with(|config| {
        config.unsolicited_syns = Some(50);
        config.icmp_errors_per_second = 20;
    });
    for n in 0..5_000u16 {
        let from = Endpoint::new(addr("203.0.113.80"), 1_000 + n);
        world.outside(tcp(from, CLOSED).syn()).expect_refused(Reason::NoMapping);
    }
    world.wait(Duration::from_millis(6_100));
    assert_eq!(world.sent().len(), 20);
    assert_eq!(world.engine.counters().icmp_errors_limited, 30);
    assert_eq!(world.engine.poll_timeout(), None);
}

// covers: B2
#[test]
fn a_call_answers_a_bounded_number_and_asks_to_be_called_again() {
    let mut world = World::with(|config| {
        config.unsolicited_syns = Some(1_000);
        config.icmp_errors_per_second = 100_000;
    });
    for n in 0..1_000u16 {
        let from = Endpoint::new(addr("203.0.113.80"), 1_000 + n);
        world.outside(tcp(from, CLOSED).syn());
    }
    world.wait(Duration::from_millis(6_100));
    let mut sent = world.sent().len();
    assert!(sent < 1_000, "{sent} in one call");
    while world.engine.poll_timeout().is_some_and(|at| at <= world.now) {
        world.engine.handle_timeout(world.now);
        sent += world.sent().len();
    }
    assert_eq!(sent, 1_000);
}
