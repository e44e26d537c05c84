//! What may refuse a packet: addresses, hops and size, limits, ports. Nothing here changes anything.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use hairpin_nat::config::Pool;
use hairpin_nat::event::{Limit, MappingId};
use hairpin_nat::{Endpoint, Offload, Protocol, Realm, Reason};
use wire::Packet as Parsed;

use crate::nat::{Arrival, Model, Refusal, Subscriber, headers, is_martian};

impl Model {
    pub(crate) fn check_addresses(
        &self,
        parsed: &Parsed,
        from: Arrival,
        source: Endpoint,
        destination: Endpoint,
    ) -> Result<(), Reason> {
        let inside = |address| self.config.inside.iter().any(|net| net.contains(&address));
        if is_martian(parsed.source) || is_martian(parsed.destination) {
            Err(Reason::Martian)
        } else if source == destination {
            Err(Reason::SourceIsDestination)
        } else if from == Arrival::Inside && !inside(parsed.source) {
            Err(Reason::SourceNotInside)
        } else if from == Arrival::Inside && inside(parsed.destination) {
            Err(Reason::DestinationInside)
        } else if self.is_spoofed(parsed.source, from) {
            Err(Reason::SpoofedInside)
        } else {
            Ok(())
        }
    }

    /// What comes from outside goes to an external address of this shard, or nowhere.
    pub(crate) fn check_own(&self, address: Ipv4Addr) -> Result<(), Reason> {
        match self.owner(address) {
            Some(shard) if shard == self.config.shard.index => Ok(()),
            Some(_) => Err(Reason::WrongShard),
            None => Err(Reason::NotExternal),
        }
    }

    /// From outside, with an address that nobody outside has.
    pub(crate) fn is_spoofed(&self, source: Ipv4Addr, from: Arrival) -> bool {
        let ours = self.config.inside.iter().any(|net| net.contains(&source)) || self.owner(source).is_some();
        from == Arrival::Outside && ours
    }

    /// Hops and size (B7): the MTU that it is to be cut to, if it is to be cut.
    pub(crate) fn fit(
        &self,
        parsed: &Parsed,
        offload: Offload,
        from: Arrival,
        to: Realm,
    ) -> Result<Option<u16>, Refusal> {
        if parsed.ttl <= from.age() {
            return Err(Reason::TtlExpired.into());
        }
        let mtu = if to == Realm::Inside { self.config.mtu.inside } else { self.config.mtu.outside };
        let headers = headers(parsed);
        // A super-segment is never sent itself, its segments are.
        let size = match offload.gso_size {
            0 => u32::from(parsed.total_len),
            segment => u32::from(parsed.total_len).min(headers + u32::from(segment)),
        };
        let can_be_cut = offload.gso_size == 0 || parsed.protocol == 6 && u32::from(mtu) > headers;
        if size <= u32::from(mtu) {
            Ok(None)
        } else if parsed.dont_fragment || !can_be_cut {
            Err(Refusal::TooBig(mtu))
        } else {
            Ok(Some(mtu))
        }
    }

    /// The mapping of `internal`: the one that there is, or one like the engine's new one. Whether
    /// the subscriber may have it, and a session of it.
    pub(crate) fn plan_mapping(
        &mut self,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
    ) -> Result<MappingId, Refusal> {
        let address = internal.address;
        if let Some(id) = self.mapping_for(protocol, internal, remote) {
            self.may_open(address, false, protocol, 1)?;
            return Ok(id);
        }
        if !self.subscribers.contains_key(&address)
            && self.subscribers.len() >= self.config.limits.subscribers as usize
        {
            return Err(Refusal::Limit(Limit::Subscribers));
        }
        self.may_open(address, true, protocol, 1)?;
        let free = |external| self.free_ports(protocol, external, 0..=u16::MAX) > 0;
        // RFC 4787 REQ-2, RFC 7857 4: all of a subscriber's mappings have one external address.
        let paired = self.subscribers.get(&address).map(|subscriber| subscriber.external);
        let any = || self.addresses().into_iter().any(free);
        if paired.is_none() && !any() {
            return Err(Refusal::Limit(Limit::PortsExhausted));
        }
        if self.mappings.len() >= self.config.limits.mappings as usize {
            return Err(Refusal::Limit(Limit::Mappings));
        }
        if paired.is_some_and(|external| !free(external)) {
            return Err(Refusal::Limit(Limit::PortsExhausted));
        }
        // If the engine has refused this packet, the choice is that for a later one of the batch.
        let told = self.choices.iter().find(|id| id.protocol == protocol && id.internal == internal);
        Ok(told.filter(|_| self.refused.is_none()).copied().unwrap_or_else(|| {
            // Unless something else refuses the packet behind this, it was refused for no reason.
            let some = self.addresses().into_iter().find(|address| free(*address));
            let external = paired.or(some).unwrap_or(Ipv4Addr::UNSPECIFIED);
            MappingId { protocol, internal, external: Endpoint::new(external, 0) }
        }))
    }

    /// Whether the engine was free to choose this external endpoint.
    pub(crate) fn check_choice(&self, id: MappingId) -> Result<(), String> {
        let MappingId { protocol, internal, external } = id;
        let paired = self.subscribers.get(&internal.address).map(|subscriber| subscriber.external);
        if let Some(address) = paired.filter(|address| *address != external.address) {
            return Err(format!("{external} for {internal}, which is paired with {address}"));
        }
        if !self.is_free(protocol, external) {
            return Err(format!("{protocol} {external} for {internal}: taken, held, or no port of the pool"));
        }
        let own = Endpoint::new(external.address, internal.port);
        if self.config.ports.preserve && self.is_free(protocol, own) && external != own {
            return Err(format!("{protocol} {external} for {internal}: its own port is free"));
        }
        // RFC 4787 REQ-3a. Identifiers have no such ranges.
        let same = if internal.port < 1024 { 0..=1023 } else { 1024..=u16::MAX };
        if protocol != Protocol::Icmp
            && !same.contains(&external.port)
            && self.free_ports(protocol, external.address, same) > 0
        {
            return Err(format!("{protocol} {external} for {internal}: one of the same range is free"));
        }
        Ok(())
    }

    /// The ports of `address` that are this shard's to give out. Of queries any identifier is as
    /// good as another (RFC 5508 3).
    pub(crate) fn ports(&self, protocol: Protocol, address: Ipv4Addr) -> Option<RangeInclusive<u16>> {
        let has = |pool: &&Pool| pool.addresses.iter().any(|range| range.contains(&address));
        let pool = self.config.pools.iter().find(has)?;
        let ours = self.owner(address) == Some(self.config.shard.index);
        ours.then(|| if protocol == Protocol::Icmp { 0..=u16::MAX } else { pool.ports.clone() })
    }

    /// Ports that are taken or held; none is twice in it.
    pub(crate) fn used(&self, protocol: Protocol, address: Ipv4Addr) -> impl Iterator<Item = u16> {
        let mapped = self.mappings.iter().map(|id| (id.protocol, id.external));
        let held = self.held.iter().filter(|(until, ..)| *until > self.tick).map(|&(_, of, at)| (of, at));
        let all = mapped.chain(held);
        all.filter(move |(of, at)| *of == protocol && at.address == address).map(|(_, at)| at.port)
    }

    pub(crate) fn is_free(&self, protocol: Protocol, external: Endpoint) -> bool {
        self.ports(protocol, external.address).is_some_and(|ports| ports.contains(&external.port))
            && !self.used(protocol, external.address).any(|port| port == external.port)
    }

    /// How many ports of `address` in `range` are free.
    pub(crate) fn free_ports(
        &self,
        protocol: Protocol,
        address: Ipv4Addr,
        range: RangeInclusive<u16>,
    ) -> usize {
        let Some(ports) = self.ports(protocol, address) else { return 0 };
        let (first, last) = (*ports.start().max(range.start()), *ports.end().min(range.end()));
        let range = first..=last;
        range.len() - self.used(protocol, address).filter(|port| range.contains(port)).count()
    }

    /// Whether a subscriber may open `sessions` more, on a new port if `port` (B10).
    pub(crate) fn may_open(
        &self,
        address: Ipv4Addr,
        port: bool,
        protocol: Protocol,
        sessions: u64,
    ) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        let of = |id: &MappingId| id.internal.address == address;
        let ports = self.mappings.iter().filter(|id| of(id) && id.protocol == protocol).count();
        if port && ports as u64 >= u64::from(limits.ports_per_subscriber) {
            return Err(Refusal::Limit(Limit::PortsPerSubscriber));
        }
        let has = self.sessions.iter().filter(|session| of(&session.id.mapping)).count() as u64;
        if has + sessions > u64::from(limits.sessions_per_subscriber) {
            return Err(Refusal::Limit(Limit::SessionsPerSubscriber));
        }
        if limits.session_rate_per_subscriber > 0 && self.credit(address) < sessions * 10 {
            return Err(Refusal::Limit(Limit::SessionRate));
        }
        Ok(())
    }

    /// Tenths of sessions that it may open now: it earns its rate, and saves a second's worth.
    pub(crate) fn credit(&self, address: Ipv4Addr) -> u64 {
        let rate = u64::from(self.config.limits.session_rate_per_subscriber);
        match self.subscribers.get(&address) {
            Some(&Subscriber { credit: (credit, at), .. }) => {
                (credit + (self.tick - at) * rate).min(rate * 10)
            }
            None => rate * 10,
        }
    }

    pub(crate) fn check_room(&self, sessions: usize) -> Result<(), Refusal> {
        if self.sessions.len() + sessions > self.config.limits.sessions as usize {
            return Err(Refusal::Limit(Limit::Sessions));
        }
        Ok(())
    }
}
