//! Sessions: the hot half of a flow, one cache line each.

use core::net::Ipv4Addr;

use rules::tracking::{self, Side, State};
use wire::checksum::Delta;
use zerocopy::FromZeros;

use crate::event::{MappingId, OpenedFrom, SessionId};
use crate::hash::Flow;
use crate::memory::Arena;
use crate::{Endpoint, Protocol, Realm};

/// The remote opened it.
const OPENED_OUTSIDE: u8 = 1;
/// The remote endpoint is an external address of ours.
const HAIRPIN: u8 = 2;
/// The line is in use.
const LIVE: u8 = 4;

/// One session. Everything that forwarding an established flow reads or writes is in here.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Session {
    internal_address: u32,
    external_address: u32,
    remote_address: u32,
    internal_port: u16,
    external_port: u16,
    remote_port: u16,
    protocol: u8,
    flags: u8,
    /// `tracking::State` for TCP, else 0.
    state: u8,
    /// Which of [`Timers`] runs.
    timer: u8,
    /// What going out does to the IP header checksum (the address alone)...
    ip_delta: u16,
    /// ... and to the transport checksum (address and port).
    transport_delta: u16,
    /// The tick of the last packet that counts.
    pub(crate) last_seen: u32,
    /// Index of its mapping.
    pub(crate) mapping: u32,
    /// Index of its subscriber.
    pub(crate) subscriber: u32,
    /// 1 + index of the other session of a hairpin, 0: none.
    partner: u32,
    /// Links of the timer wheel (or of the free list).
    pub(crate) link: crate::timer::Link,
    reserved: u32,
}

const _: () = assert!(size_of::<Session>() == 64);

/// The idle times, in ticks: the five of `tracking::Timer`, UDP, ICMP.
pub(crate) type Timers = [u32; 7];

/// Where [`Timers`] holds UDP's.
pub(crate) const UDP_TIMER: u8 = 5;
/// Where [`Timers`] holds ICMP's.
pub(crate) const ICMP_TIMER: u8 = 6;

/// What a new session is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSession {
    pub(crate) protocol: Protocol,
    pub(crate) internal: Endpoint,
    pub(crate) external: Endpoint,
    pub(crate) remote: Endpoint,
    pub(crate) opened_from: OpenedFrom,
    pub(crate) hairpin: bool,
    pub(crate) mapping: u32,
    pub(crate) subscriber: u32,
    pub(crate) now: u32,
}

impl Session {
    pub(crate) fn new(new: NewSession) -> Self {
        let mut flags = LIVE;
        if new.opened_from == OpenedFrom::Outside {
            flags |= OPENED_OUTSIDE;
        }
        if new.hairpin {
            flags |= HAIRPIN;
        }
        let ip_delta = Delta::address(new.internal.address, new.external.address);
        let port_delta = Delta::u16(new.internal.port, new.external.port);
        let transport_delta = match new.protocol {
            // An ICMP checksum has no pseudo-header.
            Protocol::Icmp => port_delta,
            Protocol::Tcp | Protocol::Udp => ip_delta.and(port_delta),
        };
        Self {
            internal_address: new.internal.address.to_bits(),
            external_address: new.external.address.to_bits(),
            remote_address: new.remote.address.to_bits(),
            internal_port: new.internal.port,
            external_port: new.external.port,
            remote_port: new.remote.port,
            protocol: new.protocol as u8,
            flags,
            state: State::Closed as u8,
            timer: match new.protocol {
                Protocol::Tcp => State::Closed.timer() as u8,
                Protocol::Udp => UDP_TIMER,
                Protocol::Icmp => ICMP_TIMER,
            },
            ip_delta: ip_delta.raw(),
            transport_delta: transport_delta.raw(),
            last_seen: new.now,
            mapping: new.mapping,
            subscriber: new.subscriber,
            partner: 0,
            link: crate::timer::Link::default(),
            reserved: 0,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.flags & LIVE != 0
    }

    pub(crate) fn is_hairpin(&self) -> bool {
        self.flags & HAIRPIN != 0
    }

    pub(crate) fn opened_from(&self) -> OpenedFrom {
        if self.flags & OPENED_OUTSIDE != 0 { OpenedFrom::Outside } else { OpenedFrom::Inside }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        Protocol::ALL[usize::from(self.protocol).min(2)]
    }

    pub(crate) fn internal(&self) -> Endpoint {
        Endpoint::new(Ipv4Addr::from_bits(self.internal_address), self.internal_port)
    }

    pub(crate) fn external(&self) -> Endpoint {
        Endpoint::new(Ipv4Addr::from_bits(self.external_address), self.external_port)
    }

    pub(crate) fn remote(&self) -> Endpoint {
        Endpoint::new(Ipv4Addr::from_bits(self.remote_address), self.remote_port)
    }

    pub(crate) fn partner(&self) -> Option<u32> {
        self.partner.checked_sub(1)
    }

    pub(crate) fn set_partner(&mut self, partner: Option<u32>) {
        self.partner = partner.map_or(0, |index| index + 1);
    }

    /// The tuple of its packets in `realm`.
    #[inline(always)]
    pub(crate) fn flow(&self, realm: Realm) -> Flow {
        match realm {
            Realm::Inside => Flow::new(realm, self.protocol(), self.internal(), self.remote()),
            Realm::Outside => Flow::new(realm, self.protocol(), self.remote(), self.external()),
        }
    }

    /// What translating outwards does to the IP checksum; inwards it is the reverse.
    pub(crate) fn ip_delta(&self) -> Delta {
        Delta::from_raw(self.ip_delta)
    }

    /// The same for the transport checksum.
    pub(crate) fn transport_delta(&self) -> Delta {
        Delta::from_raw(self.transport_delta)
    }

    pub(crate) fn id(&self) -> SessionId {
        SessionId {
            mapping: MappingId {
                protocol: self.protocol(),
                internal: self.internal(),
                external: self.external(),
            },
            remote: self.remote(),
            opened_from: self.opened_from(),
        }
    }

    pub(crate) fn state(&self) -> State {
        State::from_number(self.state).unwrap_or(State::Closed)
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.state = state as u8;
        self.timer = state.timer() as u8;
    }

    /// A TCP segment with `flags` of these, from `realm`: the state moves, and the timer if it is to.
    /// `true`: another timer runs now, so the deadline may have come nearer.
    #[inline(always)]
    pub(crate) fn track(&mut self, realm: Realm, segment: tracking::Segment, now: u32) -> bool {
        let side = if OpenedFrom::from(realm) == self.opened_from() { Side::Client } else { Side::Server };
        let step = tracking::step(self.state(), side, segment);
        if step.refresh {
            self.last_seen = now;
        }
        let timer = self.timer;
        if step.state as u8 != self.state {
            self.set_state(step.state);
        }
        timer != self.timer
    }

    /// The first tick at which it is over, unless a packet comes. A packet may have come late in its
    /// tick, hence the one more: no session ever ends before its time.
    #[inline(always)]
    pub(crate) fn deadline(&self, timers: &Timers) -> u32 {
        self.last_seen.saturating_add(timers[usize::from(self.timer) % timers.len()]).saturating_add(1)
    }
}

/// All sessions: a fixed number of lines and a list of the free ones.
#[derive(Debug)]
pub(crate) struct Sessions {
    lines: Arena<Session>,
    free: FreeList,
}

/// Which lines of an arena are free: those given back, last first, then those never used.
#[derive(Debug, Default)]
pub(crate) struct FreeList {
    /// 1 + index of the first one given back; the rest hang on it.
    head: u32,
    used: u32,
    live: u32,
}

impl FreeList {
    /// A free line of `capacity`, if there is one; `next` reads the link of a free line.
    pub(crate) fn take(&mut self, capacity: usize, next: impl FnOnce(u32) -> u32) -> Option<u32> {
        let index = if let Some(index) = self.head.checked_sub(1) {
            self.head = next(index);
            index
        } else if (self.used as usize) < capacity {
            self.used += 1;
            self.used - 1
        } else {
            return None;
        };
        self.live += 1;
        Some(index)
    }

    /// Gives `index` back; the answer is to be kept as its link.
    pub(crate) fn give(&mut self, index: u32) -> u32 {
        self.live -= 1;
        core::mem::replace(&mut self.head, index + 1)
    }

    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// Lines that were ever in use: all live ones are among the first so many.
    pub(crate) fn used(&self) -> usize {
        self.used as usize
    }
}

impl Sessions {
    pub(crate) fn new(capacity: u32) -> std::io::Result<Self> {
        Ok(Self { lines: Arena::new(capacity as usize)?, free: FreeList::default() })
    }

    pub(crate) fn has_room(&self, count: u32) -> bool {
        (self.free.live() + count) as usize <= self.lines.len()
    }

    pub(crate) fn insert(&mut self, session: Session) -> Option<u32> {
        let index = self.free.take(self.lines.len(), |index| self.lines[index as usize].link.next)?;
        self.lines[index as usize] = session;
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let next = self.free.give(index);
        let line = &mut self.lines[index as usize];
        line.flags = 0;
        line.link.next = next;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.lines[..self.free.used()].iter().filter(|session| session.is_live())
    }

    pub(crate) fn len(&self) -> u32 {
        self.free.live()
    }

    #[inline(always)]
    pub(crate) fn lines(&self) -> &[Session] {
        &self.lines
    }

    #[inline(always)]
    pub(crate) fn lines_mut(&mut self) -> &mut [Session] {
        &mut self.lines
    }
}
