//! Settings of behaviour: what a mapping depends on, who may use it, what ends a TCP session.
//!
//! The defaults are those of RFC 7857; where the draft before it differs, the program's
//! `behave-update-01` profile says so.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

use crate::{Endpoint, Protocol};

/// What a mapping or a filter depends on (RFC 4787 4.1 and 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Nothing but the internal endpoint.
    #[default]
    EndpointIndependent,
    /// The remote address too.
    AddressDependent,
    /// The remote address and port too.
    AddressAndPortDependent,
}

/// What a mapping depends on, and what may share an external port (N8, N14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappingBehaviour {
    /// Default: endpoint-independent (RFC 4787 REQ-1, RFC 5382 REQ-1).
    pub behaviour: Behaviour,
    /// One external port serves several internal endpoints while their remote addresses differ
    /// (RFC 7857 3 and 13). Only with a dependent `behaviour`. Default: false.
    pub port_overlap: bool,
    /// An internal endpoint has one external port for TCP and UDP (RFC 7857 5). Default: false.
    pub protocol_independent: bool,
}

/// Who may use a mapping from outside (RFC 4787 5, RFC 5382 REQ-3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filtering {
    /// Of TCP. Default: endpoint-independent.
    pub tcp: Behaviour,
    /// Of UDP. Default: endpoint-independent.
    pub udp: Behaviour,
    /// Internal TCP ports that strangers may reach although `tcp` is dependent; or, where it is
    /// endpoint-independent and this is not empty, the only ones that they may reach (N10: EIF by
    /// application). Default: empty.
    pub tcp_ports: Vec<RangeInclusive<u16>>,
    /// The same for UDP.
    pub udp_ports: Vec<RangeInclusive<u16>>,
    /// What comes from outside may use a mapping that only the other of TCP and UDP has made (N11,
    /// RFC 7857 6). Default: false; true under update-01.
    pub protocol_independent: bool,
}

/// Addresses and ports, or addresses alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolKind {
    /// Ports are translated.
    #[default]
    Napt,
    /// Each subscriber has an external address to itself while it has sessions, and every port and
    /// every protocol passes (B5, B6, RFC 2663 4.1.1).
    Basic,
}

/// What happens when a subscriber's external address has no port left (N9, RFC 7857 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The new session is refused.
    #[default]
    Paired,
    /// Another address is used from then on, for new mappings.
    PairedSoft,
    /// Each mapping may have any address.
    Arbitrary,
}

/// Port blocks (N5, B9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Ports of a block.
    pub size: u16,
    /// Blocks that one subscriber may hold of an address, all protocols sharing them.
    pub max_per_subscriber: u16,
    /// Ports at the end of the pool's range that belong to no block and to whoever has none left.
    pub shared: SharedPorts,
    /// Each subscriber's one block follows from its address (RFC 7422), and nothing needs to be logged.
    /// The pool then names its `subscribers`.
    pub deterministic: bool,
}

/// The shared remainder of a pool with blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SharedPorts {
    /// What does not fill a block belongs to nobody.
    #[default]
    None,
    /// So many ports, and what does not fill a block.
    Last(u16),
}

/// A mapping that is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaticMapping {
    /// One port.
    Port {
        /// TCP or UDP.
        protocol: Protocol,
        /// The subscriber's endpoint.
        internal: Endpoint,
        /// What the outside sees, of one of the pools' addresses.
        external: Endpoint,
    },
    /// A whole address, every port and every protocol.
    Address {
        /// The subscriber.
        internal: Ipv4Addr,
        /// An address of a pool with [`PoolKind::Basic`].
        external: Ipv4Addr,
    },
}

/// What a plausible RST does (N7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RstPolicy {
    /// The session has `tcp.transitory` left, and lives on if anything comes (RFC 7857 2.2).
    #[default]
    Hold,
    /// The session ends, and with it its mapping if no other uses it. Update-01 2.3 allows to end the mapping
    /// with its first session; then a RST of one remote would end the sessions of all others.
    Delete,
}

/// What a SYN does to a session in TIME-WAIT (N3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeWaitPolicy {
    /// It passes, and those of both sides open the session anew (RFC 7857 2).
    #[default]
    Keep,
    /// One that RFC 6191 accepts starts the session anew; any other is an old duplicate and dropped
    /// (update-01 2.2.1).
    Rfc6191,
}

/// What is asked of a segment before it changes state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpChecks {
    /// Default: hold.
    pub rst: RstPolicy,
    /// Default: keep.
    pub time_wait: TimeWaitPolicy,
    /// Old duplicates, by timestamp or by sequence number, are dropped (update-01 2.2.1). Default: false;
    /// true under update-01.
    pub paws: bool,
    /// An external tuple in TIME-WAIT may be given to another client when no port is free, and goes on
    /// above the last sequence number and timestamp (N4, update-01 2.2.1.1). Needs
    /// [`TimeWaitPolicy::Rfc6191`]. Default: false.
    pub monotonic_rewrite: bool,
    /// A FIN that comes again when the session is gone is answered with the last ACK (N6, update-01
    /// 2.2.1.3). Default: false; true under update-01.
    pub resend_last_ack: bool,
}

/// Application gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algs {
    /// Server ports on which FTP control connections are rewritten (B8). Default: 21 (RFC 5382 REQ-6);
    /// empty: none.
    pub ftp: Vec<u16>,
}

impl Default for TcpChecks {
    fn default() -> Self {
        Self {
            rst: RstPolicy::Hold,
            time_wait: TimeWaitPolicy::Keep,
            paws: false,
            monotonic_rewrite: false,
            resend_last_ack: false,
        }
    }
}

impl Default for Algs {
    fn default() -> Self {
        Self { ftp: vec![21] }
    }
}
