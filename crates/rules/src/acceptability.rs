//! Is a segment in the receive window, and which part of it (RFC 9293 3.10.7.4, and S1, S6, S8)?
//!
//! The old test begins at RCV.NXT. It throws away the acknowledgment of a segment that lies one octet
//! to the left, and two hosts that do so can answer each other for ever: SYN/ACK, FIN and ACK wars.
//! The default therefore begins at RCV.NXT-1 (draft-gont-tcpm-tcp-seq-validation 4.1).
//!
//! Acceptable is not the same as harmless or as new: RST and SYN have stricter tests of their own
//! (see [`rfc5961`](crate::rfc5961)), and the octet at RCV.NXT-1 is cut off by [`trim`].

use wire::SeqNumber;

/// Where acceptability begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Edge {
    /// At RCV.NXT, as RFC 793 and RFC 9293 have it. For showing the wars.
    Rfc793,
    /// At RCV.NXT-1, so that the ACK field of the octet before is processed.
    #[default]
    Seqval,
}

/// The receive window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// RCV.NXT: the next octet expected.
    pub nxt: SeqNumber,
    /// RCV.WND in octets, scaled; at most 2^30 (RFC 7323 2.3).
    pub wnd: u32,
}

/// What may be done with a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Acceptability {
    /// Process it, [`trim`]med.
    Acceptable,
    /// The window is closed and it carries sequence space: nothing of that is taken, but it lies at
    /// the edge, so its ACK, URG and RST are processed. It is to be answered with an ACK.
    ZeroWindow,
    /// Answer with an ACK unless it is a RST, and drop it.
    Unacceptable,
}

/// The four rows of the acceptability test.
///
/// `len` is SEG.LEN: it counts SYN and FIN. As in the standard a segment that begins before the edge
/// and ends beyond the window is not acceptable: neither its first nor its last octet lies inside.
pub fn acceptability(seq: SeqNumber, len: u32, window: Window, edge: Edge) -> Acceptability {
    let (left, widened) = match edge {
        Edge::Rfc793 => (window.nxt, 0),
        Edge::Seqval => (window.nxt.minus(1), 1),
    };
    // A closed window still has the place RCV.NXT itself: row 1, and where a probe is put.
    let room = window.wnd.max(1).saturating_add(widened);
    let first = seq.in_window(left, room);
    let last = len > 0 && seq.plus(len).minus(1).in_window(left, room);
    let inside = match edge {
        Edge::Rfc793 if window.wnd == 0 => first,
        _ => first || last,
    };
    match (inside, len, window.wnd) {
        (false, ..) => Acceptability::Unacceptable,
        (true, 1.., 0) => Acceptability::ZeroWindow,
        (true, ..) => Acceptability::Acceptable,
    }
}

/// Whether a segment that is not acceptable is the ACK of a peer that probes with more than one octet (S9).
///
/// Such a peer sends text without moving its SND.NXT; once we have taken that text, its ACKs lie as far left of
/// the window as the probe was long, and beyond the reach of [`Edge::Seqval`]. `last_text` is where the last text
/// that was taken began. The ACK and the window of such a segment are processed, nothing else of it.
pub fn is_ack_behind_probe(seq: SeqNumber, len: u32, last_text: Option<SeqNumber>) -> bool {
    len == 0 && last_text == Some(seq)
}

/// The part of a segment that lies in the window; the sequence space after it is cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trim {
    /// Sequence space before RCV.NXT, a SYN included: never processed again.
    pub skip: u32,
    /// Sequence space from there on that fits the window, a FIN included.
    pub keep: u32,
}

impl Trim {
    /// Whether all of a segment of SEG.LEN `len` is kept.
    pub const fn is_whole(self, len: u32) -> bool {
        self.skip == 0 && self.keep == len
    }
}

/// Cuts a segment to the window: nothing before RCV.NXT, nothing at RCV.NXT+RCV.WND or after.
///
/// A segment that begins later than RCV.NXT keeps its place (`skip` is 0): it is out of order.
pub fn trim(seq: SeqNumber, len: u32, window: Window) -> Trim {
    let skip = if seq.before(window.nxt) { window.nxt.distance_from(seq).min(len) } else { 0 };
    // If all of it is old, nothing is left to keep, whatever the room.
    let room = window.wnd.saturating_sub(seq.plus(skip).distance_from(window.nxt));
    Trim { skip, keep: (len - skip).min(room) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [u32; 7] = [0, 1, 100, (1 << 31) - 2, 1 << 31, u32::MAX - 1, u32::MAX];

    fn window(nxt: u32, wnd: u32) -> Window {
        Window { nxt: SeqNumber(nxt), wnd }
    }

    /// The rows as printed, on a line instead of a circle: RCV.NXT is 0.
    fn slowly(seq: i64, len: i64, wnd: i64, edge: Edge) -> Acceptability {
        let left = if edge == Edge::Seqval { -1 } else { 0 };
        let (first, last) = (seq, seq + len - 1);
        match (len > 0, wnd > 0) {
            (false, false) if left <= first && first <= 0 => Acceptability::Acceptable,
            (false, true) if left <= first && first < wnd => Acceptability::Acceptable,
            (true, false) if left <= first && first <= 0 => Acceptability::ZeroWindow,
            (true, false) if edge == Edge::Seqval && left <= last && last <= 0 => Acceptability::ZeroWindow,
            (true, true) if left <= first && first < wnd => Acceptability::Acceptable,
            (true, true) if left <= last && last < wnd => Acceptability::Acceptable,
            _ => Acceptability::Unacceptable,
        }
    }

    // covers: S1, S8
    #[test]
    fn the_four_rows_agree_with_the_rows_on_a_line_wherever_the_window_is() {
        for base in BASES {
            for wnd in 0..6 {
                for len in 0..9 {
                    for offset in -12..12 {
                        let seq = SeqNumber(base.wrapping_add(offset as u32));
                        for edge in [Edge::Rfc793, Edge::Seqval] {
                            assert_eq!(
                                acceptability(seq, len, window(base, wnd), edge),
                                slowly(offset.into(), len.into(), wnd.into(), edge),
                                "base {base} offset {offset} len {len} wnd {wnd} {edge:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    // covers: S1
    #[test]
    fn half_and_whole_circles_away_is_outside_and_the_largest_window_ends_where_it_should() {
        const LARGEST: u32 = 1 << 30;
        for base in BASES {
            let open = window(base, LARGEST);
            for (offset, accepted) in [
                (LARGEST - 1, true),
                (LARGEST, false),
                ((1 << 31) - 1, false),
                (1 << 31, false),
                ((1 << 31) + 1, false),
                (u32::MAX - 1, false),
                (u32::MAX, true),
            ] {
                let verdict = acceptability(open.nxt.plus(offset), 0, open, Edge::Seqval);
                assert_eq!(verdict == Acceptability::Acceptable, accepted, "{base} {offset}");
            }
        }
    }

    // covers: S1, S8
    #[test]
    fn the_segments_of_the_wars_pass_the_new_test_and_fail_the_old_one() {
        // (RCV.NXT, window, SEG.SEQ, SEG.LEN): a SYN-ACK or a FIN-ACK again, and an ACK whose SEQ lags
        // behind an accepted probe, with the window open and closed.
        for (nxt, wnd, seq, len) in [(301, 1000, 300, 1), (301, 1000, 300, 0), (301, 0, 300, 0)] {
            let (seq, window) = (SeqNumber(seq), window(nxt, wnd));
            assert_eq!(acceptability(seq, len, window, Edge::default()), Acceptability::Acceptable);
            assert_eq!(acceptability(seq, len, window, Edge::Rfc793), Acceptability::Unacceptable);
            assert_eq!(trim(seq, len, window).keep, 0, "nothing of it is taken a second time");
        }
    }

    /// One octet after the other, on a line: RCV.NXT is 0.
    fn trim_slowly(seq: i64, len: i64, wnd: i64) -> Trim {
        let octets = || seq..seq + len;
        Trim {
            skip: octets().filter(|&octet| octet < 0).count() as u32,
            keep: octets().filter(|octet| (0..wnd).contains(octet)).count() as u32,
        }
    }

    // covers: S6
    #[test]
    fn trimming_agrees_with_counting_octet_by_octet() {
        for base in BASES {
            for wnd in 0..6 {
                for len in 0..12 {
                    for offset in -12..12 {
                        let seq = SeqNumber(base.wrapping_add(offset as u32));
                        let trimmed = trim(seq, len, window(base, wnd));
                        assert_eq!(
                            trimmed,
                            trim_slowly(offset.into(), len.into(), wnd.into()),
                            "base {base} offset {offset} len {len} wnd {wnd}"
                        );
                        assert_eq!(trimmed.is_whole(len), trimmed == Trim { skip: 0, keep: len });
                    }
                }
            }
        }
    }

    // covers: S6
    #[test]
    fn nothing_is_kept_of_a_segment_half_a_circle_away() {
        for base in BASES {
            let open = window(base, 1 << 30);
            for offset in [(1 << 31) - 1, 1 << 31, (1 << 31) + 1] {
                assert_eq!(trim(open.nxt.plus(offset), 70_000, open).keep, 0, "{base} {offset}");
            }
            assert_eq!(trim(open.nxt.plus((1 << 30) - 1), 9, open), Trim { skip: 0, keep: 1 });
            assert_eq!(trim(open.nxt.minus(70_000), 70_001, open), Trim { skip: 70_000, keep: 1 });
        }
    }

    // covers: S9
    #[test]
    fn only_an_empty_segment_where_the_last_text_began_is_the_ack_of_a_long_probe() {
        let probe = SeqNumber(u32::MAX - 3);
        assert!(is_ack_behind_probe(probe, 0, Some(probe)));
        assert!(!is_ack_behind_probe(probe, 1, Some(probe)), "text is not taken again");
        assert!(!is_ack_behind_probe(probe.plus(1), 0, Some(probe)));
        assert!(!is_ack_behind_probe(probe, 0, None));
    }
}
