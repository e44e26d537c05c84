//! All of a host's TCP: who a packet is for, who has something to send, whose time has come.
//!
//! Finding a connection, arming a timer and picking the next sender cost the same whether there are ten
//! connections or a hundred thousand. What the connections themselves do is in `input` and `output`.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use rules::Instant;
use rules::port_selection::{Algorithm, Selector, host_flow};
use wire::SeqNumber;

use crate::buffer::Pool;
use crate::connection::{Connection, Context, Events};
use crate::output::{Link, Next, Run};
use crate::segment::Tuple;
use crate::{
    Config, ConnectionId, Counters, EndpointConfig, Error, Event, Info, ListenOptions, ListenerId, Read,
    Reason, State, Urgent,
};

mod cookie;
mod demux;
mod keys;
mod listener;
mod packet;
mod replies;
mod slab;
mod syn;
mod time_wait;
mod timers;
mod transmit;

use demux::{Demux, Place};
use keys::Keys;
use listener::Listeners;
use replies::Replies;
use slab::Slab;
use time_wait::TimeWaits;
use timers::Timers;

/// All of a host's TCP: connections, listeners, TIME-WAIT, cookies.
///
/// The verbs: [`handle_packet`](Self::handle_packet), [`poll_transmit`](Self::poll_transmit),
/// [`poll_timeout`](Self::poll_timeout), [`handle_timeout`](Self::handle_timeout),
/// [`poll_event`](Self::poll_event). After any call poll until there is nothing more.
pub struct Endpoint {
    config: EndpointConfig,
    /// Settings of connections whose listener has none of its own.
    shared: Arc<Config>,
    link: Link,
    keys: Keys,
    ports: Selector,
    connections: Slab,
    demux: Demux,
    listeners: Listeners,
    time_waits: TimeWaits,
    timers: Timers,
    /// Connections that have something to send, each once.
    ready: VecDeque<u32>,
    /// What was found to come next for the connection settled last, at that time: it need not be asked again.
    decided: Option<(u32, Instant, Next)>,
    /// The segments that follow the one sent last, if nothing but [`poll_transmit`](Self::poll_transmit) is called.
    run: Option<(u32, Instant, Run)>,
    /// Connections that have something to tell, each once.
    noticed: VecDeque<u32>,
    replies: Replies,
    pool: Pool,
    counters: Counters,
    half_open: u32,
    /// When the last SYN cookie went out: without one no ACK is taken for its return.
    cookie_sent: Option<Instant>,
    next_identification: u16,
    /// Where `handle_timeout` collects whose time has come.
    expired: Vec<u32>,
}

/// Splits the endpoint into what a step of a connection needs.
macro_rules! context {
    ($endpoint:ident, $now:expr) => {
        Context {
            now: $now,
            pool: &mut $endpoint.pool,
            limits: &$endpoint.config.limits,
            counters: &mut $endpoint.counters,
        }
    };
}
use context;

impl Endpoint {
    /// An endpoint keyed by `seed`, which comes from the operating system and stays secret.
    pub fn new(config: EndpointConfig, seed: [u8; 32]) -> Self {
        let keys = Keys::new(seed);
        let link = Link {
            mtu: config.mtu.max(68),
            super_segment: config.segmentation_offload.unwrap_or(0),
            checksum_offload: config.checksum_offload,
            ttl: config.ttl,
        };
        Self {
            shared: Arc::new(config.connection.clone()),
            link,
            ports: Selector::new(Algorithm::default(), keys.ports),
            connections: Slab::default(),
            demux: Demux::new(keys.demux),
            listeners: Listeners::default(),
            time_waits: TimeWaits::default(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            decided: None,
            run: None,
            noticed: VecDeque::new(),
            replies: Replies::new(config.limits.reply_queue, config.limits.stateless_replies),
            pool: Pool::new(config.limits.buffer_octets),
            counters: Counters::default(),
            half_open: 0,
            cookie_sent: None,
            next_identification: 0,
            expired: Vec::new(),
            keys,
            config,
        }
    }

    /// What was counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Octets that the send and receive buffers of all connections take, in whole chunks.
    pub const fn buffer_octets(&self) -> usize {
        self.pool.octets()
    }

    /// Connections that there are, those half open included and those in TIME-WAIT not.
    pub const fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Connections in TIME-WAIT that the application has let go of.
    pub const fn time_waits(&self) -> usize {
        self.time_waits.len()
    }

    /// Connections in `state`, those in TIME-WAIT included that the application has let go of. Each is looked at: for
    /// people and tests, not for every packet.
    pub fn in_state(&self, state: State) -> usize {
        let let_go = if state == State::TimeWait { self.time_waits.len() } else { 0 };
        self.connections.iter().filter(|connection| connection.state == state).count() + let_go
    }

    /// `address` is one of this endpoint's: a packet to it goes back to [`handle_packet`](Self::handle_packet).
    pub fn is_local(&self, address: Ipv4Addr) -> bool {
        self.config.addresses.contains(&address)
    }

    /// Passive open. `local` with address 0.0.0.0 means every address.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Address`].
    pub fn listen(&mut self, local: SocketAddrV4, options: ListenOptions) -> Result<ListenerId, Error> {
        let any = local.ip().is_unspecified();
        if local.port() == 0 || !(any || self.config.any_address || self.is_local(*local.ip())) {
            return Err(Error::Address);
        }
        self.listeners.add(local, options, &self.shared)
    }

    /// Ends a listener; connections that it accepted stay, those that wait are reset.
    pub fn close_listener(&mut self, listener: ListenerId, now: Instant) {
        for index in self.listeners.remove(listener) {
            if let Some(id) = self.connections.id(index) {
                self.abort(id, now);
            }
        }
        // Half-open ones have nobody who would take them.
        for index in self.connections.indices_of(listener) {
            if let Some(id) = self.connections.id(index) {
                self.abort(id, now);
            }
        }
    }

    /// The next connection that is open, oldest first.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnectionId> {
        let index = self.listeners.accept(listener)?;
        let connection = self.connections.get_mut(index)?;
        connection.listener = None;
        let tells = connection.events != Events::default();
        let id = self.connections.id(index);
        if tells {
            self.notice(index);
        }
        id
    }

    /// Active open. Address 0.0.0.0: the endpoint's first; port 0: an ephemeral one (RFC 6056).
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NoPort`], [`Error::Address`], [`Error::Limit`].
    pub fn connect(
        &mut self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        config: Config,
        now: Instant,
    ) -> Result<ConnectionId, Error> {
        let address = self.local_address(*local.ip()).ok_or(Error::Address)?;
        if rules::address::is_martian(*remote.ip()) || remote.port() == 0 {
            return Err(Error::Address);
        }
        if self.connections.len() >= self.config.limits.connections as usize {
            return Err(Error::Limit);
        }
        let port = match local.port() {
            0 => self.ephemeral_port(address, remote).ok_or(Error::NoPort)?,
            port => port,
        };
        let tuple = Tuple { local: SocketAddrV4::new(address, port), remote };
        if self.demux.find(&tuple).is_some() {
            return Err(Error::InUse);
        }
        let iss = self.keys.isn(&tuple, now);
        let index = self.insert(tuple, Arc::new(config), State::SynSent, iss, now);
        self.settle(index, now);
        self.connections.id(index).ok_or(Error::Limit)
    }

    fn local_address(&self, wanted: Ipv4Addr) -> Option<Ipv4Addr> {
        if wanted.is_unspecified() {
            return self.config.addresses.first().copied();
        }
        (self.config.any_address || self.is_local(wanted)).then_some(wanted)
    }

    /// RFC 6056 3.3.3: an order of ports of its own for each remote endpoint.
    fn ephemeral_port(&mut self, address: Ipv4Addr, remote: SocketAddrV4) -> Option<u16> {
        let (first, last) = self.config.ephemeral_ports;
        let flow = host_flow(address, (*remote.ip(), remote.port()));
        let demux = &self.demux;
        let is_free =
            |port: u16| demux.find(&Tuple { local: SocketAddrV4::new(address, port), remote }).is_none();
        let from = |start: u16| (start..=last).chain(first..start).find(|&port| is_free(port));
        self.ports.select(first..=last, flow, from)
    }

    fn insert(
        &mut self,
        tuple: Tuple,
        config: Arc<Config>,
        state: State,
        iss: SeqNumber,
        now: Instant,
    ) -> u32 {
        let ts_offset = self.keys.timestamp_offset(&tuple);
        let connection = Connection::new(tuple, config, state, iss, ts_offset, self.link.mtu, now);
        let index = self.connections.insert(connection);
        self.demux.insert(tuple, Place::Connection(index));
        self.counters.opened += 1;
        index
    }

    /// Queues data; takes as much as there is room for, at least one octet or it is an error.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::ShutDown`], [`Error::Closed`], [`Error::Unknown`].
    pub fn send(&mut self, id: ConnectionId, data: &[u8], now: Instant) -> Result<usize, Error> {
        self.with(id, now, |connection, cx| connection.write(data, false, cx))?
    }

    /// The same, and the last octet taken becomes the end of the urgent data (U8).
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_urgent(&mut self, id: ConnectionId, data: &[u8], now: Instant) -> Result<usize, Error> {
        self.with(id, now, |connection, cx| connection.write(data, true, cx))?
    }

    /// Reads in order. Never crosses the urgent mark: a read that meets it is cut short there.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::Closed`] after a reset, [`Error::Unknown`].
    pub fn recv(&mut self, id: ConnectionId, buf: &mut [u8], now: Instant) -> Result<Read, Error> {
        let connection = self.connections.find_mut(id).ok_or(Error::Unknown)?;
        let before = (connection.ack, connection.events);
        let read = connection.read(buf, &mut context!(self, now));
        if (connection.ack, connection.events) == before {
            // Nothing follows from it but a window that is told with whatever is sent next.
            self.run = None;
        } else {
            self.settle(id.index, now);
        }
        read
    }

    /// What could be read, without taking it.
    ///
    /// # Errors
    /// As [`Self::recv`].
    pub fn peek(&self, id: ConnectionId, buf: &mut [u8]) -> Result<Read, Error> {
        self.connections.find(id).ok_or(Error::Unknown)?.peek(buf)
    }

    /// Takes the out-of-band octet (MSG_OOB), or looks at it.
    ///
    /// # Errors
    /// [`Error::NoUrgent`]; [`Error::WouldBlock`] if it is announced and has not come.
    pub fn recv_urgent(&mut self, id: ConnectionId, peek: bool) -> Result<u8, Error> {
        self.connections.find_mut(id).ok_or(Error::Unknown)?.take_urgent(peek)
    }

    /// The next octet to be read stands at the urgent mark (sockatmark).
    pub fn at_mark(&self, id: ConnectionId) -> bool {
        self.connections.find(id).is_some_and(|connection| connection.at_mark())
    }

    /// No more will be written: FIN follows the queue (half-close).
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::ShutDown`], [`Error::Closed`].
    pub fn shutdown(&mut self, id: ConnectionId, now: Instant) -> Result<(), Error> {
        self.with(id, now, |connection, cx| connection.finish(cx))?
    }

    /// Nothing more will be read: what arrives is acknowledged and thrown away (SHUT_RD).
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn shutdown_read(&mut self, id: ConnectionId, now: Instant) -> Result<(), Error> {
        self.with(id, now, |connection, cx| connection.stop_reading(cx))
    }

    /// The application is done with it: FIN follows the queue, or RST if data waits unread (RFC 9293 3.10.4, RFC
    /// 2525 2.17). The id is no longer valid; the endpoint finishes the connection by itself.
    pub fn close(&mut self, id: ConnectionId, now: Instant) {
        if self.connections.find(id).is_some_and(|connection| connection.unread() > 0) {
            return self.abort(id, now);
        }
        let _ = self.with(id, now, |connection, cx| {
            // Shut down or over already: then there is nothing left to say.
            let _ = connection.finish(cx);
            connection.released = true;
            connection.limit_fin_wait_2(cx.now);
        });
        self.connections.retire(id);
    }

    /// RST, now. The id is no longer valid.
    pub fn abort(&mut self, id: ConnectionId, now: Instant) {
        let Some(index) = self.connections.index_of(id) else { return };
        if let Some(connection) = self.connections.get_mut(index) {
            connection.released = true;
            if let Some((packet, options)) = connection.abort_packet(now) {
                self.replies.push_with(packet, options, &mut self.counters);
            }
            connection.end(Reason::Aborted, &mut self.pool);
        }
        self.settle(index, now);
        self.connections.retire(id);
    }

    /// Settings that may change while the connection lives: `change` gets its configuration. The MSS and what was
    /// negotiated stay; of the buffers the limits change, and a window once offered is not taken back.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn configure(
        &mut self,
        id: ConnectionId,
        now: Instant,
        change: impl FnOnce(&mut Config),
    ) -> Result<(), Error> {
        self.with(id, now, |connection, cx| {
            change(Arc::make_mut(&mut connection.config));
            connection.reconfigured(cx.now);
        })
    }

    /// How it is; `None` if the id is no longer valid.
    pub fn info(&self, id: ConnectionId) -> Option<Info> {
        self.connections.find(id).map(|connection| connection.info())
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; it may find nothing to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timers.first(), self.time_waits.first()].into_iter().flatten().min()
    }

    /// Time has passed. Poll for packets and events afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.time_waits.expire(now, &mut self.demux);
        let mut expired = core::mem::take(&mut self.expired);
        while let Some(index) = self.timers.pop(now) {
            if let Some(slot) = self.connections.slot_mut(index) {
                slot.set_wakes(None);
            }
            expired.push(index);
        }
        for &index in &expired {
            if let Some(connection) = self.connections.get_mut(index) {
                connection.on_timeout(&mut context!(self, now));
                self.settle(index, now);
            }
        }
        expired.clear();
        self.expired = expired;
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        while let Some(&index) = self.noticed.front() {
            if let Some(event) = self.event_of(index) {
                return Some(event);
            }
            self.noticed.pop_front();
            if let Some(slot) = self.connections.slot_mut(index) {
                slot.noticed = false;
            }
        }
        self.listeners.poll_event()
    }

    fn event_of(&mut self, index: u32) -> Option<Event> {
        let id = self.connections.id(index)?;
        let connection = self.connections.get_mut(index)?;
        if connection.listener.is_some() || connection.released {
            return None; // Nobody knows the id yet, or any more.
        }
        Some(match connection.events.take()? {
            Events::CONNECTED => Event::Connected(id),
            Events::READABLE => Event::Readable(id),
            Events::WRITABLE => Event::Writable(id),
            Events::URGENT_ENTERED => Event::Urgent(id, Urgent::Entered),
            Events::URGENT_ADVANCED => Event::Urgent(id, Urgent::Advanced),
            Events::URGENT_LEFT => Event::Urgent(id, Urgent::Left),
            _ => Event::Closed(id, connection.closed.unwrap_or(Reason::Finished)),
        })
    }

    /// Does something with a connection, and then what follows from it.
    fn with<T>(
        &mut self,
        id: ConnectionId,
        now: Instant,
        act: impl FnOnce(&mut Connection, &mut Context<'_>) -> T,
    ) -> Result<T, Error> {
        let index = self.connections.index_of(id).ok_or(Error::Unknown)?;
        let connection = self.connections.get_mut(index).ok_or(Error::Unknown)?;
        let result = act(connection, &mut context!(self, now));
        self.settle(index, now);
        Ok(result)
    }

    /// After any change of a connection: is there something to send, to wait for, to tell, or is it over?
    fn settle(&mut self, index: u32, now: Instant) {
        (self.run, self.decided) = (None, None);
        let Some(slot) = self.connections.slot_mut(index) else { return };
        let Some(connection) = &mut slot.connection else { return };
        if slot.ready && connection.waits_for_its_turn() {
            // `poll_transmit` asks it anyway.
            if connection.events != Events::default() {
                self.notice(index);
            }
            return;
        }
        let next = connection.settle(now, &self.link);
        let tells = connection.events != Events::default() && !connection.released;
        if connection.counted_half_open && connection.state != State::SynReceived {
            connection.counted_half_open = false;
            self.half_open -= 1;
        }
        if connection.events.remove(Events::INCOMING)
            && let Some(listener) = connection.listener
        {
            connection.announced = true;
            self.listeners.announce(listener, index);
        }
        let over = connection.is_over();
        match next {
            Next::Send(_) => {
                if !core::mem::replace(&mut slot.ready, true) {
                    self.ready.push_back(index);
                }
            }
            Next::Wait(time) if slot.set_wakes(Some(time)) => self.timers.set(index, time),
            Next::Idle if slot.set_wakes(None) => self.timers.clear(index),
            Next::Wait(_) | Next::Idle => {}
        }
        if tells {
            self.notice(index);
        }
        if let Next::Send(_) = next {
            self.decided = Some((index, now, next));
        } else if over {
            self.dispose(index, now);
        }
    }

    fn notice(&mut self, index: u32) {
        if let Some(slot) = self.connections.slot_mut(index)
            && !core::mem::replace(&mut slot.noticed, true)
        {
            self.noticed.push_back(index);
        }
    }

    /// A connection that is over and that nobody holds gives its place back; TIME-WAIT goes on without it.
    fn dispose(&mut self, index: u32, now: Instant) {
        let Some(slot) = self.connections.slot_mut(index) else { return };
        let Some(connection) = &mut slot.connection else { return };
        let unheld = connection.released || (connection.listener.is_some() && !connection.announced);
        if connection.state == State::Closed {
            self.demux.remove(&connection.tuple, Place::Connection(index));
        }
        if !unheld {
            return;
        }
        if slot.set_wakes(None) {
            self.timers.clear(index);
        }
        if let Some(mut connection) = self.connections.remove(index) {
            connection.clear(&mut self.pool);
            self.counters.closed += 1;
            if connection.state == State::TimeWait {
                let limit = self.config.limits.time_wait as usize;
                self.time_waits.insert(&connection, now, limit, &mut self.demux, &mut self.counters);
            }
        }
    }
}

impl Connection {
    /// Nothing but what it sends next can have changed.
    fn waits_for_its_turn(&self) -> bool {
        self.state == State::Established
            && !self.released
            && self.listener.is_none()
            && !self.counted_half_open
    }

    /// Nothing more is to be done for it; in TIME-WAIT that is true once the application has let go.
    const fn is_over(&self) -> bool {
        match self.state {
            State::Closed => true,
            State::TimeWait => self.released,
            _ => false,
        }
    }

    /// What tells the peer that the connection is aborted (RFC 9293 3.10.5), if it knows of it.
    fn abort_packet(&self, now: Instant) -> Option<(crate::output::Packet, crate::output::OptionOctets)> {
        let known = !matches!(
            self.state,
            State::Closed | State::SynSent | State::Closing | State::LastAck | State::TimeWait
        );
        let reset = rules::reset::Reset { seq: self.snd_nxt, ack: Some(self.rcv_nxt) };
        known.then(|| (crate::output::reset_packet(self.tuple, reset), self.timestamps_alone(now)))
    }
}

#[cfg(test)]
mod tests;
