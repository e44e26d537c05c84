//! The capture formats and virtual time, with gateways that do as little as possible.

use nat::{Event, Offload, Packet, Realm, Transmit, Verdict};
use proptest::prelude::*;
use rules::Instant;

use super::capture::{Capture, Item, Order};
use super::gateway::{Gateway, Stopped, Translation};
use super::link::Sides;
use super::summary::Summary;

/// Sends everything on as it is, and notes when it came and when time was told.
#[derive(Default)]
struct Wire {
    seen: Vec<u64>,
    due: Vec<u64>,
    ended: Vec<u64>,
    /// Answers each packet from inside with a packet of one octet.
    answers: bool,
    waiting: Option<Transmit>,
}

impl Gateway for Wire {
    fn handle(&mut self, packet: Packet<'_>, now: Instant) -> Verdict {
        self.seen.push(now.as_nanos());
        if self.answers {
            self.waiting =
                Some(Transmit { to: packet.from, len: 1, offload: Offload::default(), shard: None });
        }
        Verdict::Forward(packet.from.other())
    }

    fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        buffer[0] = 0xAA;
        self.waiting.take()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().copied().map(Instant::from_nanos)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.ended.push(now.as_nanos());
        self.due.retain(|&due| due > now.as_nanos());
    }

    fn poll_event(&mut self) -> Option<Event> {
        None
    }
}

fn config() -> nat::Config {
    let inside = "10.0.0.0/8".parse().expect("a prefix");
    let pool = "192.0.2.1".parse().expect("an address");
    nat::Config::new(vec![inside], vec![nat::config::Pool::new(vec![pool..=pool], 1_024..=65_535)])
}

/// What comes out of `file`, the totals, and why it ended early if it did.
fn through(file: &[u8], wire: &mut Wire) -> (Vec<u8>, Summary, Option<Stopped>) {
    let (config, sides) = (config(), Sides::default());
    let (mut output, mut summary) = (Vec::new(), Summary::default());
    let stopped = match Capture::open(file, "test") {
        Ok(mut capture) => {
            Translation::new(&config, &sides, wire, &mut output, &mut summary).run(&mut capture).err()
        }
        Err(error) => Some(Stopped::Input(error)),
    };
    (output, summary, stopped)
}

/// An Ethernet frame with an IPv4 header from `source`, and `tail` octets behind it.
fn frame(source: [u8; 4], tail: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(source);
    frame.extend([198, 51, 100, 9]);
    frame.resize(frame.len() + tail, 0x77);
    frame
}

fn number(order: Order, value: u32) -> [u8; 4] {
    order.octets(value)
}

fn short(order: Order, value: u16) -> [u8; 2] {
    match order {
        Order::Little => value.to_le_bytes(),
        Order::Big => value.to_be_bytes(),
    }
}

/// A pcap file of Ethernet frames.
fn pcap(order: Order, magic: u32, frames: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = number(order, magic).to_vec();
    file.extend(short(order, 2));
    file.extend(short(order, 4));
    for field in [0, 0, 65_535, 1] {
        file.extend(number(order, field));
    }
    for (seconds, fraction, frame) in frames {
        let length = frame.len() as u32;
        for field in [*seconds, *fraction, length, length] {
            file.extend(number(order, field));
        }
        file.extend(frame);
    }
    file
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = number(order, body.len() as u32 + 12);
    [&number(order, kind)[..], &length, &body, &length].concat()
}

fn section(order: Order) -> Vec<u8> {
    let body = [&number(order, 0x1A2B_3C4D)[..], &short(order, 1), &short(order, 0), &[0xFF; 8]].concat();
    block(order, 0x0A0D_0D0A, &body)
}

fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = [&short(order, code)[..], &short(order, value.len() as u16), value].concat();
    option.resize(option.len().next_multiple_of(4), 0);
    option
}

fn interface(order: Order, link: u16, options: &[u8]) -> Vec<u8> {
    let body = [&short(order, link)[..], &short(order, 0), &number(order, 65_535), options].concat();
    block(order, 1, &body)
}

fn enhanced(order: Order, interface: u32, ticks: u64, frame: &[u8], options: &[u8]) -> Vec<u8> {
    let length = frame.len() as u32;
    let fields = [interface, (ticks >> 32) as u32, ticks as u32, length, length];
    let mut body: Vec<u8> = fields.iter().flat_map(|&field| number(order, field)).collect();
    body.extend(frame);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(options);
    block(order, 6, &body)
}

/// Two interfaces, each kind of packet block, options, and blocks that are nobody's business.
fn pcapng(order: Order) -> Vec<u8> {
    let nanoseconds = option(order, 9, &[9]);
    let comment = [option(order, 1, b"a comment"), option(order, 0, &[])].concat();
    let simple = [&number(order, 41)[..], &frame([10, 0, 0, 3], 7)].concat();
    let obsolete = {
        let frame = frame([10, 0, 0, 4], 2);
        let length = number(order, frame.len() as u32);
        let head = [&short(order, 1)[..], &short(order, 5), &number(order, 0), &number(order, 99)].concat();
        [&head[..], &length, &length, &frame].concat()
    };
    [
        section(order),
        interface(order, 1, &[]),
        interface(order, 1, &[nanoseconds, option(order, 0, &[])].concat()),
        enhanced(order, 0, 7_000_000, &frame([10, 0, 0, 1], 3), &comment),
        block(order, 4, b"names of hosts"),
        enhanced(order, 1, 8_000_000_001, &frame([10, 0, 0, 2], 0), &[]),
        block(order, 3, &simple),
        block(order, 2, &obsolete),
        block(order, 5, &[0; 12]),
        block(order, 0x0BAD, b"from elsewhere"),
    ]
    .concat()
}

fn packets(file: &[u8]) -> usize {
    let mut capture = Capture::open(file, "output").expect("the output begins well");
    let mut count = 0;
    while let Some(item) = capture.next().expect("the output is whole") {
        count += usize::from(matches!(item, Item::Packet(_)));
    }
    count
}

// covers: O1
#[test]
fn pcap_of_either_order_and_resolution_comes_out_as_it_was() {
    let frames = [(5, 999_999, frame([10, 0, 0, 1], 0)), (6, 1, frame([10, 0, 0, 2], 31))];
    for order in [Order::Little, Order::Big] {
        for (magic, unit) in [(0xA1B2_C3D4, 1_000), (0xA1B2_3C4D, 1)] {
            let file = pcap(order, magic, &frames);
            let mut wire = Wire::default();
            let (output, summary, stopped) = through(&file, &mut wire);
            assert!(stopped.is_none(), "{stopped:?}");
            assert_eq!(output, file);
            assert_eq!((summary.packets_in, summary.packets_out, summary.outbound), (2, 2, 2));
            assert_eq!(wire.seen, [0, 1_000_000_000 - 999_998 * unit]);
        }
    }
}

// covers: O1
#[test]
fn pcapng_of_either_order_comes_out_as_it_was() {
    for order in [Order::Little, Order::Big] {
        let file = pcapng(order);
        let mut wire = Wire::default();
        let (output, summary, stopped) = through(&file, &mut wire);
        assert!(stopped.is_none(), "{stopped:?}");
        assert_eq!(output, file);
        assert_eq!(summary.packets_in, 4);
        // 7 s in microseconds; 8.000000001 s in nanoseconds; no time; 99 ns, which is before: never back.
        assert_eq!(wire.seen, [0, 1_000_000_001, 1_000_000_001, 1_000_000_001]);
    }
}

// covers: O1
#[test]
fn sections_of_different_orders_follow_one_another() {
    let file = [pcapng(Order::Little), pcapng(Order::Big)].concat();
    let (output, summary, stopped) = through(&file, &mut Wire::default());
    assert!(stopped.is_none(), "{stopped:?}");
    assert_eq!(output, file);
    assert_eq!(summary.packets_out, 8);
}

// covers: O1
#[test]
fn the_length_of_a_section_and_the_hash_of_a_frame_are_not_kept() {
    let order = Order::Big;
    let mut head = section(order);
    head[16..24].copy_from_slice(&1_000_u64.to_be_bytes());
    let options =
        [option(order, 3, &[2, 1, 2, 3, 4]), option(order, 1, b"kept"), option(order, 0, &[])].concat();
    let frame = frame([10, 0, 0, 1], 1);
    let file = [head, interface(order, 1, &[]), enhanced(order, 0, 1, &frame, &options)].concat();
    let kept = [option(order, 1, b"kept"), option(order, 0, &[])].concat();
    let expected = [section(order), interface(order, 1, &[]), enhanced(order, 0, 1, &frame, &kept)].concat();
    assert_eq!(through(&file, &mut Wire::default()).0, expected);
}

// covers: O1, O7
#[test]
fn a_file_cut_at_any_octet_gives_the_whole_packets_before_the_cut() {
    let frames = [(5, 9, frame([10, 0, 0, 1], 0)), (6, 1, frame([10, 0, 0, 2], 5))];
    for file in [pcap(Order::Little, 0xA1B2_C3D4, &frames), pcapng(Order::Big)] {
        let mut clean = 0;
        for length in 0..file.len() {
            let (output, summary, stopped) = through(&file[..length], &mut Wire::default());
            match stopped {
                Some(Stopped::Input(error)) => {
                    let told = error.to_string();
                    assert!(error.offset <= length as u64 && !error.remedy.is_empty(), "{told}");
                    assert_eq!(error.packet, summary.packets_in + 1, "{told}");
                    assert!(told.contains("cut short") || length == 0, "{told}");
                }
                Some(Stopped::Output(error)) => unreachable!("{error}"),
                None => clean += 1,
            }
            if !output.is_empty() {
                assert_eq!(packets(&output) as u64, summary.packets_in);
            }
        }
        assert!(clean >= 2, "a cut between two pieces is no damage");
    }
}

// covers: O1
#[test]
fn damage_names_packet_octet_and_remedy() {
    let order = Order::Little;
    let good = pcap(order, 0xA1B2_C3D4, &[(5, 9, frame([10, 0, 0, 1], 0))]);
    let record = |captured: u32| [0, 0, captured, captured].map(|field| number(order, field)).concat();
    let mut strange_link = good.clone();
    strange_link[20..24].copy_from_slice(&number(order, 147));
    let mut version = good.clone();
    version[4] = 9;
    let known = [section(order), interface(order, 1, &[])].concat();
    let strange =
        [section(order), interface(order, 147, &[]), enhanced(order, 0, 0, &frame([10, 0, 0, 1], 0), &[])];
    let nowhere = [known.clone(), enhanced(order, 1, 0, &frame([10, 0, 0, 1], 0), &[])].concat();
    let mut unequal = [known.clone(), block(order, 4, b"abcd")].concat();
    let end = unequal.len() - 4;
    unequal[end] ^= 1;
    let odd = [known.clone(), number(order, 4).to_vec(), number(order, 13).to_vec()].concat();
    let resolution = [section(order), interface(order, 1, &option(order, 9, &[20]))].concat();
    let cases: [(Vec<u8>, &str); 11] = [
        (Vec::new(), "test: the file is empty (packet 1, octet 0)"),
        (b"#!/bin/sh\n".to_vec(), "no capture file"),
        (vec![0x1F, 0x8B, 8, 0], "this is a gzip file"),
        (strange_link, "link type 147 is not known here"),
        (version, "pcap version 9.4 is not known here"),
        (
            [good.clone(), record(u32::MAX)].concat(),
            "a packet of 4294967295 octets: the file is damaged here (packet 2, octet 74)",
        ),
        (strange.concat(), "link type 147 is not known here"),
        (nowhere, "a packet of interface 1, which the file does not describe"),
        (unequal, "the two lengths of a block differ"),
        (odd, "a block of 13 octets is impossible"),
        (resolution, "a timestamp resolution of 0x14 is impossible"),
    ];
    for (file, expected) in cases {
        let (_, _, stopped) = through(&file, &mut Wire::default());
        let Some(Stopped::Input(error)) = stopped else { unreachable!("{expected}") };
        assert!(error.to_string().contains(expected), "{error} says {expected}");
        assert!(!error.remedy.is_empty());
    }
}

// covers: O1
#[test]
fn what_is_due_ends_at_its_moment_and_time_never_goes_back() {
    let second = 1_000_000_000;
    let at = |seconds: u32| (seconds, 0, frame([10, 0, 0, 1], 0));
    let file = pcap(Order::Little, 0xA1B2_3C4D, &[at(100), at(105), at(101), at(110)]);
    let mut wire = Wire { due: vec![2 * second, 5 * second, 7 * second, 60 * second], ..Wire::default() };
    let (_, _, stopped) = through(&file, &mut wire);
    assert!(stopped.is_none(), "{stopped:?}");
    assert_eq!(wire.seen, [0, 5 * second, 5 * second, 10 * second]);
    assert_eq!(wire.ended, [2 * second, 5 * second, 7 * second], "and not what is due after the end");
}

// covers: O1, B4
#[test]
fn what_the_gateway_makes_goes_back_with_addresses_swapped() {
    let order = Order::Little;
    let file =
        [section(order), interface(order, 1, &option(order, 9, &[6])), interface(order, 113, &[])].concat();
    let mut cooked = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 0x08, 0];
    cooked.extend_from_slice(&frame([10, 0, 0, 2], 0)[14..]);
    let packets =
        [enhanced(order, 0, 70, &frame([10, 0, 0, 1], 0), &[]), enhanced(order, 1, 80, &cooked, &[])];
    let made = [
        enhanced(order, 0, 70, &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0, 0xAA], &[]),
        enhanced(order, 1, 80, &[0, 4, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0, 0xAA], &[]),
    ];
    let input = [&file[..], &packets[0], &packets[1]].concat();
    let expected = [&file[..], &packets[0], &made[0], &packets[1], &made[1]].concat();
    let mut wire = Wire { answers: true, ..Wire::default() };
    let (output, summary, _) = through(&input, &mut wire);
    assert_eq!(output, expected);
    assert_eq!((summary.made, summary.packets_out), (2, 4));
}

// covers: O1
#[test]
fn what_is_not_the_gateways_business_is_counted_and_left_out() {
    let order = Order::Little;
    let mut cut = pcap(order, 0xA1B2_C3D4, &[(1, 0, frame([10, 0, 0, 1], 0))]);
    cut[24 + 12] += 1;
    let mut arp = frame([10, 0, 0, 1], 0);
    arp[13] = 6;
    let others =
        pcap(order, 0xA1B2_C3D4, &[(1, 0, arp), (1, 0, frame([172, 16, 0, 1], 0)), (1, 0, vec![0; 9])]);
    cut.extend_from_slice(&others[24..]);
    let (output, summary, stopped) = through(&cut, &mut Wire::default());
    assert!(stopped.is_none(), "{stopped:?}");
    assert_eq!(output.len(), 24, "the header alone");
    let left_out = summary.left_out;
    assert_eq!((left_out.cut_by_the_capture, left_out.not_ipv4, left_out.neither_side), (1, 1, 1));
    assert_eq!(summary.dropped.get("link-truncated"), Some(&1));
}

// covers: O1
#[test]
fn the_side_is_told_by_mac_or_interface_where_one_is_given() {
    let record = |interface| {
        let order = Order::Little;
        let file = [
            section(order),
            interface_pair(order),
            enhanced(order, interface, 0, &frame([10, 0, 0, 1], 0), &[]),
        ];
        let file = file.concat();
        let mut capture = Capture::open(file.as_slice(), "test").expect("a file");
        loop {
            if let Some(Item::Packet(record)) = capture.next().expect("whole") {
                return record;
            }
        }
    };
    let side = |sides: &Sides, interface| {
        let record = record(interface);
        let frame = wire::link::locate(record.place.link, &record.data).expect("a frame");
        sides.side(&config(), &record, &frame)
    };
    let by_interface = Sides { inside_interfaces: vec![1], ..Sides::default() };
    assert_eq!(side(&by_interface, 0), Some(Realm::Outside));
    assert_eq!(side(&by_interface, 1), Some(Realm::Inside));
    let mac = |text: &str| Sides { inside_macs: vec![text.parse().expect("a MAC")], ..Sides::default() };
    assert_eq!(side(&mac("02:00:00:00:00:02"), 0), Some(Realm::Inside));
    assert_eq!(side(&mac("02:00:00:00:00:01"), 0), Some(Realm::Outside));
    assert_eq!(side(&Sides::default(), 0), Some(Realm::Inside));
}

fn interface_pair(order: Order) -> Vec<u8> {
    [interface(order, 1, &[]), interface(order, 1, &[])].concat()
}

proptest! {
    // covers: O1, O7
    #[test]
    fn a_damaged_file_never_makes_it_panic(
        big in any::<bool>(),
        ng in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let order = if big { Order::Big } else { Order::Little };
        let frames = [(5, 9, frame([10, 0, 0, 1], 0)), (6, 1, frame([10, 0, 0, 2], 5))];
        let mut file = if ng { pcapng(order) } else { pcap(order, 0xA1B2_C3D4, &frames) };
        for (place, octet) in changes {
            let place = place.index(file.len());
            file[place] = octet;
        }
        let mut wire = Wire { answers: true, due: vec![1, u64::MAX - 1], ..Wire::default() };
        let (output, summary, stopped) = through(&file, &mut wire);
        if !output.is_empty() {
            prop_assert_eq!(packets(&output) as u64, summary.packets_out);
        }
        if let Some(Stopped::Input(error)) = stopped {
            prop_assert!(error.offset <= file.len() as u64);
        }
    }
}
