//! BSD sockets over the endpoint: what an application sees, in virtual time.
//!
//! A [`Host`] is an endpoint with a clock that only moves when it is told to, the packets that it has
//! sent, and its sockets. A call that would block says so ([`Stop::Blocks`]) and is made again later.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rules::Instant;
use tcp::{Checksum, Config, ConnectionId, Endpoint, EndpointConfig, Event, ListenerId, Reason, State};

use crate::symbols::*;

mod data;
mod epoll;
mod open;
mod options;
mod poll;

pub use epoll::EpollEvent;
pub use poll::PollFd;

/// Why a call did not return a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It failed.
    Error(Errno),
    /// It has to wait: make it again when something has happened.
    Blocks,
    /// It asks for something that the endpoint does not have.
    Unsupported(&'static str),
}

/// What a call gives.
pub type Outcome<T> = Result<T, Stop>;

/// A packet that left the endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// The IPv4 packet.
    pub octets: Vec<u8>,
}

/// An endpoint, its clock, and its application's sockets.
pub struct Host {
    settings: EndpointConfig,
    /// Made at the first call or packet, so that settings can come before.
    endpoint: Option<Endpoint>,
    now: Instant,
    sockets: BTreeMap<i32, Socket>,
    polls: BTreeMap<i32, epoll::Set>,
    next_fd: i32,
    /// ECN is asked for when a connection is opened, not only granted when asked.
    ecn_active: bool,
    /// The script was written for FreeBSD: it orders and pads options in another way.
    pub(crate) freebsd: bool,
    sent: VecDeque<Sent>,
    /// Counts what happened: an edge-triggered wait reports again when it has moved.
    edges: u64,
}

/// A socket.
struct Socket {
    state: SocketState,
    config: Config,
    local: Option<SocketAddrV4>,
    nonblocking: bool,
    read_shut: bool,
    write_shut: bool,
    /// SO_LINGER: on, seconds.
    linger: Option<i32>,
    /// The end of the connection has been reported to the application.
    reported: bool,
    /// A non-blocking `connect` has been told of its success.
    connect_reported: bool,
    /// MSG_MORE holds what was written.
    more: bool,
    /// TCP_CORK holds it.
    cork: bool,
    /// Keep-alive timing, which is kept while they are off.
    keep_alive: tcp::KeepAlive,
    /// Options that change nothing here and are only remembered.
    remembered: BTreeMap<(i32, i32), Vec<u8>>,
    /// Connections taken from the endpoint by `poll`, which the application has yet to accept.
    waiting: VecDeque<ConnectionId>,
    /// When this socket's connection last had an event.
    edge: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SocketState {
    Fresh,
    Listening(ListenerId),
    Connected(ConnectionId),
}

/// The kernel's page-sized allowance in SO_RCVBUF is not modelled: what is set is what is used.
const LARGEST_PACKET: usize = 65_535;
/// More timers at one moment than any endpoint needs: one that never moves on is found by it.
const TIMERS_AT_ONCE: u32 = 10_000;

impl Host {
    /// A host with the address `local`.
    pub fn new(local: Ipv4Addr) -> Self {
        let settings = EndpointConfig { addresses: vec![local], ..EndpointConfig::default() };
        Self {
            settings,
            endpoint: None,
            now: Instant::from_secs(1_000),
            sockets: BTreeMap::new(),
            polls: BTreeMap::new(),
            next_fd: 3,
            ecn_active: true,
            freebsd: false,
            sent: VecDeque::new(),
            edges: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Settings of the endpoint and of sockets made later. What concerns the endpoint as a whole has
    /// no effect once it is made.
    pub fn settings(&mut self) -> &mut EndpointConfig {
        &mut self.settings
    }

    /// Whether ECN is granted to those who ask, and whether it is asked for.
    pub(crate) fn set_ecn(&mut self, granted: bool, asked: bool) {
        self.settings.connection.ecn = granted;
        self.ecn_active = asked;
    }

    /// The endpoint is made: its own settings stand.
    pub fn is_running(&self) -> bool {
        self.endpoint.is_some()
    }

    fn endpoint(&mut self) -> &mut Endpoint {
        // A fixed key: a script runs the same way every time.
        let settings = &self.settings;
        self.endpoint.get_or_insert_with(|| Endpoint::new(settings.clone(), [0x5A; 32]))
    }

    /// A packet arrives.
    pub fn deliver(&mut self, packet: &[u8]) {
        let now = self.now;
        self.endpoint().handle_packet(packet, Checksum::Verify, now);
        self.settle();
    }

    /// The next packet that left, oldest first.
    pub fn next_sent(&mut self) -> Option<Sent> {
        self.sent.pop_front()
    }

    /// When the endpoint next wants to be woken.
    pub fn next_timer(&self) -> Option<Instant> {
        self.endpoint.as_ref().and_then(Endpoint::poll_timeout)
    }

    /// Moves the clock to `to`, or to the next timer if that comes before. Whether it got to `to`.
    pub fn step(&mut self, to: Instant) -> bool {
        let timer = self.next_timer().map(|timer| timer.max(self.now));
        match timer {
            Some(timer) if timer <= to => {
                self.now = timer;
                self.run_timers();
                false
            }
            _ => {
                self.now = self.now.max(to);
                true
            }
        }
    }

    /// Moves the clock to `to`, timers on the way included.
    pub fn advance(&mut self, to: Instant) {
        while !self.step(to) {}
    }

    /// Runs all that is due now.
    fn run_timers(&mut self) {
        for _ in 0..TIMERS_AT_ONCE {
            let now = self.now;
            self.endpoint().handle_timeout(now);
            self.settle();
            if self.next_timer().is_none_or(|timer| timer > now) {
                return;
            }
        }
        // It asks for the same moment for ever: let the clock move, so that the script fails in finite time.
        self.now = self.now + Duration::from_micros(1);
    }

    /// Takes packets and events out of the endpoint.
    fn settle(&mut self) {
        let now = self.now;
        let mut buf = vec![0; LARGEST_PACKET];
        let Some(endpoint) = &mut self.endpoint else { return };
        while let Some(transmit) = endpoint.poll_transmit(&mut buf, now) {
            let octets = buf.get(..transmit.len).unwrap_or(&buf).to_vec();
            self.sent.push_back(Sent { at: now, octets });
        }
        let mut moved = Vec::new();
        while let Some(event) = endpoint.poll_event() {
            match event {
                Event::Connected(id)
                | Event::Readable(id)
                | Event::Writable(id)
                | Event::Urgent(id, _)
                | Event::Closed(id, _) => moved.push(SocketState::Connected(id)),
                Event::Incoming(listener) => moved.push(SocketState::Listening(listener)),
            }
        }
        for state in moved {
            self.edges += 1;
            let edge = self.edges;
            let touched = self.sockets.values_mut().filter(|socket| socket.state == state);
            touched.for_each(|socket| socket.edge = edge);
        }
    }

    fn socket_of(&self, fd: i32) -> Outcome<&Socket> {
        self.sockets.get(&fd).ok_or(Stop::Error(Errno::EBADF))
    }

    fn socket_mut(&mut self, fd: i32) -> Outcome<&mut Socket> {
        self.sockets.get_mut(&fd).ok_or(Stop::Error(Errno::EBADF))
    }

    fn connection_of(&self, fd: i32) -> Outcome<ConnectionId> {
        match self.socket_of(fd)?.state {
            SocketState::Connected(id) => Ok(id),
            _ => Err(Stop::Error(Errno::ENOTCONN)),
        }
    }

    fn info_of(&self, fd: i32) -> Option<tcp::Info> {
        let id = self.connection_of(fd).ok()?;
        self.endpoint.as_ref()?.info(id)
    }

    /// Connections in `state`, whoever holds them.
    pub(crate) fn in_state(&self, state: State) -> usize {
        self.endpoint.as_ref().map_or(0, |endpoint| endpoint.in_state(state))
    }

    /// How the connection of a socket is.
    pub fn info(&self, fd: i32) -> Option<tcp::Info> {
        self.info_of(fd)
    }

    fn add(&mut self, socket: Socket) -> i32 {
        let fd = self.next_fd;
        self.next_fd += 1;
        self.sockets.insert(fd, socket);
        fd
    }

    /// Its connection is over: why, as an error, once.
    fn take_error(&mut self, fd: i32) -> Option<Errno> {
        let over = self.info_of(fd)?.closed?;
        let socket = self.sockets.get_mut(&fd)?;
        if socket.reported {
            return None;
        }
        socket.reported = true;
        error_of(over)
    }
}

/// What an application is told of a connection's end; an orderly end is no error.
fn error_of(reason: Reason) -> Option<Errno> {
    match reason {
        Reason::Finished | Reason::Aborted => None,
        Reason::Reset => Some(Errno::ECONNRESET),
        Reason::Refused => Some(Errno::ECONNREFUSED),
        Reason::TimedOut => Some(Errno::ETIMEDOUT),
        Reason::Unreachable => Some(Errno::EHOSTUNREACH),
    }
}

fn is_opening(state: State) -> bool {
    matches!(state, State::SynSent | State::SynReceived)
}
