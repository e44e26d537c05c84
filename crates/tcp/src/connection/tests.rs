//! What takes 2^32 octets to come about, set up by hand.

use core::net::{Ipv4Addr, SocketAddrV4};

use wire::craft;
use wire::tcp::{Flags, Tcp};

use super::*;
use crate::output::{Link, Next, Out};
use crate::segment::Segment;

const LINK: Link = Link { mtu: 1_500, super_segment: 0, checksum_offload: false, ttl: 64 };

// covers: T1, T12
#[test]
fn after_2_to_the_32_octets_no_syn_stands_at_iss_again() {
    let endpoint = |last, port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), port);
    let tuple = Tuple { local: endpoint(1, 80), remote: endpoint(2, 5_000) };
    let (iss, now) = (SeqNumber(7_000), Instant::from_secs(9));
    let config = Arc::new(Config { timestamps: false, ..Config::default() });
    let mut connection = Connection::new(tuple, config, State::Established, iss, 0, 1_500, now);
    // SND.UNA has gone round once, and all that was sent is acknowledged.
    (connection.syn_acked, connection.syn_due, connection.snd_wnd) = (true, false, 65_535);
    (connection.rcv_nxt, connection.rcv_adv) = (SeqNumber(1), SeqNumber(60_001));
    let (mut pool, limits, mut counters) = (Pool::new(1 << 20), Limits::default(), Counters::default());
    let mut cx = Context { now, pool: &mut pool, limits: &limits, counters: &mut counters };

    assert_eq!(connection.write(b"wrapped", false, &mut cx), Ok(7));
    assert_eq!((connection.data_start(), connection.unsent()), (iss, 7));
    let Next::Send(out @ Out::Text { seq, len: 7, .. }) = connection.next(now, &LINK) else {
        panic!("{:?}", connection.next(now, &LINK));
    };
    assert_eq!(seq, iss);
    let mut buf = [0; 100];
    let sent = connection.write_out(out, &mut buf, &mut cx, &LINK, 0).expect("it fits");
    assert_eq!(&buf[sent.header_len..sent.len], b"wrapped");

    let mut buf = [0; 100];
    let ack = craft::Segment {
        seq: SeqNumber(1),
        ack: iss.plus(7),
        window: 65_535,
        ..craft::Segment::new(5_000, 80, Flags::ACK)
    };
    let header = craft::Header::new(*tuple.remote.ip(), *tuple.local.ip());
    let len = craft::tcp(&mut buf, &header, &ack, &[]).expect("it fits");
    let tcp = Tcp::new(&buf[20..len]).expect("a segment");
    assert!(connection.input(Segment::read(&tcp, false), &mut cx).is_none());
    assert_eq!((connection.snd_una, connection.send.len()), (iss.plus(7), 0));
    connection.clear(&mut pool);
}
