//! Keys of the tables and their hash.

use core::hash::Hasher;
use core::net::Ipv4Addr;

use siphasher::sip::SipHasher13;

use crate::mapping::MappingKey;
use crate::{Endpoint, Protocol, Realm};

/// Keeps these words apart from others that are derived from the same seed.
const DOMAIN: u64 = 0x666c_6f77;

/// What the hashes are keyed with, so that nobody outside can aim at one bucket.
///
/// It is a multiply-and-fold hash for speed, not a cryptographic one. Who found the key after all, and
/// made every tuple collide, would fill the buckets within the table's reach of one: look-ups stay
/// bounded, and new sessions that want that place are refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashKey([u64; 3]);

impl HashKey {
    /// Derived from the seed and not cut from it: whoever finds out this fast hash's key must not know
    /// the one of port selection.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let word = |n: u64| {
            let mut hasher = SipHasher13::new_with_keys(DOMAIN, n);
            hasher.write(&seed);
            hasher.finish()
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

    /// Of what a mapping is found by.
    #[inline(always)]
    pub(crate) fn mapping(self, key: MappingKey) -> u64 {
        let MappingKey { protocol, internal, remote } = key;
        self.hash(
            u64::from(remote.address.to_bits()) << 32 | u64::from(internal.address.to_bits()),
            u64::from(remote.port) << 24
                | u64::from(internal.port) << 8
                | u64::from(protocol as u8)
                | 1 << 63,
        )
    }

    /// Of a mapping and a remote address that its subscriber has written to.
    pub(crate) fn permit(self, mapping: u32, remote: u32) -> u64 {
        self.hash(u64::from(remote) << 32 | u64::from(mapping), 1 << 61)
    }

    /// Of what an Identification must be unique for.
    pub(crate) fn datagram(self, (source, destination, protocol): (Ipv4Addr, Ipv4Addr, u8)) -> u64 {
        let addresses = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
        self.hash(addresses, u64::from(protocol) | 1 << 61)
    }

    /// What hides the Identifications of datagrams with this source, destination and protocol. Who sends them and
    /// sees them behind the scrubber learns of it, so it is a hash that hides its key.
    pub(crate) fn hidden(self, (source, destination, protocol): (Ipv4Addr, Ipv4Addr, u8)) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0[0], self.0[1]);
        hasher.write_u64(u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits()));
        hasher.write_u8(protocol);
        hasher.finish()
    }

    /// Where counter `number` begins. The outside sees this one, so it is a hash that hides its key.
    pub(crate) fn start(self, number: usize) -> u16 {
        let mut hasher = SipHasher13::new_with_keys(self.0[0], self.0[1]);
        hasher.write_u64(number as u64);
        hasher.finish() as u16
    }

    /// Of an external endpoint and the remote address that a mapping of it is for.
    pub(crate) fn share(self, protocol: Protocol, external: Endpoint, remote: Ipv4Addr) -> u64 {
        let addresses = u64::from(remote.to_bits()) << 32 | u64::from(external.address.to_bits());
        self.hash(addresses, u64::from(external.port) << 8 | u64::from(protocol as u8) | 1 << 60)
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

    /// Where it was seen.
    #[inline(always)]
    pub(crate) fn realm(self) -> Realm {
        if self.ports as u8 == Realm::Inside as u8 { Realm::Inside } else { Realm::Outside }
    }

    /// What it was made of, but for the realm: protocol, source, destination.
    #[inline(always)]
    pub(crate) fn ends(self) -> Option<(Protocol, Endpoint, Endpoint)> {
        let end = |address: u64, port: u64| Endpoint::new(Ipv4Addr::from_bits(address as u32), port as u16);
        let protocol = Protocol::from_index((self.ports >> 8) as u8);
        let source = end(self.addresses >> 32, self.ports >> 32);
        Some((protocol, source, end(self.addresses, self.ports >> 16)))
    }
}

/// Both halves of the product, folded: each bit of the factors reaches the whole result.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over all buckets, the squares of what they have more or less than their share, for each of these
    /// hashes: about 1 where they fall at random.
    fn unevenness(hashes: &[u64], bucket: impl Fn(u64) -> usize, buckets: usize) -> f64 {
        let mut counts = vec![0.0; buckets];
        for &hash in hashes {
            counts[bucket(hash)] += 1.0;
        }
        let share = hashes.len() as f64 / buckets as f64;
        counts.iter().map(|count| (count - share) * (count - share) / share).sum::<f64>() / buckets as f64
    }

    /// Tuples as scans, address blocks and port blocks make them: all of these are regular.
    fn flows() -> [Vec<Flow>; 4] {
        let flow = |source: u32, source_port: u16, destination: u32, port: u16| {
            let (source, destination) =
                (Endpoint::new(source.into(), source_port), Endpoint::new(destination.into(), port));
            Flow::new(Realm::Outside, Protocol::Tcp, source, destination)
        };
        let (a, b) = (0xcb00_7150, 0xc000_0201);
        [
            (0..65_536).map(|n| flow(a, 80, b, n as u16)).collect(),
            (0..65_536).map(|n| flow(a, n as u16, b, 80)).collect(),
            (0..65_536).map(|n| flow(a + n, 80, b, 4_001)).collect(),
            (0..65_536).map(|n| flow((n & 255) << 24, 80, b, (n >> 8 << 8) as u16)).collect(),
        ]
    }

    // covers: B10
    #[test]
    fn regular_tuples_spread_evenly_over_buckets_and_tags() {
        for seed in [[0; 32], [7; 32], [0xff; 32], core::array::from_fn(|n| n as u8)] {
            let key = HashKey::new(seed);
            for (n, flows) in flows().iter().enumerate() {
                let hashes: Vec<_> = flows.iter().map(|&flow| key.flow(flow)).collect();
                let high = unevenness(&hashes, |hash| (hash >> 52) as usize, 4_096);
                let low = unevenness(&hashes, |hash| hash as u8 as usize, 256);
                assert!(high < 1.3 && low < 1.5, "{seed:?}, kind {n}: {high} in buckets, {low} in tags");
            }
        }
    }

    // covers: B10
    #[test]
    fn who_does_not_know_the_key_cannot_aim() {
        let (known, other) = (HashKey::new([1; 32]), HashKey::new([2; 32]));
        for flows in flows() {
            // All those that fall into one 64th of the table under a key that somebody knows ...
            let chosen: Vec<_> = flows.into_iter().filter(|&flow| known.flow(flow) >> 58 == 5).collect();
            assert!(chosen.len() > 500);
            // ... fall anywhere under another.
            let hashes: Vec<_> = chosen.iter().map(|&flow| other.flow(flow)).collect();
            let spread = unevenness(&hashes, |hash| (hash >> 58) as usize, 64);
            assert!(spread < 2.0, "{spread}");
        }
    }
}
