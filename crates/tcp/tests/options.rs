//! What is negotiated: on where both have it, off where one lacks it (T12), and it works in each case.

mod common;

use std::time::Duration;

use common::{Flight, Pair, octets, tcp_of};
use hairpin_tcp::{Config, EndpointConfig, Event, KeepAlive, Limits, Reason, State};
use wire::tcp::{Flags, TcpOption};

fn config(bits: u32) -> Config {
    Config {
        window_scaling: bits & 1 != 0,
        timestamps: bits & 2 != 0,
        sack: bits & 4 != 0,
        ecn: bits & 8 != 0,
        ..Config::default()
    }
}

// covers: T12, T3, T9
#[test]
fn an_option_is_used_if_and_only_if_both_sides_have_it() {
    for (ours, theirs) in (0..16).flat_map(|ours| (0..16).map(move |theirs| (ours, theirs))) {
        let b = EndpointConfig { connection: config(theirs), ..EndpointConfig::default() };
        let mut pair = Pair::with(EndpointConfig::default(), b);
        let (a, b) = pair.open(config(ours));
        let both = ours & theirs;
        for info in [pair.a.info(a).unwrap(), pair.b.info(b).unwrap()] {
            let on = [info.window_scaling, info.timestamps, info.sack, info.ecn];
            assert_eq!(on, [both & 1 != 0, both & 2 != 0, both & 4 != 0, both & 8 != 0], "{ours} {theirs}");
        }
        let data = octets(20_000);
        assert_eq!(pair.transfer(a, b, &data), data);
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn telling(seconds: u64) -> Config {
    Config { told_user_timeout: Some(SECOND * seconds as u32), ..Config::default() }
}

fn told(flight: &Flight) -> Option<Vec<u8>> {
    tcp_of(&flight.octets).options().map_while(Result::ok).find_map(|option| match option {
        TcpOption::Unknown { kind: 28, data } => Some(data.to_vec()),
        _ => None,
    })
}

/// A tells 200 s, B as given; an open connection.
fn told_pair(b: EndpointConfig) -> (Pair, hairpin_tcp::ConnectionId, hairpin_tcp::ConnectionId) {
    let mut pair = Pair::with(EndpointConfig::default(), b);
    let (a, b) = pair.open(telling(200));
    (pair, a, b)
}

// covers: T8
#[test]
fn a_user_timeout_is_told_in_the_syn_and_once_behind_it_and_the_longer_of_both_is_used() {
    let b = EndpointConfig { connection: telling(500), ..EndpointConfig::default() };
    let (mut pair, a, b) = told_pair(b);
    let (data, peer_of) = (octets(20_000), |info: Option<hairpin_tcp::Info>| info.unwrap().peer_user_timeout);
    assert_eq!(pair.transfer(a, b, &data), data, "the option takes its room from the first segment's text");
    pair.run(SECOND);
    assert_eq!(peer_of(pair.a.info(a)), Some(500 * SECOND));
    assert_eq!(peer_of(pair.b.info(b)), Some(200 * SECOND));
    for (from_a, field) in [(true, 200_u16), (false, 500)] {
        let mine: Vec<_> = pair.log.iter().filter(|flight| flight.from_a == from_a).collect();
        let telling: Vec<_> = mine.iter().filter_map(|flight| told(flight)).collect();
        assert_eq!(telling, [field.to_be_bytes().to_vec(), field.to_be_bytes().to_vec()], "{from_a}");
        assert!(told(mine[0]).is_some() && told(mine[1]).is_some());
        assert!(tcp_of(&mine[0].octets).flags().contains(Flags::SYN));
    }
    pair.lose = Box::new(|_, _| true);
    pair.a.send(a, b"into the void", pair.now).unwrap();
    pair.run(500 * SECOND - Duration::from_nanos(1));
    assert_eq!(pair.a.info(a).map(|info| info.state), Some(State::Established), "B may come back until then");
    pair.run(Duration::from_nanos(1));
    assert!(pair.events_a.contains(&Event::Closed(a, Reason::TimedOut)));
}

// covers: T8
#[test]
fn a_timeout_longer_than_all_tries_outlasts_them_and_keep_alives_wait_for_it() {
    let keep_alive = KeepAlive { idle: SECOND, interval: SECOND, probes: 3, garbage_octet: false };
    let ours = Config { retries: 3, keep_alive: Some(keep_alive), ..telling(3_000) };
    let b = EndpointConfig { connection: telling(1), ..EndpointConfig::default() };
    let mut pair = Pair::with(EndpointConfig::default(), b);
    let (a, _) = pair.open(ours);
    let sent = pair.log.len();
    pair.run(2_999 * SECOND);
    assert_eq!(
        pair.log.len(),
        sent,
        "a keep-alive before the agreed time could end what the other end waits for"
    );
    pair.lose = Box::new(|_, _| true);
    pair.a.send(a, b"into the void", pair.now).unwrap();
    pair.run(2_999 * SECOND);
    assert_eq!(pair.a.info(a).map(|info| info.state), Some(State::Established), "three tries are long over");
    pair.run(2 * SECOND);
    assert!(pair.events_a.contains(&Event::Closed(a, Reason::TimedOut)));
}

// covers: T8, T12
#[test]
fn who_does_not_tell_does_not_listen_and_what_the_application_sets_stays() {
    let (pair, a, b) = told_pair(EndpointConfig::default());
    assert_eq!(pair.b.info(b).unwrap().peer_user_timeout, None);
    assert!(pair.log.iter().all(|flight| flight.from_a || told(flight).is_none()));
    assert_eq!(pair.a.info(a).unwrap().peer_user_timeout, None);

    let own = Config { user_timeout: Some(5 * SECOND), ..telling(200) };
    let mut pair = Pair::with(
        EndpointConfig::default(),
        EndpointConfig { connection: telling(500), ..EndpointConfig::default() },
    );
    let (a, _) = pair.open(own);
    pair.lose = Box::new(|_, _| true);
    pair.a.send(a, b"into the void", pair.now).unwrap();
    pair.run(5 * SECOND);
    assert!(pair.events_a.contains(&Event::Closed(a, Reason::TimedOut)));
}

// covers: T8, T10
#[test]
fn a_user_timeout_gets_through_a_cookie() {
    let limits = Limits { half_open: 0, ..Limits::default() };
    let (pair, _, b) =
        told_pair(EndpointConfig { connection: telling(500), limits, ..EndpointConfig::default() });
    assert_eq!(pair.b.info(b).unwrap().peer_user_timeout, Some(200 * SECOND));
}
