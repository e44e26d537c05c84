//! Keys of the tables and their hash.

use crate::{Endpoint, Protocol, Realm};

/// What the hashes are keyed with, so that nobody outside can aim at one bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashKey([u64; 3]);

impl HashKey {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let word = |n: usize| {
            let mut octets = [0; 8];
            octets.copy_from_slice(&seed[n * 8..n * 8 + 8]);
            // Odd, so that no word can make a product vanish.
            u64::from_le_bytes(octets) | 1
        };
        Self([word(0), word(1), word(2)])
    }

    #[inline(always)]
    fn hash(self, a: u64, b: u64) -> u64 {
        fold(fold(a ^ self.0[0], b ^ self.0[1]) ^ self.0[2], 0x9e37_79b9_7f4a_7c15)
    }

    /// Of a packet's tuple as it is seen in `realm`.
    #[inline(always)]
    pub(crate) fn flow(self, flow: Flow) -> u64 {
        self.hash(flow.addresses, flow.ports)
    }

    /// Of a mapping's internal endpoint.
    #[inline(always)]
    pub(crate) fn endpoint(self, protocol: Protocol, endpoint: Endpoint) -> u64 {
        self.hash(
            u64::from(endpoint.address.to_bits()),
            u64::from(endpoint.port) << 8 | u64::from(protocol as u8) | 1 << 63,
        )
    }

    /// Of a subscriber's address.
    #[inline(always)]
    pub(crate) fn address(self, address: u32) -> u64 {
        self.hash(u64::from(address), 1 << 62)
    }
}

/// A packet's tuple on one side of the gateway, packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flow {
    /// Source address high, destination address low.
    pub(crate) addresses: u64,
    /// Source port, destination port, protocol, realm.
    pub(crate) ports: u64,
}

impl Flow {
    #[inline(always)]
    pub(crate) fn new(realm: Realm, protocol: Protocol, source: Endpoint, destination: Endpoint) -> Self {
        Self {
            addresses: u64::from(source.address.to_bits()) << 32 | u64::from(destination.address.to_bits()),
            ports: u64::from(source.port) << 32
                | u64::from(destination.port) << 16
                | u64::from(protocol as u8) << 8
                | realm as u64,
        }
    }
}

/// Both halves of the product, folded: each bit of the factors reaches the whole result.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
