//! Linux cooked captures: what `any` and devices without a link layer look like in a capture file.
//!
//! Layouts: <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html> and `..._SLL2.html`.

use crate::Malformed;
use crate::ethernet::{EtherType, Mac};
use crate::view::view;

/// Length of an Ethernet address, in the address length field.
const MAC_LEN: u16 = 6;

view! {
    /// A cooked header, version 1.
    Sll {
        /// 0 to us, 1 broadcast, 2 multicast, 3 to somebody else, 4 sent by us.
        packet_type, set_packet_type: u16 = 0;
        /// The device's `ARPHRD_` type.
        arphrd, set_arphrd: u16 = 2;
        /// Octets of the sender's address.
        address_len, set_address_len: u16 = 4;
        /// What it carries.
        ethertype, set_ethertype: EtherType = 14;
    }
}

impl Sll<()> {
    /// Octets of the header.
    pub const HEADER_LEN: usize = 16;
}

impl<T: AsRef<[u8]>> Sll<T> {
    /// A frame that is all of `octets`.
    ///
    /// # Errors
    /// [`Malformed::LinkTruncated`] below 16 octets.
    pub fn new(octets: T) -> Result<Self, Malformed> {
        if octets.as_ref().len() < Sll::HEADER_LEN {
            return Err(Malformed::LinkTruncated);
        }
        Ok(Self { octets })
    }

    /// The sender's address, if it is an Ethernet address.
    pub fn source(&self) -> Option<Mac> {
        (self.address_len() == MAC_LEN).then(|| crate::view::Field::get(self.octets(), 6))
    }

    /// What follows the header.
    pub fn payload(&self) -> &[u8] {
        &self.octets()[Sll::HEADER_LEN..]
    }
}

view! {
    /// A cooked header, version 2.
    Sll2 {
        /// What it carries.
        ethertype, set_ethertype: EtherType = 0;
        /// Index of the device that it was seen on.
        interface, set_interface: u32 = 4;
        /// The device's `ARPHRD_` type.
        arphrd, set_arphrd: u16 = 8;
        /// As in version 1.
        packet_type, set_packet_type: u8 = 10;
        /// Octets of the sender's address.
        address_len, set_address_len: u8 = 11;
    }
}

impl Sll2<()> {
    /// Octets of the header.
    pub const HEADER_LEN: usize = 20;
}

impl<T: AsRef<[u8]>> Sll2<T> {
    /// A frame that is all of `octets`.
    ///
    /// # Errors
    /// [`Malformed::LinkTruncated`] below 20 octets.
    pub fn new(octets: T) -> Result<Self, Malformed> {
        if octets.as_ref().len() < Sll2::HEADER_LEN {
            return Err(Malformed::LinkTruncated);
        }
        Ok(Self { octets })
    }

    /// The sender's address, if it is an Ethernet address.
    pub fn source(&self) -> Option<Mac> {
        (u16::from(self.address_len()) == MAC_LEN).then(|| crate::view::Field::get(self.octets(), 12))
    }

    /// What follows the header.
    pub fn payload(&self) -> &[u8] {
        &self.octets()[Sll2::HEADER_LEN..]
    }
}
