//! ICMP messages (RFC 792).

use crate::Malformed;
use crate::checksum::Sum;
use crate::packet::Quote;
use crate::view::view;

/// The protocol number.
pub const PROTOCOL: u8 = 1;

/// Type of an echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Type of a destination unreachable message.
pub const UNREACHABLE: u8 = 3;
/// Code of [`UNREACHABLE`]: network.
pub const UNREACHABLE_NET: u8 = 0;
/// Code of [`UNREACHABLE`]: host.
pub const UNREACHABLE_HOST: u8 = 1;
/// Code of [`UNREACHABLE`]: protocol.
pub const UNREACHABLE_PROTOCOL: u8 = 2;
/// Code of [`UNREACHABLE`]: port.
pub const UNREACHABLE_PORT: u8 = 3;
/// Code of [`UNREACHABLE`]: fragmentation needed and don't-fragment set; has a [`next_hop_mtu`] (RFC 1191).
pub const FRAGMENTATION_NEEDED: u8 = 4;
/// Code of [`UNREACHABLE`]: communication administratively prohibited (RFC 1812 5.2.7.1).
pub const PROHIBITED: u8 = 13;
/// Type of a source quench (deprecated by RFC 6633).
pub const SOURCE_QUENCH: u8 = 4;
/// Type of a redirect.
pub const REDIRECT: u8 = 5;
/// Type of an echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Type of a time exceeded message; code 0 in transit, code 1 in reassembly.
pub const TIME_EXCEEDED: u8 = 11;
/// Type of a parameter problem.
pub const PARAMETER_PROBLEM: u8 = 12;

/// Octets 4 to 7 of an error that has no use for them.
pub const UNUSED: [u8; 4] = [0; 4];

/// Octets 4 to 7 of [`FRAGMENTATION_NEEDED`] (RFC 1191 section 4).
pub const fn next_hop_mtu(mtu: u16) -> [u8; 4] {
    let [high, low] = mtu.to_be_bytes();
    [0, 0, high, low]
}

/// What a message is to a translator (RFC 5508 section 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A query: echo, timestamp, address mask.
    Request,
    /// The response to a query.
    Reply,
    /// An error: quotes a packet.
    Error,
    /// Anything else.
    Other,
}

impl Class {
    /// That of messages of type `kind`.
    #[inline]
    pub const fn of(kind: u8) -> Self {
        match kind {
            8 | 13 | 17 => Self::Request,
            0 | 14 | 18 => Self::Reply,
            // Source quench and information messages are not for translators (RFC 5508 REQ-10c), and a
            // redirect means something on its own link only.
            3 | 11 | 12 => Self::Error,
            _ => Self::Other,
        }
    }
}

view! {
    /// An ICMP message. Setters leave the checksum alone: see [`fill_checksum`](Self::fill_checksum).
    Icmpv4 {
        /// The type.
        kind, set_kind: u8 = 0;
        /// The code.
        code, set_code: u8 = 1;
        /// The checksum, over the whole message.
        checksum, set_checksum: u16 = 2;
        /// The identifier of a query.
        identifier, set_identifier: u16 = 4;
        /// The sequence number of a query.
        sequence, set_sequence: u16 = 6;
        /// The MTU of [`FRAGMENTATION_NEEDED`]; 0 if its sender predates RFC 1191.
        next_hop_mtu, set_next_hop_mtu: u16 = 6;
        /// The gateway of a [`REDIRECT`].
        gateway, set_gateway: core::net::Ipv4Addr = 4;
    }
}

impl<T: AsRef<[u8]>> Icmpv4<T> {
    /// A message that is all of `octets`.
    ///
    /// # Errors
    /// [`Malformed::IcmpTruncated`] below 8 octets.
    pub fn new(octets: T) -> Result<Self, Malformed> {
        if octets.as_ref().len() < 8 { Err(Malformed::IcmpTruncated) } else { Ok(Self { octets }) }
    }

    /// What it is to a translator.
    pub fn class(&self) -> Class {
        Class::of(self.kind())
    }

    /// What follows the 8 octets of the header: data of a query, the quoted packet of an error.
    pub fn payload(&self) -> &[u8] {
        &self.octets()[8..]
    }

    /// The packet that an error quotes, with offsets from the start of this message.
    ///
    /// # Errors
    /// Those of a quote, at [`Malformed`]. `Ok(None)` if this is not an error.
    pub fn quote(&self) -> Result<Option<Quote>, Malformed> {
        match self.class() {
            Class::Error => Quote::parse(self.payload(), 8).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether its checksum is right.
    pub fn checksum_is_valid(&self) -> bool {
        Sum::of(self.octets()).is_valid()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Icmpv4<T> {
    /// What follows the header.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.octets.as_mut()[8..]
    }

    /// Computes the checksum anew.
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let sum = Sum::of(self.octets());
        self.set_checksum(sum.checksum());
    }
}
