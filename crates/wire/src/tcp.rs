//! TCP segments (RFC 9293 3.1).

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

    /// Any flag of `other` is set here.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
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

/// No option in `octets`, which is the header behind its first 20 octets, runs beyond it or has an
/// impossible length. Says nothing of what is in them.
#[inline]
pub(crate) fn options_are_well_formed(octets: &[u8]) -> bool {
    // Two no-operations and the timestamps: what most segments of most connections have (RFC 7323 A).
    octets.is_empty()
        || (octets.len() == 12 && octets.first_chunk() == Some(&[1, 1, 8, 10]))
        || walk_options(octets)
}

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
