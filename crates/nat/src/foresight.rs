//! Memory asked for before it is needed, where packets pass and where sessions begin and end.
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
use crate::table::Guess;
use crate::{Endpoint, Protocol, Realm};

impl Engine {
    /// Second stage: asks for the sessions of a batch, and for what new ones will need.
    #[inline(always)]
    pub(crate) fn foresee(&self, stages: &Stages) {
        let (mut further, mut new) = (0u64, 0u64);
        for (n, stage) in stages.iter().enumerate() {
            let Ok(brief) = stage else { continue };
            match self.flows.guess(brief.hash, 0) {
                Guess::Entry(index) => prefetch(self.sessions.lines(), index as usize),
                Guess::Further => {
                    self.flows.prefetch(brief.hash, 1);
                    further |= 1 << n;
                }
                Guess::None => new |= 1 << n,
            }
        }
        while further != 0 {
            let n = further.trailing_zeros() as usize;
            further &= further - 1;
            let Some(Ok(brief)) = stages.get(n) else { continue };
            match self.flows.guess(brief.hash, 1) {
                Guess::Entry(index) => prefetch(self.sessions.lines(), index as usize),
                // Two buckets on is rare enough to wait for.
                Guess::Further => {}
                Guess::None => new |= 1 << n,
            }
        }
        if new != 0 {
            self.foresee_new(stages, new);
        }
    }

    /// The packets of a batch whose bit is set in `new` have no session yet.
    #[cold]
    #[inline(never)]
    fn foresee_new(&self, stages: &Stages, new: u64) {
        let news = || {
            let briefs = stages.iter().enumerate().filter(move |&(n, _)| new & 1 << n != 0);
            briefs.filter_map(|(_, stage)| stage.as_ref().ok()).filter_map(Ends::of)
        };
        let host = |ends: &Ends| match self.hosts.guess(self.key.address(ends.internal.address.to_bits()), 0)
        {
            Guess::Entry(index) => Some(index),
            Guess::Further | Guess::None => None,
        };
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
            self.endpoints.prefetch(self.key.endpoint(ends.protocol, ends.internal), 0);
            self.hosts.prefetch(self.key.address(ends.internal.address.to_bits()), 0);
        }
        for index in news().filter_map(|ends| host(&ends)) {
            prefetch(self.subscribers.lines(), index as usize);
        }
        for ends in news() {
            match self.endpoints.guess(self.key.endpoint(ends.protocol, ends.internal), 0) {
                Guess::Entry(index) => prefetch(self.mappings.lines(), index as usize),
                Guess::Further | Guess::None => {
                    kept(&ends).into_iter().for_each(|port| self.pool.prefetch(port))
                }
            }
        }
        for ends in news() {
            if let Some(port) = kept(&ends)
                && self.pool.is_free(port)
            {
                let external = self.pool.endpoint(port);
                let inbound = Flow::new(Realm::Outside, ends.protocol, ends.remote, external);
                self.flows.prefetch(self.key.flow(inbound), 0);
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
        self.flows.prefetch(self.key.flow(session.flow(Realm::Inside)), 0);
        self.flows.prefetch(self.key.flow(session.flow(Realm::Outside)), 0);
        self.endpoints.prefetch(self.key.endpoint(session.protocol(), session.internal()), 0);
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
