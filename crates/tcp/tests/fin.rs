//! A peer that says first that there is more, and then that there is not; and SYNs that cross.

mod common;

use common::{A, B, Pair, forge, plain, sent_by, tcp_of};
use hairpin_tcp::{Checksum, State};
use std::net::SocketAddrV4;
use wire::tcp::Flags;
use wire::{SeqNumber, craft};

// covers: T1
#[test]
fn the_reader_comes_to_the_end_although_text_was_held_beyond_the_fin() {
    // Where the held text lies, where the segment with the FIN begins, and its text; then what is missing.
    let rows: [(u32, &str, u32, &str, &str); 5] = [
        (3, "zzzzzz", 3, "", "abc"),
        (2, "czzzzz", 3, "", "ab"),
        (4, "zzzzzz", 0, "abcd", ""),
        (3, "dzzzzz", 0, "abcd", ""),
        (9, "zzzzzz", 0, "abcd", ""),
    ];
    for (held, text, fin, last, missing) in rows {
        let (text, last, missing) = (text.as_bytes(), last.as_bytes(), missing.as_bytes());
        let mut pair = Pair::new();
        let ids = pair.open(plain());
        forge(&mut pair, ids, true, text, |segment| segment.seq = segment.seq.plus(held));
        forge(&mut pair, ids, true, last, |segment| {
            (segment.flags, segment.seq) = (Flags::FIN | Flags::ACK, segment.seq.plus(fin));
        });
        if !missing.is_empty() {
            forge(&mut pair, ids, true, missing, |_| {});
        }
        let whole: &[u8] = if last.is_empty() { b"abc" } else { b"abcd" };
        assert_eq!(pair.read_all(ids.1, false), whole, "{held} {fin}");
        let end = pair.b.recv(ids.1, &mut [0; 10], pair.now).map(|read| read.len);
        assert_eq!((end, pair.b.info(ids.1).unwrap().state), (Ok(0), State::CloseWait), "{held} {fin}");
        assert_eq!(pair.b.counters().text_behind_fin, 1);
    }
}

// covers: T3
#[test]
fn the_window_of_a_crossing_syn_ack_is_not_scaled() {
    let mut pair = Pair::new();
    let (from, to) = (SocketAddrV4::new(A, 5_000), SocketAddrV4::new(B, 80));
    let a = pair.a.connect(from, to, plain(), pair.now).expect("free");
    let iss = tcp_of(&sent_by(&mut pair.a, pair.now)[0]).seq();
    for (flags, ack) in [(Flags::SYN, SeqNumber(0)), (Flags::SYN | Flags::ACK, iss.plus(1))] {
        let options = [3, 3, 7, 0];
        let segment = craft::Segment {
            seq: SeqNumber(77),
            ack,
            window: 1_000,
            options: &options,
            ..craft::Segment::new(80, 5_000, flags)
        };
        let mut buf = [0; 100];
        let len = craft::tcp(&mut buf, &craft::Header::new(B, A), &segment, &[]).expect("it fits");
        pair.a.handle_packet(&buf[..len], Checksum::Verify, pair.now);
        sent_by(&mut pair.a, pair.now);
    }
    let info = pair.a.info(a).unwrap();
    assert_eq!((info.state, info.snd_wnd, info.window_scaling), (State::Established, 1_000, true));
}
