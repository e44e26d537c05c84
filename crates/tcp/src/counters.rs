//! What the endpoint counts: every packet that it refuses has its reason here.

/// Counts since the endpoint was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Packets that arrived.
    pub received: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Not IPv4, cut, or damaged, checksums included.
    pub malformed: u64,
    /// Fragments: they are the link's or the driver's to put together.
    pub fragments: u64,
    /// Not to an address of ours.
    pub not_ours: u64,
    /// From an address that is nobody's, or from the very port it is sent to (LAND).
    pub martian: u64,
    /// Neither TCP nor an ICMP error about it.
    pub not_tcp: u64,
    /// To a port where nobody listens.
    pub no_listener: u64,
    /// SYNs that found the backlog full.
    pub backlog_full: u64,
    /// Connections refused by `limits.connections`.
    pub connections_full: u64,
    /// SYN cookies sent.
    pub cookies_sent: u64,
    /// Connections made from a returned cookie.
    pub cookies_accepted: u64,
    /// ACKs to a listener that bear no cookie of ours.
    pub cookies_wrong: u64,
    /// Answers that no connection sends, withheld by `limits.stateless_replies` or a full queue.
    pub replies_withheld: u64,
    /// Segments with timestamps older than the connection's (PAWS).
    pub paws: u64,
    /// Segments without the timestamps that were agreed on.
    pub timestamp_missing: u64,
    /// Segments outside the window.
    pub unacceptable: u64,
    /// Answers to empty segments outside the window, withheld because one was sent just before.
    pub empty_answers_withheld: u64,
    /// RST outside the window or where none is due.
    pub rst_ignored: u64,
    /// Challenge ACKs (RFC 5961).
    pub challenge_acks: u64,
    /// The same, withheld by `limits.challenge_acks`.
    pub challenge_acks_withheld: u64,
    /// ACKs of what was never sent.
    pub ack_of_unsent: u64,
    /// ACKs too old to be believed (RFC 5961 section 5).
    pub ack_too_old: u64,
    /// Text dropped because `limits.buffer_octets` was reached.
    pub buffers_full: u64,
    /// Text dropped because `limits.out_of_order_ranges` was reached.
    pub ranges_full: u64,
    /// Held text dropped because a FIN came that lies before it, in ranges.
    pub text_behind_fin: u64,
    /// Out-of-band octets replaced or dropped before they were read.
    pub urgent_lost: u64,
    /// ICMP errors that fit no connection or nothing in flight (RFC 5927).
    pub icmp_ignored: u64,
    /// SYNs in TIME-WAIT that started a connection anew (RFC 6191).
    pub time_wait_reused: u64,
    /// SYNs that would have done so, had there been room for a connection: TIME-WAIT goes on.
    pub time_wait_kept: u64,
    /// TIME-WAIT ended early by `limits.time_wait`.
    pub time_wait_evicted: u64,
    /// Connections made, actively or passively.
    pub opened: u64,
    /// Connections that are over.
    pub closed: u64,
}
