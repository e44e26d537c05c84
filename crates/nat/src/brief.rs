//! What forwarding needs to know of a packet, in fields that are the same for every protocol.
//!
//! Traffic mixes protocols and directions at random, so a branch on either is guessed wrong half of
//! the time, and each wrong guess costs as much as parsing the packet did. The hot path therefore
//! reads fields that say *where* and *what*, and asks the protocol once, here.

use wire::tcp::Flags;
use wire::{Fragment, Options, Packet as Parsed, Transport};

use crate::batch::ends;
use crate::hash::Flow;
use crate::scrub::{Marks, marks};
use crate::tcp::Seen;
use crate::{Checksum, Realm};

/// There is no such field.
pub(crate) const NONE: u8 = u8::MAX;

/// Protocol numbers.
pub(crate) const DCCP: u8 = 33;
pub(crate) const UDP_LITE: u8 = 136;

/// A packet in brief.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brief {
    pub(crate) flow: Flow,
    pub(crate) hash: u64,
    /// The session that the second stage found in the hash's bucket; it may be another's, or gone by now.
    pub(crate) guess: Option<u32>,
    pub(crate) total_len: u16,
    /// Octets of the IPv4 header.
    pub(crate) header_len: u8,
    /// Octets of the transport header.
    pub(crate) transport_len: u8,
    pub(crate) ttl: u8,
    /// Of a TCP segment its flags; of everything else an ACK, which moves and means nothing.
    pub(crate) flags: Flags,
    /// Where in the transport header the checksum is, or [`NONE`].
    pub(crate) checksum_at: u8,
    /// The transport header begins with two ports.
    pub(crate) has_ports: bool,
    /// There is a query identifier, at octet 4 of the transport header.
    pub(crate) has_identifier: bool,
    /// It is TCP, UDP or an ICMP query, whole and without a source route.
    pub(crate) common: bool,
    pub(crate) dont_fragment: bool,
    /// It is whole, from inside and may be fragmented on its way: its Identification must be unique.
    pub(crate) needs_id: bool,
    /// It is UDP: a checksum that comes out as 0 is sent as 0xffff.
    pub(crate) is_udp: bool,
    /// It is an ICMP reply.
    pub(crate) is_reply: bool,
    /// It is a whole TCP segment, so that its numbers are all there.
    pub(crate) is_tcp: bool,
    /// Its numbers, if it is.
    pub(crate) seen: Seen,
    /// Of a TCP header, in a fragment or not, what scrubbing asks about; else 0.
    pub(crate) marks: Marks,
    /// It is no fragment.
    pub(crate) is_whole: bool,
}

impl Brief {
    #[inline(always)]
    pub(crate) fn new(parsed: &Parsed, data: &[u8], realm: Realm, checksum: Checksum) -> Self {
        let mut brief = Self {
            flow: Flow { addresses: 0, ports: 0 },
            hash: 0,
            guess: None,
            total_len: parsed.total_len,
            header_len: parsed.header_len,
            transport_len: 8,
            ttl: parsed.ttl,
            flags: Flags::ACK,
            checksum_at: NONE,
            has_ports: false,
            has_identifier: false,
            common: parsed.fragment == Fragment::Whole && !parsed.options.intersects(Options::SOURCE_ROUTE),
            dont_fragment: parsed.dont_fragment,
            needs_id: parsed.fragment == Fragment::Whole
                && !parsed.dont_fragment
                && realm as u8 == Realm::Inside as u8,
            is_udp: false,
            is_reply: false,
            is_tcp: false,
            seen: Seen::default(),
            marks: 0,
            is_whole: parsed.fragment == Fragment::Whole,
        };
        match parsed.transport {
            Transport::Tcp { flags, header_len, .. } => {
                brief.transport_len = header_len;
                brief.flags = flags;
                brief.checksum_at = 16;
                brief.has_ports = true;
                brief.marks = marks(data, parsed.header_len.into());
                if parsed.fragment == Fragment::Whole
                    && let Some(segment) =
                        data.get(usize::from(parsed.header_len)..usize::from(parsed.total_len))
                {
                    brief.is_tcp = true;
                    brief.seen = Seen::read(segment, header_len, flags);
                }
            }
            Transport::Udp { has_checksum, .. } => {
                // A checksum of 0 says that there is none (RFC 768), and stays that way.
                if has_checksum || checksum == Checksum::Partial {
                    brief.checksum_at = 6;
                }
                brief.is_udp = true;
                brief.has_ports = true;
            }
            Transport::IcmpQuery { request, .. } => {
                brief.is_reply = !request;
                brief.checksum_at = 2;
                brief.has_identifier = true;
            }
            Transport::Other => {
                brief.common = false;
                brief.transport_len = 0;
                // Checksums that cover a pseudo-header: DCCP's (RFC 4340 5.1) and UDP-Lite's, which is
                // never 0 (RFC 3828 3.1).
                let len = parsed.total_len - u16::from(parsed.header_len);
                if matches!(parsed.protocol, DCCP | UDP_LITE) && len >= 8 {
                    brief.checksum_at = 6;
                }
                brief.is_udp = parsed.protocol == UDP_LITE;
            }
            Transport::IcmpError { .. } | Transport::IcmpOther | Transport::None => {
                brief.common = false;
            }
        }
        if let Some((protocol, source, destination)) = ends(realm, parsed) {
            brief.flow = Flow::new(realm, protocol, source, destination);
        }
        brief
    }

    /// Octets of headers.
    pub(crate) fn headers(&self) -> usize {
        usize::from(self.header_len) + usize::from(self.transport_len)
    }

    /// It is a SYN that may open a session.
    pub(crate) fn opens_tcp(&self) -> bool {
        let is_tcp = self.has_ports && !self.is_udp;
        is_tcp && self.flags.contains(Flags::SYN) && !self.flags.contains(Flags::ACK)
    }
}
