//! Sequence numbers: 32 bits that wrap (RFC 9293 3.4).

use core::fmt;

/// A sequence number.
///
/// It has no order: on a circle "less" depends on where one stands, and `<` on raw numbers is the
/// best-known source of remote crashes in TCP stacks. Ask [`before`](Self::before),
/// [`after`](Self::after) or [`in_window`](Self::in_window) instead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// This number `octets` further on.
    #[must_use]
    pub const fn plus(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }

    /// This number `octets` back.
    #[must_use]
    pub const fn minus(self, octets: u32) -> Self {
        Self(self.0.wrapping_sub(octets))
    }

    /// Octets from `earlier` to here, going forward round the circle.
    pub const fn distance_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// It comes before `other`: `other` lies less than 2^31 ahead. Exactly 2^31 apart, neither is
    /// before the other.
    pub const fn before(self, other: Self) -> bool {
        let ahead = other.0.wrapping_sub(self.0);
        ahead != 0 && ahead < 1 << 31
    }

    /// It comes after `other`.
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// It lies in the `len` octets from `start` on.
    pub const fn in_window(self, start: Self, len: u32) -> bool {
        self.distance_from(start) < len
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
