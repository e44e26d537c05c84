//! RFC 5961: RST, SYN and ACK from somebody who guesses.

mod common;

use common::{Pair, forge, plain, sent_by, tcp_of};
use hairpin_tcp::{Config, ConnectionId, EndpointConfig, Error, Event, Limits, Reason, State};
use wire::tcp::Flags;

fn open() -> (Pair, (ConnectionId, ConnectionId)) {
    let limits = Limits { challenge_acks: 3, ..Limits::default() };
    let b = EndpointConfig { connection: plain(), limits, ..EndpointConfig::default() };
    let mut pair = Pair::with(EndpointConfig::default(), b);
    let ids = pair.open(plain());
    (pair, ids)
}

// covers: T2, S7
#[test]
fn a_forged_rst_leaves_the_session_alone_and_is_challenged_in_the_window() {
    for (offset, answered) in [(1i64, true), (60_000, true), (-1, false), (-2, false), (1 << 30, false)] {
        let (mut pair, ids) = open();
        forge(&mut pair, ids, true, &[], |segment| {
            (segment.flags, segment.seq) = (Flags::RST, segment.seq.plus(offset as u32));
        });
        let packets = sent_by(&mut pair.b, pair.now);
        assert_eq!(packets.len(), usize::from(answered), "{offset}");
        let info = pair.b.info(ids.1).unwrap();
        assert_eq!(info.state, State::Established);
        for packet in &packets {
            let tcp = tcp_of(packet);
            assert_eq!((tcp.flags(), tcp.seq(), tcp.ack()), (Flags::ACK, info.snd_nxt, info.rcv_nxt));
        }
    }
}

// covers: T2
#[test]
fn an_exact_rst_resets_and_what_was_unread_is_gone_rather_than_zero() {
    let (mut pair, ids) = open();
    pair.a.send(ids.0, b"unread", pair.now).unwrap();
    pair.run(std::time::Duration::from_millis(100));
    forge(&mut pair, ids, true, &[], |segment| segment.flags = Flags::RST);
    pair.transmit();
    assert!(pair.events_b.contains(&Event::Closed(ids.1, Reason::Reset)));
    assert_eq!(pair.b.recv(ids.1, &mut [0; 10], pair.now), Err(Error::Closed(Reason::Reset)));
    let info = pair.b.info(ids.1).unwrap();
    assert_eq!((info.unread, info.unsent, pair.b.buffer_octets()), (0, 0, 0));
}

// covers: T2, S7
#[test]
fn a_syn_is_challenged_wherever_it_lies() {
    for offset in [0u32, 1, 5_000, 1 << 31, 1u32.wrapping_neg(), 2u32.wrapping_neg()] {
        let (mut pair, ids) = open();
        forge(&mut pair, ids, true, &[], |segment| {
            (segment.flags, segment.seq) = (Flags::SYN, segment.seq.plus(offset));
        });
        let packets = sent_by(&mut pair.b, pair.now);
        assert_eq!(packets.len(), 1, "{offset}");
        assert_eq!(tcp_of(&packets[0]).flags(), Flags::ACK);
        assert_eq!(pair.b.info(ids.1).unwrap().state, State::Established);
    }
}

// covers: T2
#[test]
fn an_ack_of_what_was_never_sent_or_long_ago_brings_no_text_in() {
    let windows = [(1u32, true), (1 << 30, true), (0, false)];
    for (offset, refused) in windows {
        let (mut pair, ids) = open();
        forge(&mut pair, ids, true, b"forged", |segment| segment.ack = segment.ack.plus(offset));
        assert_eq!(pair.b.info(ids.1).unwrap().unread, if refused { 0 } else { 6 }, "{offset}");
    }
    let (mut pair, ids) = open();
    forge(&mut pair, ids, true, b"forged", |segment| segment.ack = segment.ack.minus(1 << 29));
    assert_eq!((pair.b.info(ids.1).unwrap().unread, pair.b.counters().ack_too_old), (0, 1));
}

// covers: T2
#[test]
fn challenges_are_bounded_and_the_bound_is_for_an_interval() {
    let (mut pair, ids) = open();
    let mut answers = 0;
    for _ in 0..10 {
        forge(&mut pair, ids, true, &[], |segment| segment.flags = Flags::SYN);
        answers += sent_by(&mut pair.b, pair.now).len();
    }
    assert_eq!((answers, pair.b.counters().challenge_acks_withheld), (3, 7));
    pair.now = pair.now + Config::default().delayed_ack + Limits::default().challenge_interval;
    forge(&mut pair, ids, true, &[], |segment| segment.flags = Flags::SYN);
    assert_eq!(sent_by(&mut pair.b, pair.now).len(), 1);
}

// covers: S5, S7, T2
#[test]
fn keep_alives_and_the_known_syn_are_answered_but_not_without_bound() {
    let interval = Limits::default().empty_answer_interval;
    for flags in [Flags::ACK, Flags::SYN | Flags::ACK] {
        let (mut pair, ids) = open();
        let flood = |pair: &mut Pair| {
            let mut answers = 0;
            for _ in 0..1_000 {
                forge(pair, ids, true, &[], |segment| {
                    (segment.flags, segment.seq) = (flags, segment.seq.minus(1));
                });
                answers += sent_by(&mut pair.b, pair.now).len();
            }
            answers
        };
        assert_eq!(flood(&mut pair), 1, "{flags:?}");
        assert_eq!(pair.b.counters().empty_answers_withheld, 999);
        pair.now = pair.now + interval - std::time::Duration::from_nanos(1);
        assert_eq!(flood(&mut pair), 0);
        pair.now = pair.now + std::time::Duration::from_nanos(1);
        assert_eq!(flood(&mut pair), 1);
        // What has text is somebody's retransmission: each is answered.
        for _ in 0..5 {
            forge(&mut pair, ids, true, b"x", |segment| segment.seq = segment.seq.minus(1));
            assert_eq!(sent_by(&mut pair.b, pair.now).len(), 1);
        }
    }
}
