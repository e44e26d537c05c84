//! A connection's life: opening, text, closing, in every order of closing.

mod common;

use std::time::Duration;

use common::{Pair, octets};
use hairpin_tcp::{Config, Error, Event, Reason, State};

// covers: T1
#[test]
fn a_connection_opens_carries_text_and_closes() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config::default());
    assert!(pair.events_a.contains(&Event::Connected(a)));
    let data = octets(300_000);
    assert_eq!(pair.transfer(a, b, &data), data);
    pair.a.shutdown(a, pair.now).unwrap();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.a.info(a).unwrap().state, State::FinWait2);
    assert_eq!(pair.b.info(b).unwrap().state, State::CloseWait);
    assert_eq!(pair.b.recv(b, &mut [0; 10], pair.now).unwrap().len, 0, "the end of the stream");

    // Half-close: the other direction goes on.
    pair.b.send(b, b"still here", pair.now).unwrap();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.read_all(a, true), b"still here");
    pair.b.close(b, pair.now);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.a.info(a).unwrap().state, State::TimeWait);
    assert_eq!(pair.b.connections(), 0);
    pair.a.close(a, pair.now);
    assert_eq!((pair.a.connections(), pair.a.time_waits()), (0, 1));
    pair.run(Duration::from_secs(61));
    assert_eq!(pair.a.time_waits(), 0);
    assert_eq!(pair.a.buffer_octets() + pair.b.buffer_octets(), 0);
}

// covers: T1
#[test]
fn nobody_listens() {
    let mut pair = Pair::new();
    let a = pair.connect(9, Config::default());
    pair.run(Duration::from_millis(100));
    assert!(pair.events_a.contains(&Event::Closed(a, Reason::Refused)));
    assert_eq!(pair.a.send(a, b"x", pair.now), Err(Error::Closed(Reason::Refused)));
    pair.a.close(a, pair.now);
    assert_eq!(pair.a.info(a), None);
    assert_eq!(pair.a.connections(), 0);
}

// covers: T1
#[test]
fn an_abort_resets_the_peer() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config::default());
    pair.a.send(a, b"lost with it", pair.now).unwrap();
    pair.a.abort(a, pair.now);
    pair.run(Duration::from_millis(100));
    assert!(pair.events_b.contains(&Event::Closed(b, Reason::Reset)));
    assert_eq!(pair.b.recv(b, &mut [0; 10], pair.now), Err(Error::Closed(Reason::Reset)));
}

// covers: T1
#[test]
fn closing_with_text_unread_resets() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config::default());
    pair.a.send(a, b"nobody reads this", pair.now).unwrap();
    pair.run(Duration::from_millis(100));
    pair.b.close(b, pair.now);
    pair.run(Duration::from_millis(100));
    assert!(pair.events_a.contains(&Event::Closed(a, Reason::Reset)));
}

// covers: T6
#[test]
fn text_arrives_whole_through_loss() {
    for lost_every in [6, 10, 30] {
        let mut pair = Pair::new();
        let (a, b) = pair.open(Config::default());
        let mut state = 1u64;
        pair.lose = Box::new(move |_, _| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33).is_multiple_of(lost_every)
        });
        let data = octets(400_000);
        assert_eq!(pair.transfer(a, b, &data), data);
    }
}
