//! The comparison can fail: with one thing wrong on either side, however small, it says so.

use std::net::Ipv4Addr;
use std::time::Duration;

use hairpin_nat::config::Pool;
use hairpin_nat::{Config, Offload};
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;

use crate::nat::{Arrival, Model};
use crate::settings::EXTERNAL;
use crate::world::{Input, Tamper, World};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

fn config() -> Config {
    let prefix = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 24);
    Config::new(vec![prefix], vec![Pool::new(vec![EXTERNAL..=EXTERNAL], 1_024..=65_535)])
}

fn input(data: &[u8], from: Arrival) -> Input {
    Input { data: data.to_vec(), from, offload: Offload::default(), quotes: None }
}

/// A datagram and a SYN out, a datagram in, one without hops left, and time until all is over.
fn act(world: &mut World) -> Result<(), String> {
    let mut buffer = [0; 200];
    let out = Header::new(HOST, REMOTE);
    let mut packets = Vec::new();
    let len = craft::udp(&mut buffer, &out, 4_000, 53, b"question").ok_or("no room")?;
    packets.push(input(&buffer[..len], Arrival::Inside));
    let len = craft::tcp(&mut buffer, &out, &Segment::new(4_000, 80, Flags::SYN), &[]).ok_or("no room")?;
    packets.push(input(&buffer[..len], Arrival::Inside));
    let back = Header::new(REMOTE, EXTERNAL);
    let len = craft::udp(&mut buffer, &back, 53, 4_000, b"answer").ok_or("no room")?;
    packets.push(input(&buffer[..len], Arrival::Outside));
    let dying = Header { ttl: 1, ..out };
    let len = craft::udp(&mut buffer, &dying, 4_000, 53, b"late").ok_or("no room")?;
    packets.push(input(&buffer[..len], Arrival::Inside));
    world.batch(packets)?;
    for _ in 0..10 {
        world.poll()?;
    }
    Ok(())
}

fn world() -> World {
    World::new(&config(), 1).expect("an engine")
}

// covers: B1
#[test]
fn nothing_wrong_is_nothing_found() {
    let mut world = world();
    assert_eq!(act(&mut world), Ok(()));
    assert_eq!(world.engine.session_count(), 0, "all is over");
    assert_eq!(world.engine.counters().sessions_deleted, 2);
}

// covers: B1
#[test]
fn whatever_the_engine_says_wrongly_is_found() {
    // Octets of the IP header, a port, a checksum, the payload.
    let octets = [1, 8, 11, 15, 19, 21, 27, 30].map(Tamper::Octet);
    let others = [
        Tamper::Verdict,
        Tamper::Offload,
        Tamper::LostEvent,
        Tamper::LateEvent,
        Tamper::LostTransmit,
        Tamper::TransmitOctet,
        Tamper::LostSession,
        Tamper::Counter,
    ];
    for tamper in octets.into_iter().chain(others) {
        let mut world = world();
        world.tamper = Some(tamper);
        assert!(act(&mut world).is_err(), "{tamper:?} went unnoticed");
    }
}

// covers: B1
#[test]
fn whatever_the_model_does_wrongly_is_found() {
    type Wrong = (&'static str, fn(&mut Config));
    let wrong: [Wrong; 6] = [
        ("a tick more for UDP", |config| config.udp.timeout += Duration::from_millis(100)),
        ("a tick less for UDP", |config| config.udp.timeout -= Duration::from_millis(100)),
        ("a tick more for a SYN", |config| config.tcp.opening += Duration::from_millis(100)),
        ("other ports", |config| config.pools[0].ports = 5_000..=6_000),
        ("one session at most", |config| config.limits.sessions = 1),
        ("another gateway", |config| config.gateway.inside = Ipv4Addr::new(10, 0, 0, 9)),
    ];
    for (what, change) in wrong {
        let mut world = world();
        let mut config = config();
        change(&mut config);
        world.model = Model::new(&config, world.now);
        assert!(act(&mut world).is_err(), "{what} went unnoticed");
    }
}
