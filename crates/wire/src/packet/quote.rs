//! The packet that an ICMP error quotes (RFC 792, RFC 5508 REQ-3).

use super::parse::{address, be16};
use super::{Options, Quote};
use crate::checksum::Sum;
use crate::fragment::FragmentField;
use crate::{Malformed, icmpv4, ipv4, tcp, udp};

impl Quote {
    /// Parses what follows the 8 octets of an ICMP error's header. `offset` is where that is in the outer packet.
    ///
    /// The quote may be cut anywhere behind 8 octets of transport header, so neither its total length nor its
    /// transport checksum is held against it (RFC 5508 REQ-3c); what follows it (RFC 4884) is not looked at.
    ///
    /// # Errors
    /// [`Malformed::QuoteTruncated`], [`Malformed::QuoteHeader`] or [`Malformed::QuoteChecksum`].
    pub fn parse(quoted: &[u8], offset: u8) -> Result<Self, Malformed> {
        let header = quoted.first_chunk::<20>().ok_or(Malformed::QuoteTruncated)?;
        let header_len = usize::from(header[0] & 0x0F) * 4;
        let total_len = usize::from(be16(header, 2));
        if header[0] >> 4 != 4 || header_len < 20 || total_len < header_len {
            return Err(Malformed::QuoteHeader);
        }
        let (header_octets, transport) =
            quoted.split_at_checked(header_len).ok_or(Malformed::QuoteTruncated)?;
        let protocol = header[9];
        let later_fragment = FragmentField(be16(header, 6)).offset() != 0;
        // A small later fragment or a small packet of another protocol is quoted to its end, short of 8 octets.
        let has_transport_header =
            !later_fragment && matches!(protocol, tcp::PROTOCOL | udp::PROTOCOL | icmpv4::PROTOCOL);
        let carried = total_len - header_len;
        let wanted = if has_transport_header { 8 } else { carried.min(8) };
        if transport.len() < wanted || carried < wanted {
            return Err(Malformed::QuoteTruncated);
        }
        if !Sum::of(header_octets).is_valid() {
            return Err(Malformed::QuoteChecksum);
        }
        let _: Options = ipv4::option_set(&header_octets[20..]).map_err(|_| Malformed::QuoteHeader)?;

        let mut quote = Self {
            source: address(header, 12),
            destination: address(header, 16),
            protocol,
            header_len: header_len as u8,
            offset,
            later_fragment,
            source_port: 0,
            destination_port: 0,
            is_icmp_query: false,
            is_icmp_error: false,
        };
        if let Some(ports) = transport.first_chunk::<8>().filter(|_| has_transport_header) {
            if protocol == icmpv4::PROTOCOL {
                let class = icmpv4::Class::of(ports[0]);
                quote.is_icmp_error = class == icmpv4::Class::Error;
                quote.is_icmp_query = matches!(class, icmpv4::Class::Request | icmpv4::Class::Reply);
                quote.source_port = if quote.is_icmp_query { be16(ports, 4) } else { 0 };
            } else {
                quote.source_port = be16(ports, 0);
                quote.destination_port = be16(ports, 2);
            }
        }
        Ok(quote)
    }
}
