//! ICMP messages, and the packets that errors quote (RFC 792, RFC 5508 REQ-3).
#![allow(clippy::panic)] // A helper of tests fails as a test does.

use hairpin_wire as wire;

mod common;

use common::{echo, fill_ipv4, fragment, header, icmp_error, tcp, udp, with};
use wire::{Malformed, Packet, Quote, Transport, Trust};

fn parse(octets: &[u8]) -> Result<Packet, Malformed> {
    Packet::parse(octets, Trust::Verify)
}

#[track_caller]
fn quote_of(octets: &[u8]) -> Quote {
    match parse(octets).expect("it is well-formed").transport {
        Transport::IcmpError { quote } => quote,
        other => panic!("not an ICMP error but {other:?}"),
    }
}

#[test]
fn queries_and_responses_have_an_identifier() {
    for (kind, is_request) in [(8, true), (0, false), (13, true), (14, false), (17, true), (18, false)] {
        let packet =
            common::made(|buffer| wire::craft::icmp(buffer, &header(), kind, 0, [0xBE, 0xEF, 0, 1], b""));
        let transport = Transport::IcmpQuery { request: is_request, identifier: 0xBEEF };
        assert_eq!(parse(&packet).map(|packet| packet.transport), Ok(transport), "type {kind}");
    }
}

#[test]
fn other_types_are_neither_query_nor_error() {
    for kind in (0..=255).filter(|kind| !matches!(kind, 0 | 3 | 8 | 11..=14 | 17 | 18)) {
        let packet = common::made(|buffer| wire::craft::icmp(buffer, &header(), kind, 0, [0; 4], b""));
        assert_eq!(parse(&packet).map(|packet| packet.transport), Ok(Transport::IcmpOther), "type {kind}");
    }
}

// covers: B4
#[test]
fn every_type_of_error_gives_the_quoted_tuple() {
    for kind in [3, 11, 12] {
        let quote = quote_of(&icmp_error(kind, 0, &udp(b"question")));
        assert_eq!((quote.source, quote.destination), (header().source, header().destination));
        assert_eq!((quote.source_port, quote.destination_port), (40_000, 53));
        assert_eq!((quote.protocol, quote.header_len, quote.offset), (17, 20, 28));
        assert!(!quote.later_fragment && !quote.is_icmp_error && !quote.is_icmp_query);
    }
}

// covers: B4
#[test]
fn a_quoted_query_has_its_identifier_and_a_quoted_error_is_known_as_one() {
    let quote = quote_of(&icmp_error(11, 0, &echo(b"ping")));
    assert!(quote.is_icmp_query && !quote.is_icmp_error);
    assert_eq!((quote.source_port, quote.destination_port), (0xBEEF, 0));

    let quote = quote_of(&icmp_error(3, 1, &icmp_error(3, 3, &udp(b"x"))));
    assert!(quote.is_icmp_error && !quote.is_icmp_query);
    assert_eq!((quote.source_port, quote.destination_port), (0, 0));
}

// covers: B4
#[test]
fn a_quoted_later_fragment_has_no_ports() {
    let quote = quote_of(&icmp_error(11, 1, &fragment(17, 64, false, &[0xFF; 8])));
    assert!(quote.later_fragment);
    assert_eq!((quote.source_port, quote.destination_port), (0, 0));
    // All there is of it may be one octet.
    assert!(quote_of(&icmp_error(11, 1, &fragment(17, 64, false, &[0xFF; 1]))).later_fragment);
}

// covers: B4
#[test]
fn a_quoted_first_fragment_has_ports() {
    let quote = quote_of(&icmp_error(3, 4, &fragment(17, 0, true, &udp(&[0; 64])[20..60])));
    assert!(!quote.later_fragment);
    assert_eq!((quote.source_port, quote.destination_port), (40_000, 53));
}

// RFC 5508 REQ-3b: the transport header is looked for behind the quoted packet's options.
// covers: B1.5508-3, B4
#[test]
fn quoted_options_are_traversed() {
    for len in [4, 8, 40] {
        let options = vec![1; len];
        let header = wire::craft::Header { options: &options, ..header() };
        let packet = common::made(|buffer| wire::craft::udp(buffer, &header, 40_000, 53, b"x"));
        let quote = quote_of(&icmp_error(3, 3, &packet));
        assert_eq!(usize::from(quote.header_len), 20 + len);
        assert_eq!((quote.source_port, quote.destination_port), (40_000, 53));
    }
}

// covers: B1.5508-3, B4
#[test]
fn the_quote_may_end_anywhere_behind_8_octets_of_transport_header() {
    for packet in [tcp(&[1; 8], b"data"), udp(b"data"), echo(b"data")] {
        let whole = quote_of(&icmp_error(3, 3, &packet));
        for len in 28..packet.len() {
            assert_eq!(quote_of(&icmp_error(3, 3, &packet[..len])), whole);
        }
        for len in 0..28 {
            assert_eq!(parse(&icmp_error(3, 3, &packet[..len])), Err(Malformed::QuoteTruncated), "{len}");
        }
    }
}

// covers: B4
#[test]
fn a_small_packet_of_another_protocol_is_quoted_to_its_end() {
    let packet = fragment(47, 0, false, &[1, 2, 3]);
    assert_eq!(quote_of(&icmp_error(3, 2, &packet)).protocol, 47);
    assert_eq!(parse(&icmp_error(3, 2, &packet[..22])), Err(Malformed::QuoteTruncated));
    // Nine octets are more than has to be quoted.
    let packet = fragment(47, 0, false, &[0; 9]);
    quote_of(&icmp_error(3, 2, &packet[..28]));
    assert_eq!(parse(&icmp_error(3, 2, &packet[..27])), Err(Malformed::QuoteTruncated));
}

// Whoever sent seven octets as UDP did not get an error for a datagram.
#[test]
fn a_quoted_packet_with_less_than_a_transport_header_is_refused_though_octets_follow() {
    let packet = with(udp(b""), 2, &[0, 27]);
    assert_eq!(parse(&icmp_error(3, 3, &packet)), Err(Malformed::QuoteTruncated));
    quote_of(&icmp_error(3, 3, &with(packet, 2, &[0, 28])));
}

#[test]
fn a_quoted_header_that_makes_no_sense() {
    let packet = udp(b"");
    for (at, octet) in [(0, 0x65), (0, 0x44), (0, 0x35), (3, 19)] {
        let packet = with(packet.clone(), at, &[octet]);
        assert_eq!(parse(&icmp_error(3, 3, &packet)), Err(Malformed::QuoteHeader), "{octet:#x} at {at}");
    }
    // An option, and one octet more than the header has room for.
    for (len, expected) in [(4, Ok(())), (5, Err(Malformed::QuoteHeader)), (1, Err(Malformed::QuoteHeader))] {
        let options = [148, len, 0, 0];
        let header = wire::craft::Header { options: &options, ..header() };
        let packet = common::made(|buffer| wire::craft::udp(buffer, &header, 40_000, 53, b""));
        assert_eq!(parse(&icmp_error(3, 3, &packet)).map(|_| ()), expected);
    }
}

// RFC 5508 REQ-3a: an error is refused if the header checksum of the packet it quotes is wrong.
// covers: B1.5508-3, B4
#[test]
fn the_quoted_header_checksum_is_verified() {
    let packet = udp(b"x");
    quote_of(&icmp_error(3, 3, &packet));
    for bit in 0..16 {
        let mut packet = packet.clone();
        packet[10 + bit / 8] ^= 1 << (bit % 8);
        let error = icmp_error(3, 3, &packet);
        assert_eq!(parse(&error), Err(Malformed::QuoteChecksum));
        // It does not depend on who has verified the outer packet.
        assert_eq!(Packet::parse(&error, Trust::Skip), Err(Malformed::QuoteChecksum));
    }
}

// RFC 5508 REQ-3c: the quoted transport checksum is not, even where it could be.
// covers: B1.5508-3, B4
#[test]
fn the_quoted_transport_checksum_is_not_verified() {
    for (mut packet, at) in [(udp(b"x"), 26), (tcp(&[], b"x"), 36), (echo(b"x"), 22)] {
        let right = quote_of(&icmp_error(3, 3, &packet));
        packet[at] ^= 0x55;
        assert_eq!(quote_of(&icmp_error(3, 3, &packet)), right);
    }
}

// RFC 5508 REQ-3: the checksum of the error itself comes first.
// covers: B1.5508-3
#[test]
fn the_checksum_of_the_error_itself_is_verified() {
    let mut error = icmp_error(3, 3, &udp(b"x"));
    error[22] ^= 1;
    assert_eq!(parse(&error), Err(Malformed::IcmpChecksum));
}

// RFC 5508 REQ-3d, RFC 4884: extensions behind the quote do not hinder.
// covers: B1.5508-3, B4
#[test]
fn extensions_behind_the_quote_are_left_alone() {
    let mut quoted = udp(&[0; 100]);
    assert_eq!(quoted.len(), 128);
    quoted.extend([0x20, 0, 0xDF, 0xFF, 0, 8, 1, 1, 1, 2, 3, 4]);
    let error = common::made(|buffer| {
        let header = wire::craft::Header::new([203, 0, 113, 9].into(), [100, 64, 0, 7].into());
        wire::craft::icmp(buffer, &header, 11, 0, [0, 32, 0, 0], &quoted)
    });
    assert_eq!(quote_of(&error).source_port, 40_000);
}

#[test]
fn the_outer_header_may_have_options_and_the_offset_says_so() {
    let quoted = udp(b"x");
    let options = [148, 4, 0, 0];
    let outer = wire::craft::Header { options: &options, ..header() };
    let error = common::made(|buffer| wire::craft::icmp_error(buffer, &outer, 3, 3, [0; 4], &quoted));
    let quote = quote_of(&error);
    assert_eq!(quote.offset, 24 + 8);
    assert_eq!(&error[usize::from(quote.offset)..], &quoted);
}

#[test]
fn a_quoted_packet_keeps_its_ttl_of_zero_and_its_own_fragment_bits() {
    let packet = fill_ipv4(with(tcp(&[], b"x"), 8, &[0]));
    assert_eq!(quote_of(&icmp_error(11, 0, &packet)).source_port, 40_000);
}
