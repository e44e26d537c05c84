//! Ethernet II frames (RFC 894) and their VLAN tags' neighbours: addresses and types.

use core::fmt;
use core::str::FromStr;

use crate::Malformed;
use crate::view::{Field, field, view};

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

field!(Mac, 6, Mac, |mac: Mac| mac.0);

impl Mac {
    /// All hosts.
    pub const BROADCAST: Self = Self([0xFF; 6]);

    /// It names a group of hosts, perhaps all.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAMac;

impl fmt::Display for NotAMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an Ethernet address; write six octets in hexadecimal, as in 02:00:5e:10:00:01")
    }
}

impl core::error::Error for NotAMac {}

impl FromStr for Mac {
    type Err = NotAMac;

    /// Six octets of two hexadecimal digits each, separated by colons or by hyphens.
    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().ok_or(NotAMac)?;
            // `from_str_radix` would also take a sign.
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(NotAMac);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| NotAMac)?;
        }
        if parts.next().is_none() { Ok(Self(octets)) } else { Err(NotAMac) }
    }
}

/// What an Ethernet frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EtherType(pub u16);

field!(EtherType, 2, |octets| EtherType(u16::from_be_bytes(octets)), |kind: EtherType| kind.0.to_be_bytes());

impl EtherType {
    /// Nothing that has one.
    pub const UNKNOWN: Self = Self(0);
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// IPv6.
    pub const IPV6: Self = Self(0x86DD);
    /// A VLAN tag (IEEE 802.1Q).
    pub const VLAN: Self = Self(0x8100);
    /// The outer of two VLAN tags (IEEE 802.1ad).
    pub const QINQ: Self = Self(0x88A8);
    /// The outer of two VLAN tags, from before there was a standard.
    pub const QINQ_OLD: Self = Self(0x9100);

    /// A VLAN tag follows.
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::QINQ | Self::QINQ_OLD)
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

view! {
    /// An Ethernet II frame, without its frame check sequence.
    Ethernet {
        /// Destination address.
        destination, set_destination: Mac = 0;
        /// Source address.
        source, set_source: Mac = 6;
        /// What it carries; below 0x0600 it is a length (IEEE 802.3) and what it carries is not IPv4.
        ethertype, set_ethertype: EtherType = 12;
    }
}

impl Ethernet<()> {
    /// Octets of the header.
    pub const HEADER_LEN: usize = 14;
}

impl<T: AsRef<[u8]>> Ethernet<T> {
    /// A frame that is all of `octets`.
    ///
    /// # Errors
    /// [`Malformed::LinkTruncated`] below 14 octets.
    pub fn new(octets: T) -> Result<Self, Malformed> {
        if octets.as_ref().len() < Ethernet::HEADER_LEN {
            return Err(Malformed::LinkTruncated);
        }
        Ok(Self { octets })
    }

    /// What follows the header.
    pub fn payload(&self) -> &[u8] {
        &self.octets()[Ethernet::HEADER_LEN..]
    }
}
