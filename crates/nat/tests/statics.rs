//! Mappings of the configuration (B5): there from the start, for ever, and nobody else's.

extern crate hairpin_nat as nat;

mod common;

use common::*;
use nat::config::{Behaviour, Shard, StaticMapping};
use nat::event::EventKind;
use nat::{Config, Protocol, Reason, Steering};

/// A server of a subscriber's, which the outside knows as port 80.
const SERVER: &str = "100.64.0.1:8080";
const WWW: &str = "192.0.2.1:80";

fn port(protocol: Protocol, internal: &str, external: &str) -> StaticMapping {
    StaticMapping::Port { protocol, internal: internal.end(), external: external.end() }
}

fn www(config: &mut Config) {
    config.statics = vec![port(Protocol::Tcp, SERVER, WWW)];
}

// covers: B5
#[test]
fn a_static_mapping_is_told_once_and_never_ends() {
    let mut world = World::with(www);
    let told = world.events();
    assert!(matches!(told[..], [event] if matches!(event.kind, EventKind::MappingCreated(id)
        if id.internal == SERVER.end() && id.external == WWW.end() && id.remote.is_none())));
    for _ in 0..2 {
        // Port 80 is none that the pool would give out.
        world.outside(tcp(S, WWW).syn()).expect_in(tcp(S, SERVER).syn());
        world.wait_secs(3_600);
        assert_eq!(world.sessions(), 0);
        let told = world.events();
        assert!(!told.iter().any(|event| matches!(event.kind, EventKind::MappingDeleted(_))), "{told:?}");
        assert_eq!(world.engine.mappings().count(), 1);
    }
    // What the server itself opens goes out by it as well.
    world.inside(tcp(SERVER, T).syn()).expect_out(tcp(WWW, T).syn());
    // It is TCP's alone.
    world.refuses(Outside, udp(S, WWW), Reason::NoMapping);
}

// covers: B5
#[test]
fn nobody_else_is_given_a_port_that_is_mapped_for_ever() {
    let mut world = World::with(|config| {
        config.pools[0].ports = 5_000..=5_001;
        config.statics = vec![port(Protocol::Udp, SERVER, "192.0.2.1:5001")];
    });
    // B would keep 5001 if it were free.
    world.inside(udp(B, S)).expect_out(udp("192.0.2.1:5000", S));
    let (_, events) = world.refuses(Inside, udp("100.64.0.3:5001", S), Reason::PortsExhausted);
    assert_eq!(events.len(), 1);
    world.outside(udp(T, "192.0.2.1:5001")).expect_in(udp(T, SERVER));
}

// covers: B5, B1.4787-2, B1.6888-2
#[test]
fn its_subscriber_has_its_external_address_for_everything() {
    for last in 1..=4 {
        let external = format!("192.0.2.{last}:80");
        let mut config = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"], 1_024..=65_535);
        config.statics = vec![port(Protocol::Tcp, SERVER, &external)];
        let mut world = World::new(&config);
        for from in ["100.64.0.1:1", "100.64.0.1:2000", "100.64.0.1:60000"] {
            assert_eq!(world.inside(udp(from, S)).out().address, external.as_str().end().address);
        }
    }
}

// covers: B5, N10
#[test]
fn filters_are_not_for_static_mappings() {
    for behaviour in [Behaviour::AddressDependent, Behaviour::AddressAndPortDependent] {
        let mut world = World::with(|config| {
            www(config);
            (config.filtering.tcp, config.mapping.behaviour) = (behaviour, behaviour);
        });
        world.outside(tcp(S, WWW).syn()).expect_in(tcp(S, SERVER).syn());
        // Nor does it depend on whom the server writes to.
        world.inside(tcp(SERVER, T).syn()).expect_out(tcp(WWW, T).syn());
        world.refuses(Outside, tcp(S, "192.0.2.1:81").syn(), Reason::NoMapping);
        // A SYN it must be all the same.
        world.refuses(Outside, tcp("203.0.113.99:1", WWW).ack(), Reason::NotSyn);
        world.refuses(Outside, tcp("203.0.113.99:1", WWW).rst(), Reason::NotSyn);
    }
}

// covers: B5, N19
#[test]
fn a_subscriber_reaches_anothers_server_by_its_external_endpoint() {
    let mut world = World::with(www);
    let there = world.inside(tcp(B, WWW).syn());
    assert_eq!(there.inward(), SERVER.end());
    let back = world.inside(tcp(SERVER, XB).syn_ack());
    assert_eq!(back.inward(), B.end());
}

// covers: B5, B10
#[test]
fn a_static_mapping_belongs_to_the_shard_of_its_external_address() {
    let mut config = config_with(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 1_024..=65_535);
    for (n, external) in ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"].into_iter().enumerate() {
        let internal = format!("100.64.0.{}:8080", n + 1);
        config.statics.push(port(Protocol::Tcp, &internal, external));
    }
    for (index, mapping) in config.statics.clone().iter().enumerate() {
        let StaticMapping::Port { internal, external, .. } = *mapping else { unreachable!("all are ports") };
        config.shard = Shard { index: index as u16, count: 3 };
        let steering = Steering::new(&config);
        assert_eq!(steering.inside(internal.address), index as u16);
        assert_eq!(steering.outside(external.address), index as u16);
        let mut world = World::new(&config);
        assert_eq!(world.engine.mappings().map(|id| id.external).collect::<Vec<_>>(), [external]);
        world.inside(tcp(internal, S).syn()).expect_out(tcp(external, S).syn());
    }
}

// covers: B5, O1
#[test]
fn what_cannot_be_mapped_is_told_with_its_place() {
    let wrong = |statics: &[StaticMapping]| {
        let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1_024..=65_535);
        config.statics = statics.to_vec();
        config.problems().into_iter().map(|problem| problem.error.setting).collect::<Vec<_>>()
    };
    let tcp = Protocol::Tcp;
    let good = port(tcp, SERVER, WWW);
    assert_eq!(wrong(&[good, port(Protocol::Udp, SERVER, WWW)]), [""; 0]);
    assert_eq!(wrong(&[port(Protocol::Icmp, SERVER, WWW)]), ["static[0].protocol"]);
    assert_eq!(wrong(&[port(tcp, "203.0.113.1:80", WWW)]), ["static[0].internal"]);
    assert_eq!(wrong(&[port(tcp, "100.64.0.1:0", WWW)]), ["static[0].internal"]);
    assert_eq!(wrong(&[port(tcp, SERVER, "192.0.2.3:80")]), ["static[0].external"]);
    assert_eq!(wrong(&[port(tcp, SERVER, "192.0.2.1:0")]), ["static[0].external"]);
    // One external endpoint twice, one internal endpoint twice, one subscriber with two addresses.
    assert_eq!(wrong(&[good, port(tcp, "100.64.0.2:8080", WWW)]), ["static[1]"]);
    assert_eq!(wrong(&[good, port(tcp, SERVER, "192.0.2.1:81")]), ["static[1]"]);
    assert_eq!(wrong(&[good, port(tcp, "100.64.0.1:22", "192.0.2.2:22")]), ["static[1]"]);
    // Two hosts of one subscriber as well.
    let two = [good, port(tcp, "100.64.0.2:22", "192.0.2.2:22")];
    assert_eq!(wrong(&two), [""; 0]);
    let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1_024..=65_535);
    (config.statics, config.subscriber_prefix) = (two.to_vec(), 24);
    assert_eq!(config.validate().expect_err("one subscriber").setting, "static[1]");
    let mut config = self::config();
    config.statics = vec![good, port(tcp, "100.64.0.2:22", "192.0.2.1:22")];
    (config.limits.mappings, config.limits.subscribers) = (1, 1);
    let settings: Vec<_> = config.problems().into_iter().map(|problem| problem.error.setting).collect();
    assert_eq!(settings, ["limits.mappings", "limits.subscribers"]);
}

// covers: B5, B9, O1
#[test]
fn beside_computed_ports_a_static_one_is_where_they_are() {
    use nat::config::{Blocks, Pool, SharedPorts};
    let mut config = config_with(&["192.0.2.1", "192.0.2.2"], 1_024..=65_535);
    let blocks =
        Blocks { size: 4_032, max_per_subscriber: 2, shared: SharedPorts::None, deterministic: true };
    config.pools[0].blocks = Some(blocks);
    config.pools[0].subscribers = vec!["100.64.0.0/28".parse().expect("a prefix")];
    config.pools.push(Pool::new(vec![addr("198.51.100.1")..=addr("198.51.100.1")], 1_024..=65_535));
    let wrong = |internal: &str, external: &str| {
        let mut config = config.clone();
        config.statics = vec![port(Protocol::Tcp, internal, external)];
        config.validate().err().map(|error| (error.setting, error.problem))
    };
    // The first eight are at the first address: 100.64.0.1 has 9,088 to 17,151 of it.
    for good in ["192.0.2.1:80", "192.0.2.1:9088", "192.0.2.1:17151"] {
        assert_eq!(wrong(SERVER, good), None, "{good}");
    }
    for bad in ["192.0.2.2:80", "192.0.2.1:9087", "192.0.2.1:17152", "198.51.100.1:80"] {
        assert_eq!(wrong(SERVER, bad).expect(bad).0, "static[0].external", "{bad}");
    }
    let stranger = "100.64.0.16:80";
    assert_eq!(wrong(stranger, "198.51.100.1:80"), None);
    assert_eq!(wrong(stranger, "192.0.2.1:80").expect("a stranger").0, "static[0].external");
    // A pool that runs backwards has its own complaint and no other harm.
    let mut config = config.clone();
    config.pools[0].addresses = vec![addr("192.0.2.2")..=addr("192.0.2.1")];
    config.statics = vec![port(Protocol::Tcp, SERVER, "192.0.2.1:80")];
    assert_eq!(config.validate().expect_err("backwards").setting, "pool[0].addresses[0]");
}
