//! Changes in place that keep a packet's checksums right.
//!
//! All take the octets from the first of the IPv4 header on, do nothing and return `None` where a field would
//! lie beyond the end, and otherwise return the [`Delta`] that the change makes, which is what the
//! transport checksum needs if the field is part of its pseudo-header or of its own header.

use core::net::Ipv4Addr;

use crate::checksum::Delta;
use crate::{tcp, udp};

const IPV4_IDENTIFICATION: usize = 4;
const IPV4_TTL: usize = 8;
const IPV4_CHECKSUM: usize = 10;
const IPV4_SOURCE: usize = 12;
const IPV4_DESTINATION: usize = 16;

/// Sets the source address, the IPv4 header checksum following.
#[inline]
pub fn source(packet: &mut [u8], new: Ipv4Addr) -> Option<Delta> {
    address(packet, IPV4_SOURCE, new)
}

/// Sets the destination address, the IPv4 header checksum following.
#[inline]
pub fn destination(packet: &mut [u8], new: Ipv4Addr) -> Option<Delta> {
    address(packet, IPV4_DESTINATION, new)
}

/// Sets the identification, the IPv4 header checksum following. No transport checksum covers it.
#[inline]
pub fn identification(packet: &mut [u8], new: u16) -> Option<Delta> {
    let header = packet.first_chunk_mut::<20>()?;
    let delta = field_u16(header, IPV4_IDENTIFICATION, new)?;
    checksum(header, IPV4_CHECKSUM, delta)?;
    Some(delta)
}

/// Sets the time to live, the IPv4 header checksum following. No transport checksum covers it.
#[inline]
pub fn ttl(packet: &mut [u8], new: u8) -> Option<Delta> {
    let header = packet.first_chunk_mut::<20>()?;
    let with_protocol = u16::from_be_bytes([new, header[IPV4_TTL + 1]]);
    let delta = field_u16(header, IPV4_TTL, with_protocol)?;
    checksum(header, IPV4_CHECKSUM, delta)?;
    Some(delta)
}

/// Sets the source port of the TCP or UDP header that starts at `transport`. Its checksum is untouched.
#[inline]
pub fn source_port(packet: &mut [u8], transport: usize, new: u16) -> Option<Delta> {
    field_u16(packet, transport, new)
}

/// Sets the destination port of the TCP or UDP header that starts at `transport`. Its checksum is untouched.
#[inline]
pub fn destination_port(packet: &mut [u8], transport: usize, new: u16) -> Option<Delta> {
    field_u16(packet, transport + 2, new)
}

/// Sets the identifier of the ICMP query that starts at `transport`. Its checksum is untouched.
#[inline]
pub fn icmp_identifier(packet: &mut [u8], transport: usize, new: u16) -> Option<Delta> {
    field_u16(packet, transport + 4, new)
}

/// Applies `delta` to the checksum of the header of `protocol` that starts at `transport`. Any protocol but TCP
/// and UDP has none that a translator would know, and ICMP's has no pseudo-header: use [`icmp_checksum`].
///
/// `None`, and nothing done, also if the field lies beyond the end, as in a quoted packet that was cut.
#[inline]
pub fn transport_checksum(packet: &mut [u8], transport: usize, protocol: u8, delta: Delta) -> Option<()> {
    match protocol {
        tcp::PROTOCOL => checksum(packet, transport + 16, delta),
        udp::PROTOCOL => {
            let field = packet.get_mut(transport + 6..)?.first_chunk_mut::<2>()?;
            *field = delta.apply_udp(u16::from_be_bytes(*field)).to_be_bytes();
            Some(())
        }
        _ => None,
    }
}

/// Applies `delta` to the partial checksum of the TCP or UDP header that starts at `transport`. `delta` must
/// be that of the pseudo-header only: addresses.
#[inline]
pub fn partial_checksum(packet: &mut [u8], transport: usize, protocol: u8, delta: Delta) -> Option<()> {
    let at = match protocol {
        tcp::PROTOCOL => transport + 16,
        udp::PROTOCOL => transport + 6,
        _ => return None,
    };
    let field = packet.get_mut(at..)?.first_chunk_mut::<2>()?;
    *field = delta.apply_partial(u16::from_be_bytes(*field)).to_be_bytes();
    Some(())
}

/// Applies `delta` to the checksum of the ICMP message that starts at `transport`.
#[inline]
pub fn icmp_checksum(packet: &mut [u8], transport: usize, delta: Delta) -> Option<()> {
    checksum(packet, transport + 2, delta)
}

/// Sets the 16-bit field `at` octets into the packet and no checksum. `at` must be even.
#[inline]
pub fn field_u16(packet: &mut [u8], at: usize, new: u16) -> Option<Delta> {
    let field = packet.get_mut(at..)?.first_chunk_mut::<2>()?;
    let old = u16::from_be_bytes(*field);
    *field = new.to_be_bytes();
    Some(Delta::u16(old, new))
}

/// Sets the 32-bit field `at` octets into the packet and no checksum. `at` must be even.
#[inline]
pub fn field_u32(packet: &mut [u8], at: usize, new: u32) -> Option<Delta> {
    let field = packet.get_mut(at..)?.first_chunk_mut::<4>()?;
    let old = u32::from_be_bytes(*field);
    *field = new.to_be_bytes();
    Some(Delta::u32(old, new))
}

#[inline]
fn address(packet: &mut [u8], at: usize, new: Ipv4Addr) -> Option<Delta> {
    let header = packet.first_chunk_mut::<20>()?;
    let delta = field_u32(header, at, new.to_bits())?;
    checksum(header, IPV4_CHECKSUM, delta)?;
    Some(delta)
}

#[inline]
fn checksum(packet: &mut [u8], at: usize, delta: Delta) -> Option<()> {
    let field = packet.get_mut(at..)?.first_chunk_mut::<2>()?;
    *field = delta.apply(u16::from_be_bytes(*field)).to_be_bytes();
    Some(())
}
