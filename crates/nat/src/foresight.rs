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
use crate::{BATCH, Endpoint, Protocol, Realm};

impl Engine {
    /// Second stage: asks for the sessions of a batch, and for what new ones will need.
    #[inline(always)]
    pub(crate) fn foresee(&self, stages: &mut Stages) {
        let (mut further, mut new) = (0u64, 0u64);
        for (n, stage) in stages.iter_mut().enumerate() {
            let Ok(brief) = stage else { continue };
            match self.flows.guess(brief.hash, 0) {
                Guess::Entry(index) => {
                    brief.guess = Some(index);
                    prefetch(self.sessions.lines(), index as usize);
                }
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
            let Some(Ok(brief)) = stages.get_mut(n) else { continue };
            match self.flows.guess(brief.hash, 1) {
                Guess::Entry(index) => {
                    brief.guess = Some(index);
                    prefetch(self.sessions.lines(), index as usize);
                }
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
        let mut places = [None; BATCH];
        let mut count = 0;
        for (_, stage) in stages.iter().enumerate().filter(|&(n, _)| new & 1 << n != 0) {
            if let Some(newcomer) = stage.as_ref().ok().and_then(|brief| self.newcomer(brief)) {
                places[count] = Some(newcomer);
                count += 1;
            }
        }
        let newcomers = &mut places[..count];
        self.sessions.prefetch_free(count);
        self.mappings.prefetch_free(count);
        for newcomer in newcomers.iter().flatten() {
            self.endpoints.prefetch(newcomer.endpoint_hash, 0);
            self.hosts.prefetch(newcomer.host_hash, 0);
        }
        for newcomer in newcomers.iter_mut().flatten() {
            if let Guess::Entry(index) = self.hosts.guess(newcomer.host_hash, 0) {
                newcomer.host = Some(index);
                prefetch(self.subscribers.lines(), index as usize);
            }
        }
        for newcomer in newcomers.iter_mut().flatten() {
            match self.endpoints.guess(newcomer.endpoint_hash, 0) {
                Guess::Entry(index) => prefetch(self.mappings.lines(), index as usize),
                Guess::Further | Guess::None if self.config.ports.preserve => {
                    // The port that it would like to keep.
                    newcomer.port = newcomer.host.map(|host| Port {
                        address: self.subscribers.get(host).external,
                        protocol: newcomer.protocol,
                        port: newcomer.internal.port,
                    });
                    newcomer.port.into_iter().for_each(|port| self.pool.prefetch(port));
                }
                Guess::Further | Guess::None => {}
            }
        }
        for newcomer in newcomers.iter().flatten() {
            if let Some(Port { address, protocol, port }) = newcomer.port
                && let Some(port) = self.pool.same_port(address, protocol, port)
            {
                let external = self.pool.endpoint(port);
                let inbound = Flow::new(Realm::Outside, protocol, newcomer.remote, external);
                self.flows.prefetch(self.key.flow(inbound), 0);
            }
        }
    }

    /// A packet from inside, as one that may open a session.
    fn newcomer(&self, brief: &Brief) -> Option<Newcomer> {
        let Flow { addresses, ports } = brief.flow;
        if !brief.common || ports as u8 != Realm::Inside as u8 {
            return None;
        }
        let end = |address: u64, port: u64| Endpoint::new(Ipv4Addr::from_bits(address as u32), port as u16);
        let protocol = *Protocol::ALL.get(usize::from((ports >> 8) as u8))?;
        let internal = end(addresses >> 32, ports >> 32);
        Some(Newcomer {
            protocol,
            internal,
            remote: end(addresses, ports >> 16),
            endpoint_hash: self.key.endpoint(protocol, internal),
            host_hash: self.key.address(internal.address.to_bits()),
            host: None,
            port: None,
        })
    }

    /// Session `index`, filed under `tick`, is being looked at: the end of those behind it in its slot
    /// is prepared, [`LEAD`] of them at a time.
    #[inline(always)]
    pub(crate) fn foresee_ends(&self, ahead: &mut Ahead, tick: u32, index: u32) {
        if ahead.lead == 0 || ahead.tick != tick {
            *ahead = Ahead { tick, index, lead: 0 };
        } else {
            ahead.lead -= 1;
        }
        while ahead.lead < LEAD {
            let Some(next) = self.sessions.lines()[ahead.index as usize].link.next.checked_sub(1) else {
                return;
            };
            self.foresee_end(next);
            ahead.index = next;
            ahead.lead += 1;
        }
    }

    /// Asks for what ending session `index` will write, and for the line of the one behind it.
    #[inline(always)]
    fn foresee_end(&self, index: u32) {
        let lines = self.sessions.lines();
        let session = &lines[index as usize];
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

/// Sessions of a slot whose end is prepared while one is ended: that takes a good part of the time that
/// memory takes to answer, so one is not enough.
const LEAD: u32 = 6;

/// How far along a slot's list the end of sessions is prepared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    /// The tick that the slot's sessions are filed under.
    tick: u32,
    /// The last session that was prepared.
    index: u32,
    /// How many there are from the one under way to that.
    lead: u32,
}

/// What is known of a session that is about to be made.
#[derive(Clone, Copy)]
struct Newcomer {
    protocol: Protocol,
    internal: Endpoint,
    remote: Endpoint,
    endpoint_hash: u64,
    host_hash: u64,
    host: Option<u32>,
    port: Option<Port>,
}
