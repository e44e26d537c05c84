//! Dynamic port blocks in the model (N5, RFC 6888 REQ-14): a list of whose which is, and what is told of it.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use hairpin_nat::config::{Pool, SharedPorts};
use hairpin_nat::event::{BlockId, EventKind, Limit, MappingId};
use hairpin_nat::{Endpoint, Protocol};

use crate::nat::Model;

/// Ports in a row.
type Ports = RangeInclusive<u16>;

impl Model {
    fn block_pool(&self, address: Ipv4Addr) -> Option<&Pool> {
        let has = |pool: &&Pool| pool.addresses.iter().any(|range| range.contains(&address));
        self.config
            .pools
            .iter()
            .find(has)
            .filter(|pool| pool.blocks.is_some_and(|blocks| !blocks.deterministic))
    }

    pub(crate) fn has_blocks(&self) -> bool {
        self.addresses()
            .into_iter()
            .any(|address| self.is_ours(address) && self.block_pool(address).is_some())
    }

    /// The blocks that there are at an address, and the ports behind them that everybody shares.
    fn layout(&self, address: Ipv4Addr) -> Option<(Vec<Ports>, Option<Ports>)> {
        let pool = self.block_pool(address)?;
        let settings = pool.blocks?;
        let ports: Vec<u16> = pool.ports.clone().collect();
        let shared = match settings.shared {
            SharedPorts::None => 0,
            SharedPorts::Last(count) => usize::from(count),
        };
        let size = usize::from(settings.size);
        let blocks = ports[..ports.len().saturating_sub(shared)].chunks_exact(size);
        let blocks: Vec<_> = blocks.map(|block| block[0]..=block[size - 1]).collect();
        let rest = &ports[blocks.len() * size..];
        let rest = rest
            .first()
            .filter(|_| settings.shared != SharedPorts::None)
            .map(|first| *first..=rest[rest.len() - 1]);
        Some((blocks, rest))
    }

    /// A subscriber's blocks at an address, in the order in which it got them.
    fn own_blocks(&self, of: Ipv4Addr, address: Ipv4Addr) -> Vec<Ports> {
        let own = self.blocks.iter().filter(|block| block.subscriber == of && block.external == address);
        own.map(|block| block.first..=block.last).collect()
    }

    /// The blocks of an address that nobody has.
    fn free_blocks(&self, address: Ipv4Addr) -> Vec<Ports> {
        let has =
            |first: u16| self.blocks.iter().any(|block| block.external == address && block.first == first);
        let all = self.layout(address).map_or(Vec::new(), |(blocks, _)| blocks);
        all.into_iter().filter(|block| !has(*block.start())).collect()
    }

    fn may_grow(&self, of: Ipv4Addr, address: Ipv4Addr) -> bool {
        let most = self.block_pool(address).and_then(|pool| pool.blocks).map_or(0, |b| b.max_per_subscriber);
        self.own_blocks(of, address).len() < usize::from(most)
    }

    /// Where a subscriber's ports may come from, in this order: its blocks, new ones (of which the engine draws
    /// one), what is shared. `None`: there are no blocks.
    pub(crate) fn scopes(
        &self,
        of: Ipv4Addr,
        protocol: Protocol,
        address: Ipv4Addr,
    ) -> Option<[Vec<Ports>; 3]> {
        let (_, shared) = self.layout(address).filter(|_| protocol != Protocol::Icmp)?;
        let new = if self.may_grow(of, address) { self.free_blocks(address) } else { Vec::new() };
        Some([self.own_blocks(of, address), new, shared.into_iter().collect()])
    }

    /// Why it has no port there.
    pub(crate) fn why_none(&self, of: Ipv4Addr, protocol: Protocol, address: Ipv4Addr) -> Limit {
        let of_blocks = self.block_pool(address).is_some() && protocol != Protocol::Icmp;
        if of_blocks && !self.may_grow(of, address) { Limit::Blocks } else { Limit::PortsExhausted }
    }

    /// Who has blocks is at home where they are.
    pub(crate) fn block_home(&self, of: Ipv4Addr) -> Option<Ipv4Addr> {
        self.blocks.iter().find(|block| block.subscriber == of).map(|block| block.external)
    }

    /// A mapping begins: with the first of its ports a block is somebody's.
    pub(crate) fn take_block(&mut self, id: MappingId) {
        let Some((blocks, _)) = self.layout(id.external.address) else { return };
        let block = blocks.into_iter().find(|block| block.contains(&id.external.port));
        let Some(block) = block.filter(|_| id.protocol != Protocol::Icmp) else { return };
        let external = id.external.address;
        if self.blocks.iter().any(|other| other.external == external && other.first == *block.start()) {
            return;
        }
        let subscriber = self.whose(id.internal);
        let id = BlockId { subscriber, external, first: *block.start(), last: *block.end() };
        self.blocks.push(id);
        self.event(self.tick, EventKind::BlockAllocated(id));
    }

    /// A port is free: with the last of its ports a block comes back.
    pub(crate) fn give_block(&mut self, protocol: Protocol, port: Endpoint, tick: u64) {
        let is_it = |block: &BlockId| {
            block.external == port.address && (block.first..=block.last).contains(&port.port)
        };
        let Some(at) = self.blocks.iter().position(is_it).filter(|_| protocol != Protocol::Icmp) else {
            return;
        };
        let block = self.blocks[at];
        let of_block = |(protocol, end): (Protocol, Endpoint)| {
            protocol != Protocol::Icmp && {
                end.address == block.external && (block.first..=block.last).contains(&end.port)
            }
        };
        let mut used = self.mappings.iter().map(|id| (id.protocol, id.external));
        let mut held = self.held.iter().map(|&(_, protocol, end)| (protocol, end));
        if !used.any(of_block) && !held.any(of_block) {
            self.blocks.remove(at);
            self.event(tick, EventKind::BlockReleased(block));
        }
    }

    /// When the next port has rested, where that matters to a block.
    pub(crate) fn next_release(&self) -> Option<u64> {
        self.held.first().filter(|_| self.has_blocks()).map(|(until, ..)| *until)
    }

    pub(crate) fn release_next(&mut self) {
        let (until, protocol, port) = self.held.remove(0);
        self.give_block(protocol, port, until);
    }
}
