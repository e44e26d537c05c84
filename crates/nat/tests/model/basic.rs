//! Basic NAT in the model (B5, B6): a subscriber has a whole address to itself, ports stay as they are.

use std::net::Ipv4Addr;

use hairpin_nat::config::{Behaviour, Pool, PoolKind, StaticMapping};
use hairpin_nat::event::{Limit, MappingId};
use hairpin_nat::{Endpoint, Protocol, Reason};

use crate::nat::{Arrival, Model, Refusal, ticks};

/// Addresses that nobody has, the longest free first, and the tick from which each may be given.
pub(crate) type Unused = Vec<(u64, Ipv4Addr)>;

/// Whether a checksum of this protocol covers addresses: those that the NAT knows, at octet 6.
pub(crate) fn has_checksum(protocol: u8) -> bool {
    matches!(protocol, 33 | 136)
}

impl Model {
    fn pool_with(&self, address: Ipv4Addr) -> Option<&Pool> {
        let has = |pool: &&Pool| pool.addresses.iter().any(|range| range.contains(&address));
        self.config.pools.iter().find(has)
    }

    /// Whether an external address is translated whole.
    pub(crate) fn is_whole(&self, address: Ipv4Addr) -> bool {
        self.pool_with(address).is_some_and(|pool| pool.kind == PoolKind::Basic)
    }

    pub(crate) fn has_wholes(&self) -> bool {
        self.config.pools.iter().any(|pool| pool.kind == PoolKind::Basic)
    }

    /// At the start every address of this shard that is nobody's for ever is unused.
    pub(crate) fn make_unused(&mut self) {
        let fixed: Vec<_> = self.fixed().into_iter().map(|(_, external)| external).collect();
        let free = |address: &Ipv4Addr| {
            self.is_whole(*address) && self.is_ours(*address) && !fixed.contains(address)
        };
        self.unused = self.addresses().into_iter().filter(free).map(|address| (0, address)).collect();
    }

    /// Subscribers with an address for ever, and it: those of this shard.
    fn fixed(&self) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        let pairs = self.config.statics.iter().filter_map(|mapping| match *mapping {
            StaticMapping::Address { internal, external } => Some((internal, external)),
            StaticMapping::Port { .. } => None,
        });
        pairs.filter(|(_, external)| self.is_ours(*external)).collect()
    }

    fn fixed_for(&self, subscriber: Ipv4Addr) -> Option<Ipv4Addr> {
        self.fixed().into_iter().find(|(internal, _)| *internal == subscriber).map(|(_, external)| external)
    }

    /// The pool from which a subscriber has a whole address, if it has not one for ever.
    fn basic_pool_of(&self, subscriber: Ipv4Addr) -> Option<&Pool> {
        let names = |pool: &&Pool| pool.subscribers.iter().any(|net| net.contains(&subscriber));
        let named = self.config.pools.iter().find(names);
        let pool = named.or_else(|| self.config.pools.iter().find(|pool| pool.subscribers.is_empty()))?;
        (pool.kind == PoolKind::Basic).then_some(pool)
    }

    /// Whether a subscriber's addresses alone are translated.
    pub(crate) fn is_basic(&self, subscriber: Ipv4Addr) -> bool {
        self.fixed_for(subscriber).is_some() || self.basic_pool_of(subscriber).is_some()
    }

    /// The whole address that a subscriber has, or would have now.
    pub(crate) fn whole_for(&self, subscriber: Ipv4Addr) -> Option<Ipv4Addr> {
        if let Some(known) = self.subscribers.get(&subscriber) {
            return Some(known.external);
        }
        if let Some(fixed) = self.fixed_for(subscriber) {
            return Some(fixed);
        }
        let pool = self.basic_pool_of(subscriber)?;
        let of_pool = |address: &Ipv4Addr| pool.addresses.iter().any(|range| range.contains(address));
        let (from, next) = self.unused.iter().find(|(_, address)| of_pool(address))?;
        (*from <= self.tick).then_some(*next)
    }

    /// The whole address that somebody has now.
    pub(crate) fn active_whole(&self, internal: Ipv4Addr) -> Option<Ipv4Addr> {
        let active = self.subscribers.contains_key(&internal) || self.fixed_for(internal).is_some();
        self.whole_for(internal).filter(|_| active && self.is_basic(internal))
    }

    /// Who has a whole address.
    fn owner_of_whole(&self, address: Ipv4Addr) -> Option<Ipv4Addr> {
        let fixed = self.fixed().into_iter().find(|(_, external)| *external == address);
        let has = || self.subscribers.iter().find(|(_, subscriber)| subscriber.external == address);
        fixed.map(|(internal, _)| internal).or_else(|| has().map(|(internal, _)| *internal))
    }

    /// Its first mapping makes somebody a subscriber, its last one ends that.
    pub(crate) fn claim_whole(&mut self, external: Ipv4Addr) {
        self.wholes += u64::from(self.is_whole(external));
        self.unused.retain(|(_, address)| *address != external);
    }

    pub(crate) fn release_whole(&mut self, external: Ipv4Addr, tick: u64) {
        let is_fixed = self.fixed().iter().any(|(_, address)| *address == external);
        if self.is_whole(external) && !is_fixed {
            // RFC 6888 REQ-8: not for somebody else at once.
            let hold = ticks(self.config.ports.hold);
            self.unused.push((if hold == 0 { tick } else { tick + hold + 1 }, external));
        }
    }

    /// A new mapping of a subscriber with a whole address: there is nothing to choose.
    pub(crate) fn plan_whole(
        &mut self,
        protocol: Protocol,
        internal: Endpoint,
        sessions: u64,
    ) -> Result<MappingId, Refusal> {
        let subscriber = internal.address;
        let known = self.subscribers.contains_key(&subscriber);
        if !known && self.subscribers.len() >= self.config.limits.subscribers as usize {
            return Err(Refusal::Limit(Limit::Subscribers));
        }
        self.may_open(subscriber, true, protocol, sessions)?;
        let external = self.whole_for(subscriber).ok_or(Refusal::Limit(Limit::PortsExhausted))?;
        if self.mappings.len() >= self.config.limits.mappings as usize {
            return Err(Refusal::Limit(Limit::Mappings));
        }
        Ok(MappingId {
            protocol,
            internal,
            external: Endpoint { address: external, ..internal },
            remote: None,
        })
    }

    /// Whom a port of a whole address reaches that has no mapping, if strangers may come there.
    pub(crate) fn whole_target(&self, protocol: Protocol, external: Endpoint) -> Option<MappingId> {
        if !self.is_whole(external.address) || !self.is_ours(external.address) {
            return None;
        }
        let internal = Endpoint { address: self.owner_of_whole(external.address)?, ..external };
        let open = self.filter_of(protocol, internal.port) == Behaviour::EndpointIndependent;
        open.then_some(MappingId { protocol, internal, external, remote: None })
    }

    /// B6: protocols without ports pass where addresses alone are translated.
    pub(crate) fn passes_other(&self, from: Arrival, source: Ipv4Addr, destination: Ipv4Addr) -> bool {
        match from {
            Arrival::Inside => self.is_basic(source),
            _ => self.is_whole(destination) && self.is_ours(destination),
        }
    }

    /// Both sides of a hairpin need a new mapping: whether there is room for two.
    pub(crate) fn may_have_both(&self, one: MappingId, other: MappingId) -> Result<(), Refusal> {
        let (sender, receiver) = (self.whose(one.internal), self.whose(other.internal));
        let known = |subscriber| self.subscribers.contains_key(&subscriber);
        let limits = &self.config.limits;
        if sender == receiver {
            let has = |id: &&MappingId| self.whose(id.internal) == sender && id.protocol == one.protocol;
            let own = limits.ports_by_protocol.get(one.protocol as usize).copied().flatten();
            let most = limits.ports_per_subscriber.min(own.unwrap_or(u32::MAX));
            if self.mappings.iter().filter(has).count() + 2 > most as usize {
                return Err(Refusal::Limit(Limit::PortsPerSubscriber));
            }
        } else if !known(sender)
            && !known(receiver)
            && self.subscribers.len() + 2 > limits.subscribers as usize
        {
            return Err(Refusal::Limit(Limit::Subscribers));
        }
        if self.mappings.len() + 2 > limits.mappings as usize {
            return Err(Refusal::Limit(Limit::Mappings));
        }
        Ok(())
    }

    /// Whether somebody has, or could have at once, what is written to.
    pub(crate) fn may_be_there(&self, protocol: Protocol, external: Endpoint) -> Result<(), Reason> {
        let there = self.mapping_at(protocol, external).is_some();
        if there || self.whole_target(protocol, external).is_some() { Ok(()) } else { Err(Reason::NoMapping) }
    }
}
