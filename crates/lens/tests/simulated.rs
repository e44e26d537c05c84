//! Flows of the simulator: every war is found and called by its name, and no other flow is called a war.
//!
//! `HAIRPIN_LENS_FLOWS` says how many ordinary flows are looked at.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use hairpin_lens::war::Scenario;
use hairpin_lens::{FlowReport, Lens, Limits};
use rules::acceptability::Edge;
use sim::scenario::shipped::{Promise, SHIPPED};
use sim::{Behaviour, Hairpin, Host, Link, Log, Network, NodeId, war};

/// What an observer at the senders saw.
fn look(log: &Log) -> Vec<FlowReport> {
    let mut lens = Lens::new(Limits::default(), [7, 9]);
    for (frame, (_, packet)) in (1..).zip(log.begun()) {
        lens.see(frame, packet.sent, &packet.octets);
    }
    lens.finish();
    std::iter::from_fn(|| lens.poll_report()).collect()
}

fn scenario_of(name: &str) -> Option<Scenario> {
    Some(match name.split('-').next()? {
        "open" => Scenario::SynAck,
        "self" => Scenario::SelfConnect,
        "close" => Scenario::Fin,
        "probes" => Scenario::Ack,
        _ => return None,
    })
}

// covers: L3
#[test]
fn the_wars_of_the_draft_are_found_and_the_cured_are_not() {
    let (mut wars, mut peaces) = (0, 0);
    for shipped in SHIPPED {
        for seed in 1..=20 {
            let Some((log, _)) = shipped.play(&shipped.settings(seed)).drawing else { continue };
            let found: Vec<_> = look(&log).into_iter().flat_map(|report| report.wars).collect();
            if shipped.promise == Promise::War {
                assert_eq!(found.len(), 1, "{} {seed}: {found:?}", shipped.name);
                assert_eq!(Some(found[0].scenario), scenario_of(shipped.name), "{}", shipped.name);
                assert!(found[0].unfinished && found[0].rate() > 1.0, "{:?}", found[0]);
                wars += 1;
            } else {
                assert_eq!(found, [], "{} {seed}", shipped.name);
                peaces += 1;
            }
        }
    }
    assert!(wars >= 80 && peaces >= 80, "{wars} {peaces}");
}

const ENDS: [SocketAddrV4; 2] = [
    SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 1_000),
    SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 2), 2_000),
];

/// A small pseudo-random number of `seed`.
fn draw(seed: u64, of: u64, below: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(of.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    x ^= x >> 31;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ x >> 29) % below
}

/// An ordinary connection over a bad network: text both ways, a slow reader, both ends close.
fn ordinary(seed: u64) -> Log {
    let mut network: Network<dyn Host> = Network::new(seed);
    for (n, end) in ENDS.iter().enumerate() {
        let edge = if draw(seed, 1 + n as u64, 2) == 0 { Edge::Rfc793 } else { Edge::Seqval };
        let behaviour = Behaviour { edge, ..Behaviour::default() };
        let buffer = [None, Some(1_024), Some(4_096)][draw(seed, 3 + n as u64, 3) as usize];
        let host = Hairpin::new(*end.ip(), seed + n as u64, behaviour, buffer);
        network.attach(if n == 0 { "A" } else { "B" }, Box::new(host), &[*end.ip()]);
    }
    let link = Link {
        delay: Duration::from_millis(1 + draw(seed, 5, 80)),
        jitter: Duration::from_millis(draw(seed, 6, 20)),
        loss: [0, 10_000, 100_000][draw(seed, 7, 3) as usize],
        duplicate: [0, 30_000][draw(seed, 8, 2) as usize],
        ..Link::default()
    };
    let (a, b) = (NodeId(0), NodeId(1));
    network.link_both(a, b, &link);
    network.act(b, |host, now| host.listen(ENDS[1], now));
    network.act(a, |host, now| host.open(ENDS[0], ENDS[1], now));
    for round in 0..6 {
        network.run_for(Duration::from_millis(300));
        for (n, node) in [a, b].into_iter().enumerate() {
            let text = vec![b'x'; draw(seed, 20 + round * 2 + n as u64, 6_000) as usize];
            network.act(node, |host, now| host.write(&text, now));
            if draw(seed, 40 + round * 2 + n as u64, 3) > 0 {
                network.act(node, |host, now| host.read(now));
            }
        }
    }
    for node in [a, b] {
        network.act(node, |host, now| host.close(now));
    }
    for _ in 0..5 {
        network.run_for(Duration::from_secs(2));
        for node in [a, b] {
            network.act(node, |host, now| host.read(now));
        }
    }
    network.into_log()
}

// covers: L3
#[test]
fn no_war_is_invented_and_none_is_missed_in_ordinary_flows() {
    let flows = std::env::var("HAIRPIN_LENS_FLOWS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let (mut wars, mut segments) = (0, 0);
    for seed in 1..=flows {
        let log = ordinary(seed);
        let counted = war::count(&log);
        let found: Vec<_> = look(&log).into_iter().flat_map(|report| report.wars).collect();
        // The simulator knows what answers what and measures one chain; an observer sees two that go on at
        // the same time as one exchange of twice as many segments.
        assert!(!counted.is_war() || !found.is_empty(), "seed {seed}: {counted:?}");
        assert!(found.is_empty() || 2 * counted.longest >= war::WAR, "seed {seed}: {counted:?} {found:?}");
        wars += usize::from(counted.is_war());
        segments += counted.segments;
    }
    println!("{flows} flows, {segments} segments, {wars} wars");
    assert!(segments as u64 > 20 * flows, "the flows carry something: {segments}");
}
