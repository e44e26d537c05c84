//! Timers at their edges: keep-alive, the SYN's retransmission, probes of a closed window.

mod common;

use std::time::Duration;

use common::{Pair, forge, octets, plain, sent_by, tcp_of};
use hairpin_tcp::{Config, EndpointConfig, Event, KeepAlive, Reason, State, WindowProbe};
use rules::Instant;
use wire::tcp::Flags;

/// What an endpoint that is woken at its own time sends until `until`, and when.
fn alone(pair: &mut Pair, until: Instant) -> Vec<(Instant, Vec<u8>)> {
    let mut sent = vec![];
    while let Some(due) = pair.a.poll_timeout().filter(|&due| due <= until) {
        pair.now = pair.now.max(due);
        pair.a.handle_timeout(pair.now);
        sent.extend(sent_by(&mut pair.a, pair.now).into_iter().map(|packet| (pair.now, packet)));
        assert!(pair.a.poll_timeout().is_none_or(|due| due > pair.now), "due again");
    }
    sent
}

// covers: T8
#[test]
fn keep_alives_go_out_after_silence_at_their_interval_and_end_a_dead_connection() {
    let (idle, interval) = (Duration::from_secs(100), Duration::from_secs(7));
    let keep_alive = KeepAlive { idle, interval, probes: 3, garbage_octet: true };
    let mut pair = Pair::new();
    let (a, _) = pair.open(Config { keep_alive: Some(keep_alive), ..plain() });
    let (heard, una) =
        (Instant::from_secs(1_000) + Duration::from_millis(20), pair.a.info(a).unwrap().snd_una);
    let sent = alone(&mut pair, Instant::from_secs(2_000));
    let times: Vec<Duration> = sent.iter().map(|(at, _)| at.since(heard)).collect();
    assert_eq!(times, [idle, idle + interval, idle + interval * 2]);
    for (_, packet) in &sent {
        let tcp = tcp_of(packet);
        assert_eq!(
            (tcp.seq(), tcp.payload()),
            (una.minus(1), &[0][..]),
            "an octet of nothing, checksum right"
        );
    }
    pair.transmit();
    assert!(pair.events_a.contains(&Event::Closed(a, Reason::TimedOut)));
}

// covers: T8
#[test]
fn keep_alives_that_were_missed_are_not_made_up_for() {
    for settings in [(100, 7), (0, 0)] {
        let (idle, interval) = (Duration::from_secs(settings.0), Duration::from_secs(settings.1));
        let keep_alive = KeepAlive { idle, interval, probes: 200, garbage_octet: false };
        let mut pair = Pair::new();
        let (a, _) = pair.open(Config { keep_alive: Some(keep_alive), ..plain() });
        pair.now = pair.now + Duration::from_secs(1_000);
        pair.a.handle_timeout(pair.now);
        assert_eq!(sent_by(&mut pair.a, pair.now).len(), 1);
        assert!(pair.a.poll_timeout().is_some_and(|due| due > pair.now));
        assert_eq!(pair.a.info(a).unwrap().state, State::Established);
    }
}

// covers: T8
#[test]
fn a_lost_syn_ack_comes_again_after_the_initial_timeout_with_and_without_sack() {
    for sack in [true, false] {
        let mut pair = Pair::new();
        pair.listen(80);
        let start = pair.now;
        pair.connect(80, Config { sack, ..plain() });
        let syn = sent_by(&mut pair.a, start);
        pair.b.handle_packet(&syn[0], hairpin_tcp::Checksum::Verify, start);
        assert_eq!(sent_by(&mut pair.b, start).len(), 1);
        let due = pair.b.poll_timeout().unwrap();
        assert_eq!(due.since(start), Config::default().initial_rto);
        pair.b.handle_timeout(due);
        let again = sent_by(&mut pair.b, due);
        assert_eq!(tcp_of(&again[0]).flags(), Flags::SYN | Flags::ACK, "sack {sack}");
    }
}

// covers: S5, T8
#[test]
fn a_probe_of_nothing_never_stands_where_text_is_in_flight() {
    for window_probe in [WindowProbe::OldOctet, WindowProbe::Empty] {
        let mut pair = Pair::with(
            EndpointConfig::default(),
            EndpointConfig { connection: plain(), ..EndpointConfig::default() },
        );
        let ids = pair.open(Config { window_probe, ..plain() });
        let data = octets(3_000);
        pair.a.send(ids.0, &data, pair.now).unwrap();
        assert!(sent_by(&mut pair.a, pair.now).len() > 1, "all of it is lost");
        let una = pair.a.info(ids.0).unwrap().snd_una;
        // The window is taken back to nothing.
        forge(&mut pair, ids, false, &[], |segment| segment.window = 0);
        let probes = alone(&mut pair, Instant::from_secs(1_030));
        let probes: Vec<_> = probes.iter().map(|(_, packet)| tcp_of(packet)).collect();
        assert!(!probes.is_empty());
        for probe in probes {
            let old = probe.seq().plus(probe.payload().len() as u32).before(una.plus(1));
            let from = probe.seq().distance_from(una) as usize;
            assert!(old || data[from..].starts_with(probe.payload()), "{window_probe:?}: {probe:?}");
        }
    }
}

// covers: T8
#[test]
fn an_ack_waits_for_an_answer_in_a_conversation_and_shortly_in_a_stream() {
    let mut pair = Pair::new();
    let ids = pair.open(plain());
    let delay = Config::default().delayed_ack;
    let waits = |pair: &mut Pair, answers: bool| {
        let start = pair.now;
        forge(pair, ids, true, &[1], |_| {});
        let due = pair.b.poll_timeout().expect("an ACK is owed");
        assert!(sent_by(&mut pair.b, start).is_empty());
        pair.now = due;
        pair.b.handle_timeout(due);
        if answers {
            pair.b.send(ids.1, &[2], due).unwrap();
        }
        assert_eq!(sent_by(&mut pair.b, due).len(), 1);
        due.since(start)
    };
    for _ in 0..16 {
        assert_eq!(waits(&mut pair, false), delay);
    }
    assert_eq!(waits(&mut pair, false), delay / 8);
    assert_eq!(waits(&mut pair, true), delay / 8);
    // The answer is acknowledged, so that no timer of its own is next.
    let snd_nxt = pair.b.info(ids.1).unwrap().snd_nxt;
    forge(&mut pair, ids, true, &[], |segment| segment.ack = snd_nxt);
    assert_eq!(waits(&mut pair, false), delay, "text of ours went the other way");
}
