//! Two subscribers who meet through their external addresses (N19, RFC 4787 REQ-9, RFC 5382 REQ-8).
//!
//! One pass, two sessions: the packet's source is translated as going out by the sender's session,
//! its destination as coming in by the receiver's. So each sees the other's external endpoint, both
//! state machines see the packet, and it loses one hop. The two sessions know one another; where one
//! ends first, the other finds or opens its successor.

use core::net::Ipv4Addr;

use crate::batch::{Arrival, Decision, Fit, Refusal, Route};
use crate::brief::Brief;
use crate::engine::Engine;
use crate::event::{DeleteReason, Limit, OpenedFrom};
use crate::open::{Use, check_opens};
use crate::pool::{Owner, Port};
use crate::rewrite::Rewrite;
use crate::{Endpoint, Packet, Protocol, Realm, Reason};

/// The receiver's session.
#[derive(Clone, Copy, Debug)]
enum Other {
    /// The sender's own: it writes to its own external endpoint.
    Itself,
    /// One that there is.
    Existing(u32),
    /// One that is to be made on the mapping of this endpoint, if that has one already.
    New(Option<u32>, Endpoint),
}

impl Engine {
    /// A subscriber's first packet to an external endpoint of this shard.
    pub(crate) fn open_hairpin(
        &mut self,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
        address: u32,
        brief: &Brief,
        fit: Fit,
    ) -> Result<Decision, Refusal> {
        if protocol != Protocol::Icmp {
            self.may_be_there(Port { address, protocol, port: target_port(protocol, internal, remote) })?;
        }
        let mapping = self.plan_mapping(protocol, internal, remote, 1)?;
        let external = self.external_of(mapping);
        let other = self.other(protocol, external, remote, address)?;
        let new = self.new_session(protocol, internal, mapping, remote, OpenedFrom::Inside, true);
        let Other::New(target, addressee) = other else {
            if let Other::Existing(partner) = other {
                self.judge(partner, Realm::Outside, brief)?;
            }
            self.check_room(&[new])?;
            let index = self.commit(mapping, new, brief)?;
            let partner = match other {
                Other::Existing(partner) => partner,
                _ => index,
            };
            return Ok(self.join(index, partner, brief, fit));
        };
        // Of somebody who speaks to another endpoint of its own, both sessions count.
        let own = self.subscriber_of(addressee.address) == self.subscriber_of(internal.address);
        let remote = Endpoint { port: remote_port(protocol, external), ..external };
        let place = self.plan_receiver(protocol, (target, addressee), remote, 1 + u32::from(own))?;
        let inbound = self.new_session(protocol, addressee, place, remote, OpenedFrom::Outside, true);
        self.check_both(protocol, mapping, place, own)?;
        self.check_tuple(&inbound)?;
        self.check_room(&[new, inbound])?;
        let index = self.commit(mapping, new, brief)?;
        let partner = self.commit(self.after_commit(place), inbound, brief);
        let partner = match partner {
            Ok(partner) => partner,
            Err(refusal) => {
                self.delete_session(index, self.tick, DeleteReason::Idle);
                return Err(refusal);
            }
        };
        self.pair(index, partner);
        Ok(self.decision(index, partner, fit))
    }

    /// The receiver's mapping, and whether `remote` may open so many more sessions over it.
    fn plan_receiver(
        &mut self,
        protocol: Protocol,
        (target, addressee): (Option<u32>, Endpoint),
        remote: Endpoint,
        sessions: u32,
    ) -> Result<Use, Refusal> {
        let Some(mapping) = target else {
            let place = self.plan_mapping(protocol, addressee, remote, sessions)?;
            self.check_reached(place)?;
            return Ok(place);
        };
        self.admit(mapping, remote)?;
        self.check_inbound(mapping, sessions)?;
        Ok(Use::Existing(mapping))
    }

    /// The receiver's mapping once the sender's was made: that may be it, or have brought its subscriber.
    fn after_commit(&self, place: Use) -> Use {
        let Use::New { key, subscriber, port } = place else { return place };
        if let Some(mapping) = self.find_mapping(key) {
            return Use::Existing(mapping);
        }
        let found = || self.find_subscriber(self.subscriber_of(key.internal.address));
        Use::New { key, subscriber: subscriber.or_else(found), port }
    }

    /// Where both sides need a new mapping, and perhaps a new subscriber: whether there is room for two,
    /// of one subscriber if it is its `own`.
    fn check_both(&self, protocol: Protocol, one: Use, other: Use, own: bool) -> Result<(), Limit> {
        let (Use::New { subscriber: sender, .. }, Use::New { subscriber: receiver, .. }) = (one, other)
        else {
            return Ok(());
        };
        if own {
            let held = sender.map_or(0, |index| self.subscribers.get(index).held(protocol));
            let limits = &self.config.limits;
            let own = limits.ports_by_protocol.get(protocol as usize).copied().flatten();
            if held + 2 > limits.ports_per_subscriber.min(own.unwrap_or(u32::MAX)) {
                return Err(Limit::PortsPerSubscriber);
            }
        } else if sender.is_none() && receiver.is_none() && !self.subscribers.has_room(2) {
            return Err(Limit::Subscribers);
        }
        if self.mappings.has_room(2) { Ok(()) } else { Err(Limit::Mappings) }
    }

    /// Whether anybody has an external endpoint: who it is may depend on the sender's own, not known yet.
    fn may_be_there(&self, port: Port) -> Result<(), Reason> {
        let mapped = if self.basic.is(port.address) {
            self.basic_target(port).is_some() || self.mapping_at(port, Ipv4Addr::UNSPECIFIED).is_some()
        } else {
            port.protocol != Protocol::Other && self.pool.is_mapped(port)
        };
        if mapped { Ok(()) } else { Err(Reason::NoMapping) }
    }

    /// The mapping behind an external endpoint for `remote`, and the internal one that it leads to.
    fn addressee_of(&self, port: Port, remote: Ipv4Addr) -> Result<(Option<u32>, Endpoint), Reason> {
        match self.mapping_at(port, remote) {
            Some(mapping) => Ok((Some(mapping), self.mappings.get(mapping).internal())),
            None => self.basic_target(port).map(|internal| (None, internal)).ok_or(Reason::NoMapping),
        }
    }

    /// A packet from inside of hairpin session `index`.
    #[cold]
    pub(crate) fn pass_hairpin(
        &mut self,
        index: u32,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Decision, Refusal> {
        let session = self.sessions.lines()[index as usize];
        let fit = self.fit(Arrival::From(Realm::Inside), packet, brief, Realm::Inside)?;
        let address = match self.pool.owner(session.remote().address) {
            Some(Owner::Here(address)) => address,
            Some(Owner::Shard(shard)) => {
                self.judge(index, Realm::Inside, brief)?;
                self.touch(index, Realm::Inside, brief);
                let rewrite = session.rewrite(Realm::Inside);
                return Ok(Decision { route: Route::Shard(shard), rewrite, fit });
            }
            None => return Err(Reason::NoMapping.into()),
        };
        if let Some(partner) = self.sessions.ties()[index as usize].partner()
            && self.settle(partner)
        {
            self.judge(index, Realm::Inside, brief)?;
            self.judge(partner, Realm::Outside, brief)?;
            self.touch(index, Realm::Inside, brief);
            return Ok(self.join(index, partner, brief, fit));
        }
        let (protocol, external) = (session.protocol(), session.external());
        let other = self.other(protocol, external, session.remote(), address)?;
        self.judge(index, Realm::Inside, brief)?;
        let partner = match other {
            Other::Itself => index,
            Other::Existing(partner) => partner,
            Other::New(target, addressee) => {
                // The receiver's session ended: only what opens one may open another.
                check_opens(brief)?;
                let remote = Endpoint { port: remote_port(protocol, external), ..external };
                let place = self.plan_receiver(protocol, (target, addressee), remote, 1)?;
                let inbound = self.new_session(protocol, addressee, place, remote, OpenedFrom::Outside, true);
                self.check_tuple(&inbound)?;
                self.check_room(&[inbound])?;
                let partner = self.commit(place, inbound, brief)?;
                self.touch(index, Realm::Inside, brief);
                self.pair(index, partner);
                return Ok(self.decision(index, partner, fit));
            }
        };
        self.judge(partner, Realm::Outside, brief)?;
        self.touch(index, Realm::Inside, brief);
        Ok(self.join(index, partner, brief, fit))
    }

    /// The receiver's session for a packet from `external` to `remote`.
    fn other(
        &mut self,
        protocol: Protocol,
        external: Endpoint,
        remote: Endpoint,
        address: u32,
    ) -> Result<Other, Refusal> {
        // A query has one identifier: after the source's translation it names the receiver too.
        let port = target_port(protocol, external, remote);
        if remote.address == external.address && port == external.port {
            return Ok(Other::Itself);
        }
        let port = Port { address, protocol, port };
        let (_, addressee) = self.addressee_of(port, external.address)?;
        let here = Endpoint::new(remote.address, port.port);
        let remote = Endpoint { port: remote_port(protocol, external), ..external };
        let flow = crate::hash::Flow::new(Realm::Outside, protocol, remote, here);
        let lines = self.sessions.lines();
        let found =
            self.flows.find(self.key.flow(flow), |index| lines[index as usize].flow(Realm::Outside) == flow);
        match found {
            Some(index) if self.settle(index) => Ok(Other::Existing(index)),
            // Settling may have ended the mapping with its last session.
            _ => {
                let (mapping, _) = self.addressee_of(port, external.address)?;
                Ok(Other::New(mapping, addressee))
            }
        }
    }

    /// The packet has moved session `index`; it moves `partner`'s, which there was, as well.
    fn join(&mut self, index: u32, partner: u32, brief: &Brief, fit: Fit) -> Decision {
        self.touch(partner, Realm::Outside, brief);
        self.pair(index, partner);
        self.decision(index, partner, fit)
    }

    fn pair(&mut self, index: u32, partner: u32) {
        let ties = self.sessions.ties_mut();
        ties[index as usize].set_partner(Some(partner));
        ties[partner as usize].set_partner(Some(index));
    }

    fn decision(&self, index: u32, partner: u32, fit: Fit) -> Decision {
        let lines = self.sessions.lines();
        let out = lines[index as usize].rewrite(Realm::Inside);
        let back = lines[partner as usize].rewrite(Realm::Outside);
        Decision {
            route: Route::To(Realm::Inside),
            rewrite: Rewrite {
                ip: out.ip.and(back.ip),
                transport: out.transport.and(back.transport),
                // Between subscribers no numbers are changed.
                shift: 0,
                ..out.with(out.source(), back.destination())
            },
            fit,
        }
    }
}

/// How the receiver's session spells the sender's port: ICMP remotes have none.
fn remote_port(protocol: Protocol, external: Endpoint) -> u16 {
    if matches!(protocol, Protocol::Icmp | Protocol::Other) { 0 } else { external.port }
}

/// The number by which the receiver is found at its external address.
fn target_port(protocol: Protocol, own: Endpoint, remote: Endpoint) -> u16 {
    match protocol {
        Protocol::Tcp | Protocol::Udp => remote.port,
        Protocol::Icmp | Protocol::Other => own.port,
    }
}
