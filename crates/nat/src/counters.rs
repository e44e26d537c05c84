//! What the engine has counted since it was made.

use crate::{Reason, Scrubbed};

/// Totals of one engine; they only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Packets translated and sent on, by the realm that they came from: inside, outside.
    pub forwarded: [u64; 2],
    /// Of these, packets from inside that went back inside (hairpin).
    pub hairpinned: u64,
    /// Packets refused, by [`Reason::index`].
    pub dropped: [u64; Reason::COUNT],
    /// ICMP errors that the engine sent.
    pub icmp_errors_sent: u64,
    /// ICMP errors that the rate limit held back.
    pub icmp_errors_limited: u64,
    /// Sessions made.
    pub sessions_created: u64,
    /// Sessions that have ended.
    pub sessions_deleted: u64,
    /// Mappings made.
    pub mappings_created: u64,
    /// Mappings that have ended.
    pub mappings_deleted: u64,
    /// Last ACKs sent in the place of subscribers whose session is gone (N6).
    pub last_acks_sent: u64,
    /// Last ACKs that a rate limit held back.
    pub last_acks_limited: u64,
    /// Sessions whose numbers are changed because their tuple was in use before (N4).
    pub sessions_shifted: u64,
    /// Datagrams sent on with an Identification that may have been used within the maximum datagram
    /// lifetime, because 16 bits are too few for their rate (N17).
    pub ip_ids_reused: u64,
    /// Commands and answers of FTP whose endpoint was rewritten (B8); the same one again does not count.
    pub ftp_rewritten: u64,
    /// Those that have passed unchanged: another host's endpoint, not readable in one segment, or a limit.
    pub ftp_passed: u64,
    /// What scrubbing has changed and found (C5).
    pub scrubbed: Scrubbed,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            forwarded: [0; 2],
            hairpinned: 0,
            dropped: [0; Reason::COUNT],
            icmp_errors_sent: 0,
            icmp_errors_limited: 0,
            sessions_created: 0,
            sessions_deleted: 0,
            mappings_created: 0,
            mappings_deleted: 0,
            last_acks_sent: 0,
            last_acks_limited: 0,
            sessions_shifted: 0,
            ip_ids_reused: 0,
            ftp_rewritten: 0,
            ftp_passed: 0,
            scrubbed: Scrubbed::default(),
        }
    }
}

impl Counters {
    /// Packets refused for `reason`.
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason.index()]
    }

    /// The reasons that have occurred, with their counts, in their order.
    pub fn drops(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::all().map(|reason| (reason, self.dropped(reason))).filter(|&(_, count)| count > 0)
    }
}
