//! Combinations of TCP flags that no TCP sends, and bits that mean nothing: what a scrubber may make of
//! them (C2).

use wire::tcp::Flags;

use crate::tracking::is_illegal;

/// The reserved bits, in octet 12 of the TCP header beside the data offset.
///
/// RFC 9293 3.1 has four. The lowest of them was NS (RFC 3540, historic) and is AE now, Accurate ECN's third
/// counter bit (RFC 9768 3.1): it means something, so it is not among these.
pub const RESERVED: u8 = 0x0E;

/// What is illegal about a segment's flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Illegal {
    /// SYN with FIN.
    SynFin,
    /// SYN with RST, with or without FIN.
    SynRst,
    /// None of SYN, FIN, RST and ACK.
    None,
}

/// Which combination it is; nothing for those that [`is_illegal`] lets be.
pub const fn illegal(flags: Flags) -> Option<Illegal> {
    if !is_illegal(flags) {
        return None;
    }
    Some(match (flags.contains(Flags::SYN), flags.contains(Flags::RST)) {
        (true, true) => Illegal::SynRst,
        (true, false) => Illegal::SynFin,
        (false, _) => Illegal::None,
    })
}

/// The flags without what makes them illegal, read as hosts read them: the steps of RFC 9293 3.10.7 look at RST
/// before SYN and at SYN before FIN. Where there is nothing (no flags at all), nothing can be taken away: `None`.
pub const fn legal(flags: Flags) -> Option<Flags> {
    match illegal(flags) {
        None => Some(flags),
        Some(Illegal::SynFin) => Some(flags.without(Flags::FIN)),
        Some(Illegal::SynRst) => Some(flags.without(Flags(Flags::SYN.0 | Flags::FIN.0))),
        Some(Illegal::None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::Segment;

    // covers: C2
    #[test]
    fn whatever_is_illegal_has_a_name_and_what_is_left_of_it_means_the_same() {
        for bits in 0..=255 {
            let flags = Flags(bits);
            assert_eq!(illegal(flags).is_some(), is_illegal(flags), "{flags:?}");
            match legal(flags) {
                Some(left) => {
                    assert!(!is_illegal(left), "{flags:?} becomes {left:?}");
                    assert_eq!(Segment::from_flags(left), Segment::from_flags(flags), "{flags:?}");
                    assert_eq!(left.0 & !flags.0, 0, "nothing is added");
                }
                None => assert_eq!(illegal(flags), Some(Illegal::None)),
            }
        }
    }
}
