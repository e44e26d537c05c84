//! The gateway for FTP (B8): endpoints in control connections, lengths that change, data connections.

#![allow(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

extern crate hairpin_nat as nat;

mod common;

use common::*;
use nat::config::{Behaviour, StaticMapping};
use nat::{Offload, Protocol, Reason, Verdict};
use proptest::prelude::*;

/// A server's control port outside, and where its data comes from.
const F: &str = "203.0.113.21:21";
const DATA: &str = "203.0.113.21:20";
/// A client outside.
const C: &str = "203.0.113.99:3000";
const PORT: &[u8] = b"PORT 100,64,0,1,19,137\r\n";

/// The one external address, preserved ports, a server inside behind port 2121 of it.
fn world_at(address: &str, change: impl FnOnce(&mut nat::Config)) -> World {
    let mut config = config_with(&[address], 1024..=65_535);
    config.statics.push(StaticMapping::Port {
        protocol: Protocol::Tcp,
        internal: "100.64.0.1:21".end(),
        external: Endpoint::new(addr(address), 2121),
    });
    change(&mut config);
    World::new(&config)
}

fn control() -> (World, Endpoint) {
    let mut world = world_at("192.0.2.1", |_| {});
    let external = world.establish(A, F);
    (world, external)
}

/// The packet that went out, in place or made anew.
fn carried(outcome: &Outcome) -> Vec<u8> {
    match outcome.verdict {
        Verdict::Held => outcome.sent[0].data.clone(),
        Verdict::Forward(Outside) => outcome.after.clone(),
        other => panic!("{other:?}: {}", show(&outcome.before)),
    }
}

fn assert_carried(outcome: &Outcome, expected: Pkt) {
    let expected = expected.one_hop_less().octets();
    assert_eq!(show(&carried(outcome)), show(&expected));
    assert_eq!(carried(outcome), expected);
}

// covers: B8
#[test]
fn each_of_the_four_names_the_external_endpoint_whatever_its_length() {
    // 10 octets as the subscriber's address, one less, one more.
    for address in ["192.0.2.10", "192.0.2.1", "192.0.2.100"] {
        let commas = address.replace('.', ",");
        let rows = [
            ("PORT 100,64,0,1,19,137\r\n".into(), format!("PORT {commas},19,137\r\n"), false),
            ("port 100,64,0,1,19,137\n".into(), format!("port {commas},19,137\n"), false),
            ("EPRT |1|100.64.0.1|5001|\r\n".into(), format!("EPRT |1|{address}|5001|\r\n"), false),
            (
                "227 Entering Passive Mode (100,64,0,1,19,137).\r\n".into(),
                format!("227 Entering Passive Mode ({commas},19,137).\r\n"),
                true,
            ),
            ("229 Ok (|||05001|)\r\n".to_string(), "229 Ok (|||5001|)\r\n".to_string(), true),
        ];
        for (said, heard, server) in rows {
            for offload in [Offload::default(), partial()] {
                let mut world = world_at(address, |_| {});
                let (inner, outer, remote) = if server {
                    let outer = Endpoint::new(addr(address), 2121);
                    world.outside(tcp(C, outer).syn()).inward();
                    world.inside(tcp("100.64.0.1:21", C).syn_ack()).out();
                    world.outside(tcp(C, outer)).inward();
                    ("100.64.0.1:21", outer, C)
                } else {
                    (A, world.establish(A, F), F)
                };
                let outcome = world.inside(tcp(inner, remote).payload(said.as_bytes()).offload(offload));
                assert_carried(&outcome, tcp(outer, remote).payload(heard.as_bytes()).offload(offload));
                let data = world.external(Protocol::Tcp, "100.64.0.1:5001");
                assert_eq!(data, Endpoint::new(addr(address), 5001));
                // The same again, and what follows.
                let again = world.inside(tcp(inner, remote).payload(said.as_bytes()).offload(offload));
                assert_eq!(carried(&again), carried(&outcome));
                let (said, heard) = (1_000 + said.len() as u32, 1_000 + heard.len() as u32);
                let next = tcp(inner, remote).seq(said).len(9).offload(offload);
                world.inside(next).expect_out(tcp(outer, remote).seq(heard).len(9).offload(offload));
                world
                    .outside(tcp(remote, outer).acks(heard).offload(offload))
                    .expect_in(tcp(remote, inner).acks(said).offload(offload));
                assert_eq!(world.counters().ftp_rewritten, 1);
            }
        }
    }
}

// covers: B8
#[test]
fn a_command_in_a_super_segment_is_named_anew_and_the_rest_goes_with_it() {
    for (address, gso_size) in [("192.0.2.1", 12), ("192.0.2.10", 12), ("192.0.2.100", 1_000)] {
        let mut world = world_at(address, |_| {});
        let x = world.establish(A, F);
        let offload = Offload { gso_size, ..partial() };
        let said = [PORT, &b"LIST\r\n"[..]].concat();
        let heard = format!("PORT {},19,137\r\nLIST\r\n", address.replace('.', ","));
        let outcome = world.inside(tcp(A, F).payload(&said).offload(offload));
        assert_carried(&outcome, tcp(x, F).payload(heard.as_bytes()).offload(offload));
        assert_eq!(outcome.offload, offload);
        assert_eq!(world.counters().ftp_rewritten, 1);
        // All of it again, one of its segments again, and what follows.
        let again = world.inside(tcp(A, F).payload(&said).offload(offload));
        assert_eq!(carried(&again), carried(&outcome));
        let (end, outer_end) = (1_000 + said.len() as u32, 1_000 + heard.len() as u32);
        let list = |from, seq| tcp(from, F).seq(seq).payload(b"LIST\r\n");
        world.inside(list(A.end(), end - 6)).expect_out(list(x, outer_end - 6));
        world.inside(tcp(A, F).seq(end).len(9)).expect_out(tcp(x, F).seq(outer_end).len(9));
        world.outside(tcp(F, x).acks(outer_end)).expect_in(tcp(F, A).acks(end));
    }
}

// covers: B8
#[test]
fn acknowledgments_and_sack_edges_are_exact_at_the_place() {
    let (mut world, x) = control();
    world.inside(tcp(A, F).payload(PORT)).expect_held();
    // PORT and a space, then 17 octets that became 16, then the end of the line.
    for (out, back) in
        [(1_000, 1_000), (1_005, 1_005), (1_006, 1_005), (1_020, 1_005), (1_021, 1_022), (1_023, 1_024)]
    {
        world.outside(tcp(F, x).acks(out)).expect_in(tcp(F, A).acks(back));
    }
    let sack =
        |left: u32, right: u32| [&[1, 1, 5, 10][..], &left.to_be_bytes(), &right.to_be_bytes()].concat();
    for (out, back) in
        [((1_005, 1_021), (1_005, 1_022)), ((1_023, 1_033), (1_024, 1_034)), ((1_010, 1_030), (1_022, 1_031))]
    {
        world
            .outside(tcp(F, x).tcp_options(&sack(out.0, out.1)))
            .expect_in(tcp(F, A).tcp_options(&sack(back.0, back.1)));
    }
}

// covers: B8
#[test]
fn a_second_command_waits_until_the_first_is_acknowledged() {
    let (mut world, x) = control();
    world.inside(tcp(A, F).payload(PORT)).expect_held();
    let second = tcp(A, F).seq(1_024).payload(b"PORT 100,64,0,1,19,138\r\n");
    world.refuses(Inside, &second, Reason::FtpPending);
    world.refuses(Inside, tcp(A, F).seq(1_010).payload(&PORT[10..]), Reason::FtpPending);
    world.outside(tcp(F, x).acks(1_023)).expect_in(tcp(F, A).acks(1_024));
    let outcome = world.inside(&second);
    assert_carried(&outcome, tcp(x, F).seq(1_023).payload(b"PORT 192,0,2,1,19,138\r\n"));
    world.inside(tcp(A, F).seq(1_048)).expect_out(tcp(x, F).seq(1_046));
    world.outside(tcp(F, x).acks(1_046)).expect_in(tcp(F, A).acks(1_048));
}

// covers: B8
#[test]
fn a_command_may_lie_across_the_end_of_the_sequence_space() {
    for before in 0..30u32 {
        let mut world = world_at("192.0.2.1", |_| {});
        let seq = before.wrapping_neg();
        world.inside(tcp(A, F).syn().seq(seq.wrapping_sub(1))).out();
        world.outside(tcp(F, XA).syn_ack().acks(seq)).inward();
        let outcome = world.inside(tcp(A, F).seq(seq).payload(PORT));
        assert_carried(&outcome, tcp(XA, F).seq(seq).payload(b"PORT 192,0,2,1,19,137\r\n"));
        let (own, other) = (seq.wrapping_add(24), seq.wrapping_add(23));
        world.outside(tcp(F, XA).acks(other)).expect_in(tcp(F, A).acks(own));
        world.inside(tcp(A, F).seq(own)).expect_out(tcp(XA, F).seq(other));
    }
}

// covers: B8
#[test]
fn nobody_names_another_host_a_low_port_or_half_a_command() {
    let refused: [&[u8]; 7] = [
        b"PORT 100,64,0,2,19,137\r\n",
        b"PORT 100,64,0,1,3,255\r\n",
        b"PORT 100,64,0,1,19,13",
        b"PORT 100,64,0,1,19,256\r\n",
        b"EPRT |1|203.0.113.5|5001|\r\n",
        b"EPRT |2|::1|5001|\r\n",
        b"EPRT |1|100.64.0.1|65536|\r\n",
    ];
    for payload in refused {
        let (mut world, x) = control();
        world.inside(tcp(A, F).payload(payload)).expect_out(tcp(x, F).payload(payload));
        assert_eq!((world.counters().ftp_passed, world.counters().ftp_rewritten), (1, 0));
        assert_eq!(world.engine.mappings().count(), 2, "its own and the static one");
    }
}

// covers: B1.5382-6, B1.4787-10a
#[test]
fn only_ports_of_the_setting_are_looked_at_and_only_21_is_by_default() {
    assert_eq!(config().algs.ftp, [21]);
    for (ports, server, touched) in
        [(vec![21], F, true), (vec![], F, false), (vec![21], S, false), (vec![80, 21], S, true)]
    {
        let mut world = world_at("192.0.2.1", |config| config.algs.ftp = ports);
        let x = world.establish(A, server);
        let outcome = world.inside(tcp(A, server).payload(PORT));
        if touched {
            outcome.expect_held();
        } else {
            outcome.expect_out(tcp(x, server).payload(PORT));
            assert_eq!((world.counters().ftp_passed, world.engine.mappings().count()), (0, 2));
        }
    }
}

// covers: B8
#[test]
fn the_server_reaches_the_client_through_the_named_endpoint_under_every_filter() {
    for filter in
        [Behaviour::EndpointIndependent, Behaviour::AddressDependent, Behaviour::AddressAndPortDependent]
    {
        let mut world = world_at("192.0.2.1", |config| config.filtering.tcp = filter);
        world.establish(A, F);
        world.inside(tcp(A, F).payload(PORT)).expect_held();
        let (inner, outer) = ("100.64.0.1:5001", "192.0.2.1:5001");
        if filter != Behaviour::EndpointIndependent {
            world.refuses(Outside, tcp(T, outer).syn(), Reason::Filtered);
        }
        world.outside(tcp(DATA, outer).syn()).expect_in(tcp(DATA, inner).syn());
        world.inside(tcp(inner, DATA).syn_ack()).expect_out(tcp(outer, DATA).syn_ack());
    }
}

// covers: B8, N17
#[test]
fn a_rewritten_command_that_may_be_cut_has_an_identification_of_its_own() {
    for address in ["192.0.2.1", "192.0.2.10", "192.0.2.100"] {
        let mut world = world_at(address, |config| config.rewrite_ip_id = true);
        world.inside(tcp(A, F).syn()).out();
        let external = world.external(Protocol::Tcp, A);
        world.outside(tcp(F, external).syn_ack()).inward();
        let outcomes = [7, 7, 7].map(|id| world.inside(tcp(A, F).payload(PORT).id(id)));
        let ids: std::collections::BTreeSet<_> =
            outcomes.iter().map(|outcome| carried(outcome)[4..6].to_vec()).collect();
        assert_eq!(ids.len(), 3, "{address}");
        outcomes.iter().for_each(|outcome| assert_sound(&carried(outcome)));
    }
}

// covers: B8
#[test]
fn a_command_behind_others_in_a_segment_is_seen_and_what_cannot_be_named_is_counted() {
    let port = "PORT 100,64,0,1,19,137\r\n";
    let rows = [
        (format!("TYPE I\r\n{port}LIST\r\n"), "TYPE I\r\nPORT 192,0,2,1,19,137\r\nLIST\r\n".to_string(), 0),
        // One that nobody may name, one that is cut, and one too many: they pass as they are.
        (
            format!("PORT 9,9,9,9,19,137\r\n{port}{port}PORT 100,64"),
            format!("PORT 9,9,9,9,19,137\r\nPORT 192,0,2,1,19,137\r\n{port}PORT 100,64"),
            3,
        ),
    ];
    for (said, heard, passed) in rows {
        let (mut world, x) = control();
        let outcome = world.inside(tcp(A, F).payload(said.as_bytes()));
        assert_carried(&outcome, tcp(x, F).payload(heard.as_bytes()));
        assert_eq!((world.counters().ftp_rewritten, world.counters().ftp_passed), (1, passed));
        // What follows is where it must be, there and back.
        let (inner, outer) = (1_000 + said.len() as u32, 1_000 + heard.len() as u32);
        world.inside(tcp(A, F).seq(inner).len(3)).expect_out(tcp(x, F).seq(outer).len(3));
        world.outside(tcp(F, x).acks(outer)).expect_in(tcp(F, A).acks(inner));
    }
}

// covers: B8
#[test]
fn an_endpoint_that_nobody_comes_to_is_given_back_after_two_minutes() {
    let (mut world, _) = control();
    world.inside(tcp(A, F).payload(PORT)).expect_held();
    world.wait_secs(120);
    assert_eq!(world.engine.mappings().count(), 3);
    world.wait(TICK);
    assert_eq!(world.engine.mappings().count(), 2);
}

proptest! {
    // covers: B8
    #[test]
    fn no_octets_of_a_control_connection_do_harm(
        which in 0..6usize,
        cut in 0..64usize,
        changes in prop::collection::vec((0..64usize, any::<u8>()), 0..6),
        seqs in prop::collection::vec(0..60u32, 1..6),
    ) {
        let lines: [&[u8]; 6] = [
            PORT,
            b"EPRT |1|100.64.0.1|5001|\r\nPORT 100,64,0,1,19,137\r\n",
            b"EPRT !1!100.64.0.1!5001!\r\n",
            b"PORT 1,1,1,1,1,1,1,1,1\r\n",
            b"227 (100,64,0,1,19,137)\r\n",
            b"229 (|||5001|)\r\n",
        ];
        for server in [false, true] {
            let mut world = world_at("192.0.2.1", |_| {});
            let (inner, outer, remote) = if server {
                world.outside(tcp(C, "192.0.2.1:2121").syn()).inward();
                ("100.64.0.1:21", "192.0.2.1:2121", C)
            } else {
                world.establish(A, F);
                (A, XA, F)
            };
            let mut payload = lines[which].to_vec();
            for &(at, octet) in &changes {
                if let Some(place) = payload.get_mut(at) {
                    *place = octet;
                }
            }
            payload.truncate(payload.len().saturating_sub(cut / 4));
            for &seq in &seqs {
                let outcome = world.inside(tcp(inner, remote).seq(970 + seq).payload(&payload));
                if outcome.verdict == Verdict::Drop(Reason::FtpPending) {
                    outcome.expect_refused(Reason::FtpPending);
                } else {
                    assert_sound(&carried(&outcome));
                }
                world.outside(tcp(remote, outer).acks(970 + seq)).inward();
            }
        }
    }
}
