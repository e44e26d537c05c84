//! Packets that the tests start from.
#![allow(dead_code)] // Each test binary uses some of them.

use hairpin_wire as wire;
use wire::checksum::Sum;
use wire::{SeqNumber, craft, tcp::Flags};

pub(crate) const BUFFER: usize = 65_600;

/// From a client to a server, neither of them special.
pub(crate) fn header() -> craft::Header<'static> {
    craft::Header {
        identification: 0x1234,
        ..craft::Header::new([100, 64, 0, 7].into(), [198, 51, 100, 1].into())
    }
}

/// What `build` writes into a buffer large enough.
pub(crate) fn made(build: impl FnOnce(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut buffer = vec![0xA5; BUFFER];
    let len = build(&mut buffer).expect("the buffer holds every packet");
    buffer.truncate(len);
    buffer
}

pub(crate) fn segment(options: &[u8]) -> craft::Segment<'_> {
    craft::Segment {
        source_port: 40_000,
        destination_port: 80,
        seq: SeqNumber(0xFFFF_FFF0),
        ack: SeqNumber(7),
        flags: Flags::ACK | Flags::PSH,
        window: 1_000,
        urgent: 0,
        options,
    }
}

pub(crate) fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    made(|buffer| craft::tcp(buffer, &header(), &segment(options), payload))
}

pub(crate) fn udp(payload: &[u8]) -> Vec<u8> {
    made(|buffer| craft::udp(buffer, &header(), 40_000, 53, payload))
}

pub(crate) fn echo(payload: &[u8]) -> Vec<u8> {
    made(|buffer| craft::icmp_echo(buffer, &header(), true, 0xBEEF, 1, payload))
}

/// An error from a router on the way, about `packet`, to its source.
pub(crate) fn icmp_error(kind: u8, code: u8, packet: &[u8]) -> Vec<u8> {
    let header = craft::Header::new([203, 0, 113, 9].into(), [100, 64, 0, 7].into());
    made(|buffer| craft::icmp_error(buffer, &header, kind, code, [0; 4], packet))
}

/// A fragment of a datagram from `header`.
pub(crate) fn fragment(protocol: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    made(|buffer| craft::fragment(buffer, &header(), protocol, offset, more, payload))
}

/// The packet with one octet set and the IPv4 header checksum made right again.
pub(crate) fn with(mut packet: Vec<u8>, at: usize, octets: &[u8]) -> Vec<u8> {
    packet[at..at + octets.len()].copy_from_slice(octets);
    fill_ipv4(packet)
}

/// The packet with its IPv4 header checksum made right, as far as its header length allows.
pub(crate) fn fill_ipv4(mut packet: Vec<u8>) -> Vec<u8> {
    let len = (usize::from(packet[0] & 0x0F) * 4).min(packet.len());
    packet[10..12].fill(0);
    let sum = Sum::of(&packet[..len]).checksum();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The packet cut behind `len` octets, its total length and header checksum made to agree.
pub(crate) fn cut(mut packet: Vec<u8>, len: usize) -> Vec<u8> {
    packet.truncate(len);
    with(packet, 2, &(len as u16).to_be_bytes())
}

/// The packet with the transport checksum made right, if it has one and is whole.
pub(crate) fn fill_transport(mut packet: Vec<u8>) -> Vec<u8> {
    let view = wire::ipv4::Ipv4::new(packet.as_slice()).expect("an IPv4 packet");
    let (source, destination, protocol) = (view.source(), view.destination(), view.protocol());
    let payload = view.header_len()..usize::from(view.total_len());
    let octets = &mut packet[payload];
    let (at, with_pseudo_header) = match protocol {
        6 => (16, true),
        17 => (6, true),
        1 => (2, false),
        _ => return packet,
    };
    octets[at..at + 2].fill(0);
    let mut sum = Sum::of(octets);
    if with_pseudo_header {
        sum = sum.plus(Sum::pseudo_header(source, destination, protocol, octets.len() as u16));
    }
    octets[at..at + 2].copy_from_slice(&sum.checksum().to_be_bytes());
    packet
}
