//! TCP segments (RFC 9293 3.1).

use core::net::Ipv4Addr;

use crate::checksum::Sum;
use crate::view::{Field, field, view};
use crate::{Malformed, SeqNumber};

mod options;

pub(crate) use options::options_are_well_formed;
pub use options::{OptionsIter, SackBlocks, TcpOption};

/// The protocol number.
pub const PROTOCOL: u8 = 6;

/// The flags of a segment: the low octet of the flags field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push function.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x20);
    /// ECN-Echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// All flags of `other` are set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags less those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Any flag of `other` is set here.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

field!(Flags, 1, |[octet]: [u8; 1]| Flags(octet), |flags: Flags| [flags.0]);

view! {
    /// A TCP segment. Setters leave the checksum alone: see [`fill_checksum`](Self::fill_checksum).
    Tcp {
        /// Source port.
        source_port, set_source_port: u16 = 0;
        /// Destination port.
        destination_port, set_destination_port: u16 = 2;
        /// SEG.SEQ.
        seq, set_seq: SeqNumber = 4;
        /// SEG.ACK; means something if the ACK flag is set.
        ack, set_ack: SeqNumber = 8;
        /// The flags.
        flags, set_flags: Flags = 13;
        /// SEG.WND, unscaled.
        window, set_window: u16 = 14;
        /// The checksum, over pseudo-header, header and data.
        checksum, set_checksum: u16 = 16;
        /// SEG.UP; means something if the URG flag is set.
        urgent, set_urgent: u16 = 18;
    }
}

impl<T: AsRef<[u8]>> Tcp<T> {
    /// A segment that is all of `octets`.
    ///
    /// # Errors
    /// [`Malformed::TcpTruncated`] below 20 octets, [`Malformed::TcpDataOffset`].
    pub fn new(octets: T) -> Result<Self, Malformed> {
        let view = Self { octets };
        if view.octets().len() < 20 {
            return Err(Malformed::TcpTruncated);
        }
        if view.header_len() < 20 || view.header_len() > view.octets().len() {
            return Err(Malformed::TcpDataOffset);
        }
        Ok(view)
    }

    /// Octets of header with options, 20 to 60.
    pub fn header_len(&self) -> usize {
        usize::from(self.octets()[12] >> 4) * 4
    }

    /// The options.
    pub fn options(&self) -> OptionsIter<'_> {
        OptionsIter::new(&self.octets()[20..self.header_len()])
    }

    /// The data.
    pub fn payload(&self) -> &[u8] {
        &self.octets()[self.header_len()..]
    }

    /// SEG.LEN: octets of sequence space, SYN and FIN among them (RFC 9293 3.4).
    pub fn segment_len(&self) -> u32 {
        let flags = self.flags();
        let marks = u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
        self.payload().len() as u32 + marks
    }

    /// Whether its checksum is right.
    pub fn checksum_is_valid(&self, source: Ipv4Addr, destination: Ipv4Addr) -> bool {
        self.sum(source, destination).is_valid()
    }

    /// The sum of the header and its pseudo-header: with that of the data, it says whether the checksum is right.
    pub fn header_sum(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Sum {
        let octets = self.octets();
        let pseudo = Sum::pseudo_header(source, destination, PROTOCOL, octets.len() as u16);
        pseudo.plus(Sum::of(&octets[..self.header_len()]))
    }

    fn sum(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Sum {
        let octets = self.octets();
        Sum::pseudo_header(source, destination, PROTOCOL, octets.len() as u16).plus(Sum::of(octets))
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Tcp<T> {
    /// The octets of the options, to be changed in place.
    pub fn options_mut(&mut self) -> &mut [u8] {
        let header_len = self.header_len();
        &mut self.octets.as_mut()[20..header_len]
    }

    /// The data.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let header_len = self.header_len();
        &mut self.octets.as_mut()[header_len..]
    }

    /// Computes the checksum anew.
    pub fn fill_checksum(&mut self, source: Ipv4Addr, destination: Ipv4Addr) {
        self.set_checksum(0);
        let sum = self.sum(source, destination);
        self.set_checksum(sum.checksum());
    }
}

impl core::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl core::fmt::Debug for Flags {
    /// The letters of packetdrill and tcpdump: `S.` is SYN with ACK.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let letters = [
            (Self::FIN, "F"),
            (Self::SYN, "S"),
            (Self::RST, "R"),
            (Self::PSH, "P"),
            (Self::ACK, "."),
            (Self::URG, "U"),
            (Self::ECE, "E"),
            (Self::CWR, "W"),
        ];
        for (flag, letter) in letters {
            if self.contains(flag) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}
