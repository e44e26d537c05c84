//! How narrow a path is, by what a router says (RFC 1191), and how far that is believed (RFC 5927 section 7).

/// No segment becomes smaller than fits this: a stranger could otherwise make a host send a few octets a packet
/// (RFC 5927 7.2). Deployed stacks use the same number.
pub const LEAST_MTU: u16 = 552;

/// The plateaus of RFC 1191 section 7.1.
const PLATEAUS: [u16; 10] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];

/// What to believe of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Octets of the largest IPv4 packet to send.
    pub mtu: u16,
    /// The path is narrower still: without DF, routers cut up what is too long for it.
    pub fragments: bool,
}

/// What an ICMP 3/4 with next-hop MTU `mtu` says, that quotes a datagram of `total_len` octets; 0 is a router that
/// does not say its MTU. `None` if the datagram was not too long for it: then it is no answer to the datagram.
pub fn narrower_path(mtu: u16, total_len: u16) -> Option<Path> {
    let told = if mtu == 0 { plateau_below(total_len) } else { mtu };
    (told < total_len).then_some(Path { mtu: told.max(LEAST_MTU), fragments: told < LEAST_MTU })
}

/// The largest plateau that is smaller than a datagram of `len` octets, at least 68.
pub fn plateau_below(len: u16) -> u16 {
    PLATEAUS.into_iter().find(|&plateau| plateau < len).unwrap_or(68)
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: T9
    #[test]
    fn a_path_is_believed_to_be_narrower_down_to_the_floor_and_below_it_routers_may_fragment() {
        let path = |mtu, fragments| Some(Path { mtu, fragments });
        let rows = [
            (1_400, 1_500, path(1_400, false)),
            (1_500, 1_500, None),
            (9_000, 1_500, None),
            (552, 1_500, path(552, false)),
            (551, 1_500, path(552, true)),
            (1, 1_500, path(552, true)),
            (300, 300, None),
            (0, 1_500, path(1_492, false)),
            (0, 1_492, path(1_006, false)),
            (0, 552, path(552, true)),
            (0, 68, None),
            (0, 0, None),
        ];
        for (mtu, total_len, expected) in rows {
            assert_eq!(narrower_path(mtu, total_len), expected, "{mtu} {total_len}");
        }
    }
}
