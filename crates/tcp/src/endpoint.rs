//! CONTRACT (bodies follow): the endpoint.
#![allow(unused_variables, clippy::todo)]

use core::net::SocketAddrV4;

use rules::Instant;

use crate::{Config, EndpointConfig, Error, Event, ListenOptions};

/// All of a host's TCP: connections, listeners, TIME-WAIT, cookies.
///
/// Verbs: [`handle_packet`](Self::handle_packet), [`poll_transmit`](Self::poll_transmit),
/// [`poll_timeout`](Self::poll_timeout), [`handle_timeout`](Self::handle_timeout),
/// [`poll_event`](Self::poll_event).
pub struct Endpoint {}

/// A connection of an endpoint. Stays valid until `close` or `abort`; never re-used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ConnectionId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// A listener of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ListenerId(pub(crate) u32);

/// What is known of the checksums of a packet that arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// Nothing: they are verified.
    Verify,
    /// The link has verified them, or they are partial because the packet never left this machine.
    Trusted,
}

/// A packet to be sent: `buf[..len]` of what was given to `poll_transmit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Octets of IPv4 packet.
    pub len: usize,
    /// Octets of headers (IPv4 and TCP).
    pub header_len: usize,
    /// It is a super-segment: the link splits it after every so many octets of data.
    pub segment: Option<u16>,
    /// Its TCP checksum is partial: the link completes it.
    pub checksum_partial: bool,
}

/// What a read gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read {
    /// Octets taken; 0 is the end of the stream (or the buffer was empty).
    pub len: usize,
    /// They were all urgent: before the mark, in urgent mode. A read never crosses the mark.
    pub urgent: bool,
    /// The next octet stands at the mark: what came before it was urgent.
    pub at_mark: bool,
}

/// How a connection is, for people and tests. All octets, all sequence numbers as on the wire.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Info {
    /// The state.
    pub state: State,
    /// Local endpoint.
    pub local: SocketAddrV4,
    /// Remote endpoint.
    pub remote: SocketAddrV4,
    /// SND.UNA, SND.NXT.
    pub snd_una: wire::SeqNumber,
    /// SND.NXT.
    pub snd_nxt: wire::SeqNumber,
    /// RCV.NXT.
    pub rcv_nxt: wire::SeqNumber,
    /// The peer's window.
    pub snd_wnd: u32,
    /// The window that we offer.
    pub rcv_wnd: u32,
    /// Octets that wait to be read.
    pub unread: usize,
    /// Octets written that are not acknowledged.
    pub unacknowledged: usize,
    /// Of those, octets never sent.
    pub unsent: usize,
    /// Octets of urgent data yet to be read (MUST-33).
    pub urgent: u32,
    /// Congestion window and threshold.
    pub cwnd: u32,
    /// Slow start threshold.
    pub ssthresh: u32,
    /// Smoothed round trip and its variation, if measured.
    pub srtt: Option<core::time::Duration>,
    /// RTTVAR.
    pub rttvar: core::time::Duration,
    /// RTO.
    pub rto: core::time::Duration,
    /// Largest segment that is sent, in octets of data.
    pub mss: u16,
    /// Octets in flight by the scoreboard's count.
    pub in_flight: u32,
    /// Segments that were sent again.
    pub retransmissions: u64,
    /// Negotiated: window scaling, timestamps, SACK, ECN.
    pub window_scaling: bool,
    /// Timestamps.
    pub timestamps: bool,
    /// SACK.
    pub sack: bool,
    /// ECN.
    pub ecn: bool,
    /// Why it ended, if it did.
    pub closed: Option<crate::Reason>,
}

/// The states of RFC 9293 3.3.2 (LISTEN is a listener, CLOSED the end).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum State {
    Closed,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl Endpoint {
    /// An endpoint keyed by `seed`, which comes from the operating system and stays secret.
    pub fn new(config: EndpointConfig, seed: [u8; 32]) -> Self {
        todo!()
    }

    /// Passive open. `local` with address 0.0.0.0 means every address.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Address`].
    pub fn listen(&mut self, local: SocketAddrV4, options: ListenOptions) -> Result<ListenerId, Error> {
        todo!()
    }

    /// Ends a listener; connections that it accepted stay, those that wait are reset.
    pub fn close_listener(&mut self, listener: ListenerId, now: Instant) {
        todo!()
    }

    /// The next connection that is open, oldest first.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnectionId> {
        todo!()
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
        todo!()
    }

    /// Queues data; takes as much as there is room for, at least one octet or it is an error.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::ShutDown`], [`Error::Closed`], [`Error::Unknown`].
    pub fn send(&mut self, id: ConnectionId, data: &[u8], now: Instant) -> Result<usize, Error> {
        todo!()
    }

    /// The same, and the last octet taken becomes the end of the urgent data (U8).
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_urgent(&mut self, id: ConnectionId, data: &[u8], now: Instant) -> Result<usize, Error> {
        todo!()
    }

    /// Reads in order. Never crosses the urgent mark: a read that meets it is cut short there.
    ///
    /// # Errors
    /// [`Error::WouldBlock`], [`Error::Closed`] after a reset, [`Error::Unknown`].
    pub fn recv(&mut self, id: ConnectionId, buf: &mut [u8], now: Instant) -> Result<Read, Error> {
        todo!()
    }

    /// What could be read, without taking it.
    ///
    /// # Errors
    /// As [`Self::recv`].
    pub fn peek(&self, id: ConnectionId, buf: &mut [u8]) -> Result<Read, Error> {
        todo!()
    }

    /// Takes the out-of-band octet (MSG_OOB).
    ///
    /// # Errors
    /// [`Error::NoUrgent`]; [`Error::WouldBlock`] if it is announced and has not come.
    pub fn recv_urgent(&mut self, id: ConnectionId, peek: bool) -> Result<u8, Error> {
        todo!()
    }

    /// The next octet to be read stands at the urgent mark (sockatmark).
    pub fn at_mark(&self, id: ConnectionId) -> bool {
        todo!()
    }

    /// No more will be written: FIN follows the queue (half-close).
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::ShutDown`], [`Error::Closed`].
    pub fn shutdown(&mut self, id: ConnectionId, now: Instant) -> Result<(), Error> {
        todo!()
    }

    /// Nothing more will be read: what arrives is thrown away (SHUT_RD).
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn shutdown_read(&mut self, id: ConnectionId, now: Instant) -> Result<(), Error> {
        todo!()
    }

    /// The application is done with it: FIN follows the queue, or RST if data waits unread (RFC 9293 3.10.4, RFC 2525
    /// 2.17). The id is no longer valid; the endpoint finishes the connection by itself.
    pub fn close(&mut self, id: ConnectionId, now: Instant) {
        todo!()
    }

    /// RST, now. The id is no longer valid.
    pub fn abort(&mut self, id: ConnectionId, now: Instant) {
        todo!()
    }

    /// Settings that may change while the connection lives: `change` gets its configuration.
    /// Buffers, MSS and what was negotiated stay.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn configure(
        &mut self,
        id: ConnectionId,
        now: Instant,
        change: impl FnOnce(&mut Config),
    ) -> Result<(), Error> {
        todo!()
    }

    /// How it is; `None` if the id is no longer valid.
    pub fn info(&self, id: ConnectionId) -> Option<Info> {
        todo!()
    }

    /// One IPv4 packet: TCP for us, or an ICMP error about it. Others are counted and ignored.
    pub fn handle_packet(&mut self, packet: &[u8], checksum: Checksum, now: Instant) {
        todo!()
    }

    /// The next packet to send, if any, written to `buf`, which must hold a packet of the MTU (or of
    /// `segmentation_offload`).
    pub fn poll_transmit(&mut self, buf: &mut [u8], now: Instant) -> Option<Transmit> {
        todo!()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; it may find nothing to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Time has passed. Poll for packets and events afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
}
