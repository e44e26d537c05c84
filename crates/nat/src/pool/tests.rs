//! What cannot be seen from outside: how much one call does.

use super::*;
use crate::config::{self, SharedPorts};

fn pool(change: impl FnOnce(&mut config::Pool)) -> Pool {
    let address = Ipv4Addr::new(192, 0, 2, 1);
    let mut pool = config::Pool::new(vec![address..=Ipv4Addr::new(192, 0, 2, 4)], 1_024..=65_535);
    change(&mut pool);
    let inside = "100.64.0.0/10".parse().expect("a prefix");
    Pool::new(&Config::new(vec![inside], vec![pool]), 10).expect("memory")
}

// covers: B10, B1.6888-8
#[test]
fn ports_that_have_rested_come_back_some_at_a_time() {
    let mut pool = pool(|_| {});
    let ports: Vec<_> =
        (0..10_000).map(|n| Port { address: 0, protocol: Protocol::Udp, port: 2_000 + n }).collect();
    ports.iter().for_each(|&port| pool.take(port, 1, 7));
    ports.iter().for_each(|&port| pool.give(port, 0));
    let resting = |pool: &Pool| ports.iter().filter(|&&port| !pool.may_take(port)).count();
    pool.release(10);
    assert_eq!(resting(&pool), 10_000, "one tick before");
    for left in [10_000 - RELEASES, 10_000 - 2 * RELEASES, 0, 0] {
        pool.release(11);
        assert_eq!(resting(&pool), left);
    }
    // Each end of a mapping lets more go than it brings.
    ports.iter().for_each(|&port| pool.take(port, 1, 7));
    ports.iter().for_each(|&port| pool.give(port, 20));
    pool.take(ports[0].in_other_protocol().expect("TCP"), 1, 7);
    pool.take(Port { port: 1_999, ..ports[0] }, 1, 7);
    pool.give(Port { port: 1_999, ..ports[0] }, 40);
    assert_eq!(resting(&pool), 10_000 - FEW);
}

// covers: N5, B10
#[test]
fn that_nothing_is_left_for_a_newcomer_is_known_without_looking() {
    let of = |n: u32| Ipv4Addr::from_bits(Ipv4Addr::new(100, 64, 0, 0).to_bits() + n);
    let blocks =
        config::Blocks { size: 64, max_per_subscriber: 1, shared: SharedPorts::None, deterministic: false };
    let mut pool = pool(|pool| pool.blocks = Some(blocks));
    let mut owned = Vec::new();
    for n in 0..4 * 1_008 {
        let address = pool.choose_address(Protocol::Tcp, u64::from(n) << 52, of(n)).expect("a block");
        let block = pool.free_block(address, 0).expect("it has one");
        let port = Port { address, protocol: Protocol::Tcp, port: 1_024 + block * 64 };
        pool.take(port, n, of(n).to_bits());
        owned.push(port);
    }
    assert_eq!((pool.groups[0].blocks, pool.groups[0].spare[Protocol::Tcp as usize]), (0, 0));
    assert_eq!(pool.choose_address(Protocol::Tcp, 5, of(9_999)), None);
    // Who has one is at home there, and what comes back is anybody's.
    assert_eq!(pool.choose_address(Protocol::Udp, 5, of(77)), Some(owned[77].address));
    pool.give(owned[77], 1);
    assert_eq!(pool.groups[0].blocks, 1);
    assert_eq!(pool.choose_address(Protocol::Tcp, 5, of(9_999)), Some(owned[77].address));
    assert!(!pool.homes.contains_key(&of(77).to_bits()));
}
