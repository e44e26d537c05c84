//! Why a packet was refused: one counter each.

use core::fmt;

use wire::Malformed;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a packet was refused.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason {
            /// It is not a well-formed packet.
            Malformed(Malformed),
            $($(#[$doc])* $variant,)*
        }

        /// The reasons that are not in [`Malformed`].
        const REFUSALS: &[Reason] = &[$(Reason::$variant,)*];

        impl Reason {
            /// Its name in counters and logs.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Malformed(malformed) => malformed.name(),
                    $(Self::$variant => $name,)*
                }
            }

            /// Its place in [`crate::Counters::dropped`].
            pub const fn index(self) -> usize {
                match self {
                    Self::Malformed(malformed) => malformed as usize,
                    $(Self::$variant => Malformed::ALL.len() + Place::$variant as usize,)*
                }
            }
        }

        #[allow(dead_code)]
        enum Place { $($variant,)* }
    };
}

reasons! {
    /// From inside, with a source that is not in `inside.prefixes`.
    SourceNotInside = "source-not-inside",
    /// From inside, to an address in `inside.prefixes`: nothing to translate.
    DestinationInside = "destination-inside",
    /// From outside, with a source in `inside.prefixes` or in a pool.
    SpoofedInside = "spoofed-inside",
    /// An address that no unicast packet may have: 0/8, 127/8, 224/3 (RFC 1812 4.2.2.11).
    Martian = "martian",
    /// Source and destination endpoint are the same (LAND).
    SourceIsDestination = "source-is-destination",
    /// From outside, to an address of no pool.
    NotExternal = "not-external",
    /// A loose or strict source route option (RFC 6274 3.13.2).
    SourceRoute = "source-route",
    /// A protocol whose ports are not translated here.
    Protocol = "protocol",
    /// The time to live is used up.
    TtlExpired = "ttl-expired",
    /// Larger than the next link takes, and it must not be fragmented.
    TooBig = "too-big",
    /// From outside, to an external endpoint without a mapping.
    NoMapping = "no-mapping",
    /// No session, and only a SYN opens a TCP session.
    NotSyn = "not-syn",
    /// From outside: no session, and only a query opens an ICMP session.
    NotQuery = "not-query",
    /// An illegal combination of TCP flags: SYN with FIN or RST, or none at all (`scrub.syn_fin` and others).
    TcpFlags = "tcp-flags",
    /// An ICMP error that quotes no known session.
    QuoteUnknown = "quote-unknown",
    /// An ICMP error about an ICMP error, or about a protocol that is not translated.
    QuoteRefused = "quote-refused",
    /// An ICMP message that is neither query nor error.
    IcmpType = "icmp-type",
    /// `limits.sessions` reached.
    LimitSessions = "limit-sessions",
    /// `limits.mappings` reached.
    LimitMappings = "limit-mappings",
    /// `limits.subscribers` reached.
    LimitSubscribers = "limit-subscribers",
    /// `limits.ports_per_subscriber` reached.
    LimitPorts = "limit-ports",
    /// `limits.sessions_per_subscriber` reached.
    LimitSubscriberSessions = "limit-subscriber-sessions",
    /// `limits.session_rate_per_subscriber` exceeded.
    LimitRate = "limit-rate",
    /// No free port on the subscriber's external address.
    PortsExhausted = "ports-exhausted",
    /// `fragments.datagrams` reached, or more gaps in one datagram than anybody needs.
    FragmentDatagrams = "fragment-datagrams",
    /// `fragments.waiting_per_source` reached.
    FragmentSource = "fragment-source",
    /// `fragments.waiting_octets` reached.
    FragmentOctets = "fragment-octets",
    /// It waited for its first fragment in vain.
    FragmentTimeout = "fragment-timeout",
    /// It overlaps a fragment seen before (RFC 1858).
    FragmentOverlap = "fragment-overlap",
    /// Its external address is another shard's: the datapath steered it wrongly.
    WrongShard = "wrong-shard",
    /// From outside, and `filtering` keeps strangers away from that endpoint.
    Filtered = "filtered",
    /// `limits.inbound_sessions_per_mapping` reached.
    LimitInboundMapping = "limit-inbound-mapping",
    /// `limits.inbound_sessions_per_subscriber` reached.
    LimitInboundSubscriber = "limit-inbound-subscriber",
    /// `limits.inbound_rate_per_subscriber` exceeded.
    LimitInboundRate = "limit-inbound-rate",
    /// A TCP segment older than what its receiver has taken already, by its timestamp or its sequence
    /// number (`tcp.paws`, `scrub.out_of_window`).
    OldDuplicate = "old-duplicate",
    /// A SYN that does not end TIME-WAIT (RFC 6191, `tcp.time_wait`).
    TimeWaitSyn = "time-wait-syn",
    /// From outside, from a bypass address to an external one: the answer would not be translated.
    BypassSource = "bypass-source",
    /// `pool.max_blocks` reached, and no port is free in the subscriber's blocks.
    LimitBlocks = "limit-blocks",
    /// A part of an FTP command that is not acknowledged yet, or one more behind it: it comes again (B8).
    FtpPending = "ftp-pending",
    /// An urgent pointer without URG (`scrub.urgent_pointer`).
    UrgentPointer = "urgent-pointer",
    /// A reserved bit of the TCP header is set (`scrub.reserved_bits`).
    ReservedBits = "reserved-bits",
    /// Right of every window that its receiver has offered (`scrub.out_of_window`).
    OutOfWindow = "out-of-window",
    /// It belongs to a war between its ends (`scrub.war_limit`).
    WarDamped = "war-damped",
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = Malformed::ALL.len() + REFUSALS.len();

    /// It is one of those for which scrubbing drops (C5).
    pub(crate) const fn is_scrubbing(self) -> bool {
        matches!(
            self,
            Self::TcpFlags
                | Self::UrgentPointer
                | Self::ReservedBits
                | Self::OutOfWindow
                | Self::OldDuplicate
                | Self::WarDamped
        )
    }

    /// All of them, in the order of their index.
    pub fn all() -> impl Iterator<Item = Self> {
        Malformed::ALL.iter().map(|&malformed| Self::Malformed(malformed)).chain(REFUSALS.iter().copied())
    }
}

impl From<Malformed> for Reason {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
