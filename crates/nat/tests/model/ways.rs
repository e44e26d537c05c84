//! The ways of a packet that has ports: out, in, and round between two subscribers.

use hairpin_nat::event::{Limit, MappingId, OpenedFrom, SessionId};
use hairpin_nat::{Endpoint, Offload, Protocol, Realm, Reason};
use wire::Packet as Parsed;

use crate::ftp::Shift;
use crate::nat::{Arrival, Model, Passage, Refusal, Route, check_opens, ends_of, same_session};
use crate::octets::Ends;

impl Model {
    /// Whether and where a packet with ports may go; makes the session that it opens.
    pub(crate) fn decide(
        &mut self,
        parsed: &Parsed,
        data: &[u8],
        offload: Offload,
        from: Arrival,
    ) -> Result<Passage, Refusal> {
        let parsed = self.check_flags(parsed, data)?;
        if let Some(outcome) = self.pass_illegal(&parsed, data, offload, from) {
            return outcome;
        }
        let (protocol, source, destination) = ends_of(&parsed, from.realm()).ok_or(Reason::Protocol)?;
        match from {
            Arrival::Inside => self.outbound(&parsed, data, offload, protocol, source, destination),
            _ => self.inbound(&parsed, data, offload, from, (protocol, source, destination)),
        }
    }

    pub(crate) fn outbound(
        &mut self,
        parsed: &Parsed,
        data: &[u8],
        offload: Offload,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
    ) -> Result<Passage, Refusal> {
        let session = self.find(|id| {
            id.mapping.protocol == protocol && id.mapping.internal == internal && id.remote == remote
        });
        if session.is_none() {
            self.check_addresses(parsed, Arrival::Inside, internal, remote)?;
            check_opens(parsed)?;
        }
        let owner = self.owner(remote.address);
        let route = match owner {
            None => Route::To(Realm::Outside),
            Some(shard) if shard == self.config.shard.index => Route::To(Realm::Inside),
            Some(shard) => Route::Shard(shard),
        };
        self.fit(parsed, offload, Arrival::Inside, route.realm())?;
        let hairpin = route == Route::To(Realm::Inside);
        if hairpin && session.is_none() && protocol != Protocol::Icmp {
            let port = if protocol == Protocol::Other { internal.port } else { remote.port };
            self.may_be_there(protocol, Endpoint { port, ..remote })?;
        }
        let (mapping, victim) = match session {
            Some(index) => (self.sessions[index].id.mapping, None),
            None => match self.plan_mapping(protocol, internal, remote) {
                Err(Refusal::Limit(Limit::PortsExhausted)) if owner.is_none() => {
                    let (mapping, victim) =
                        self.plan_reuse(protocol, internal, self.masked(internal, remote))?;
                    (mapping, Some(victim))
                }
                other => (other?, None),
            },
        };
        let own = SessionId { mapping, remote, opened_from: OpenedFrom::Inside };
        let Some(other) = hairpin.then(|| self.other_side(mapping, remote)) else {
            self.judge(own, Realm::Inside, (internal, remote))?;
            self.control(own, Arrival::Inside, parsed, data, offload)?;
            if session.is_none() {
                self.check_room(1)?;
                let hairpin = owner.is_some();
                let shift = if hairpin { (0, 0) } else { self.plan_shift(mapping.external, remote, victim)? };
                if let Some(victim) = victim {
                    self.vacate(victim, self.whose(internal));
                }
                self.open(own);
                self.counters.sessions_shifted += u64::from(shift != (0, 0));
                if let Some(index) = self.session(own) {
                    self.sessions[index].shift = Shift::constant(shift);
                    self.sessions[index].shifted = shift != (0, 0);
                }
            }
            self.touch(own, Realm::Inside, parsed);
            let change = self.change(own, Realm::Inside);
            let edit = self.edit(own, Arrival::Inside, parsed, data);
            let ends = Ends { source: Some(mapping.external), destination: None };
            return Ok(Passage { route, ends, change, edit, id: None });
        };
        if protocol == Protocol::Icmp && session.is_none() && self.may_miss(mapping, remote) {
            return Err(self.believed());
        }
        if self.config.mapping.port_overlap && session.is_none() && !self.is_told(mapping) {
            // It may have drawn the very port that it writes to.
            return Err(self.believed());
        }
        // RFC 4787 REQ-9: out by the sender's session, in by the receiver's, all at once.
        let other = other?;
        self.judge(own, Realm::Inside, (internal, remote))?;
        self.judge(other, Realm::Outside, (internal, remote))?;
        let both_new = [session.is_none().then_some(own), self.session(other).is_none().then_some(other)];
        let news: Vec<_> = if same_session(own, other) {
            both_new[0].into_iter().collect()
        } else {
            both_new.into_iter().flatten().collect()
        };
        if news.contains(&other) && !same_session(own, other) {
            check_opens(parsed)?;
            let already = news
                .iter()
                .filter(|new| self.whose(new.mapping.internal) == self.whose(other.mapping.internal));
            let already = already.count() as u64;
            if !self.is_told(mapping) {
                // By the endpoint that it drew it may have met a session that was there already.
                return Err(self.believed());
            }
            if self.mappings.contains(&other.mapping) {
                self.admit(other.mapping, other.remote)?;
                self.may_open(self.whose(other.mapping.internal), false, protocol, already)?;
                self.may_be_reached(other.mapping)?;
            } else {
                self.plan_whole(protocol, other.mapping.internal, already)?;
                self.of_subscriber_may_be_reached(other.mapping.internal.address)?;
                if !self.mappings.contains(&mapping) {
                    self.may_have_both(mapping, other.mapping)?;
                }
            }
            self.check_tuple(other)?;
        }
        self.check_room(news.len())?;
        news.into_iter().for_each(|new| self.open(new));
        self.touch(own, Realm::Inside, parsed);
        self.touch(other, Realm::Outside, parsed);
        let ends = Ends { source: Some(mapping.external), destination: Some(other.mapping.internal) };
        Ok(Passage { route, ends, change: None, edit: None, id: None })
    }

    pub(crate) fn inbound(
        &mut self,
        parsed: &Parsed,
        data: &[u8],
        offload: Offload,
        from: Arrival,
        (protocol, remote, external): (Protocol, Endpoint, Endpoint),
    ) -> Result<Passage, Refusal> {
        let session = self.find(|id| {
            id.mapping.protocol == protocol && id.mapping.external == external && id.remote == remote
        });
        if session.is_none() {
            self.check_addresses(parsed, from, remote, external)?;
            if let Err(reason) = check_opens(parsed) {
                if from == Arrival::Outside {
                    self.answer_fin(remote, external);
                }
                return Err(reason.into());
            }
        } else if from == Arrival::Outside && self.owner(remote.address).is_some() {
            return Err(Reason::SpoofedInside.into());
        }
        self.check_own(external.address)?;
        self.fit(parsed, offload, from, Realm::Inside)?;
        let mapping = match self.plan_inbound(protocol, external, remote, session.is_none()) {
            Ok(mapping) => mapping,
            Err(refusal) => {
                let unsolicited = matches!(refusal, Refusal::Reason(Reason::NoMapping | Reason::Filtered));
                if from == Arrival::Outside && unsolicited {
                    self.note_syn(parsed, data, remote, external);
                }
                return Err(refusal);
            }
        };
        let id = SessionId { mapping, remote, opened_from: OpenedFrom::Outside };
        if session.is_none() {
            self.check_tuple(id)?;
            self.check_room(1)?;
            self.open(id);
        }
        self.judge(id, Realm::Outside, (remote, external))?;
        self.control(id, from, parsed, data, offload)?;
        self.touch(id, Realm::Outside, parsed);
        let ends = Ends { source: None, destination: Some(mapping.internal) };
        let change = self.change(id, Realm::Outside);
        Ok(Passage { route: Route::To(Realm::Inside), ends, change, edit: None, id: None })
    }

    /// Without the identifier that the engine drew, which of these refused the packet is its word.
    pub(crate) fn believed(&self) -> Refusal {
        use Limit::{
            InboundPerMapping, InboundPerSubscriber, InboundRate, Mappings, PortsPerSubscriber, SessionRate,
            Sessions, SessionsPerSubscriber, Subscribers,
        };
        let limits = [
            Sessions,
            SessionsPerSubscriber,
            SessionRate,
            InboundPerMapping,
            InboundPerSubscriber,
            InboundRate,
        ];
        // Of a whole address that it reached, a mapping may have been wanted.
        let wholes = [Mappings, PortsPerSubscriber, Subscribers].into_iter().filter(|_| self.has_wholes());
        let limit = limits.into_iter().chain(wholes).find(|limit| Some(limit.reason()) == self.refused);
        let filtered = self.refused.filter(|reason| *reason == Reason::Filtered);
        limit.map_or(Refusal::Reason(filtered.unwrap_or(Reason::NoMapping)), Refusal::Limit)
    }

    /// Whether the external endpoint is the engine's: of a packet that it refused, its choice is not known.
    pub(crate) fn is_told(&self, mapping: MappingId) -> bool {
        self.mappings.contains(&mapping) || self.refused.is_none() || self.is_basic(mapping.internal.address)
    }

    /// A query whose identifier the engine drew and did not tell, because nobody has that one at
    /// `remote`. To its own address it cannot miss.
    pub(crate) fn may_miss(&self, mapping: MappingId, remote: Endpoint) -> bool {
        let told = self.is_told(mapping);
        let of = self.whose(mapping.internal);
        let free = |address| self.has_free(Protocol::Icmp, (of, address));
        !told
            && match self.home_of(Protocol::Icmp, of) {
                Some(home) => home != remote.address,
                None => {
                    let homes = self.homes(of);
                    homes.into_iter().any(|address| address != remote.address && free(address))
                }
            }
    }

    /// The session by which a hairpinned packet of `mapping` to `remote` comes in.
    pub(crate) fn other_side(&self, mapping: MappingId, remote: Endpoint) -> Result<SessionId, Reason> {
        let protocol = mapping.protocol;
        // A query has one identifier, and once the source is translated it is the source's.
        let portless = matches!(protocol, Protocol::Icmp | Protocol::Other);
        let port = if portless { mapping.external.port } else { remote.port };
        let target = Endpoint::new(remote.address, port);
        if target == mapping.external {
            return Ok(SessionId { mapping, remote, opened_from: OpenedFrom::Inside });
        }
        let from = mapping.external.address;
        let target = self.reached(protocol, target, from).ok_or(Reason::NoMapping)?;
        let port = if portless { 0 } else { mapping.external.port };
        let remote = Endpoint::new(mapping.external.address, port);
        Ok(SessionId { mapping: target, remote, opened_from: OpenedFrom::Outside })
    }
}
