//! What goes into the engine and what comes out: packets, verdicts, endpoints.

use core::fmt;
use core::net::Ipv4Addr;
use wire::offload::Offload;

use crate::Reason;

/// How many packets [`crate::Engine::handle_batch`] takes at most.
pub const BATCH: usize = 64;

/// One of the two sides of the gateway (RFC 2663 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Realm {
    /// The subscribers' side.
    Inside = 0,
    /// The side whose addresses the pools belong to.
    Outside = 1,
}

impl Realm {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Inside => Self::Outside,
            Self::Outside => Self::Inside,
        }
    }
}

/// One packet of a batch: an IPv4 packet from the first octet of its header, translated in place.
#[derive(Debug)]
pub struct Packet<'a> {
    /// The octets. Anything behind the header's total length (link padding) is left alone.
    pub data: &'a mut [u8],
    /// The realm that it came from.
    pub from: Realm,
    /// What is known beyond its octets.
    pub offload: Offload,
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was translated in place: send it into this realm.
    Forward(Realm),
    /// It is refused; its octets and every state are as before, one counter has moved.
    Drop(Reason),
    /// The engine has kept a copy and will hand it out through `poll_transmit`, or count it as
    /// dropped when its time is up.
    Held,
    /// Its source was translated, and its destination is an external address of the given shard:
    /// hand it to that shard's [`crate::Engine::handle_hairpin`].
    Hairpin {
        /// The shard that owns the destination.
        shard: u16,
    },
}

/// A packet that the engine made, as [`crate::Engine::poll_transmit`] writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// The realm to send it into.
    pub to: Realm,
    /// It belongs to that shard's [`crate::Engine::handle_hairpin`] instead.
    pub shard: Option<u16>,
    /// Octets written.
    pub len: usize,
    /// Its offloads: a penned fragment keeps those that it came with.
    pub offload: Offload,
}

/// What an endpoint's port counts in: the three port spaces that are translated, and what has none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Protocol {
    /// TCP ports.
    Tcp = 0,
    /// UDP ports.
    Udp = 1,
    /// Identifiers of ICMP queries (RFC 5508 3).
    Icmp = 2,
    /// Every other protocol, where addresses are translated whole (B6). The subscriber's "port" is the
    /// protocol number, the remote's is 0.
    Other = 3,
}

impl Protocol {
    /// Those with a port space, by their number in here.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];

    /// The one with this number in here.
    pub(crate) const fn from_index(index: u8) -> Self {
        match index {
            0 => Self::Tcp,
            1 => Self::Udp,
            2 => Self::Icmp,
            _ => Self::Other,
        }
    }

    /// The protocol number of the IPv4 header; of others, which have many, the reserved 255.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp => 1,
            Self::Other => 255,
        }
    }

    /// The one with this IPv4 protocol number, if it has a port space.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            1 => Some(Self::Icmp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Other => "other",
        })
    }
}

/// An address and a port (or, for ICMP, a query identifier).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// The address.
    pub address: Ipv4Addr,
    /// The port or query identifier.
    pub port: u16,
}

impl Endpoint {
    /// `address` and `port` as one value.
    pub const fn new(address: Ipv4Addr, port: u16) -> Self {
        Self { address, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.address, self.port)
    }
}
