//! Memory asked for before it is needed, where sessions begin and end.
//!
//! Making or ending a session touches a dozen lines of as many tables. Waiting for each in turn would
//! cost a microsecond; nothing in here decides anything, it only lets the waiting happen at once.

use core::net::Ipv4Addr;

use crate::batch::Stages;
use crate::brief::Brief;
use crate::engine::Engine;
use crate::hash::Flow;
use crate::memory::prefetch;
use crate::pool::Port;
use crate::{Endpoint, Protocol, Realm};

impl Engine {
    /// The packets of a batch whose bit is set in `new` have no session yet.
    #[cold]
    #[inline(never)]
    pub(crate) fn foresee_new(&self, stages: &Stages, new: u64) {
        let news = || {
            let briefs = stages.iter().enumerate().filter(move |&(n, _)| new & 1 << n != 0);
            briefs.filter_map(|(_, stage)| stage.as_ref().ok()).filter_map(Ends::of)
        };
        let host = |ends: &Ends| self.hosts.guess(self.key.address(ends.internal.address.to_bits()));
        let kept = |ends: &Ends| {
            // Where the internal port would be kept.
            let address = self.subscribers.get(host(ends)?).external;
            self.config.ports.preserve.then_some(Port {
                address,
                protocol: ends.protocol,
                port: ends.internal.port,
            })
        };
        let count = new.count_ones() as usize;
        self.sessions.prefetch_free(count);
        self.mappings.prefetch_free(count);
        for ends in news() {
            self.endpoints.prefetch(self.key.endpoint(ends.protocol, ends.internal));
            self.hosts.prefetch(self.key.address(ends.internal.address.to_bits()));
        }
        for index in news().filter_map(|ends| host(&ends)) {
            prefetch(self.subscribers.lines(), index as usize);
        }
        for ends in news() {
            if let Some(index) = self.endpoints.guess(self.key.endpoint(ends.protocol, ends.internal)) {
                prefetch(self.mappings.lines(), index as usize);
            } else if let Some(port) = kept(&ends) {
                self.pool.prefetch(port);
            }
        }
        for ends in news() {
            if let Some(port) = kept(&ends)
                && self.pool.is_free(port)
            {
                let external = self.pool.endpoint(port);
                let inbound = Flow::new(Realm::Outside, ends.protocol, ends.remote, external);
                self.flows.prefetch(self.key.flow(inbound));
            }
        }
    }

    /// Session `index` is being looked at, and the one behind it in its slot will be next: a pipeline
    /// of two steps along the list.
    #[inline(always)]
    pub(crate) fn foresee_end(&self, index: u32) {
        let lines = self.sessions.lines();
        let Some(next) = lines[index as usize].link.next.checked_sub(1) else { return };
        let session = &lines[next as usize];
        if let Some(after) = session.link.next.checked_sub(1) {
            prefetch(lines, after as usize);
        }
        self.flows.prefetch(self.key.flow(session.flow(Realm::Inside)));
        self.flows.prefetch(self.key.flow(session.flow(Realm::Outside)));
        self.endpoints.prefetch(self.key.endpoint(session.protocol(), session.internal()));
        prefetch(self.mappings.lines(), session.mapping as usize);
        let external = self.subscribers.get(session.subscriber).external;
        let (protocol, port) = (session.protocol(), session.external().port);
        self.pool.prefetch(Port { address: external, protocol, port });
    }
}

/// The two ends of a packet from inside.
struct Ends {
    protocol: Protocol,
    internal: Endpoint,
    remote: Endpoint,
}

impl Ends {
    fn of(brief: &Brief) -> Option<Self> {
        let Flow { addresses, ports } = brief.flow;
        if !brief.common || ports as u8 != Realm::Inside as u8 {
            return None;
        }
        let end = |address: u64, port: u64| Endpoint::new(Ipv4Addr::from_bits(address as u32), port as u16);
        Some(Self {
            protocol: *Protocol::ALL.get(usize::from((ports >> 8) as u8))?,
            internal: end(addresses >> 32, ports >> 32),
            remote: end(addresses, ports >> 16),
        })
    }
}
