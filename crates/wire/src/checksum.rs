//! The Internet checksum (RFC 1071), whole, incremental and partial.
//!
//! Ones' complement has two zeros, 0x0000 and 0xFFFF. A sum of octets of which one is not zero never
//! folds to 0x0000, and no header that is summed here is all zero (each has a version or a protocol in it).
//! That is what makes [`Delta::apply`] agree with a full recomputation to the bit, and not only up
//! to the sign of zero (RFC 1624, section 3).

use core::net::Ipv4Addr;

mod blocks;

use blocks::{copy_blocks, sum_blocks};

/// A ones' complement sum of 16-bit words, not yet complemented.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u16);

impl Sum {
    /// The sum of `octets`, an odd last one padded with zero.
    ///
    /// The accumulator cannot overflow: that would take 2^34 octets.
    #[inline]
    pub fn of(octets: &[u8]) -> Self {
        let (mut sum, rest) = if octets.len() >= 64 { sum_blocks(octets) } else { (0, octets) };
        let (words, tail) = rest.as_chunks::<8>();
        for word in words {
            sum += halves(u64::from_ne_bytes(*word));
        }
        let mut tail = tail;
        if let Some((word, rest)) = tail.split_first_chunk::<4>() {
            sum += u64::from(u32::from_ne_bytes(*word));
            tail = rest;
        }
        if let Some((word, rest)) = tail.split_first_chunk::<2>() {
            sum += u64::from(u16::from_ne_bytes(*word));
            tail = rest;
        }
        if let [last] = tail {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Self::from_native(sum)
    }

    /// The sum of an IPv4 header without options: the one that every packet has.
    #[inline]
    pub fn of_ipv4_header(header: &[u8; 20]) -> Self {
        let (words, _) = header.as_chunks::<4>();
        let mut sum = 0;
        for word in words {
            sum += u64::from(u32::from_ne_bytes(*word));
        }
        Self::from_native(sum)
    }

    /// The sum of the octets of `words`, each with its most significant octet first.
    #[inline]
    pub fn of_words(words: &[u32]) -> Self {
        Self(fold(words.iter().map(|&word| u64::from(word)).sum()))
    }

    /// The sum of the pseudo-header of TCP and UDP. `length` is that of transport header and data, in octets.
    #[inline]
    pub fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Self {
        let addresses = u64::from(source.to_bits()) + u64::from(destination.to_bits());
        Self(fold(addresses + u64::from(protocol) + u64::from(length)))
    }

    /// Both sums together. What `other` was taken of must start at an even octet of the whole.
    #[must_use]
    #[inline]
    pub const fn plus(self, other: Self) -> Self {
        Self(add(self.0, other.0))
    }

    /// As [`plus`](Self::plus), where what `other` was taken of starts at `offset` of the whole: from an odd
    /// one on, its octets are the other halves of their words (RFC 1071 section 2B).
    #[must_use]
    #[inline]
    pub const fn plus_at(self, other: Self, offset: usize) -> Self {
        Self(add(self.0, if offset.is_multiple_of(2) { other.0 } else { other.0.swap_bytes() }))
    }

    /// What a partial checksum field holds: the folded sum, not complemented.
    #[inline]
    pub const fn folded(self) -> u16 {
        self.0
    }

    /// What a checksum field holds: the complement.
    #[inline]
    pub const fn checksum(self) -> u16 {
        !self.0
    }

    /// What the checksum field of UDP holds: a computed 0 is sent as 0xFFFF, since 0 says "none" (RFC 768).
    #[inline]
    pub const fn checksum_udp(self) -> u16 {
        udp_zero(!self.0)
    }

    /// The octets that were summed contain their own checksum, and it is right.
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.0 == 0xFFFF
    }

    /// Octets were added up as native words: the sum does not depend on their order, only its own
    /// octets do (RFC 1071 section 2B).
    #[inline]
    const fn from_native(sum: u64) -> Self {
        Self(u16::from_be(fold(sum)))
    }
}

/// Copies `from` to `to` and sums it, in one pass. When their lengths differ, the shorter one counts.
#[inline]
pub fn copy_and_sum(from: &[u8], to: &mut [u8]) -> Sum {
    let size = from.len().min(to.len());
    let (blocks, from) = from[..size].as_chunks::<64>();
    let (to_blocks, to) = to[..size].as_chunks_mut::<64>();
    let mut sum = if blocks.is_empty() { 0 } else { copy_blocks(blocks, to_blocks) };
    let (words, from) = from.as_chunks::<8>();
    let (to_words, to) = to.as_chunks_mut::<8>();
    for (word, to) in words.iter().zip(to_words) {
        *to = *word;
        sum += halves(u64::from_ne_bytes(*word));
    }
    let mut last = [0; 8];
    for ((octet, to), padded) in from.iter().zip(to).zip(&mut last) {
        (*to, *padded) = (*octet, *octet);
    }
    Sum::from_native(sum + halves(u64::from_ne_bytes(last)))
}

/// What a change of header fields does to a checksum over them (RFC 1624, eqn. 3): `~m + m'`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Delta(u16);

impl Delta {
    /// No change.
    pub const NONE: Self = Self(0);

    /// A 16-bit field goes from `old` to `new`.
    #[inline]
    pub const fn u16(old: u16, new: u16) -> Self {
        Self(add(!old, new))
    }

    /// A 32-bit field at an even offset goes from `old` to `new`.
    #[inline]
    pub const fn u32(old: u32, new: u32) -> Self {
        // Both are 32-bit sums of halves; complementing all 32 bits complements both halves.
        Self(fold(!old as u64 + new as u64))
    }

    /// An address goes from `old` to `new`.
    #[inline]
    pub const fn address(old: Ipv4Addr, new: Ipv4Addr) -> Self {
        Self::u32(old.to_bits(), new.to_bits())
    }

    /// The delta whose [`raw`](Self::raw) form this is.
    #[inline]
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// As 16 bits, for keeping in a table.
    #[inline]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// This change and another one.
    #[must_use]
    #[inline]
    pub const fn and(self, other: Self) -> Self {
        Self(add(self.0, other.0))
    }

    /// The change back.
    #[must_use]
    #[inline]
    pub const fn reverse(self) -> Self {
        Self(!self.0)
    }

    /// The checksum field after the change: `HC' = ~(~HC + ~m + m')`.
    ///
    /// For a field that was right this is, to the bit, what summing everything again would give. For
    /// UDP use [`apply_udp`](Self::apply_udp).
    #[inline]
    pub const fn apply(self, field: u16) -> u16 {
        !add(!field, self.0)
    }

    /// The checksum field of a UDP header after the change: 0, "none", stays 0, and no other field
    /// becomes 0 (RFC 768; RFC 3022 section 4.1).
    #[inline]
    pub const fn apply_udp(self, field: u16) -> u16 {
        if field == 0 { 0 } else { udp_zero(self.apply(field)) }
    }

    /// The partial checksum field after a change of the pseudo-header: not complemented. A change
    /// of anything else does not touch a partial checksum.
    #[inline]
    pub const fn apply_partial(self, field: u16) -> u16 {
        add(field, self.0)
    }
}

#[inline]
const fn halves(word: u64) -> u64 {
    (word & 0xFFFF_FFFF) + (word >> 32)
}

/// 64 bits folded to 16 with end-around carry.
#[inline]
const fn fold(sum: u64) -> u16 {
    let (word, carry) = (sum as u32).overflowing_add((sum >> 32) as u32);
    let word = word + carry as u32;
    add(word as u16, (word >> 16) as u16)
}

/// Ones' complement addition.
#[inline]
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

#[inline]
const fn udp_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xFFFF } else { checksum }
}
