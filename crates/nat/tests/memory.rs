//! `Config::memory_bound` against what a full engine takes of the process's memory. A program of its
//! own with one test, so that nothing else grows beside it.

extern crate hairpin_nat as nat;

mod common;

use common::*;
use nat::{Config, Offload, Packet, Realm, Reason, Verdict};

/// Resident memory of this process, in octets.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Everything that can be full at once; the larger share of it are tables, or fragments.
fn full(datagrams: u32) -> Config {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"], 1..=65_535);
    config.limits.sessions = 400_000;
    config.limits.mappings = 200_000;
    config.limits.subscribers = 20_000;
    config.ports.hold_max = 100_000;
    config.fragments.datagrams = datagrams;
    config.fragments.waiting_per_source = 65_535;
    config.fragments.waiting_octets = 1 << 20;
    config
}

fn send(world: &mut World, from: Realm, mut data: Vec<u8>) -> Verdict {
    let mut verdicts = [Verdict::Held];
    let mut packets = [Packet { data: &mut data, from, offload: Offload::default() }];
    world.engine.handle_batch(&mut packets, &mut verdicts, world.now);
    while world.engine.poll_event().is_some() {}
    verdicts[0]
}

/// Sessions until no more are possible, from as many subscribers as may be.
fn fill_tables(world: &mut World, config: &Config) {
    let per_subscriber = config.limits.mappings / config.limits.subscribers;
    for n in 0..config.limits.mappings {
        let host = 0x6440_0001 + n / per_subscriber;
        let internal = Endpoint::new(host.into(), 2_000 + (n % per_subscriber) as u16);
        for server in [S, T] {
            let verdict = send(world, Inside, udp(internal, server).octets());
            assert_eq!(verdict, Verdict::Forward(Outside), "{internal} to {server}");
        }
    }
    assert_eq!(world.sessions(), config.limits.sessions);
    send(world, Inside, udp("100.64.0.1:2000", "203.0.113.81:1").octets());
    assert_eq!(world.dropped(Reason::LimitSessions), 1);
}

/// The shortest fragments that may wait, each of a datagram of its own while there is room for that.
fn fill_fragments(world: &mut World, config: &Config) {
    let mut held = 0;
    for n in 0.. {
        let of_datagram = n / config.fragments.datagrams;
        let datagram = n % config.fragments.datagrams;
        // Strangers have half of the places; the inside may have all.
        let (from, source, destination) = match datagram % 2 {
            0 => (Outside, addr("203.0.113.80"), addr("192.0.2.1")),
            _ => (Inside, addr("100.64.0.1"), addr("203.0.113.80")),
        };
        let source = (source.to_bits() + (datagram >> 16)).into();
        // Every other piece is missing, so that none of them can be joined.
        let piece = raw(source, destination, 17, &[1; 8]).fragment(8 + 16 * of_datagram as u16, true);
        match send(world, from, piece.id(datagram as u16).octets()) {
            Verdict::Held => held += 1,
            Verdict::Drop(Reason::FragmentOctets | Reason::FragmentDatagrams) => break,
            other => assert_eq!(other, Verdict::Held, "fragment {n}"),
        }
    }
    let possible = (config.fragments.waiting_octets / 28).min(config.fragments.datagrams * 32);
    assert_eq!(held, possible);
}

/// Ports that rest, as many as may.
fn fill_hold(world: &mut World) {
    world.wait_secs(301);
    for _ in 0..200 {
        world.engine.handle_timeout(world.now);
        while world.engine.poll_event().is_some() {}
    }
    assert_eq!(world.sessions(), 0);
}

// covers: B10
#[test]
fn a_full_engine_takes_no_more_than_was_said() {
    let Some(_) = resident() else {
        assert!(std::env::var_os("CI").is_none(), "/proc/self/status has no VmRSS");
        println!("skipped: /proc/self/status has no VmRSS");
        return;
    };
    for datagrams in [500, 50_000] {
        let config = full(datagrams);
        let before = resident().expect("it was there");
        let mut world = World::new(&config);
        let new = resident().expect("it was there").saturating_sub(before);
        fill_tables(&mut world, &config);
        fill_fragments(&mut world, &config);
        let filled = resident().expect("it was there").saturating_sub(before);
        fill_hold(&mut world);
        let held = resident().expect("it was there").saturating_sub(before);
        let (taken, bound) = (filled.max(held), config.memory_bound());
        println!("{datagrams}: new {new}, full {filled}, then {held}, bound {bound}");
        assert!(taken <= bound, "{taken} octets taken, at most {bound} said");
        // And the bound is no mere huge number.
        assert!(taken >= bound / 3, "{taken} octets taken, {bound} said");
        assert!(new < bound / 4, "{new} octets taken before the first packet");
    }
}
