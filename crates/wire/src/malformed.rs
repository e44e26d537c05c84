//! Why octets are not the packet that they claim to be.

use core::fmt;

macro_rules! malformed {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why octets are not the packet that they claim to be. One counter each.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Malformed { $($(#[$doc])* $variant,)* }

        impl Malformed {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in counters and logs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

malformed! {
    /// Shorter than an IPv4 header.
    Ipv4Truncated = "ipv4-truncated",
    /// The version field is not 4.
    Ipv4Version = "ipv4-version",
    /// The header length field is below 5 or beyond the packet.
    Ipv4HeaderLength = "ipv4-header-length",
    /// The total length is below the header length or beyond the octets there are.
    Ipv4TotalLength = "ipv4-total-length",
    /// The header checksum is wrong.
    Ipv4Checksum = "ipv4-checksum",
    /// An option runs beyond the header or has an impossible length.
    Ipv4Option = "ipv4-option",
    /// A fragment that would end beyond 65,535 octets.
    FragmentBeyondEnd = "fragment-beyond-end",
    /// A fragment that is not the last and whose length is not a multiple of 8.
    FragmentLength = "fragment-length",
    /// A first fragment too short for its transport header, or a second one at offset 8
    /// (RFC 1858, RFC 3128).
    FragmentTiny = "fragment-tiny",
    /// Shorter than a TCP header.
    TcpTruncated = "tcp-truncated",
    /// The data offset is below 5 or beyond the segment.
    TcpDataOffset = "tcp-data-offset",
    /// The TCP checksum is wrong.
    TcpChecksum = "tcp-checksum",
    /// A TCP option runs beyond the header or has an impossible length.
    TcpOption = "tcp-option",
    /// Shorter than a UDP header.
    UdpTruncated = "udp-truncated",
    /// The UDP length is below 8 or does not fit the packet.
    UdpLength = "udp-length",
    /// The UDP checksum is not 0 and wrong.
    UdpChecksum = "udp-checksum",
    /// Shorter than an ICMP header.
    IcmpTruncated = "icmp-truncated",
    /// The ICMP checksum is wrong.
    IcmpChecksum = "icmp-checksum",
    /// An ICMP error whose quoted packet is not at least an IPv4 header and 8 octets.
    QuoteTruncated = "quote-truncated",
    /// The quoted packet's header makes no sense: version, header length or option.
    QuoteHeader = "quote-header",
    /// The quoted packet's header checksum is wrong (RFC 5508 REQ-3a).
    QuoteChecksum = "quote-checksum",
    /// A TCP or UDP port is 0.
    PortZero = "port-zero",
    /// Shorter than its link-layer header.
    LinkTruncated = "link-truncated",
    /// More than two VLAN tags.
    VlanDepth = "vlan-depth",
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Malformed {}
