//! Mappings that somebody asks for: a PCP server (RFC 6887, RFC 7753), a gateway for FTP.
//!
//! Such a mapping serves all remotes whatever the mapping behaviour, lives without sessions until its time is
//! over, and after that as long as it has some. It counts against its subscriber's limits as any other does.

use core::time::Duration;

use rules::Instant;
use rules::address::is_martian;

use crate::engine::Engine;
use crate::event::Limit;
use crate::mapping::MappingKey;
use crate::pool::{Port, Run};
use crate::timer::{start_of, ticks};
use crate::{Endpoint, Protocol};

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The subscriber's endpoint; of a set, the first one.
    pub internal: Endpoint,
    /// How many consecutive ports, from `internal`'s on. There may be fewer in the answer.
    pub count: u16,
    /// The external port that would be best; of a set, the first one. A wish, nothing more.
    pub suggested: Option<u16>,
    /// Of the first external port.
    pub parity: Parity,
    /// How long it is kept without sessions.
    pub lifetime: Duration,
    /// Strangers may use it, whatever `filtering` says.
    pub open: bool,
}

/// Whether a port is even or odd (N15, RFC 7753).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Parity {
    /// It does not matter.
    #[default]
    Any,
    /// Even.
    Even,
    /// Odd.
    Odd,
    /// As the internal one is.
    Preserved,
}

/// What was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// The first external endpoint; its ports go up as the internal ones do.
    pub external: Endpoint,
    /// How many ports.
    pub count: u16,
    /// Until when they are kept; `None`: for ever, the configuration says so.
    pub until: Option<Instant>,
}

/// Why nothing was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unallocated {
    /// The internal endpoint is no subscriber's, its port is 0, or the set goes beyond port 65535 or is empty.
    #[error("this is no subscriber's endpoint")]
    Endpoint,
    /// It is neither TCP nor UDP.
    #[error("only TCP and UDP ports can be asked for")]
    Protocol,
    /// A limit, or no such port is free.
    #[error("{}", .0.reason())]
    Limit(Limit),
}

impl From<Limit> for Unallocated {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl Engine {
    /// Gives what `request` asks for, or as much of it as there is. If the first internal endpoint has a mapping
    /// that serves all remotes already, that is the answer, and it is kept from now on; so asking again extends
    /// the time.
    ///
    /// # Errors
    /// What is wrong with the request, or the limit that refuses the first of its ports.
    pub fn allocate(&mut self, request: &Request, now: Instant) -> Result<Allocation, Unallocated> {
        self.advance(now);
        let Request { protocol, internal, .. } = *request;
        if !matches!(protocol, Protocol::Tcp | Protocol::Udp) {
            return Err(Unallocated::Protocol);
        }
        let last = request.count.checked_sub(1).and_then(|more| internal.port.checked_add(more));
        if is_martian(internal.address)
            || !self.inside.contain(internal.address)
            || internal.port == 0
            || last.is_none()
        {
            return Err(Unallocated::Endpoint);
        }
        if let Some(first) = self.find_mapping(MappingKey::independent(protocol, internal)) {
            return Ok(self.renew(first, request));
        }
        let (_, address) = self.plan_home(protocol, internal, 0)?;
        let undrawn = self.selector.clone();
        let (address, run) = match self.port_kept_for(MappingKey::independent(protocol, internal)) {
            // One port for both protocols is a promise, the rest are wishes. It is where the other's is, and the
            // subscriber may have moved on since (soft pooling).
            Some(port) => (port.address, Some(Run { first: port.port, count: 1 })),
            None if self.basic.is(address) => (address, self.run_of_whole(request)),
            None => (address, self.plan_run(address, request)),
        };
        let why = || self.pool.why_none(address, protocol, self.subscriber_of(internal.address));
        let outcome = run.ok_or_else(why).and_then(|run| self.create_run(address, run, request));
        if outcome.is_err() {
            // A refusal draws nothing.
            self.selector = undrawn;
        }
        Ok(outcome?)
    }

    /// Keeps what [`Self::allocate`] gave for `lifetime` from now on, sets included: `count` ports from `internal`
    /// on, as far as there are any. `None`: the first one is not there.
    pub fn extend(
        &mut self,
        (protocol, internal, count): (Protocol, Endpoint, u16),
        lifetime: Duration,
        now: Instant,
    ) -> Option<Allocation> {
        self.advance(now);
        let first = self.find_mapping(MappingKey::independent(protocol, internal))?;
        let parity = Parity::Any;
        let request = Request { protocol, internal, count, suggested: None, parity, lifetime, open: false };
        self.mappings.get(first).is_kept().then(|| self.renew(first, &request))
    }

    /// Keeps `count` mappings from `internal` on no longer; those without sessions end at once. How many of them
    /// were kept. Those of the configuration stay.
    pub fn deallocate(
        &mut self,
        (protocol, internal, count): (Protocol, Endpoint, u16),
        now: Instant,
    ) -> u16 {
        self.advance(now);
        let mut released = 0;
        for port in (internal.port..=u16::MAX).take(count.into()) {
            let key = MappingKey::independent(protocol, Endpoint { port, ..internal });
            let Some(index) = self.find_mapping(key) else { continue };
            let line = self.mappings.get(index);
            if line.is_kept() && !line.is_static() {
                self.let_go(index, self.tick);
                released += 1;
            }
        }
        released
    }

    /// Of an address that is translated whole, ports are what they are inside.
    fn run_of_whole(&self, request: &Request) -> Option<Run> {
        let first = request.internal.port;
        let fits = wanted(request).is_none_or(|odd| odd == (first % 2 == 1));
        fits.then(|| Run { first, count: self.unmapped(request) })
    }

    /// Where the ports of a set will be: at the suggested one, at the internal one, or drawn.
    fn plan_run(&mut self, address: u32, request: &Request) -> Option<Run> {
        let Request { protocol, internal, .. } = *request;
        let odd = wanted(request);
        let count = self.unmapped(request);
        let flow = [u64::from(internal.address.to_bits()) << 16 | u64::from(internal.port), protocol as u64];
        let subscriber = self.subscriber_of(internal.address);
        let mut selector = self.selector.clone();
        let scopes = self.pool.scopes(address, protocol, subscriber, |count| {
            selector.select(0..=count.checked_sub(1)?, flow, |from| self.pool.free_block(address, from))
        });
        let preserved = self.config.ports.preserve.then_some(internal.port);
        let mut longest = None;
        for range in scopes.ranges() {
            for port in request.suggested.into_iter().chain(preserved) {
                let fits = odd.is_none_or(|odd| odd == (port % 2 == 1));
                let run = self.pool.run_at(Port { address, protocol, port }, range, count);
                if let Some(run) = run.filter(|run| fits && run.count == count) {
                    self.selector = selector;
                    return Some(run);
                }
            }
            let port = selector.select(range.clone(), flow, Some)?;
            let run = self.pool.find_run(Port { address, protocol, port }, range, odd, count);
            let more = run.is_some_and(|run| longest.is_none_or(|longest: Run| run.count > longest.count));
            if more {
                longest = run;
            }
        }
        self.selector = selector;
        longest
    }

    /// How many of the internal endpoints have no mapping yet, before the first that has; the very first has none.
    fn unmapped(&self, request: &Request) -> u16 {
        let Request { protocol, internal, count, .. } = *request;
        let has_none = |port: &u16| {
            let internal = Endpoint { port: *port, ..internal };
            self.find_mapping(MappingKey::independent(protocol, internal)).is_none()
        };
        1 + (internal.port..=u16::MAX).take(count.into()).skip(1).take_while(has_none).count() as u16
    }

    /// Makes the mappings of a set, as many as limits allow.
    fn create_run(&mut self, address: u32, run: Run, request: &Request) -> Result<Allocation, Limit> {
        let Request { protocol, internal, .. } = *request;
        let until = self.kept_until(request.lifetime);
        let mut made = 0;
        for more in 0..run.count {
            let internal = Endpoint { port: internal.port.saturating_add(more), ..internal };
            let port = Port { address, protocol, port: run.first.saturating_add(more) };
            match self.create_kept(internal, port, until, request.open) {
                Ok(()) => made += 1,
                Err(limit) if made == 0 => return Err(limit),
                Err(_) => break,
            }
        }
        let external = self.pool.endpoint(Port { address, protocol, port: run.first });
        Ok(Allocation { external, count: made, until: Some(start_of(until)) })
    }

    fn create_kept(&mut self, internal: Endpoint, port: Port, until: u32, open: bool) -> Result<(), Limit> {
        let (subscriber, _) = self.plan_home(port.protocol, internal, 0)?;
        let key = MappingKey::independent(port.protocol, internal);
        if !self.mappings.has_room(1) || !self.endpoints.has_room(self.key.mapping(key)) {
            return Err(Limit::Mappings);
        }
        let index = self.create_mapping(key, subscriber, port).ok_or(Limit::Mappings)?;
        self.mappings.get_mut(index).set_kept(open);
        self.kept.keep(index, until, false);
        Ok(())
    }

    /// Keeps mapping `first`, and those of a set that go up with it.
    fn renew(&mut self, first: u32, request: &Request) -> Allocation {
        let Request { protocol, internal, .. } = *request;
        let line = self.mappings.get(first);
        let external = line.external();
        if line.is_static() {
            return Allocation { external, count: 1, until: None };
        }
        let until = self.kept_until(request.lifetime);
        let mut count = 0;
        for more in 0..request.count {
            let at = |endpoint: Endpoint| {
                endpoint.port.checked_add(more).map(|port| Endpoint { port, ..endpoint })
            };
            let (Some(internal), Some(external)) = (at(internal), at(external)) else { break };
            let Some(index) = self.find_mapping(MappingKey::independent(protocol, internal)) else { break };
            let line = self.mappings.get_mut(index);
            if line.external() != external || line.is_static() {
                break;
            }
            let before = line.is_kept();
            line.set_kept(request.open);
            self.kept.keep(index, until, before);
            count += 1;
        }
        Allocation { external, count, until: Some(start_of(until)) }
    }

    /// The first tick at which what is kept for `lifetime` is so no longer: never early.
    fn kept_until(&self, lifetime: Duration) -> u32 {
        self.tick.saturating_add(ticks(lifetime)).saturating_add(1)
    }

    /// The time of one kept mapping is over.
    #[cold]
    pub(crate) fn expire_kept(&mut self) {
        if let Some((tick, index)) = self.kept.first() {
            self.let_go(index, tick);
        }
    }

    /// Mapping `index` is kept no longer.
    fn let_go(&mut self, index: u32, tick: u32) {
        self.kept.remove(index);
        self.mappings.get_mut(index).set_ordinary();
        self.delete_unused_mapping(index, tick);
    }
}

/// Whether the first external port must be odd; `None`: it does not matter.
fn wanted(request: &Request) -> Option<bool> {
    match request.parity {
        Parity::Any => None,
        Parity::Even => Some(false),
        Parity::Odd => Some(true),
        Parity::Preserved => Some(request.internal.port % 2 == 1),
    }
}
