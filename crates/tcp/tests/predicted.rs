//! Text in order is copied before it is known to be undamaged: nobody may ever notice.

mod common;

use std::time::Duration;

use common::{Pair, octets};
use hairpin_tcp::{Checksum, Config, Error};

/// The next packet of A, as it is sent.
fn packet(pair: &mut Pair) -> Vec<u8> {
    let mut buf = vec![0; 1_500];
    let sent = pair.a.poll_transmit(&mut buf, pair.now).expect("something to send");
    buf.truncate(sent.len);
    buf
}

// covers: T6
#[test]
fn damaged_text_in_order_leaves_nothing_behind() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config::default());
    let data = octets(1_000);
    pair.a.send(a, &data, pair.now).unwrap();
    let whole = packet(&mut pair);
    let before = pair.b.info(b);
    for at in [20, 24, 32, 36, 38, 52, 60, 700, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        pair.b.handle_packet(&damaged, Checksum::Verify, pair.now);
        assert_eq!(pair.b.info(b), before, "octet {at}");
        assert_eq!(pair.b.recv(b, &mut [0; 10], pair.now), Err(Error::WouldBlock));
        assert_eq!(pair.b.buffer_octets(), 0, "octet {at}");
    }
    assert_eq!(pair.b.counters().malformed, 9);
    pair.b.handle_packet(&whole, Checksum::Verify, pair.now);
    assert_eq!(pair.read_all(b, false), data);
}

// covers: T6
#[test]
fn what_is_trusted_is_not_summed_and_what_is_not_is() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config::default());
    pair.a.send(a, b"to be summed by the link", pair.now).unwrap();
    let mut partial = packet(&mut pair);
    partial[36] ^= 0xFF;
    pair.b.handle_packet(&partial, Checksum::Verify, pair.now);
    assert_eq!(pair.b.info(b).unwrap().unread, 0);
    pair.b.handle_packet(&partial, Checksum::Trusted, pair.now);
    assert_eq!(pair.read_all(b, false), b"to be summed by the link");
}

/// Out of order, twice, and both ways at once: then it is no expected segment, and comes out the same.
#[test]
fn expected_and_unexpected_segments_give_one_stream() {
    let mut pair = Pair::new();
    let (a, b) = pair.open(Config::default());
    let data = octets(6_000);
    pair.a.send(a, &data, pair.now).unwrap();
    let packets: Vec<_> = (0..4).map(|_| packet(&mut pair)).collect();
    for index in [0, 2, 2, 1, 0, 3] {
        pair.b.handle_packet(&packets[index], Checksum::Verify, pair.now);
    }
    pair.b.send(b, &data[..2_000], pair.now).unwrap();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.read_all(b, false), data);
    assert_eq!(pair.read_all(a, true), data[..2_000]);
}
