//! [`Packet::parse`]: one pass from the first octet of the IPv4 header to the last one that matters.

use core::net::Ipv4Addr;

use super::{Fragment, Options, Packet, Quote, Transport, Trust};
use crate::checksum::Sum;
use crate::fragment::FragmentField;
use crate::{Malformed, SeqNumber, icmpv4, ipv4, tcp, udp};

impl Packet {
    /// Parses `data`, which starts at the IPv4 header and may go on behind the packet (link padding).
    ///
    /// # Errors
    /// The first reason that applies, in the order of the table at [`Malformed`]. A packet that is only
    /// improper (a land attack, a martian source) is well-formed: that is for the caller to judge.
    pub fn parse(data: &[u8], trust: Trust) -> Result<Self, Malformed> {
        let (header_len, total_len) = ipv4::lengths(data)?;
        let header = data.first_chunk::<20>().ok_or(Malformed::Ipv4Truncated)?;
        let (header_octets, payload) = data[..usize::from(total_len)].split_at(header_len);
        let options = if header_len == 20 {
            if !Sum::of_ipv4_header(header).is_valid() {
                return Err(Malformed::Ipv4Checksum);
            }
            Options::NONE
        } else {
            long_header(header_octets)?
        };
        let protocol = header[9];
        let field = FragmentField(be16(header, 6));
        let fragment = field.classify(header_len, payload.len(), protocol)?;
        let mut packet = Self {
            source: address(header, 12),
            destination: address(header, 16),
            total_len,
            header_len: header_len as u8,
            protocol,
            ttl: header[8],
            dont_fragment: field.dont_fragment(),
            options,
            fragment,
            transport: Transport::None,
        };
        packet.transport = packet.transport(payload, trust)?;
        Ok(packet)
    }

    #[inline]
    fn transport(&self, payload: &[u8], trust: Trust) -> Result<Transport, Malformed> {
        let whole = match self.fragment {
            Fragment::Whole => true,
            Fragment::First => false,
            Fragment::Later { .. } => return Ok(Transport::None),
        };
        // The octets of a fragment are not all that its transport checksum covers.
        let verify = whole && trust == Trust::Verify;
        match self.protocol {
            tcp::PROTOCOL => {
                let transport = tcp_header(payload, whole)?;
                if verify && !self.pseudo_header().plus(Sum::of(payload)).is_valid() {
                    return Err(Malformed::TcpChecksum);
                }
                Ok(transport)
            }
            udp::PROTOCOL => {
                let transport = udp_header(payload, whole)?;
                let verify = verify && matches!(transport, Transport::Udp { has_checksum: true, .. });
                if verify && !self.pseudo_header().plus(Sum::of(payload)).is_valid() {
                    return Err(Malformed::UdpChecksum);
                }
                Ok(transport)
            }
            icmpv4::PROTOCOL => {
                if payload.len() < 8 {
                    return Err(if whole { Malformed::IcmpTruncated } else { Malformed::FragmentTiny });
                }
                // Before the quoted packet: an error that was damaged on its way should be counted as that.
                if verify && !Sum::of(payload).is_valid() {
                    return Err(Malformed::IcmpChecksum);
                }
                icmp_message(payload, self.header_len)
            }
            _ => Ok(Transport::Other),
        }
    }

    /// The sum of the pseudo-header of a packet that is whole.
    #[inline]
    fn pseudo_header(&self) -> Sum {
        let length = self.total_len - u16::from(self.header_len);
        Sum::pseudo_header(self.source, self.destination, self.protocol, length)
    }
}

/// Checksum and options of an IPv4 header longer than 20 octets.
#[cold]
fn long_header(header: &[u8]) -> Result<Options, Malformed> {
    if !Sum::of(header).is_valid() {
        return Err(Malformed::Ipv4Checksum);
    }
    ipv4::option_set(&header[20..])
}

#[inline]
fn tcp_header(segment: &[u8], whole: bool) -> Result<Transport, Malformed> {
    let Some(header) = segment.first_chunk::<20>() else {
        return Err(if whole { Malformed::TcpTruncated } else { Malformed::FragmentTiny });
    };
    let header_len = header[12] >> 4 << 2;
    if header_len < 20 {
        return Err(Malformed::TcpDataOffset);
    }
    let Some(options) = segment.get(20..usize::from(header_len)) else {
        return Err(if whole { Malformed::TcpDataOffset } else { Malformed::FragmentTiny });
    };
    if !tcp::options_are_well_formed(options) {
        return Err(Malformed::TcpOption);
    }
    let (source_port, destination_port) = (be16(header, 0), be16(header, 2));
    if source_port == 0 || destination_port == 0 {
        return Err(Malformed::PortZero);
    }
    let seq = SeqNumber(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
    Ok(Transport::Tcp { source_port, destination_port, seq, flags: tcp::Flags(header[13]), header_len })
}

#[inline]
fn udp_header(datagram: &[u8], whole: bool) -> Result<Transport, Malformed> {
    let Some(header) = datagram.first_chunk::<8>() else {
        return Err(if whole { Malformed::UdpTruncated } else { Malformed::FragmentTiny });
    };
    let length = usize::from(be16(header, 4));
    // Of a first fragment the length is the datagram's, and at least one octet is still to come.
    let fits = if whole { length == datagram.len() } else { length > datagram.len() };
    if !fits {
        return Err(Malformed::UdpLength);
    }
    let (source_port, destination_port) = (be16(header, 0), be16(header, 2));
    if source_port == 0 || destination_port == 0 {
        return Err(Malformed::PortZero);
    }
    Ok(Transport::Udp { source_port, destination_port, has_checksum: be16(header, 6) != 0 })
}

/// `message` is at least 8 octets long and starts `offset` octets into the packet.
fn icmp_message(message: &[u8], offset: u8) -> Result<Transport, Malformed> {
    let Some((header, quoted)) = message.split_first_chunk::<8>() else {
        return Err(Malformed::IcmpTruncated);
    };
    Ok(match icmpv4::Class::of(header[0]) {
        icmpv4::Class::Request => Transport::IcmpQuery { request: true, identifier: be16(header, 4) },
        icmpv4::Class::Reply => Transport::IcmpQuery { request: false, identifier: be16(header, 4) },
        icmpv4::Class::Error => Transport::IcmpError { quote: Quote::parse(quoted, offset + 8)? },
        icmpv4::Class::Other => Transport::IcmpOther,
    })
}

#[inline]
pub(super) fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

#[inline]
pub(super) fn address(header: &[u8; 20], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3])
}
