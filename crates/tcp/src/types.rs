//! The values that go in and out of an endpoint.

use core::net::SocketAddrV4;

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
    /// Which congestion control.
    pub congestion: crate::CongestionControl,
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
    /// The user timeout that the peer told (RFC 5482), if it did and we listen.
    pub peer_user_timeout: Option<core::time::Duration>,
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
