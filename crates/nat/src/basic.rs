//! Basic NAT: whole addresses (B5, B6, RFC 2663 4.1.1).
//!
//! A subscriber has one external address to itself, for ever (a static mapping) or while it has sessions.
//! Ports and query identifiers stay as they are, so mappings are made as elsewhere, each with the port that
//! it already has; what comes from outside to a port without a mapping makes one. Protocols without ports
//! pass by address alone: to mappings and sessions their "port" is the protocol number.

use std::collections::{BTreeMap, VecDeque};

use core::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::batch::{Arrival, Decision, Fit, Refusal, Route};
use crate::brief::Brief;
use crate::config::{Behaviour, Config, PoolKind, StaticMapping};
use crate::engine::Engine;
use crate::event::{Limit, OpenedFrom};
use crate::pool::{Owner, Port, Ranges};
use crate::timer::ticks;
use crate::{Endpoint, Protocol, Realm};

/// The addresses of this shard that are translated whole.
#[derive(Debug)]
pub(crate) struct Basic {
    /// Of each of the shard's addresses, if any of them is of a Basic pool.
    places: Vec<Place>,
    /// Who uses which pool, in the order of the configuration.
    pools: Vec<Users>,
    /// External addresses that are a subscriber's for ever, by its address.
    fixed: BTreeMap<u32, u32>,
    /// `ports.hold` in ticks: how long an address rests before somebody else has it (RFC 6888 REQ-8).
    hold: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// 1 + its pool; 0: ports are translated.
    pool: u32,
    /// Whose it is now.
    owner: Option<u32>,
    fixed: bool,
}

#[derive(Debug)]
struct Users {
    is_basic: bool,
    subscribers: Vec<Ipv4Net>,
    /// Addresses that nobody has, and the tick from which they may be given; the longest free first.
    free: VecDeque<(u32, u32)>,
}

impl Basic {
    /// What one external address takes.
    pub(crate) const OCTETS: u64 = (size_of::<Place>() + 2 * size_of::<(u32, u32)>()) as u64;

    pub(crate) fn new(config: &Config) -> Self {
        let users = |pool: &crate::config::Pool| Users {
            is_basic: pool.kind == PoolKind::Basic,
            subscribers: pool.subscribers.clone(),
            free: VecDeque::new(),
        };
        let mut basic = Self {
            places: Vec::new(),
            pools: config.pools.iter().map(users).collect(),
            fixed: BTreeMap::new(),
            hold: ticks(config.ports.hold),
        };
        if !basic.pools.iter().any(|pool| pool.is_basic) {
            basic.pools.clear();
            return basic;
        }
        let (index, count) = (usize::from(config.shard.index), usize::from(config.shard.count));
        let all = config.pools.iter().enumerate().flat_map(|(number, pool)| {
            let size = usize::try_from(pool.size()).unwrap_or(0);
            let pool = if pool.kind == PoolKind::Basic { number as u32 + 1 } else { 0 };
            std::iter::repeat_n(Place { pool, ..Place::default() }, size)
        });
        basic.places = all.skip(index).step_by(count).collect();
        basic.fix(config);
        for (address, place) in basic.places.iter().enumerate().filter(|(_, place)| !place.fixed) {
            let pool = place.pool.checked_sub(1).and_then(|pool| basic.pools.get_mut(pool as usize));
            if let Some(pool) = pool {
                pool.free.push_back((0, address as u32));
            }
        }
        basic
    }

    fn fix(&mut self, config: &Config) {
        let (ranges, shard) = (Ranges::new(config), config.shard);
        for mapping in &config.statics {
            let &StaticMapping::Address { internal, external } = mapping else { continue };
            let Some(number) = ranges.number(external) else { continue };
            let (address, owner) = (number / u32::from(shard.count), number % u32::from(shard.count));
            if owner == u32::from(shard.index)
                && let Some(place) = self.places.get_mut(address as usize)
            {
                (place.owner, place.fixed) = (Some(internal.to_bits()), true);
                self.fixed.insert(internal.to_bits(), address);
            }
        }
    }

    /// Whether `address` is translated whole.
    pub(crate) fn is(&self, address: u32) -> bool {
        self.places.get(address as usize).is_some_and(|place| place.pool > 0)
    }

    /// Who has `address`.
    pub(crate) fn owner(&self, address: u32) -> Option<Ipv4Addr> {
        self.places.get(address as usize)?.owner.map(Ipv4Addr::from_bits)
    }

    /// Whether a subscriber has, or would have, an external address to itself.
    pub(crate) fn serves(&self, subscriber: Ipv4Addr) -> bool {
        self.fixed.contains_key(&subscriber.to_bits()) || self.pool_of(subscriber).is_some()
    }

    /// The Basic pool that a subscriber uses: the one that names it, else the one that names nobody.
    fn pool_of(&self, subscriber: Ipv4Addr) -> Option<usize> {
        let names = |pool: &Users| pool.subscribers.iter().any(|net| net.contains(&subscriber));
        let named = self.pools.iter().position(names);
        let pool = named.or_else(|| self.pools.iter().position(|pool| pool.subscribers.is_empty()))?;
        self.pools[pool].is_basic.then_some(pool)
    }

    /// The address for a subscriber that has none yet; `None`: its ports are translated.
    pub(crate) fn address_for(&self, subscriber: Ipv4Addr, tick: u32) -> Result<Option<u32>, Limit> {
        if let Some(&address) = self.fixed.get(&subscriber.to_bits()) {
            return Ok(Some(address));
        }
        let Some(pool) = self.pool_of(subscriber) else { return Ok(None) };
        match self.pools[pool].free.front() {
            Some(&(from, address)) if from <= tick => Ok(Some(address)),
            _ => Err(Limit::PortsExhausted),
        }
    }

    /// A new subscriber has `address`, which [`Self::address_for`] named.
    pub(crate) fn claim(&mut self, address: u32, subscriber: u32) {
        let Some(place) = self.places.get_mut(address as usize).filter(|place| place.pool > 0) else {
            return;
        };
        place.owner = Some(subscriber);
        if !place.fixed
            && let Some(pool) = self.pools.get_mut(place.pool as usize - 1)
        {
            pool.free.pop_front();
        }
    }

    /// Its subscriber has no session left.
    pub(crate) fn release(&mut self, address: u32, tick: u32) {
        let Some(place) = self.places.get_mut(address as usize) else { return };
        if place.pool > 0
            && !place.fixed
            && let Some(pool) = self.pools.get_mut(place.pool as usize - 1)
        {
            place.owner = None;
            let from = if self.hold == 0 { tick } else { tick.saturating_add(self.hold).saturating_add(1) };
            pool.free.push_back((from, address));
        }
    }
}

/// Whether `config` gives a subscriber a whole address, whichever shard has it.
pub(crate) fn has_whole(config: &Config, subscriber: Ipv4Addr) -> bool {
    let fixed = config.statics.iter().any(|mapping| match *mapping {
        StaticMapping::Address { internal, .. } => internal == subscriber,
        StaticMapping::Port { .. } => false,
    });
    let names = |pool: &&crate::config::Pool| pool.subscribers.iter().any(|net| net.contains(&subscriber));
    let named = config.pools.iter().find(names);
    let pool = named.or_else(|| config.pools.iter().find(|pool| pool.subscribers.is_empty()));
    fixed || pool.is_some_and(|pool| pool.kind == PoolKind::Basic)
}

impl Engine {
    /// The mapping of a port of an address that is translated whole.
    pub(crate) fn mapping_of_whole(&self, port: Port) -> Option<u32> {
        let internal = Endpoint::new(self.basic.owner(port.address)?, port.port);
        self.find_mapping(self.mapping_key(port.protocol, internal, internal))
    }

    /// The whole address that somebody inside has now.
    pub(crate) fn whole_of(&self, internal: Ipv4Addr) -> Option<Ipv4Addr> {
        if !self.basic.serves(internal) {
            return None;
        }
        let has = || Some(self.subscribers.get(self.find_subscriber(internal.to_bits())?).external);
        let address = self.basic.fixed.get(&internal.to_bits()).copied().or_else(has)?;
        Some(self.pool.endpoint(Port { address, protocol: Protocol::Icmp, port: 0 }).address)
    }

    /// Whose a port without a mapping is, if strangers may reach it: of an address that is translated
    /// whole, every one.
    pub(crate) fn basic_target(&self, port: Port) -> Option<Endpoint> {
        if !self.basic.is(port.address) {
            return None;
        }
        let open = self.filter_for(port.protocol, port.port) == Behaviour::EndpointIndependent;
        let owner = self.basic.owner(port.address)?;
        open.then(|| Endpoint::new(owner, port.port))
    }

    /// Whether packets of protocols without ports pass between these: by address, where that is
    /// translated whole (B6).
    pub(crate) fn passes_other(&self, arrival: Arrival, source: Ipv4Addr, destination: Ipv4Addr) -> bool {
        match arrival.realm() {
            Realm::Inside => self.basic.serves(source),
            Realm::Outside => {
                matches!(self.pool.owner(destination), Some(Owner::Here(address)) if self.basic.is(address))
            }
        }
    }

    /// A packet from outside to a port of `internal` that has no mapping yet.
    pub(crate) fn open_inbound_basic(
        &mut self,
        arrival: Arrival,
        (protocol, internal): (Protocol, Endpoint),
        remote: Endpoint,
        brief: &Brief,
        fit: Fit,
    ) -> Result<Decision, Refusal> {
        let mapping = self.plan_mapping(protocol, internal, remote, 1)?;
        self.check_reached(mapping)?;
        let hairpin = arrival == Arrival::Hairpin;
        let new = self.new_session(protocol, internal, mapping, remote, OpenedFrom::Outside, hairpin);
        self.check_room(core::slice::from_ref(&new))?;
        let index = self.commit(mapping, new, brief)?;
        self.mark_control(index);
        let rewrite = self.sessions.lines()[index as usize].rewrite(Realm::Outside);
        Ok(Decision { route: Route::To(Realm::Inside), rewrite, fit })
    }
}
