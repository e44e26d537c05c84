//! What makes sense together, and what does not.

use super::*;

fn range(first: &str, last: &str) -> RangeInclusive<Ipv4Addr> {
    first.parse().expect("an address")..=last.parse().expect("an address")
}

fn pool(first: &str, last: &str) -> Pool {
    Pool::new(vec![range(first, last)], 1_024..=65_535)
}

fn good() -> Config {
    let inside = "100.64.0.0/10".parse().expect("a prefix");
    Config::new(vec![inside], vec![pool("192.0.2.16", "192.0.2.31")])
}

fn settings_of(config: &Config) -> Vec<String> {
    config.problems().into_iter().map(|problem| problem.error.setting).collect()
}

// covers: O1
#[test]
fn the_defaults_with_a_prefix_and_a_pool_make_sense() {
    assert_eq!(good().validate(), Ok(()));
}

// covers: N2, N18, B1.4787-5, B1.5382-5, B1.5508-2
#[test]
fn timers_stop_at_the_minimum_of_their_rfc() {
    let mut config = good();
    config.tcp.established = Duration::from_secs(7_439);
    config.tcp.transitory = Duration::from_secs(239);
    config.udp.timeout = Duration::from_secs(119);
    config.icmp_timeout = Duration::from_secs(59);
    config.tcp.opening = Duration::from_secs(6);
    config.tcp.closing = Duration::from_secs(6);
    let wrong = settings_of(&config);
    assert_eq!(wrong, ["tcp.established", "tcp.transitory", "udp.timeout", "icmp.timeout"]);
    config.tcp.established = Duration::from_secs(7_440);
    config.tcp.transitory = Duration::from_secs(240);
    config.udp.timeout = Duration::from_secs(120);
    config.icmp_timeout = Duration::from_secs(60);
    assert_eq!(config.validate(), Ok(()), "the minimum itself is allowed");
}

// covers: O1, B5
#[test]
fn overlapping_ranges_name_both_places() {
    let mut config = good();
    config.pools.push(pool("198.51.100.1", "198.51.100.9"));
    config.pools.push(pool("192.0.2.31", "192.0.2.40"));
    let problems = config.problems();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].error.setting, "pool[2].addresses[0]");
    let other = problems[0].clashes_with.as_ref().map(|(place, _)| place.as_str());
    assert_eq!(other, Some("pool[0].addresses[0]"));
}

// covers: O1, N10
#[test]
fn an_external_address_is_no_subscriber() {
    let mut config = good();
    config.pools.push(pool("100.127.255.255", "100.128.0.3"));
    assert_eq!(settings_of(&config), ["pool[1].addresses[0]"]);
}

// covers: O1
#[test]
fn reversed_empty_and_unusable_pools_are_refused() {
    let mut config = good();
    config.pools[0].addresses.clear();
    config.pools.push(pool("203.0.113.9", "203.0.113.1"));
    config.pools.push(Pool { ports: 0..=9, ..pool("203.0.113.20", "203.0.113.20") });
    config.pools.push(Pool { ports: RangeInclusive::new(9, 1), ..pool("203.0.113.21", "203.0.113.21") });
    config.pools.push(pool("223.255.255.255", "224.0.0.0"));
    let wrong = settings_of(&config);
    let expected = [
        "pool[0].addresses",
        "pool[1].addresses[0]",
        "pool[2].ports",
        "pool[3].ports",
        "pool[4].addresses[0]",
    ];
    assert_eq!(wrong, expected);
}

// covers: O1, O7
#[test]
fn external_addresses_are_bounded_over_all_pools() {
    let mut config = good();
    config.pools = vec![pool("11.0.0.0", "11.0.255.255")];
    assert_eq!(config.validate(), Ok(()));
    config.pools.push(pool("12.0.0.0", "12.0.0.0"));
    assert_eq!(settings_of(&config), ["pool[1].addresses"]);
}

// covers: O1
#[test]
fn a_shard_needs_an_address_of_its_own() {
    let mut config = good();
    config.shard.count = 16;
    assert_eq!(config.validate(), Ok(()));
    config.shard.count = 17;
    assert_eq!(settings_of(&config), ["live.workers"]);
    config.shard.count = 0;
    assert_eq!(settings_of(&config), ["live.workers"]);
}

// covers: O1, N10
#[test]
fn a_mapping_counts_no_more_sessions_than_it_can() {
    let mut config = good();
    config.limits.inbound_sessions_per_mapping = 65_535;
    assert_eq!(config.validate(), Ok(()));
    config.limits.inbound_sessions_per_mapping = 65_536;
    assert_eq!(settings_of(&config), ["limits.inbound_sessions_per_mapping"]);
}

// covers: O1, B7
#[test]
fn a_link_takes_at_least_what_every_host_must_accept() {
    let mut config = good();
    config.mtu.inside = 575;
    config.mss_clamp = Some(535);
    assert_eq!(settings_of(&config), ["mtu.inside", "tcp.mss_clamp"]);
}

// covers: B1.4787-10, B1.4787-10a
#[test]
fn no_gateway_touches_udp_and_the_one_of_ftp_can_be_switched_off_alone() {
    // All of its fields: a new gateway has to be judged here.
    let super::super::Algs { ftp } = good().algs;
    assert_eq!(ftp, [21], "a TCP port (RFC 5382 REQ-6), and nothing for UDP");
    let mut config = good();
    config.algs.ftp.clear();
    assert_eq!(config.validate(), Ok(()));
    let without = super::super::Algs { ftp: Vec::new() };
    assert_eq!(config, Config { algs: without, ..good() }, "nothing else depends on it");
}
