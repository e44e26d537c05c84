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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(100 * 24 * 60 * 60);
    const BASES: [u32; 6] = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX];

    fn recent(value: u32, age: Duration) -> Option<TsRecent> {
        Some(TsRecent { value, seen: NOW - age })
    }

    // covers: T3
    #[test]
    fn an_older_timestamp_is_refused_up_to_half_a_circle_back() {
        for base in BASES {
            // (distance of TSval ahead of TS.Recent, refused)
            for (ahead, old) in [
                (0, false),
                (1, false),
                ((1 << 31) - 1, false),
                (1 << 31, false),
                ((1 << 31) + 1, true),
                (u32::MAX, true),
            ] {
                let verdict = paws(base.wrapping_add(ahead), recent(base, Duration::ZERO), Flags::ACK, NOW);
                assert_eq!(verdict == PawsVerdict::Old, old, "{base} {ahead}");
            }
        }
    }

    // covers: T3
    #[test]
    fn a_rst_and_a_connection_without_ts_recent_are_exempt() {
        let old = recent(10, Duration::ZERO);
        assert_eq!(paws(9, old, Flags::ACK, NOW), PawsVerdict::Old);
        assert_eq!(paws(9, old, Flags(Flags::RST.0 | Flags::ACK.0), NOW), PawsVerdict::Accept);
        assert_eq!(paws(9, None, Flags::ACK, NOW), PawsVerdict::Accept);
    }

    // covers: T3
    #[test]
    fn after_24_days_the_timestamp_forbids_nothing_and_is_replaced() {
        let (seq, tick) = (SeqNumber(5), Duration::from_nanos(1));
        let (kept, outdated) = (recent(10, OUTDATED), recent(10, OUTDATED + tick));
        assert_eq!(paws(9, kept, Flags::ACK, NOW), PawsVerdict::Old);
        assert!(!updates_ts_recent(seq, 9, kept, seq, NOW));
        assert_eq!(paws(9, outdated, Flags::ACK, NOW), PawsVerdict::Accept);
        assert!(updates_ts_recent(seq, 9, outdated, seq, NOW));
    }

    // covers: T3
    #[test]
    fn ts_recent_moves_forward_and_only_with_segments_at_or_before_last_ack_sent() {
        for base in BASES {
            let last_ack_sent = SeqNumber(base);
            for ahead in -3_i32..4 {
                for beyond in -3_i32..4 {
                    let tsval = base.wrapping_add(ahead as u32);
                    let seq = SeqNumber(base.wrapping_add(beyond as u32));
                    let updates =
                        updates_ts_recent(seq, tsval, recent(base, Duration::ZERO), last_ack_sent, NOW);
                    assert_eq!(updates, ahead >= 0 && beyond <= 0, "{base} {ahead} {beyond}");
                    assert_eq!(updates_ts_recent(seq, tsval, None, last_ack_sent, NOW), beyond <= 0);
                }
            }
        }
    }

    // covers: T3
    #[test]
    fn a_missing_timestamp_is_a_reason_to_drop_once_negotiated_except_for_a_rst() {
        assert!(drops_for_want_of_timestamp(true, None, Flags::ACK));
        assert!(!drops_for_want_of_timestamp(true, Some(0), Flags::ACK));
        assert!(!drops_for_want_of_timestamp(true, None, Flags::RST));
        assert!(!drops_for_want_of_timestamp(false, None, Flags::ACK));
    }
}
