//! Sessions: the hot half of a flow, one cache line each, and what it is tied to, half a line.

use core::net::Ipv4Addr;

use rules::tracking::{self, Side, State};
use wire::checksum::Delta;
use wire::prefetch::prefetch;
use zerocopy::FromZeros;

use crate::event::{MappingId, OpenedFrom, SessionId};
use crate::free::FreeList;
use crate::hash::{Flow, HashKey};
use crate::memory::Arena;
use crate::rewrite::Rewrite;
use crate::tcp::Line;
use crate::{Endpoint, Protocol, Realm};

/// Places of the three endpoints. A packet from inside goes from the internal one to the remote, one
/// from outside from the remote to the external; so the realm's number is enough to find them, and
/// the hot path has no branch that depends on where a packet comes from.
const INTERNAL: usize = 0;
const EXTERNAL: usize = 1;
const REMOTE: usize = 2;

/// The remote opened it.
const OPENED_OUTSIDE: u8 = 1;
/// The remote endpoint is an external address of ours.
const HAIRPIN: u8 = 2;
/// The line is in use.
const LIVE: u8 = 4;

/// In [`Rewrite::shift`]: it is a control connection of FTP, whose payload is looked at.
pub(crate) const CONTROL: u32 = 1 << 31;

/// One session. Everything that forwarding an established flow reads or writes is in here, what is
/// followed of a TCP connection too: a second line of its own cost a second miss for each segment.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Session {
    /// Of the [`INTERNAL`], the [`EXTERNAL`] and the [`REMOTE`] endpoint.
    addresses: [u32; 3],
    /// The tick of the last packet that counts.
    pub(crate) last_seen: u32,
    /// Where the shift of its numbers is (`tcp::shift`), 0: it has none; and [`CONTROL`].
    shift: u32,
    /// Of a TCP connection, what its segments have said.
    pub(crate) line: Line,
    ports: [u16; 3],
    /// What going out does to the IP header checksum (the address alone)...
    ip_delta: u16,
    /// ... and to the transport checksum (address and port).
    transport_delta: u16,
    /// How often the line was begun or came to TIME-WAIT: tells a place in the queue of those that rest
    /// from an older one.
    pub(crate) epoch: u16,
    protocol: u8,
    flags: u8,
    /// `tracking::State`; UDP and ICMP sessions are always established, so that one table serves all.
    state: u8,
    /// Which of [`Timers`] runs.
    timer: u8,
}

const _: () = assert!(size_of::<Session>() == 64);

/// What a session is tied to: asked for when it begins and ends, and by the wheel.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct Ties {
    /// Links of the timer wheel.
    pub(crate) link: crate::timer::Link,
    /// Index of its mapping.
    pub(crate) mapping: u32,
    /// Index of its subscriber.
    pub(crate) subscriber: u32,
    /// 1 + index of the other session of a hairpin, 0: none.
    partner: u32,
}

const _: () = assert!(size_of::<Ties>() == 32);

impl Ties {
    #[inline(always)]
    fn new(new: &NewSession) -> Self {
        let link = crate::timer::Link::default();
        Self { link, mapping: new.mapping, subscriber: new.subscriber, partner: 0 }
    }

    pub(crate) fn partner(&self) -> Option<u32> {
        self.partner.checked_sub(1)
    }

    pub(crate) fn set_partner(&mut self, partner: Option<u32>) {
        self.partner = partner.map_or(0, |index| index + 1);
    }
}

/// The idle times, in ticks: the five of `tracking::Timer`, UDP, ICMP, other protocols, and those of
/// single UDP ports. A mask is all that an index needs.
pub(crate) type Timers = [u32; 16];

/// Where [`Timers`] holds UDP's.
pub(crate) const UDP_TIMER: u8 = 5;
/// Where [`Timers`] holds ICMP's.
pub(crate) const ICMP_TIMER: u8 = 6;
/// Where [`Timers`] holds that of protocols without ports.
pub(crate) const OTHER_TIMER: u8 = 7;
/// Where [`Timers`] holds that of the first of `udp.port_timeouts`.
pub(crate) const PORT_TIMERS: u8 = 8;

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
    /// Of the tuple in each realm.
    pub(crate) hashes: [u64; 2],
}

impl NewSession {
    /// With the hashes of its tuples.
    #[inline(always)]
    pub(crate) fn hashed(mut self, key: HashKey) -> Self {
        self.hashes = [Realm::Inside, Realm::Outside].map(|realm| key.flow(self.flow(realm)));
        self
    }

    /// What [`Session::flow`] will be.
    #[inline(always)]
    pub(crate) fn flow(&self, realm: Realm) -> Flow {
        match realm {
            Realm::Inside => Flow::new(realm, self.protocol, self.internal, self.remote),
            Realm::Outside => Flow::new(realm, self.protocol, self.remote, self.external),
        }
    }
}

impl Session {
    // In line, so that it is written where it will be: a line that is put together elsewhere and then
    // copied waits for its own stores.
    #[inline(always)]
    fn new(new: &NewSession, epoch: u16) -> Self {
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
            Protocol::Tcp | Protocol::Udp | Protocol::Other => ip_delta.and(port_delta),
        };
        Self {
            addresses: [new.internal, new.external, new.remote].map(|end| end.address.to_bits()),
            ports: [new.internal, new.external, new.remote].map(|end| end.port),
            protocol: new.protocol as u8,
            flags,
            state: match new.protocol {
                Protocol::Tcp => State::Closed as u8,
                Protocol::Udp | Protocol::Icmp | Protocol::Other => State::Established as u8,
            },
            timer: match new.protocol {
                Protocol::Tcp => State::Closed.timer() as u8,
                Protocol::Udp => UDP_TIMER,
                Protocol::Icmp => ICMP_TIMER,
                Protocol::Other => OTHER_TIMER,
            },
            ip_delta: ip_delta.raw(),
            transport_delta: transport_delta.raw(),
            last_seen: new.now,
            shift: 0,
            line: Line::default(),
            epoch,
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
        Protocol::from_index(self.protocol)
    }

    pub(crate) fn internal(&self) -> Endpoint {
        self.endpoint(INTERNAL)
    }

    pub(crate) fn external(&self) -> Endpoint {
        self.endpoint(EXTERNAL)
    }

    pub(crate) fn remote(&self) -> Endpoint {
        self.endpoint(REMOTE)
    }

    #[inline(always)]
    fn endpoint(&self, place: usize) -> Endpoint {
        Endpoint::new(Ipv4Addr::from_bits(self.addresses[place]), self.ports[place])
    }

    pub(crate) fn shift(&self) -> u32 {
        self.shift & !CONTROL
    }

    pub(crate) fn set_shift(&mut self, place: u32) {
        self.shift = self.shift & CONTROL | place;
    }

    /// It is a control connection of FTP.
    pub(crate) fn set_control(&mut self) {
        self.shift |= CONTROL;
    }

    /// The tuple of its packets in `realm`.
    #[inline(always)]
    pub(crate) fn flow(&self, realm: Realm) -> Flow {
        let (source, destination) = (REMOTE * realm as usize, REMOTE - realm as usize);
        Flow {
            addresses: u64::from(self.addresses[source]) << 32 | u64::from(self.addresses[destination]),
            ports: u64::from(self.ports[source]) << 32
                | u64::from(self.ports[destination]) << 16
                | u64::from(self.protocol) << 8
                | realm as u64,
        }
    }

    /// Whether `flow` is the tuple of its packets, in the realm that `flow` names.
    pub(crate) fn has(&self, flow: Flow) -> bool {
        let realm = flow.realm();
        self.flow(realm) == flow
    }

    /// What a packet of its from `realm` is rewritten to.
    #[inline(always)]
    pub(crate) fn rewrite(&self, realm: Realm) -> Rewrite {
        // From inside, external to remote; from outside, remote to internal.
        let (source, destination) = (EXTERNAL + realm as usize, REMOTE - REMOTE * realm as usize);
        let mut ports = u32::from(self.ports[source]) << 16 | u32::from(self.ports[destination]);
        if self.protocol == Protocol::Icmp as u8 {
            // One identifier is both ports.
            ports = u32::from(self.ports[EXTERNAL - realm as usize]) * 0x0001_0001;
        }
        // The way back is the reverse: every bit of the delta turned.
        let turn = (realm as u16).wrapping_neg();
        Rewrite {
            addresses: u64::from(self.addresses[source]) << 32 | u64::from(self.addresses[destination]),
            ports,
            ip: Delta::from_raw(self.ip_delta ^ turn),
            transport: Delta::from_raw(self.transport_delta ^ turn),
            shift: self.shift,
        }
    }

    /// `mapping` is its mapping's.
    pub(crate) fn id(&self, mapping: MappingId) -> SessionId {
        SessionId { mapping, remote: self.remote(), opened_from: self.opened_from() }
    }

    /// It begins anew on the same tuple.
    pub(crate) fn reopen(&mut self, from: OpenedFrom) {
        self.line = Line::default();
        self.epoch = self.epoch.wrapping_add(1);
        self.flags &= !OPENED_OUTSIDE;
        if from == OpenedFrom::Outside {
            self.flags |= OPENED_OUTSIDE;
        }
        self.set_state(State::Closed);
    }

    pub(crate) fn state(&self) -> State {
        State::from_number(self.state).unwrap_or(State::Closed)
    }

    /// Another timer than its protocol's runs.
    pub(crate) fn set_timer(&mut self, timer: u8) {
        self.timer = timer;
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.state = state as u8;
        self.timer = state.timer() as u8;
    }

    /// A TCP segment from `realm`: the state moves, and the timer if it is to. `true`: another timer
    /// runs now, so the deadline may have come nearer.
    #[inline(always)]
    pub(crate) fn track(&mut self, realm: Realm, segment: tracking::Segment, now: u32) -> bool {
        let side = if (realm as u8 ^ self.flags) & OPENED_OUTSIDE == 0 { Side::Client } else { Side::Server };
        let step = tracking::step(self.state(), side, segment);
        if step.refresh {
            self.last_seen = now;
        }
        if step.state as u8 == self.state {
            return false;
        }
        let timer = self.timer;
        self.set_state(step.state);
        timer != self.timer
    }

    /// The first tick at which it is over, unless a packet comes. A packet may have come late in its
    /// tick, hence the one more: no session ever ends before its time.
    #[inline(always)]
    pub(crate) fn deadline(&self, timers: &Timers) -> u32 {
        self.last_seen.saturating_add(timers[usize::from(self.timer & 15)]).saturating_add(1)
    }
}

/// All sessions: a fixed number of lines, and which of them are free.
#[derive(Debug)]
pub(crate) struct Sessions {
    lines: Arena<Session>,
    ties: Arena<Ties>,
    free: FreeList,
}

impl Sessions {
    /// What one takes, its place in the free list included.
    pub(crate) const OCTETS: u64 = (size_of::<Session>() + size_of::<Ties>() + size_of::<u32>()) as u64;

    pub(crate) fn new(capacity: u32) -> std::io::Result<Self> {
        let count = capacity as usize;
        Ok(Self { lines: Arena::hot(count)?, ties: Arena::hot(count)?, free: FreeList::new(capacity)? })
    }

    pub(crate) fn has_room(&self, count: u32) -> bool {
        self.free.has_room(count)
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, new: &NewSession) -> Option<u32> {
        let index = self.free.take()?;
        let line = &mut self.lines[index as usize];
        *line = Session::new(new, line.epoch.wrapping_add(1));
        self.ties[index as usize] = Ties::new(new);
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.free.give(index);
        self.lines[index as usize].flags = 0;
    }

    /// Each with what it is tied to.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Session, &Ties)> {
        let used = self.free.used();
        self.lines[..used].iter().zip(&self.ties[..used]).filter(|(session, _)| session.is_live())
    }

    pub(crate) fn len(&self) -> u32 {
        self.free.live()
    }

    /// Asks for the lines of the next `count` sessions to be made.
    pub(crate) fn prefetch_free(&self, count: usize) {
        for index in self.free.next(count) {
            self.prefetch(index);
        }
    }

    /// Asks for all of session `index`.
    #[inline(always)]
    pub(crate) fn prefetch(&self, index: u32) {
        prefetch(&self.lines, index as usize);
        prefetch(&self.ties, index as usize);
    }

    #[inline(always)]
    pub(crate) fn lines(&self) -> &[Session] {
        &self.lines
    }

    #[inline(always)]
    pub(crate) fn lines_mut(&mut self) -> &mut [Session] {
        &mut self.lines
    }

    #[inline(always)]
    pub(crate) fn ties(&self) -> &[Ties] {
        &self.ties
    }

    #[inline(always)]
    pub(crate) fn ties_mut(&mut self) -> &mut [Ties] {
        &mut self.ties
    }
}
