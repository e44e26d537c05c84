//! Which shard a packet belongs to, decided before any shard looks at it.
//!
//! A subscriber belongs to the shard that its address hashes to. An external address belongs to one
//! shard whole, in turn, so steering what comes from outside is a look-up of the address alone:
//! fragments and ICMP errors need no ports, and no subscriber loses port space to the number of
//! workers. The price is that there can be no more shards than external addresses.

use core::net::Ipv4Addr;

use crate::config::{Config, StaticMapping};
use crate::deterministic::Deterministic;
use crate::pool::Ranges;

/// Decides which shard handles a packet.
#[derive(Clone, Debug)]
pub struct Steering {
    ranges: Ranges,
    count: u32,
    /// Of what agrees in these bits, all is one subscriber.
    subscriber_mask: u32,
    /// Subscribers whose external address follows from their own.
    deterministic: Deterministic,
    /// Subscribers whose external address is theirs for ever, and its shard; sorted.
    fixed: Vec<(u32, u16)>,
}

impl Steering {
    /// Steering for all shards of `config`, whichever shard that is for.
    pub fn new(config: &Config) -> Self {
        let (ranges, count) = (Ranges::new(config), u32::from(config.shard.count).max(1));
        let subscriber_mask = config.subscriber_mask();
        let shard_of = |mapping: &StaticMapping| {
            let (internal, external) = match *mapping {
                StaticMapping::Port { internal, external, .. } => (internal.address, external.address),
                StaticMapping::Address { internal, external } => (internal, external),
            };
            Some((internal.to_bits() & subscriber_mask, (ranges.number(external)? % count) as u16))
        };
        let mut fixed: Vec<_> = config.statics.iter().filter_map(shard_of).collect();
        fixed.sort_unstable();
        Self { ranges, count, fixed, subscriber_mask, deterministic: Deterministic::new(config) }
    }

    /// The shard of a packet from inside, by its source.
    #[inline]
    pub fn inside(&self, source: Ipv4Addr) -> u16 {
        let subscriber = source.to_bits() & self.subscriber_mask;
        if !self.fixed.is_empty()
            && let Ok(place) = self.fixed.binary_search_by_key(&subscriber, |&(fixed, _)| fixed)
        {
            return self.fixed[place].1;
        }
        if let Some((external, _)) = self.deterministic.of_subscriber(source) {
            return self.outside(external);
        }
        // Multiplicative hashing: the high bits depend on every bit of the address.
        let hash = u64::from(subscriber.wrapping_mul(0x9e37_79b9));
        ((hash * u64::from(self.count)) >> 32) as u16
    }

    /// The shard of a packet from outside, by its destination. Any shard can refuse a packet to an
    /// address that is no external one.
    #[inline]
    pub fn outside(&self, destination: Ipv4Addr) -> u16 {
        self.ranges.number(destination).map_or(0, |number| (number % self.count) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pool, Shard};

    // covers: B10
    #[test]
    fn every_address_has_one_shard_and_every_shard_has_its_share() {
        let range = |a: [u8; 4], b: [u8; 4]| Ipv4Addr::from(a)..=Ipv4Addr::from(b);
        let pool = |addresses| Pool::new(addresses, 1024..=65_535);
        let mut config = Config::new(
            vec!["100.64.0.0/10".parse().expect("a prefix")],
            vec![
                pool(vec![range([198, 51, 100, 4], [198, 51, 100, 6])]),
                pool(vec![range([192, 0, 2, 1], [192, 0, 2, 5])]),
            ],
        );
        config.shard = Shard { index: 0, count: 4 };
        let steering = Steering::new(&config);
        let mut of_pool = [0; 4];
        for address in [range([198, 51, 100, 4], [198, 51, 100, 6]), range([192, 0, 2, 1], [192, 0, 2, 5])] {
            for bits in address.start().to_bits()..=address.end().to_bits() {
                of_pool[usize::from(steering.outside(Ipv4Addr::from_bits(bits)))] += 1;
            }
        }
        assert_eq!(of_pool, [2; 4]);
        let mut of_subscribers = [0; 4];
        for n in 0..4_000u32 {
            let source = Ipv4Addr::from_bits(Ipv4Addr::new(100, 64, 0, 0).to_bits() + n);
            of_subscribers[usize::from(steering.inside(source))] += 1;
        }
        assert!(of_subscribers.iter().all(|&n| (900..1_100).contains(&n)), "{of_subscribers:?}");
    }
}
