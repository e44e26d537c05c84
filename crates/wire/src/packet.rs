//! An IPv4 packet parsed once: what a translator needs to know of it, as values.

use core::fmt;
use core::net::Ipv4Addr;

use crate::SeqNumber;

mod parse;
mod quote;

/// An IPv4 packet, parsed and found well-formed. 40 octets, no borrow: offsets into the octets
/// that it was parsed from stay valid as long as those keep their layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Total length: the IPv4 packet is `data[..total_len]`.
    pub total_len: u16,
    /// Header length, 20 to 60: the transport header starts here.
    pub header_len: u8,
    /// The protocol field.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// The don't-fragment bit.
    pub dont_fragment: bool,
    /// Which IPv4 options it has.
    pub options: Options,
    /// Which part of its datagram it is.
    pub fragment: Fragment,
    /// The transport header, or why there is none.
    pub transport: Transport,
}

/// Which part of its datagram a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// The first of several.
    First,
    /// A later one, starting at this octet of the datagram's payload.
    Later {
        /// In octets.
        offset: u16,
        /// No fragment follows behind it.
        last: bool,
    },
}

/// The transport header of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP.
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
        /// SEG.SEQ.
        seq: SeqNumber,
        /// The flags.
        flags: crate::tcp::Flags,
        /// Octets of header with options, 20 to 60.
        header_len: u8,
    },
    /// UDP.
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
        /// The checksum field is not 0, so there is something to keep right.
        has_checksum: bool,
    },
    /// An ICMP query or its response (echo, timestamp, information, address mask): what has an identifier.
    IcmpQuery {
        /// Request, rather than reply.
        request: bool,
        /// The query identifier.
        identifier: u16,
    },
    /// An ICMP error: what quotes a packet.
    IcmpError {
        /// The quoted packet.
        quote: Quote,
    },
    /// Another ICMP message.
    IcmpOther,
    /// A later fragment: the transport header is elsewhere.
    None,
    /// Another protocol.
    Other,
}

/// The packet that an ICMP error quotes, as far as it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    /// Its source: the receiver of the error.
    pub source: Ipv4Addr,
    /// Its destination.
    pub destination: Ipv4Addr,
    /// Its protocol field.
    pub protocol: u8,
    /// Its header length, 20 to 60.
    pub header_len: u8,
    /// Octets from the start of the outer packet to the quoted header.
    pub offset: u8,
    /// It is a later fragment: no ports.
    pub later_fragment: bool,
    /// Source port, or the query identifier of ICMP; 0 where there is neither.
    pub source_port: u16,
    /// Destination port; 0 for ICMP.
    pub destination_port: u16,
    /// The quoted packet is an ICMP query or response: `source_port` is its identifier.
    pub is_icmp_query: bool,
    /// The quoted packet is itself an ICMP error.
    pub is_icmp_error: bool,
}

/// Which IPv4 options a header has (RFC 791 3.1): a set. End of list and no-operation do not count.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Options(u8);

impl Options {
    /// No option.
    pub const NONE: Self = Self(0);
    /// Loose or strict source route: what a gateway has good reason to refuse (RFC 6274 3.13.2).
    pub const SOURCE_ROUTE: Self = Self(0x01);
    /// Record route.
    pub const RECORD_ROUTE: Self = Self(0x02);
    /// Internet timestamp.
    pub const TIMESTAMP: Self = Self(0x04);
    /// Router alert (RFC 2113).
    pub const ROUTER_ALERT: Self = Self(0x08);
    /// Any other.
    pub const OTHER: Self = Self(0x80);

    /// There is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Any option of `other` is here.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl core::ops::BitOr for Options {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::SOURCE_ROUTE, "source-route"),
            (Self::RECORD_ROUTE, "record-route"),
            (Self::TIMESTAMP, "timestamp"),
            (Self::ROUTER_ALERT, "router-alert"),
            (Self::OTHER, "other"),
        ];
        let set = names.iter().filter(|(option, _)| self.intersects(*option)).map(|(_, name)| name);
        f.debug_set().entries(set).finish()
    }
}

/// What is already known of a packet's transport checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Nothing: verify it.
    Verify,
    /// It need not be looked at.
    Skip,
}
