//! TCP options (RFC 9293 3.2).

use crate::{Malformed, SeqNumber};

/// One option of a TCP header. End of list and no-operation are stepped over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TcpOption<'a> {
    /// Maximum segment size, in octets (RFC 9293 3.7.1).
    MaximumSegmentSize(u16),
    /// Window scale, as it stands: beyond 14 it counts as 14 (RFC 7323 2.3).
    WindowScale(u8),
    /// SACK permitted (RFC 2018 section 2).
    SackPermitted,
    /// Selective acknowledgments (RFC 2018 section 3).
    Sack(SackBlocks<'a>),
    /// Timestamps (RFC 7323 section 3).
    Timestamps {
        /// TSval.
        value: u32,
        /// TSecr.
        echo_reply: u32,
    },
    /// MD5 signature (RFC 2385): the header must not be changed.
    Md5(&'a [u8; 16]),
    /// TCP-AO (RFC 5925): the header must not be changed.
    Authentication {
        /// KeyID.
        key_id: u8,
        /// RNextKeyID.
        next_key_id: u8,
        /// The MAC.
        mac: &'a [u8],
    },
    /// Fast Open (RFC 7413 section 4.1.1): a cookie of 4 to 16 octets, or none to ask for one.
    FastOpen(&'a [u8]),
    /// Any other.
    Unknown {
        /// The option's kind.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

impl<'a> TcpOption<'a> {
    /// `data` is what follows kind and length.
    fn typed(kind: u8, data: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match (kind, data) {
            (2, &[a, b]) => Self::MaximumSegmentSize(u16::from_be_bytes([a, b])),
            (3, &[shift]) => Self::WindowScale(shift),
            (4, []) => Self::SackPermitted,
            (5, _) if !data.is_empty() && data.len().is_multiple_of(8) => {
                Self::Sack(SackBlocks { octets: data })
            }
            (8, &[a, b, c, d, e, f, g, h]) => Self::Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo_reply: u32::from_be_bytes([e, f, g, h]),
            },
            (19, _) => Self::Md5(data.try_into().map_err(|_| Malformed::TcpOption)?),
            (29, [key_id, next_key_id, mac @ ..]) => {
                Self::Authentication { key_id: *key_id, next_key_id: *next_key_id, mac }
            }
            (34, _) if data.is_empty() || (4..=16).contains(&data.len()) => Self::FastOpen(data),
            (2..=5 | 8 | 29, _) => return Err(Malformed::TcpOption),
            // A cookie of impossible length is to be ignored, not to be refused (RFC 7413 4.1.1).
            _ => Self::Unknown { kind, data },
        })
    }
}

/// The blocks of a SACK option, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SackBlocks<'a> {
    octets: &'a [u8],
}

impl Iterator for SackBlocks<'_> {
    /// Left edge, and right edge: the first octet behind the block.
    type Item = (SeqNumber, SeqNumber);

    fn next(&mut self) -> Option<Self::Item> {
        let ([a, b, c, d, e, f, g, h], rest) = self.octets.split_first_chunk::<8>()?;
        self.octets = rest;
        let left = SeqNumber(u32::from_be_bytes([*a, *b, *c, *d]));
        Some((left, SeqNumber(u32::from_be_bytes([*e, *f, *g, *h]))))
    }
}

/// The options of a TCP header, in their order. After an error there are no more.
#[derive(Clone, Debug)]
pub struct OptionsIter<'a> {
    octets: &'a [u8],
    /// Octets of options before `octets`.
    at: usize,
    last: usize,
}

impl<'a> OptionsIter<'a> {
    /// The options in `octets`, which is the header behind its first 20 octets.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0, last: 0 }
    }

    /// Where the option starts (its kind octet) that [`next`](Iterator::next) gave last, in octets from the
    /// start of the options: for changing it in place.
    pub const fn offset(&self) -> usize {
        self.last
    }
}

impl<'a> Iterator for OptionsIter<'a> {
    type Item = Result<TcpOption<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match core::mem::take(&mut self.octets) {
                [] | [0, ..] => return None,
                [1, rest @ ..] => {
                    self.octets = rest;
                    self.at += 1;
                }
                octets @ [kind, length, ..] if *length >= 2 => {
                    let Some((option, rest)) = octets.split_at_checked(usize::from(*length)) else {
                        return Some(Err(Malformed::TcpOption));
                    };
                    let typed = TcpOption::typed(*kind, &option[2..]);
                    self.last = self.at;
                    if typed.is_ok() {
                        self.octets = rest;
                        self.at += option.len();
                    }
                    return Some(typed);
                }
                _ => return Some(Err(Malformed::TcpOption)),
            }
        }
    }
}

/// No option in `octets`, which is the header behind its first 20 octets, runs beyond it or has an
/// impossible length. Says nothing of what is in them.
#[inline]
pub(crate) fn options_are_well_formed(octets: &[u8]) -> bool {
    // Two no-operations and the timestamps: what most segments of most connections have (RFC 7323 A).
    octets.is_empty()
        || (octets.len() == 12 && octets.first_chunk() == Some(&[1, 1, 8, 10]))
        || walk_options(octets)
}

#[inline(never)]
fn walk_options(mut octets: &[u8]) -> bool {
    while let [kind, rest @ ..] = octets {
        octets = match (kind, rest) {
            (0, _) => return true,
            (1, _) => rest,
            (_, [length, ..]) if *length >= 2 => match octets.get(usize::from(*length)..) {
                Some(behind) => behind,
                None => return false,
            },
            _ => return false,
        };
    }
    true
}
