//! What `hairpin who` says, about pools of every kind.

use nat::Protocol;
use nat::config::{Blocks, PoolKind};
use proptest::prelude::*;

use super::*;

fn address(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

fn endpoint(text: &str) -> Endpoint {
    let both: SocketAddrV4 = text.parse().expect("an endpoint");
    Endpoint { address: *both.ip(), port: both.port() }
}

fn range(first: &str, last: &str) -> Vec<RangeInclusive<Ipv4Addr>> {
    vec![address(first)..=address(last)]
}

fn blocks(size: u16) -> Blocks {
    Blocks { size, max_per_subscriber: 1, shared: SharedPorts::None, deterministic: true }
}

/// 32 subscribers have 4,032 ports each of two addresses; the others share an address as they come.
fn config() -> Config {
    let subscribers =
        vec!["100.64.0.0/28".parse().expect("a prefix"), "100.64.9.0/28".parse().expect("a prefix")];
    let computed = Pool {
        subscribers,
        blocks: Some(blocks(4_032)),
        ..Pool::new(range("192.0.2.1", "192.0.2.2"), 1_024..=65_535)
    };
    let others = Pool::new(range("198.51.100.1", "198.51.100.1"), 1_024..=65_535);
    Config::new(vec!["100.64.0.0/10".parse().expect("a prefix")], vec![computed, others])
}

fn said(config: &Config, asked: &str) -> Result<String, String> {
    let asked = asked.parse().expect("an address");
    match answer(config, asked) {
        Ok(rows) => Ok(shown(&rows, asked)),
        Err(report) => Err(report.to_string()),
    }
}

// covers: B9
#[test]
fn an_external_port_names_its_subscriber_and_the_subscriber_its_range() {
    let config = config();
    assert_eq!(config.validate(), Ok(()));
    let (external, ports) =
        Deterministic::new(&config).of_subscriber(address("100.64.9.3")).expect("a range");
    assert_eq!(ports.len(), 4_032);
    let row = format!("{external}:{}-{}  100.64.9.3  deterministic\n", ports.start(), ports.end());
    for port in [ports.start(), ports.end()] {
        assert_eq!(said(&config, &format!("{external}:{port}")).as_ref(), Ok(&row));
    }
    assert_eq!(said(&config, "100.64.9.3").as_ref(), Ok(&row));
    if let Some(beside) = ports.end().checked_add(1) {
        assert_ne!(said(&config, &format!("{external}:{beside}")).as_ref(), Ok(&row));
    }
}

// covers: B9
#[test]
fn an_address_alone_lists_everybody_behind_it_once() {
    let config = config();
    let mut seen = Vec::new();
    for external in ["192.0.2.1", "192.0.2.2"] {
        let rows = answer(&config, external.parse().expect("an address")).expect("an answer");
        assert_eq!(rows.len(), 16, "64,512 ports are 16 ranges");
        seen.extend(rows.into_iter().map(|row| row.subscriber));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 32);
}

// covers: B9, B5
#[test]
fn subscribers_of_several_addresses_are_named_by_their_prefix() {
    let mut config = config();
    config.subscriber_prefix = 30;
    let told = said(&config, "100.64.9.6").expect("a range");
    assert!(told.contains("  100.64.9.4/30  "), "{told}");
    assert_eq!(said(&config, "100.64.9.5"), Ok(told));
}

// covers: B9
#[test]
fn a_port_below_the_pool_was_never_anybodys() {
    assert_eq!(said(&config(), "192.0.2.1:1023"), Ok("192.0.2.1:1023: nobody, at any time\n".into()));
    assert_eq!(said(&config(), "192.0.2.1:0"), Ok("192.0.2.1:0: nobody, at any time\n".into()));
}

// covers: B9
#[test]
fn what_does_not_follow_from_the_file_is_left_to_the_log() {
    let config = config();
    for asked in ["198.51.100.1:5000", "198.51.100.1", "100.64.1.1"] {
        let why = said(&config, asked).expect_err(asked);
        assert!(why.contains("only a log knows"), "{asked}: {why}");
    }
    let why = said(&config, "203.0.113.9:80").expect_err("not of this file");
    assert!(why.contains("neither"), "{why}");
    let why = said(&config, "100.64.0.1:80").expect_err("a subscriber's port");
    assert!(why.contains("does not follow"), "{why}");
}

// covers: B9, N5
#[test]
fn a_shared_port_of_a_deterministic_pool_is_left_to_the_log() {
    let mut config = config();
    config.pools[0].blocks = Some(Blocks { shared: SharedPorts::Last(32), ..blocks(4_030) });
    let why = said(&config, "192.0.2.1:65535").expect_err("shared");
    assert!(why.contains("shares this port"), "{why}");
    assert!(said(&config, "192.0.2.1:1024").is_ok());
    assert_eq!(said(&config, "192.0.2.1:1023"), Ok("192.0.2.1:1023: nobody, at any time\n".into()));
}

// covers: B9, B5
#[test]
fn static_mappings_are_known_in_every_pool() {
    let mut config = config();
    let web = StaticMapping::Port {
        protocol: Protocol::Tcp,
        internal: endpoint("100.64.1.80:8080"),
        external: endpoint("198.51.100.1:443"),
    };
    let whole = Pool {
        kind: PoolKind::Basic,
        subscribers: vec!["100.64.7.0/24".parse().expect("a prefix")],
        ..Pool::new(range("203.0.113.1", "203.0.113.2"), 1..=65_535)
    };
    config.pools.push(whole);
    let internal = address("100.64.7.7");
    config.statics = vec![web, StaticMapping::Address { internal, external: address("203.0.113.2") }];
    let web = "198.51.100.1:443 tcp  100.64.1.80:8080  static\n";
    for asked in ["198.51.100.1:443", "198.51.100.1", "100.64.1.80"] {
        assert_eq!(said(&config, asked).as_deref(), Ok(web), "{asked}");
    }
    for asked in ["203.0.113.2:5", "203.0.113.2", "100.64.7.7"] {
        assert_eq!(said(&config, asked).as_deref(), Ok("203.0.113.2  100.64.7.7  static\n"), "{asked}");
    }
    for asked in ["198.51.100.1:444", "203.0.113.1:443"] {
        assert!(said(&config, asked).is_err(), "{asked}");
    }
}

// covers: B9
#[test]
fn a_static_port_stands_before_the_computed_range_around_it() {
    let mut config = config();
    let (internal, external) = (endpoint("100.64.1.80:22"), endpoint("192.0.2.1:2222"));
    config.statics = vec![StaticMapping::Port { protocol: Protocol::Tcp, internal, external }];
    let rows = answer(&config, "192.0.2.1:2222".parse().expect("an endpoint")).expect("an answer");
    let why: Vec<_> = rows.iter().map(|row| row.why).collect();
    assert_eq!(why, ["static", "deterministic"]);
}

// covers: O1
#[test]
fn what_is_no_address_is_refused() {
    for wrong in ["", "192.0.2.1:", "192.0.2.1:65536", "192.0.2", "::1", "192.0.2.1:1:2", "a"] {
        assert!(wrong.parse::<Asked>().is_err(), "{wrong}");
    }
    let both = Asked { address: address("192.0.2.1"), port: Some(9) };
    assert_eq!("192.0.2.1:9".parse(), Ok(both));
    assert_eq!("192.0.2.1".parse(), Ok(Asked { port: None, ..both }));
}

proptest! {
    // covers: B9
    #[test]
    fn every_port_that_a_subscriber_is_told_leads_back_to_it(
        host in 0_u32..32, size in 64_u16..4_032, offset in 0_u16..4_032,
    ) {
        let mut config = config();
        config.pools[0].blocks = Some(blocks(size));
        let network = if host < 16 { "100.64.0.0" } else { "100.64.9.0" };
        let subscriber = Ipv4Addr::from_bits(address(network).to_bits() + host % 16);
        let (external, ports) = Deterministic::new(&config).of_subscriber(subscriber).expect("a range");
        let port = ports.start() + offset % size;
        let asked = Asked { address: external, port: Some(port) };
        let behind = answer(&config, asked).expect("an answer");
        let all = answer(&config, Asked { port: None, ..asked }).expect("an answer");
        let own = answer(&config, Asked { address: subscriber, port: None }).expect("an answer");
        prop_assert_eq!(&behind, &own);
        prop_assert_eq!(all.iter().filter(|row| **row == own[0]).count(), 1);
    }
}
