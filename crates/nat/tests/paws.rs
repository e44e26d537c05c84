//! Old duplicates (N3, `tcp.paws`): what is refused, and what never may be.

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::Reason;

const SECOND: Duration = Duration::from_secs(1);

fn world() -> World {
    World::with(|config| {
        config.tcp_checks.paws = true;
        config.tcp.established = 29 * 86_400 * SECOND;
    })
}

/// With timestamps: the client's last is `stamp`, the server's 9.
fn stamped(stamp: u32) -> World {
    let mut world = world();
    world.inside(tcp(A, S).syn().timestamps(stamp, 0)).out();
    world.outside(tcp(S, XA).syn_ack().timestamps(9, stamp)).inward();
    world.inside(tcp(A, S).timestamps(stamp, 9)).out();
    world
}

// covers: N3
#[test]
fn an_older_timestamp_is_an_old_duplicate_up_to_half_a_circle_back() {
    for base in [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX, 77] {
        for (ahead, old) in [
            (0i64, false),
            (1, false),
            ((1 << 31) - 1, false),
            (1 << 31, false),
            ((1 << 31) + 1, true),
            (-1, true),
        ] {
            let mut world = stamped(base);
            let segment = tcp(A, S).timestamps(base.wrapping_add(ahead as u32), 9);
            if old {
                world.refuses(Inside, segment, Reason::OldDuplicate);
            } else {
                world.inside(segment).out();
            }
        }
    }
}

// covers: N3
#[test]
fn a_rst_and_a_syn_are_exempt() {
    let mut world = stamped(100);
    world.inside(tcp(A, S).rst().seq(5).timestamps(5, 9)).out();
    world.inside(tcp(A, S).syn().timestamps(5, 9)).out();
    world.refuses(Inside, tcp(A, S).timestamps(5, 9), Reason::OldDuplicate);
}

// covers: N3
#[test]
fn after_24_days_of_silence_a_timestamp_forbids_nothing() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut world = stamped(100);
    world.wait(24 * DAY);
    world.refuses(Inside, tcp(A, S).timestamps(5, 9), Reason::OldDuplicate);
    world.wait(Duration::from_nanos(1));
    world.inside(tcp(A, S).timestamps(5, 9)).out();
    world.refuses(Inside, tcp(A, S).timestamps(4, 9), Reason::OldDuplicate);
}

// covers: N3
#[test]
fn segments_in_another_order_pass_as_the_receiver_would_take_them() {
    let mut world = stamped(100);
    // The later one comes first; its timestamp is not the one to beat before what lies between is there.
    world.inside(tcp(A, S).seq(1_100).len(100).timestamps(120, 9)).out();
    world.inside(tcp(A, S).seq(1_000).len(100).timestamps(110, 9)).out();
    world.refuses(Inside, tcp(A, S).seq(1_000).len(100).timestamps(109, 9), Reason::OldDuplicate);
}

// covers: N3
#[test]
fn timestamps_of_zero_and_timestamps_that_stop_pass() {
    let mut world = stamped(0);
    world.wait(3_600 * SECOND);
    world.inside(tcp(A, S).len(9).timestamps(0, 9)).out();
    let mut world = stamped(100);
    world.inside(tcp(A, S).len(9)).out();
    world.inside(tcp(A, S).seq(1_009).timestamps(101, 9)).out();
}

// covers: N3
#[test]
fn a_segment_more_than_a_window_back_is_an_old_duplicate() {
    for start in [999, u32::MAX, (1 << 31) - 1, u32::MAX - 40_000] {
        let mut world = world();
        let next = start.wrapping_add(1);
        world.inside(tcp(A, S).syn().seq(start)).out();
        world.outside(tcp(S, XA).syn_ack().seq(7).acks(next)).inward();
        // 120,000 octets, all acknowledged.
        let mut at = next;
        for _ in 0..100 {
            world.inside(tcp(A, S).seq(at).acks(8).len(1_200)).out();
            at = at.wrapping_add(1_200);
            world.outside(tcp(S, XA).seq(8).acks(at)).inward();
        }
        let before = |octets: u32| tcp(A, S).seq(at.wrapping_sub(octets)).acks(8);
        // A keep-alive, a probe, data again, and everything within a window.
        for again in [before(1), before(1).len(1), before(1_200).len(1_200), before(65_536)] {
            world.inside(again).out();
        }
        world.refuses(Inside, before(65_537), Reason::OldDuplicate);
        world.refuses(Inside, before(65_637).len(100), Reason::OldDuplicate);
        world.inside(before(65_637).len(101)).out();
        // The SYN again, as long ago as it is.
        world.inside(tcp(A, S).syn().seq(start)).out();
    }
}

// covers: N3
#[test]
fn who_has_seen_one_side_alone_judges_nothing() {
    let mut world = world();
    world.inside(tcp(A, S).syn().timestamps(100, 0)).out();
    world.inside(tcp(A, S).timestamps(5, 0)).out();
    for seq in [1_000, 0, 1 << 31, 3_000_000_000] {
        world.inside(tcp(A, S).seq(seq)).out();
    }
}

// covers: N3
#[test]
fn a_connection_whose_other_half_goes_elsewhere_is_not_stopped() {
    let mut world = world();
    world.establish(A, S);
    // The acknowledgments of 5 GiB are not seen here.
    let mut seq = 1_000u32;
    for _ in 0..100_000 {
        world.inside(tcp(A, S).seq(seq).len(10)).out();
        seq = seq.wrapping_add(53_687);
    }
}
