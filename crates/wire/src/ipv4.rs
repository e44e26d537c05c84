//! IPv4 headers (RFC 791 3.1).

use core::net::Ipv4Addr;

use crate::Malformed;
use crate::checksum::Sum;
use crate::fragment::{DatagramKey, FragmentField};
use crate::packet::Options;
use crate::view::view;

view! {
    /// An IPv4 packet. Setters leave the checksum alone: see [`fill_checksum`](Self::fill_checksum), and
    /// [`crate::rewrite`] for changes that keep it right.
    Ipv4 {
        /// Type of service: DSCP and ECN.
        tos, set_tos: u8 = 1;
        /// Total length, in octets.
        total_len, set_total_len: u16 = 2;
        /// Identification.
        identification, set_identification: u16 = 4;
        /// Time to live.
        ttl, set_ttl: u8 = 8;
        /// What it carries.
        protocol, set_protocol: u8 = 9;
        /// The checksum, over the header.
        checksum, set_checksum: u16 = 10;
        /// Source address.
        source, set_source: Ipv4Addr = 12;
        /// Destination address.
        destination, set_destination: Ipv4Addr = 16;
    }
}

impl<T: AsRef<[u8]>> Ipv4<T> {
    /// The packet at the start of `octets`.
    ///
    /// # Errors
    /// [`Malformed::Ipv4Truncated`], [`Malformed::Ipv4Version`], [`Malformed::Ipv4HeaderLength`] or
    /// [`Malformed::Ipv4TotalLength`]; neither checksum nor options are looked at.
    pub fn new(octets: T) -> Result<Self, Malformed> {
        lengths(octets.as_ref())?;
        Ok(Self { octets })
    }

    /// Octets of header with options, 20 to 60.
    pub fn header_len(&self) -> usize {
        usize::from(self.octets()[0] & 0x0F) * 4
    }

    /// Flags and fragment offset.
    pub fn fragment(&self) -> FragmentField {
        FragmentField(crate::view::Field::get(self.octets(), 6))
    }

    /// Whose fragment it is.
    pub fn datagram_key(&self) -> DatagramKey {
        DatagramKey {
            source: self.source(),
            destination: self.destination(),
            identification: self.identification(),
            protocol: self.protocol(),
        }
    }

    /// The options.
    pub fn options(&self) -> OptionsIter<'_> {
        OptionsIter { octets: &self.octets()[20..self.header_len()] }
    }

    /// What follows the header, to the packet's end.
    pub fn payload(&self) -> &[u8] {
        &self.octets()[self.header_len()..usize::from(self.total_len())]
    }

    /// Whether its checksum is right.
    pub fn checksum_is_valid(&self) -> bool {
        Sum::of(&self.octets()[..self.header_len()]).is_valid()
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ipv4<T> {
    /// Sets flags and fragment offset.
    pub fn set_fragment(&mut self, field: FragmentField) {
        crate::view::Field::set(field.0, self.octets.as_mut(), 6);
    }

    /// What follows the header, to the packet's end.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.header_len(), usize::from(self.total_len()));
        &mut self.octets.as_mut()[start..end]
    }

    /// Computes the checksum anew.
    pub fn fill_checksum(&mut self) {
        self.set_checksum(0);
        let sum = Sum::of(&self.octets()[..self.header_len()]);
        self.set_checksum(sum.checksum());
    }
}

/// Header length and total length of the packet at the start of `data`, found to fit it and one another.
#[inline]
pub(crate) fn lengths(data: &[u8]) -> Result<(usize, u16), Malformed> {
    let header = data.first_chunk::<20>().ok_or(Malformed::Ipv4Truncated)?;
    if header[0] >> 4 != 4 {
        return Err(Malformed::Ipv4Version);
    }
    let header_len = usize::from(header[0] & 0x0F) * 4;
    if header_len < 20 || header_len > data.len() {
        return Err(Malformed::Ipv4HeaderLength);
    }
    let total_len = u16::from_be_bytes([header[2], header[3]]);
    if usize::from(total_len) < header_len || usize::from(total_len) > data.len() {
        return Err(Malformed::Ipv4TotalLength);
    }
    Ok((header_len, total_len))
}

/// One option of an IPv4 header. End of list and no-operation are stepped over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Option<'a> {
    /// The option's type: copied flag, class and number.
    pub kind: u8,
    /// What follows type and length.
    pub data: &'a [u8],
}

impl Ipv4Option<'_> {
    /// It is to be in every fragment, rather than in the first only.
    pub const fn is_copied(&self) -> bool {
        self.kind & 0x80 != 0
    }

    /// The set that has only this option in it.
    pub const fn as_set(&self) -> Options {
        match self.kind {
            7 => Options::RECORD_ROUTE,
            68 => Options::TIMESTAMP,
            131 | 137 => Options::SOURCE_ROUTE,
            148 => Options::ROUTER_ALERT,
            _ => Options::OTHER,
        }
    }
}

/// The options of an IPv4 header, in their order. After an error there are no more.
#[derive(Clone, Debug)]
pub struct OptionsIter<'a> {
    octets: &'a [u8],
}

impl<'a> Iterator for OptionsIter<'a> {
    type Item = Result<Ipv4Option<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match core::mem::take(&mut self.octets) {
                [] | [0, ..] => return None,
                [1, rest @ ..] => self.octets = rest,
                octets @ [kind, length, ..] if *length >= 2 => {
                    let Some((option, rest)) = octets.split_at_checked(usize::from(*length)) else {
                        return Some(Err(Malformed::Ipv4Option));
                    };
                    self.octets = rest;
                    return Some(Ok(Ipv4Option { kind: *kind, data: &option[2..] }));
                }
                _ => return Some(Err(Malformed::Ipv4Option)),
            }
        }
    }
}

/// The set of the options in `octets`, which is the header behind its first 20 octets.
pub(crate) fn option_set(octets: &[u8]) -> Result<Options, Malformed> {
    OptionsIter { octets }.try_fold(Options::NONE, |set, option| Ok(set | option?.as_set()))
}
