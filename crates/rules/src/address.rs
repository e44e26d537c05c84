//! Which addresses a unicast packet may have (RFC 1812 4.2.2.11, 5.3.7).

use core::net::Ipv4Addr;

/// What no host can have: network, prefix length, and what it is.
pub const NOT_UNICAST: [(Ipv4Addr, u8, &str); 3] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "\"this network\""),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(224, 0, 0, 0), 3, "multicast and reserved"),
];

/// Whether `address` lies in [`NOT_UNICAST`], so that a packet from or to it is refused.
pub const fn is_martian(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first == 0 || first == 127 || first >= 224
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: N10
    #[test]
    fn the_quick_test_agrees_with_the_table_for_every_first_octet() {
        for first in 0..=u8::MAX {
            for rest in [0, 1, 255] {
                let address = Ipv4Addr::new(first, rest, rest, rest);
                let listed = NOT_UNICAST.iter().any(|&(network, length, _)| {
                    (address.to_bits() ^ network.to_bits()) >> (32 - length) == 0
                });
                assert_eq!(is_martian(address), listed, "{address}");
            }
        }
    }
}
