//! Builders of valid packets, for translators that send their own and for tests and benches.
//!
//! Each writes one whole IPv4 packet to the start of `buffer`, lengths and checksums right, and returns
//! how long it is; `None` if it does not fit the buffer or an IPv4 packet (65,535 octets), in which case the
//! buffer's contents are undefined.

use core::net::Ipv4Addr;

use crate::checksum::Sum;
use crate::fragment::FragmentField;
use crate::{SeqNumber, icmpv4, tcp, udp};

/// The IPv4 header of a packet, as far as it is the caller's choice.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
    /// Identification.
    pub identification: u16,
    /// The don't-fragment bit.
    pub dont_fragment: bool,
    /// Options, padded by the caller to a multiple of 4 octets; at most 40.
    pub options: &'a [u8],
}

impl Header<'static> {
    /// TTL 64, identification 0, may be fragmented, no options.
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self { source, destination, ttl: 64, tos: 0, identification: 0, dont_fragment: false, options: &[] }
    }
}

/// A TCP header, as far as it is the caller's choice.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK.
    pub ack: SeqNumber,
    /// The flags.
    pub flags: tcp::Flags,
    /// SEG.WND, unscaled.
    pub window: u16,
    /// SEG.UP.
    pub urgent: u16,
    /// Options, padded by the caller to a multiple of 4 octets; at most 40.
    pub options: &'a [u8],
}

impl Segment<'static> {
    /// A segment with these flags, window 65,535, all else 0 and no options.
    pub const fn new(source_port: u16, destination_port: u16, flags: tcp::Flags) -> Self {
        let (seq, ack) = (SeqNumber(0), SeqNumber(0));
        Self { source_port, destination_port, seq, ack, flags, window: 65_535, urgent: 0, options: &[] }
    }
}

/// A UDP datagram with a checksum.
pub fn udp(
    buffer: &mut [u8],
    header: &Header<'_>,
    source_port: u16,
    destination_port: u16,
    payload: &[u8],
) -> Option<usize> {
    let (len, datagram) = ipv4(buffer, header, udp::PROTOCOL, FragmentField::WHOLE, 8 + payload.len())?;
    put(datagram, 0, source_port.to_be_bytes());
    put(datagram, 2, destination_port.to_be_bytes());
    put(datagram, 4, (datagram.len() as u16).to_be_bytes());
    put(datagram, 6, [0; 2]);
    datagram[8..].copy_from_slice(payload);
    let sum = pseudo_header(header, udp::PROTOCOL, datagram).plus(Sum::of(datagram));
    put(datagram, 6, sum.checksum_udp().to_be_bytes());
    Some(len)
}

/// A TCP segment.
pub fn tcp(buffer: &mut [u8], header: &Header<'_>, segment: &Segment<'_>, payload: &[u8]) -> Option<usize> {
    let header_len = 20 + segment.options.len();
    if header_len > 60 || !header_len.is_multiple_of(4) {
        return None;
    }
    let (len, octets) =
        ipv4(buffer, header, tcp::PROTOCOL, FragmentField::WHOLE, header_len + payload.len())?;
    put(octets, 0, segment.source_port.to_be_bytes());
    put(octets, 2, segment.destination_port.to_be_bytes());
    put(octets, 4, segment.seq.0.to_be_bytes());
    put(octets, 8, segment.ack.0.to_be_bytes());
    put(octets, 12, [(header_len as u8) << 2, segment.flags.0]);
    put(octets, 14, segment.window.to_be_bytes());
    put(octets, 16, [0; 2]);
    put(octets, 18, segment.urgent.to_be_bytes());
    octets[20..header_len].copy_from_slice(segment.options);
    octets[header_len..].copy_from_slice(payload);
    let sum = pseudo_header(header, tcp::PROTOCOL, octets).plus(Sum::of(octets));
    put(octets, 16, sum.checksum().to_be_bytes());
    Some(len)
}

/// An ICMP message of any kind: `rest` are octets 4 to 7 of its header.
pub fn icmp(
    buffer: &mut [u8],
    header: &Header<'_>,
    kind: u8,
    code: u8,
    rest: [u8; 4],
    payload: &[u8],
) -> Option<usize> {
    let (len, message) = ipv4(buffer, header, icmpv4::PROTOCOL, FragmentField::WHOLE, 8 + payload.len())?;
    put(message, 0, [kind, code, 0, 0]);
    put(message, 4, rest);
    message[8..].copy_from_slice(payload);
    let sum = Sum::of(message);
    put(message, 2, sum.checksum().to_be_bytes());
    Some(len)
}

/// An echo request, or its reply.
pub fn icmp_echo(
    buffer: &mut [u8],
    header: &Header<'_>,
    request: bool,
    identifier: u16,
    sequence: u16,
    payload: &[u8],
) -> Option<usize> {
    let kind = if request { icmpv4::ECHO_REQUEST } else { icmpv4::ECHO_REPLY };
    let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
    icmp(buffer, header, kind, 0, [a, b, c, d], payload)
}

/// An ICMP error about `packet`, of which it quotes as much as fits 576 octets (RFC 1812 4.3.2.3).
///
/// `rest` is [`icmpv4::UNUSED`] or what the type puts there: [`icmpv4::next_hop_mtu`], a gateway, a pointer.
/// To quote less, give less of the packet.
pub fn icmp_error(
    buffer: &mut [u8],
    header: &Header<'_>,
    kind: u8,
    code: u8,
    rest: [u8; 4],
    packet: &[u8],
) -> Option<usize> {
    let most = 576 - 20 - header.options.len().min(40) - 8;
    icmp(buffer, header, kind, code, rest, packet.get(..most).unwrap_or(packet))
}

/// A fragment: `payload` is what the datagram carries from octet `offset` on (a multiple of 8).
///
/// With `offset` 0 the payload begins with the transport header.
pub fn fragment(
    buffer: &mut [u8],
    header: &Header<'_>,
    protocol: u8,
    offset: u16,
    more: bool,
    payload: &[u8],
) -> Option<usize> {
    let field = FragmentField::new(header.dont_fragment, more, offset);
    let (len, octets) = ipv4(buffer, header, protocol, field, payload.len())?;
    octets.copy_from_slice(payload);
    Some(len)
}

/// A packet of any protocol: `payload` is what follows the IPv4 header.
pub fn other(buffer: &mut [u8], header: &Header<'_>, protocol: u8, payload: &[u8]) -> Option<usize> {
    fragment(buffer, header, protocol, 0, false, payload)
}

/// Writes the IPv4 header; returns the length of the packet and the `payload_len` octets behind the header.
fn ipv4<'a>(
    buffer: &'a mut [u8],
    header: &Header<'_>,
    protocol: u8,
    fragment: FragmentField,
    payload_len: usize,
) -> Option<(usize, &'a mut [u8])> {
    let header_len = 20 + header.options.len();
    if header_len > 60 || !header_len.is_multiple_of(4) {
        return None;
    }
    let len = header_len + payload_len;
    let total_len = u16::try_from(len).ok()?;
    let (octets, payload) = buffer.get_mut(..len)?.split_at_mut(header_len);
    let fragment = if header.dont_fragment { fragment.with_dont_fragment() } else { fragment };
    put(octets, 0, [0x40 | (header_len / 4) as u8, header.tos]);
    put(octets, 2, total_len.to_be_bytes());
    put(octets, 4, header.identification.to_be_bytes());
    put(octets, 6, fragment.0.to_be_bytes());
    put(octets, 8, [header.ttl, protocol, 0, 0]);
    put(octets, 12, header.source.octets());
    put(octets, 16, header.destination.octets());
    octets[20..].copy_from_slice(header.options);
    let sum = Sum::of(octets);
    put(octets, 10, sum.checksum().to_be_bytes());
    Some((len, payload))
}

fn pseudo_header(header: &Header<'_>, protocol: u8, octets: &[u8]) -> Sum {
    Sum::pseudo_header(header.source, header.destination, protocol, octets.len() as u16)
}

fn put<const N: usize>(octets: &mut [u8], at: usize, value: [u8; N]) {
    octets[at..at + N].copy_from_slice(&value);
}
