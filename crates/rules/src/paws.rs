//! Protection against wrapped sequence numbers (RFC 7323 sections 3.2, 4.3 and 5).
//!
//! Asked before the sequence test. A timestamp is a number on a circle like a sequence number.

use core::time::Duration;

use wire::SeqNumber;
use wire::tcp::Flags;

use crate::Instant;

/// After so long without an update TS.Recent is worth nothing: the peer's clock may have gone half
/// round (RFC 7323 5.5).
pub const OUTDATED: Duration = Duration::from_secs(24 * 24 * 60 * 60);

/// TS.Recent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TsRecent {
    /// The timestamp to echo.
    pub value: u32,
    /// When it was taken over.
    pub seen: Instant,
}

impl TsRecent {
    /// Whether it is older than [`OUTDATED`] and so forbids nothing.
    pub fn is_outdated(self, now: Instant) -> bool {
        now.since(self.seen) > OUTDATED
    }
}

/// What PAWS says of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PawsVerdict {
    /// Go on with the sequence test.
    Accept,
    /// An old duplicate: answer with an ACK, drop it.
    Old,
}

/// Rule R1 of RFC 7323 5.3 with the 24-day rule of 5.5. A RST is exempt.
pub fn paws(tsval: u32, recent: Option<TsRecent>, flags: Flags, now: Instant) -> PawsVerdict {
    match recent {
        Some(recent)
            if SeqNumber(tsval).before(SeqNumber(recent.value))
                && !flags.contains(Flags::RST)
                && !recent.is_outdated(now) =>
        {
            PawsVerdict::Old
        }
        _ => PawsVerdict::Accept,
    }
}

/// Rule R3: whether TS.Recent takes over `tsval`, i.e. SEG.TSval >= TS.Recent and
/// SEG.SEQ <= Last.ACK.sent. An outdated TS.Recent does not stand in the way.
///
/// To be asked of acceptable segments only.
pub fn updates_ts_recent(
    seq: SeqNumber,
    tsval: u32,
    recent: Option<TsRecent>,
    last_ack_sent: SeqNumber,
    now: Instant,
) -> bool {
    let newer = recent
        .is_none_or(|recent| recent.is_outdated(now) || !SeqNumber(tsval).before(SeqNumber(recent.value)));
    newer && !seq.after(last_ack_sent)
}

/// Whether a segment without the option is dropped in silence: the option was negotiated and it is
/// not a RST (RFC 7323 3.2).
pub const fn drops_for_want_of_timestamp(negotiated: bool, tsval: Option<u32>, flags: Flags) -> bool {
    negotiated && tsval.is_none() && !flags.contains(Flags::RST)
}
