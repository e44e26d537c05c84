//! Pools by subscriber (B5), full addresses (N9), port blocks (N5), ports that follow from an address (B9), parity (N15).

extern crate hairpin_nat as nat;

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use nat::config::{Blocks, Pool, Pooling, SharedPorts};
use nat::deterministic::Deterministic;
use nat::event::{BlockId, EventKind, Limit};
use nat::{Config, Endpoint, Reason, Steering};

fn blocks(size: u16, max_per_subscriber: u16, shared: SharedPorts) -> Option<Blocks> {
    Some(Blocks { size, max_per_subscriber, shared, deterministic: false })
}

fn kinds(world: &mut World) -> Vec<EventKind> {
    let is_block =
        |kind: &EventKind| matches!(kind, EventKind::BlockAllocated(_) | EventKind::BlockReleased(_));
    world.events().into_iter().map(|event| event.kind).filter(is_block).collect()
}

// covers: B5, B1.6888-2
#[test]
fn a_subscriber_uses_the_pool_that_names_it_and_the_others_the_rest() {
    let mut config = config_with(&["192.0.2.1"], 1_024..=65_535);
    let other = Pool::new(vec![addr("192.0.2.2")..=addr("192.0.2.2")], 1_024..=65_535);
    config.pools.push(Pool { subscribers: vec!["100.64.0.2/32".parse().expect("a prefix")], ..other });
    let mut world = World::new(&config);
    for n in 0..20 {
        assert_eq!(world.inside(udp(port(A, 5_000 + n), S)).out().address, addr("192.0.2.1"));
        assert_eq!(world.inside(udp(port(B, 5_000 + n), S)).out().address, addr("192.0.2.2"));
    }
}

// covers: B5, B10
#[test]
fn a_prefix_is_one_subscriber() {
    let mut world = World::with(|config| {
        config.subscriber_prefix = 29;
        config.limits.ports_per_subscriber = 2;
    });
    world.inside(udp("100.64.0.1:1", S)).out();
    world.inside(udp("100.64.0.7:1", S)).out();
    world.refuses(Inside, udp("100.64.0.2:1", S), Reason::LimitPorts);
    world.inside(udp("100.64.0.8:1", S)).out();
}

// covers: B5, B10, N19
#[test]
fn hosts_of_one_subscriber_who_meet_outside_count_twice() {
    for (most, refused) in [(2, true), (3, false)] {
        let mut world = World::with(|config| {
            config.subscriber_prefix = 29;
            config.limits.sessions_per_subscriber = most;
        });
        world.inside(udp(A, S)).out();
        if refused {
            world.refuses(Inside, udp(B, XA), Reason::LimitSubscriberSessions);
        } else {
            world.inside(udp(B, XA)).inward();
        }
    }
}

// covers: B5, B10
#[test]
fn every_worker_has_some_of_each_pool() {
    let range = |first: &str, last: &str| vec![addr(first)..=addr(last)];
    let named = |first: &str, last: &str| Pool {
        subscribers: vec!["100.64.0.0/24".parse().expect("a prefix")],
        ..Pool::new(range(first, last), 1_024..=65_535)
    };
    let all = |first: &str, last: &str| Pool::new(range(first, last), 1_024..=65_535);
    let inside = vec!["100.64.0.0/10".parse().expect("a prefix")];
    let wrong = |pools: &[Pool], workers: u16| {
        let mut config = Config::new(inside.clone(), pools.to_vec());
        config.shard.count = workers;
        config.validate().err().map(|error| error.setting)
    };
    let few = [all("192.0.2.1", "192.0.2.4"), named("198.51.100.1", "198.51.100.2")];
    assert_eq!(wrong(&few, 2), None);
    assert_eq!(wrong(&few, 3).as_deref(), Some("live.workers"));
    // The addresses of everybody's pools come to the same worker: it is their places that count.
    let apart =
        [all("192.0.2.1", "192.0.2.1"), named("198.51.100.1", "198.51.100.3"), all("192.0.2.9", "192.0.2.9")];
    assert_eq!(wrong(&apart, 2).as_deref(), Some("live.workers"));
    assert_eq!(wrong(&[apart[0].clone(), apart[2].clone(), apart[1].clone()], 2), None);
    // Where the address follows from the subscriber's, so does the worker.
    let mut computed = deterministic();
    computed.pools[0].addresses = range("192.0.2.1", "192.0.2.2");
    computed.pools.push(all("192.0.2.8", "192.0.2.16"));
    computed.shard.count = 3;
    assert_eq!(computed.validate(), Ok(()));
}

// covers: B5, B9
#[test]
fn every_host_of_a_subscriber_is_steered_to_one_shard() {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 1_024..=65_535);
    (config.subscriber_prefix, config.shard.count) = (29, 3);
    for external in ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"] {
        config.statics = vec![nat::config::StaticMapping::Port {
            protocol: nat::Protocol::Tcp,
            internal: "100.64.0.3:80".end(),
            external: external.end(),
        }];
        let steering = Steering::new(&config);
        for n in 0..8 {
            let host = addr(&format!("100.64.0.{n}"));
            assert_eq!(steering.inside(host), steering.outside(external.end().address), "{host}");
        }
    }
}

// covers: N9, B1.4787-2
#[test]
fn a_full_address_refuses_or_makes_room_elsewhere_as_it_is_told_to() {
    for pooling in [Pooling::Paired, Pooling::PairedSoft, Pooling::Arbitrary] {
        let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 4_000..=4_003);
        config.pools[0].pooling = pooling;
        let mut world = World::new(&config);
        let mut used = BTreeSet::new();
        for n in 0..4 {
            used.insert(world.inside(udp(port(A, 100 + n), S)).out().address);
        }
        if pooling == Pooling::Arbitrary {
            for n in 4..8 {
                used.insert(world.inside(udp(port(A, 100 + n), S)).out().address);
            }
            assert_eq!(used.len(), 2);
            continue;
        }
        assert_eq!(used.len(), 1, "{pooling:?}");
        if pooling == Pooling::Paired {
            world.refuses(Inside, udp(port(A, 104), S), Reason::PortsExhausted);
            continue;
        }
        let moved = world.inside(udp(port(A, 104), S)).out().address;
        assert!(!used.contains(&moved));
        assert_eq!(world.inside(udp(port(A, 105), S)).out().address, moved, "from then on");
        assert_eq!(world.inside(tcp(port(A, 105), S).syn()).out().address, moved, "whatever the protocol");
    }
}

// covers: N5, B1.6888-14, B1.6888-13
#[test]
fn blocks_are_given_one_at_a_time_and_told_once() {
    let mut config = config_with(&["192.0.2.1"], 4_000..=4_031);
    config.pools[0].blocks = blocks(8, 2, SharedPorts::None);
    let mut world = World::new(&config);
    let mut of_a = BTreeSet::new();
    for n in 0..16 {
        assert!(of_a.insert(world.inside(udp(port(A, 100 + n), S)).out().port));
    }
    let given = kinds(&mut world);
    let ids: Vec<BlockId> = given
        .iter()
        .filter_map(|kind| if let EventKind::BlockAllocated(id) = kind { Some(*id) } else { None })
        .collect();
    assert_eq!((given.len(), ids.len()), (2, 2), "sixteen ports, two lines in a log");
    let inside: BTreeSet<u16> = ids.iter().flat_map(|id| id.first..=id.last).collect();
    assert_eq!(inside, of_a, "every port of a block is used, and no other");
    assert!(ids.iter().all(|id| id.subscriber == A.end().address && (id.first - 4_000) % 8 == 0));
    // TCP shares them, and there is no third block.
    assert!(of_a.contains(&world.inside(tcp(port(A, 100), S).syn()).out().port));
    world.refuses(Inside, udp(port(A, 200), S), Reason::LimitBlocks);
    // Others have the others.
    assert!(!of_a.contains(&world.inside(udp(B, S)).out().port));
    // UDP's ports rest with their block, and it comes back with the last of them, to the tick.
    let _ = kinds(&mut world);
    world.wait(Duration::from_secs(300 + 120) + TICK);
    world.engine.handle_timeout(world.now);
    assert_eq!(kinds(&mut world).len(), 0);
    world.wait(TICK);
    world.engine.handle_timeout(world.now);
    let released = kinds(&mut world);
    assert_eq!(released.len(), 3, "both of A, and B's: {released:?}");
    assert!(ids.iter().all(|id| released.contains(&EventKind::BlockReleased(*id))));
}

// covers: N5, B1.6888-13
#[test]
fn a_block_comes_back_on_time_however_late_somebody_looks() {
    for late in [Duration::ZERO, TICK, Duration::from_secs(50), Duration::from_secs(5_000)] {
        let mut config = config_with(&["192.0.2.1"], 4_000..=4_031);
        config.pools[0].blocks = blocks(8, 1, SharedPorts::None);
        config.ports.hold = Duration::from_secs(20);
        let mut world = World::new(&config);
        let _ = world.inside(udp(A, S)).out();
        // A session that outlives the block of another.
        let _ = world.inside(tcp(B, S).syn()).out();
        let rested = world.now + Duration::from_secs(320) + TICK * 2;
        world.wait(Duration::from_secs(300) + TICK);
        world.engine.handle_timeout(world.now);
        let _ = world.events();
        assert!(world.engine.poll_timeout().is_some_and(|at| at <= rested), "it wants to be woken for it");
        world.now = rested + late;
        world.engine.handle_timeout(world.now);
        let events = world.events();
        let is_it = |event: &&nat::Event| matches!(event.kind, EventKind::BlockReleased(id) if id.subscriber == addr("100.64.0.1"));
        let told: Vec<_> = events.iter().filter(is_it).map(|event| event.at).collect();
        assert_eq!(told, [rested], "{late:?} late: {events:?}");
        assert!(events.is_sorted_by_key(|event| event.at));
    }
}

// covers: N5
#[test]
fn the_shared_remainder_serves_who_has_no_block_left() {
    let mut config = config_with(&["192.0.2.1"], 4_000..=4_019);
    config.pools[0].blocks = blocks(8, 1, SharedPorts::Last(4));
    let mut world = World::new(&config);
    for n in 0..8 {
        assert!(world.inside(udp(port(A, 100 + n), S)).out().port < 4_016);
    }
    assert!(world.inside(udp(port(A, 108), S)).out().port >= 4_016);
    assert!(world.inside(udp(B, S)).out().port < 4_016);
    // A third subscriber finds no block, but the remainder; and then nothing.
    for n in 0..3 {
        assert!(world.inside(udp(port("100.64.0.3:0", 100 + n), S)).out().port >= 4_016);
    }
    world.refuses(Inside, udp("100.64.0.3:900", S), Reason::PortsExhausted);
}

// covers: N5, B10
#[test]
fn a_subscriber_whose_blocks_rest_has_no_more_of_them_elsewhere() {
    for last in 1..9 {
        let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 4_000..=4_015);
        config.pools[0].blocks = blocks(4, 1, SharedPorts::None);
        let mut world = World::new(&config);
        let host = format!("100.64.0.{last}:0");
        world.inside(udp(port(host.as_str(), 100), S)).out();
        for n in 1..4 {
            world.inside(udp(port(host.as_str(), 100 + n), S)).out();
        }
        world.wait_secs(301);
        assert_eq!(world.sessions(), 0);
        world.refuses(Inside, udp(port(host.as_str(), 200), S), Reason::LimitBlocks);
        world.wait_secs(120);
        world.inside(udp(port(host.as_str(), 200), S)).out();
    }
}

// covers: N5, B10
#[test]
fn blocks_that_everybody_has_are_counted_out_and_in() {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 4_000..=4_009);
    config.pools[0].blocks = blocks(4, 1, SharedPorts::Last(1));
    config.ports.hold = Duration::ZERO;
    let mut world = World::new(&config);
    let host = |n: u16| Endpoint::new(addr(&format!("100.64.0.{n}")), 9);
    // Two blocks and two ports of everybody's at each address.
    for n in 1..=6 {
        assert!(world.inside(udp(host(n), S)).out().port < 4_008, "{n}");
    }
    for n in 7..=12 {
        assert!(world.inside(udp(host(n), S)).out().port >= 4_008, "{n}");
    }
    world.refuses(Inside, udp(host(13), S), Reason::PortsExhausted);
    // Queries are in no block, and TCP has the remainder for itself; then a block comes back.
    world.inside(ping(host(13), S)).out();
    world.inside(tcp(host(14), S).syn()).out();
    for n in 2..=14 {
        world.inside(ping(host(n), S)).out();
    }
    world.wait_secs(301);
    assert_eq!(world.sessions(), 0);
    for n in 21..=26 {
        assert!(world.inside(udp(host(n), S)).out().port < 4_008, "{n}");
    }
}

// covers: N14, N9
#[test]
fn a_port_that_rests_for_one_of_both_protocols_counts_for_neither() {
    for last in 2..12 {
        let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 4_001..=4_001);
        config.mapping.protocol_independent = true;
        let mut world = World::new(&config);
        let first = world.inside(udp(A, S)).out();
        world.wait_secs(301);
        assert_eq!(world.sessions(), 0, "it rests");
        let second = world.inside(tcp(format!("100.64.0.{last}:4001").as_str(), S).syn()).out();
        assert_ne!(first, second, "{last}");
    }
}

fn deterministic() -> Config {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1_024..=65_535);
    config.pools[0].subscribers = vec!["100.64.0.0/28".parse().expect("a prefix")];
    let at_once =
        Blocks { size: 4_032, max_per_subscriber: 2, shared: SharedPorts::None, deterministic: true };
    config.pools[0].blocks = Some(at_once);
    config
}

// covers: B9, N5
#[test]
fn ports_follow_from_the_address_and_the_address_from_ports() {
    let config = deterministic();
    assert_eq!(config.validate(), Ok(()));
    let arithmetic = Deterministic::new(&config);
    let mut world = World::new(&config);
    let mut seen = BTreeSet::new();
    for n in 0..16u16 {
        let subscriber = addr(&format!("100.64.0.{n}"));
        let (external, range) = arithmetic.of_subscriber(subscriber).expect("it is named");
        assert_eq!(range.len(), 8_064);
        assert!(seen.insert((external, *range.start())), "nobody shares");
        for internal in 1..40 {
            let out = world.inside(udp(Endpoint::new(subscriber, internal), S)).out();
            assert!(out.address == external && range.contains(&out.port), "{subscriber} {out}");
            assert_eq!(arithmetic.of_external(out.address, out.port), Some(subscriber));
        }
    }
    assert_eq!(kinds(&mut world), [], "nothing needs to be logged");
    assert_eq!(arithmetic.of_subscriber(addr("100.64.0.16")), None);
    assert_eq!(arithmetic.of_external(addr("192.0.2.3"), 2_000), None);
    assert_eq!(arithmetic.of_external(addr("192.0.2.1"), 1_000), None);
}

// covers: B9
#[test]
fn a_deterministic_subscriber_is_steered_to_the_shard_of_its_address() {
    let mut config = deterministic();
    config.shard.count = 2;
    let (steering, arithmetic) = (Steering::new(&config), Deterministic::new(&config));
    for n in 0..16u16 {
        let subscriber = addr(&format!("100.64.0.{n}"));
        let (external, _) = arithmetic.of_subscriber(subscriber).expect("it is named");
        assert_eq!(steering.inside(subscriber), steering.outside(external));
        config.shard.index = steering.inside(subscriber);
        let mut world = World::new(&config);
        assert_eq!(world.inside(udp(Endpoint::new(subscriber, 7), S)).out().address, external);
    }
}

// covers: N15, B1.4787-4
#[test]
fn parity_is_preserved_where_it_is_asked_for_and_while_there_is_any() {
    let mut config = config_with(&["192.0.2.1"], 4_000..=4_015);
    config.ports.preserve = false;
    config.ports.preserve_parity = true;
    let mut world = World::new(&config);
    for n in 0..8 {
        assert_eq!(world.inside(udp(port(A, 5_000 + 2 * n), S)).out().port % 2, 0);
    }
    // No even one is left: an odd one is better than none.
    assert_eq!(world.inside(udp(port(A, 6_000), S)).out().port % 2, 1);
    for n in 0..7 {
        assert_eq!(world.inside(udp(port(A, 5_001 + 2 * n), S)).out().port % 2, 1);
    }
    // By default nothing of the kind (RFC 7857 8).
    assert!(!Config::new(Vec::new(), Vec::new()).ports.preserve_parity);
}

// covers: B1.4787-3a, B1.6888-13
#[test]
fn well_known_ports_get_well_known_ones_and_every_port_can_be_had() {
    let mut config = config_with(&["192.0.2.1"], 1_000..=1_047);
    config.ports.preserve = false;
    let mut world = World::new(&config);
    let mut used = BTreeSet::new();
    for n in 0..24 {
        let port = world.inside(udp(port(A, 100 + n), S)).out().port;
        assert!(port < 1_024 && used.insert(port));
    }
    for n in 0..24 {
        let port = world.inside(udp(port(A, 5_000 + n), S)).out().port;
        assert!(port >= 1_024 && used.insert(port));
    }
    assert_eq!(used.len(), 48);
    let (_, events) = world.refuses(Inside, udp(port(A, 9_000), S), Reason::PortsExhausted);
    let hit = EventKind::LimitHit { subscriber: A.end().address, limit: Limit::PortsExhausted };
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [hit]);
    // The other way round there is no such thing as a range.
    let mut config = config_with(&["192.0.2.1"], 1_000..=1_047);
    (config.ports.preserve, config.ports.preserve_range) = (false, false);
    let mut world = World::new(&config);
    let drawn: BTreeSet<bool> =
        (0..24).map(|n| world.inside(udp(port(A, 100 + n), S)).out().port < 1_024).collect();
    assert_eq!(drawn.len(), 2);
}

// covers: B1.6888-4b, B10
#[test]
fn each_protocol_may_have_a_limit_of_its_own() {
    let mut world = World::with(|config| config.limits.ports_by_protocol = [Some(1), None, Some(2)]);
    world.inside(tcp(A, S).syn()).out();
    world.refuses(Inside, tcp(port(A, 9), S).syn(), Reason::LimitPorts);
    for n in 0..3 {
        world.inside(udp(port(A, 20 + n), S)).out();
    }
    world.inside(ping(port(A, 1), S)).out();
    world.inside(ping(port(A, 2), S)).out();
    world.refuses(Inside, ping(port(A, 3), S), Reason::LimitPorts);
}

// covers: B1.6888-8, B1.6888-8a, B1.6888-8c
#[test]
fn ports_under_dependent_filtering_need_no_rest() {
    use nat::config::Behaviour::AddressAndPortDependent;
    let mut config = config_with(&["192.0.2.1"], 4_001..=4_001);
    config.filtering.udp = AddressAndPortDependent;
    let mut world = World::new(&config);
    world.inside(udp(A, S)).out();
    world.wait_secs(300);
    world.wait(TICK);
    world.inside(udp(B, S)).out();
    // Where strangers may come, it rests.
    let mut world = World::new(&config_with(&["192.0.2.1"], 4_001..=4_001));
    world.inside(udp(A, S)).out();
    world.wait_secs(300);
    world.wait(TICK);
    world.refuses(Inside, udp(B, S), Reason::PortsExhausted);
}

// covers: O1, N5, B9, B5
#[test]
fn what_cannot_be_is_refused_by_name() {
    type Change = fn(&mut Config);
    let cases: [(&str, Change); 11] = [
        ("pool[0].pooling", |config| {
            config.pools[0].blocks = blocks(8, 1, SharedPorts::None);
            config.pools[0].pooling = Pooling::PairedSoft;
        }),
        ("pool[0].pooling", |config| {
            *config = deterministic();
            config.pools[0].pooling = Pooling::Arbitrary;
        }),
        ("pool[0].subscribers[1]", |config| {
            let nets = ["100.64.0.0/29", "100.64.0.8/30"];
            config.pools[0].subscribers = nets.map(|net| net.parse().expect("a prefix")).to_vec();
            config.subscriber_prefix = 29;
        }),
        ("pool[0].block_size", |config| config.pools[0].blocks = blocks(0, 1, SharedPorts::None)),
        ("pool[0].block_size", |config| config.pools[0].blocks = blocks(65_535, 1, SharedPorts::None)),
        ("pool[0].max_blocks", |config| config.pools[0].blocks = blocks(8, 0, SharedPorts::None)),
        ("pool[0].deterministic", |config| {
            config.pools[0].blocks =
                blocks(8, 1, SharedPorts::None).map(|blocks| Blocks { deterministic: true, ..blocks });
        }),
        ("pool[0].deterministic", |config| {
            *config = deterministic();
            config.pools[0].subscribers = vec!["100.64.0.0/27".parse().expect("a prefix")];
        }),
        ("pool[0].shared_ports", |config| {
            *config = deterministic();
            config.pools[0].blocks =
                config.pools[0].blocks.map(|b| Blocks { shared: SharedPorts::Last(1), ..b });
        }),
        ("pool[0].subscribers[0]", |config| {
            config.pools[0].subscribers = vec!["10.0.0.0/8".parse().expect("a prefix")];
        }),
        ("inside.subscriber_prefix", |config| config.subscriber_prefix = 33),
    ];
    for (setting, change) in cases {
        let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1_024..=65_535);
        change(&mut config);
        let wrong = config.validate().expect_err(setting);
        assert_eq!(wrong.setting, setting, "{wrong:?}");
    }
}
