//! The urgent mechanism between two endpoints (U1 to U10).

mod common;

use std::time::Duration;

use common::{Pair, forge, octets, plain, sent_by, tcp_of};
use hairpin_tcp::{Config, ConnectionId, EndpointConfig, Error, Event, Urgent, WindowProbe};
use rules::urgent::profiles::{Extraction, Superseded};
use rules::urgent::{Delivery, PROFILES, Pointer};
use wire::tcp::Flags;

fn open(config: Config) -> (Pair, (ConnectionId, ConnectionId)) {
    let b = EndpointConfig { connection: config.clone(), ..EndpointConfig::default() };
    let mut pair = Pair::with(EndpointConfig::default(), b);
    let ids = pair.open(config);
    pair.events_b.clear();
    (pair, ids)
}

fn told(pair: &mut Pair) -> Vec<Urgent> {
    pair.transmit();
    let urgent = |event| if let Event::Urgent(_, news) = event { Some(news) } else { None };
    pair.events_b.drain(..).filter_map(urgent).collect()
}

// covers: U1, U2, U4, U5, U6
#[test]
fn urgent_mode_is_entered_advances_and_is_left_and_no_read_crosses_the_mark() {
    for pointer in [Pointer::Following, Pointer::Last] {
        let (mut pair, (a, b)) = open(plain().pointer(pointer));
        pair.a.send(a, b"normal", pair.now).unwrap();
        pair.run(Duration::from_millis(300));
        assert_eq!(told(&mut pair), []);
        pair.a.send_urgent(a, b"urge", pair.now).unwrap();
        pair.run(Duration::from_millis(300));
        assert_eq!(told(&mut pair), [Urgent::Entered]);
        assert_eq!(pair.b.info(b).unwrap().urgent, 10, "what lay there unread has become urgent");
        pair.a.send_urgent(a, b"nt", pair.now).unwrap();
        pair.a.send(a, b"after", pair.now).unwrap();
        pair.run(Duration::from_millis(300));
        assert_eq!(told(&mut pair), [Urgent::Advanced]);
        let mut buf = [0; 100];
        let read = pair.b.recv(b, &mut buf, pair.now).unwrap();
        assert_eq!((&buf[..read.len], read.urgent, read.at_mark), (&b"normalurgent"[..], true, true));
        assert_eq!((told(&mut pair), pair.b.info(b).unwrap().urgent), (vec![Urgent::Left], 0));
        let read = pair.b.recv(b, &mut buf, pair.now).unwrap();
        assert_eq!((&buf[..read.len], read.urgent), (&b"after"[..], false));
    }
}

// covers: U6, U7
#[test]
fn out_of_band_octets_leave_the_stream_and_the_ones_replaced_are_counted() {
    for (kept, left, lost) in [(1, &b"3"[..], 2), (2, b"23", 1), (16, b"123", 0)] {
        let (mut pair, (a, b)) = open(plain().out_of_band(kept));
        for urgent in [b"a1", b"b2", b"c3"] {
            pair.a.send_urgent(a, urgent, pair.now).unwrap();
            pair.run(Duration::from_millis(300));
        }
        assert_eq!(pair.b.counters().urgent_lost, lost);
        assert_eq!(pair.read_all(b, false), b"abc");
        for &octet in left {
            assert_eq!((pair.b.recv_urgent(b, true), pair.b.recv_urgent(b, false)), (Ok(octet), Ok(octet)));
        }
        assert_eq!(pair.b.recv_urgent(b, false), Err(Error::NoUrgent));
    }
}

// covers: U3, U8
#[test]
fn urgent_data_beyond_the_pointers_reach_is_announced_step_by_step() {
    let (mut pair, (a, b)) = open(plain());
    let data = octets(200_000);
    assert_eq!(pair.a.send_urgent(a, &data, pair.now), Ok(data.len()));
    let una = pair.a.info(a).unwrap().snd_una;
    let end = una.plus(data.len() as u32);
    let mut most = 0;
    let mut read = vec![];
    while read.len() < data.len() {
        pair.run(Duration::from_millis(50));
        most = most.max(pair.b.info(b).unwrap().urgent);
        read.extend(pair.read_all(b, false));
    }
    assert_eq!(read, data);
    assert!(most > 65_535, "{most}");
    let told = told(&mut pair);
    assert_eq!((told.first(), told.last()), (Some(&Urgent::Entered), Some(&Urgent::Left)));
    assert!(told.contains(&Urgent::Advanced));
    let log: Vec<_> = pair.log.iter().filter(|flight| flight.from_a).collect();
    let texts = log.iter().map(|flight| tcp_of(&flight.octets)).filter(|tcp| !tcp.payload().is_empty());
    for tcp in texts {
        let ahead = end.distance_from(tcp.seq()).min(65_535) as u16;
        assert!(tcp.flags().contains(Flags::URG) && tcp.urgent() == ahead, "each segment: {ahead}");
    }
}

// covers: U8
#[test]
fn an_urgent_write_into_a_closed_window_is_told_by_the_probe() {
    for window_probe in
        [WindowProbe::NextOctet, WindowProbe::OctetAtUna, WindowProbe::OldOctet, WindowProbe::Empty]
    {
        let (mut pair, (a, b)) = open(Config { receive_buffer: 8, window_probe, ..plain() });
        pair.a.send(a, b"12345678", pair.now).unwrap();
        pair.run(Duration::from_millis(300));
        assert_eq!(pair.b.info(b).unwrap().rcv_wnd, 0);
        pair.a.send_urgent(a, b"9!", pair.now).unwrap();
        pair.run(Duration::from_secs(5));
        assert_eq!(told(&mut pair), [Urgent::Entered], "{window_probe:?}");
        assert_eq!(pair.b.info(b).unwrap().urgent, 10);
    }
}

// covers: U9, U10
#[test]
fn any_pointer_is_survived_and_the_stream_stays_whole() {
    for urgent in [0u16, 1, 2, 5, 6, 1_000, 65_535] {
        for offset in [0u32, 3, 5u32.wrapping_neg(), 1 << 31] {
            let (mut pair, ids) = open(plain());
            pair.a.send(ids.0, b"before", pair.now).unwrap();
            pair.run(Duration::from_millis(300));
            forge(&mut pair, ids, true, &[], |segment| {
                segment.flags = Flags::ACK | Flags::URG;
                (segment.urgent, segment.seq) = (urgent, segment.seq.plus(offset));
            });
            pair.a.send(ids.0, b"after", pair.now).unwrap();
            pair.run(Duration::from_millis(300));
            assert_eq!(pair.read_all(ids.1, false), b"beforeafter", "{urgent} {offset}");
        }
    }
}

// covers: U9
#[test]
fn a_pointer_after_the_fin_is_ignored() {
    let (mut pair, ids) = open(plain());
    pair.a.shutdown(ids.0, pair.now).unwrap();
    pair.run(Duration::from_millis(300));
    forge(&mut pair, ids, true, &[], |segment| {
        (segment.flags, segment.urgent) = (Flags::ACK | Flags::URG, 100);
    });
    assert_eq!((told(&mut pair), pair.b.info(ids.1).unwrap().urgent), (vec![], 0));
    assert!(sent_by(&mut pair.b, pair.now).is_empty());
}

/// The table of the guide, from the code.
fn table_of_hosts() -> String {
    let mut table = "| profile | system | pointer, sent | pointer, received | the octet before the mark | not in the appendix |\n\
                     |---|---|---|---|---|---|\n"
        .to_owned();
    let pointer = |pointer: Pointer| match pointer {
        Pointer::Following => "following",
        Pointer::Last => "last",
    };
    for host in PROFILES {
        let names: Vec<_> = [host.name].iter().chain(host.aliases).map(|name| format!("`{name}`")).collect();
        let octet = match (host.delivery, host.extraction, host.superseded) {
            (Delivery::InLine, ..) => "in line".to_owned(),
            (Delivery::OutOfBand { octets }, Extraction::OnArrival, _) => {
                format!("out of band, {octets} kept; cut out when its own segment announces it")
            }
            (Delivery::OutOfBand { octets }, _, Superseded::ReturnsToStream) => {
                format!(
                    "out of band, {octets} kept; back in the stream if a newer mark comes before it is read"
                )
            }
            (Delivery::OutOfBand { octets }, ..) => format!("out of band, {octets} kept"),
        };
        let assumed: Vec<_> = host.assumed.iter().map(|what| format!("{what:?}")).collect();
        table += &format!(
            "| {} | {} | {} | {} | {octet} | {} |\n",
            names.join(", "),
            host.system,
            pointer(host.send),
            pointer(host.receive),
            assumed.join(", ")
        );
    }
    table
}

// covers: U11
#[test]
fn the_guide_has_every_host_as_the_table_has_it() {
    const MARKS: [&str; 2] = ["<!-- generated: profiles -->\n", "<!-- end -->"];
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/urgent.md");
    let guide = std::fs::read_to_string(&path).expect("the guide");
    let (before, rest) = guide.split_once(MARKS[0]).expect("a place for the table");
    let (_, after) = rest.split_once(MARKS[1]).expect("its end");
    let wanted = [before, MARKS[0], &table_of_hosts(), MARKS[1], after].concat();
    if std::env::var_os("HAIRPIN_BLESS").is_some() {
        std::fs::write(&path, &wanted).expect("written");
    } else {
        assert!(guide == wanted, "run with HAIRPIN_BLESS=1");
    }
}
