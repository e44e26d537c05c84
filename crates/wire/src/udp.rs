//! UDP datagrams (RFC 768).

use core::net::Ipv4Addr;

use crate::Malformed;
use crate::checksum::Sum;
use crate::view::view;

/// The protocol number.
pub const PROTOCOL: u8 = 17;

view! {
    /// A UDP datagram, or the first fragment of one. Setters leave the checksum alone.
    Udp {
        /// Source port.
        source_port, set_source_port: u16 = 0;
        /// Destination port.
        destination_port, set_destination_port: u16 = 2;
        /// Octets of header and data; of a first fragment it is that of the datagram.
        length, set_length: u16 = 4;
        /// The checksum, over pseudo-header, header and data; 0: there is none.
        checksum, set_checksum: u16 = 6;
    }
}

impl<T: AsRef<[u8]>> Udp<T> {
    /// A datagram that is all of `octets`.
    ///
    /// # Errors
    /// [`Malformed::UdpTruncated`] below 8 octets.
    pub fn new(octets: T) -> Result<Self, Malformed> {
        if octets.as_ref().len() < 8 { Err(Malformed::UdpTruncated) } else { Ok(Self { octets }) }
    }

    /// The data.
    pub fn payload(&self) -> &[u8] {
        &self.octets()[8..]
    }

    /// Whether there is no checksum or it is right. The datagram must be whole.
    pub fn checksum_is_valid(&self, source: Ipv4Addr, destination: Ipv4Addr) -> bool {
        self.checksum() == 0 || self.sum(source, destination).is_valid()
    }

    fn sum(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Sum {
        Sum::pseudo_header(source, destination, PROTOCOL, self.length()).plus(Sum::of(self.octets()))
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Udp<T> {
    /// The data.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.octets.as_mut()[8..]
    }

    /// Computes the checksum anew. The datagram must be whole.
    pub fn fill_checksum(&mut self, source: Ipv4Addr, destination: Ipv4Addr) {
        self.set_checksum(0);
        let sum = self.sum(source, destination);
        self.set_checksum(sum.checksum_udp());
    }
}
