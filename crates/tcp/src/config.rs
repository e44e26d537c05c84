//! What can be chosen: for the endpoint as a whole, for a connection, and the limits of both.

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use rules::acceptability::Edge;
use rules::urgent::{Delivery, HostProfile, Pointer, profiles::RFC6093};

/// Settings of an endpoint.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Local addresses. Packets to others are ignored, except by [`Self::any_address`].
    pub addresses: Vec<Ipv4Addr>,
    /// Takes packets to any address as its own: for a TUN device that is the end of a whole prefix.
    pub any_address: bool,
    /// Largest IPv4 packet that the link takes, in octets.
    pub mtu: u16,
    /// Largest super-segment that the link splits by itself (TSO), in octets of IPv4 packet; `None` if it
    /// does not. With it, a [`Transmit`](crate::Transmit) may carry several segments.
    pub segmentation_offload: Option<u32>,
    /// The link completes checksums: the field holds the pseudo-header's folded sum.
    pub checksum_offload: bool,
    /// TTL of what is sent.
    pub ttl: u8,
    /// Answer a segment to a closed port with RST (RFC 9293 3.5.2); else say nothing.
    pub reset_closed_ports: bool,
    /// Settings of connections that come in; [`ListenOptions`] may say otherwise.
    pub connection: Config,
    /// What bounds memory and answers.
    pub limits: Limits,
    /// Ephemeral ports (RFC 6056 3.2), first and last.
    pub ephemeral_ports: (u16, u16),
}

/// Bounds of an endpoint. Each is tested at its edge.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections, those half open included.
    pub connections: u32,
    /// Connections in SYN-RECEIVED that came in; beyond it SYN cookies are sent instead.
    pub half_open: u32,
    /// Connections in TIME-WAIT; beyond it the oldest goes.
    pub time_wait: u32,
    /// Octets of all send and receive buffers together. At the bound arriving text is dropped as if it
    /// had been lost, and writes take less.
    pub buffer_octets: usize,
    /// Out-of-order ranges of one connection; beyond it the segment is dropped.
    pub out_of_order_ranges: usize,
    /// Challenge ACKs of one connection in [`Self::challenge_interval`] (RFC 5961 section 10).
    pub challenge_acks: u8,
    /// See [`Self::challenge_acks`].
    pub challenge_interval: Duration,
    /// Least time between two ACKs of one connection that answer a segment left of the window, or outside it,
    /// without text or FIN: 500 ms, what Linux calls tcp_invalid_ratelimit. Zero: each is answered.
    pub empty_answer_interval: Duration,
    /// Answers that no connection sends (RST to closed ports, cookies), in packets a second.
    pub stateless_replies: u32,
    /// Answers that no connection sends, waiting to be polled.
    pub reply_queue: usize,
}

/// Settings of one connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// Send buffer, in octets.
    pub send_buffer: u32,
    /// Receive buffer, in octets: the most that is ever offered as a window.
    pub receive_buffer: u32,
    /// Largest segment to announce, in octets; `None`: the MTU less 40.
    pub mss: Option<u16>,
    /// Offer window scaling (RFC 7323 section 2).
    pub window_scaling: bool,
    /// Offer timestamps (RFC 7323 section 3).
    pub timestamps: bool,
    /// Offer selective acknowledgments (RFC 2018).
    pub sack: bool,
    /// Offer explicit congestion notification (RFC 3168).
    pub ecn: bool,
    /// Wait with small segments while data is in flight (RFC 9293 3.7.4).
    pub nagle: bool,
    /// Hold segments below the MSS until there is more, at most 200 ms (TCP_CORK).
    pub cork: bool,
    /// How long an ACK may wait (RFC 9293 3.8.6.3: below 0.5 s). Zero: never. Where text goes one way only, an ACK
    /// waits for an eighth of it: nothing of ours will take it along.
    pub delayed_ack: Duration,
    /// RTO before the first measurement (RFC 6298 2.1).
    pub initial_rto: Duration,
    /// Least RTO. RFC 6298 2.4 asks for 1 s unless there is evidence; with timestamps, RACK and F-RTO,
    /// 200 ms is what deployed stacks use.
    pub min_rto: Duration,
    /// Greatest RTO, at least 60 s (RFC 6298 2.5).
    pub max_rto: Duration,
    /// Retransmissions of a SYN before the attempt is given up (R2 of RFC 9293 3.8.3: at least 3 minutes).
    pub syn_retries: u8,
    /// Retransmissions of data before the connection is given up (R2: at least 100 s).
    pub retries: u8,
    /// The user timeout (RFC 9293 3.9.1): data unacknowledged for this long ends the connection.
    pub user_timeout: Option<Duration>,
    /// Tell the peer this user timeout and, where [`Self::user_timeout`] is not set, use the longer of it and the
    /// peer's (RFC 5482), within [`rules::user_timeout::LIMITS`]. Off by default: nothing is told, and nothing heard.
    pub told_user_timeout: Option<Duration>,
    /// Keep-alives (RFC 9293 3.8.4); off by default.
    pub keep_alive: Option<KeepAlive>,
    /// Twice the maximum segment lifetime.
    pub time_wait: Duration,
    /// How long FIN-WAIT-2 lasts after the application has closed both directions; `None`: for ever.
    pub fin_wait_2: Option<Duration>,
    /// Which congestion control.
    pub congestion: CongestionControl,
    /// Leave slow start when the delay grows (HyStart++, RFC 9406).
    pub hystart: bool,
    /// Spread segments over the round trip.
    pub pacing: bool,
    /// Initial window in segments (RFC 6928: at most 10).
    pub initial_window: u8,
    /// Send with DF and follow ICMP 3/4 (RFC 1191).
    pub path_mtu_discovery: bool,
    /// How urgent data is sent and taken: a row of `rules::urgent::PROFILES`, or one of your own. The
    /// default is RFC 6093: in line. [`Config::in_line`], [`Config::out_of_band`] and [`Config::pointer`]
    /// change what an application would want to change.
    pub urgent: HostProfile,
    /// The left edge of the sequence test.
    pub seq_validation: Edge,
    /// Believe the ACK of a peer that probed with more than one octet, although it lies that far left of the
    /// window (S9). Off by default.
    pub any_probe: bool,
    /// How a closed window is probed.
    pub window_probe: WindowProbe,
    /// Ignore RST in TIME-WAIT (RFC 1337).
    pub protect_time_wait: bool,
}

/// Keep-alive timing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Silence before the first probe (RFC 9293 3.8.4: at least two hours by default).
    pub idle: Duration,
    /// Between probes.
    pub interval: Duration,
    /// Unanswered probes that end the connection.
    pub probes: u8,
    /// With one octet of garbage, for peers that do not answer empty probes.
    pub garbage_octet: bool,
}

/// Congestion control algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CongestionControl {
    /// RFC 5681, RFC 6582.
    NewReno,
    /// RFC 9438.
    #[default]
    Cubic,
}

/// What a probe of a closed window looks like: every style in use (S5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WindowProbe {
    /// The next octet at SND.NXT, which moves SND.NXT (4.4BSD and what RFC 9293 describes).
    #[default]
    NextOctet,
    /// The next octet at SND.UNA; SND.NXT stays.
    OctetAtUna,
    /// An octet already acknowledged, at SND.NXT-1.
    OldOctet,
    /// No octet, at SND.NXT-1 (Linux).
    Empty,
}

/// Settings of a listener.
#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    /// Connections that are open and not yet accepted; beyond it SYNs are ignored. 0: 128.
    pub backlog: u32,
    /// Settings of its connections; `None`: the endpoint's.
    pub connection: Option<Config>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            any_address: false,
            mtu: 1_500,
            segmentation_offload: None,
            checksum_offload: false,
            ttl: 64,
            reset_closed_ports: true,
            connection: Config::default(),
            limits: Limits::default(),
            ephemeral_ports: (32_768, 60_999),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1 << 20,
            half_open: 1_024,
            time_wait: 65_536,
            buffer_octets: 1 << 30,
            out_of_order_ranges: 64,
            challenge_acks: 10,
            challenge_interval: Duration::from_secs(5),
            empty_answer_interval: Duration::from_millis(500),
            stateless_replies: 1_000,
            reply_queue: 256,
        }
    }
}

impl Config {
    /// Urgent octets are delivered with the others (SO_OOBINLINE; RFC 6093 section 4).
    #[must_use]
    pub const fn in_line(mut self) -> Self {
        self.urgent.delivery = Delivery::InLine;
        self
    }

    /// The octet before the mark is taken out of the stream; `octets` unread ones are kept, 1 as BSD and Linux
    /// do, at most 16. One more replaces the oldest and is counted (U6, U7).
    #[must_use]
    pub const fn out_of_band(mut self, octets: u16) -> Self {
        let octets = if octets > 16 { 16 } else { octets };
        self.urgent.delivery = Delivery::OutOfBand { octets };
        self
    }

    /// What the pointer points at, in both directions alike (U2).
    #[must_use]
    pub const fn pointer(mut self, pointer: Pointer) -> Self {
        self.urgent.send = pointer;
        self.urgent.receive = pointer;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            send_buffer: 1 << 20,
            receive_buffer: 1 << 20,
            mss: None,
            window_scaling: true,
            timestamps: true,
            sack: true,
            ecn: false,
            nagle: true,
            cork: false,
            delayed_ack: Duration::from_millis(40),
            initial_rto: Duration::from_secs(1),
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(120),
            syn_retries: 7,
            retries: 15,
            user_timeout: None,
            told_user_timeout: None,
            keep_alive: None,
            time_wait: Duration::from_secs(60),
            fin_wait_2: Some(Duration::from_secs(60)),
            congestion: CongestionControl::Cubic,
            hystart: true,
            pacing: false,
            initial_window: 10,
            path_mtu_discovery: true,
            urgent: RFC6093,
            seq_validation: Edge::default(),
            any_probe: false,
            window_probe: WindowProbe::default(),
            protect_time_wait: true,
        }
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7_200),
            interval: Duration::from_secs(75),
            probes: 9,
            garbage_octet: false,
        }
    }
}
