//! IPv4 fragments (RFC 791 3.2, RFC 1858, RFC 3128).

use core::net::Ipv4Addr;

use crate::{Fragment, Malformed, tcp};

/// The 16 bits of flags and fragment offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FragmentField(pub u16);

impl FragmentField {
    /// Not a fragment.
    pub const WHOLE: Self = Self(0);

    const DONT_FRAGMENT: u16 = 0x4000;
    const MORE_FRAGMENTS: u16 = 0x2000;
    const OFFSET: u16 = 0x1FFF;

    /// `offset` is in octets; its lowest three bits cannot be expressed and are ignored.
    pub const fn new(dont_fragment: bool, more_fragments: bool, offset: u16) -> Self {
        let dont_fragment = if dont_fragment { Self::DONT_FRAGMENT } else { 0 };
        let more_fragments = if more_fragments { Self::MORE_FRAGMENTS } else { 0 };
        Self(dont_fragment | more_fragments | offset >> 3)
    }

    /// The same with the don't-fragment bit.
    #[must_use]
    pub const fn with_dont_fragment(self) -> Self {
        Self(self.0 | Self::DONT_FRAGMENT)
    }

    /// The don't-fragment bit.
    #[inline]
    pub const fn dont_fragment(self) -> bool {
        self.0 & Self::DONT_FRAGMENT != 0
    }

    /// The more-fragments bit.
    #[inline]
    pub const fn more_fragments(self) -> bool {
        self.0 & Self::MORE_FRAGMENTS != 0
    }

    /// Octets of the datagram's payload before this fragment.
    #[inline]
    pub const fn offset(self) -> u16 {
        (self.0 & Self::OFFSET) << 3
    }

    /// It is all of its datagram.
    #[inline]
    pub const fn is_whole(self) -> bool {
        self.0 & (Self::MORE_FRAGMENTS | Self::OFFSET) == 0
    }

    /// Which part of its datagram a packet with this field is, given the lengths of its header and of
    /// what follows it.
    ///
    /// # Errors
    /// [`Malformed::FragmentBeyondEnd`], [`Malformed::FragmentLength`], or [`Malformed::FragmentTiny`] for
    /// a fragment that would overwrite the flags of a TCP header (RFC 3128); whether a first fragment holds its
    /// transport header is the question of who reads that.
    #[inline]
    pub fn classify(
        self,
        header_len: usize,
        payload_len: usize,
        protocol: u8,
    ) -> Result<Fragment, Malformed> {
        if self.is_whole() { Ok(Fragment::Whole) } else { self.fragment(header_len, payload_len, protocol) }
    }

    #[cold]
    fn fragment(self, header_len: usize, payload_len: usize, protocol: u8) -> Result<Fragment, Malformed> {
        let offset = self.offset();
        if header_len + usize::from(offset) + payload_len > 65_535 {
            return Err(Malformed::FragmentBeyondEnd);
        }
        // An empty one says nothing and would only take room in a queue.
        let misaligned = self.more_fragments() && !payload_len.is_multiple_of(8);
        if payload_len == 0 || misaligned {
            return Err(Malformed::FragmentLength);
        }
        if offset == 0 {
            return Ok(Fragment::First);
        }
        if offset == 8 && protocol == tcp::PROTOCOL {
            return Err(Malformed::FragmentTiny);
        }
        Ok(Fragment::Later { offset, last: !self.more_fragments() })
    }
}

/// What all fragments of one datagram have in common, and those of no other while it lives (RFC 791 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DatagramKey {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Identification.
    pub identification: u16,
    /// Protocol.
    pub protocol: u8,
}
