//! External addresses and their ports: which are free, whose the others are.
//!
//! Under endpoint-independent mapping the unit is (address, protocol, port). Each has a bit, so that
//! a free one is found a word at a time, and an entry that names its mapping, so that a packet from
//! outside finds it without a search.

use std::collections::{BTreeMap, VecDeque};

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;
use wire::prefetch::prefetch;

use crate::blocks::{Blocks, Change};
use crate::config::{Behaviour, Config, PoolKind, Pooling, Shard};
use crate::deterministic::Deterministic;
use crate::memory::Arena;
use crate::{Endpoint, Protocol};

mod groups;
mod search;
#[cfg(test)]
mod tests;

use groups::Group;
pub(crate) use search::Run;

/// Ports of one address and protocol, and the words that hold their bits.
const PORTS: usize = 1 << 16;
const WORDS: usize = PORTS / 64;
/// Words of the summary: a bit for each word that is all taken.
const SUMMARY: usize = WORDS / 64;

/// In an owner: several mappings have the port, and the rest of the word says how many.
const SHARED: u32 = 1 << 31;

/// Held ports that one call lets go at most; and that the end of one mapping does, which is more than it adds.
const RELEASES: usize = 4_096;
const FEW: usize = 64;

/// How many held ports ahead the bit of one to be let go is asked for.
const AHEAD: usize = 8;

/// All external addresses of this shard.
#[derive(Debug)]
pub(crate) struct Pool {
    ranges: Ranges,
    shard: Shard,
    /// Of this shard, in the order of their numbers.
    addresses: Vec<External>,
    groups: Vec<Group>,
    deterministic: Deterministic,
    preserve_parity: bool,
    preserve_range: bool,
    /// Where a subscriber has blocks, and how many: while any port of them rests, too.
    homes: BTreeMap<u32, (u32, u32)>,
    /// Some address has blocks.
    tells: bool,
    /// Blocks that were given or have come back since somebody asked.
    changes: Vec<(u32, Change)>,
    /// 1 + mapping index by address, protocol, port; 0: none; [`SHARED`]: several.
    owners: Arena<u32>,
    /// A bit for each port that is taken or held.
    taken: Arena<u64>,
    /// A bit for each word of `taken` that is full.
    full: Arena<u64>,
    hold: Hold,
    /// TCP and UDP have each port together (RFC 7857 5, N14).
    together: bool,
}

/// The external addresses of all shards, numbered in the order of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Ranges(
    /// First address, last address, number of the first; sorted.
    Vec<(u32, u32, u32)>,
);

/// One external address.
#[derive(Debug)]
struct External {
    address: Ipv4Addr,
    ports: RangeInclusive<u16>,
    /// By protocol, as in `spare`.
    free: [u32; 3],
    /// Of those what is in no block.
    spare: [u32; 3],
    group: u16,
    /// Of a Basic pool.
    whole: bool,
    pooling: Pooling,
    blocks: Option<Blocks>,
    /// A subscriber's ports follow from its address.
    deterministic: bool,
}

/// Freed ports that are not given out again yet (RFC 6888 REQ-8), first freed first.
#[derive(Debug)]
struct Hold {
    ticks: u32,
    max: usize,
    /// Filtering depends on address and port.
    needless: bool,
    queue: VecDeque<(u32, Port)>,
}

/// A port of this shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Port {
    /// Which of the shard's addresses.
    pub(crate) address: u32,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

impl Port {
    /// The port of the same number in the other of TCP and UDP.
    pub(crate) fn in_other_protocol(self) -> Option<Self> {
        let protocol = match self.protocol {
            Protocol::Tcp => Protocol::Udp,
            Protocol::Udp => Protocol::Tcp,
            Protocol::Icmp | Protocol::Other => return None,
        };
        Some(Self { protocol, ..self })
    }
}

/// Whose an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// This shard's, with its number here.
    Here(u32),
    /// Another shard's.
    Shard(u16),
}

impl Pool {
    /// What one address takes: owners, bits and summaries of its three port spaces.
    pub(crate) const OCTETS: u64 =
        (Protocol::ALL.len() * (PORTS * 4 + WORDS * 8 + SUMMARY * 8)) as u64 + size_of::<External>() as u64;

    /// What a port that is held takes; a queue grows by doubling.
    pub(crate) const HELD_OCTETS: u64 = 2 * size_of::<(u32, Port)>() as u64;

    pub(crate) fn new(config: &Config, hold_ticks: u32) -> std::io::Result<Self> {
        let Shard { index, count } = config.shard;
        let (mut groups, places) = Group::of(config);
        let all = config.pools.iter().zip(places).flat_map(|(pool, place)| {
            let bits =
                pool.addresses.iter().flat_map(|range| range.start().to_bits()..=range.end().to_bits());
            bits.map(move |bits| (Ipv4Addr::from_bits(bits), pool, place))
        });
        let all = all.skip(usize::from(index)).step_by(usize::from(count));
        let addresses: Vec<_> =
            all.map(|(address, pool, place)| External::new(address, pool, place)).collect();
        for (number, external) in (0..).zip(&addresses) {
            let group = &mut groups[usize::from(external.group)];
            if external.whole {
                // Never drawn: it is given whole.
                continue;
            }
            group.addresses.push(number);
            for protocol in Protocol::ALL {
                group.spare[protocol as usize] += u64::from(external.spare[protocol as usize]);
            }
            group.blocks += external.blocks.as_ref().map_or(0, |blocks| u64::from(blocks.free()));
        }
        let spaces = addresses.len() * Protocol::ALL.len();
        Ok(Self {
            ranges: Ranges::new(config),
            shard: config.shard,
            groups,
            deterministic: Deterministic::new(config),
            preserve_parity: config.ports.preserve_parity,
            preserve_range: config.ports.preserve_range,
            homes: BTreeMap::new(),
            tells: addresses.iter().any(|external| external.blocks.is_some()),
            changes: Vec::new(),
            addresses,
            owners: Arena::hot(spaces * PORTS)?,
            taken: Arena::cold(spaces * WORDS)?,
            full: Arena::cold(spaces * SUMMARY)?,
            hold: Hold {
                ticks: hold_ticks,
                max: config.ports.hold_max as usize,
                needless: config.filtering.udp == Behaviour::AddressAndPortDependent
                    && config.filtering.udp_ports.is_empty(),
                queue: VecDeque::new(),
            },
            together: config.mapping.protocol_independent,
        })
    }

    /// How many external addresses this shard has.
    pub(crate) fn addresses(&self) -> usize {
        self.addresses.len()
    }

    /// Whose external address `address` is, if it is one.
    pub(crate) fn owner(&self, address: Ipv4Addr) -> Option<Owner> {
        let number = self.ranges.number(address)?;
        let (shard, count) = (number % u32::from(self.shard.count), u32::from(self.shard.count));
        Some(if shard == u32::from(self.shard.index) {
            Owner::Here(number / count)
        } else {
            Owner::Shard(shard as u16)
        })
    }

    /// The mapping that `port` belongs to.
    pub(crate) fn mapping(&self, port: Port) -> Option<u32> {
        let owner = self.owners[self.entry(port)];
        if owner & SHARED == 0 { owner.checked_sub(1) } else { None }
    }

    /// Whether some mapping has `port`.
    pub(crate) fn is_mapped(&self, port: Port) -> bool {
        self.owners[self.entry(port)] != 0
    }

    /// Whether `port` is one that several mappings may have.
    pub(crate) fn is_shared(&self, port: Port) -> bool {
        self.owners[self.entry(port)] & SHARED != 0
    }

    /// How many mappings have shared `port`; of any other port 0.
    pub(crate) fn sharers(&self, port: Port) -> u32 {
        let owner = self.owners[self.entry(port)];
        if owner & SHARED == 0 { 0 } else { owner & !SHARED }
    }

    /// One more mapping has `port`, which is free or shared.
    pub(crate) fn share(&mut self, port: Port) {
        let entry = self.entry(port);
        if !self.is_taken(entry) {
            self.occupy(port, entry);
        }
        self.owners[entry] = (self.owners[entry] | SHARED) + 1;
    }

    /// One mapping of shared `port` is gone; with the last, the port.
    pub(crate) fn unshare(&mut self, port: Port, now: u32) {
        let entry = self.entry(port);
        self.owners[entry] -= 1;
        if self.owners[entry] == SHARED {
            self.give(port, now);
        }
    }

    /// Asks for what [`Self::take`] and [`Self::give`] will write.
    pub(crate) fn prefetch(&self, port: Port) {
        if port.protocol == Protocol::Other {
            return;
        }
        self.prefetch_owner(port);
        prefetch(&self.taken, self.entry(port) / 64);
    }

    /// Asks for whom `port` belongs to.
    pub(crate) fn prefetch_owner(&self, port: Port) {
        if port.protocol != Protocol::Other {
            prefetch(&self.owners, self.entry(port));
        }
    }

    /// The external endpoint that `port` is.
    pub(crate) fn endpoint(&self, port: Port) -> Endpoint {
        Endpoint::new(self.addresses[port.address as usize].address, port.port)
    }

    /// `mapping` takes `port`, which is free or kept for it. Where TCP and UDP have their ports together, the
    /// other's is kept for the same internal endpoint.
    pub(crate) fn take(&mut self, port: Port, mapping: u32, subscriber: u32) {
        let entry = self.entry(port);
        self.owners[entry] = mapping + 1;
        if !self.is_taken(entry) {
            self.occupy(port, entry);
            self.change(port, |blocks| blocks.occupy(port.port, subscriber));
        }
        if let Some(twin) = self.twin(port) {
            let entry = self.entry(twin);
            if !self.is_taken(entry) {
                self.occupy(twin, entry);
                self.change(twin, |blocks| blocks.occupy(twin.port, subscriber));
            }
        }
    }

    fn change(&mut self, port: Port, change: impl FnOnce(&mut Blocks) -> Option<Change>) {
        if let Some(blocks) = &mut self.addresses[port.address as usize].blocks
            && port.protocol != Protocol::Icmp
            && let Some(change) = change(blocks)
        {
            self.note_block(port.address, &change);
            self.changes.push((port.address, change));
        }
    }

    /// Who has blocks comes back to their address, and a block is somebody's or is there for anybody.
    fn note_block(&mut self, address: u32, change: &Change) {
        let group = &mut self.groups[usize::from(self.addresses[address as usize].group)];
        if change.given {
            group.blocks -= 1;
            self.homes.entry(change.subscriber).or_insert((address, 0)).1 += 1;
            return;
        }
        group.blocks += 1;
        if let Some((_, count)) = self.homes.get_mut(&change.subscriber) {
            *count -= 1;
            if *count == 0 {
                self.homes.remove(&change.subscriber);
            }
        }
    }

    /// The next block that was given or has come back, and the address that it is of.
    pub(crate) fn next_change(&mut self) -> Option<(Ipv4Addr, Change)> {
        if self.changes.is_empty() {
            return None;
        }
        let (address, change) = self.changes.remove(0);
        Some((self.addresses[address as usize].address, change))
    }

    fn occupy(&mut self, port: Port, entry: usize) {
        self.taken[entry / 64] |= 1 << (entry % 64);
        if self.taken[entry / 64] == u64::MAX {
            self.full[entry / 4096] |= 1 << (entry / 64 % 64);
        }
        let external = &mut self.addresses[port.address as usize];
        if external.range(port.protocol).contains(&port.port) {
            // Others were never to be given out; a static mapping may have one all the same.
            external.free[port.protocol as usize] -= 1;
            if external.is_spare(port) {
                external.spare[port.protocol as usize] -= 1;
                self.groups[usize::from(external.group)].spare[port.protocol as usize] -= 1;
            }
        }
    }

    /// The mapping of `port` is gone. UDP ports and ICMP identifiers are held for a while; a TCP
    /// port was held by the state machine (RFC 6888 REQ-8a).
    pub(crate) fn give(&mut self, port: Port, now: u32) {
        // Expiry may run late: what was held until then is free by then.
        self.let_go(now, FEW);
        let entry = self.entry(port);
        self.owners[entry] = 0;
        // It stays with the internal endpoint as long as either protocol has it.
        if self.twin(port).is_none_or(|twin| self.mapping(twin).is_none()) {
            self.let_rest(port, now);
        }
    }

    /// Nobody has `port` any more. Where TCP and UDP have it together, it rests for both.
    fn let_rest(&mut self, port: Port, now: u32) {
        let rests = port.protocol != Protocol::Tcp || self.together;
        let held = rests && self.hold.ticks > 0 && self.hold.queue.len() < self.hold.max;
        // Where only those may come who were written to, nobody comes by mistake (RFC 6888 REQ-8c).
        let held = held && !self.hold.needless;
        if held {
            self.hold.queue.push_back((now.saturating_add(self.hold.ticks).saturating_add(1), port));
        } else {
            self.set_both_free(port);
        }
    }

    /// Lets go of ports that were held long enough at `now`: so many that no call takes long. What is left
    /// is let go by the next.
    pub(crate) fn release(&mut self, now: u32) {
        self.let_go(now, RELEASES);
    }

    /// Whether somebody is told when ports come back: there are blocks.
    pub(crate) fn tells(&self) -> bool {
        self.tells
    }

    /// When the port that has rested longest may be given out again.
    pub(crate) fn next_release(&self) -> Option<u32> {
        self.hold.queue.front().map(|&(until, _)| until)
    }

    /// Lets go of it.
    pub(crate) fn release_first(&mut self) {
        if let Some((_, port)) = self.hold.queue.pop_front() {
            self.set_both_free(port);
        }
    }

    fn let_go(&mut self, now: u32, most: usize) {
        for _ in 0..most {
            let Some(&(_, port)) = self.hold.queue.front().filter(|&&(until, _)| until <= now) else { break };
            self.hold.queue.pop_front();
            if let Some(&(_, ahead)) = self.hold.queue.get(AHEAD) {
                prefetch(&self.taken, self.entry(ahead) / 64);
            }
            self.set_both_free(port);
        }
    }

    fn set_both_free(&mut self, port: Port) {
        self.set_free(port);
        if let Some(twin) = self.twin(port) {
            self.set_free(twin);
        }
    }

    fn set_free(&mut self, port: Port) {
        let entry = self.entry(port);
        self.taken[entry / 64] &= !(1 << (entry % 64));
        self.full[entry / 4096] &= !(1 << (entry / 64 % 64));
        let external = &mut self.addresses[port.address as usize];
        if external.range(port.protocol).contains(&port.port) {
            external.free[port.protocol as usize] += 1;
            if external.is_spare(port) {
                external.spare[port.protocol as usize] += 1;
                self.groups[usize::from(external.group)].spare[port.protocol as usize] += 1;
            }
        }
        self.change(port, |blocks| blocks.vacate(port.port));
    }

    /// The ports of `address` that may be given out.
    pub(crate) fn range(&self, address: u32, protocol: Protocol) -> RangeInclusive<u16> {
        self.addresses[address as usize].range(protocol)
    }

    /// Whether `port` is one that may be given out, and free.
    pub(crate) fn may_take(&self, port: Port) -> bool {
        self.addresses[port.address as usize].range(port.protocol).contains(&port.port) && self.is_free(port)
    }

    fn is_free(&self, port: Port) -> bool {
        !self.is_taken(self.entry(port))
            && !self.twin(port).is_some_and(|twin| self.is_taken(self.entry(twin)))
    }

    fn is_taken(&self, entry: usize) -> bool {
        self.taken[entry / 64] & 1 << (entry % 64) != 0
    }

    /// The port of the other protocol that goes with `port`, if they go together.
    fn twin(&self, port: Port) -> Option<Port> {
        if self.together { port.in_other_protocol() } else { None }
    }

    /// The first free port of `range` at `from` or after it, going round.
    /// Only those count whose bit in a word is in `mask`.
    fn free_from(&self, from: Port, range: &RangeInclusive<u16>, mask: u64) -> Option<u16> {
        let first = Port { port: 0, ..from };
        let spaces = [first, self.twin(first).unwrap_or(first)].map(|port| self.entry(port));
        self.free_between(spaces, from.port, *range.end(), mask)
            .or_else(|| self.free_between(spaces, *range.start(), from.port, mask))
    }

    /// The first port of `first..=last` that is free in both of the port spaces that begin at these entries.
    fn free_between(&self, [space, other]: [usize; 2], first: u16, last: u16, mask: u64) -> Option<u16> {
        let free_of = |word: usize| !(self.taken[space / 64 + word] | self.taken[other / 64 + word]) & mask;
        let mut word = usize::from(first) / 64;
        let mut free = free_of(word) & u64::MAX << (first % 64);
        while free == 0 {
            // On to the next word that is not full, by the summary.
            word += 1;
            let mut summary = word / 64;
            if summary == SUMMARY {
                return None;
            }
            let mut open = !self.full[space / 4096 + summary] & u64::MAX << (word % 64);
            while open == 0 {
                summary += 1;
                if summary == SUMMARY {
                    return None;
                }
                open = !self.full[space / 4096 + summary];
            }
            word = summary * 64 + open.trailing_zeros() as usize;
            free = free_of(word);
        }
        let port = word * 64 + free.trailing_zeros() as usize;
        (port <= usize::from(last)).then_some(port as u16)
    }

    fn entry(&self, port: Port) -> usize {
        (port.address as usize * Protocol::ALL.len() + port.protocol as usize) * PORTS
            + usize::from(port.port)
    }
}

impl Ranges {
    pub(crate) fn new(config: &Config) -> Self {
        let mut ranges = Vec::new();
        let mut number = 0;
        for range in config.pools.iter().flat_map(|pool| &pool.addresses) {
            let (first, last) = (range.start().to_bits(), range.end().to_bits());
            ranges.push((first, last, number));
            number += last.saturating_sub(first) + 1;
        }
        ranges.sort_unstable();
        Self(ranges)
    }

    /// The number of `address`, if it is an external one.
    #[inline]
    pub(crate) fn number(&self, address: Ipv4Addr) -> Option<u32> {
        let bits = address.to_bits();
        let behind = self.0.partition_point(|&(first, ..)| first <= bits);
        let &(first, last, number) = self.0.get(behind.checked_sub(1)?)?;
        (bits <= last).then(|| number + (bits - first))
    }
}

impl External {
    fn new(address: Ipv4Addr, pool: &crate::config::Pool, (group, pooling): (u16, Pooling)) -> Self {
        let dynamic = pool.blocks.filter(|blocks| !blocks.deterministic);
        let mut external = Self {
            address,
            ports: pool.ports.clone(),
            free: [0; 3],
            spare: [0; 3],
            group,
            whole: pool.kind == PoolKind::Basic,
            pooling,
            blocks: dynamic.map(|blocks| Blocks::new(&blocks, &pool.ports)),
            deterministic: pool.blocks.is_some_and(|blocks| blocks.deterministic),
        };
        if pool.kind == PoolKind::Basic {
            // It is given whole: there is nothing to choose.
            return external;
        }
        for protocol in Protocol::ALL {
            let range = external.range(protocol);
            external.free[protocol as usize] = range.len() as u32;
            let spare = match &external.blocks {
                Some(blocks) if protocol != Protocol::Icmp => {
                    blocks.shared().map_or(0, |shared| shared.len() as u32)
                }
                _ => range.len() as u32,
            };
            external.spare[protocol as usize] = spare;
        }
        external
    }

    /// Whether `port`, which may be given out, is in no block.
    fn is_spare(&self, port: Port) -> bool {
        match &self.blocks {
            Some(blocks) if port.protocol != Protocol::Icmp => blocks.is_shared(port.port),
            _ => true,
        }
    }

    /// What may be given out: the configured ports, or any query identifier.
    fn range(&self, protocol: Protocol) -> RangeInclusive<u16> {
        match protocol {
            Protocol::Tcp | Protocol::Udp => self.ports.clone(),
            Protocol::Icmp | Protocol::Other => 0..=u16::MAX,
        }
    }
}
