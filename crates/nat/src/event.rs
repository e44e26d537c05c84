//! Everything that happens, told once: what logs, metrics, `ctl` and tests read.

use core::net::Ipv4Addr;

use rules::Instant;

use crate::{Endpoint, Protocol, Realm, Reason};

/// Something that happened, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When: for an expiry, the tick at which it was due.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An internal endpoint was given an external one; at the start those of the configuration.
    MappingCreated(MappingId),
    /// The mapping's last session is gone, or the time for which it was kept, and with it the mapping.
    MappingDeleted(MappingId),
    /// A session began.
    SessionCreated(SessionId),
    /// A session ended.
    SessionDeleted(SessionId, DeleteReason),
    /// A subscriber, or the engine as a whole, was refused something; told at most once in
    /// `limits.report_interval` for each subscriber and kind.
    LimitHit {
        /// Whose packet was refused.
        subscriber: Ipv4Addr,
        /// Which limit.
        limit: Limit,
    },
}

/// A mapping by its two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MappingId {
    /// Its port space.
    pub protocol: Protocol,
    /// The subscriber's endpoint.
    pub internal: Endpoint,
    /// The endpoint that the outside sees.
    pub external: Endpoint,
    /// What of the remote endpoint it depends on (RFC 4787 4.1): `None` nothing, else the address, and the
    /// port if that is not 0.
    pub remote: Option<Endpoint>,
}

/// A session by its mapping and the remote endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Its mapping.
    pub mapping: MappingId,
    /// The other end, as the subscriber addresses it. For ICMP queries the port is 0.
    pub remote: Endpoint,
    /// Who sent the first packet.
    pub opened_from: OpenedFrom,
}

/// Which side opened a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OpenedFrom {
    /// The subscriber.
    Inside,
    /// The remote.
    Outside,
}

impl From<Realm> for OpenedFrom {
    fn from(realm: Realm) -> Self {
        match realm {
            Realm::Inside => Self::Inside,
            Realm::Outside => Self::Outside,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeleteReason {
    /// It was idle for the time that its state allows.
    Idle,
    /// A RST that its receiver believes (`tcp.rst`).
    Reset,
    /// A SYN has ended TIME-WAIT (`tcp.time_wait`); the session that begins with it is told next.
    Reopened,
    /// In TIME-WAIT; its port was given to another session because no other was free
    /// (`tcp.monotonic_rewrite`).
    Reused,
}

/// A limit that refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `limits.sessions`.
    Sessions,
    /// `limits.mappings`.
    Mappings,
    /// `limits.subscribers`.
    Subscribers,
    /// `limits.ports_per_subscriber`.
    PortsPerSubscriber,
    /// `limits.sessions_per_subscriber`.
    SessionsPerSubscriber,
    /// `limits.session_rate_per_subscriber`.
    SessionRate,
    /// The subscriber's external address has no free port left.
    PortsExhausted,
    /// `limits.inbound_sessions_per_mapping`.
    InboundPerMapping,
    /// `limits.inbound_sessions_per_subscriber`.
    InboundPerSubscriber,
    /// `limits.inbound_rate_per_subscriber`.
    InboundRate,
}

impl Limit {
    /// The reason under which the refused packet is counted.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Sessions => Reason::LimitSessions,
            Self::Mappings => Reason::LimitMappings,
            Self::Subscribers => Reason::LimitSubscribers,
            Self::PortsPerSubscriber => Reason::LimitPorts,
            Self::SessionsPerSubscriber => Reason::LimitSubscriberSessions,
            Self::SessionRate => Reason::LimitRate,
            Self::PortsExhausted => Reason::PortsExhausted,
            Self::InboundPerMapping => Reason::LimitInboundMapping,
            Self::InboundPerSubscriber => Reason::LimitInboundSubscriber,
            Self::InboundRate => Reason::LimitInboundRate,
        }
    }
}
