//! Memory asked for before it is needed, where packets pass and where sessions begin and end.
//!
//! Making or ending a session touches a dozen lines of as many tables. Waiting for each in turn would
//! cost a microsecond; nothing in here decides anything, it only lets the waiting happen at once.

use wire::prefetch::prefetch;

use crate::batch::Stages;
use crate::brief::Brief;
use crate::engine::Engine;
use crate::hash::Flow;
use crate::mapping::MappingKey;

use crate::open::check_opens;
use crate::pool::{Owner, Port};
use crate::table::Guess;
use crate::{BATCH, Endpoint, Protocol, Realm};

impl Engine {
    /// Second stage of packet `n`: asks for its session.
    #[inline(always)]
    pub(crate) fn foresee(&self, stages: &mut Stages, n: usize, sight: &mut Sight) {
        let Some(Ok(brief)) = stages.get_mut(n) else { return };
        match self.flows.guess(brief.hash, 0) {
            Guess::Entry(index) => {
                brief.guess = Some(index);
                prefetch(self.sessions.lines(), index as usize);
                for other in self.flows.other_guesses(brief.hash, 0) {
                    prefetch(self.sessions.lines(), other as usize);
                }
            }
            Guess::Further => {
                self.flows.prefetch(brief.hash, 1);
                sight.further |= 1 << n;
            }
            Guess::None => sight.new |= 1 << n,
        }
    }

    /// What the second stage left: asks for the sessions that are one bucket on, and for what new ones
    /// will need.
    #[inline(always)]
    pub(crate) fn foresee_rest(&self, stages: &mut Stages, sight: Sight) {
        let Sight { further, mut new } = sight;
        for n in bits(further) {
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
        let briefs = || bits(new).filter_map(|n| stages.get(n)?.as_ref().ok());
        self.foresee_strangers(briefs().filter_map(|brief| self.stranger(brief)));
        // One new session in thirty has found another's tag. Only where there are many does it pay to look.
        let many = new.count_ones() >= MANY;
        let guessed = stages.iter().take_while(|_| many).flatten().filter(|brief| {
            brief.guess.is_some_and(|index| !self.sessions.lines()[index as usize].has(brief.flow))
        });
        self.foresee_newcomers(briefs().chain(guessed).filter_map(|brief| self.newcomer(brief)));
    }

    /// Asks for what packets from inside need that may open a session.
    fn foresee_newcomers(&self, found: impl Iterator<Item = Newcomer>) {
        let mut places = [None; BATCH];
        let mut count = 0;
        for (place, newcomer) in places.iter_mut().zip(found) {
            self.endpoints.prefetch(newcomer.endpoint_hash, 0);
            self.hosts.prefetch(newcomer.host_hash, 0);
            *place = Some(newcomer);
            count += 1;
        }
        self.sessions.prefetch_free(count);
        self.mappings.prefetch_free(count);
        let newcomers = &mut places[..count];
        for newcomer in newcomers.iter_mut().flatten() {
            if let Guess::Entry(index) = self.hosts.guess(newcomer.host_hash, 0) {
                newcomer.host = Some(index);
                prefetch(self.subscribers.lines(), index as usize);
            }
        }
        for place in newcomers.iter_mut() {
            // What is refused before its mapping is looked for needs none.
            let at_limit = |newcomer: &Newcomer| {
                let host = newcomer.host.map(|index| self.subscribers.get(index));
                host.is_some_and(|host| host.has_all_sessions(&self.config.limits))
            };
            if place.as_ref().is_some_and(at_limit) {
                *place = None;
            }
            let Some(newcomer) = place else { continue };
            if let Guess::Entry(index) = self.endpoints.guess(newcomer.endpoint_hash, 0) {
                newcomer.mapping = Some(index);
                prefetch(self.mappings.lines(), index as usize);
            }
        }
        for newcomer in newcomers.iter_mut().flatten() {
            let mapping = newcomer.mapping.map(|index| self.mappings.get(index));
            if let Some(mapping) = mapping.filter(|mapping| mapping.is(newcomer.key)) {
                self.prefetch_inbound(newcomer, mapping.external());
            } else if self.config.ports.preserve {
                newcomer.port = self.port_wanted(newcomer);
                newcomer.port.inspect(|&port| self.pool.prefetch(port));
            }
        }
        self.foresee_ports(newcomers);
    }

    /// The port that a newcomer without a mapping would like to keep, if it may have one at all.
    fn port_wanted(&self, newcomer: &Newcomer) -> Option<Port> {
        let (protocol, internal) = (newcomer.protocol, newcomer.internal);
        let host = self.subscribers.get(newcomer.host?);
        host.may_open(protocol, true, 1, &self.config.limits, self.tick).ok()?;
        Some(Port { address: host.external, protocol, port: internal.port })
    }

    /// Asks for what packets from outside need that have no session: whom their port belongs to, by the other
    /// protocol as well where that counts.
    fn foresee_strangers(&self, found: impl Iterator<Item = Port>) {
        let twin = |port: Port| self.config.filtering.protocol_independent.then(|| port.in_other_protocol());
        let mut ports = [None; BATCH];
        let mut count = 0;
        for (place, port) in ports.iter_mut().zip(found) {
            self.pool.prefetch_owner(port);
            twin(port).flatten().inspect(|&twin| self.pool.prefetch_owner(twin));
            *place = Some(port);
            count += 1;
        }
        let mut mappings = [None; BATCH];
        for (place, port) in mappings.iter_mut().zip(ports[..count].iter().flatten()) {
            let twins = || self.pool.mapping(twin(*port)??);
            *place = self.pool.mapping(*port).or_else(twins);
            place.inspect(|&mapping| prefetch(self.mappings.lines(), mapping as usize));
        }
        for &mapping in mappings[..count].iter().flatten() {
            prefetch(self.subscribers.lines(), self.mappings.get(mapping).subscriber as usize);
        }
    }

    /// Asks for what the ports that newcomers will get lead to.
    fn foresee_ports(&self, newcomers: &[Option<Newcomer>]) {
        // Draws from a copy are those that come later from the selector itself, for they have one order.
        let mut selector = None;
        for newcomer in newcomers.iter().flatten() {
            let Some(Port { address, protocol, port }) = newcomer.port else { continue };
            let subscriber = self.subscriber_of(newcomer.internal.address);
            let port = self.pool.same_port(address, protocol, port, subscriber).or_else(|| {
                let selector = selector.get_or_insert_with(|| self.selector.clone());
                let drawn =
                    self.pool.choose_port(address, protocol, newcomer.internal, subscriber, selector)?;
                self.pool.prefetch(drawn);
                Some(drawn)
            });
            if let Some(port) = port {
                self.prefetch_inbound(newcomer, self.pool.endpoint(port));
            }
        }
    }

    /// Asks for the bucket of what will come back to `external`.
    fn prefetch_inbound(&self, newcomer: &Newcomer, external: Endpoint) {
        let inbound = Flow::new(Realm::Outside, newcomer.protocol, newcomer.remote, external);
        self.flows.prefetch(self.key.flow(inbound), 0);
    }

    /// Where a packet from outside wants to go that may open a session.
    fn stranger(&self, brief: &Brief) -> Option<Port> {
        if !brief.common || brief.flow.realm() == Realm::Inside || check_opens(brief).is_err() {
            return None;
        }
        let (protocol, _, external) = brief.flow.ends()?;
        let Owner::Here(address) = self.pool.owner(external.address)? else { return None };
        (!self.basic.is(address)).then_some(Port { address, protocol, port: external.port })
    }

    /// A packet from inside, as one that may open a session.
    fn newcomer(&self, brief: &Brief) -> Option<Newcomer> {
        if !brief.common || brief.flow.realm() != Realm::Inside {
            return None;
        }
        let (protocol, internal, remote) = brief.flow.ends()?;
        let key = MappingKey::new(self.config.mapping.behaviour, protocol, internal, remote);
        Some(Newcomer {
            protocol,
            internal,
            remote,
            key,
            endpoint_hash: self.key.mapping(key),
            host_hash: self.key.address(self.subscriber_of(internal.address)),
            host: None,
            mapping: None,
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
            let Some(next) = self.sessions.ties()[ahead.index as usize].link.next.checked_sub(1) else {
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
        let session = &self.sessions.lines()[index as usize];
        let ties = &self.sessions.ties()[index as usize];
        if let Some(after) = ties.link.next.checked_sub(1) {
            self.sessions.prefetch(after);
        }
        self.flows.prefetch(self.key.flow(session.flow(Realm::Inside)), 0);
        self.flows.prefetch(self.key.flow(session.flow(Realm::Outside)), 0);
        let behaviour = self.config.mapping.behaviour;
        let key = MappingKey::new(behaviour, session.protocol(), session.internal(), session.remote());
        self.endpoints.prefetch(self.key.mapping(key), 0);
        prefetch(self.mappings.lines(), ties.mapping as usize);
        let external = self.subscribers.get(ties.subscriber).external;
        let (protocol, port) = (session.protocol(), session.external().port);
        self.pool.prefetch(Port { address: external, protocol, port });
    }
}

/// Packets of a batch, one bit for each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sight {
    /// Whose session is in another bucket than the first.
    further: u64,
    /// Who have none.
    new: u64,
}

/// The numbers of the bits that are set, from the lowest on.
fn bits(set: u64) -> impl Iterator<Item = usize> {
    let mut left = set;
    core::iter::from_fn(move || {
        let lowest = left.checked_sub(1).map(|_| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(lowest)
    })
}

/// So many packets of a batch without a session are many.
const MANY: u32 = 8;

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
    key: MappingKey,
    endpoint_hash: u64,
    host_hash: u64,
    host: Option<u32>,
    /// Perhaps its mapping, perhaps one with the same tag.
    mapping: Option<u32>,
    /// The port that a new mapping would like to keep.
    port: Option<Port>,
}
