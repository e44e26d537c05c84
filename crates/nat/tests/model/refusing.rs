//! What may refuse a packet: addresses, hops and size, limits, ports. Nothing here changes anything.

use std::collections::BTreeSet;
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
        self.given = None;
        let address = self.whose(internal);
        if let Some(id) = self.mapping_for(protocol, internal, remote) {
            self.may_open(address, false, protocol, 1)?;
            return Ok(id);
        }
        if self.is_basic(internal.address) {
            return self.plan_whole(protocol, internal, 1);
        }
        if !self.subscribers.contains_key(&address)
            && self.subscribers.len() >= self.config.limits.subscribers as usize
        {
            return Err(Refusal::Limit(Limit::Subscribers));
        }
        self.may_open(address, true, protocol, 1)?;
        let free = |external| self.has_available(protocol, (address, external), remote.address);
        // RFC 4787 REQ-2, RFC 7857 4: all of a subscriber's mappings have one external address.
        let paired = self.home_of(protocol, address);
        let ours: Vec<_> = self.homes(address).into_iter().filter(|home| self.is_ours(*home)).collect();
        let any = || ours.iter().any(|home| self.has_free(protocol, (address, *home)));
        let shared = self.config.mapping.port_overlap && !ours.is_empty();
        if paired.is_none() && !any() && !shared {
            return Err(Refusal::Limit(Limit::PortsExhausted));
        }
        if self.mappings.len() >= self.config.limits.mappings as usize {
            return Err(Refusal::Limit(Limit::Mappings));
        }
        if let Some(external) = self.kept_together(protocol, internal, self.masked(internal, remote)) {
            let mapping = MappingId { protocol, internal, external, remote: self.masked(internal, remote) };
            self.given = Some(mapping);
            return Ok(mapping);
        }
        // If the engine has refused this packet, the choice is that for a later one of the batch.
        let depends_on = self.masked(internal, remote);
        let is_it =
            |id: &&MappingId| id.protocol == protocol && id.internal == internal && id.remote == depends_on;
        let told = self.choices.iter().find(is_it).filter(|_| self.refused.is_none()).copied();
        // It may have looked at an address that has none which is free for both protocols, or for this
        // remote; and taken that of a session in TIME-WAIT.
        let overlap = self.config.mapping.port_overlap;
        let none_here =
            |home: &Ipv4Addr| (self.has_free(protocol, (address, *home)) || overlap) && !free(*home);
        let says_so = [Reason::PortsExhausted, Reason::TimeWaitSyn].map(Some).contains(&self.refused)
            || told.is_some_and(|id| !self.is_available(protocol, id.external, remote.address));
        let believed =
            paired.is_none() && (ours.iter().all(none_here) || says_so && ours.iter().any(none_here));
        if let Some(external) = paired.filter(|external| !free(*external)) {
            return Err(Refusal::Limit(self.why_none(address, protocol, external)));
        }
        if believed {
            return Err(Refusal::Limit(Limit::PortsExhausted));
        }
        Ok(told.unwrap_or_else(|| {
            // Unless something else refuses the packet behind this, it was refused for no reason.
            let some = ours.iter().copied().find(|home| free(*home));
            let external = paired.or(some).unwrap_or(Ipv4Addr::UNSPECIFIED);
            MappingId { protocol, internal, external: Endpoint::new(external, 0), remote: depends_on }
        }))
    }

    pub(crate) fn is_ours(&self, address: Ipv4Addr) -> bool {
        self.owner(address) == Some(self.config.shard.index)
    }

    /// Whether the engine was free to choose this external endpoint.
    pub(crate) fn check_choice(&self, id: MappingId) -> Result<(), String> {
        let MappingId { protocol, internal, external, .. } = id;
        if self.is_basic(internal.address) {
            let home = self.whole_for(internal.address);
            let fits =
                home == Some(external.address) && external.port == internal.port && id.remote.is_none();
            return if fits { Ok(()) } else { Err(format!("{id:?}, though {home:?} is whole its own")) };
        }
        let subscriber = self.whose(internal);
        let paired = self.home_of(protocol, subscriber);
        if let Some(address) = paired.filter(|address| *address != external.address) {
            return Err(format!("{external} for {internal}, which is paired with {address}"));
        }
        if paired.is_none() && !self.homes(subscriber).contains(&external.address) {
            return Err(format!("{external} for {internal}, whose pool is another"));
        }
        let own = Endpoint::new(external.address, internal.port);
        if let Some(remote) = id.remote.filter(|_| self.config.mapping.port_overlap) {
            let may_own = self.config.ports.preserve && self.is_available(protocol, own, remote.address);
            let some_free = self.has_free(protocol, (subscriber, external.address));
            if may_own && external == own {
                return Ok(());
            }
            if !may_own && !some_free && self.is_available(protocol, external, remote.address) {
                return Ok(());
            }
            if may_own {
                return Err(format!("{protocol} {external} for {internal}: its own port may be had"));
            }
        }
        if !self.is_free(protocol, external) {
            return Err(format!("{protocol} {external} for {internal}: taken, held, or no port of the pool"));
        }
        // Its own port may be anywhere in what it has; a new one is where they come from.
        let all = match self.scopes(subscriber, protocol, external.address) {
            Some([own, ..]) => own,
            None => self.ports_for(subscriber, protocol, external.address),
        };
        let own_is_free = self.is_free(protocol, own) && all.iter().any(|range| range.contains(&own.port));
        if self.config.ports.preserve && own_is_free && external == own {
            return Ok(());
        }
        let scopes = self.next_scopes(subscriber, protocol, external.address);
        let Some(scope) = scopes.iter().find(|range| range.contains(&external.port)) else {
            return Err(format!("{protocol} {external} for {internal}: it must be in one of {scopes:?}"));
        };
        if self.config.ports.preserve && own_is_free && external != own {
            return Err(format!("{protocol} {external} for {internal}: its own port is free"));
        }
        self.check_kind(protocol, internal, external, scope)
    }

    /// The ports of `address` that are this shard's to give out. Of queries any identifier is as
    /// good as another (RFC 5508 3).
    pub(crate) fn ports(&self, protocol: Protocol, address: Ipv4Addr) -> Option<RangeInclusive<u16>> {
        let has = |pool: &&Pool| pool.addresses.iter().any(|range| range.contains(&address));
        let pool = self.config.pools.iter().find(has)?;
        let ours = self.owner(address) == Some(self.config.shard.index);
        ours.then(|| if protocol == Protocol::Icmp { 0..=u16::MAX } else { pool.ports.clone() })
    }

    /// Ports that are taken or held, of both protocols where they have their ports together.
    pub(crate) fn used(&self, protocol: Protocol, address: Ipv4Addr) -> BTreeSet<u16> {
        let both = |of: Protocol| of == protocol || self.go_together(of, protocol);
        let mapped = self.mappings.iter().map(|id| (id.protocol, id.external));
        let held = self.held.iter().filter(|(until, ..)| *until > self.tick).map(|&(_, of, at)| (of, at));
        let all = mapped.chain(held).filter(|(of, _)| both(*of));
        all.filter(|(_, at)| at.address == address).map(|(_, at)| at.port).collect()
    }

    /// Whether the ports of these are given out together (N14).
    pub(crate) fn go_together(&self, one: Protocol, other: Protocol) -> bool {
        self.config.mapping.protocol_independent && ![one, other].contains(&Protocol::Icmp)
    }

    /// Whether `address` has a free port for subscriber `of`.
    pub(crate) fn has_free(&self, protocol: Protocol, (of, address): (Ipv4Addr, Ipv4Addr)) -> bool {
        self.free_ports(protocol, (of, address)) > 0
    }

    /// The external endpoint that is kept for `internal` because the other protocol has it.
    pub(crate) fn kept_together(
        &self,
        protocol: Protocol,
        internal: Endpoint,
        remote: Option<Endpoint>,
    ) -> Option<Endpoint> {
        let other = if protocol == Protocol::Tcp { Protocol::Udp } else { Protocol::Tcp };
        if !self.go_together(protocol, other) {
            return None;
        }
        let twin = [None, remote].into_iter().find_map(|remote| {
            let is_it =
                |id: &&MappingId| id.protocol == other && id.internal == internal && id.remote == remote;
            self.mappings.iter().find(is_it)
        })?;
        self.mapping_at(protocol, twin.external).is_none().then_some(twin.external)
    }

    pub(crate) fn is_free(&self, protocol: Protocol, external: Endpoint) -> bool {
        self.ports(protocol, external.address).is_some_and(|ports| ports.contains(&external.port))
            && !self.used(protocol, external.address).contains(&external.port)
    }

    /// How many ports of `address` are free for subscriber `of`.
    fn free_ports(&self, protocol: Protocol, (of, address): (Ipv4Addr, Ipv4Addr)) -> usize {
        let all = self.ports_for(of, protocol, address).into_iter();
        all.map(|ports| self.count_free(protocol, address, &ports)).sum()
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
        let of = |id: &MappingId| self.whose(id.internal) == address;
        let ports = self.mappings.iter().filter(|id| of(id) && id.protocol == protocol).count();
        let own = limits.ports_by_protocol.get(protocol as usize).copied().flatten();
        let most = limits.ports_per_subscriber.min(own.unwrap_or(u32::MAX));
        if port && ports as u64 >= u64::from(most) {
            return Err(Refusal::Limit(Limit::PortsPerSubscriber));
        }
        let has = self.sessions.iter().filter(|session| of(&session.id.mapping)).count() as u64;
        if has + sessions > u64::from(limits.sessions_per_subscriber) {
            return Err(Refusal::Limit(Limit::SessionsPerSubscriber));
        }
        // Two at once cost two, or all that can be saved.
        let rate = u64::from(limits.session_rate_per_subscriber);
        if rate > 0 && self.credit(address) < sessions.min(rate) * 10 {
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
