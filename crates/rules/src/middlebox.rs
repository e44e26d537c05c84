//! What a middlebox asks of a segment before it lets it change what is known of a connection: whether
//! a RST is exact (RFC 7857 2.2 with the test of RFC 5961), and whether a segment is an old duplicate
//! (draft-ietf-behave-requirements-update-01 2.2.1).
//!
//! It sees both directions, but neither host's variables: what a host has sent and what its peer has
//! acknowledged stand for SND.NXT and RCV.NXT.

use wire::SeqNumber;

use crate::acceptability::{Acceptability, Edge, Window, acceptability};
use crate::tracking::State;

/// What has passed of a connection, as far as a RST can be measured by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    /// The highest SEG.SEQ + SEG.LEN that the RST's sender has sent.
    pub sent: Option<SeqNumber>,
    /// The highest SEG.ACK that its receiver has sent.
    pub acknowledged: Option<SeqNumber>,
    /// The highest SEG.SEQ + SEG.LEN that its receiver has sent.
    pub receiver_sent: Option<SeqNumber>,
}

/// A RST.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rst {
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK if the ACK flag is set.
    pub ack: Option<SeqNumber>,
}

/// What a RST does to what is known of its connection. It passes whatever this says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RstEffect {
    /// Nothing: it could be anybody's.
    None,
    /// What the table of [`crate::tracking`] says.
    Step,
    /// The session ends.
    End,
}

/// Whether the receiver of a RST would believe it at once.
///
/// From the connection's opening on, its SEG.SEQ is where its sender's octets end, or what was
/// acknowledged last: a RST that answers a segment takes SEG.ACK of that. While a connection opens, a
/// RST with an ACK answers the SYN and says so (RFC 9293 3.10.7.3).
///
/// As long as its receiver has acknowledged nothing, what its sender has sent may be anybody's: a SYN to a tuple that
/// is idle or in TIME-WAIT is no proof of anything, and a RST behind it is none either (RFC 5961 4).
pub fn rst_is_exact(state: State, rst: Rst, passed: Passed) -> bool {
    let opening = matches!(state, State::Init | State::ClientReopen | State::ServerReopen);
    if opening && rst.ack.is_some() {
        return rst.ack == passed.receiver_sent;
    }
    let seq = Some(rst.seq);
    passed.acknowledged.is_some() && (seq == passed.sent || seq == passed.acknowledged)
}

/// What a RST does. `delete`: the policy is to end the session at once (update-01 2.3), not to hold it.
/// In TIME-WAIT no RST ends anything (RFC 1337).
pub fn rst_effect(state: State, rst: Rst, passed: Passed, delete: bool) -> RstEffect {
    if !rst_is_exact(state, rst, passed) {
        RstEffect::None
    } else if delete && state != State::TimeWait {
        RstEffect::End
    } else {
        RstEffect::Step
    }
}

/// Whether a segment that ends at `end` is an old duplicate by its numbers alone: more than a whole
/// `window` before what the receiver has acknowledged already. Whatever a host sends again, to probe or
/// to keep alive lies less far back.
pub fn is_old_duplicate(end: SeqNumber, acknowledged: SeqNumber, window: u32) -> bool {
    end.before(acknowledged) && acknowledged.distance_from(end) > window
}

/// Where a segment lies, as seen by who stands between its sender and its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Placement {
    /// Its receiver finds it acceptable, or may.
    Acceptable,
    /// Left of what its receiver has acknowledged, by less than a window: sent again, to be answered. Who
    /// drops it takes the answer away that its sender waits for.
    Repeated,
    /// More than a whole window before that: see [`is_old_duplicate`].
    OldDuplicate,
    /// Right of every window that its receiver has offered.
    Beyond,
}

/// Where the segment of SEG.LEN `len` at `seq` lies by the test of [`crate::acceptability`] with the edge at
/// RCV.NXT-1: what a host with that edge would take, no middlebox may hold back (seqval 4.1).
///
/// `acknowledged` is the highest SEG.ACK of its receiver and `window` the largest window it has offered; RCV.NXT
/// is at least the one, and the window ends at their sum at the latest.
pub fn placement(seq: SeqNumber, len: u32, acknowledged: SeqNumber, window: u32) -> Placement {
    // One more: where the window is full and closed, its edge is RCV.NXT, and what stands there is taken.
    let offered = Window { nxt: acknowledged, wnd: window.saturating_add(1) };
    if acceptability(seq, len, offered, Edge::Seqval) != Acceptability::Unacceptable {
        return Placement::Acceptable;
    }
    let end = seq.plus(len);
    if !end.before(acknowledged) {
        // What covers the whole window and more begins on the left and is cut by its receiver.
        return if seq.before(acknowledged) { Placement::Repeated } else { Placement::Beyond };
    }
    if is_old_duplicate(end, acknowledged, window) { Placement::OldDuplicate } else { Placement::Repeated }
}

/// How far a new connection's sequence numbers begin above the last of the one before on its tuple
/// where they are rewritten: more than a window, as hosts do that choose it themselves.
pub const HEADROOM: u32 = 1 << 16;

/// The ends of a connection whose tuple is used again: what the remote has seen last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Last {
    /// SEG.SEQ + SEG.LEN.
    pub end: SeqNumber,
    /// TSval.
    pub tsval: Option<u32>,
    /// Milliseconds since then.
    pub elapsed: u32,
}

/// What is added to SEG.SEQ and to TSval of a new connection so that both go on above `last`
/// (update-01 2.2.1.1). Nothing where they are above it anyway.
pub fn continuation(last: Last, seq: SeqNumber, tsval: Option<u32>) -> (u32, u32) {
    let seq_shift = match seq.after(last.end) {
        true => 0,
        false => last.end.plus(HEADROOM).distance_from(seq),
    };
    let ts_shift = match (last.tsval, tsval) {
        (Some(last_value), Some(tsval)) => {
            let floor = SeqNumber(last_value).plus(last.elapsed);
            if SeqNumber(tsval).after(floor) { 0 } else { floor.plus(1).distance_from(SeqNumber(tsval)) }
        }
        _ => 0,
    };
    (seq_shift, ts_shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [u32; 7] = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX, 77];

    fn passed(base: u32) -> Passed {
        Passed {
            sent: Some(SeqNumber(base)),
            acknowledged: Some(SeqNumber(base).minus(10)),
            receiver_sent: Some(SeqNumber(base).plus(1_000)),
        }
    }

    fn is_opening(state: State) -> bool {
        [State::Init, State::ClientReopen, State::ServerReopen].contains(&state)
    }

    // covers: N7
    #[test]
    fn only_two_sequence_numbers_of_all_are_exact() {
        for state in State::ALL {
            for base in BASES {
                for ack in [None, Some(SeqNumber(base).plus(1_000)), Some(SeqNumber(base).plus(999))] {
                    let mut exact = 0;
                    for ahead in -70_000_i32..70_000 {
                        let rst = Rst { seq: SeqNumber(base).plus(ahead as u32), ack };
                        let slowly = if is_opening(state) && ack.is_some() {
                            ack == Some(SeqNumber(base).plus(1_000))
                        } else {
                            ahead == 0 || ahead == -10
                        };
                        exact += u32::from(slowly);
                        assert_eq!(rst_is_exact(state, rst, passed(base)), slowly, "{state:?} {ahead}");
                    }
                    let answers_syn = is_opening(state) && ack == Some(SeqNumber(base).plus(1_000));
                    let answers_nothing = is_opening(state) && ack == Some(SeqNumber(base).plus(999));
                    assert_eq!(
                        exact,
                        if answers_syn {
                            140_000
                        } else if answers_nothing {
                            0
                        } else {
                            2
                        }
                    );
                }
            }
        }
    }

    // covers: N7
    #[test]
    fn nothing_is_exact_for_who_has_seen_nothing() {
        for state in State::ALL {
            for ack in [None, Some(SeqNumber(0))] {
                let rst = Rst { seq: SeqNumber(0), ack };
                assert_eq!(rst_effect(state, rst, Passed::default(), true), RstEffect::None);
            }
        }
    }

    // covers: N7
    #[test]
    fn an_exact_rst_ends_the_session_where_it_may_and_is_a_step_elsewhere() {
        for state in State::ALL {
            let answer = Rst { seq: SeqNumber(5), ack: passed(5).receiver_sent };
            let inexact = Rst { seq: SeqNumber(6), ack: None };
            assert_eq!(rst_effect(state, answer, passed(5), false), RstEffect::Step);
            let end = if state == State::TimeWait { RstEffect::Step } else { RstEffect::End };
            assert_eq!(rst_effect(state, answer, passed(5), true), end);
            for delete in [false, true] {
                assert_eq!(rst_effect(state, inexact, passed(5), delete), RstEffect::None);
            }
        }
    }

    // covers: N3
    #[test]
    fn what_lies_more_than_a_window_back_is_old_and_nothing_else() {
        for base in BASES {
            for window in [65_535, 65_536, 1 << 30] {
                let acknowledged = SeqNumber(base);
                // (octets behind the acknowledgment, old)
                for (behind, old) in [
                    (0, false),
                    (1, false),
                    (window, false),
                    (window + 1, true),
                    ((1 << 31) - 1, true),
                    (1 << 31, false),
                    ((1 << 31) + 1, false),
                    (u32::MAX, false),
                ] {
                    let verdict = is_old_duplicate(acknowledged.minus(behind), acknowledged, window);
                    assert_eq!(verdict, old, "{base} {window} {behind}");
                }
            }
        }
    }

    // covers: N4
    #[test]
    fn a_continuation_is_above_the_last_numbers_and_no_higher_than_it_must_be() {
        for base in BASES {
            let last = Last { end: SeqNumber(base), tsval: Some(base), elapsed: 1_500 };
            for ahead in [i32::MIN, i32::MIN + 1, -5, -1, 0, 1, 1_499, 1_500, 1_501, 70_000, i32::MAX] {
                let (seq, tsval) = (SeqNumber(base).plus(ahead as u32), base.wrapping_add(ahead as u32));
                let (seq_shift, ts_shift) = continuation(last, seq, Some(tsval));
                assert_eq!(seq_shift == 0, ahead > 0, "{ahead}");
                assert!(seq.plus(seq_shift).after(last.end));
                if seq_shift != 0 {
                    assert_eq!(seq.plus(seq_shift).distance_from(last.end), HEADROOM);
                }
                let floor = SeqNumber(base).plus(1_500);
                let new = SeqNumber(tsval).plus(ts_shift);
                assert!(new.after(floor), "{base} {ahead}");
                assert!(ts_shift == 0 || new.distance_from(floor) == 1);
                assert_eq!(continuation(last, seq, None).1, 0);
                assert_eq!(continuation(Last { tsval: None, ..last }, seq, Some(tsval)).1, 0);
            }
        }
    }

    /// On a line: what the receiver has acknowledged is 0.
    fn slowly(seq: i64, len: i64, wnd: i64) -> Placement {
        let (first, last) = (seq, seq + len.max(1) - 1);
        let inside = |octet: i64| (-1..=wnd).contains(&octet);
        if inside(first) || len > 0 && inside(last) {
            Placement::Acceptable
        } else if seq + len < -wnd {
            Placement::OldDuplicate
        } else if seq < 0 {
            Placement::Repeated
        } else {
            Placement::Beyond
        }
    }

    // covers: C3
    #[test]
    fn a_placement_agrees_with_the_line_and_what_the_new_edge_takes_is_never_held_back() {
        for base in BASES {
            let acked = SeqNumber(base);
            for wnd in 1..8u32 {
                for len in 0..20u32 {
                    for offset in -30..30i32 {
                        let seq = acked.plus(offset as u32);
                        let placed = placement(seq, len, acked, wnd);
                        let expected = slowly(offset.into(), len.into(), wnd.into());
                        assert_eq!(placed, expected, "{base} {offset} {len} {wnd}");
                        let taken = (0..=wnd).any(|more| {
                            // Whatever of that window its receiver has by now.
                            let now = Window { nxt: acked.plus(more), wnd: wnd - more };
                            acceptability(seq, len, now, Edge::Seqval) != Acceptability::Unacceptable
                        });
                        assert!(!taken || matches!(placed, Placement::Acceptable | Placement::Repeated));
                    }
                }
            }
        }
    }
}
