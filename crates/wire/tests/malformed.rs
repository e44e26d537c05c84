//! Each reason at its edge: what is just right is accepted, one octet less (or more) is refused.

use hairpin_wire as wire;

mod common;

use common::{cut, echo, fill_ipv4, fill_transport, fragment, icmp_error, tcp, udp, with};
use wire::{Fragment, Malformed, Options, Packet, Transport, Trust};

fn parse(octets: &[u8]) -> Result<Packet, Malformed> {
    Packet::parse(octets, Trust::Verify)
}

#[track_caller]
fn accepted(octets: &[u8]) -> Packet {
    parse(octets).expect("it is well-formed")
}

#[track_caller]
fn refused(octets: &[u8], reason: Malformed) {
    assert_eq!(parse(octets), Err(reason));
}

#[test]
fn ipv4_truncated_below_20_octets() {
    let packet = cut(fragment(47, 0, false, b""), 20);
    accepted(&packet);
    for len in 0..20 {
        refused(&packet[..len], Malformed::Ipv4Truncated);
    }
}

#[test]
fn ipv4_version_other_than_4() {
    accepted(&with(udp(b""), 0, &[0x45]));
    for version in (0..16).filter(|version| *version != 4) {
        refused(&with(udp(b""), 0, &[version << 4 | 5]), Malformed::Ipv4Version);
    }
}

#[test]
fn ipv4_header_length_below_20_or_beyond_the_octets() {
    refused(&with(udp(b""), 0, &[0x44]), Malformed::Ipv4HeaderLength);
    refused(&with(udp(b""), 0, &[0x40]), Malformed::Ipv4HeaderLength);
    // 28 octets hold a header of 28 and no more.
    let of_28 = |ihl: u8| with(with(fragment(47, 0, false, &[1; 8]), 0, &[0x40 | ihl]), 0, &[0x40 | ihl]);
    accepted(&of_28(7));
    refused(&of_28(8), Malformed::Ipv4HeaderLength);
}

#[test]
fn ipv4_total_length_below_the_header_or_beyond_the_octets() {
    let packet = fragment(47, 0, false, &[0; 12]);
    let of = |len: u16| with(packet.clone(), 2, &len.to_be_bytes());
    accepted(&of(32));
    refused(&of(33), Malformed::Ipv4TotalLength);
    accepted(&of(20));
    refused(&of(19), Malformed::Ipv4TotalLength);
    refused(&of(0), Malformed::Ipv4TotalLength);
    // Against a header with options.
    let packet = with(with(packet, 0, &[0x46]), 20, &[1, 1, 1, 1]);
    accepted(&with(packet.clone(), 2, &[0, 24]));
    refused(&with(packet, 2, &[0, 23]), Malformed::Ipv4TotalLength);
}

#[test]
fn octets_behind_the_packet_are_not_looked_at() {
    let packet = tcp(&[], b"x");
    let padded = [&packet[..], &[0xFF; 46]].concat();
    assert_eq!(parse(&padded), parse(&packet));
}

#[test]
fn ipv4_checksum_off_by_one_bit() {
    for packet in [udp(b"x"), optioned(&[7, 7, 4, 0, 0, 0, 0, 1])] {
        accepted(&packet);
        let header_len = usize::from(packet[0] & 0x0F) * 4;
        // The first four octets are asked before: version, header length, total length.
        for bit in 4 * 8..header_len * 8 {
            let mut packet = packet.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            refused(&packet, Malformed::Ipv4Checksum);
        }
    }
}

/// A UDP datagram with these IPv4 options.
fn optioned(options: &[u8]) -> Vec<u8> {
    let header = wire::craft::Header { options, ..common::header() };
    common::made(|buffer| wire::craft::udp(buffer, &header, 1, 2, b"x"))
}

#[test]
fn ipv4_option_beyond_the_header_or_of_impossible_length() {
    assert_eq!(accepted(&optioned(&[148, 4, 0, 0])).options, Options::ROUTER_ALERT);
    refused(&optioned(&[148, 5, 0, 0]), Malformed::Ipv4Option);
    refused(&optioned(&[148, 1, 0, 0]), Malformed::Ipv4Option);
    refused(&optioned(&[148, 0, 0, 0]), Malformed::Ipv4Option);
    accepted(&optioned(&[1, 1, 148, 2]));
    refused(&optioned(&[1, 1, 1, 148]), Malformed::Ipv4Option);
    // Behind the end of the list there is only padding.
    assert_eq!(accepted(&optioned(&[0, 148, 200, 0])).options, Options::NONE);
    assert!(accepted(&optioned(&[0; 40])).options.is_empty());
}

#[test]
fn ipv4_options_are_told_apart() {
    for (kind, set) in [
        (131, Options::SOURCE_ROUTE),
        (137, Options::SOURCE_ROUTE),
        (7, Options::RECORD_ROUTE),
        (68, Options::TIMESTAMP),
        (130, Options::OTHER),
    ] {
        assert_eq!(accepted(&optioned(&[1, kind, 3, 4])).options, set, "option {kind}");
    }
    let both = accepted(&optioned(&[131, 3, 4, 1, 7, 3, 4, 0])).options;
    assert_eq!(both, Options::SOURCE_ROUTE | Options::RECORD_ROUTE);
}

// RFC 1812 4.2.2.3: a router does not drop a packet for bits that have no meaning yet.
#[test]
fn the_reserved_flag_is_no_reason() {
    assert_eq!(accepted(&with(udp(b"x"), 6, &[0x80, 0])).fragment, Fragment::Whole);
}

// covers: B3
#[test]
fn fragment_beyond_the_largest_datagram() {
    // 65,504 + 11 octets behind a header of 20 are exactly 65,535.
    accepted(&fragment(17, 65_504, false, &[0; 11]));
    refused(&fragment(17, 65_504, false, &[0; 12]), Malformed::FragmentBeyondEnd);
    refused(&fragment(17, 65_528, true, &[0; 8]), Malformed::FragmentBeyondEnd);
}

// covers: B3
#[test]
fn fragment_length_not_a_multiple_of_8_unless_last() {
    assert_eq!(
        accepted(&fragment(17, 8, true, &[0; 16])).fragment,
        Fragment::Later { offset: 8, last: false }
    );
    refused(&fragment(17, 8, true, &[0; 15]), Malformed::FragmentLength);
    refused(&fragment(17, 8, true, &[0; 17]), Malformed::FragmentLength);
    assert_eq!(
        accepted(&fragment(17, 8, false, &[0; 15])).fragment,
        Fragment::Later { offset: 8, last: true }
    );
    accepted(&fragment(17, 8, false, &[0; 1]));
    refused(&fragment(17, 8, false, b""), Malformed::FragmentLength);
    refused(&fragment(17, 8, true, b""), Malformed::FragmentLength);
    refused(&fragment(17, 0, true, b""), Malformed::FragmentLength);
}

// covers: B3
#[test]
fn fragment_tiny_when_the_first_has_less_than_its_transport_header() {
    let segment = &tcp(&[], &[0; 20])[20..];
    assert_eq!(accepted(&fragment(6, 0, true, &segment[..24])).fragment, Fragment::First);
    refused(&fragment(6, 0, true, &segment[..16]), Malformed::FragmentTiny);
    // 24 octets hold a header of 24 and not one of 28.
    let segment = &tcp(&[1; 4], &[0; 20])[20..];
    accepted(&fragment(6, 0, true, &segment[..24]));
    let segment = &tcp(&[1; 8], &[0; 20])[20..];
    refused(&fragment(6, 0, true, &segment[..24]), Malformed::FragmentTiny);
    // The smallest fragment there can be holds all of UDP's and ICMP's header.
    accepted(&fragment(17, 0, true, &udp(&[0; 16])[20..28]));
    accepted(&fragment(1, 0, true, &echo(&[0; 16])[20..28]));
}

// covers: B3
#[test]
fn fragment_tiny_when_it_would_overwrite_the_flags_of_tcp() {
    refused(&fragment(6, 8, false, &[0; 32]), Malformed::FragmentTiny);
    refused(&fragment(6, 8, true, &[0; 32]), Malformed::FragmentTiny);
    accepted(&fragment(6, 16, false, &[0; 32]));
    accepted(&fragment(17, 8, false, &[0; 32]));
}

#[test]
fn a_later_fragment_has_no_transport_header() {
    for protocol in [1, 6, 17, 47] {
        // All ones would be refused as any header.
        let packet = accepted(&fragment(protocol, 1_480, false, &[0xFF; 8]));
        assert_eq!(packet.transport, Transport::None);
    }
}

#[test]
fn the_checksum_of_a_first_fragment_cannot_be_verified_yet() {
    let mut datagram = udp(&[7; 32])[20..].to_vec();
    datagram[6] ^= 0xFF;
    accepted(&fragment(17, 0, true, &datagram[..16]));
}

#[test]
fn tcp_truncated_below_20_octets() {
    let packet = tcp(&[], b"");
    accepted(&cut(packet.clone(), 40));
    for len in 20..40 {
        refused(&cut(packet.clone(), len), Malformed::TcpTruncated);
    }
}

#[test]
fn tcp_data_offset_below_20_or_beyond_the_segment() {
    let packet = tcp(&[], &[1; 4]);
    let of = |words: u8| fill_transport(with(packet.clone(), 32, &[words << 4]));
    accepted(&of(5));
    refused(&of(4), Malformed::TcpDataOffset);
    refused(&of(0), Malformed::TcpDataOffset);
    accepted(&of(6));
    refused(&of(7), Malformed::TcpDataOffset);
    // In a first fragment, too, less than a header is no header.
    let fragment = fragment(6, 0, true, &of(4)[20..44]);
    refused(&fragment, Malformed::TcpDataOffset);
}

#[test]
fn tcp_option_beyond_the_header_or_of_impossible_length() {
    accepted(&tcp(&[2, 4, 5, 0xB4], b""));
    refused(&tcp(&[2, 5, 5, 0xB4], b""), Malformed::TcpOption);
    refused(&tcp(&[2, 1, 5, 0xB4], b""), Malformed::TcpOption);
    refused(&tcp(&[2, 0, 5, 0xB4], b""), Malformed::TcpOption);
    accepted(&tcp(&[1, 1, 4, 2], b""));
    refused(&tcp(&[1, 1, 1, 4], b""), Malformed::TcpOption);
    accepted(&tcp(&[0, 2, 200, 0], b""));
    // Twelve octets, as long as what most segments have, but not that.
    accepted(&tcp(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], b""));
    refused(&tcp(&[1, 1, 8, 11, 0, 0, 0, 1, 0, 0, 0, 2], b""), Malformed::TcpOption);
    refused(&tcp(&[1, 1, 8, 9, 0, 0, 0, 1, 0, 0, 0, 2], b""), Malformed::TcpOption);
    accepted(&tcp(&[1; 40], b""));
}

#[test]
fn a_checksum_off_by_one_bit() {
    for (packet, reason) in [
        (tcp(&[], b"odd"), Malformed::TcpChecksum),
        (udp(b"odd"), Malformed::UdpChecksum),
        (echo(b"odd"), Malformed::IcmpChecksum),
        (icmp_error(3, 3, &udp(b"odd")), Malformed::IcmpChecksum),
    ] {
        let whole = accepted(&packet);
        let last = packet.len() - 1;
        for bit in 0..8 {
            let mut packet = packet.clone();
            packet[last] ^= 1 << bit;
            refused(&packet, reason);
            assert_eq!(Packet::parse(&packet, Trust::Skip), Ok(whole));
        }
    }
}

// covers: B6
#[test]
fn udp_checksum_0_is_none_and_not_wrong() {
    let mut packet = udp(b"x");
    assert!(matches!(accepted(&packet).transport, Transport::Udp { has_checksum: true, .. }));
    packet[26..28].fill(0);
    assert!(matches!(accepted(&packet).transport, Transport::Udp { has_checksum: false, .. }));
}

#[test]
fn tcp_and_icmp_checksums_of_0_are_no_exception() {
    let mut packet = tcp(&[], b"x");
    packet[36..38].fill(0);
    refused(&packet, Malformed::TcpChecksum);
    let mut packet = echo(b"x");
    packet[22..24].fill(0);
    refused(&packet, Malformed::IcmpChecksum);
}

#[test]
fn udp_truncated_below_8_octets() {
    let packet = udp(b"");
    accepted(&cut(packet.clone(), 28));
    for len in 20..28 {
        refused(&cut(packet.clone(), len), Malformed::UdpTruncated);
    }
}

#[test]
fn udp_length_other_than_that_of_the_packet() {
    let packet = udp(b"four");
    let of = |len: u16| fill_transport(with(packet.clone(), 24, &len.to_be_bytes()));
    accepted(&of(12));
    for len in [0, 7, 8, 11, 13, 65_535] {
        refused(&of(len), Malformed::UdpLength);
    }
}

// covers: B3
#[test]
fn udp_length_of_a_first_fragment_is_that_of_the_datagram() {
    let datagram = &udp(&[0; 32])[20..];
    let of = |len: u16| {
        let mut first = datagram[..16].to_vec();
        first[4..6].copy_from_slice(&len.to_be_bytes());
        fragment(17, 0, true, &first)
    };
    accepted(&of(17));
    accepted(&of(65_515));
    for len in [0, 7, 8, 16] {
        refused(&of(len), Malformed::UdpLength);
    }
}

#[test]
fn icmp_truncated_below_8_octets() {
    let packet = echo(b"");
    accepted(&cut(packet.clone(), 28));
    for len in 20..28 {
        refused(&cut(packet.clone(), len), Malformed::IcmpTruncated);
    }
}

#[test]
fn port_zero() {
    for packet in [tcp(&[], b""), udp(b"")] {
        for at in [20, 22] {
            let with_port = |port: [u8; 2]| fill_transport(with(packet.clone(), at, &port));
            accepted(&with_port([0, 1]));
            refused(&with_port([0, 0]), Malformed::PortZero);
        }
    }
    // A query identifier may well be 0.
    accepted(&fill_transport(with(echo(b""), 24, &[0, 0])));
}

#[test]
fn source_equal_to_destination_and_martians_are_not_malformed() {
    for address in [[127, 0, 0, 1], [0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255]] {
        let packet = with(with(udp(b"x"), 12, &address), 16, &address);
        accepted(&fill_transport(packet));
    }
}

#[test]
fn of_several_reasons_the_first_of_the_table_is_given() {
    let mut packet = tcp(&[2, 9, 0, 0], b"x");
    packet[20..22].fill(0);
    packet[36] ^= 1;
    refused(&packet, Malformed::TcpOption);
    packet[41] = 4;
    refused(&packet, Malformed::PortZero);
    packet[21] = 1;
    refused(&packet, Malformed::TcpChecksum);
    packet[10] ^= 1;
    refused(&packet, Malformed::Ipv4Checksum);
    packet[2] = 0xFF;
    refused(&packet, Malformed::Ipv4TotalLength);
    packet[0] = 0x44;
    refused(&packet, Malformed::Ipv4HeaderLength);
    packet[0] = 0x64;
    refused(&packet, Malformed::Ipv4Version);

    // An ICMP error whose quote was damaged on the way is counted under its own checksum.
    let mut packet = icmp_error(3, 3, &udp(b"x"));
    packet[28] = 0x65;
    refused(&packet, Malformed::IcmpChecksum);
    refused(&fill_transport(packet), Malformed::QuoteHeader);
}

// Every super-segment that IPv4 can express is parsed, and one length field cannot say more.
#[test]
fn the_longest_packets() {
    let packet = tcp(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], &vec![0x5A; 65_535 - 52]);
    assert_eq!(packet.len(), 65_535);
    assert_eq!(accepted(&packet).total_len, 65_535);
    let packet = udp(&vec![0x5A; 65_535 - 28]);
    assert_eq!(accepted(&packet).total_len, 65_535);
    let mut buffer = vec![0; common::BUFFER];
    let too_long = vec![0; 65_535 - 27];
    assert_eq!(wire::craft::udp(&mut buffer, &common::header(), 1, 2, &too_long), None);
    assert_eq!(parse(&fill_ipv4(cut(packet, 65_534))), Err(Malformed::UdpLength));
}
