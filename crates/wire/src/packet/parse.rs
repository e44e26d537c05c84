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
    #[inline]
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
        let parts = Parts { header, header_len: header_len as u8, total_len, options, payload };
        let field = FragmentField(be16(header, 6));
        if field.is_whole() {
            parts.transport(Fragment::Whole, trust == Trust::Verify)
        } else {
            parts.fragment(field)
        }
    }
}

/// An IPv4 packet whose own header is known to be right.
///
/// Each kind of transport header puts the whole [`Packet`] together by itself: a `Transport` that is made
/// first and copied then costs more than all checks (loads wider than the stores before them wait).
struct Parts<'a> {
    header: &'a [u8; 20],
    header_len: u8,
    total_len: u16,
    options: Options,
    payload: &'a [u8],
}

impl Parts<'_> {
    #[cold]
    fn fragment(&self, field: FragmentField) -> Result<Packet, Malformed> {
        let fragment = field.classify(self.header_len.into(), self.payload.len(), self.header[9])?;
        match fragment {
            Fragment::Later { .. } => Ok(self.packet(fragment, Transport::None)),
            // The octets of a fragment are not all that its transport checksum covers.
            Fragment::First | Fragment::Whole => self.transport(fragment, false),
        }
    }

    #[inline(always)]
    fn transport(&self, fragment: Fragment, verify: bool) -> Result<Packet, Malformed> {
        let whole = matches!(fragment, Fragment::Whole);
        match self.header[9] {
            tcp::PROTOCOL => self.tcp(fragment, whole, verify),
            udp::PROTOCOL => self.udp(fragment, whole, verify),
            icmpv4::PROTOCOL => self.icmp(fragment, whole, verify),
            _ => Ok(self.packet(fragment, Transport::Other)),
        }
    }

    #[inline(always)]
    fn tcp(&self, fragment: Fragment, whole: bool, verify: bool) -> Result<Packet, Malformed> {
        let (tcp, header_len) = tcp_header(self.payload, whole)?;
        let (source_port, destination_port) = (be16(tcp, 0), be16(tcp, 2));
        if source_port == 0 || destination_port == 0 {
            return Err(Malformed::PortZero);
        }
        if verify && !self.sum_with_pseudo_header().is_valid() {
            return Err(Malformed::TcpChecksum);
        }
        let seq = SeqNumber(u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]));
        let flags = tcp::Flags(tcp[13]);
        let transport = Transport::Tcp { source_port, destination_port, seq, flags, header_len };
        Ok(self.packet(fragment, transport))
    }

    #[inline(always)]
    fn udp(&self, fragment: Fragment, whole: bool, verify: bool) -> Result<Packet, Malformed> {
        let udp = udp_header(self.payload, whole)?;
        let (source_port, destination_port) = (be16(udp, 0), be16(udp, 2));
        if source_port == 0 || destination_port == 0 {
            return Err(Malformed::PortZero);
        }
        let has_checksum = be16(udp, 6) != 0;
        if verify && has_checksum && !self.sum_with_pseudo_header().is_valid() {
            return Err(Malformed::UdpChecksum);
        }
        Ok(self.packet(fragment, Transport::Udp { source_port, destination_port, has_checksum }))
    }

    fn icmp(&self, fragment: Fragment, whole: bool, verify: bool) -> Result<Packet, Malformed> {
        let Some((header, quoted)) = self.payload.split_first_chunk::<8>() else {
            return Err(if whole { Malformed::IcmpTruncated } else { Malformed::FragmentTiny });
        };
        // Before the quoted packet: an error that was damaged on its way should be counted as that.
        if verify && !Sum::of(self.payload).is_valid() {
            return Err(Malformed::IcmpChecksum);
        }
        let identifier = be16(header, 4);
        let transport = match icmpv4::Class::of(header[0]) {
            icmpv4::Class::Request => Transport::IcmpQuery { request: true, identifier },
            icmpv4::Class::Reply => Transport::IcmpQuery { request: false, identifier },
            icmpv4::Class::Error => {
                Transport::IcmpError { quote: Quote::parse(quoted, self.header_len + 8)? }
            }
            icmpv4::Class::Other => Transport::IcmpOther,
        };
        Ok(self.packet(fragment, transport))
    }

    #[inline(always)]
    fn packet(&self, fragment: Fragment, transport: Transport) -> Packet {
        Packet {
            source: address(self.header, 12),
            destination: address(self.header, 16),
            total_len: self.total_len,
            header_len: self.header_len,
            protocol: self.header[9],
            ttl: self.header[8],
            dont_fragment: FragmentField(be16(self.header, 6)).dont_fragment(),
            options: self.options,
            fragment,
            transport,
        }
    }

    /// The sum of a whole TCP segment or UDP datagram with its pseudo-header.
    #[inline(always)]
    fn sum_with_pseudo_header(&self) -> Sum {
        let (source, destination) = (address(self.header, 12), address(self.header, 16));
        let length = self.payload.len() as u16;
        Sum::pseudo_header(source, destination, self.header[9], length).plus(Sum::of(self.payload))
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

/// The first 20 octets of a TCP header and the length of all of it.
#[inline(always)]
fn tcp_header(segment: &[u8], whole: bool) -> Result<(&[u8; 20], u8), Malformed> {
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
    Ok((header, header_len))
}

#[inline(always)]
fn udp_header(datagram: &[u8], whole: bool) -> Result<&[u8; 8], Malformed> {
    let Some(header) = datagram.first_chunk::<8>() else {
        return Err(if whole { Malformed::UdpTruncated } else { Malformed::FragmentTiny });
    };
    let length = usize::from(be16(header, 4));
    // Of a first fragment the length is the datagram's, and at least one octet is still to come.
    let fits = if whole { length == datagram.len() } else { length > datagram.len() };
    if fits { Ok(header) } else { Err(Malformed::UdpLength) }
}

#[inline]
pub(super) fn be16<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

#[inline]
pub(super) fn address(header: &[u8; 20], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3])
}
