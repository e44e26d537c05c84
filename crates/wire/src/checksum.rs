//! The Internet checksum (RFC 1071), whole, incremental and partial.

use core::net::Ipv4Addr;

/// A ones' complement sum of 16-bit words, not yet complemented.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u16);

impl Sum {
    /// The sum of `octets`, an odd last one padded with zero.
    pub fn of(octets: &[u8]) -> Self {
        let _ = octets;
        Self(0)
    }

    /// The sum of the pseudo-header of TCP and UDP.
    pub fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Self {
        let _ = (source, destination, protocol, length);
        Self(0)
    }

    /// Both sums together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        Self(sum + u16::from(carry))
    }

    /// What a partial checksum field holds: the folded sum, not complemented.
    pub const fn folded(self) -> u16 {
        self.0
    }

    /// What a checksum field holds: the complement.
    pub const fn checksum(self) -> u16 {
        !self.0
    }
}

/// What a change of header fields does to a checksum over them (RFC 1624, eqn. 3): `~m + m'`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Delta(u16);

impl Delta {
    /// A 16-bit field goes from `old` to `new`.
    pub const fn u16(old: u16, new: u16) -> Self {
        Self(add(!old, new))
    }

    /// An address goes from `old` to `new`.
    pub const fn address(old: Ipv4Addr, new: Ipv4Addr) -> Self {
        let (old, new) = (old.to_bits(), new.to_bits());
        Self::u16((old >> 16) as u16, (new >> 16) as u16).and(Self::u16(old as u16, new as u16))
    }

    /// This change and another one.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(add(self.0, other.0))
    }

    /// The change back.
    #[must_use]
    pub const fn reverse(self) -> Self {
        Self(!self.0)
    }

    /// The checksum field after the change: `HC' = ~(~HC + ~m + m')`.
    pub const fn apply(self, field: u16) -> u16 {
        !add(!field, self.0)
    }

    /// The partial checksum field after a change of the pseudo-header: not complemented. A change
    /// of anything else does not touch a partial checksum.
    pub const fn apply_partial(self, field: u16) -> u16 {
        add(field, self.0)
    }
}

/// Ones' complement addition.
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}
