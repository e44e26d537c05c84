//! Why octets are not the packet that they claim to be.

use core::fmt;

macro_rules! malformed {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why octets are not the packet that they claim to be. One counter each.
        ///
        /// The order in which they are looked for:
        ///
        /// 1. of a frame: `LinkTruncated`, `VlanDepth`
        /// 2. of the IPv4 header: `Ipv4Truncated`, `Ipv4Version`, `Ipv4HeaderLength`, `Ipv4TotalLength`,
        ///    `Ipv4Checksum`, `Ipv4Option`
        /// 3. of a fragment: `FragmentBeyondEnd`, `FragmentLength`, `FragmentTiny`
        /// 4. of TCP: `TcpTruncated`, `TcpDataOffset`, `TcpOption`, `PortZero`, `TcpChecksum`;
        ///    of UDP: `UdpTruncated`, `UdpLength`, `PortZero`, `UdpChecksum`;
        ///    of ICMP: `IcmpTruncated`, `IcmpChecksum`
        /// 5. of a quoted packet: `QuoteTruncated` (no header), `QuoteHeader` (version, lengths),
        ///    `QuoteTruncated` (cut too short), `QuoteChecksum`, `QuoteHeader` (option)
        ///
        /// What is needed to know where things are comes first, then what costs little, last what reads
        /// every octet; but ICMP's checksum comes before the quoted packet, whose damage it explains. In a
        /// first fragment `FragmentTiny` stands in the place of `...Truncated`, and of a `TcpDataOffset`
        /// beyond the fragment: the header may be right, it is only not all here. Steps 4 and 5 are not
        /// asked of later fragments, and the checksums of step 4 only of whole packets whose caller has not
        /// said [`Trust::Skip`](crate::Trust::Skip).
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
    /// A fragment that is not the last and whose length is not a multiple of 8, or an empty one.
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
    /// The UDP length is below 8 or is not that of the packet; of a first fragment, that it leaves
    /// nothing for the others.
    UdpLength = "udp-length",
    /// The UDP checksum is not 0 and wrong.
    UdpChecksum = "udp-checksum",
    /// Shorter than an ICMP header.
    IcmpTruncated = "icmp-truncated",
    /// The ICMP checksum is wrong.
    IcmpChecksum = "icmp-checksum",
    /// An ICMP error whose quoted packet is not at least an IPv4 header and 8 octets of what it carries
    /// (or all of that, for a small packet of a protocol without ports and a small later fragment).
    QuoteTruncated = "quote-truncated",
    /// The quoted packet's header makes no sense: version, header length, total length or option.
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
