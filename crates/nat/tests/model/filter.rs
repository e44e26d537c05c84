//! What a mapping depends on, and who may use it from outside (RFC 4787 4.1 and 5; N8, N10, N11).

use std::net::Ipv4Addr;

use hairpin_nat::config::Behaviour;
use hairpin_nat::event::{Limit, MappingId, OpenedFrom, SessionId};
use hairpin_nat::{Endpoint, Protocol, Reason};

use crate::nat::{Model, Refusal};

impl Model {
    /// What of a remote endpoint the mappings of `internal` depend on.
    pub(crate) fn masked(&self, internal: Endpoint, remote: Endpoint) -> Option<Endpoint> {
        match self.config.mapping.behaviour {
            // A whole address has one mapping for each port.
            _ if self.is_basic(internal.address) => None,
            Behaviour::EndpointIndependent => None,
            Behaviour::AddressDependent => Some(Endpoint::new(remote.address, 0)),
            Behaviour::AddressAndPortDependent => Some(remote),
        }
    }

    /// The mapping that `internal` has for `remote`.
    pub(crate) fn mapping_for(
        &self,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
    ) -> Option<MappingId> {
        let remote = self.masked(internal, remote);
        // One that was asked for serves all remotes.
        [None, remote].into_iter().find_map(|remote| {
            let is_it =
                |id: &&MappingId| id.protocol == protocol && id.internal == internal && id.remote == remote;
            self.mappings.iter().find(is_it).copied()
        })
    }

    /// The mapping that `remote` reaches at `external`; if it has no session, whether it may.
    pub(crate) fn plan_inbound(
        &mut self,
        protocol: Protocol,
        external: Endpoint,
        remote: Endpoint,
        is_new: bool,
    ) -> Result<MappingId, Refusal> {
        let refusal = match self.plan_stranger(protocol, external, remote, is_new) {
            Ok(mapping) => return Ok(mapping),
            Err(refusal) => refusal,
        };
        if self.mapping_at(protocol, external).is_some() {
            return Err(refusal);
        }
        let target = self.whole_target(protocol, external).ok_or(refusal)?;
        let mapping = self.plan_whole(protocol, target.internal, 1)?;
        self.of_subscriber_may_be_reached(mapping.internal.address)?;
        Ok(mapping)
    }

    fn plan_stranger(
        &mut self,
        protocol: Protocol,
        external: Endpoint,
        remote: Endpoint,
        is_new: bool,
    ) -> Result<MappingId, Refusal> {
        self.given = None;
        if let Some(mapping) = self.reached_by(protocol, external, remote.address) {
            if is_new {
                self.admit(mapping, remote)?;
                self.may_open(self.whose(mapping.internal), false, protocol, 1)?;
                self.may_be_reached(mapping)?;
            }
            return Ok(mapping);
        }
        // Update-01 6: TCP's mapping is good for UDP and the other way round.
        let other = match protocol {
            Protocol::Tcp => Protocol::Udp,
            Protocol::Udp => Protocol::Tcp,
            Protocol::Icmp | Protocol::Other => return Err(Reason::NoMapping.into()),
        };
        let twin = || self.reached_by(other, external, remote.address);
        let twin = self.config.filtering.protocol_independent.then(twin);
        let twin = twin.flatten().ok_or(Reason::NoMapping)?;
        self.admit(twin, remote)?;
        let remote_of = self.masked(twin.internal, remote);
        let mapping = MappingId { protocol, internal: twin.internal, external, remote: remote_of };
        let free = self.go_together(protocol, other)
            || self.is_whole(external.address)
            || self.is_available(protocol, external, remote.address);
        if self.mapping_for(protocol, twin.internal, remote).is_some() || !free {
            return Err(Reason::NoMapping.into());
        }
        self.may_open(self.whose(twin.internal), true, protocol, 1)?;
        self.of_subscriber_may_be_reached(self.whose(twin.internal))?;
        if self.mappings.len() >= self.config.limits.mappings as usize {
            return Err(Refusal::Limit(Limit::Mappings));
        }
        self.given = Some(mapping);
        Ok(mapping)
    }

    /// The mapping that `remote` reaches at `external`: where ports overlap, the one for that address.
    pub(crate) fn reached_by(
        &self,
        protocol: Protocol,
        external: Endpoint,
        remote: Ipv4Addr,
    ) -> Option<MappingId> {
        let overlap = self.config.mapping.port_overlap;
        let is_it = |id: &&MappingId| {
            id.protocol == protocol
                && id.external == external
                && (!overlap || id.remote.is_none_or(|of| of.address == remote))
        };
        self.mappings.iter().find(is_it).copied()
    }

    /// The same, or the mapping that would be made.
    pub(crate) fn reached(
        &self,
        protocol: Protocol,
        external: Endpoint,
        remote: Ipv4Addr,
    ) -> Option<MappingId> {
        self.reached_by(protocol, external, remote).or_else(|| self.whole_target(protocol, external))
    }

    /// Whether a mapping for `remote` may have `external`: it is free, or others have it for other addresses.
    pub(crate) fn is_available(&self, protocol: Protocol, external: Endpoint, remote: Ipv4Addr) -> bool {
        let shared = self.config.mapping.port_overlap
            && self.mapping_at(protocol, external).is_some_and(|id| id.remote.is_some())
            && self.reached_by(protocol, external, remote).is_none();
        self.is_free(protocol, external) || shared
    }

    /// Whether `address` has a port like that for subscriber `of`.
    pub(crate) fn has_available(
        &self,
        protocol: Protocol,
        (of, address): (Ipv4Addr, Ipv4Addr),
        remote: Ipv4Addr,
    ) -> bool {
        let mut ends = self.mappings.iter().map(|id| id.external).filter(|end| end.address == address);
        self.has_free(protocol, (of, address))
            || self.config.mapping.port_overlap && ends.any(|end| self.is_available(protocol, end, remote))
    }

    /// Whether a stranger may use `mapping`.
    pub(crate) fn admit(&self, mapping: MappingId, remote: Endpoint) -> Result<(), Reason> {
        let written_to = |session: &SessionId| {
            session.mapping == mapping
                && session.opened_from == OpenedFrom::Inside
                && session.remote.address == remote.address
        };
        let may = match self.filter_of(mapping.protocol, mapping.internal.port) {
            _ if self.open.contains(&mapping) || self.expected.get(&mapping) == Some(&remote.address) => true,
            Behaviour::EndpointIndependent => true,
            Behaviour::AddressDependent => self.sessions.iter().any(|session| written_to(&session.id)),
            Behaviour::AddressAndPortDependent => false,
        };
        if may { Ok(()) } else { Err(Reason::Filtered) }
    }

    /// What the filter of an internal port depends on.
    pub(crate) fn filter_of(&self, protocol: Protocol, port: u16) -> Behaviour {
        let filtering = &self.config.filtering;
        let (behaviour, ports) = match protocol {
            Protocol::Tcp => (filtering.tcp, &filtering.tcp_ports[..]),
            Protocol::Udp => (filtering.udp, &filtering.udp_ports[..]),
            Protocol::Icmp => (filtering.udp, &[][..]),
            Protocol::Other => (Behaviour::EndpointIndependent, &[][..]),
        };
        let named = ports.iter().any(|range| range.contains(&port));
        // By application: only these, or these besides.
        match behaviour {
            Behaviour::EndpointIndependent if named || ports.is_empty() => behaviour,
            Behaviour::EndpointIndependent => Behaviour::AddressAndPortDependent,
            _ if named => Behaviour::EndpointIndependent,
            _ => behaviour,
        }
    }

    /// The limits of what the outside may open.
    pub(crate) fn may_be_reached(&self, mapping: MappingId) -> Result<(), Refusal> {
        self.has_inbound_room(mapping)?;
        self.of_subscriber_may_be_reached(self.whose(mapping.internal))
    }

    /// Whether the outside may have opened one more session over `mapping`.
    pub(crate) fn has_inbound_room(&self, mapping: MappingId) -> Result<(), Refusal> {
        let most = self.config.limits.inbound_sessions_per_mapping as usize;
        let inbound = |id: &SessionId| id.opened_from == OpenedFrom::Outside;
        let has = self.sessions.iter().filter(|s| inbound(&s.id) && s.id.mapping == mapping).count();
        if most > 0 && has >= most {
            return Err(Refusal::Limit(Limit::InboundPerMapping));
        }
        self.of_subscriber_has_inbound_room(self.whose(mapping.internal))
    }

    fn of_subscriber_has_inbound_room(&self, address: Ipv4Addr) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        let is_his = |id: &SessionId| {
            id.opened_from == OpenedFrom::Outside && self.whose(id.mapping.internal) == address
        };
        let has = self.sessions.iter().filter(|session| is_his(&session.id)).count();
        if limits.inbound_sessions_per_subscriber > 0
            && has >= limits.inbound_sessions_per_subscriber as usize
        {
            return Err(Refusal::Limit(Limit::InboundPerSubscriber));
        }
        Ok(())
    }

    pub(crate) fn of_subscriber_may_be_reached(&self, address: Ipv4Addr) -> Result<(), Refusal> {
        self.of_subscriber_has_inbound_room(address)?;
        let limits = &self.config.limits;
        if limits.inbound_rate_per_subscriber > 0 && self.inbound_credit(address) < 10 {
            return Err(Refusal::Limit(Limit::InboundRate));
        }
        Ok(())
    }

    /// Tenths of sessions that the outside may open to a subscriber now.
    pub(crate) fn inbound_credit(&self, address: Ipv4Addr) -> u64 {
        let rate = u64::from(self.config.limits.inbound_rate_per_subscriber);
        match self.subscribers.get(&address) {
            Some(subscriber) => {
                let (credit, at) = subscriber.inbound_credit;
                (credit + (self.tick - at) * rate).min(rate * 10)
            }
            None => rate * 10,
        }
    }

    /// One internal endpoint has one session with a remote, whatever the mapping.
    pub(crate) fn check_tuple(&self, new: SessionId) -> Result<(), Reason> {
        let same = |id: &SessionId| {
            id.mapping.protocol == new.mapping.protocol
                && id.mapping.internal == new.mapping.internal
                && id.remote == new.remote
        };
        if self.sessions.iter().any(|session| same(&session.id)) { Err(Reason::Filtered) } else { Ok(()) }
    }
}
