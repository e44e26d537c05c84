//! Mappings, sessions and translation: what the RFCs draw as figures, packet by packet.

extern crate hairpin_nat as nat;

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use nat::event::{EventKind, OpenedFrom};
use nat::{Checksum, Offload, Protocol, Reason, Verdict};
use rules::port_selection::Algorithm;
use wire::tcp::Flags;

// covers: N1, B1.5382-2
#[test]
fn a_connection_from_its_handshake_to_its_end() {
    let mut world = World::default();
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    world.outside(tcp(S, XA).syn_ack()).expect_in(tcp(S, A).syn_ack());
    world.inside(tcp(A, S)).expect_out(tcp(XA, S));
    world.inside(tcp(A, S).payload(b"odd")).expect_out(tcp(XA, S).payload(b"odd"));
    world.outside(tcp(S, XA).payload(b"even")).expect_in(tcp(S, A).payload(b"even"));
    world.inside(tcp(A, S).fin()).expect_out(tcp(XA, S).fin());
    world.outside(tcp(S, XA).payload(b"half-closed")).expect_in(tcp(S, A).payload(b"half-closed"));
    world.outside(tcp(S, XA).fin()).expect_in(tcp(S, A).fin());
    world.inside(tcp(A, S)).expect_out(tcp(XA, S));
    let kinds: Vec<_> = world.events().into_iter().map(|event| event.kind).collect();
    assert!(
        matches!(kinds[..], [EventKind::MappingCreated(_), EventKind::SessionCreated(id)] if id.opened_from == OpenedFrom::Inside)
    );
}

// covers: N1, B1.5382-2a
#[test]
fn both_sides_open_at_once() {
    let mut world = World::default();
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    world.outside(tcp(S, XA).syn()).expect_in(tcp(S, A).syn());
    world.inside(tcp(A, S).syn_ack()).expect_out(tcp(XA, S).syn_ack());
    world.outside(tcp(S, XA).syn_ack()).expect_in(tcp(S, A).syn_ack());
    assert_eq!(world.sessions(), 1, "one connection");
    // It is established: it outlives the opening timer.
    world.wait_secs(7_000);
    world.outside(tcp(S, XA).payload(b"x")).expect_in(tcp(S, A).payload(b"x"));
}

// covers: N1, B1.5382-2, B1.5382-3
#[test]
fn a_remote_opens_a_connection_to_a_mapped_endpoint() {
    let mut world = World::default();
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
    world.outside(tcp(T, XA).syn()).expect_in(tcp(T, A).syn());
    world.inside(tcp(A, T).syn_ack()).expect_out(tcp(XA, T).syn_ack());
    world.outside(tcp(T, XA)).expect_in(tcp(T, A));
    world.wait_secs(7_000);
    world.inside(tcp(A, T)).expect_out(tcp(XA, T));
    let opened: Vec<_> = world.engine.sessions().map(|session| session.opened_from).collect();
    assert_eq!(opened, [OpenedFrom::Outside]);
}

// covers: N1, N2
#[test]
fn a_reset_puts_on_notice_and_data_takes_it_back() {
    let mut world = World::default();
    world.establish(A, S);
    world.outside(tcp(S, XA).rst()).expect_in(tcp(S, A).rst());
    world.wait_secs(200);
    world.inside(tcp(A, S).payload(b"not me")).expect_out(tcp(XA, S).payload(b"not me"));
    world.wait_secs(7_000);
    assert_eq!(world.sessions(), 1, "established again");
}

// covers: N1
#[test]
fn a_tuple_is_opened_again_by_the_syns_of_both_sides() {
    let mut world = World::default();
    world.establish(A, S);
    world.inside(tcp(A, S).fin()).expect_out(tcp(XA, S).fin());
    world.outside(tcp(S, XA).fin()).expect_in(tcp(S, A).fin());
    world.inside(tcp(A, S)).expect_out(tcp(XA, S));
    world.wait_secs(100);
    world.inside(tcp(A, S).syn().seq(9_999)).expect_out(tcp(XA, S).syn().seq(9_999));
    world.outside(tcp(S, XA).syn_ack()).expect_in(tcp(S, A).syn_ack());
    world.wait_secs(7_000);
    assert_eq!(world.sessions(), 1);
    let created = world.engine.counters().sessions_created;
    assert_eq!(created, 1, "the same session");
}

// covers: N1
#[test]
fn only_a_syn_opens_a_connection() {
    let mut world = World::default();
    for flags in
        [Flags::ACK, Flags::SYN | Flags::ACK, Flags::FIN | Flags::ACK, Flags::RST, Flags::PSH | Flags::ACK]
    {
        world.refuses(Inside, tcp(A, S).flags(flags), Reason::NotSyn);
    }
    world.inside(tcp(A, S).flags(Flags::SYN | Flags::ECE | Flags::CWR)).out();
}

// covers: B1.4787-1, B1.5382-1, B1.5508-1, B1.5508-1a
#[test]
fn an_internal_endpoint_has_one_external_endpoint_towards_everybody() {
    let mut world = World::default();
    for n in 1..100 {
        let (remote, other) = (port(S, n), port(T, n + 7));
        for remote in [remote, other] {
            world.inside(udp(A, remote)).expect_out(udp(XA, remote));
            world.inside(tcp(A, remote).syn()).expect_out(tcp(XA, remote).syn());
            world.inside(ping(A, remote)).expect_out(ping(XA, remote));
        }
    }
    assert_eq!(world.engine.mappings().count(), 3);
}

// covers: B1.4787-8, B1.6888-7
#[test]
fn anybody_reaches_a_mapped_endpoint() {
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    world.inside(ping(A, S)).expect_out(ping(XA, S));
    for remote in ["203.0.113.80:81", T, "8.8.8.8:53"] {
        world.outside(udp(remote, XA)).expect_in(udp(remote, A));
        world.inside(udp(A, remote)).expect_out(udp(XA, remote));
    }
    // A query from elsewhere to a mapped identifier goes to its owner as well.
    world.outside(ping(XA, XA).payload(b"x")).expect_refused(Reason::SpoofedInside);
    let ping = icmp(addr("8.8.8.8"), addr("192.0.2.1"), 8, 0, [0x0f, 0xa1, 0, 1], b"");
    let seen = icmp(addr("8.8.8.8"), addr("100.64.0.1"), 8, 0, [0x0f, 0xa1, 0, 1], b"");
    world.outside(ping).expect_in(seen);
}

// covers: B1.4787-2, B1.6888-2
#[test]
fn a_subscriber_has_one_external_address_for_everything() {
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    let mut world = World::new(&config_with(&addresses, 1_024..=65_535));
    let mut used = BTreeSet::new();
    for host in 1..=40 {
        let host = format!("100.64.7.{host}");
        let end = |port| Endpoint::new(addr(&host), port);
        let mut of_host = BTreeSet::new();
        for n in 2_000..2_010 {
            of_host.insert(world.inside(udp(end(n), S)).out().address);
            of_host.insert(world.inside(tcp(end(n), S).syn()).out().address);
            of_host.insert(world.inside(ping(end(n), S)).out().address);
        }
        assert_eq!(of_host.len(), 1, "{host}");
        used.extend(of_host);
    }
    assert_eq!(used.len(), addresses.len(), "all addresses are used");
}

// covers: B1.4787-3, B1.5382-7, B1.6888-13
#[test]
fn no_external_port_is_anybody_elses() {
    let mut config = config();
    config.pools[0].ports = 2_000..=2_099;
    let mut world = World::new(&config);
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut used = BTreeSet::new();
        for n in 0..100u8 {
            let internal = Endpoint::new([100, 64, 1, n].into(), 2_000);
            let packet = if protocol == Protocol::Udp { udp(internal, S) } else { tcp(internal, S).syn() };
            used.insert(world.inside(packet).out().port);
        }
        // Every port of the pool, each once.
        assert_eq!(used, BTreeSet::from_iter(2_000..=2_099), "{protocol}");
    }
    world.refuses(Inside, udp(A, S), Reason::PortsExhausted);
    world.refuses(Inside, tcp(A, S).syn(), Reason::PortsExhausted);
}

// covers: B1.4787-3a, N16
#[test]
fn ports_are_preserved_where_free_and_stay_in_their_range() {
    let mut world = World::new(&config_with(&["192.0.2.1"], 1..=65_535));
    for n in [1, 80, 1_023, 1_024, 40_000, 65_535] {
        assert_eq!(world.inside(udp(port(A, n), S)).out().port, n);
        let second = world.inside(udp(port(B, n), S)).out().port;
        assert_ne!(second, n);
        assert_eq!(second < 1_024, n < 1_024, "{n} became {second}");
    }
    // All well-known ports are taken: one of the others is better than none.
    for n in 1..1_024 {
        world.inside(udp(port("100.64.9.9:1", n), S)).out();
    }
    assert!(world.inside(udp("100.64.9.10:80", S)).out().port >= 1_024);
}

// covers: N16
#[test]
fn ports_are_not_preserved_where_that_is_not_wanted() {
    let mut world = World::with(|config| config.ports.preserve = false);
    let same = (0..50).filter(|&n| world.inside(udp(port(A, 3_000 + n), S)).out().port == 3_000 + n);
    assert!(same.count() < 5);
}

// covers: B1.4787-4, N15
#[test]
fn parity_comes_with_preservation() {
    let mut world = World::default();
    for n in [3_000, 3_001] {
        assert_eq!(world.inside(udp(port(A, n), S)).out().port % 2, n % 2);
    }
}

/// The ports that 200 endpoints are given, in their order.
fn drawn(algorithm: Algorithm, seed: u8, rekey: bool) -> Vec<u16> {
    let mut config = config();
    config.ports.preserve = false;
    config.ports.algorithm = algorithm;
    let mut world = World::seeded(&config, [seed; 32]);
    (0..200)
        .map(|n| {
            if rekey && n == 100 {
                world.engine.rekey([99; 32]);
            }
            world.inside(udp(port(A, 3_000 + n), S)).out().port
        })
        .collect()
}

// covers: N16, B1.6888-15, B1.4787-11
#[test]
fn every_selection_algorithm_follows_its_seed_and_nothing_else() {
    for number in 1..=5 {
        let algorithm = Algorithm::from_number(number).expect("there are five");
        let ports = drawn(algorithm, 1, false);
        assert_eq!(BTreeSet::from_iter(&ports).len(), 200, "algorithm {number}");
        assert!(ports.iter().all(|&port| port >= 1_024));
        assert_eq!(ports, drawn(algorithm, 1, false), "algorithm {number}");
        assert_ne!(ports, drawn(algorithm, 2, false), "algorithm {number}");
        let rekeyed = drawn(algorithm, 1, true);
        assert_eq!(rekeyed[..100], ports[..100]);
        assert_ne!(rekeyed[100..], ports[100..], "algorithm {number}");
        let sorted = ports.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
        assert!(sorted < 20, "algorithm {number} counts upwards");
    }
}

// covers: N16
#[test]
fn new_keys_leave_mappings_alone() {
    let mut world = World::with(|config| config.ports.preserve = false);
    let before = world.inside(udp(A, S)).out();
    world.engine.rekey([42; 32]);
    assert_eq!(world.inside(udp(A, T)).out(), before);
    world.outside(udp(T, before)).expect_in(udp(T, A));
}

/// A mixed day at the gateway, and everything that can be seen of it.
fn day(seed: u8) -> (Vec<Vec<u8>>, Vec<nat::Event>) {
    let mut config = config();
    config.ports.preserve = false;
    let mut world = World::seeded(&config, [seed; 32]);
    let mut seen = Vec::new();
    for n in 0..300u16 {
        let host = Endpoint::new([100, 64, 0, (n % 7) as u8].into(), 2_000 + n % 31);
        let remote = Endpoint::new([203, 0, 113, (n % 5) as u8].into(), 1 + n % 3);
        for packet in [udp(host, remote), tcp(host, remote).syn(), ping(host, remote)] {
            let outcome = world.inside(packet);
            let external = outcome.out();
            seen.push(outcome.after);
            seen.push(world.outside(udp(remote, external)).after);
        }
        world.wait(Duration::from_millis(1_700));
    }
    (seen, world.events())
}

// covers: B1.4787-11
#[test]
fn the_same_seed_and_input_give_the_same_output() {
    assert_eq!(day(3), day(3));
    assert_ne!(day(3), day(4));
}

// covers: B6
#[test]
fn a_udp_checksum_of_zero_stays_zero() {
    let mut world = World::default();
    world.inside(udp(A, S).no_checksum()).expect_out(udp(XA, S).no_checksum());
    world.outside(udp(S, XA).no_checksum()).expect_in(udp(S, A).no_checksum());
}

// covers: B6
#[test]
fn checksums_are_right_for_every_payload() {
    // All values of one word: among them those for which the sum comes out as a zero.
    let mut world = World::default();
    for n in 0..=u16::MAX {
        let word = n.to_be_bytes();
        let outcome = world.inside(udp(A, S).payload(&word));
        assert_eq!(outcome.after, udp(XA, S).payload(&word).one_hop_less().octets());
    }
}

// covers: B7
#[test]
fn every_time_to_live_loses_one() {
    let mut world = World::default();
    world.establish(A, S);
    for ttl in 2..=255 {
        world.inside(tcp(A, S).ttl(ttl)).expect_out(tcp(XA, S).ttl(ttl));
        world.outside(tcp(S, XA).ttl(ttl).tos(ttl)).expect_in(tcp(S, A).ttl(ttl).tos(ttl));
    }
    for ttl in [0, 1] {
        let packet = tcp(A, S).ttl(ttl);
        let (sent, _) = world.refuses(Inside, &packet, Reason::TtlExpired);
        let error = icmp_error(addr("192.0.0.8"), addr("100.64.0.1"), 11, 0, &packet.octets());
        assert_eq!(sent[0].data, error.id(0).df().octets());
        assert_eq!(sent[0].to, Inside);
        let (sent, _) = world.refuses(Outside, tcp(S, XA).ttl(ttl), Reason::TtlExpired);
        let error = icmp_error(addr("192.0.0.8"), addr("203.0.113.80"), 11, 0, &tcp(S, XA).ttl(ttl).octets());
        assert_eq!(sent[0].data, error.id(0).df().octets());
        assert_eq!(sent[0].to, Outside);
    }
}

// covers: B7
#[test]
fn options_of_both_headers_pass_untouched() {
    let mut world = World::default();
    let stamps = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    let packet = |from: &str, to: &str| tcp(from, to).syn().tcp_options(&stamps).ip_options(&[148, 4, 0, 0]);
    world.inside(packet(A, S)).expect_out(packet(XA, S));
}

/// A SYN with an MSS option behind so many octets of padding.
fn syn_with_mss(from: impl End, to: impl End, padding: usize, mss: u16) -> Pkt {
    let mut options = vec![1; padding];
    options.extend([2, 4]);
    options.extend(mss.to_be_bytes());
    options.resize(options.len().next_multiple_of(4), 0);
    tcp(from, to).syn().tcp_options(&options)
}

// covers: B7
#[test]
fn the_mss_of_a_syn_is_clamped_wherever_it_stands() {
    let mut world = World::with(|config| config.mss_clamp = Some(1_400));
    for padding in 0..8 {
        for (mss, clamped) in [(1_460, 1_400), (1_401, 1_400), (1_400, 1_400), (536, 536), (0xffff, 1_400)] {
            let syn = |from, to, mss| syn_with_mss(from, to, padding, mss);
            world.inside(syn(A, S, mss)).expect_out(syn(XA, S, clamped));
            let back = syn(S, XA, mss).flags(Flags::SYN | Flags::ACK);
            world.outside(back).expect_in(syn(S, A, clamped).flags(Flags::SYN | Flags::ACK));
            let offload = Offload { checksum: Checksum::Partial, gso_size: 0 };
            let partial = syn(A, S, mss).offload(offload);
            world.inside(partial).expect_out(syn(XA, S, clamped).offload(offload));
        }
    }
    let data = [2, 4, 0xff, 0xff];
    world.inside(tcp(A, S).tcp_options(&data)).expect_out(tcp(XA, S).tcp_options(&data));
    world.inside(tcp(A, S).syn()).expect_out(tcp(XA, S).syn());
}

// covers: B7
#[test]
fn a_super_segment_is_translated_whole() {
    let mut world = World::default();
    world.establish(A, S);
    let offload = Offload { checksum: Checksum::Partial, gso_size: 1_448 };
    let outcome = world.inside(tcp(A, S).len(60_000).df().offload(offload));
    outcome.expect_out(tcp(XA, S).len(60_000).df().offload(offload));
    assert_eq!(outcome.offload, offload);
    world
        .outside(tcp(S, XA).len(60_000).df().offload(offload))
        .expect_in(tcp(S, A).len(60_000).df().offload(offload));
    let datagrams = Offload { gso_size: 1_400, ..offload };
    world
        .inside(udp(A, S).len(14_000).offload(datagrams))
        .expect_out(udp(XA, S).len(14_000).offload(datagrams));
    // It is its segments that must fit.
    let large = Offload { gso_size: 1_461, ..offload };
    let packet = tcp(A, S).len(60_000).df().offload(large);
    let (sent, _) = world.refuses(Inside, &packet, Reason::TooBig);
    assert_eq!(sent[0].data[20..28], [3, 4, sent[0].data[22], sent[0].data[23], 0, 0, 5, 220]);
    // Without DF they are made smaller, and the packet stays whole.
    let outcome = world.inside(tcp(A, S).len(60_000).offload(large));
    outcome.expect_out(tcp(XA, S).len(60_000).offload(large));
    assert_eq!(outcome.offload.gso_size, 1_460);
}

// covers: B7
#[test]
fn verified_packets_are_not_verified_again_but_kept_right() {
    let mut world = World::default();
    let offload = Offload { checksum: Checksum::Verified, gso_size: 0 };
    world.inside(udp(A, S).offload(offload)).expect_out(udp(XA, S).offload(offload));
    world.inside(udp(A, S).offload(partial())).expect_out(udp(XA, S).offload(partial()));
    world.outside(udp(S, XA).offload(partial())).expect_in(udp(S, A).offload(partial()));
}

// covers: B7, B1.4787-13
#[test]
fn too_big_and_not_to_be_fragmented_is_told_to_the_sender() {
    let mut world = World::with(|config| {
        config.mtu.outside = 1_400;
        config.mtu.inside = 1_300;
    });
    world.inside(udp(A, S).len(1_372).df()).expect_out(udp(XA, S).len(1_372).df());
    let packet = udp(A, S).len(1_373).df();
    let (sent, _) = world.refuses(Inside, &packet, Reason::TooBig);
    let quoted = &packet.octets()[..548];
    let error = icmp(addr("192.0.0.8"), addr("100.64.0.1"), 3, 4, [0, 0, 5, 120], quoted);
    assert_eq!(sent[0].data, error.id(0).df().octets());
    let packet = udp(S, XA).len(1_273).df();
    let (sent, _) = world.refuses(Outside, &packet, Reason::TooBig);
    let quoted = &packet.octets()[..548];
    let error = icmp(addr("192.0.0.8"), addr("203.0.113.80"), 3, 4, [0, 0, 5, 20], quoted);
    assert_eq!(sent[0].data, error.id(0).df().octets());
    assert_eq!(sent[0].to, Outside);
}

// covers: B7, B1.4787-13a
#[test]
fn too_big_otherwise_is_cut_into_fragments_in_order() {
    for (mtu, len) in [(576, 1_400), (1_400, 1_373), (1_007, 3_000), (577, 20_000)] {
        let mut world = World::with(|config| config.mtu.outside = mtu);
        let options = [148, 4, 0, 0];
        let outcome = world.inside(udp(A, S).len(len).ip_options(&options));
        outcome.expect_held();
        let offset = |sent: &Sent| u16::from_be_bytes([sent.data[6], sent.data[7]]) & 0x1fff;
        assert!(outcome.sent.is_sorted_by_key(offset));
        assert!(outcome.sent.iter().all(|sent| sent.data.len() <= usize::from(mtu) && sent.to == Outside));
        let pieces: Vec<_> = outcome.sent.into_iter().map(|sent| sent.data).collect();
        let whole = udp(XA, S).len(len).ip_options(&options).one_hop_less().octets();
        assert_eq!(reassemble(&pieces), Some(whole), "MTU {mtu}, {len} octets");
        assert_eq!(world.engine.counters().forwarded, [1, 0]);
    }
}

// covers: B7, B3
#[test]
fn a_partial_checksum_is_completed_before_its_packet_is_cut() {
    let mut world = World::default();
    world.establish(A, S);
    let offload = partial();
    for (sent, seen) in [(udp(A, S), udp(XA, S)), (tcp(A, S), tcp(XA, S))] {
        for len in [1_481, 3_000, 3_001] {
            let outcome = world.inside(sent.clone().len(len).offload(offload));
            outcome.expect_held();
            let pieces: Vec<_> = outcome.sent.into_iter().map(|sent| sent.data).collect();
            assert_eq!(reassemble(&pieces), Some(seen.clone().len(len).one_hop_less().octets()));
        }
    }
}

// covers: B7, B3
#[test]
fn options_that_are_not_to_be_copied_stay_in_the_first_fragment() {
    let mut world = World::default();
    // No operation, a timestamp, which is not copied, and a router alert, which is.
    let options = [1, 68, 8, 5, 0, 0, 0, 0, 0, 148, 4, 0, 0, 0, 0, 0];
    let outcome = world.inside(udp(A, S).len(4_000).ip_options(&options));
    outcome.expect_held();
    let (first, later) = outcome.sent.split_first().expect("fragments");
    assert_eq!(first.data[20..36], options);
    for later in later {
        assert_eq!(later.data[0], 0x46);
        assert_eq!(later.data[20..24], [148, 4, 0, 0]);
        assert_sound(&later.data);
    }
    let pieces: Vec<_> = outcome.sent.into_iter().map(|sent| sent.data).collect();
    let whole = udp(XA, S).len(4_000).ip_options(&options).one_hop_less().octets();
    assert_eq!(reassemble(&pieces), Some(whole));
}

// covers: B10
#[test]
fn packets_of_a_batch_see_what_the_ones_before_them_did() {
    let mut world = World::default();
    let mut octets =
        [udp(A, S).octets(), udp(S, XA).octets(), tcp(A, S).syn().octets(), tcp(S, XA).syn_ack().octets()];
    let realms = [Inside, Outside, Inside, Outside];
    let mut packets: Vec<_> = octets
        .iter_mut()
        .zip(realms)
        .map(|(data, from)| nat::Packet { data, from, offload: Offload::default() })
        .collect();
    let mut verdicts = [Verdict::Held; 4];
    world.engine.handle_batch(&mut packets, &mut verdicts, world.now);
    assert_eq!(verdicts, realms.map(|from| Verdict::Forward(from.other())));
    let expected = [udp(XA, S), udp(S, A), tcp(XA, S).syn(), tcp(S, A).syn_ack()];
    assert_eq!(octets, expected.map(|packet| packet.one_hop_less().octets()));
}

// covers: B10
#[test]
fn what_is_beyond_a_batch_is_not_looked_at() {
    let mut world = World::default();
    world.inside(udp(A, S)).expect_out(udp(XA, S));
    let mut octets = vec![udp(A, S).octets(); nat::BATCH + 6];
    let mut packets: Vec<_> = octets
        .iter_mut()
        .map(|data| nat::Packet { data, from: Inside, offload: Offload::default() })
        .collect();
    let mut verdicts = vec![Verdict::Held; nat::BATCH + 6];
    world.engine.handle_batch(&mut packets, &mut verdicts, world.now);
    let translated = udp(XA, S).one_hop_less().octets();
    for (n, (octets, verdict)) in octets.iter().zip(&verdicts).enumerate() {
        let looked_at = n < nat::BATCH;
        assert_eq!(*verdict == Verdict::Forward(Outside), looked_at);
        assert_eq!(*octets == translated, looked_at);
    }
    // Nor is what has no place for its verdict.
    let mut short = [udp(A, S).octets(), udp(A, S).octets()];
    let [one, two] = &mut short;
    let mut packets = [one, two].map(|data| nat::Packet { data, from: Inside, offload: Offload::default() });
    world.engine.handle_batch(&mut packets, &mut verdicts[..1], world.now);
    assert_eq!(short, [translated, udp(A, S).octets()]);
}

// covers: B1.6888-3, B1.4787-2
#[test]
fn pools_may_have_gaps_and_ports_of_their_own() {
    let range = |first, last| addr(first)..=addr(last);
    let mut config = config();
    config.pools = vec![
        nat::config::Pool::new(
            vec![range("192.0.2.1", "192.0.2.2"), range("192.0.2.9", "192.0.2.9")],
            2_000..=2_999,
        ),
        nat::config::Pool::new(vec![range("198.18.0.5", "198.18.0.5")], 5_000..=5_999),
    ];
    let mut world = World::new(&config);
    let mut used = BTreeSet::new();
    for n in 0..200u8 {
        let external = world.inside(udp(Endpoint::new([100, 64, 2, n].into(), 700), S)).out();
        let ports = if external.address == addr("198.18.0.5") { 5_000..=5_999 } else { 2_000..=2_999 };
        assert!(ports.contains(&external.port), "{external}");
        world.outside(udp(S, external)).expect_in(udp(S, Endpoint::new([100, 64, 2, n].into(), 700)));
        used.insert(external.address);
    }
    let all = ["192.0.2.1", "192.0.2.2", "192.0.2.9", "198.18.0.5"].map(addr);
    assert_eq!(used, BTreeSet::from(all));
    for gap in ["192.0.2.0", "192.0.2.3", "192.0.2.8", "192.0.2.10", "198.18.0.4", "198.18.0.6"] {
        world.refuses(Outside, udp(S, Endpoint::new(addr(gap), 2_000)), Reason::NotExternal);
    }
}
