//! What a scrubber does to packets and finds in them: one counter each, and samples with headers (C5).

use core::fmt;
use std::collections::VecDeque;

use rules::Instant;

use crate::{Endpoint, Realm, Reason};

/// Something that a scrubber has changed in a packet, or found in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Finding {
    /// URG taken off, the pointer set to 0 (C1).
    Urgent,
    /// An urgent pointer without URG set to 0 (C2).
    UrgentPointer,
    /// Reserved bits set to 0 (C2).
    ReservedBits,
    /// FIN taken off a SYN (C2).
    SynFin,
    /// SYN taken off a RST (C2).
    SynRst,
    /// Illegal flags that have passed, as the configuration wants it (C2).
    IllegalPassed,
    /// The MSS option of a SYN lowered (C4, B7).
    Mss,
    /// Options overwritten (C4); a segment counts once.
    Options,
    /// Time to live raised (C4).
    Ttl,
    /// Identification hidden (C4); alone, not in the NAT.
    IpId,
    /// It would have been changed, but is signed (RFC 2385, RFC 5925): it has passed as it was.
    Signed,
    /// Right of every window of its receiver; it has passed (C3).
    OutOfWindow,
    /// Older than a window; it has passed (C3).
    OldDuplicate,
}

impl Finding {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All of them, by their number in here.
    pub const ALL: [Self; 13] = [
        Self::Urgent,
        Self::UrgentPointer,
        Self::ReservedBits,
        Self::SynFin,
        Self::SynRst,
        Self::IllegalPassed,
        Self::Mss,
        Self::Options,
        Self::Ttl,
        Self::IpId,
        Self::Signed,
        Self::OutOfWindow,
        Self::OldDuplicate,
    ];

    /// Its name in counters and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::UrgentPointer => "urgent-pointer",
            Self::ReservedBits => "reserved-bits",
            Self::SynFin => "syn-fin",
            Self::SynRst => "syn-rst",
            Self::IllegalPassed => "illegal-passed",
            Self::Mss => "mss",
            Self::Options => "options",
            Self::Ttl => "ttl",
            Self::IpId => "ip-id",
            Self::Signed => "signed",
            Self::OutOfWindow => "out-of-window",
            Self::OldDuplicate => "old-duplicate",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of findings: those of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Findings(u16);

impl Findings {
    /// None.
    pub const NONE: Self = Self(0);

    /// There is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, finding: Finding) -> Self {
        Self(self.0 | finding.bit())
    }

    /// Whether `finding` is one of them.
    pub const fn has(self, finding: Finding) -> bool {
        self.0 & finding.bit() != 0
    }

    /// Each of them, in the order of [`Finding::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Finding> {
        Finding::ALL.into_iter().filter(move |finding| self.has(*finding))
    }
}

/// The headers of a packet: IPv4 and transport, at most 120 octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    octets: [u8; 120],
    len: u8,
}

impl Headers {
    /// Those of `packet`, `len` octets of it.
    pub(crate) fn of(packet: &[u8], len: usize) -> Self {
        let len = len.min(packet.len()).min(120);
        let mut octets = [0; 120];
        octets[..len].copy_from_slice(&packet[..len]);
        Self { octets, len: len as u8 }
    }

    /// From the first octet of the IPv4 header on.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.octets().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Something that is told beside the counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScrubEvent {
    /// When.
    pub at: Instant,
    /// Where the packet came from.
    pub from: Realm,
    /// What.
    pub kind: ScrubEventKind,
}

/// What it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScrubEventKind {
    /// One in `scrub.sample` findings: the packet before and after. In a NAT, before it was translated, but for the
    /// Identification of a fragment.
    Changed {
        /// What was changed or found.
        findings: Findings,
        /// As it came.
        before: Headers,
        /// As the scrubber left it.
        after: Headers,
    },
    /// One in `scrub.sample` packets that a scrubber has dropped.
    Dropped {
        /// Why.
        reason: Reason,
        /// As it came.
        before: Headers,
    },
    /// Two endpoints answer one another without progress, and from now on one side's answers are dropped; told
    /// once for each war.
    WarDamped {
        /// Source of the first segment that was dropped, as it came.
        source: Endpoint,
        /// Its destination.
        destination: Endpoint,
        /// Segments without progress so far.
        segments: u64,
    },
}

/// What waits to be told, and which finding is the next to be sampled.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    sample: Option<u32>,
    /// Findings to come before the next that is sampled.
    left: u32,
    events: VecDeque<ScrubEvent>,
}

/// What was found in a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) at: Instant,
    pub(crate) from: Realm,
    pub(crate) findings: Findings,
    /// What its headers were, if it was changed and its turn to be told.
    pub(crate) before: Option<Headers>,
    /// The packet as it is now, and how much of it is headers.
    pub(crate) data: &'a [u8],
    pub(crate) headers: usize,
}

/// Events that wait at most: 80 KiB. What comes on top is lost, and counted.
const WAITING: usize = 256;

impl Told {
    /// What it takes when full.
    pub(crate) const OCTETS: u64 = (2 * WAITING * size_of::<ScrubEvent>()) as u64;

    pub(crate) fn new(sample: Option<u32>) -> Self {
        Self { sample, left: 0, events: VecDeque::new() }
    }

    /// Whether the next finding is told.
    pub(crate) fn is_due(&self) -> bool {
        self.sample.is_some() && self.left == 0
    }

    /// Counts what was found in a packet, and tells it if its turn has come.
    pub(crate) fn note(&mut self, counts: &mut Scrubbed, found: Found<'_>) {
        let Found { at, from, findings, before, data, headers } = found;
        if findings.is_empty() {
            return;
        }
        counts.add(findings);
        let lost = self.found(|| {
            let after = Headers::of(data, headers);
            let kind = ScrubEventKind::Changed { findings, before: before.unwrap_or(after), after };
            ScrubEvent { at, from, kind }
        });
        counts.events_lost += u64::from(lost);
    }

    /// There was a finding; `tell` makes the event if its turn has come. `true`: it was lost.
    pub(crate) fn found(&mut self, tell: impl FnOnce() -> ScrubEvent) -> bool {
        let Some(sample) = self.sample else { return false };
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.left = sample.saturating_sub(1);
        self.tell(tell())
    }

    /// A scrubber has dropped `packet`, a segment; `true`: the event was lost.
    pub(crate) fn dropped(&mut self, at: Instant, from: Realm, reason: Reason, packet: &[u8]) -> bool {
        self.found(|| {
            let header_len = packet.first().map_or(0, |octet| usize::from(octet & 15) * 4);
            let tcp_len = packet.get(header_len + 12).map_or(0, |octet| usize::from(octet >> 4) * 4);
            let kind = ScrubEventKind::Dropped { reason, before: Headers::of(packet, header_len + tcp_len) };
            ScrubEvent { at, from, kind }
        })
    }

    /// `true`: it was lost.
    pub(crate) fn tell(&mut self, event: ScrubEvent) -> bool {
        let full = self.events.len() >= WAITING;
        if !full {
            self.events.push_back(event);
        }
        full
    }

    pub(crate) fn poll(&mut self) -> Option<ScrubEvent> {
        self.events.pop_front()
    }
}

/// Counts of findings; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// By [`Finding`], in the order of [`Finding::ALL`].
    pub findings: [u64; Finding::COUNT],
    /// Wars that were damped.
    pub wars: u64,
    /// Events that nobody fetched in time.
    pub events_lost: u64,
    /// Connections that were not followed because `scrub.flows` was reached.
    pub not_followed: u64,
}

impl Scrubbed {
    /// How often there was `finding`.
    pub fn count(&self, finding: Finding) -> u64 {
        self.findings[finding as usize]
    }

    /// Those that there were, with their counts.
    pub fn found(&self) -> impl Iterator<Item = (Finding, u64)> + '_ {
        Finding::ALL.into_iter().map(|finding| (finding, self.count(finding))).filter(|&(_, count)| count > 0)
    }

    pub(crate) fn add(&mut self, findings: Findings) {
        findings.iter().for_each(|finding| self.findings[finding as usize] += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: C5
    #[test]
    fn every_finding_has_a_place_and_a_name_of_its_own() {
        for (place, finding) in Finding::ALL.into_iter().enumerate() {
            assert_eq!(finding as usize, place);
            assert_eq!(Findings::NONE.with(finding).iter().collect::<Vec<_>>(), [finding]);
        }
        let names: std::collections::BTreeSet<_> = Finding::ALL.map(Finding::name).into();
        assert_eq!(names.len(), Finding::COUNT);
    }

    // covers: C5
    #[test]
    fn one_in_so_many_is_told_and_no_more_than_there_is_room_for() {
        let event = ScrubEvent {
            at: Instant::ZERO,
            from: Realm::Inside,
            kind: ScrubEventKind::Dropped { reason: Reason::TcpFlags, before: Headers::of(&[], 0) },
        };
        let mut told = Told::new(Some(3));
        let lost = (0..3 * WAITING + 3).filter(|_| told.found(|| event)).count();
        assert_eq!((told.events.len(), lost), (WAITING, 1));
        assert!(!Told::new(None).found(|| event) && !Told::new(None).is_due());
    }
}
