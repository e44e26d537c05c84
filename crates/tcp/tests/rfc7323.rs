//! RFC 7323: whose timestamps count, and which segments bear them.

mod common;

use std::time::Duration;

use common::{Pair, forge, sent_by, tcp_of};
use hairpin_tcp::{Config, ConnectionId, EndpointConfig, State};
use wire::tcp::{Flags, Tcp, TcpOption};

fn timestamps(tcp: &Tcp<&[u8]>) -> Option<(u32, u32)> {
    tcp.options().map_while(Result::ok).find_map(|option| match option {
        TcpOption::Timestamps { value, echo_reply } => Some((value, echo_reply)),
        _ => None,
    })
}

/// Two ends, and the TSval that A sent last.
fn open() -> (Pair, (ConnectionId, ConnectionId), u32) {
    let mut pair = Pair::with(EndpointConfig::default(), EndpointConfig::default());
    let ids = pair.open(Config::default());
    pair.a.send(ids.0, b"text", pair.now).expect("room");
    pair.run(Duration::from_millis(100));
    let last = pair.log.iter().rfind(|flight| flight.from_a).expect("A has sent");
    let (value, _) = timestamps(&tcp_of(&last.octets)).expect("timestamps were agreed on");
    (pair, ids, value)
}

fn option(value: u32) -> [u8; 12] {
    let mut octets = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
    octets[4..8].copy_from_slice(&value.to_be_bytes());
    octets
}

/// What B echoes in answer to more text of A.
fn echoed(pair: &mut Pair, ids: (ConnectionId, ConnectionId)) -> u32 {
    pair.a.send(ids.0, b"more", pair.now).expect("room");
    pair.run(Duration::from_millis(100));
    let last = pair.log.iter().rfind(|flight| !flight.from_a).expect("B has answered");
    timestamps(&tcp_of(&last.octets)).expect("timestamps were agreed on").1
}

// covers: T3
#[test]
fn a_timestamp_from_the_future_does_no_harm_unless_its_ack_can_be_believed() {
    let future = 1 << 30;
    for flags in [Flags::ACK, Flags::RST | Flags::ACK, Flags::SYN | Flags::ACK] {
        let (mut pair, ids, last) = open();
        let options: &[u8] = Box::leak(Box::new(option(last.wrapping_add(future))));
        forge(&mut pair, ids, true, b"", |segment| {
            // In the window, but acknowledging what was never sent; a RST is merely inexact.
            (segment.seq, segment.ack) = (segment.seq.plus(1), segment.ack.plus(1 << 20));
            segment.flags = flags;
            segment.options = options;
        });
        pair.transmit();
        let echo = echoed(&mut pair, ids);
        assert!(echo.wrapping_sub(last) < 10_000, "{flags:?} has poisoned TS.Recent: {echo} after {last}");
        assert_eq!(pair.read_all(ids.1, false), b"textmore");
    }
}

// covers: T3
#[test]
fn an_old_timestamp_is_answered_and_its_text_is_not_taken_but_a_rst_is_exempt() {
    let (mut pair, ids, last) = open();
    let old = option(last.wrapping_sub(1_000));
    forge(&mut pair, ids, true, b"old", |segment| segment.options = Box::leak(Box::new(old)));
    let packets = sent_by(&mut pair.b, pair.now);
    assert_eq!(packets.len(), 1, "an old duplicate is answered with an ACK");
    assert_eq!(pair.b.counters().paws, 1);
    assert_eq!(pair.read_all(ids.1, false), b"text");
    forge(&mut pair, ids, true, b"", |segment| {
        segment.flags = Flags::RST;
        segment.options = Box::leak(Box::new(old));
    });
    assert_eq!(pair.b.info(ids.1).map(|info| info.state), Some(State::Closed));
}

// covers: T3
#[test]
fn a_segment_without_timestamps_is_dropped_in_silence_once_they_were_agreed_on() {
    let (mut pair, ids, _) = open();
    forge(&mut pair, ids, true, b"bare", |_| {});
    assert!(sent_by(&mut pair.b, pair.now).is_empty());
    assert_eq!(pair.b.counters().timestamp_missing, 1);
    assert_eq!(pair.read_all(ids.1, false), b"text");
}

// covers: T3
#[test]
fn a_reset_bears_our_timestamp_when_the_application_aborts_and_the_peers_when_a_segment_provoked_it() {
    let (mut pair, ids, _) = open();
    pair.a.abort(ids.0, pair.now);
    let packets = sent_by(&mut pair.a, pair.now);
    let (value, echo) = timestamps(&tcp_of(&packets[0])).expect("timestamps were agreed on");
    assert!(value != 0 && echo != 0);

    // A has no connection any more: what B sends now is answered with its own timestamp.
    pair.b.send(ids.1, b"to nobody", pair.now).expect("room");
    let text = sent_by(&mut pair.b, pair.now);
    let (sent, _) = timestamps(&tcp_of(&text[0])).expect("timestamps were agreed on");
    pair.a.handle_packet(&text[0], hairpin_tcp::Checksum::Verify, pair.now);
    let packets = sent_by(&mut pair.a, pair.now);
    let reset = tcp_of(&packets[0]);
    assert!(reset.flags().contains(Flags::RST));
    assert_eq!(timestamps(&reset), Some((0, sent)));
}
