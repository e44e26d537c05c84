//! Wars: two endpoints that answer one another without end and without progress
//! (draft-gont-tcpm-tcp-seq-validation 3), as whoever stands between them can know one.
//!
//! A segment of a war says what its sender has said before, has no text, and begins left of what the other
//! side has acknowledged: to a host with the old sequence test it is not acceptable and must be answered.
//! *Both* sides send such segments. That tells a war from what is only like it: the answer to a keep-alive,
//! a window probe or a retransmitted FIN begins at SND.NXT and is acceptable, and so are duplicate ACKs.

use wire::SeqNumber;
use wire::tcp::Flags;

use crate::acceptability::{Acceptability, Edge, Window, acceptability};

/// Segments of a war at least, both sides together. No healthy exchange comes near it
/// (docs/simulator.md has the longest).
pub const LEAST: u64 = 8;

/// What a segment says, as far as saying it again is saying nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK.
    pub ack: SeqNumber,
    /// The flags.
    pub flags: Flags,
}

impl Said {
    /// Whether a segment without text that says this, said by the same side `before` as well, can belong to
    /// a war. `acked`: the most that the other side has acknowledged; `edge`: the right edge of its window,
    /// if that is known.
    pub fn is_empty_repetition(
        self,
        before: Option<Self>,
        acked: Option<SeqNumber>,
        edge: Option<SeqNumber>,
    ) -> bool {
        let answer = self.flags.contains(Flags::ACK) && !self.flags.contains(Flags::RST);
        before == Some(self) && answer && is_refused(self.seq, acked, edge)
    }
}

/// Whether the old test takes an empty segment at `seq` for unacceptable. A window that was not seen is as
/// large as a window can be (RFC 7323 2.3).
pub fn is_refused(seq: SeqNumber, acked: Option<SeqNumber>, edge: Option<SeqNumber>) -> bool {
    let Some(nxt) = acked else { return false };
    let wnd = match edge {
        Some(edge) if edge.before(nxt) => 0,
        Some(edge) => edge.distance_from(nxt),
        None => 1 << 30,
    };
    acceptability(seq, 0, Window { nxt, wnd }, Edge::Rfc793) == Acceptability::Unacceptable
}

/// Whether so many empty repetitions of each side in a row are a war of at least `least` segments. The side
/// that begins, or has the last word, says one more than the other. `to_itself`: both sides are one host.
pub fn is_war(counts: [u64; 2], least: u64, to_itself: bool) -> bool {
    let mutual = to_itself || counts[0].min(counts[1]).saturating_add(1) >= least / 2;
    mutual && counts[0].saturating_add(counts[1]) >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: Flags = Flags::ACK;

    fn said(seq: u32, flags: Flags) -> Said {
        Said { seq: SeqNumber(seq), ack: SeqNumber(9), flags }
    }

    // covers: C3, L3
    #[test]
    fn only_the_same_left_of_what_was_acknowledged_is_a_repetition() {
        for base in [0, 1, 77, 1 << 31, u32::MAX] {
            let acked = Some(SeqNumber(base));
            let lagging = said(base.wrapping_sub(1), ACK);
            assert!(lagging.is_empty_repetition(Some(lagging), acked, None));
            assert!(!lagging.is_empty_repetition(None, acked, None), "said once");
            assert!(!lagging.is_empty_repetition(Some(said(base, ACK)), acked, None), "something else");
            assert!(!lagging.is_empty_repetition(Some(lagging), None, None), "nobody has answered");
            let (at, beyond) = (said(base, ACK), said(base.wrapping_add(5), ACK));
            assert!(!at.is_empty_repetition(Some(at), acked, acked), "a duplicate ACK, a closed window");
            assert!(beyond.is_empty_repetition(Some(beyond), acked, Some(SeqNumber(base.wrapping_add(5)))));
            let rst = said(base.wrapping_sub(1), ACK | Flags::RST);
            assert!(!rst.is_empty_repetition(Some(rst), acked, None), "nobody answers a RST");
            let syn = said(base.wrapping_sub(1), Flags::SYN);
            assert!(!syn.is_empty_repetition(Some(syn), acked, None), "a SYN is a retransmission");
        }
    }

    // covers: C3, L3
    #[test]
    fn one_side_alone_makes_no_war() {
        assert!(is_war([4, 4], LEAST, false) && is_war([3, 5], LEAST, false));
        assert!(!is_war([2, 100], LEAST, false), "keep-alives, and two answers");
        assert!(!is_war([4, 3], LEAST, false));
        assert!(is_war([0, 8], LEAST, true), "both sides of a connection to itself are one");
        assert!(is_war([u64::MAX, u64::MAX], LEAST, false));
    }
}
