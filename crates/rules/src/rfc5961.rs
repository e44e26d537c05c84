//! Robustness against blind attacks (RFC 5961): RST, SYN and ACK of a synchronized connection.
//!
//! These tests are exact whatever [`Edge`](crate::acceptability::Edge) is chosen: the octet at
//! RCV.NXT-1 is outside (S7). The limit on challenge ACKs is the caller's, since it needs a state.

use wire::SeqNumber;

use crate::acceptability::Window;

/// What a RST does (RFC 5961 section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RstVerdict {
    /// Exactly at RCV.NXT: the connection is reset.
    Reset,
    /// Elsewhere in the window: send a challenge ACK, drop the RST.
    Challenge,
    /// Outside: drop it in silence.
    Ignore,
}

/// The verdict on a RST at `seq`. With a closed window only RCV.NXT itself resets.
pub fn rst_verdict(seq: SeqNumber, window: Window) -> RstVerdict {
    if seq == window.nxt {
        RstVerdict::Reset
    } else if seq.in_window(window.nxt, window.wnd) {
        RstVerdict::Challenge
    } else {
        RstVerdict::Ignore
    }
}

/// What a SYN does (RFC 5961 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SynVerdict {
    /// Send a challenge ACK whatever its sequence number, drop it.
    Challenge,
    /// The state's own rules decide: LISTEN, SYN-SENT, SYN-RECEIVED, CLOSED.
    Process,
}

/// The verdict on a SYN; `synchronized` is true from ESTABLISHED on.
///
/// TIME-WAIT is asked first in [`time_wait`](crate::time_wait). In SYN-RECEIVED a SYN at RCV.NXT-1 is
/// the peer's own once more: [`trim`](crate::acceptability::trim) it and process its ACK, else a
/// simultaneous open never ends.
pub const fn syn_verdict(synchronized: bool) -> SynVerdict {
    if synchronized { SynVerdict::Challenge } else { SynVerdict::Process }
}

/// Whether a SYN is the one that we know already, and no text has followed it. With an ACK it is the SYN-ACK of a
/// crossing open: without its ACK field no simultaneous open ends, so with
/// [`Edge::Seqval`](crate::acceptability::Edge::Seqval) it is trimmed and processed in place of a challenge.
pub fn is_known_syn(seq: SeqNumber, irs: SeqNumber, rcv_nxt: SeqNumber) -> bool {
    seq == irs && rcv_nxt == irs.plus(1)
}

/// What an acknowledgment number means (RFC 9293 3.10.7.4 with RFC 5961 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AckVerdict {
    /// Before SND.UNA by at most MAX.SND.WND: it says nothing new, but the segment's text counts.
    Old,
    /// Exactly SND.UNA.
    Duplicate,
    /// SND.UNA < SEG.ACK =< SND.NXT.
    New,
    /// Further back than MAX.SND.WND: send a challenge ACK, drop the segment.
    TooOld,
    /// Beyond SND.NXT: send an ACK, drop the segment.
    Future,
}

impl AckVerdict {
    /// Whether the rest of the segment may be processed.
    pub const fn is_acceptable(self) -> bool {
        matches!(self, Self::Old | Self::Duplicate | Self::New)
    }
}

/// The verdict on SEG.ACK. `max_snd_wnd` is the largest window ever received from the peer, scaled.
pub fn ack_verdict(ack: SeqNumber, snd_una: SeqNumber, snd_nxt: SeqNumber, max_snd_wnd: u32) -> AckVerdict {
    let ahead = ack.distance_from(snd_una);
    if ahead == 0 {
        AckVerdict::Duplicate
    } else if ahead <= snd_nxt.distance_from(snd_una) {
        AckVerdict::New
    } else if ack.after(snd_nxt) {
        AckVerdict::Future
    } else if snd_una.distance_from(ack) <= max_snd_wnd {
        AckVerdict::Old
    } else {
        AckVerdict::TooOld
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [u32; 6] = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX - 2, u32::MAX];

    // covers: T2, S7
    #[test]
    fn a_rst_resets_at_rcv_nxt_only_and_challenges_in_each_octet_of_the_window() {
        for base in BASES {
            for wnd in 0..5 {
                let window = Window { nxt: SeqNumber(base), wnd };
                for offset in -6_i32..10 {
                    let expected = match offset {
                        0 => RstVerdict::Reset,
                        _ if (0..wnd as i32).contains(&offset) => RstVerdict::Challenge,
                        _ => RstVerdict::Ignore,
                    };
                    let seq = SeqNumber(base.wrapping_add(offset as u32));
                    assert_eq!(rst_verdict(seq, window), expected, "{base} {wnd} {offset}");
                }
                for offset in [(1 << 31) - 1, 1 << 31, (1 << 31) + 1, u32::MAX] {
                    assert_eq!(rst_verdict(window.nxt.plus(offset), window), RstVerdict::Ignore);
                }
            }
        }
    }

    // covers: T2, S7
    #[test]
    fn a_syn_is_challenged_as_soon_as_the_connection_is_synchronized() {
        assert_eq!(syn_verdict(true), SynVerdict::Challenge);
        assert_eq!(syn_verdict(false), SynVerdict::Process);
    }

    /// On a line: SND.UNA is 0.
    fn ack_slowly(ack: i64, nxt: i64, max_snd_wnd: i64) -> AckVerdict {
        match ack {
            0 => AckVerdict::Duplicate,
            _ if ack > nxt => AckVerdict::Future,
            _ if ack > 0 => AckVerdict::New,
            _ if ack >= -max_snd_wnd => AckVerdict::Old,
            _ => AckVerdict::TooOld,
        }
    }

    // covers: T2
    #[test]
    fn the_ack_range_agrees_with_comparing_on_a_line() {
        for base in BASES {
            for flight in 0..5 {
                for max_snd_wnd in 0..5 {
                    for offset in -9..9 {
                        let una = SeqNumber(base);
                        let ack = SeqNumber(base.wrapping_add(offset as u32));
                        let verdict = ack_verdict(ack, una, una.plus(flight), max_snd_wnd);
                        let slow = ack_slowly(offset.into(), flight.into(), max_snd_wnd.into());
                        assert_eq!(verdict, slow, "{base} {flight} {max_snd_wnd} {offset}");
                        let processed = !matches!(slow, AckVerdict::Future | AckVerdict::TooOld);
                        assert_eq!(verdict.is_acceptable(), processed);
                    }
                }
            }
        }
    }

    // covers: T2
    #[test]
    fn an_ack_half_a_circle_away_is_never_processed() {
        for base in BASES {
            let una = SeqNumber(base);
            for offset in [(1 << 31) - 1, 1 << 31, (1 << 31) + 1] {
                assert!(!ack_verdict(una.plus(offset), una, una.plus(9), 1 << 30).is_acceptable());
            }
            assert_eq!(ack_verdict(una.minus(1 << 30), una, una, 1 << 30), AckVerdict::Old);
            assert_eq!(ack_verdict(una.minus((1 << 30) + 1), una, una, 1 << 30), AckVerdict::TooOld);
        }
    }
}
