//! ECN (RFC 3168): which packets are ECN-capable.

mod common;

use std::time::Duration;

use common::{Pair, octets, plain, tcp_of};
use hairpin_tcp::{Config, EndpointConfig};

/// A transfer whose first text is lost: whether ECN is on, and what was sent.
fn run(a: bool, b: bool) -> (bool, Pair) {
    let of_b = EndpointConfig { connection: Config { ecn: b, ..plain() }, ..EndpointConfig::default() };
    let mut pair = Pair::with(EndpointConfig::default(), of_b);
    let ids = pair.open(Config { ecn: a, ..plain() });
    let mut lost = false;
    pair.lose = Box::new(move |_, flight| {
        let loses = !lost && flight.from_a && !tcp_of(&flight.octets).payload().is_empty();
        lost |= loses;
        loses
    });
    let data = octets(5_000);
    assert_eq!(pair.transfer(ids.0, ids.1, &data), data);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.a.info(ids.0).expect("it is held").ecn, pair.b.info(ids.1).expect("it is held").ecn);
    (pair.a.info(ids.0).expect("it is held").ecn, pair)
}

// covers: T9
#[test]
fn ecn_is_off_by_default_and_on_only_if_both_want_it() {
    assert!(!Config::default().ecn);
    for (a, b) in [(false, false), (true, false), (false, true)] {
        let (ecn, pair) = run(a, b);
        assert!(!ecn);
        assert!(pair.log.iter().all(|flight| flight.octets[1] & 3 == 0));
    }
    assert!(run(true, true).0);
}

// covers: T9
#[test]
fn only_new_text_is_ect_0() {
    let (_, pair) = run(true, true);
    let (mut seen, mut again) = (Vec::new(), 0);
    for flight in &pair.log {
        let tcp = tcp_of(&flight.octets);
        let new = !tcp.payload().is_empty() && !seen.contains(&tcp.seq());
        again += u32::from(!tcp.payload().is_empty() && !new);
        assert_eq!(flight.octets[1] & 3, if new { 2 } else { 0 }, "{}", common::describe(flight));
        seen.push(tcp.seq());
        if tcp.payload().is_empty() {
            seen.pop();
        }
    }
    assert!(again > 0, "the lost packet went again");
}
