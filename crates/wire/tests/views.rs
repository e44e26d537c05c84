//! Views, rewrites, link layers and sequence numbers.
#![allow(clippy::panic)] // A helper of tests fails as a test does.

use hairpin_wire as wire;

mod common;

use common::{tcp, udp};
use wire::ethernet::{EtherType, Mac};
use wire::fragment::FragmentField;
use wire::link::{LinkType, locate};
use wire::tcp::{Flags, Tcp, TcpOption};
use wire::{Malformed, Packet, SeqNumber, Trust, icmpv4::Icmpv4, ipv4::Ipv4, rewrite, udp::Udp};

// What a setter writes its getter reads, and no neighbour changes.
#[test]
fn setters_write_their_own_field_and_no_other() {
    let mut segment = tcp(&[], b"")[20..].to_vec();
    let mut view = Tcp::new(&mut segment[..]).expect("a segment");
    view.set_source_port(0x0102);
    view.set_destination_port(0x0304);
    view.set_seq(SeqNumber(0x0506_0708));
    view.set_ack(SeqNumber(0x090A_0B0C));
    view.set_flags(Flags::SYN | Flags::URG);
    view.set_window(0x0F10);
    view.set_checksum(0x1112);
    view.set_urgent(0x1314);
    let expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x50, 0x22, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14];
    assert_eq!(view.octets(), expected);
    assert_eq!((view.window(), view.urgent(), view.flags()), (0x0F10, 0x1314, Flags(0x22)));

    let mut packet = udp(b"");
    let mut view = Ipv4::new(&mut packet[..]).expect("a packet");
    view.set_tos(0xB8);
    view.set_identification(0xABCD);
    view.set_fragment(FragmentField::new(true, false, 0));
    view.set_ttl(3);
    view.set_source([1, 2, 3, 4].into());
    view.set_destination([5, 6, 7, 8].into());
    view.fill_checksum();
    assert!(view.checksum_is_valid());
    assert_eq!(view.octets()[..10], [0x45, 0xB8, 0, 28, 0xAB, 0xCD, 0x40, 0, 3, 17]);
    assert_eq!(view.octets()[12..20], [1, 2, 3, 4, 5, 6, 7, 8]);
    let key = view.datagram_key();
    assert_eq!((key.identification, key.protocol), (0xABCD, 17));
}

#[test]
fn filled_checksums_are_those_that_parsing_verifies() {
    for mut packet in [tcp(&[2, 4, 5, 0xB4], b"odd"), udp(b"odd"), common::echo(b"odd")] {
        let (source, destination) = (common::header().source, common::header().destination);
        let protocol = packet[9];
        let payload = &mut packet[20..];
        match protocol {
            6 => {
                let mut view = Tcp::new(payload).expect("a segment");
                view.payload_mut()[0] = b'x';
                view.fill_checksum(source, destination);
            }
            17 => {
                let mut view = Udp::new(payload).expect("a datagram");
                view.payload_mut()[0] = b'x';
                view.fill_checksum(source, destination);
            }
            _ => {
                let mut view = Icmpv4::new(payload).expect("a message");
                view.payload_mut()[0] = b'x';
                view.fill_checksum();
            }
        }
        assert!(Packet::parse(&packet, Trust::Verify).is_ok(), "protocol {protocol}");
    }
}

#[test]
fn every_kind_of_tcp_option_is_typed() {
    let parse = |octets: &'static [u8]| wire::tcp::OptionsIter::new(octets).collect::<Vec<_>>();
    assert_eq!(parse(&[2, 4, 5, 0xB4]), [Ok(TcpOption::MaximumSegmentSize(1_460))]);
    assert_eq!(parse(&[1, 3, 3, 14]), [Ok(TcpOption::WindowScale(14))]);
    assert_eq!(parse(&[4, 2, 0, 9]), [Ok(TcpOption::SackPermitted)]);
    let timestamps = TcpOption::Timestamps { value: 0x0102_0304, echo_reply: 0x0506_0708 };
    assert_eq!(parse(&[8, 10, 1, 2, 3, 4, 5, 6, 7, 8]), [Ok(timestamps)]);
    assert_eq!(parse(&[19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]).len(), 1);
    let authentication = TcpOption::Authentication { key_id: 1, next_key_id: 2, mac: &[3, 4] };
    assert_eq!(parse(&[29, 6, 1, 2, 3, 4]), [Ok(authentication)]);
    assert_eq!(parse(&[34, 2]), [Ok(TcpOption::FastOpen(&[]))]);
    assert_eq!(parse(&[34, 6, 1, 2, 3, 4]), [Ok(TcpOption::FastOpen(&[1, 2, 3, 4]))]);
    assert_eq!(parse(&[253, 3, 9]), [Ok(TcpOption::Unknown { kind: 253, data: &[9] })]);
    let blocks = parse(&[5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]);
    let [Ok(TcpOption::Sack(blocks))] = blocks[..] else { panic!("not SACK but {blocks:?}") };
    let edges: Vec<_> = blocks.map(|(left, right)| (left.0, right.0)).collect();
    assert_eq!(edges, [(1, 2), (3, 4)]);
}

#[test]
fn a_tcp_option_of_wrong_length_is_an_error_and_the_last() {
    let wrong: [&[u8]; 11] = [
        &[2, 3, 0],
        &[3, 2],
        &[4, 3, 0],
        &[5, 2],
        &[5, 9, 0, 0, 0, 0, 0, 0, 0],
        &[8, 9, 0, 0, 0, 0, 0, 0, 0],
        &[19, 4, 0, 0],
        &[29, 3, 0],
        &[2, 1, 0, 0],
        &[2],
        &[2, 5, 0, 0],
    ];
    for octets in wrong {
        let octets = [&[4, 2], octets, &[1, 1]].concat();
        let options: Vec<_> = wire::tcp::OptionsIter::new(&octets).collect();
        assert_eq!(options, [Ok(TcpOption::SackPermitted), Err(Malformed::TcpOption)], "{octets:?}");
    }
}

// A Fast Open cookie of impossible length is to be ignored (RFC 7413 4.1.1).
#[test]
fn a_cookie_of_impossible_length_is_no_fast_open() {
    let options: Vec<_> = wire::tcp::OptionsIter::new(&[34, 5, 1, 2, 3]).collect();
    assert_eq!(options, [Ok(TcpOption::Unknown { kind: 34, data: &[1, 2, 3] })]);
}

#[test]
fn an_option_can_be_changed_where_the_iterator_found_it() {
    let mut packet = tcp(&[1, 1, 1, 1, 2, 4, 5, 0xB4, 4, 2, 1, 1], b"");
    let mut view = Tcp::new(&mut packet[20..]).expect("a segment");
    let mut options = view.options();
    assert_eq!(options.next(), Some(Ok(TcpOption::MaximumSegmentSize(1_460))));
    let at = options.offset();
    assert_eq!(at, 4);
    assert_eq!((options.next(), options.offset()), (Some(Ok(TcpOption::SackPermitted)), 8));
    view.options_mut()[at + 2..at + 4].copy_from_slice(&1_400u16.to_be_bytes());
    assert_eq!(view.options().next(), Some(Ok(TcpOption::MaximumSegmentSize(1_400))));
}

// A translation by deltas is, to the octet, the packet that the builder makes for the new addresses.
#[test]
fn rewriting_gives_the_packet_that_would_have_been_built() {
    let (source, destination) = ([192, 0, 2, 1].into(), [203, 0, 113, 5].into());
    let after = wire::craft::Header { source, destination, ttl: 63, identification: 9, ..common::header() };
    let segment =
        wire::craft::Segment { source_port: 1_024, destination_port: 8_080, ..common::segment(&[]) };
    let built = [
        common::made(|buffer| wire::craft::tcp(buffer, &after, &segment, b"odd")),
        common::made(|buffer| wire::craft::udp(buffer, &after, 1_024, 8_080, b"odd")),
    ];
    for (mut packet, built) in [tcp(&[], b"odd"), udp(b"odd")].into_iter().zip(built) {
        let protocol = packet[9];
        let addresses = rewrite::source(&mut packet, source)
            .and_then(|delta| Some(delta.and(rewrite::destination(&mut packet, destination)?)))
            .expect("the header is here");
        let ports = rewrite::source_port(&mut packet, 20, 1_024)
            .and_then(|delta| Some(delta.and(rewrite::destination_port(&mut packet, 20, 8_080)?)))
            .expect("the header is here");
        rewrite::ttl(&mut packet, 63).expect("the header is here");
        rewrite::identification(&mut packet, 9).expect("the header is here");
        rewrite::transport_checksum(&mut packet, 20, protocol, addresses.and(ports)).expect("it is here");
        assert_eq!(packet, built, "protocol {protocol}");
    }
}

#[test]
fn rewriting_an_identifier_keeps_the_icmp_checksum() {
    let mut packet = common::echo(b"ping");
    let delta = rewrite::icmp_identifier(&mut packet, 20, 0x0102).expect("the header is here");
    rewrite::icmp_checksum(&mut packet, 20, delta).expect("the header is here");
    let query = wire::Transport::IcmpQuery { request: true, identifier: 0x0102 };
    assert_eq!(Packet::parse(&packet, Trust::Verify).map(|packet| packet.transport), Ok(query));
}

// covers: B6
#[test]
fn rewriting_leaves_an_absent_udp_checksum_absent() {
    let mut packet = udp(b"x");
    packet[26..28].fill(0);
    let delta = rewrite::source(&mut packet, [192, 0, 2, 1].into()).expect("the header is here");
    rewrite::transport_checksum(&mut packet, 20, 17, delta).expect("the header is here");
    assert_eq!(packet[26..28], [0, 0]);
}

#[test]
fn a_partial_checksum_is_rewritten_as_a_sum() {
    let mut packet = tcp(&[], b"odd");
    let sum = |packet: &[u8]| {
        let view = Ipv4::new(packet).expect("a packet");
        wire::checksum::Sum::pseudo_header(view.source(), view.destination(), 6, 23).folded()
    };
    let partial = sum(&packet);
    packet[36..38].copy_from_slice(&partial.to_be_bytes());
    let delta = rewrite::source(&mut packet, [192, 0, 2, 1].into()).expect("the header is here");
    rewrite::partial_checksum(&mut packet, 20, 6, delta).expect("the header is here");
    assert_eq!(packet[36..38], sum(&packet).to_be_bytes());
}

#[test]
fn rewriting_what_is_not_there_does_nothing() {
    let whole = tcp(&[], b"");
    for len in 0..20 {
        let mut packet = whole[..len].to_vec();
        assert_eq!(rewrite::source(&mut packet, [1, 2, 3, 4].into()), None);
        assert_eq!(rewrite::destination(&mut packet, [1, 2, 3, 4].into()), None);
        assert_eq!(rewrite::ttl(&mut packet, 1), None);
        assert_eq!(rewrite::identification(&mut packet, 1), None);
        assert_eq!(packet, whole[..len]);
    }
    // A quoted segment cut before its checksum.
    let mut packet = whole[..36].to_vec();
    assert_eq!(rewrite::transport_checksum(&mut packet, 20, 6, wire::checksum::Delta::u16(1, 2)), None);
    assert_eq!(packet, whole[..36]);
}

const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
const B: [u8; 6] = [2, 0, 0, 0, 0, 2];

#[test]
fn ethernet_with_up_to_two_tags() {
    for (tags, vlans, offset) in [
        (&[][..], [None, None], 14),
        (&[0x81, 0, 0xE0, 5][..], [Some(5), None], 18),
        (&[0x88, 0xA8, 0, 7, 0x81, 0, 0x0F, 0xFF][..], [Some(7), Some(4_095)], 22),
        (&[0x91, 0, 0, 1, 0x81, 0, 0, 0][..], [Some(1), Some(0)], 22),
    ] {
        let frame = [&B[..], &A, tags, &[8, 0], &[0x45]].concat();
        let found = locate(LinkType::Ethernet, &frame).expect("a frame");
        assert_eq!((found.source, found.destination), (Some(Mac(A)), Some(Mac(B))));
        assert_eq!((found.ethertype, found.network_offset, found.vlans), (EtherType::IPV4, offset, vlans));
        for len in 0..offset {
            assert_eq!(locate(LinkType::Ethernet, &frame[..len]), Err(Malformed::LinkTruncated), "{len}");
        }
    }
}

#[test]
fn a_third_tag_is_one_too_many() {
    let frame = [&B[..], &A, &[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0]].concat();
    assert_eq!(locate(LinkType::Ethernet, &frame), Err(Malformed::VlanDepth));
}

#[test]
fn ethernet_frames_built_by_etherparse() {
    let vlan = |id: u16| etherparse::VlanId::try_new(id).expect("12 bits");
    let mut octets = vec![];
    etherparse::PacketBuilder::ethernet2(A, B)
        .double_vlan(vlan(100), vlan(200))
        .ipv4([1, 2, 3, 4], [5, 6, 7, 8], 64)
        .udp(1, 2)
        .write(&mut octets, b"x")
        .expect("a vector takes everything");
    let found = locate(LinkType::Ethernet, &octets).expect("a frame");
    assert_eq!(found.vlans, [Some(100), Some(200)]);
    assert!(Packet::parse(&octets[found.network_offset..], Trust::Verify).is_ok());
}

#[test]
fn linux_cooked_frames_of_both_versions() {
    let v1 = [&[0, 0, 0, 1, 0, 6][..], &A, &[0, 0], &[8, 0], &[0x45]].concat();
    let found = locate(LinkType::LinuxSll, &v1).expect("a frame");
    assert_eq!((found.ethertype, found.network_offset, found.source), (EtherType::IPV4, 16, Some(Mac(A))));
    assert_eq!(found.destination, None);
    assert_eq!(locate(LinkType::LinuxSll, &v1[..15]), Err(Malformed::LinkTruncated));

    let v2 = [&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6][..], &A, &[0, 0], &[0x45]].concat();
    let found = locate(LinkType::LinuxSll2, &v2).expect("a frame");
    assert_eq!((found.ethertype, found.network_offset, found.source), (EtherType::IPV4, 20, Some(Mac(A))));
    assert_eq!(locate(LinkType::LinuxSll2, &v2[..19]), Err(Malformed::LinkTruncated));

    // A device without Ethernet addresses (PPP) has none to give.
    let ppp = [&[0, 4, 2, 0, 0, 0][..], &[0; 8], &[8, 0]].concat();
    assert_eq!(locate(LinkType::LinuxSll, &ppp).map(|found| found.source), Ok(None));
}

#[test]
fn raw_and_loopback_frames() {
    let found = |link, frame: &[u8]| locate(link, frame).map(|found| (found.ethertype, found.network_offset));
    assert_eq!(found(LinkType::RawIp, &[0x45]), Ok((EtherType::IPV4, 0)));
    assert_eq!(found(LinkType::RawIp, &[0x60]), Ok((EtherType::IPV6, 0)));
    assert_eq!(found(LinkType::RawIp, &[0x10]), Ok((EtherType::UNKNOWN, 0)));
    assert_eq!(found(LinkType::RawIp, &[]), Err(Malformed::LinkTruncated));
    assert_eq!(found(LinkType::Null, &[2, 0, 0, 0]), Ok((EtherType::IPV4, 4)));
    assert_eq!(found(LinkType::Null, &[0, 0, 0, 2]), Ok((EtherType::IPV4, 4)));
    assert_eq!(found(LinkType::Null, &[0, 0, 0, 30]), Ok((EtherType::IPV6, 4)));
    assert_eq!(found(LinkType::Null, &[0, 0, 2]), Err(Malformed::LinkTruncated));
}

#[test]
fn link_types_have_the_numbers_of_capture_files() {
    for (number, link) in [
        (0, LinkType::Null),
        (1, LinkType::Ethernet),
        (101, LinkType::RawIp),
        (113, LinkType::LinuxSll),
        (276, LinkType::LinuxSll2),
    ] {
        assert_eq!(LinkType::from_number(number), Some(link));
        assert_eq!(link.number(), number);
    }
    // IEEE 802.11.
    assert_eq!(LinkType::from_number(105), None);
}

#[test]
fn macs_are_read_as_they_are_written() {
    let mac = Mac([2, 0, 0x5E, 0x10, 0xAB, 0xFF]);
    assert_eq!(mac.to_string(), "02:00:5e:10:ab:ff");
    assert_eq!("02:00:5E:10:ab:ff".parse(), Ok(mac));
    assert_eq!("02-00-5e-10-ab-ff".parse(), Ok(mac));
    for text in ["", "02:00:5e:10:ab", "02:00:5e:10:ab:ff:00", "2:0:5e:10:ab:ff", "02:00:5e:10:ab:+f"] {
        assert!(text.parse::<Mac>().is_err(), "{text}");
    }
}

// A circle has no order: at the two places where plain numbers break.
#[test]
fn sequence_numbers_around_2_to_the_31_and_2_to_the_32() {
    let at = SeqNumber;
    for start in [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF] {
        let start = at(start);
        assert!(!start.before(start) && !start.after(start));
        assert!(start.before(start.plus(1)) && start.plus(1).after(start));
        assert!(start.before(start.plus(0x7FFF_FFFF)));
        let opposite = start.plus(0x8000_0000);
        assert!(!start.before(opposite) && !start.after(opposite));
        assert!(start.after(start.plus(0x8000_0001)));
        assert_eq!(start.minus(1).plus(1), start);
        assert_eq!(start.plus(5).distance_from(start), 5);
        assert!(start.plus(4).in_window(start, 5) && !start.plus(5).in_window(start, 5));
        assert!(!start.in_window(start, 0) && !start.minus(1).in_window(start, 5));
    }
}
