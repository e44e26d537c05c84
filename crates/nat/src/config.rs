//! Every setting of the engine, with its default and the requirement behind it.
//!
//! Plain values: the program reads them from TOML, a test writes them out. [`Config::validate`] is
//! the one place that says which combinations make sense.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;
use core::time::Duration;

use ipnet::Ipv4Net;

mod behaviour;
mod validate;

pub use crate::scrub::config::{Action, Scrub, Urgent, Watch};
pub use behaviour::{
    Algs, Behaviour, Blocks, Filtering, MappingBehaviour, PoolKind, Pooling, RstPolicy, SharedPorts,
    StaticMapping, TcpChecks, TimeWaitPolicy,
};
pub use validate::{MAX_EXTERNAL_ADDRESSES, Problem};

/// The settings of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The subscribers' prefixes. A packet from inside with another source is dropped; a packet
    /// from outside with a source in here is spoofed and dropped (RFC 7857 5, N10).
    pub inside: Vec<Ipv4Net>,
    /// Addresses that agree in so many leading bits are one subscriber (B5). Default: 32, each its own.
    pub subscriber_prefix: u8,
    /// Destinations to which nothing is translated (B5, RFC 6888 REQ-6). Default: none.
    pub bypass: Vec<Ipv4Net>,
    /// External addresses and ports.
    pub pools: Vec<Pool>,
    /// Mappings that are always there (B5).
    pub statics: Vec<StaticMapping>,
    /// What a mapping depends on (N8, N14).
    pub mapping: MappingBehaviour,
    /// Who may use a mapping from outside (N10, N11).
    pub filtering: Filtering,
    /// Source addresses of ICMP errors that the engine makes.
    pub gateway: Gateway,
    /// How external ports are chosen (N16, RFC 6056).
    pub ports: PortSelection,
    /// TCP timers (N2, RFC 5382 REQ-5).
    pub tcp: TcpTimeouts,
    /// What is asked of a segment before it changes state (N3, N4, N6, N7).
    pub tcp_checks: TcpChecks,
    /// UDP timer (RFC 4787 REQ-5).
    pub udp: Udp,
    /// Idle time after which an ICMP query session ends; at least 60 s (N18, RFC 5508 REQ-2).
    pub icmp_timeout: Duration,
    /// Idle time after which a session of a protocol without ports ends, where addresses alone are
    /// translated (B6). Default: 5 min.
    pub other_timeout: Duration,
    /// Limits of memory and of each subscriber (B10).
    pub limits: Limits,
    /// Fragment handling (B3).
    pub fragments: Fragments,
    /// Maximum transmission unit towards each realm, in octets (B7).
    pub mtu: Mtu,
    /// Upper bound for the MSS option of SYN segments in both directions (B7); `None` leaves it.
    pub mss_clamp: Option<u16>,
    /// ICMP errors that the engine sends at most (RFC 1812 4.3.2.8).
    pub icmp_errors_per_second: u32,
    /// Which realms get ICMP errors of the engine's own (RFC 5508 REQ-9). Default: both.
    pub icmp_errors_to: [bool; 2],
    /// An inbound SYN that nobody waits for is answered with ICMP 3/3 after 6 s, unless the subscriber
    /// has sent one meanwhile (B2, RFC 5382 REQ-4). Default: `Some(4_096)`, so many wait at most; `None`:
    /// silence for good (REQ-4a).
    pub unsolicited_syns: Option<u32>,
    /// The Identification of datagrams that may be fragmented is chosen anew (N17, RFC 6864 5.3.1).
    /// Default: true.
    pub rewrite_ip_id: bool,
    /// Application gateways (B8).
    pub algs: Algs,
    /// What is scrubbed, here and by a [`Scrubber`](crate::Scrubber) (C1 to C5).
    pub scrub: Scrub,
    /// This engine's place among the shards.
    pub shard: Shard,
}

/// A set of external addresses with the ports that are used of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Ranges of addresses, both ends included; they need not touch one another.
    pub addresses: Vec<RangeInclusive<Ipv4Addr>>,
    /// TCP and UDP ports of each address that may be given out; never 0.
    pub ports: RangeInclusive<u16>,
    /// Addresses and ports, or whole addresses (Basic NAT). Default: NAPT.
    pub kind: PoolKind,
    /// Subscribers that use this pool; empty: all that no other pool names (B5).
    pub subscribers: Vec<Ipv4Net>,
    /// What happens when a subscriber's address has no port left (N9). Default: paired.
    pub pooling: Pooling,
    /// Ports are given to subscribers in blocks (N5, B9, RFC 6888 REQ-14). Default: singly.
    pub blocks: Option<Blocks>,
}

/// The gateway's own addresses, sources of the ICMP errors it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Towards the subscribers. Default: 192.0.0.8, the IPv4 dummy address (RFC 7600).
    pub inside: Ipv4Addr,
    /// Towards the outside. Default: 192.0.0.8.
    pub outside: Ipv4Addr,
}

/// How an external port is chosen for a new mapping (N16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSelection {
    /// The internal port is tried first (RFC 4787 4.2.1). Default: true.
    pub preserve: bool,
    /// Selection where the internal port is taken or not preserved (RFC 6056 3.3). Default: 3.
    pub algorithm: rules::port_selection::Algorithm,
    /// An even internal port gets an even external one, an odd one an odd one (N15, RFC 4787 REQ-4).
    /// Default: false.
    pub preserve_parity: bool,
    /// A well-known internal port gets a well-known external one, others others, while there are any
    /// (RFC 4787 REQ-3a). Default: true.
    pub preserve_range: bool,
    /// How long a freed UDP port or ICMP identifier is not given out again
    /// (RFC 6888 REQ-8). Default: 120 s. TCP ports are held by the state machine alone.
    pub hold: Duration,
    /// Ports held back like that at most; what is freed beyond it is free at once. Default:
    /// 1,048,576.
    pub hold_max: u32,
}

/// Idle times after which a TCP session ends, by the state that it is in (N1, N2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpTimeouts {
    /// One side has sent a SYN. Default: 4 min; may be less (RFC 7857 2.1).
    pub opening: Duration,
    /// Both have. Default: 2 h 4 min, the least that RFC 5382 REQ-5 allows.
    pub established: Duration,
    /// Both have sent a FIN. Default: 4 min.
    pub closing: Duration,
    /// Both have sent a FIN and the last was acknowledged. Default: 4 min.
    pub time_wait: Duration,
    /// After a RST, or after an idle established session was put on notice
    /// (TRANS, RFC 7857 2.2). Default: 4 min.
    pub transitory: Duration,
}

/// UDP timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Idle time after which a session ends. Default: 5 min; at least 2 min (RFC 4787 REQ-5).
    pub timeout: Duration,
    /// A packet from outside counts as activity too (RFC 4787 REQ-6a). Default: true.
    pub inbound_refresh: bool,
    /// Sessions to these ports below 1024 end after a time of their own, which may be shorter than
    /// 2 min (RFC 4787 REQ-5a). Default: none. At most eight.
    pub port_timeouts: Vec<(u16, Duration)>,
}

/// Limits (B10). What exceeds one is refused; nothing that lives is removed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions of this engine. Memory follows from it and is bounded by it. Default: 1,048,576.
    pub sessions: u32,
    /// Mappings of this engine. Default: 1,048,576.
    pub mappings: u32,
    /// Subscribers with at least one mapping. Default: 65,536.
    pub subscribers: u32,
    /// External ports that one subscriber may hold, for each protocol. Default: 2,048.
    pub ports_per_subscriber: u32,
    /// The same for one protocol alone, in the order of [`crate::Protocol::ALL`] (RFC 6888 REQ-4b).
    /// Default: none; the lower of the two counts.
    pub ports_by_protocol: [Option<u32>; 3],
    /// Sessions that one subscriber may have. Default: 4,096.
    pub sessions_per_subscriber: u32,
    /// New sessions a second that one subscriber may open, with a burst of as many; 0: no limit.
    /// Default: 0.
    pub session_rate_per_subscriber: u32,
    /// Sessions that the outside may have opened over one mapping; 0: no limit (N10). Default: 0.
    pub inbound_sessions_per_mapping: u32,
    /// Sessions that the outside may have opened to one subscriber; 0: no limit (N10). Default: 0.
    pub inbound_sessions_per_subscriber: u32,
    /// Sessions a second that the outside may open to one subscriber, with a burst of as many; 0: no
    /// limit (N10). Default: 0.
    pub inbound_rate_per_subscriber: u32,
    /// TCP connections whose end is remembered for the next one on their tuple (N4, N6), at 64 octets
    /// each. Default: 65,536.
    pub tombstones: u32,
    /// A limit that keeps being hit is reported as an event once in this time, per subscriber and
    /// kind. Default: 60 s.
    pub report_interval: Duration,
}

/// Fragment handling (B3, RFC 4787 REQ-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragments {
    /// Datagrams whose fragments are followed at one time. Default: 4,096.
    pub datagrams: u32,
    /// Fragments that one source may have waiting for their first. Default: 64.
    pub waiting_per_source: u32,
    /// Octets of fragments waiting, all sources together. Default: 1 MiB.
    pub waiting_octets: u32,
    /// How long after its first arrival a datagram is followed. Default: 15 s (RFC 791).
    pub timeout: Duration,
}

/// Maximum transmission units, in octets of the IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtu {
    /// Of the links towards the subscribers. Default: 1500.
    pub inside: u16,
    /// Of the links outwards. Default: 1500.
    pub outside: u16,
}

/// Which share of the work is this engine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub index: u16,
    /// How many there are; at most as many as external addresses.
    pub count: u16,
}

impl Config {
    /// The defaults with these inside prefixes and pools.
    pub fn new(inside: Vec<Ipv4Net>, pools: Vec<Pool>) -> Self {
        Self {
            inside,
            subscriber_prefix: 32,
            bypass: Vec::new(),
            pools,
            statics: Vec::new(),
            mapping: MappingBehaviour::default(),
            filtering: Filtering::default(),
            gateway: Gateway::default(),
            ports: PortSelection::default(),
            tcp: TcpTimeouts::default(),
            tcp_checks: TcpChecks::default(),
            udp: Udp::default(),
            icmp_timeout: Duration::from_secs(60),
            other_timeout: Duration::from_secs(300),
            limits: Limits::default(),
            fragments: Fragments::default(),
            mtu: Mtu::default(),
            mss_clamp: None,
            icmp_errors_per_second: 1_000,
            icmp_errors_to: [true; 2],
            unsolicited_syns: Some(4_096),
            rewrite_ip_id: true,
            algs: Algs::default(),
            scrub: Scrub::default(),
            shard: Shard { index: 0, count: 1 },
        }
    }

    /// Octets of memory that all shards with these settings take at most, when every table is full. What
    /// is not used yet is not taken: the kernel gives pages as they are first touched.
    pub fn memory_bound(&self) -> u64 {
        crate::engine::memory_bound(self)
    }

    /// The bits of an internal address that say which subscriber it is (`subscriber_prefix`).
    pub fn subscriber_mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.subscriber_prefix.min(32))).unwrap_or(0)
    }

    /// External addresses, all pools together.
    pub fn external_addresses(&self) -> u64 {
        self.pools.iter().map(Pool::size).sum()
    }
}

impl Pool {
    /// A pool of these addresses and ports, and the defaults for the rest.
    pub fn new(addresses: Vec<RangeInclusive<Ipv4Addr>>, ports: RangeInclusive<u16>) -> Self {
        let (kind, pooling) = (PoolKind::default(), Pooling::default());
        Self { addresses, ports, kind, subscribers: Vec::new(), pooling, blocks: None }
    }

    /// Addresses in it.
    pub fn size(&self) -> u64 {
        self.addresses
            .iter()
            .map(|range| {
                let (first, last) = (range.start().to_bits(), range.end().to_bits());
                if last < first { 0 } else { u64::from(last - first) + 1 }
            })
            .sum()
    }
}

impl Default for Gateway {
    fn default() -> Self {
        let dummy = Ipv4Addr::new(192, 0, 0, 8);
        Self { inside: dummy, outside: dummy }
    }
}

impl Default for PortSelection {
    fn default() -> Self {
        Self {
            preserve: true,
            preserve_parity: false,
            preserve_range: true,
            algorithm: rules::port_selection::Algorithm::default(),
            hold: Duration::from_secs(120),
            hold_max: 1 << 20,
        }
    }
}

impl Default for TcpTimeouts {
    fn default() -> Self {
        let four_minutes = Duration::from_secs(240);
        Self {
            opening: four_minutes,
            established: Duration::from_secs(7_440),
            closing: four_minutes,
            time_wait: four_minutes,
            transitory: four_minutes,
        }
    }
}

impl Default for Udp {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(300), inbound_refresh: true, port_timeouts: Vec::new() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1 << 20,
            mappings: 1 << 20,
            subscribers: 1 << 16,
            ports_per_subscriber: 2_048,
            ports_by_protocol: [None; 3],
            sessions_per_subscriber: 4_096,
            session_rate_per_subscriber: 0,
            inbound_sessions_per_mapping: 0,
            inbound_sessions_per_subscriber: 0,
            inbound_rate_per_subscriber: 0,
            tombstones: 1 << 16,
            report_interval: Duration::from_secs(60),
        }
    }
}

impl Default for Fragments {
    fn default() -> Self {
        Self {
            datagrams: 4_096,
            waiting_per_source: 64,
            waiting_octets: 1 << 20,
            timeout: Duration::from_secs(15),
        }
    }
}

impl Default for Mtu {
    fn default() -> Self {
        Self { inside: 1_500, outside: 1_500 }
    }
}

/// A setting that makes no sense. `setting` is its path as the configuration file spells it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct ConfigError {
    /// The setting, e.g. `tcp.established` or `pool[1].addresses`.
    pub setting: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}
