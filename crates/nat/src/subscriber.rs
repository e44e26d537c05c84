//! Subscribers: whose mappings they are, what each may hold, and which external address is theirs.

use zerocopy::FromZeros;

use crate::Protocol;
use crate::config::Limits;
use crate::event::Limit;
use crate::free::FreeList;
use crate::memory::Arena;
use crate::timer::TICK;

/// Kinds of [`Limit`], each reported on its own.
pub(crate) const KINDS: usize = 16;

/// One internal address with at least one mapping.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Subscriber {
    /// The internal address.
    pub(crate) address: u32,
    /// Index of the external address that all its mappings share (paired pooling, RFC 4787 REQ-2).
    pub(crate) external: u32,
    /// External ports held, by protocol.
    ports: [u32; 4],
    /// Sessions.
    pub(crate) sessions: u32,
    /// Sessions that may be opened at once, times the ticks of a second.
    credit: u32,
    /// The tick at which `credit` was right.
    credited: u32,
    /// Sessions that the outside has opened.
    inbound: u32,
    /// Of those what `credit` and `credited` are of all.
    inbound_credit: u32,
    inbound_credited: u32,
    reserved: [u32; 4],
    /// 1 + the tick at which a limit of each kind was last reported, 0: never.
    reported: [u32; KINDS],
}

const _: () = assert!(size_of::<Subscriber>() == 128);

/// Ticks of a second.
const TICKS_PER_SECOND: u32 = (1_000 / TICK.as_millis()) as u32;

impl Subscriber {
    pub(crate) fn new(address: u32, external: u32, limits: &Limits, now: u32) -> Self {
        Self {
            address,
            external,
            ports: [0; 4],
            sessions: 0,
            credit: limits.session_rate_per_subscriber.saturating_mul(TICKS_PER_SECOND),
            credited: now,
            inbound: 0,
            inbound_credit: limits.inbound_rate_per_subscriber.saturating_mul(TICKS_PER_SECOND),
            inbound_credited: now,
            reserved: [0; 4],
            reported: [0; KINDS],
        }
    }

    /// Whether it may have one more port of `protocol`, if `port`, and `sessions` more sessions.
    pub(crate) fn may_open(
        &self,
        protocol: Protocol,
        port: bool,
        sessions: u32,
        limits: &Limits,
        now: u32,
    ) -> Result<(), Limit> {
        let own = limits.ports_by_protocol.get(protocol as usize).copied().flatten();
        let most = own.map_or(limits.ports_per_subscriber, |own| own.min(limits.ports_per_subscriber));
        if port && self.ports[protocol as usize] >= most {
            return Err(Limit::PortsPerSubscriber);
        }
        if self.sessions + sessions > limits.sessions_per_subscriber {
            return Err(Limit::SessionsPerSubscriber);
        }
        let rate = limits.session_rate_per_subscriber;
        // Two at once (a hairpin to itself) cost two, or all that can ever be saved.
        if rate != 0 && earned(self.credit, self.credited, now, rate) < sessions.min(rate) * TICKS_PER_SECOND
        {
            return Err(Limit::SessionRate);
        }
        Ok(())
    }

    /// Whether it has as many sessions as it may have.
    pub(crate) fn has_all_sessions(&self, limits: &Limits) -> bool {
        self.sessions >= limits.sessions_per_subscriber
    }

    /// A session of its is opened.
    pub(crate) fn open_session(&mut self, limits: &Limits, now: u32) {
        self.sessions += 1;
        let rate = limits.session_rate_per_subscriber;
        if rate != 0 {
            self.credit = earned(self.credit, self.credited, now, rate).saturating_sub(TICKS_PER_SECOND);
            self.credited = now;
        }
    }

    /// Whether the outside may open one more session to it (N10).
    pub(crate) fn may_be_reached(&self, limits: &Limits, now: u32) -> Result<(), Limit> {
        self.has_inbound_room(limits)?;
        let rate = limits.inbound_rate_per_subscriber;
        if rate != 0 && earned(self.inbound_credit, self.inbound_credited, now, rate) < TICKS_PER_SECOND {
            return Err(Limit::InboundRate);
        }
        Ok(())
    }

    /// Whether it may have one more session that the outside has opened.
    pub(crate) fn has_inbound_room(&self, limits: &Limits) -> Result<(), Limit> {
        let most = limits.inbound_sessions_per_subscriber;
        if most != 0 && self.inbound >= most { Err(Limit::InboundPerSubscriber) } else { Ok(()) }
    }

    /// The outside has opened a session to it.
    pub(crate) fn reached(&mut self) {
        self.inbound += 1;
    }

    /// What that costs of the rate; a tuple that is opened once more costs nothing.
    pub(crate) fn pay_inbound(&mut self, limits: &Limits, now: u32) {
        let rate = limits.inbound_rate_per_subscriber;
        if rate != 0 {
            let credit = earned(self.inbound_credit, self.inbound_credited, now, rate);
            self.inbound_credit = credit.saturating_sub(TICKS_PER_SECOND);
            self.inbound_credited = now;
        }
    }

    /// A session that the outside had opened is over.
    pub(crate) fn left(&mut self) {
        self.inbound = self.inbound.saturating_sub(1);
    }

    pub(crate) fn take_port(&mut self, protocol: Protocol) {
        self.ports[protocol as usize] += 1;
    }

    pub(crate) fn give_port(&mut self, protocol: Protocol) {
        self.ports[protocol as usize] -= 1;
    }

    /// Ports held of `protocol`.
    pub(crate) fn held(&self, protocol: Protocol) -> u32 {
        self.ports[protocol as usize]
    }

    pub(crate) fn holds_ports(&self) -> bool {
        self.ports != [0; 4]
    }

    /// Whether `limit` is to be reported now; if so, not again for `interval` ticks.
    pub(crate) fn report(&mut self, limit: Limit, interval: u32, now: u32) -> bool {
        report(&mut self.reported[limit as usize], interval, now)
    }
}

/// A tick earns `rate`, a session costs the ticks of a second, a second's worth may be saved.
fn earned(credit: u32, credited: u32, now: u32, rate: u32) -> u32 {
    let earned = now.saturating_sub(credited).saturating_mul(rate);
    credit.saturating_add(earned).min(rate.saturating_mul(TICKS_PER_SECOND))
}

/// Whether something last reported at `last - 1` (0: never) is to be reported again; notes it if so.
pub(crate) fn report(last: &mut u32, interval: u32, now: u32) -> bool {
    let due = last.checked_sub(1).is_none_or(|last| now.saturating_sub(last) >= interval);
    if due {
        *last = now + 1;
    }
    due
}

/// All subscribers.
#[derive(Debug)]
pub(crate) struct Subscribers {
    lines: Arena<Subscriber>,
    free: FreeList,
}

impl Subscribers {
    /// What one takes, its place in the free list included.
    pub(crate) const OCTETS: u64 = (size_of::<Subscriber>() + size_of::<u32>()) as u64;

    pub(crate) fn new(capacity: u32) -> std::io::Result<Self> {
        Ok(Self { lines: Arena::cold(capacity as usize)?, free: FreeList::new(capacity)? })
    }

    pub(crate) fn has_room(&self, count: u32) -> bool {
        self.free.has_room(count)
    }

    pub(crate) fn insert(&mut self, subscriber: Subscriber) -> Option<u32> {
        let index = self.free.take()?;
        self.lines[index as usize] = subscriber;
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.free.give(index);
    }

    pub(crate) fn get(&self, index: u32) -> &Subscriber {
        &self.lines[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Subscriber {
        &mut self.lines[index as usize]
    }

    pub(crate) fn lines(&self) -> &[Subscriber] {
        &self.lines
    }
}
