//! Timers at their exact edges, and the probes that only a setting believes.

mod common;

use std::time::Duration;

use common::{Pair, forge, plain};
use hairpin_tcp::{Config, EndpointConfig, Event, Reason, State};

// covers: S9
#[test]
fn the_ack_of_a_probe_of_three_octets_is_used_only_where_it_is_asked_for() {
    for any_probe in [true, false] {
        let b = EndpointConfig { connection: Config { any_probe, ..plain() }, ..EndpointConfig::default() };
        let mut pair = Pair::with(EndpointConfig::default(), b);
        let ids = pair.open(plain());
        let before = pair.b.info(ids.1).expect("open");
        // A peer that probes with three octets and does not move its SND.NXT ...
        forge(&mut pair, ids, true, b"abc", |_| {});
        assert_eq!(pair.read_all(ids.1, false), b"abc");
        pair.b.send(ids.1, b"answer", pair.now).expect("room");
        let _ = common::sent_by(&mut pair.b, pair.now);
        let sent = pair.b.info(ids.1).expect("open");
        assert_eq!(sent.snd_nxt, before.snd_nxt.plus(6));
        // ... acknowledges from where the probe began.
        forge(&mut pair, ids, true, b"", |segment| {
            (segment.seq, segment.ack) = (before.rcv_nxt, sent.snd_nxt);
        });
        let una = pair.b.info(ids.1).expect("open").snd_una;
        assert_eq!(una == sent.snd_nxt, any_probe);
        assert!(pair.read_all(ids.1, false).is_empty(), "no octet is delivered twice");
    }
}

// covers: T8
#[test]
fn fin_wait_2_of_a_closed_application_lasts_as_long_as_is_set_and_for_ever_while_it_is_held() {
    let limit = Duration::from_secs(60);
    let mut pair = Pair::new();
    let (a, _) = pair.open(Config { fin_wait_2: Some(limit), ..Config::default() });
    pair.a.shutdown(a, pair.now).expect("open");
    pair.run(Duration::from_secs(3_600));
    assert_eq!(pair.a.info(a).map(|info| info.state), Some(State::FinWait2), "it may still want to read");
    pair.a.close(a, pair.now);
    pair.run(limit - Duration::from_nanos(1));
    assert_eq!(pair.a.connections(), 1);
    pair.run(Duration::from_nanos(1));
    assert_eq!(pair.a.connections(), 0);
}

// covers: T8
#[test]
fn the_user_timeout_ends_a_connection_to_the_nanosecond_and_not_while_acks_come() {
    let limit = Duration::from_secs(5);
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config { user_timeout: Some(limit), ..Config::default() });
    let data = common::octets(20_000);
    assert_eq!(pair.transfer(a, b, &data), data);
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.a.info(a).map(|info| info.state), Some(State::Established), "nothing waits");
    pair.lose = Box::new(|_, _| true);
    pair.a.send(a, b"into the void", pair.now).expect("room");
    pair.run(limit - Duration::from_nanos(1));
    assert_eq!(pair.a.info(a).map(|info| info.state), Some(State::Established));
    pair.run(Duration::from_nanos(1));
    assert!(pair.events_a.contains(&Event::Closed(a, Reason::TimedOut)));
}

// covers: T8
#[test]
fn an_ack_waits_for_its_time_and_not_a_tick_longer() {
    let delay = Duration::from_millis(40);
    let mut pair = Pair::new();
    let (a, _) = pair.open(Config::default());
    pair.a.send(a, b"one small segment", pair.now).expect("room");
    pair.run(pair.delay);
    let before = pair.log.len();
    pair.run(delay - Duration::from_nanos(1));
    assert_eq!(pair.log.len(), before, "it waits for company");
    pair.run(Duration::from_nanos(1));
    assert_eq!(pair.log.len(), before + 1);
    assert!(!pair.log[before].from_a);
}

// covers: T8
#[test]
fn a_window_once_offered_is_not_taken_back_by_a_smaller_buffer() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config::default());
    let edge = |pair: &Pair| {
        let info = pair.b.info(b).expect("open");
        info.rcv_nxt.plus(info.rcv_wnd)
    };
    let offered = edge(&pair);
    pair.b.configure(b, pair.now, |config| config.receive_buffer = 4_096).expect("open");
    pair.a.send(a, &common::octets(10_000), pair.now).expect("room");
    pair.run(Duration::from_secs(1));
    assert!(!edge(&pair).before(offered));
    assert_eq!(pair.read_all(b, false).len(), 10_000, "what was offered is taken");
}

// covers: T4
#[test]
fn initial_numbers_grow_with_the_clock_and_differ_from_one_tuple_to_the_next() {
    let mut pair = Pair::new();
    let iss = |pair: &mut Pair, port| {
        let local = std::net::SocketAddrV4::new(common::A, 5_000);
        let remote = std::net::SocketAddrV4::new(common::B, port);
        let id = pair.a.connect(local, remote, Config::default(), pair.now).expect("free");
        let iss = pair.a.info(id).expect("open").snd_una;
        pair.a.abort(id, pair.now);
        iss
    };
    let (first, other) = (iss(&mut pair, 80), iss(&mut pair, 81));
    assert_ne!(first, other);
    pair.now = pair.now + Duration::from_millis(4);
    assert_eq!(iss(&mut pair, 80), first.plus(1_000), "4 us a number");
}

// covers: S5, T2, T12
#[test]
fn an_octet_that_nobody_sent_does_not_make_both_ends_answer_one_another_for_ever() {
    let mut pair = Pair::with(
        EndpointConfig { connection: plain(), ..EndpointConfig::default() },
        EndpointConfig { connection: plain(), ..EndpointConfig::default() },
    );
    let ids = pair.open(plain());
    let before = pair.log.len();
    forge(&mut pair, ids, false, b"x", |_| {});
    pair.run(Duration::from_secs(4));
    assert!(pair.log.len() - before < 60, "{} segments", pair.log.len() - before);
}
