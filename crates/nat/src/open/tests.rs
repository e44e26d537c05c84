//! Full buckets: so rare that no traffic of a test meets them.

use super::*;
use crate::config::{Behaviour, Config, Pool};
use crate::table::Table;

const MANY: u32 = 64;

fn engine() -> Engine {
    let address = Ipv4Addr::new(192, 0, 2, 1);
    let inside = "100.64.0.0/10".parse().expect("a prefix");
    let mut config = Config::new(vec![inside], vec![Pool::new(vec![address..=address], 1_024..=65_535)]);
    config.limits.mappings = MANY;
    config.limits.subscribers = MANY;
    config.mapping.behaviour = Behaviour::AddressDependent;
    config.mapping.port_overlap = true;
    Engine::new(&config, [7; 32], rules::Instant::ZERO).expect("these settings make sense")
}

/// A mapping for the only port of subscriber `n`.
fn create(engine: &mut Engine, n: u8) -> Option<u32> {
    let internal = Endpoint::new(Ipv4Addr::new(100, 64, 0, n), 4_000);
    let remote = Endpoint::new(Ipv4Addr::new(203, 0, 113, n), 80);
    let key = engine.mapping_key(Protocol::Udp, internal, remote);
    let port = Port { address: 0, protocol: Protocol::Udp, port: 4_000 };
    engine.create_mapping(key, None, port)
}

/// A table of one bucket, that of nobody else.
fn tiny() -> Table {
    Table::new(0).expect("memory")
}

// covers: B10
#[test]
fn a_full_bucket_leaves_nothing_behind() {
    type Shrink = fn(&mut Engine);
    let tables: [(&str, Shrink); 3] = [
        ("subscribers", |engine| engine.hosts = tiny()),
        ("mappings", |engine| engine.endpoints = tiny()),
        ("shared ports", |engine| engine.shares.shrink()),
    ];
    for (name, shrink) in tables {
        let mut engine = engine();
        shrink(&mut engine);
        let made: Vec<u32> = (1..=20).map_while(|n| create(&mut engine, n)).collect();
        let count = made.len() as u32;
        assert!((1..20).contains(&count), "{name}: {count}");
        assert_eq!(create(&mut engine, 99), None, "{name}");
        let port = Port { address: 0, protocol: Protocol::Udp, port: 4_000 };
        assert_eq!(engine.pool.sharers(port), count, "{name}");
        assert_eq!((engine.hosts.len(), engine.endpoints.len()), (made.len(), made.len()), "{name}");
        assert!(engine.mappings.has_room(MANY - count), "{name}: a mapping stayed behind");
        assert!(engine.subscribers.has_room(MANY - count), "{name}: a subscriber stayed behind");
        made.into_iter().for_each(|index| engine.delete_unused_mapping(index, 0));
        assert!(engine.mappings.has_room(MANY) && engine.subscribers.has_room(MANY), "{name}");
        assert!(!engine.pool.is_mapped(port), "{name}");
    }
}
