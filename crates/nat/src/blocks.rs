//! Port blocks (N5, RFC 6888 REQ-14): ports are given to subscribers some at a time, so that a log has a line for
//! each block and not for each port.
//!
//! A block is its subscriber's while any port of it is taken or rests, TCP and UDP together. Where a subscriber's
//! block follows from its address (B9), there is nothing to keep: see [`crate::deterministic`].

use std::collections::BTreeMap;

use core::ops::RangeInclusive;

use crate::config::{self, SharedPorts};

/// The blocks of one external address.
#[derive(Debug)]
pub(crate) struct Blocks {
    size: u16,
    max: u16,
    /// Ports that are in blocks, and those behind them, which everybody shares.
    ports: RangeInclusive<u16>,
    shared: Option<RangeInclusive<u16>>,
    /// Of each block: whose it is, and how many of its ports are taken or rest.
    blocks: Vec<(Option<u32>, u32)>,
    /// Blocks that nobody has.
    free: u16,
    /// The blocks of each subscriber.
    of: BTreeMap<u32, Vec<u16>>,
}

/// A block was given, or has come back.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) subscriber: u32,
    pub(crate) given: bool,
    pub(crate) ports: RangeInclusive<u16>,
}

impl Blocks {
    /// What those of one address take at most.
    pub(crate) fn octets(config: &config::Blocks, ports: &RangeInclusive<u16>) -> u64 {
        let count = (ports.len() / usize::from(config.size.max(1))) as u64;
        let by_subscriber = size_of::<(u32, Vec<u16>)>() + size_of::<(u32, (u32, u32))>();
        count * (size_of::<(Option<u32>, u32)>() + 2 * by_subscriber + 16) as u64
    }

    pub(crate) fn new(config: &config::Blocks, ports: &RangeInclusive<u16>) -> Self {
        let wanted = match config.shared {
            SharedPorts::None => 0,
            SharedPorts::Last(count) => usize::from(count),
        };
        let size = usize::from(config.size.max(1));
        let count = ports.len().saturating_sub(wanted) / size;
        let behind = u32::from(*ports.start()) + (count * size) as u32;
        let shared = (config.shared != SharedPorts::None && behind <= u32::from(*ports.end()))
            .then(|| behind as u16..=*ports.end());
        Self {
            size: config.size.max(1),
            max: config.max_per_subscriber,
            ports: *ports.start()..=(behind.saturating_sub(1)) as u16,
            shared,
            blocks: vec![(None, 0); count],
            free: count as u16,
            of: BTreeMap::new(),
        }
    }

    fn block(&self, port: u16) -> Option<usize> {
        self.ports.contains(&port).then(|| usize::from(port - *self.ports.start()) / usize::from(self.size))
    }

    fn range(&self, block: usize) -> RangeInclusive<u16> {
        let first = *self.ports.start() + (block * usize::from(self.size)) as u16;
        first..=first + (self.size - 1)
    }

    /// Whether `port` lies in a block of `subscriber`.
    pub(crate) fn owns(&self, subscriber: u32, port: u16) -> bool {
        self.block(port).is_some_and(|block| self.blocks[block].0 == Some(subscriber))
    }

    /// The blocks of `subscriber`.
    pub(crate) fn owned(&self, subscriber: u32) -> impl Iterator<Item = RangeInclusive<u16>> + '_ {
        self.of.get(&subscriber).into_iter().flatten().map(|&block| self.range(block.into()))
    }

    /// Whether `subscriber` may have one more.
    pub(crate) fn may_grow(&self, subscriber: u32) -> bool {
        self.of.get(&subscriber).map_or(0, Vec::len) < usize::from(self.max)
    }

    /// How many blocks there are.
    pub(crate) fn count(&self) -> u16 {
        self.blocks.len() as u16
    }

    /// The first block that nobody has at number `from` or after it, going round.
    pub(crate) fn free_from(&self, from: u16) -> Option<u16> {
        let count = self.count();
        (from..count).chain(0..from.min(count)).find(|&block| self.blocks[usize::from(block)].0.is_none())
    }

    /// The ports of block number `block`.
    pub(crate) fn ports_of(&self, block: u16) -> RangeInclusive<u16> {
        self.range(block.into())
    }

    /// Blocks that nobody has.
    pub(crate) fn free(&self) -> u16 {
        self.free
    }

    /// Whether `port` belongs to no block and may be had by everybody.
    pub(crate) fn is_shared(&self, port: u16) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.contains(&port))
    }

    /// The ports that belong to no block.
    pub(crate) fn shared(&self) -> Option<RangeInclusive<u16>> {
        self.shared.clone()
    }

    /// `port` is taken, for `subscriber`.
    pub(crate) fn occupy(&mut self, port: u16, subscriber: u32) -> Option<Change> {
        let block = self.block(port)?;
        let (owner, ports) = &mut self.blocks[block];
        *ports += 1;
        if owner.is_some() {
            return None;
        }
        *owner = Some(subscriber);
        self.free -= 1;
        self.of.entry(subscriber).or_default().push(block as u16);
        Some(Change { subscriber, given: true, ports: self.range(block) })
    }

    /// `port` is free again.
    pub(crate) fn vacate(&mut self, port: u16) -> Option<Change> {
        let block = self.block(port)?;
        let (owner, ports) = &mut self.blocks[block];
        *ports = ports.saturating_sub(1);
        let subscriber = if *ports == 0 { owner.take()? } else { return None };
        self.free += 1;
        if let Some(of) = self.of.get_mut(&subscriber) {
            of.retain(|&other| usize::from(other) != block);
            if of.is_empty() {
                self.of.remove(&subscriber);
            }
        }
        Some(Change { subscriber, given: false, ports: self.range(block) })
    }
}
