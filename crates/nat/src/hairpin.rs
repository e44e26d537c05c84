//! Two subscribers who meet through their external addresses (N19, RFC 4787 REQ-9, RFC 5382 REQ-8).
//!
//! One pass, two sessions: the packet's source is translated as going out by the sender's session,
//! its destination as coming in by the receiver's. So each sees the other's external endpoint, both
//! state machines see the packet, and it loses one hop. The two sessions know one another; where one
//! ends first, the other finds or opens its successor.

use crate::batch::{Arrival, Decision, Fit, Refusal, Route};
use crate::brief::Brief;
use crate::engine::Engine;
use crate::event::{DeleteReason, OpenedFrom};
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
    /// One that is to be made on this mapping.
    New(u32),
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
        if protocol != Protocol::Icmp && !self.pool.is_mapped(Port { address, protocol, port: remote.port }) {
            return Err(Reason::NoMapping.into());
        }
        let mapping = self.plan_mapping(protocol, internal, remote, 1)?;
        let external = self.external_of(mapping);
        let other = self.other(protocol, external, remote, address)?;
        let new = self.new_session(protocol, internal, mapping, remote, OpenedFrom::Inside, true);
        let Other::New(target) = other else {
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
        let inbound = self.inbound_session(
            target,
            Endpoint { port: remote_port(protocol, external), ..external },
            true,
        );
        // Of somebody who speaks to another endpoint of its own, both sessions count.
        let own = self.mappings.get(target).internal().address == internal.address;
        self.admit(target, inbound.remote)?;
        self.check_inbound(target, 1 + u32::from(own))?;
        self.check_tuple(&inbound)?;
        self.check_room(&[new, inbound])?;
        let index = self.commit(mapping, new, brief)?;
        let Ok(partner) = self.commit(Use::Existing(target), inbound, brief) else {
            self.delete_session(index, self.tick, DeleteReason::Idle);
            return Err(crate::event::Limit::Sessions.into());
        };
        self.pair(index, partner);
        Ok(self.decision(index, partner, fit))
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
        if let Some(partner) = session.partner()
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
            Other::New(target) => {
                // The receiver's session ended: only what opens one may open another.
                check_opens(brief)?;
                let remote = Endpoint { port: remote_port(protocol, external), ..external };
                let inbound = self.inbound_session(target, remote, true);
                self.admit(target, remote)?;
                self.check_inbound(target, 1)?;
                self.check_tuple(&inbound)?;
                self.check_room(&[inbound])?;
                let partner = self.commit(Use::Existing(target), inbound, brief)?;
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
        let port = if protocol == Protocol::Icmp { external.port } else { remote.port };
        if remote.address == external.address && port == external.port {
            return Ok(Other::Itself);
        }
        let port = Port { address, protocol, port };
        let target = self.mapping_at(port, external.address).ok_or(Reason::NoMapping)?;
        let remote = Endpoint { port: remote_port(protocol, external), ..external };
        let flow = self.inbound_session(target, remote, true).flow(Realm::Outside);
        let lines = self.sessions.lines();
        let found =
            self.flows.find(self.key.flow(flow), |index| lines[index as usize].flow(Realm::Outside) == flow);
        match found {
            Some(index) if self.settle(index) => Ok(Other::Existing(index)),
            // Settling may have ended the mapping with its last session.
            _ => {
                let target = self.mapping_at(port, external.address);
                target.map(Other::New).ok_or(Refusal::Reason(Reason::NoMapping))
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
        let lines = self.sessions.lines_mut();
        lines[index as usize].set_partner(Some(partner));
        lines[partner as usize].set_partner(Some(index));
    }

    fn decision(&self, index: u32, partner: u32, fit: Fit) -> Decision {
        let lines = self.sessions.lines();
        let out = lines[index as usize].rewrite(Realm::Inside);
        let back = lines[partner as usize].rewrite(Realm::Outside);
        Decision {
            route: Route::To(Realm::Inside),
            rewrite: Rewrite {
                source: out.source,
                destination: back.destination,
                ip: out.ip.and(back.ip),
                transport: out.transport.and(back.transport),
                // Between subscribers no numbers are changed.
                shift: 0,
            },
            fit,
        }
    }
}

/// How the receiver's session spells the sender's port: ICMP remotes have none.
fn remote_port(protocol: Protocol, external: Endpoint) -> u16 {
    if protocol == Protocol::Icmp { 0 } else { external.port }
}
