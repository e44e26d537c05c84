//! What may end a TIME-WAIT early: a SYN (RFC 6191 section 2) or a RST (RFC 1337).

use wire::SeqNumber;

use crate::rfc5961::RstVerdict;

/// What is remembered of the connection in TIME-WAIT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// RCV.NXT, one beyond the peer's FIN. "The last sequence number seen" is that of the FIN.
    pub rcv_nxt: SeqNumber,
    /// TS.Recent if the connection used timestamps.
    pub ts_recent: Option<u32>,
}

/// The SYN that asks for a new incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewSyn {
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.TSval if timestamps would be in use: the SYN has them and the listener would answer them.
    pub tsval: Option<u32>,
}

/// What becomes of the SYN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SynInTimeWait {
    /// TIME-WAIT ends, the listener gets the SYN.
    Accept,
    /// The SYN is dropped in silence, TIME-WAIT goes on.
    Drop,
}

impl SynInTimeWait {
    /// The new incarnation may begin.
    pub const fn is_accept(self) -> bool {
        matches!(self, Self::Accept)
    }
}

/// The row of RFC 6191's list that decided.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Row {
    /// 1: timestamps before and now, and the new one is greater.
    TimestampGreater,
    /// 2: timestamps before and now, the same; the sequence number is greater.
    TimestampEqualSequenceGreater,
    /// 3: timestamps before, not now; the sequence number is greater.
    TimestampsLostSequenceGreater,
    /// 4: timestamps before, none of the above.
    TimestampsBeforeOtherwise,
    /// 5: no timestamps before, now there are.
    TimestampsGained,
    /// 6: timestamps neither before nor now; the sequence number is greater.
    NeverTimestampsSequenceGreater,
    /// 7: timestamps neither before nor now, otherwise.
    NeverTimestampsOtherwise,
}

impl Row {
    /// What the row says.
    pub const fn verdict(self) -> SynInTimeWait {
        match self {
            Self::TimestampGreater
            | Self::TimestampEqualSequenceGreater
            | Self::TimestampsLostSequenceGreater
            | Self::TimestampsGained
            | Self::NeverTimestampsSequenceGreater => SynInTimeWait::Accept,
            Self::TimestampsBeforeOtherwise | Self::NeverTimestampsOtherwise => SynInTimeWait::Drop,
        }
    }
}

/// What becomes of a SYN in TIME-WAIT.
///
/// If it is accepted, the new connection's own ISN has to lie beyond SND.NXT of the old one
/// (RFC 9293 MAY-2).
pub fn time_wait_syn(ended: Ended, syn: NewSyn) -> SynInTimeWait {
    time_wait_row(ended, syn).verdict()
}

/// The row that decides about a SYN in TIME-WAIT.
pub fn time_wait_row(ended: Ended, syn: NewSyn) -> Row {
    let sequence_greater = syn.seq.after(ended.rcv_nxt.minus(1));
    match (ended.ts_recent, syn.tsval) {
        (Some(last), Some(new)) if SeqNumber(new).after(SeqNumber(last)) => Row::TimestampGreater,
        (Some(last), Some(new)) if new == last && sequence_greater => Row::TimestampEqualSequenceGreater,
        (Some(_), None) if sequence_greater => Row::TimestampsLostSequenceGreater,
        (Some(_), _) => Row::TimestampsBeforeOtherwise,
        (None, Some(_)) => Row::TimestampsGained,
        (None, None) if sequence_greater => Row::NeverTimestampsSequenceGreater,
        (None, None) => Row::NeverTimestampsOtherwise,
    }
}

/// Whether a segment is the peer's FIN once more, so that the time begins anew (RFC 9293 3.10.7.4).
///
/// `end` is behind its last sequence number. Who sends it in earnest has acknowledged our FIN, else there would
/// be no TIME-WAIT: another ACK field is a stranger's, or of an old duplicate that proves nothing.
pub fn is_fin_again(end: SeqNumber, ack: Option<SeqNumber>, rcv_nxt: SeqNumber, snd_nxt: SeqNumber) -> bool {
    end == rcv_nxt && ack == Some(snd_nxt)
}

/// What a RST does in TIME-WAIT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RstInTimeWait {
    /// Dropped in silence.
    Ignore,
    /// Answered with a challenge ACK and dropped.
    Challenge,
    /// TIME-WAIT ends at once ("assassination").
    Close,
}

/// What a RST does in TIME-WAIT. `protected` is the knob: on, RST are ignored (RFC 1337 fix F1);
/// off, RFC 9293 applies with the test of RFC 5961.
pub const fn time_wait_rst(protected: bool, verdict: RstVerdict) -> RstInTimeWait {
    match verdict {
        _ if protected => RstInTimeWait::Ignore,
        RstVerdict::Reset => RstInTimeWait::Close,
        RstVerdict::Challenge => RstInTimeWait::Challenge,
        RstVerdict::Ignore => RstInTimeWait::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [u32; 6] = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX, 12_345];

    /// The list as nested questions, in its order.
    fn slowly(ts_before: bool, ts_now: bool, ts_ahead: i32, seq_ahead_of_fin: i32) -> Row {
        if ts_before {
            if ts_now && ts_ahead > 0 {
                return Row::TimestampGreater;
            }
            if ts_now && ts_ahead == 0 && seq_ahead_of_fin > 0 {
                return Row::TimestampEqualSequenceGreater;
            }
            if !ts_now && seq_ahead_of_fin > 0 {
                return Row::TimestampsLostSequenceGreater;
            }
            return Row::TimestampsBeforeOtherwise;
        }
        if ts_now {
            return Row::TimestampsGained;
        }
        if seq_ahead_of_fin > 0 {
            return Row::NeverTimestampsSequenceGreater;
        }
        Row::NeverTimestampsOtherwise
    }

    // covers: T5
    #[test]
    fn all_seven_rows_decide_as_the_list_does() {
        let mut seen = [0; 7];
        for base in BASES {
            for (ts_before, ts_now) in [(true, true), (true, false), (false, true), (false, false)] {
                for ts_ahead in [i32::MIN + 1, -1, 0, 1, i32::MAX] {
                    for seq_ahead in [i32::MIN + 1, -1, 0, 1, i32::MAX] {
                        let fin = SeqNumber(base);
                        let ended = Ended { rcv_nxt: fin.plus(1), ts_recent: ts_before.then_some(base) };
                        let syn = NewSyn {
                            seq: fin.plus(seq_ahead as u32),
                            tsval: ts_now.then_some(base.wrapping_add(ts_ahead as u32)),
                        };
                        let row = time_wait_row(ended, syn);
                        assert_eq!(row, slowly(ts_before, ts_now, ts_ahead, seq_ahead), "{ended:?} {syn:?}");
                        assert_eq!(time_wait_syn(ended, syn), row.verdict());
                        seen[row as usize] += 1;
                    }
                }
            }
        }
        assert!(seen.iter().all(|&times| times > 0), "every row was met: {seen:?}");
    }

    // covers: T5
    #[test]
    fn two_rows_drop_and_five_accept() {
        use Row::{NeverTimestampsOtherwise, NeverTimestampsSequenceGreater, TimestampsBeforeOtherwise};
        assert_eq!(TimestampsBeforeOtherwise.verdict(), SynInTimeWait::Drop);
        assert_eq!(NeverTimestampsOtherwise.verdict(), SynInTimeWait::Drop);
        for row in [
            Row::TimestampGreater,
            Row::TimestampEqualSequenceGreater,
            Row::TimestampsLostSequenceGreater,
            Row::TimestampsGained,
            NeverTimestampsSequenceGreater,
        ] {
            assert_eq!(row.verdict(), SynInTimeWait::Accept, "{row:?}");
        }
    }

    // covers: T5
    #[test]
    fn exactly_half_a_circle_ahead_is_not_greater() {
        let ended = Ended { rcv_nxt: SeqNumber(1), ts_recent: Some(0) };
        for tsval in [Some(1 << 31), None] {
            let syn = NewSyn { seq: SeqNumber(1 << 31), tsval };
            assert_eq!(time_wait_syn(ended, syn), SynInTimeWait::Drop);
        }
    }

    // covers: T5
    #[test]
    fn a_rst_kills_time_wait_only_unprotected_and_exact() {
        for (verdict, unprotected) in [
            (RstVerdict::Reset, RstInTimeWait::Close),
            (RstVerdict::Challenge, RstInTimeWait::Challenge),
            (RstVerdict::Ignore, RstInTimeWait::Ignore),
        ] {
            assert_eq!(time_wait_rst(false, verdict), unprotected);
            assert_eq!(time_wait_rst(true, verdict), RstInTimeWait::Ignore);
        }
    }
}
