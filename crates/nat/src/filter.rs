//! Who may use a mapping from outside (RFC 4787 5, RFC 5382 REQ-3, N10, N11).
//!
//! Only packets without a session are asked: whoever the subscriber has written to from that endpoint has one. So
//! address-and-port-dependent filtering refuses all that come here, and address-dependent filtering has to know
//! one thing more, to which *addresses* a mapping has sessions that were opened from inside: [`Permits`].
//!
//! What is refused here has touched nothing, neither a timer nor a counter but one (N12).

use zerocopy::FromZeros;

use crate::batch::Refusal;
use crate::config::{Behaviour, Config};
use crate::engine::Engine;
use crate::event::{Limit, OpenedFrom};
use crate::free::FreeList;
use crate::mapping::{Mapping, MappingKey};
use crate::memory::Arena;
use crate::open::Use;
use crate::pool::Port;
use crate::session::{NewSession, Session, Ties};
use crate::subscriber::Subscriber;
use crate::table::Table;
use crate::{Endpoint, Protocol, Realm, Reason};

/// Remote addresses by mapping, counted.
#[derive(Debug)]
pub(crate) struct Permits(Option<Kept>);

#[derive(Debug)]
struct Kept {
    table: Table,
    lines: Arena<Permit>,
    free: FreeList,
}

/// A mapping has sessions, opened from inside, to a remote address.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C)]
struct Permit {
    mapping: u32,
    remote: u32,
    sessions: u32,
}

/// Whether some filter depends on addresses.
fn are_wanted(config: &Config) -> bool {
    [config.filtering.tcp, config.filtering.udp].contains(&Behaviour::AddressDependent)
}

impl Permits {
    /// With room for as many as there can be sessions.
    pub(crate) fn new(config: &Config) -> std::io::Result<Self> {
        let count = config.limits.sessions;
        if !are_wanted(config) {
            return Ok(Self(None));
        }
        let table = Table::new(count as usize)?;
        Ok(Self(Some(Kept { table, lines: Arena::cold(count as usize)?, free: FreeList::new(count)? })))
    }

    /// What they take.
    pub(crate) fn octets(config: &Config) -> u64 {
        let count = u64::from(config.limits.sessions);
        let line = (size_of::<Permit>() + size_of::<u32>()) as u64;
        if are_wanted(config) { Table::octets(count) + count * line } else { 0 }
    }

    fn add(&mut self, hash: u64, mapping: u32, remote: u32) {
        let Some(Kept { table, lines, free }) = &mut self.0 else { return };
        if let Some(index) = table.find(hash, |index| lines[index as usize].is(mapping, remote)) {
            lines[index as usize].sessions += 1;
            return;
        }
        // There is one for each session at most. A full bucket costs the stranger, not the subscriber.
        let Some(index) = free.take() else { return };
        lines[index as usize] = Permit { mapping, remote, sessions: 1 };
        if table.insert(hash, index).is_err() {
            free.give(index);
        }
    }

    fn remove(&mut self, hash: u64, mapping: u32, remote: u32) {
        let Some(Kept { table, lines, free }) = &mut self.0 else { return };
        let Some(index) = table.find(hash, |index| lines[index as usize].is(mapping, remote)) else { return };
        let line = &mut lines[index as usize];
        line.sessions -= 1;
        if line.sessions == 0 {
            table.remove(hash, index);
            free.give(index);
        }
    }

    fn contain(&self, hash: u64, mapping: u32, remote: u32) -> bool {
        let Some(Kept { table, lines, .. }) = &self.0 else { return false };
        table.find(hash, |index| lines[index as usize].is(mapping, remote)).is_some()
    }
}

impl Permit {
    fn is(&self, mapping: u32, remote: u32) -> bool {
        self.mapping == mapping && self.remote == remote
    }
}

impl Engine {
    /// The mapping for a stranger's packet to `port`: the one that there is; or, where filtering does not
    /// depend on the protocol, one like the one that the other of TCP and UDP has made (N11, update-01 6).
    /// Whether the stranger may open a session over it is asked as well.
    pub(crate) fn plan_stranger(&self, port: Port, remote: Endpoint) -> Result<Use, Refusal> {
        if let Some(mapping) = self.mapping_at(port, remote.address) {
            self.admit(mapping, remote)?;
            self.check_inbound(mapping, 1)?;
            return Ok(Use::Existing(mapping));
        }
        let twin = self.twin_of(port, remote).ok_or(Reason::NoMapping)?;
        self.admit(twin, remote)?;
        let line = self.mappings.get(twin);
        let key = self.mapping_key(port.protocol, line.internal(), remote);
        // Where both protocols have a port together, it is kept for this endpoint.
        // Of a whole address every port is its subscriber's.
        let may_take = self.config.mapping.protocol_independent
            || self.basic.is(port.address)
            || self.may_take(port, remote.address);
        if self.mapping_for(key).is_some() || !may_take {
            // That endpoint has another external one already, or the port rests.
            return Err(Reason::NoMapping.into());
        }
        let (limits, tick) = (&self.config.limits, self.tick);
        let subscriber = self.subscribers.get(line.subscriber);
        subscriber.may_open(port.protocol, true, 1, limits, tick)?;
        subscriber.may_be_reached(limits, tick)?;
        let share = self.has_share(port, remote.address);
        if !self.mappings.has_room(1) || !self.endpoints.has_room(self.key.mapping(key)) || !share {
            return Err(Limit::Mappings.into());
        }
        Ok(Use::New { key, subscriber: Some(line.subscriber), port })
    }

    /// The mapping of the same external port in the other of TCP and UDP.
    fn twin_of(&self, port: Port, remote: Endpoint) -> Option<u32> {
        self.config.filtering.protocol_independent.then_some(())?;
        self.mapping_at(port.in_other_protocol()?, remote.address)
    }

    /// Whether `remote`, who has no session with `mapping`, may open one.
    pub(crate) fn admit(&self, mapping: u32, remote: Endpoint) -> Result<(), Reason> {
        let line = self.mappings.get(mapping);
        let admitted = match self.filter_for(line.protocol(), line.internal().port) {
            _ if line.is_open() => true,
            Behaviour::EndpointIndependent => true,
            Behaviour::AddressDependent => {
                let remote = remote.address.to_bits();
                self.permits.contain(self.key.permit(mapping, remote), mapping, remote)
            }
            Behaviour::AddressAndPortDependent => false,
        };
        if admitted || self.expected.admits(mapping, remote) { Ok(()) } else { Err(Reason::Filtered) }
    }

    /// What the filter of an internal port depends on: by protocol, and by application (N10). Queries have no
    /// ports to be reached at; their filter is UDP's.
    pub(crate) fn filter_for(&self, protocol: Protocol, port: u16) -> Behaviour {
        let filtering = &self.config.filtering;
        let (behaviour, ports) = match protocol {
            Protocol::Tcp => (filtering.tcp, &filtering.tcp_ports),
            Protocol::Udp => (filtering.udp, &filtering.udp_ports),
            Protocol::Icmp => return filtering.udp,
            // Of an address that is translated whole (B6).
            Protocol::Other => return Behaviour::EndpointIndependent,
        };
        let named = ports.iter().any(|range| range.contains(&port));
        match behaviour {
            Behaviour::EndpointIndependent if ports.is_empty() || named => behaviour,
            Behaviour::EndpointIndependent => Behaviour::AddressAndPortDependent,
            _ if named => Behaviour::EndpointIndependent,
            _ => behaviour,
        }
    }

    /// What the mapping of `internal` for `remote` is found by. An address that is translated whole has one
    /// mapping for each port, whoever the remote is.
    pub(crate) fn mapping_key(&self, protocol: Protocol, internal: Endpoint, remote: Endpoint) -> MappingKey {
        let behaviour = match self.config.mapping.behaviour {
            Behaviour::EndpointIndependent => Behaviour::EndpointIndependent,
            _ if self.basic.serves(internal.address) => Behaviour::EndpointIndependent,
            dependent => dependent,
        };
        MappingKey::new(behaviour, protocol, internal, remote)
    }

    /// The same of a mapping that may still have to be made.
    pub(crate) fn check_reached(&self, place: Use) -> Result<(), Limit> {
        match place {
            Use::Existing(mapping) => {
                let line = self.mappings.get(mapping);
                self.check_inbound_limits(line, self.subscribers.get(line.subscriber))
            }
            Use::New { subscriber: Some(index), .. } => {
                self.subscribers.get(index).may_be_reached(&self.config.limits, self.tick)
            }
            Use::New { .. } => Ok(()),
        }
    }

    /// The limits of what the outside may open (N10).
    pub(crate) fn check_inbound_limits(&self, mapping: &Mapping, of: &Subscriber) -> Result<(), Limit> {
        self.check_inbound_counts(mapping, of)?;
        of.may_be_reached(&self.config.limits, self.tick)
    }

    /// Of those what does not depend on time.
    pub(crate) fn check_inbound_counts(&self, mapping: &Mapping, of: &Subscriber) -> Result<(), Limit> {
        let most = self.config.limits.inbound_sessions_per_mapping;
        if most != 0 && u32::from(mapping.inbound) >= most {
            return Err(Limit::InboundPerMapping);
        }
        of.has_inbound_room(&self.config.limits)
    }

    /// Where mappings depend on the remote, a subscriber's endpoint may have a session with that remote over
    /// another mapping: then its answers would go out by that one, and the stranger is refused.
    pub(crate) fn check_tuple(&self, new: &NewSession) -> Result<(), Reason> {
        if self.config.mapping.behaviour == Behaviour::EndpointIndependent {
            return Ok(());
        }
        let flow = new.flow(Realm::Inside);
        let lines = self.sessions.lines();
        let taken =
            self.flows.find(self.key.flow(flow), |index| lines[index as usize].flow(Realm::Inside) == flow);
        if taken.is_some() { Err(Reason::Filtered) } else { Ok(()) }
    }

    /// A session begins, or begins anew: who has opened it counts.
    #[inline(always)]
    pub(crate) fn note_opening(&mut self, session: &Session, ties: Ties) {
        if session.opened_from() == OpenedFrom::Outside {
            let mapping = self.mappings.get_mut(ties.mapping);
            mapping.inbound = mapping.inbound.saturating_add(1);
            self.subscribers.get_mut(ties.subscriber).reached();
        } else if self.permits.0.is_some() {
            let remote = session.remote().address.to_bits();
            self.permits.add(self.key.permit(ties.mapping, remote), ties.mapping, remote);
        }
    }

    /// A session is over.
    #[inline(always)]
    pub(crate) fn forget_opening(&mut self, session: &Session, ties: Ties) {
        if session.opened_from() == OpenedFrom::Outside {
            let mapping = self.mappings.get_mut(ties.mapping);
            mapping.inbound = mapping.inbound.saturating_sub(1);
            self.subscribers.get_mut(ties.subscriber).left();
        } else if self.permits.0.is_some() {
            let remote = session.remote().address.to_bits();
            self.permits.remove(self.key.permit(ties.mapping, remote), ties.mapping, remote);
        }
    }
}
