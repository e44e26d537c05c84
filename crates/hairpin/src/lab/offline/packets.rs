//! Packets of a capture, written and read by hand: a second opinion on what the engine does.

use std::io;
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::{DataLink, PcapError};

use crate::lab::checks::icmp::checksum;
use crate::lab::checks::{Failure, ensure};
use crate::lab::sockets::at;

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// TCP flags.
pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;
pub(super) const URG: u8 = 0x20;

/// Where a TCP segment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) acknowledgment: u32,
    pub(super) urgent: u16,
}

/// An IPv4 packet; the port of an ICMP endpoint plays no part.
pub(super) fn ip(protocol: u8, from: SocketAddrV4, to: SocketAddrV4, ttl: u8, payload: &[u8]) -> Vec<u8> {
    fragment(protocol, from, to, ttl, (0, 0), payload)
}

/// A fragment: identification, and the field of flags and offset.
pub(super) fn fragment(
    protocol: u8,
    from: SocketAddrV4,
    to: SocketAddrV4,
    ttl: u8,
    (identification, flags_and_offset): (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    for field in [20 + payload.len() as u16, identification, flags_and_offset] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend([ttl, protocol, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A UDP datagram, without its IP header.
pub(super) fn udp_datagram(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    for field in [from.port(), to.port(), 8 + payload.len() as u16, 0] {
        datagram.extend(field.to_be_bytes());
    }
    datagram.extend(payload);
    let sum = transport_checksum(UDP, from, to, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

pub(super) fn udp(from: SocketAddrV4, to: SocketAddrV4, ttl: u8, payload: &str) -> Vec<u8> {
    ip(UDP, from, to, ttl, &udp_datagram(from, to, payload.as_bytes()))
}

pub(super) fn tcp(from: SocketAddrV4, to: SocketAddrV4, segment: Segment, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    octets.extend(from.port().to_be_bytes());
    octets.extend(to.port().to_be_bytes());
    octets.extend(segment.sequence.to_be_bytes());
    octets.extend(segment.acknowledgment.to_be_bytes());
    octets.extend([5 << 4, segment.flags]);
    for field in [u16::MAX, 0, segment.urgent] {
        octets.extend(field.to_be_bytes());
    }
    octets.extend(payload);
    let sum = transport_checksum(TCP, from, to, &octets);
    octets[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(TCP, from, to, 64, &octets)
}

/// An ICMP message; `rest` is the second word of its header.
pub(super) fn icmp(
    from: SocketAddrV4,
    to: SocketAddrV4,
    kind: (u8, u8),
    rest: [u8; 4],
    payload: &[u8],
) -> Vec<u8> {
    let mut message = vec![kind.0, kind.1, 0, 0];
    message.extend(rest);
    message.extend(payload);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(ICMP, from, to, 64, &message)
}

fn transport_checksum(protocol: u8, from: SocketAddrV4, to: SocketAddrV4, octets: &[u8]) -> u16 {
    let mut covered = [from.ip().octets(), to.ip().octets()].concat();
    covered.extend([0, protocol]);
    covered.extend((octets.len() as u16).to_be_bytes());
    covered.extend(octets);
    checksum(&covered)
}

/// A packet of a capture, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// All of it.
    pub(super) packet: Vec<u8>,
    pub(super) protocol: u8,
    /// For ICMP the port is the query identifier; for a later fragment it is 0.
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    /// Of a TCP segment.
    pub(super) segment: Option<Segment>,
    /// The field of flags and offset, without DF.
    pub(super) fragment: u16,
    /// What the transport header carries; of a fragment, all behind the IP header.
    pub(super) payload: Vec<u8>,
}

impl Seen {
    /// Takes a packet apart; all its checksums must be right.
    pub(super) fn parse(packet: &[u8]) -> Result<Self, Failure> {
        let header = usize::from(packet.first().copied().unwrap_or(0) & 15) * 4;
        ensure!(header >= 20 && packet.len() >= header + 8, "a packet of {} octets", packet.len());
        ensure!(
            checksum(&packet[..header]) == 0,
            "an IP header with a wrong checksum: {:02x?}",
            &packet[..header]
        );
        let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
        let (protocol, fragment, octets) = (packet[9], word(6) & !0x4000, &packet[header..]);
        let (from_port, to_port) = match protocol {
            _ if fragment & 0x1fff != 0 => (0, 0),
            ICMP => (word(header + 4), word(header + 4)),
            _ => (word(header), word(header + 2)),
        };
        let (from, to) = (at(long(12).into(), from_port), at(long(16).into(), to_port));
        let sum = match protocol {
            _ if fragment != 0 => 0,
            ICMP => checksum(octets),
            protocol => transport_checksum(protocol, from, to, octets),
        };
        ensure!(sum == 0, "{from} -> {to}: a wrong checksum of protocol {protocol}");
        let (transport, segment) = match protocol {
            _ if fragment != 0 => (0, None),
            TCP => {
                let at = |offset| header + offset;
                ensure!(octets.len() >= 20, "{from} -> {to}: {} octets of TCP", octets.len());
                let (flags, urgent) = (packet[at(13)], word(at(18)));
                let (sequence, acknowledgment) = (long(at(4)), long(at(8)));
                (usize::from(octets[12] >> 4) * 4, Some(Segment { flags, sequence, acknowledgment, urgent }))
            }
            _ => (8, None),
        };
        let payload = octets.get(transport..).unwrap_or_default().to_vec();
        Ok(Self { packet: packet.to_vec(), protocol, from, to, segment, fragment, payload })
    }
}

/// Writes a capture of raw IP packets, a millisecond apart.
pub(super) fn write_capture(path: &Path, packets: &[Vec<u8>]) -> io::Result<()> {
    let header = PcapHeader { datalink: DataLink::RAW, ..PcapHeader::default() };
    let file = std::fs::File::create(path)?;
    let mut writer = PcapWriter::with_header(io::BufWriter::new(file), header).map_err(pcap)?;
    for (packet, milliseconds) in packets.iter().zip(0..) {
        let record = PcapPacket::new(Duration::from_millis(milliseconds), packet.len() as u32, packet);
        writer.write_packet(&record).map_err(pcap)?;
    }
    Ok(())
}

/// The packets of a capture of raw IP packets.
pub(super) fn read_capture(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut reader = PcapReader::new(io::BufReader::new(std::fs::File::open(path)?)).map_err(pcap)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        packets.push(packet.map_err(pcap)?.data.into_owned());
    }
    Ok(packets)
}

fn pcap(error: PcapError) -> io::Error {
    io::Error::other(error.to_string())
}
