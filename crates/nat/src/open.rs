//! New sessions: who may open one, what it takes, and what it makes.
//!
//! Everything is asked first, in one order that tests and the model know: hops and size, filtering,
//! then the limits from the subscriber's own to the engine's. Only then anything is written.

use core::net::Ipv4Addr;
use core::slice::from_ref;

use rules::address::is_martian;
use wire::Packet as Parsed;

use crate::batch::{Arrival, Decision, Refusal, Route};
use crate::brief::Brief;
use crate::config::Pooling;
use crate::engine::Engine;
use crate::event::{EventKind, Limit, MappingId, OpenedFrom};
use crate::mapping::{Mapping, MappingKey};
use crate::pool::{Owner, Port};
use crate::session::{NewSession, PORT_TIMERS};
use crate::subscriber::Subscriber;
use crate::{Endpoint, Packet, Protocol, Realm, Reason};

#[cfg(test)]
mod tests;

/// The mapping that a new session will use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// One that there is.
    Existing(u32),
    /// One that is to be made.
    New { key: MappingKey, subscriber: Option<u32>, port: Port },
}

impl Engine {
    /// A packet without a session.
    #[cold]
    #[inline(never)]
    pub(crate) fn open(
        &mut self,
        arrival: Arrival,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Decision, Refusal> {
        let (protocol, source, destination) = brief.flow.ends().ok_or(Reason::Protocol)?;
        self.check_addresses(arrival, source, destination)?;
        if !self.bypass.is_empty()
            && let Some(decision) = self.decide_bypass(arrival, source, destination, packet, brief)?
        {
            return Ok(decision);
        }
        if let Err(reason) = check_opens(brief) {
            self.answer_fin(arrival, packet, brief);
            return Err(reason.into());
        }
        match arrival.realm() {
            Realm::Inside => {
                self.undrawn = None;
                let outcome = self.open_outbound(protocol, source, destination, packet, brief);
                if outcome.is_err()
                    && let Some(undrawn) = self.undrawn.take()
                {
                    // A refusal draws nothing: which port comes next does not depend on what was refused.
                    self.selector = undrawn;
                }
                outcome
            }
            Realm::Outside => self.open_inbound(arrival, protocol, source, destination, packet, brief),
        }
    }

    /// Addresses that no packet may open a session with.
    pub(crate) fn check_addresses(
        &self,
        arrival: Arrival,
        source: Endpoint,
        destination: Endpoint,
    ) -> Result<(), Reason> {
        if is_martian(source.address) || is_martian(destination.address) {
            return Err(Reason::Martian);
        }
        if source == destination {
            return Err(Reason::SourceIsDestination);
        }
        match arrival {
            Arrival::From(Realm::Inside) if !self.inside.contain(source.address) => {
                Err(Reason::SourceNotInside)
            }
            Arrival::From(Realm::Inside) if self.inside.contain(destination.address) => {
                Err(Reason::DestinationInside)
            }
            Arrival::From(Realm::Outside)
                if self.inside.contain(source.address) || self.pool.owner(source.address).is_some() =>
            {
                Err(Reason::SpoofedInside)
            }
            _ => Ok(()),
        }
    }

    /// The same for a fragment without ports, which may wait only if the whole could pass: a source and
    /// a destination of one address stand for one endpoint.
    pub(crate) fn check_later_addresses(&self, arrival: Arrival, parsed: &Parsed) -> Result<(), Reason> {
        let (source, destination) = (Endpoint::new(parsed.source, 0), Endpoint::new(parsed.destination, 0));
        self.check_addresses(arrival, source, destination)?;
        match arrival.realm() {
            Realm::Inside => Ok(()),
            Realm::Outside => self.own_external(parsed.destination).map(drop),
        }
    }

    /// The number of an external address of this shard.
    fn own_external(&self, address: Ipv4Addr) -> Result<u32, Reason> {
        match self.pool.owner(address) {
            Some(Owner::Here(address)) => Ok(address),
            Some(Owner::Shard(_)) => Err(Reason::WrongShard),
            None => Err(Reason::NotExternal),
        }
    }

    fn open_outbound(
        &mut self,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Decision, Refusal> {
        let target = self.pool.owner(remote.address);
        let to = if target.is_some() { Realm::Inside } else { Realm::Outside };
        let fit = self.fit(Arrival::From(Realm::Inside), packet, brief, to)?;
        if let Some(Owner::Here(address)) = target {
            return self.open_hairpin(protocol, internal, remote, address, brief, fit);
        }
        let (mapping, victim) = match self.plan_mapping(protocol, internal, remote, 1) {
            Ok(mapping) => (mapping, None),
            Err(refusal) if target.is_some() => return Err(refusal),
            Err(refusal) => {
                let (mapping, victim) = self.plan_reuse(protocol, internal, remote, refusal)?;
                (mapping, Some(victim))
            }
        };
        let new = self.new_session(protocol, internal, mapping, remote, OpenedFrom::Inside, target.is_some());
        self.check_room(from_ref(&new))?;
        let shift = self.plan_shift(&new, victim, packet, brief)?;
        if let Some(victim) = victim {
            self.vacate(victim, mapping);
        }
        let index = self.commit(mapping, new, brief)?;
        self.set_shift(index, shift);
        self.mark_control(index);
        let rewrite = self.sessions.lines()[index as usize].rewrite(Realm::Inside);
        let route = match target {
            Some(Owner::Shard(shard)) => Route::Shard(shard),
            _ => Route::To(Realm::Outside),
        };
        Ok(Decision { route, rewrite, fit })
    }

    fn open_inbound(
        &mut self,
        arrival: Arrival,
        protocol: Protocol,
        remote: Endpoint,
        external: Endpoint,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Decision, Refusal> {
        let address = self.own_external(external.address)?;
        let fit = self.fit(arrival, packet, brief, Realm::Inside)?;
        let port = Port { address, protocol, port: external.port };
        let mapping = match self.plan_stranger(port, remote) {
            Ok(mapping) => mapping,
            Err(refusal) => {
                if let Some(internal) =
                    self.basic_target(port).filter(|_| self.mapping_at(port, remote.address).is_none())
                {
                    return self.open_inbound_basic(arrival, (protocol, internal), remote, brief, fit);
                }
                if matches!(refusal, Refusal::Reason(Reason::NoMapping | Reason::Filtered)) {
                    self.note_unsolicited(arrival, packet, brief, remote, external);
                }
                return Err(refusal);
            }
        };
        let hairpin = arrival == Arrival::Hairpin;
        let new = match mapping {
            Use::Existing(mapping) => self.inbound_session(mapping, remote, hairpin),
            Use::New { key, .. } => {
                self.new_session(protocol, key.internal, mapping, remote, OpenedFrom::Outside, hairpin)
            }
        };
        self.check_tuple(&new)?;
        self.check_room(from_ref(&new))?;
        let index = self.commit(mapping, new, brief)?;
        self.mark_control(index);
        let rewrite = self.sessions.lines()[index as usize].rewrite(Realm::Outside);
        Ok(Decision { route: Route::To(Realm::Inside), rewrite, fit })
    }

    /// The session of a packet from `remote` to the external endpoint of `mapping`.
    pub(crate) fn inbound_session(&self, mapping: u32, remote: Endpoint, hairpin: bool) -> NewSession {
        let line = self.mappings.get(mapping);
        NewSession {
            protocol: line.protocol(),
            internal: line.internal(),
            external: line.external(),
            remote,
            opened_from: OpenedFrom::Outside,
            hairpin,
            mapping,
            subscriber: line.subscriber,
            now: self.tick,
            hashes: [0; 2],
        }
        .hashed(self.key)
    }

    /// Whether the owner of `mapping` may have so many more sessions.
    pub(crate) fn check_inbound(&self, mapping: u32, sessions: u32) -> Result<(), Limit> {
        let line = self.mappings.get(mapping);
        let subscriber = self.subscribers.get(line.subscriber);
        subscriber.may_open(line.protocol(), false, sessions, &self.config.limits, self.tick)?;
        self.check_inbound_limits(line, subscriber)
    }

    /// The mapping of `internal`: the one that there is, or what a new one will be. Checks the
    /// subscriber's limits for that and for `sessions` more sessions.
    pub(crate) fn plan_mapping(
        &mut self,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
        sessions: u32,
    ) -> Result<Use, Refusal> {
        let (limits, tick) = (&self.config.limits, self.tick);
        // With a mapping or without, there is no session for whom this refuses. It is asked first, so that a flood of
        // one that is at its limit waits for no memory but its own line.
        if let Some(index) = self.find_subscriber(self.subscriber_of(internal.address))
            && let Err(limit @ (Limit::SessionsPerSubscriber | Limit::SessionRate)) =
                self.subscribers.get(index).may_open(protocol, true, sessions, limits, tick)
        {
            return Err(limit.into());
        }
        let key = self.mapping_key(protocol, internal, remote);
        if let Some(mapping) = self.mapping_for(key) {
            let subscriber = self.subscribers.get(self.mappings.get(mapping).subscriber);
            subscriber.may_open(protocol, false, sessions, limits, tick)?;
            return Ok(Use::Existing(mapping));
        }
        let (subscriber, external) = self.plan_home(protocol, internal, sessions)?;
        if !self.mappings.has_room(1) || !self.endpoints.has_room(self.key.mapping(key)) {
            return Err(Limit::Mappings.into());
        }
        if self.basic.is(external) {
            let port = Port { address: external, protocol, port: internal.port };
            return Ok(Use::New { key, subscriber, port });
        }
        let port = match self.port_kept_for(key) {
            Some(port) => port,
            None => self.choose_port(external, protocol, internal, remote)?,
        };
        if !self.has_share(port, remote.address) {
            return Err(Limit::Mappings.into());
        }
        Ok(Use::New { key, subscriber, port })
    }

    /// The subscriber at `address`, if it is one, and the external address for one more port of its.
    pub(crate) fn plan_home(
        &self,
        protocol: Protocol,
        internal: Endpoint,
        sessions: u32,
    ) -> Result<(Option<u32>, u32), Limit> {
        let (limits, tick) = (&self.config.limits, self.tick);
        let address = self.subscriber_of(internal.address);
        let hash = self.key.address(address);
        let subscriber = self.find_subscriber(address);
        if let Some(index) = subscriber {
            let line = self.subscribers.get(index);
            line.may_open(protocol, true, sessions, limits, tick)?;
            let external = self.home_of(line.external, protocol, internal, address);
            if protocol == Protocol::Other && !self.basic.is(external) {
                return Err(Limit::PortsExhausted);
            }
            return Ok((subscriber, external));
        }
        if !self.subscribers.has_room(1) || !self.hosts.has_room(hash) {
            return Err(Limit::Subscribers);
        }
        Subscriber::new(address, 0, limits, tick).may_open(protocol, true, sessions, limits, tick)?;
        if let Some(whole) = self.basic.address_for(Ipv4Addr::from_bits(address), tick)? {
            return Ok((None, whole));
        }
        if protocol == Protocol::Other {
            return Err(Limit::PortsExhausted);
        }
        let of = Ipv4Addr::from_bits(address);
        let drawn = || self.shares.are_on().then(|| self.pool.draw_address(hash, of)).flatten();
        let external = self.pool.choose_address(protocol, hash, of).or_else(drawn);
        Ok((None, external.ok_or(Limit::PortsExhausted)?))
    }

    /// The address for one more port of a subscriber that has `external` (N9, RFC 7857 4): that one or none; or
    /// another one when it is full; or any.
    fn home_of(&self, external: u32, protocol: Protocol, internal: Endpoint, subscriber: u32) -> u32 {
        // Who has a whole address needs no other; and what has no ports has none to be counted.
        if self.basic.is(external) || protocol == Protocol::Other {
            return external;
        }
        let of = Ipv4Addr::from_bits(subscriber);
        let hash = match self.pool.pooling(external) {
            Pooling::Paired => return external,
            Pooling::PairedSoft if self.pool.has_port(external, protocol) => return external,
            Pooling::PairedSoft => self.key.address(subscriber),
            Pooling::Arbitrary => self.key.mapping(MappingKey::independent(protocol, internal)),
        };
        self.pool.choose_address(protocol, hash, of).unwrap_or(external)
    }

    /// The port that the same endpoint's mapping for the other of TCP and UDP has kept (N14).
    pub(crate) fn port_kept_for(&self, key: MappingKey) -> Option<Port> {
        self.config.mapping.protocol_independent.then_some(())?;
        let own = Port { address: 0, protocol: key.protocol, port: 0 };
        let protocol = own.in_other_protocol()?.protocol;
        let other = self.mappings.get(self.mapping_for(MappingKey { protocol, ..key })?);
        let port = Port { address: other.address(), port: other.external().port, ..own };
        self.pool.mapping(port).is_none().then_some(port)
    }

    /// The internal port's number where that is free and to be kept, else another one (N16).
    fn choose_port(
        &mut self,
        address: u32,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
    ) -> Result<Port, Limit> {
        let subscriber = self.subscriber_of(internal.address);
        if self.config.ports.preserve
            && let Some(port) = self.pool.same_port(address, protocol, internal.port, subscriber)
        {
            return Ok(port);
        }
        if self.shares.are_on() && self.config.ports.preserve {
            let port = Port { address, protocol, port: internal.port };
            if self.may_take(port, remote.address) {
                return Ok(port);
            }
        }
        self.undrawn = Some(self.selector.clone());
        let free = self.pool.choose_port(address, protocol, internal, subscriber, &mut self.selector);
        free.or_else(|| self.choose_shared(address, protocol, internal, remote.address))
            .ok_or_else(|| self.pool.why_none(address, protocol, subscriber))
    }

    /// The mapping that a packet with this key uses. One that was asked for serves all remotes.
    pub(crate) fn mapping_for(&self, key: MappingKey) -> Option<u32> {
        if key.depends_on().is_some()
            && let Some(mapping) = self.find_mapping(MappingKey::independent(key.protocol, key.internal))
        {
            return Some(mapping);
        }
        self.find_mapping(key)
    }

    pub(crate) fn find_mapping(&self, key: MappingKey) -> Option<u32> {
        let lines = self.mappings.lines();
        self.endpoints.find(self.key.mapping(key), |index| lines[index as usize].is(key))
    }

    /// The external endpoint of a mapping that there is or will be.
    pub(crate) fn external_of(&self, mapping: Use) -> Endpoint {
        match mapping {
            Use::Existing(index) => self.mappings.get(index).external(),
            Use::New { port, .. } => self.pool.endpoint(port),
        }
    }

    /// A session of `internal`, not yet tied to a mapping that may still have to be made.
    pub(crate) fn new_session(
        &self,
        protocol: Protocol,
        internal: Endpoint,
        mapping: Use,
        remote: Endpoint,
        opened_from: OpenedFrom,
        hairpin: bool,
    ) -> NewSession {
        let external = self.external_of(mapping);
        let (mapping, subscriber) = (u32::MAX, u32::MAX);
        NewSession {
            protocol,
            internal,
            external,
            remote,
            opened_from,
            hairpin,
            mapping,
            subscriber,
            now: self.tick,
            hashes: [0; 2],
        }
        .hashed(self.key)
    }

    /// Whether the engine has lines and places for these sessions.
    pub(crate) fn check_room(&self, new: &[NewSession]) -> Result<(), Limit> {
        let places = new.iter().flat_map(|new| &new.hashes).all(|&hash| self.flows.has_room(hash));
        if places && self.sessions.has_room(new.len() as u32) { Ok(()) } else { Err(Limit::Sessions) }
    }

    /// Makes the session, and its mapping and subscriber where they are new.
    pub(crate) fn commit(
        &mut self,
        mapping: Use,
        mut new: NewSession,
        brief: &Brief,
    ) -> Result<u32, Refusal> {
        let mapping = match mapping {
            Use::Existing(index) => index,
            Use::New { key, subscriber, port } => {
                self.create_mapping(key, subscriber, port).ok_or(Limit::Mappings)?
            }
        };
        new.mapping = mapping;
        new.subscriber = self.mappings.get(mapping).subscriber;
        let session = self.create_session(&new, brief);
        if session.is_none() {
            // Both tuples wanted the last place of one bucket: nothing may stay behind.
            self.delete_unused_mapping(mapping, self.tick);
        }
        session.ok_or(Refusal::Limit(Limit::Sessions))
    }

    /// `None`: there was no place, and nothing stays behind. Each was asked for, but two mappings at once may
    /// want the last one of a bucket.
    pub(crate) fn create_mapping(&mut self, key: MappingKey, known: Option<u32>, port: Port) -> Option<u32> {
        let MappingKey { protocol, internal, .. } = key;
        let address = self.subscriber_of(internal.address);
        let subscriber = match known {
            Some(index) => index,
            None => self.create_subscriber(address, port.address)?,
        };
        let id =
            MappingId { protocol, internal, external: self.pool.endpoint(port), remote: key.depends_on() };
        let line = Mapping::new(key, id.external, subscriber, port.address);
        let Some(index) = self.file_mapping(line, port) else {
            if known.is_none() {
                self.hosts.remove(self.key.address(address), subscriber);
                self.subscribers.remove(subscriber);
            }
            return None;
        };
        match known {
            Some(_) if self.pool.pooling(port.address) == Pooling::PairedSoft => {
                self.subscribers.get_mut(subscriber).external = port.address;
            }
            Some(_) => {}
            None => self.basic.claim(port.address, address),
        }
        self.tell_blocks(self.tick);
        self.subscribers.get_mut(subscriber).take_port(protocol);
        self.output.event(self.tick, EventKind::MappingCreated(id));
        Some(index)
    }

    fn create_subscriber(&mut self, address: u32, external: u32) -> Option<u32> {
        let line = Subscriber::new(address, external, &self.config.limits, self.tick);
        let index = self.subscribers.insert(line)?;
        if self.hosts.insert(self.key.address(address), index).is_err() {
            self.subscribers.remove(index);
            return None;
        }
        Some(index)
    }

    /// Puts a mapping where it is found, from inside and from outside.
    fn file_mapping(&mut self, line: Mapping, port: Port) -> Option<u32> {
        let hash = self.key.mapping(line.key());
        let index = self.mappings.insert(line)?;
        if self.endpoints.insert(hash, index).is_err() {
            self.mappings.remove(index);
            return None;
        }
        if !self.take_port(port, index) {
            self.endpoints.remove(hash, index);
            self.mappings.remove(index);
            return None;
        }
        Some(index)
    }

    fn create_session(&mut self, new: &NewSession, brief: &Brief) -> Option<u32> {
        let index = self.sessions.insert(new)?;
        if let Some(timer) = self.port_timer(new) {
            self.sessions.lines_mut()[index as usize].set_timer(timer);
        }
        let [inside, outside] = new.hashes;
        if self.flows.insert(inside, index).is_err() {
            self.sessions.remove(index);
            return None;
        }
        if self.flows.insert(outside, index).is_err() {
            self.flows.remove(inside, index);
            self.sessions.remove(index);
            return None;
        }
        self.scrub.forget(index);
        self.forgive_unsolicited(new.protocol, new.remote, new.external);
        let mapping = self.mappings.get_mut(new.mapping);
        mapping.sessions += 1;
        let mapping = mapping.id();
        self.subscribers.get_mut(new.subscriber).open_session(&self.config.limits, self.tick);
        if new.opened_from == OpenedFrom::Outside {
            self.subscribers.get_mut(new.subscriber).pay_inbound(&self.config.limits, self.tick);
        }
        let (session, ties) = (self.sessions.lines()[index as usize], self.sessions.ties()[index as usize]);
        self.note_opening(&session, ties);
        self.output.event(self.tick, EventKind::SessionCreated(session.id(mapping)));
        let deadline = session.deadline(&self.timers);
        self.wheel.file(self.sessions.ties_mut(), index, deadline);
        let realm = match new.opened_from {
            OpenedFrom::Inside => Realm::Inside,
            OpenedFrom::Outside => Realm::Outside,
        };
        if new.protocol == Protocol::Tcp {
            self.touch(index, realm, brief);
        }
        Some(index)
    }
}

impl Engine {
    /// The timer of a UDP session that its subscriber opened to a port with one of its own (RFC 4787
    /// REQ-5a). Where the outside opened it, the port is what the remote chose and says nothing.
    fn port_timer(&self, new: &NewSession) -> Option<u8> {
        if new.protocol != Protocol::Udp || new.opened_from != OpenedFrom::Inside {
            return None;
        }
        let place = self.config.udp.port_timeouts.iter().position(|&(port, _)| port == new.remote.port)?;
        Some(PORT_TIMERS + place as u8)
    }
}

/// Only a SYN opens a TCP session, and only a query an ICMP session (N10).
pub(crate) fn check_opens(brief: &Brief) -> Result<(), Reason> {
    let is_tcp = brief.has_ports && !brief.is_udp;
    if is_tcp && !brief.opens_tcp() {
        return Err(Reason::NotSyn);
    }
    if brief.is_reply { Err(Reason::NotQuery) } else { Ok(()) }
}
