//! Whose a block of ports is, by arithmetic alone (B9, RFC 7422): nothing needs to be logged, and anybody who has
//! the configuration can answer who had an address and a port.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

use ipnet::Ipv4Net;

use crate::config::{Config, SharedPorts};

/// The subscribers of every deterministic pool, and what each has.
#[derive(Clone, Debug)]
pub struct Deterministic {
    pools: Vec<Share>,
}

#[derive(Clone, Debug)]
struct Share {
    subscribers: Vec<Ipv4Net>,
    addresses: Vec<RangeInclusive<Ipv4Addr>>,
    first: u16,
    /// Ports of one subscriber.
    width: u32,
    /// Subscribers of one address.
    each: u32,
    /// Bits of a subscriber's number within its prefix that are not its own.
    shift: u32,
}

impl Deterministic {
    /// Of all deterministic pools of `config`.
    pub fn new(config: &Config) -> Self {
        let pools = config.pools.iter().filter_map(|pool| {
            let blocks = pool.blocks.filter(|blocks| blocks.deterministic)?;
            let shared = match blocks.shared {
                SharedPorts::None => 0,
                SharedPorts::Last(count) => u32::from(count),
            };
            let width = u32::from(blocks.size) * u32::from(blocks.max_per_subscriber);
            let each = (pool.ports.len() as u32).saturating_sub(shared).checked_div(width)?;
            Some(Share {
                subscribers: pool.subscribers.clone(),
                addresses: pool.addresses.clone(),
                first: *pool.ports.start(),
                width,
                each,
                shift: 32 - u32::from(config.subscriber_prefix.clamp(1, 32)),
            })
        });
        Self { pools: pools.collect() }
    }

    /// The external address and the ports of a subscriber.
    pub fn of_subscriber(&self, subscriber: Ipv4Addr) -> Option<(Ipv4Addr, RangeInclusive<u16>)> {
        self.pools.iter().find_map(|share| share.forward(subscriber))
    }

    /// Whether `address` is of such a pool.
    pub(crate) fn has(&self, address: Ipv4Addr) -> bool {
        self.pools.iter().any(|share| share.addresses.iter().any(|range| range.contains(&address)))
    }

    /// The subscriber that has a port of an external address; the first address of its prefix.
    pub fn of_external(&self, address: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
        self.pools.iter().find_map(|share| share.reverse(address, port))
    }
}

impl Share {
    fn forward(&self, subscriber: Ipv4Addr) -> Option<(Ipv4Addr, RangeInclusive<u16>)> {
        let mut before = 0;
        for net in &self.subscribers {
            if net.contains(&subscriber) {
                let number =
                    before + u64::from((subscriber.to_bits() - net.network().to_bits()) >> self.shift);
                let mut address = number.checked_div(u64::from(self.each))?;
                let slot = (number % u64::from(self.each)) as u32;
                let first = u32::from(self.first) + slot * self.width;
                for range in &self.addresses {
                    let size = size(range);
                    if address < size {
                        let external = Ipv4Addr::from_bits(range.start().to_bits() + address as u32);
                        return Some((external, first as u16..=(first + self.width - 1) as u16));
                    }
                    address -= size;
                }
                return None;
            }
            before += self.count(net);
        }
        None
    }

    fn reverse(&self, address: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
        let mut before = 0;
        let range = self.addresses.iter().find(|range| {
            let found = range.contains(&address);
            if !found {
                before += size(range);
            }
            found
        })?;
        let slot = u32::from(port.checked_sub(self.first)?) / self.width;
        if slot >= self.each {
            return None;
        }
        let place = before + u64::from(address.to_bits() - range.start().to_bits());
        let mut number = place * u64::from(self.each) + u64::from(slot);
        for net in &self.subscribers {
            if number < self.count(net) {
                return Some(Ipv4Addr::from_bits(net.network().to_bits() + ((number as u32) << self.shift)));
            }
            number -= self.count(net);
        }
        None
    }

    fn count(&self, net: &Ipv4Net) -> u64 {
        (1_u64 << (32 - u32::from(net.prefix_len()))) >> self.shift
    }
}

/// Addresses of `range`; of one that runs backwards one, and the configuration is refused.
fn size(range: &RangeInclusive<Ipv4Addr>) -> u64 {
    u64::from(range.end().to_bits().saturating_sub(range.start().to_bits())) + 1
}
