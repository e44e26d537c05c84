//! Basic NAT: whole addresses, every port and every protocol (B5, B6, N19).

extern crate hairpin_nat as nat;

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::*;
use nat::config::{Behaviour, PoolKind, Pooling, StaticMapping};
use nat::event::Limit;
use nat::{Config, Protocol, Reason};

/// What [`A`] is outside: the first of the pool, the port as it is.
const YA: &str = "192.0.2.1:4001";
/// What [`B`] is, when it comes second.
const YB: &str = "192.0.2.2:5001";

fn basic() -> Config {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 1024..=65_535);
    config.pools[0].kind = PoolKind::Basic;
    config
}

/// With A's address for ever.
fn fixed() -> Config {
    let mut config = basic();
    config.statics =
        vec![StaticMapping::Address { internal: addr("100.64.0.1"), external: addr("192.0.2.1") }];
    config
}

fn host(end: impl End) -> Ipv4Addr {
    end.end().address
}

/// A packet of a protocol without ports, with a checksum where one covers addresses.
fn other(protocol: u8, from: impl End, to: impl End) -> Vec<u8> {
    let (from, to) = (host(from), host(to));
    let mut payload = [7; 40];
    if matches!(protocol, 33 | 136) {
        payload[6..8].fill(0);
        let sum = wire::checksum::Sum::pseudo_header(from, to, protocol, 40)
            .plus(wire::checksum::Sum::of(&payload));
        payload[6..8].copy_from_slice(&sum.checksum().to_be_bytes());
    }
    raw(from, to, protocol, &payload).octets()
}

fn aged(mut packet: Vec<u8>) -> Vec<u8> {
    packet[8] -= 1;
    fix_ip(&mut packet);
    packet
}

// covers: B5
#[test]
fn each_subscriber_has_an_address_to_itself_and_keeps_every_port() {
    let mut world = World::new(&basic());
    world.inside(udp(A, S)).expect_out(udp(YA, S));
    for port_number in [1, 53, 1_023, 65_535] {
        let (internal, external) = (port(A, port_number), port(YA, port_number));
        world.inside(udp(internal, S)).expect_out(udp(external, S));
        world.inside(tcp(internal, S).syn()).expect_out(tcp(external, S).syn());
        world.inside(ping(internal, S)).expect_out(ping(external, S));
        world.outside(pong(S, external)).expect_in(pong(S, internal));
    }
    // The same port of another subscriber is the same port of another address.
    world.inside(udp("100.64.0.2:4001", S)).expect_out(udp("192.0.2.2:4001", S));
    assert_eq!(world.external(Protocol::Udp, A), YA.end());
}

// covers: B5, B1.6888-11a
#[test]
fn when_no_address_is_left_the_next_subscriber_is_refused_and_told() {
    let mut world = World::new(&basic());
    for n in 1..=3 {
        world.inside(udp(format!("100.64.0.{n}:9").as_str(), S)).out();
    }
    let (sent, events) = world.refuses(Inside, udp("100.64.0.4:9", S), Reason::PortsExhausted);
    assert_eq!(&sent[0].data[20..22], &[3, 1]);
    let limit =
        nat::event::EventKind::LimitHit { subscriber: addr("100.64.0.4"), limit: Limit::PortsExhausted };
    assert_eq!(events[0].kind, limit);
}

// covers: B5, B1.6888-8
#[test]
fn an_address_is_free_when_its_last_session_is_gone_and_has_rested() {
    let mut world = World::new(&basic());
    for n in 1..=3 {
        world.inside(udp(format!("100.64.0.{n}:9").as_str(), S)).out();
    }
    world.wait(Duration::from_millis(300_100));
    assert_eq!(world.sessions(), 0);
    world.wait_secs(120);
    world.refuses(Inside, udp("100.64.0.4:9", S), Reason::PortsExhausted);
    world.wait(TICK);
    let its = world.inside(udp("100.64.0.4:9", S)).out();
    for other in ["192.0.2.1:9", "192.0.2.2:9", "192.0.2.3:9"].map(|end| end.end()) {
        if other != its {
            world.refuses(Outside, udp(S, other), Reason::NoMapping);
        }
    }
}

// covers: B5
#[test]
fn what_comes_to_the_address_reaches_the_subscriber_whatever_the_port() {
    for config in [basic(), fixed()] {
        let dynamic = config.statics.is_empty();
        let mut world = World::new(&config);
        if dynamic {
            world.refuses(Outside, udp(S, YA), Reason::NoMapping);
            world.inside(ping(A, S)).expect_out(ping(YA, S));
        }
        world.outside(udp(S, "192.0.2.1:7")).expect_in(udp(S, "100.64.0.1:7"));
        world.inside(udp("100.64.0.1:7", S)).expect_out(udp("192.0.2.1:7", S));
        world.outside(tcp(T, "192.0.2.1:22").syn()).expect_in(tcp(T, "100.64.0.1:22").syn());
        world.outside(ping(T, "192.0.2.1:77")).expect_in(ping(T, "100.64.0.1:77"));
        world.refuses(Outside, tcp(T, "192.0.2.1:23"), Reason::NotSyn);
    }
}

// covers: B5, B1.4787-8, B1.5382-3
#[test]
fn filtering_applies_as_elsewhere() {
    let mut config = fixed();
    config.filtering.tcp = Behaviour::AddressDependent;
    config.filtering.tcp_ports = vec![22..=22];
    config.filtering.udp_ports = vec![53..=53];
    let mut world = World::new(&config);
    world.refuses(Outside, tcp(T, "192.0.2.1:23").syn(), Reason::NoMapping);
    world.outside(tcp(T, "192.0.2.1:22").syn()).expect_in(tcp(T, "100.64.0.1:22").syn());
    world.refuses(Outside, udp(T, "192.0.2.1:54"), Reason::NoMapping);
    world.outside(udp(T, "192.0.2.1:53")).expect_in(udp(T, "100.64.0.1:53"));
}

// covers: B5, B6
#[test]
fn a_fixed_address_stays_when_nothing_is_going_on() {
    let mut world = World::new(&fixed());
    world.inside(udp(B, S)).expect_out(udp(YB, S));
    world.wait_secs(100_000);
    assert_eq!(world.sessions(), 0);
    world.inside(udp("100.64.0.9:1", S)).out();
    world.inside(udp(A, S)).expect_out(udp(YA, S));
    world.wait_secs(100_000);
    world.outside(udp(S, YA)).expect_in(udp(S, A));
}

// covers: B6, B1.6888-1
#[test]
fn protocols_without_ports_pass_by_address_with_their_checksums_right() {
    let mut world = World::new(&basic());
    for protocol in [132, 33, 136, 47, 50, 41, 4, 89] {
        let out = world.inside(other(protocol, A, S));
        assert_eq!((out.verdict, out.after), (nat::Verdict::Forward(Outside), aged(other(protocol, YA, S))));
        let back = world.outside(other(protocol, S, YA));
        assert_eq!((back.verdict, back.after), (nat::Verdict::Forward(Inside), aged(other(protocol, S, A))));
    }
    assert_eq!(world.sessions(), 8);
    world.wait_secs(300);
    assert_eq!(world.sessions(), 8);
    world.wait(TICK);
    assert_eq!(world.sessions(), 0);
    world.refuses(Outside, other(47, S, YA), Reason::NoMapping);
}

// covers: B6, B3
#[test]
fn fragments_of_protocols_without_ports_follow_their_first() {
    let mut world = World::new(&basic());
    let whole = |from, to| raw(host(from), host(to), 132, &[9; 100]);
    let pieces = whole(A, S).fragments(40);
    world.inside(&pieces[1]).expect_held();
    let outcome = world.inside(&pieces[0]);
    assert_eq!(outcome.after, whole(YA, S).fragments(40)[0].clone().one_hop_less().octets());
    assert_eq!(outcome.sent[0].data, whole(YA, S).fragments(40)[1].clone().one_hop_less().octets());
    world.inside(&pieces[2]).expect_out(whole(YA, S).fragments(40)[2].clone());
}

// covers: B6, B4
#[test]
fn errors_about_protocols_without_ports_find_their_sender() {
    let mut world = World::new(&basic());
    let router = addr("198.51.100.99");
    for protocol in [132, 33, 136, 47] {
        world.inside(other(protocol, A, S)).out();
        let error = |to, quoted: Vec<u8>| icmp_error(router, to, 3, 2, &quoted);
        world
            .outside(error(host(YA), other(protocol, YA, S)))
            .expect_in(error(host(A), other(protocol, A, S)));
        let error = |from, quoted: Vec<u8>| icmp_error(from, host(S), 3, 2, &quoted);
        world
            .inside(error(host(A), other(protocol, S, A)))
            .expect_out(error(host(YA), other(protocol, S, YA)));
    }
    let unknown = icmp_error(router, host(YA), 3, 2, &other(50, YA, S));
    world.refuses(Outside, unknown, Reason::QuoteUnknown);
}

// covers: B6
#[test]
fn where_ports_are_translated_they_are_refused_by_name() {
    let mut config = basic();
    config.pools[0].subscribers = vec!["100.64.0.1/32".parse().expect("a prefix")];
    config
        .pools
        .push(nat::config::Pool::new(vec![addr("198.51.100.1")..=addr("198.51.100.1")], 1024..=65_535));
    let mut world = World::new(&config);
    world.inside(other(47, A, S)).out();
    world.refuses(Inside, other(47, B, S), Reason::Protocol);
    world.inside(udp(B, S)).expect_out(udp("198.51.100.1:5001", S));
    world.inside(udp(A, S)).expect_out(udp(YA, S));
    world.refuses(Outside, other(47, S, "198.51.100.1:0"), Reason::Protocol);
}

// covers: N19
#[test]
fn subscribers_meet_through_their_addresses_whatever_they_speak() {
    for config in [basic(), fixed()] {
        let mut world = World::new(&config);
        world.inside(ping(A, S)).expect_out(ping(YA, S));
        world.inside(udp(B, YA)).expect_in(udp(YB, A));
        world.inside(udp(A, YB)).expect_in(udp(YA, B));
        world.inside(tcp(B, "192.0.2.1:80").syn()).expect_in(tcp(YB, "100.64.0.1:80").syn());
        world.inside(tcp("100.64.0.1:80", YB).syn_ack()).expect_in(tcp("192.0.2.1:80", B).syn_ack());
        world.inside(ping(B, YA)).expect_in(ping(YB, port(A, 5001)));
        world.inside(pong(port(A, 5001), YB)).expect_in(pong(port(YA, 5001), B));
        let gre = world.inside(other(47, B, YA));
        assert_eq!((gre.verdict, gre.after), (nat::Verdict::Forward(Inside), aged(other(47, YB, A))));
        // An error about it comes back the same way.
        let error = icmp_error(host(A), host(YB), 3, 3, &udp(YB, A).octets());
        world.inside(error).expect_in(icmp_error(host(YA), host(B), 3, 3, &udp(B, YA).octets()));
        // Nobody loops: its own address, its own port.
        world.inside(udp(A, YA)).expect_in(udp(YA, A));
    }
}

// covers: N19
#[test]
fn an_address_that_nobody_has_is_no_ones_hairpin() {
    let mut world = World::new(&basic());
    world.inside(udp(A, S)).expect_out(udp(YA, S));
    world.refuses(Inside, udp(A, "192.0.2.3:9"), Reason::NoMapping);
    world.refuses(Inside, ping(A, "192.0.2.3:9"), Reason::NoMapping);
    world.refuses(Inside, other(47, A, "192.0.2.3:0"), Reason::NoMapping);
}

// covers: B5, B10
#[test]
fn a_fixed_subscriber_is_steered_to_the_shard_of_its_address() {
    let mut config = fixed();
    config.shard.count = 3;
    for last in 1..=3u8 {
        let internal = Ipv4Addr::new(100, 64, 7, last);
        let external = Ipv4Addr::new(192, 0, 2, last);
        config.statics = vec![StaticMapping::Address { internal, external }];
        let steering = nat::Steering::new(&config);
        let shard = steering.outside(external);
        assert_eq!(steering.inside(internal), shard);
        config.shard.index = shard;
        let mut world = World::new(&config);
        let (from, to) = (Endpoint::new(internal, 5), Endpoint::new(external, 5));
        world.inside(udp(from, S)).expect_out(udp(to, S));
    }
}

// covers: B5, B1.5508-5c
#[test]
fn an_error_from_somebody_with_an_address_of_its_own_comes_from_that() {
    let mut world = World::new(&basic());
    world.inside(udp(A, S)).expect_out(udp(YA, S));
    let came = world.outside(udp(S, YA)).after;
    let error = |from: &str| icmp_error(addr(from), addr("203.0.113.80"), 3, 1, &came);
    let source = |outcome: &Outcome| parse(&outcome.after).source;
    // B has none yet, and is hidden behind the address of whom the error is about.
    assert_eq!(source(&world.inside(error("100.64.0.2"))), addr("192.0.2.1"));
    world.inside(udp(B, S)).expect_out(udp(YB, S));
    assert_eq!(source(&world.inside(error("100.64.0.2"))), addr("192.0.2.2"));
    assert_eq!(source(&world.inside(error("100.64.0.1"))), addr("192.0.2.1"));
    assert_eq!(source(&world.inside(error("10.9.9.9"))), addr("192.0.2.1"), "a router");
}

// covers: B5, B8
#[test]
fn a_server_of_ftp_behind_a_whole_address_names_that_address() {
    let mut world = World::new(&fixed());
    let (server, outer) = ("100.64.0.1:21", "192.0.2.1:21");
    world.outside(tcp(T, outer).syn()).expect_in(tcp(T, server).syn());
    world.inside(tcp(server, T).syn_ack()).out();
    world.outside(tcp(T, outer)).inward();
    let said = tcp(server, T).payload(b"227 Go (100,64,0,1,19,137)\r\n");
    let held = world.inside(said);
    assert_eq!(held.verdict, nat::Verdict::Held, "it is a command of another length");
    let heard = tcp(outer, T).payload(b"227 Go (192,0,2,1,19,137)\r\n").one_hop_less();
    assert_eq!(held.sent[0].data, heard.octets());
}

// covers: B5, N11
#[test]
fn a_port_that_one_protocol_has_is_open_to_the_other_whatever_ports_the_pool_names() {
    let mut config = fixed();
    config.pools[0].ports = 2_000..=2_001;
    config.filtering.udp = Behaviour::AddressDependent;
    config.filtering.tcp = Behaviour::AddressDependent;
    config.filtering.protocol_independent = true;
    let mut world = World::new(&config);
    world.inside(tcp(A, S).syn()).expect_out(tcp(YA, S).syn());
    world.outside(udp(S, YA)).expect_in(udp(S, A));
    world.refuses(Outside, udp(T, "192.0.2.1:77"), Reason::NoMapping);
}

// covers: B6, B1.4787-6
#[test]
fn the_setting_for_inbound_udp_is_of_udp_alone() {
    for number in [47, 136] {
        let mut config = fixed();
        config.udp.inbound_refresh = false;
        config.other_timeout = Duration::from_secs(10);
        let mut world = World::new(&config);
        world.inside(other(number, A, S));
        world.wait_secs(9);
        world.outside(other(number, S, YA));
        world.wait_secs(9);
        assert_eq!(world.sessions(), 1, "protocol {number}");
    }
}

// covers: B5, O1
#[test]
fn whole_addresses_have_no_blocks_and_one_partner_each() {
    let problems = |change: fn(&mut Config)| {
        let mut config = fixed();
        change(&mut config);
        config.problems().into_iter().map(|problem| problem.error.setting).collect::<Vec<_>>()
    };
    assert!(problems(|_| {}).is_empty());
    assert_eq!(problems(|config| config.subscriber_prefix = 24), ["inside.subscriber_prefix"]);
    assert_eq!(
        problems(|config| config
            .statics
            .push(StaticMapping::Address { internal: addr("10.0.0.1"), external: addr("192.0.2.9") })),
        ["static[1].internal", "static[1].external"]
    );
    assert_eq!(
        problems(|config| config
            .statics
            .push(StaticMapping::Address { internal: addr("100.64.0.2"), external: addr("192.0.2.1") })),
        ["static[1]"]
    );
    for internal in ["100.64.0.1:80", "100.64.0.9:80"] {
        let mut config = fixed();
        config.pools.push(nat::config::Pool::new(vec![addr("198.51.100.1")..=addr("198.51.100.1")], 1..=9));
        config.pools[1].subscribers = vec!["100.65.0.0/24".parse().expect("a prefix")];
        let external = "198.51.100.1:80".end();
        config.statics.push(StaticMapping::Port {
            protocol: Protocol::Tcp,
            internal: internal.end(),
            external,
        });
        let problems: Vec<_> = config.problems().into_iter().map(|problem| problem.error.setting).collect();
        assert_eq!(problems, ["static[1].internal"], "{internal} has all its ports already");
    }
    let two = |config: &mut Config| {
        config
            .pools
            .push(nat::config::Pool::new(vec![addr("198.51.100.1")..=addr("198.51.100.1")], 1024..=65_535));
    };
    assert_eq!(problems(two), ["pool[0].subscribers"]);
}

/// A's addresses are whole; everybody else has one address and these ports.
fn beside(ports: std::ops::RangeInclusive<u16>) -> Config {
    let mut config = basic();
    config.pools[0].subscribers = vec!["100.64.0.1/32".parse().expect("a prefix")];
    config.pools.push(nat::config::Pool::new(vec![addr("198.51.100.1")..=addr("198.51.100.1")], ports));
    config
}

// covers: B6, N9
#[test]
fn protocols_without_ports_ask_no_pool_for_one() {
    for pooling in [Pooling::Paired, Pooling::PairedSoft, Pooling::Arbitrary] {
        let mut config = beside(1_024..=65_535);
        config.pools.iter_mut().for_each(|pool| pool.pooling = pooling);
        let mut world = World::new(&config);
        world.inside(udp(A, S)).out();
        for protocol in [47, 50, 132] {
            for _ in 0..2 {
                let outcome = world.inside(other(protocol, A, S));
                assert_eq!(outcome.verdict, nat::Verdict::Forward(Outside), "{pooling:?} {protocol}");
            }
        }
        world.inside(udp(port(A, 9), S)).out();
        world.refuses(Inside, other(47, B, S), Reason::Protocol);
    }
}

// covers: N4, B5
#[test]
fn a_port_in_time_wait_is_taken_from_ones_own_pools_alone() {
    let mut config = beside(4_001..=4_001);
    config.tcp_checks.time_wait = nat::config::TimeWaitPolicy::Rfc6191;
    config.tcp_checks.monotonic_rewrite = true;
    config.pools.push(nat::config::Pool {
        subscribers: vec!["100.64.1.0/24".parse().expect("a prefix")],
        ..nat::config::Pool::new(vec![addr("198.51.100.2")..=addr("198.51.100.2")], 4_001..=4_001)
    });
    let mut world = World::new(&config);
    // Connections in TIME-WAIT at a whole address and at another pool's; and at everybody's, one that lives.
    for client in [A, "100.64.1.1:4001"] {
        world.establish(client, S);
        world.close(client, S);
    }
    world.inside(tcp(B, S).syn()).expect_out(tcp("198.51.100.1:4001", S).syn());
    world.refuses(Inside, tcp("100.64.0.9:4001", S).syn(), Reason::PortsExhausted);
    // Whose pool it is gets it.
    let syn = |from: Endpoint| tcp(from, T).syn().seq(7);
    world.inside(syn("100.64.1.2:4001".end())).expect_out(syn("198.51.100.2:4001".end()));
}

// covers: N8, B5
#[test]
fn no_whole_address_is_drawn_for_a_shared_port() {
    let mut config = beside(4_001..=4_001);
    config.mapping.behaviour = Behaviour::AddressDependent;
    config.mapping.port_overlap = true;
    let mut world = World::new(&config);
    for n in 2..30 {
        let (host, remote) = (format!("100.64.0.{n}:4001"), format!("203.0.113.{n}:80"));
        let external = world.inside(udp(host.as_str(), remote.as_str())).out();
        assert_eq!(external, "198.51.100.1:4001".end(), "{n}");
    }
    world.inside(udp(A, S)).expect_out(udp(YA, S));
}
