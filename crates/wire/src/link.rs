//! Finding the network layer in a frame of a capture file, whatever the link layer is.

use crate::Malformed;
use crate::ethernet::{EtherType, Ethernet, Mac};
use crate::sll::{Sll, Sll2};
use crate::vlan::Vlan;

/// What frames begin with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkType {
    /// Ethernet II, with up to two VLAN tags.
    Ethernet,
    /// Nothing: the IP header.
    RawIp,
    /// Linux cooked, version 1.
    LinuxSll,
    /// Linux cooked, version 2.
    LinuxSll2,
    /// BSD loopback: an address family in four octets, in the byte order of whoever captured it.
    Null,
}

impl LinkType {
    /// From the number in a capture file (`LINKTYPE_*`), or `None` if its frames cannot be read here.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Ethernet),
            // 12 and 14 are what some systems call their DLT_RAW; 228 is raw IPv4.
            12 | 14 | 101 | 228 => Some(Self::RawIp),
            113 => Some(Self::LinuxSll),
            276 => Some(Self::LinuxSll2),
            // 108 is the same in network byte order.
            0 | 108 => Some(Self::Null),
            _ => None,
        }
    }

    /// Its number in a capture file.
    pub const fn number(self) -> u32 {
        match self {
            Self::Ethernet => 1,
            Self::RawIp => 101,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
            Self::Null => 0,
        }
    }
}

/// Where the network layer begins in a frame, and what the link layer said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What the network layer is.
    pub ethertype: EtherType,
    /// Octets before the network layer's header.
    pub network_offset: usize,
    /// The sender's Ethernet address, if there is one.
    pub source: Option<Mac>,
    /// The receiver's Ethernet address, if there is one.
    pub destination: Option<Mac>,
    /// VLAN identifiers, the outer one first.
    pub vlans: [Option<u16>; 2],
}

/// Finds the network layer in `frame`.
///
/// # Errors
/// [`Malformed::LinkTruncated`], [`Malformed::VlanDepth`].
pub fn locate(link: LinkType, frame: &[u8]) -> Result<Frame, Malformed> {
    let mut found = Frame {
        ethertype: EtherType::UNKNOWN,
        network_offset: 0,
        source: None,
        destination: None,
        vlans: [None; 2],
    };
    match link {
        LinkType::Ethernet => {
            let header = Ethernet::new(frame)?;
            found.source = Some(header.source());
            found.destination = Some(header.destination());
            found.ethertype = header.ethertype();
            found.network_offset = Ethernet::HEADER_LEN;
        }
        LinkType::LinuxSll => {
            let header = Sll::new(frame)?;
            found.source = header.source();
            found.ethertype = header.ethertype();
            found.network_offset = Sll::HEADER_LEN;
        }
        LinkType::LinuxSll2 => {
            let header = Sll2::new(frame)?;
            found.source = header.source();
            found.ethertype = header.ethertype();
            found.network_offset = Sll2::HEADER_LEN;
        }
        LinkType::RawIp => {
            let version = frame.first().ok_or(Malformed::LinkTruncated)? >> 4;
            found.ethertype = match version {
                4 => EtherType::IPV4,
                6 => EtherType::IPV6,
                _ => EtherType::UNKNOWN,
            };
        }
        LinkType::Null => {
            let family = frame.first_chunk::<4>().ok_or(Malformed::LinkTruncated)?;
            found.ethertype = ethertype_of_family(*family);
            found.network_offset = 4;
        }
    }
    untag(&mut found, frame)?;
    Ok(found)
}

/// Steps over VLAN tags.
fn untag(found: &mut Frame, frame: &[u8]) -> Result<(), Malformed> {
    let mut depth = 0;
    while found.ethertype.is_vlan() {
        let tag = Vlan::new(frame.get(found.network_offset..).unwrap_or_default())?;
        *found.vlans.get_mut(depth).ok_or(Malformed::VlanDepth)? = Some(tag.id());
        found.ethertype = tag.ethertype();
        found.network_offset += Vlan::LEN;
        depth += 1;
    }
    Ok(())
}

/// Families are small numbers, so the byte order shows by which end is zero. IPv6 has another number on each
/// system: 10 on Linux, 24, 28 and 30 on the BSDs.
const fn ethertype_of_family(family: [u8; 4]) -> EtherType {
    match family {
        [2, 0, 0, 0] | [0, 0, 0, 2] => EtherType::IPV4,
        [10 | 24 | 28 | 30, 0, 0, 0] | [0, 0, 0, 10 | 24 | 28 | 30] => EtherType::IPV6,
        _ => EtherType::UNKNOWN,
    }
}
