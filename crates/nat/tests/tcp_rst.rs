//! RSTs (N7, RFC 7857 2.2): all pass, and only an exact one says anything about the connection.

extern crate hairpin_nat as nat;

mod common;

use std::time::Duration;

use common::*;
use nat::config::RstPolicy;
use nat::event::{DeleteReason, EventKind};
use nat::{Protocol, Realm};
use wire::tcp::Flags;

const SECOND: Duration = Duration::from_secs(1);

fn established(policy: RstPolicy) -> World {
    let mut world = World::with(|config| config.tcp_checks.rst = policy);
    world.establish(A, S);
    world
}

/// A RST passes from `realm` with this sequence number.
fn rst(world: &mut World, realm: Realm, seq: u32) {
    match realm {
        Inside => world.inside(tcp(A, S).rst().seq(seq)).expect_out(tcp(XA, S).rst().seq(seq)),
        Outside => world.outside(tcp(S, XA).rst().seq(seq)).expect_in(tcp(S, A).rst().seq(seq)),
    };
}

/// How the sessions that ended since events were last asked for ended.
fn reasons(world: &mut World) -> Vec<DeleteReason> {
    let ended = |event: nat::Event| match event.kind {
        EventKind::SessionDeleted(_, reason) => Some(reason),
        _ => None,
    };
    world.events().into_iter().filter_map(ended).collect()
}

/// Whether the only session has at most `secs` left: it is on notice.
fn ends_within(world: &mut World, secs: u64) -> bool {
    world.wait(Duration::from_secs(secs) + TICK);
    world.sessions() == 0
}

// covers: N7
#[test]
fn a_forged_rst_leaves_the_session_alone() {
    for policy in [RstPolicy::Hold, RstPolicy::Delete] {
        for realm in [Inside, Outside] {
            for seq in [0, 999, 1_001, 2_000, 1_000 + (1 << 31), 1_000u32.wrapping_sub(1 << 31), u32::MAX] {
                let mut world = established(policy);
                rst(&mut world, realm, seq);
                assert_eq!(world.sessions(), 1, "{policy:?} {realm:?} {seq}");
                assert!(!ends_within(&mut world, 7_000), "{policy:?} {realm:?} {seq}");
            }
        }
    }
}

// covers: N7
#[test]
fn an_exact_rst_is_held_for_its_time_or_ends_the_session_at_once() {
    for realm in [Inside, Outside] {
        let mut world = established(RstPolicy::Hold);
        rst(&mut world, realm, 1_000);
        world.wait(240 * SECOND);
        assert_eq!(world.sessions(), 1, "one tick before");
        world.wait(TICK);
        assert_eq!(world.sessions(), 0);
        let mut world = established(RstPolicy::Delete);
        world.events();
        rst(&mut world, realm, 1_000);
        assert_eq!((world.sessions(), reasons(&mut world)), (0, vec![DeleteReason::Reset]));
        assert_eq!(world.engine.mappings().count(), 0, "and the mapping with its first session");
    }
}

// covers: N7
#[test]
fn a_mapping_with_another_session_outlives_the_rst() {
    let mut world = established(RstPolicy::Delete);
    world.establish(A, T);
    rst(&mut world, Outside, 1_000);
    assert_eq!((world.sessions(), world.engine.mappings().count()), (1, 1));
    world.outside(tcp(T, XA)).expect_in(tcp(T, A));
}

// covers: N7
#[test]
fn data_after_an_exact_rst_brings_the_connection_back() {
    let mut world = established(RstPolicy::Hold);
    rst(&mut world, Outside, 1_000);
    world.wait(200 * SECOND);
    world.inside(tcp(A, S).len(5)).expect_out(tcp(XA, S).len(5));
    assert!(!ends_within(&mut world, 7_000));
}

// covers: N7
#[test]
fn a_rst_in_answer_to_a_segment_takes_its_acknowledgment() {
    // The server has sent 300 octets, of which the client has acknowledged 100, and loses its memory.
    for (seq, exact) in [(1_100, true), (1_300, true), (1_200, false), (1_000, false), (1_301, false)] {
        let mut world = established(RstPolicy::Delete);
        world.outside(tcp(S, XA).len(300)).inward();
        world.inside(tcp(A, S).acks(1_100)).out();
        rst(&mut world, Outside, seq);
        assert_eq!(world.sessions() == 0, exact, "{seq}");
    }
}

// covers: N7
#[test]
fn what_lies_around_the_end_of_the_circle_is_exact_too() {
    for start in [u32::MAX, u32::MAX - 1, (1 << 31) - 1, 1 << 31, 0] {
        let mut world = World::with(|config| config.tcp_checks.rst = RstPolicy::Delete);
        let next = start.wrapping_add(1);
        world.inside(tcp(A, S).syn().seq(start)).out();
        world.outside(tcp(S, XA).syn_ack().seq(start).acks(next)).inward();
        world.inside(tcp(A, S).seq(next).acks(next)).out();
        world.outside(tcp(S, XA).seq(next).acks(next).len(1_000)).inward();
        for wrong in [start, next, next.wrapping_add(999), next.wrapping_add(1_001)] {
            if wrong != next {
                world.outside(tcp(S, XA).rst().seq(wrong)).inward();
                assert_eq!(world.sessions(), 1, "{start} {wrong}");
            }
        }
        world.outside(tcp(S, XA).rst().seq(next.wrapping_add(1_000))).inward();
        assert_eq!(world.sessions(), 0, "{start}");
    }
}

// covers: N7
#[test]
fn while_it_opens_a_rst_must_acknowledge_the_syn() {
    for (ack, ends) in [(999, false), (1_000, true), (1_001, false)] {
        let mut world = World::with(|config| config.tcp_checks.rst = RstPolicy::Delete);
        world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
        let answer = |to| tcp(S, to).flags(Flags::RST | Flags::ACK).seq(0).acks(ack);
        world.outside(answer(XA)).expect_in(answer(A));
        assert_eq!(world.sessions() == 0, ends, "{ack}");
    }
}

// covers: N7
#[test]
fn nobody_moves_the_connection_to_where_a_forged_rst_would_be_exact() {
    let mut world = established(RstPolicy::Delete);
    for seq in [1_000 + 65_537, 1_000 + (1 << 20), 1_000 + (1 << 30), 1_000u32.wrapping_sub(70_000)] {
        world.outside(tcp(S, XA).seq(seq)).inward();
        world.outside(tcp(S, XA).rst().seq(seq)).inward();
        assert_eq!(world.sessions(), 1, "{seq}");
        world.outside(tcp(S, XA).syn_ack().seq(seq)).inward();
        world.outside(tcp(S, XA).rst().seq(seq + 1)).inward();
        assert_eq!(world.sessions(), 1, "a SYN at {seq}");
    }
    // And of what was not sent nothing is acknowledged.
    world.outside(tcp(S, XA).acks(9_000)).inward();
    rst(&mut world, Inside, 9_000);
    assert_eq!(world.sessions(), 1);
}

// covers: N7, T2
#[test]
fn text_of_one_who_guesses_the_window_alone_moves_nothing() {
    for policy in [RstPolicy::Hold, RstPolicy::Delete] {
        let mut world = established(policy);
        let blind = |to| tcp(S, to).seq(1_200).len(100);
        for ack in [1_001, 9_000, 1_000 + (1 << 31), 1_000u32.wrapping_sub(65_537)] {
            world.outside(blind(XA).acks(ack)).expect_in(blind(A).acks(ack));
            rst(&mut world, Outside, 1_300);
        }
        // Without the ACK flag nobody looks at it; with the FIN it still passes, for the host to judge.
        let no_ack = |to| blind(to).flags(Flags::FIN);
        world.outside(no_ack(XA)).expect_in(no_ack(A));
        rst(&mut world, Outside, 1_301);
        assert_eq!(world.sessions(), 1, "{policy:?}");
        assert!(!ends_within(&mut world, 7_000), "{policy:?}");
        // What acknowledges no more than was sent, and not what is long ago, moves it.
        for ack in [1_000, 1_000u32.wrapping_sub(65_536)] {
            let mut world = established(RstPolicy::Delete);
            world.outside(blind(XA).acks(ack)).expect_in(blind(A).acks(ack));
            rst(&mut world, Outside, 1_300);
            assert_eq!(world.sessions(), 0, "{ack}");
        }
    }
}

// covers: N7
#[test]
fn in_time_wait_no_rst_ends_anything() {
    let mut world = established(RstPolicy::Delete);
    world.close(A, S);
    rst(&mut world, Outside, 1_001);
    assert_eq!(world.sessions(), 1);
    world.wait(240 * SECOND);
    assert_eq!(world.sessions(), 1, "one tick before");
    world.wait(TICK);
    assert_eq!(world.sessions(), 0);
}

// covers: N13
#[test]
fn no_rst_prolongs_a_session() {
    for realm in [Inside, Outside] {
        // Half closed, with a minute left of its idle time: the RST does not give it four.
        let mut world = established(RstPolicy::Hold);
        world.outside(tcp(S, XA).fin()).expect_in(tcp(S, A).fin());
        world.wait(7_380 * SECOND);
        rst(&mut world, realm, if realm == Inside { 1_000 } else { 1_001 });
        world.wait(60 * SECOND);
        assert_eq!(world.sessions(), 1, "one tick before");
        world.wait(TICK);
        assert_eq!(world.sessions(), 0, "{realm:?}");
    }
    // Opening, closing, TIME-WAIT and on notice: the timer runs on.
    type Bring = fn(&mut World);
    let states: [(&str, Bring); 3] = [
        ("closing", |world| {
            world.inside(tcp(A, S).fin()).out();
            world.outside(tcp(S, XA).fin()).inward();
        }),
        ("TIME-WAIT", |world| {
            world.close(A, S);
        }),
        ("on notice", |world| rst(world, Outside, 1_000)),
    ];
    for (name, bring) in states {
        let mut world = established(RstPolicy::Hold);
        bring(&mut world);
        world.wait(239 * SECOND);
        for seq in [1_000, 1_001] {
            rst(&mut world, Inside, seq);
            rst(&mut world, Outside, seq);
        }
        world.wait(SECOND);
        assert_eq!(world.sessions(), 1, "{name}: one tick before");
        world.wait(TICK);
        assert_eq!(world.sessions(), 0, "{name}");
    }
}

// covers: N13
#[test]
fn an_icmp_error_in_answer_does_not_prolong_a_session() {
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.wait(299 * SECOND);
    let quoted = udp(S, A).octets();
    let error = world.inside(icmp_error(addr("100.64.0.1"), addr("203.0.113.80"), 3, 3, &quoted));
    assert_eq!(error.out().address, addr("192.0.2.1"));
    world.wait(SECOND);
    assert_eq!(world.ends(Protocol::Udp), [], "one tick before");
    world.wait(TICK);
    assert_eq!((world.sessions(), world.engine.mappings().count()), (0, 0));
}

/// An established session that was idle for all its time and is on notice.
fn on_notice(change: impl FnOnce(&mut nat::Config)) -> World {
    let mut world = World::with(|config| {
        config.tcp_checks.rst = RstPolicy::Delete;
        change(config);
    });
    world.establish(A, S);
    world.wait(7_440 * SECOND + TICK);
    assert_eq!(world.sessions(), 1);
    world
}

// covers: N7
#[test]
fn a_forged_syn_does_not_make_a_forged_rst_exact() {
    for realm in [Inside, Outside] {
        for middle in [None, Some(Flags::ACK), Some(Flags::SYN | Flags::ACK)] {
            let mut world = on_notice(|_| {});
            let of = |packet: Pkt| if realm == Inside { packet } else { packet.window(1_000) };
            let forged = |flags: Flags, seq: u32| match realm {
                Inside => of(tcp(A, S).flags(flags).seq(seq).acks(77)),
                Outside => of(tcp(S, XA).flags(flags).seq(seq).acks(77)),
            };
            let syn = if realm == Inside { tcp(A, S).syn() } else { tcp(S, XA).syn() };
            world.send(realm, syn.seq(5_000_000));
            if let Some(flags) = middle {
                world.send(realm, forged(flags, 5_000_001 - u32::from(flags.contains(Flags::SYN))));
            }
            for seq in [5_000_000, 5_000_001, 5_000_002] {
                let rst = if realm == Inside { tcp(A, S).rst() } else { tcp(S, XA).rst() };
                world.send(realm, rst.seq(seq));
            }
            assert_eq!(world.sessions(), 1, "{realm:?} {middle:?}");
            // Nor does the answer of the host that lives: it acknowledges what it has, not what was forged.
            match realm {
                Inside => world.outside(tcp(S, XA).acks(1_000)),
                Outside => world.inside(tcp(A, S).acks(1_000)),
            };
            let rst = if realm == Inside { tcp(A, S).rst() } else { tcp(S, XA).rst() };
            world.send(realm, rst.seq(5_000_001));
            assert_eq!(world.sessions(), 1, "{realm:?} {middle:?}, answered");
        }
    }
}

// covers: N7, N3
#[test]
fn in_time_wait_a_syn_and_a_rst_behind_it_end_nothing() {
    let mut world = World::with(|config| config.tcp_checks.rst = RstPolicy::Delete);
    world.establish(A, S);
    world.close(A, S);
    world.outside(tcp(S, XA).syn().seq(5_000_000)).inward();
    world.outside(tcp(S, XA).rst().seq(5_000_001)).inward();
    assert_eq!(world.sessions(), 1);
}

// covers: N7
#[test]
fn a_new_connection_on_a_tuple_that_is_on_notice_can_be_reset_once_it_is_answered() {
    let mut world = on_notice(|_| {});
    world.inside(tcp(A, S).syn().seq(70_000)).out();
    world.outside(tcp(S, XA).syn_ack().seq(90_000).acks(70_001)).inward();
    world.inside(tcp(A, S).seq(70_001).acks(90_001)).out();
    world.outside(tcp(S, XA).rst().seq(90_000)).inward();
    assert_eq!(world.sessions(), 1, "that one is old");
    world.outside(tcp(S, XA).rst().seq(90_001)).inward();
    assert_eq!(world.sessions(), 0);
}

// covers: N3
#[test]
fn a_forged_syn_does_not_make_what_the_real_host_says_old() {
    let mut world = World::with(|config| config.tcp_checks.paws = true);
    world.inside(tcp(A, S).syn().timestamps(100, 0)).out();
    world.outside(tcp(S, XA).syn_ack().timestamps(9, 100)).inward();
    world.inside(tcp(A, S).timestamps(100, 9)).out();
    world.wait(7_440 * SECOND + TICK);
    world.outside(tcp(S, XA).syn().seq(5_000_000).timestamps(1 << 30, 0)).inward();
    world.outside(tcp(S, XA).timestamps(10, 100).len(5)).inward();
    world.inside(tcp(A, S).timestamps(101, 10)).out();
    world.outside(tcp(S, XA).seq(1_005).timestamps(11, 101).len(5)).inward();
}
