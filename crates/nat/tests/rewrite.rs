//! The end of connections remembered: tuples used again with numbers that go on (N4), and the last ACK
//! given in the subscriber's place (N6).

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::config::TimeWaitPolicy;
use nat::event::{DeleteReason, EventKind};
use nat::{Offload, Reason};

const SECOND: Duration = Duration::from_secs(1);
/// The one external endpoint there is.
const X: &str = "192.0.2.1:4001";
/// What is added to the old end.
const HEADROOM: u32 = 65_536;
/// What the last timestamp may be behind.
const UNSEEN: u32 = 1_000;

/// One external port.
fn world() -> World {
    let mut config = config_with(&["192.0.2.1"], 4_001..=4_001);
    config.tcp_checks.time_wait = TimeWaitPolicy::Rfc6191;
    config.tcp_checks.monotonic_rewrite = true;
    config.tcp_checks.resend_last_ack = true;
    World::new(&config)
}

/// A's connection has come to TIME-WAIT, its octets ending at 1,001 and its timestamps at 90,000.
fn resting() -> World {
    let mut world = world();
    let stamp = |packet: Pkt| packet.timestamps(90_000, 5);
    world.inside(stamp(tcp(A, S).syn())).out();
    world.outside(tcp(S, X).syn_ack().timestamps(5, 90_000)).inward();
    world.inside(stamp(tcp(A, S))).out();
    world.inside(stamp(tcp(A, S).fin())).out();
    world.outside(tcp(S, X).fin().acks(1_001).timestamps(6, 90_000)).inward();
    world.inside(stamp(tcp(A, S).seq(1_001).acks(1_001))).out();
    world.events();
    world
}

/// B's numbers: its SYN is at 400, its timestamps begin at 20.
const ISN: u32 = 400;
const SEQ_SHIFT: u32 = 1_001 + HEADROOM - ISN;

// covers: N4
#[test]
fn the_oldest_connection_in_time_wait_gives_its_port_and_numbers_go_on_above_it() {
    let mut world = resting();
    world.wait(2 * SECOND);
    let ts_shift = 90_000 + 2_000 + UNSEEN + 1 - 20;
    world
        .inside(tcp(B, S).syn().seq(ISN).timestamps(20, 0))
        .expect_out(tcp(X, S).syn().seq(ISN + SEQ_SHIFT).timestamps(20 + ts_shift, 0));
    let kinds: Vec<_> = world.events().into_iter().map(|event| event.kind).collect();
    assert!(
        matches!(kinds[0], EventKind::SessionDeleted(id, DeleteReason::Reused) if id.mapping.internal == A.end())
    );
    assert_eq!((world.sessions(), world.counters().sessions_shifted), (1, 1));
    // Back: ACK, TSecr and every SACK edge; out: SEQ and TSval of each segment.
    world
        .outside(tcp(S, X).syn_ack().acks(ISN + 1 + SEQ_SHIFT).timestamps(7, 20 + ts_shift))
        .expect_in(tcp(S, B).syn_ack().acks(ISN + 1).timestamps(7, 20));
    world.inside(tcp(B, S).seq(ISN + 1).acks(1_000).timestamps(30, 7).len(3_000)).expect_held();
    let sack = |shift: u32, stamp: u32| {
        let edges: Vec<u8> = [500u32, 600, 700, 800, 900, 1_000]
            .iter()
            .flat_map(|edge| (edge + shift).to_be_bytes())
            .collect();
        let stamps = [8u32.to_be_bytes(), stamp.to_be_bytes()].concat();
        // Timestamps and edges at odd octets.
        [&[1u8, 8, 10][..], &stamps, &[5, 26], &edges, &[1, 1, 1]].concat()
    };
    world
        .outside(tcp(S, X).acks(ISN + 1 + SEQ_SHIFT).tcp_options(&sack(SEQ_SHIFT, 30 + ts_shift)))
        .expect_in(tcp(S, B).acks(ISN + 1).tcp_options(&sack(0, 30)));
    // The remote's own numbers are as they were.
    world
        .outside(tcp(S, X).seq(1_000).acks(ISN + 1 + SEQ_SHIFT).len(7))
        .expect_in(tcp(S, B).seq(1_000).acks(ISN + 1).len(7));
}

// covers: N4
#[test]
fn a_partial_checksum_stays_partial_and_a_super_segment_whole() {
    let mut world = resting();
    world.inside(tcp(B, S).syn().seq(ISN)).out();
    let offload = Offload { gso_size: 1_000, ..partial() };
    let segment = |from, seq| tcp(from, S).seq(seq).len(9_000).df().offload(offload);
    let outcome = world.inside(segment(B.end(), ISN + 1));
    outcome.expect_out(segment(X.end(), ISN + 1 + SEQ_SHIFT));
    assert_eq!(outcome.offload, offload);
    let answer = |to, ack| tcp(S, to).acks(ack).offload(partial());
    world.outside(answer(X.end(), ISN + 9_001 + SEQ_SHIFT)).expect_in(answer(B.end(), ISN + 9_001));
}

// covers: N4
#[test]
fn quoted_headers_are_put_back_in_both_directions() {
    let mut world = resting();
    world.inside(tcp(B, S).syn().seq(ISN).timestamps(20, 0)).out();
    world.outside(tcp(S, X).syn_ack().acks(ISN + 1 + SEQ_SHIFT)).inward();
    let router = addr("198.51.100.99");
    let ts_shift = 90_000 + UNSEEN + 1 - 20;
    // What went out, whole and cut behind eight octets.
    let inner = tcp(B, S).seq(ISN + 1).timestamps(21, 0).len(30).one_hop_less();
    let outer = tcp(X, S).seq(ISN + 1 + SEQ_SHIFT).timestamps(21 + ts_shift, 0).len(30).one_hop_less();
    // Where the checksum is quoted and the options are not, nobody can know what the timestamp did to it.
    for len in [28, 29, 36, 52, 82] {
        let quote = |packet: &Pkt| packet.octets()[..len].to_vec();
        let (outer, inner) = (quote(&outer), quote(&inner));
        let error = world.outside(icmp_error(router, addr("192.0.2.1"), 3, 1, &outer));
        error.expect_in(icmp_error(router, addr("100.64.0.2"), 3, 1, &inner));
    }
    // And what came in.
    let inner = tcp(S, B).acks(ISN + 1).one_hop_less();
    let outer = tcp(S, X).acks(ISN + 1 + SEQ_SHIFT).one_hop_less();
    let error = world.inside(icmp_error(addr("100.64.0.2"), addr("203.0.113.80"), 3, 3, &inner.octets()));
    error.expect_out(icmp_error(addr("192.0.2.1"), addr("203.0.113.80"), 3, 3, &outer.octets()));
}

// covers: N4
#[test]
fn a_signed_syn_is_not_changed_and_passes_only_if_it_is_above() {
    let md5 = [&[19u8, 18][..], &[9; 16], &[1, 1]].concat();
    let mut world = resting();
    let syn = |from, seq| tcp(from, S).syn().seq(seq).tcp_options(&md5);
    world.refuses(Inside, syn(B.end(), 1_000), Reason::TimeWaitSyn);
    world.inside(syn(B.end(), 1_001)).expect_out(syn(X.end(), 1_001));
    assert_eq!(world.counters().sessions_shifted, 0);
}

// covers: N4
#[test]
fn numbers_that_are_above_anyway_stay_what_they_are() {
    let mut world = resting();
    world
        .inside(tcp(B, S).syn().seq(1_002).timestamps(91_001, 0))
        .expect_out(tcp(X, S).syn().seq(1_002).timestamps(91_001, 0));
    assert_eq!(world.counters().sessions_shifted, 0);
    // To another remote there is nothing to be above of.
    let mut world = resting();
    world.inside(tcp(B, T).syn().seq(5)).expect_out(tcp(X, T).syn().seq(5));
}

// covers: N4
#[test]
fn only_a_connection_in_time_wait_gives_its_port_and_only_where_it_may() {
    let mut world = world();
    world.establish(A, S);
    world.inside(tcp(B, S).syn()).expect_refused(Reason::PortsExhausted);
    let mut config = config_with(&["192.0.2.1"], 4_001..=4_001);
    config.tcp_checks.time_wait = TimeWaitPolicy::Rfc6191;
    let mut world = World::new(&config);
    world.establish(A, S);
    world.close(A, S);
    world.inside(tcp(B, S).syn()).expect_refused(Reason::PortsExhausted);
    config.tcp_checks.monotonic_rewrite = true;
    config.tcp_checks.time_wait = TimeWaitPolicy::Keep;
    let problem = config.validate().expect_err("it needs rfc6191");
    assert_eq!(problem.setting, "tcp.monotonic_rewrite");
}

// covers: N4
#[test]
fn a_mapping_with_another_session_keeps_its_port_and_the_oldest_goes_first() {
    let mut config = config_with(&["192.0.2.1"], 4_001..=4_003);
    config.tcp_checks.time_wait = TimeWaitPolicy::Rfc6191;
    config.tcp_checks.monotonic_rewrite = true;
    let mut world = World::new(&config);
    let hosts = ["100.64.0.1:4001", "100.64.0.2:4002", "100.64.0.3:4003"];
    for host in hosts {
        world.establish(host, S);
        world.close(host, S);
    }
    // The first has one more that lives.
    world.establish(hosts[0], T);
    let new = ["100.64.0.7:9000", "100.64.0.8:9000", "100.64.0.9:9000"];
    assert_eq!(world.inside(tcp(new[0], S).syn()).out().port, 4_002);
    assert_eq!(world.inside(tcp(new[1], S).syn()).out().port, 4_003);
    world.inside(tcp(new[2], S).syn()).expect_refused(Reason::PortsExhausted);
}

// covers: N6
#[test]
fn a_fin_that_comes_again_is_answered_when_the_session_is_gone() {
    let mut world = resting();
    world.wait(240 * SECOND + TICK);
    assert_eq!(world.sessions(), 0);
    let fin = |seq| tcp(S, X).fin().seq(seq).acks(1_001).timestamps(9, 90_000);
    let ack = tcp(X, S).seq(1_001).acks(1_001).window(0).id(0).df().timestamps(90_000, 9);
    // Another sequence number is not that FIN.
    for wrong in [999, 1_001, 1 << 31] {
        world.outside(fin(wrong)).expect_refused(Reason::NotSyn);
        assert_eq!(world.counters().last_acks_sent, 0);
    }
    let outcome = world.outside(fin(1_000));
    outcome.expect_refused(Reason::NotSyn);
    assert_eq!(outcome.sent.len(), 1);
    assert_eq!((outcome.sent[0].to, show(&outcome.sent[0].data)), (Outside, show(&ack.octets())));
    assert_eq!(outcome.sent[0].data, ack.octets());
    // Not again within a second, and then again.
    assert!(world.wait(SECOND - TICK).outside(fin(1_000)).sent.is_empty());
    assert_eq!(world.counters().last_acks_limited, 1);
    assert_eq!(world.wait(TICK).outside(fin(1_000)).sent.len(), 1);
    // With data before it, it is the same FIN.
    assert_eq!(world.wait(SECOND).outside(fin(990).len(10)).sent.len(), 1);
}

// covers: N6
#[test]
fn the_end_of_a_connection_is_remembered_for_its_time() {
    let mut world = resting();
    world.wait(240 * SECOND + TICK);
    let fin = || tcp(S, X).fin().acks(1_001);
    world.wait(240 * SECOND);
    assert_eq!(world.outside(fin()).sent.len(), 1, "one tick before");
    world.wait(TICK);
    assert_eq!(world.outside(fin()).sent.len(), 0);
}

// covers: N6
#[test]
fn what_the_subscriber_did_not_acknowledge_is_not_acknowledged_for_it() {
    let mut world = world();
    world.establish(A, S);
    world.inside(tcp(A, S).fin()).out();
    world.outside(tcp(S, X).fin().acks(1_001)).inward();
    world.wait(240 * SECOND + TICK);
    assert_eq!(world.sessions(), 0);
    assert!(world.outside(tcp(S, X).fin().acks(1_001)).sent.is_empty());
}

// covers: N6
#[test]
fn last_acks_are_limited_altogether() {
    let mut config = config_with(&["192.0.2.1"], 4_001..=4_020);
    config.tcp_checks.resend_last_ack = true;
    config.icmp_errors_per_second = 3;
    let mut world = World::new(&config);
    for n in 0..8 {
        world.establish(port(A, 4_001 + n), S);
        world.close(port(A, 4_001 + n), S);
    }
    world.wait(240 * SECOND + TICK);
    for n in 0..8 {
        world.outside(tcp(S, port(X, 4_001 + n)).fin().acks(1_001));
    }
    assert_eq!((world.counters().last_acks_sent, world.counters().last_acks_limited), (3, 5));
}

// covers: N4, N6
#[test]
fn the_ring_forgets_the_oldest() {
    let mut config = config_with(&["192.0.2.1"], 4_001..=4_020);
    config.tcp_checks.resend_last_ack = true;
    config.limits.tombstones = 3;
    let mut world = World::new(&config);
    for n in 0..5 {
        world.establish(port(A, 4_001 + n), S);
        world.close(port(A, 4_001 + n), S);
        world.wait(SECOND);
    }
    world.wait(240 * SECOND + TICK);
    let answered: Vec<_> = (0..5u16)
        .filter(|n| !world.outside(tcp(S, port(X, 4_001 + n)).fin().acks(1_001)).sent.is_empty())
        .collect();
    assert_eq!(answered, [2, 3, 4]);
}
