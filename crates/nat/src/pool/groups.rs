//! Which pool is whose (B5), what happens when an address is full (N9), and how a port is drawn (N15, N16).

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

use ipnet::Ipv4Net;
use rules::port_selection::Selector;

use super::{Pool, Port};
use crate::config::{Config, PoolKind, Pooling};
use crate::event::Limit;
use crate::{Endpoint, Protocol};

/// Pools with the same users: those that name nobody are one group, the first; every other is its own.
#[derive(Debug)]
pub(super) struct Group {
    subscribers: Vec<Ipv4Net>,
    /// Of this shard.
    pub(super) addresses: Vec<u32>,
    /// Free ports of all its addresses that are in no block, by protocol.
    pub(super) spare: [u64; 3],
    /// Blocks of its addresses that nobody has.
    pub(super) blocks: u64,
}

/// Where a port is looked for, in this order.
pub(crate) struct Scopes(Vec<RangeInclusive<u16>>);

/// Even ports, by their bits in a word; odd ones are the others.
const EVEN: u64 = 0x5555_5555_5555_5555;
/// Any port.
const ANY: u64 = u64::MAX;

impl Group {
    /// The groups of `config`, without addresses yet; and of each pool, its group and pooling.
    pub(super) fn of(config: &Config) -> (Vec<Self>, Vec<(u16, Pooling)>) {
        let new = |subscribers: &[Ipv4Net]| Self {
            subscribers: subscribers.to_vec(),
            addresses: Vec::new(),
            spare: [0; 3],
            blocks: 0,
        };
        let (mut groups, mut places) = (vec![new(&[])], Vec::new());
        for pool in &config.pools {
            let named = !pool.subscribers.is_empty() && pool.kind == PoolKind::Napt;
            if named {
                groups.push(new(&pool.subscribers));
            }
            places.push((if named { groups.len() - 1 } else { 0 } as u16, pool.pooling));
        }
        (groups, places)
    }
}

impl Pool {
    /// The pools that serve a subscriber: those that name it, else those that name nobody.
    fn group_of(&self, subscriber: Ipv4Addr) -> &Group {
        let named = self.groups.iter().skip(1);
        let mut named = named.filter(|group| group.subscribers.iter().any(|net| net.contains(&subscriber)));
        named.next().unwrap_or(&self.groups[0])
    }

    /// The address for a new subscriber: of two drawn by `hash`, the one with more free ports; if
    /// both have none, any that has one. So load evens out without anybody counting subscribers.
    /// Where its ports follow from its own address, so does this.
    pub(crate) fn choose_address(&self, protocol: Protocol, hash: u64, subscriber: Ipv4Addr) -> Option<u32> {
        if let Some((external, _)) = self.deterministic.of_subscriber(subscriber) {
            return match self.owner(external)? {
                super::Owner::Here(address) => Some(address),
                super::Owner::Shard(_) => None,
            };
        }
        if let Some(&(home, _)) = self.homes.get(&subscriber.to_bits()) {
            // Blocks of its still rest there; so it never has more than it may, wherever.
            return Some(home);
        }
        let group = self.group_of(subscriber);
        let blocks = if protocol == Protocol::Icmp { 0 } else { group.blocks };
        if group.spare[protocol as usize] == 0 && blocks == 0 {
            // Whoever keeps asking when nothing is left does not make us look through all of them.
            return None;
        }
        let count = group.addresses.len() as u64;
        let draw = |half: u64| group.addresses[((half * count) >> 32) as usize];
        let (one, other) = (draw(hash >> 32), draw(hash & 0xffff_ffff));
        let free = |address: u32| {
            let external = &self.addresses[address as usize];
            let has_block = external.blocks.as_ref().is_some_and(|blocks| blocks.free() > 0);
            let free = if has_block { &external.free } else { &external.spare };
            free[protocol as usize]
        };
        let better = if free(other) > free(one) { other } else { one };
        if free(better) > 0 {
            return Some(better);
        }
        group.addresses.iter().copied().find(|&address| free(address) > 0)
    }

    /// The addresses that a subscriber may have.
    pub(crate) fn homes(&self, subscriber: Ipv4Addr) -> &[u32] {
        &self.group_of(subscriber).addresses
    }

    /// The address that `hash` draws, whether it has a free port or not.
    pub(crate) fn draw_address(&self, hash: u64, subscriber: Ipv4Addr) -> Option<u32> {
        let addresses = &self.group_of(subscriber).addresses;
        addresses.get((((hash >> 32) * addresses.len() as u64) >> 32) as usize).copied()
    }

    /// What happens when `address` is full.
    pub(crate) fn pooling(&self, address: u32) -> Pooling {
        self.addresses[address as usize].pooling
    }

    /// Whether the ports of `address` are given in blocks, or follow from the subscriber's address.
    pub(crate) fn has_blocks(&self, address: u32) -> bool {
        let external = &self.addresses[address as usize];
        external.blocks.is_some() || external.deterministic
    }

    /// Whether `address` has a port that nobody has.
    pub(crate) fn has_port(&self, address: u32, protocol: Protocol) -> bool {
        self.addresses[address as usize].free[protocol as usize] > 0
    }

    /// Where ports of `address` for `subscriber` may be: `draw` picks one of so many blocks for a new one.
    pub(crate) fn scopes(
        &self,
        address: u32,
        protocol: Protocol,
        subscriber: u32,
        draw: impl FnOnce(u16) -> Option<u16>,
    ) -> Scopes {
        let external = &self.addresses[address as usize];
        let whole = external.range(protocol);
        if protocol == Protocol::Icmp {
            return Scopes(vec![whole]);
        }
        if external.deterministic {
            let of = self.deterministic.of_subscriber(Ipv4Addr::from_bits(subscriber));
            return Scopes(of.map(|(_, range)| range).into_iter().collect());
        }
        let Some(blocks) = &external.blocks else { return Scopes(vec![whole]) };
        let mut scopes: Vec<_> = blocks.owned(subscriber).collect();
        if blocks.may_grow(subscriber)
            && let Some(block) = draw(blocks.count())
        {
            scopes.push(blocks.ports_of(block));
        }
        scopes.extend(blocks.shared());
        Scopes(scopes)
    }

    /// The first block of `address` that nobody has, at number `from` or after it.
    pub(crate) fn free_block(&self, address: u32, from: u16) -> Option<u16> {
        self.addresses[address as usize].blocks.as_ref()?.free_from(from)
    }

    /// Why [`Self::choose_port`] found none.
    pub(crate) fn why_none(&self, address: u32, protocol: Protocol, subscriber: u32) -> Limit {
        match &self.addresses[address as usize].blocks {
            Some(blocks) if protocol != Protocol::Icmp && !blocks.may_grow(subscriber) => Limit::Blocks,
            _ => Limit::PortsExhausted,
        }
    }

    /// The port of `address` with the number of the internal one, if it is free to be given out to `subscriber`.
    pub(crate) fn same_port(
        &self,
        address: u32,
        protocol: Protocol,
        port: u16,
        subscriber: u32,
    ) -> Option<Port> {
        let same = Port { address, protocol, port };
        let external = &self.addresses[address as usize];
        let is_there = external.range(protocol).contains(&port) && self.is_free(same);
        let is_theirs = || {
            if protocol == Protocol::Icmp {
                return true;
            }
            if external.deterministic {
                let of = self.deterministic.of_subscriber(Ipv4Addr::from_bits(subscriber));
                return of.is_some_and(|(_, range)| range.contains(&port));
            }
            external.blocks.as_ref().is_none_or(|blocks| blocks.owns(subscriber, port))
        };
        (is_there && is_theirs()).then_some(same)
    }

    /// Chooses a free port of `address` for `internal`, whose subscriber is `subscriber`, as `selector` does: in the
    /// same range of well-known or other ports, and of the same parity, where that is wanted and there is
    /// one left (RFC 4787 REQ-3a and REQ-4, N15).
    pub(crate) fn choose_port(
        &self,
        address: u32,
        protocol: Protocol,
        internal: Endpoint,
        subscriber: u32,
        selector: &mut Selector,
    ) -> Option<Port> {
        let external = &self.addresses[address as usize];
        if external.free[protocol as usize] == 0 {
            return None;
        }
        if !self.has_blocks(address) {
            return self.draw(address, protocol, internal, &external.range(protocol), selector);
        }
        let flow = [u64::from(subscriber), protocol as u64];
        let scopes = self.scopes(address, protocol, subscriber, |count| {
            let blocks = external.blocks.as_ref()?;
            selector.select(0..=count.checked_sub(1)?, flow, |from| blocks.free_from(from))
        });
        scopes.0.iter().find_map(|range| self.draw(address, protocol, internal, range, selector))
    }

    /// Draws a free port of `range`.
    fn draw(
        &self,
        address: u32,
        protocol: Protocol,
        internal: Endpoint,
        range: &RangeInclusive<u16>,
        selector: &mut Selector,
    ) -> Option<Port> {
        let place = |port| Port { address, protocol, port };
        let flow = [u64::from(internal.address.to_bits()) << 16 | u64::from(internal.port), protocol as u64];
        let mut select = |range: &RangeInclusive<u16>, mask: u64| {
            let free_from = |from| self.free_from(place(from), range, mask);
            if range.is_empty() { None } else { selector.select(range.clone(), flow, free_from).map(place) }
        };
        let same_kind = if protocol == Protocol::Icmp || !self.preserve_range {
            range.clone()
        } else if internal.port < 1024 {
            *range.start()..=(*range.end()).min(1023)
        } else {
            (*range.start()).max(1024)..=*range.end()
        };
        let same_parity = if internal.port.is_multiple_of(2) { EVEN } else { !EVEN };
        let masks: &[u64] =
            if self.preserve_parity && protocol != Protocol::Icmp { &[same_parity, ANY] } else { &[ANY] };
        let kinds: &[RangeInclusive<u16>] =
            if same_kind == *range { core::slice::from_ref(range) } else { &[same_kind, range.clone()] };
        kinds.iter().find_map(|kind| masks.iter().find_map(|&mask| select(kind, mask)))
    }
}

impl Scopes {
    /// The ranges.
    pub(crate) fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }
}
