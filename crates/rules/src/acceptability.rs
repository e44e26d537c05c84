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
    use Acceptability::{Acceptable, Unacceptable, ZeroWindow};

    let (left, widened) = match edge {
        Edge::Rfc793 => (window.nxt, 0),
        Edge::Seqval => (window.nxt.minus(1), 1),
    };
    let inside = |octet: SeqNumber, wnd: u32| octet.in_window(left, wnd.saturating_add(widened));
    // With a closed window the place RCV.NXT itself counts: that is where a probe is put.
    let touches = |wnd| inside(seq, wnd) || (len > 0 && inside(seq.plus(len).minus(1), wnd));
    match (len, window.wnd, edge) {
        (0, 0, _) if inside(seq, 1) => Acceptable,
        (0, wnd, _) if inside(seq, wnd) => Acceptable,
        (1.., 0, Edge::Rfc793) if seq == window.nxt => ZeroWindow,
        (1.., 0, Edge::Seqval) if touches(1) => ZeroWindow,
        (1.., wnd @ 1.., _) if touches(wnd) => Acceptable,
        _ => Unacceptable,
    }
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
    let first = seq.plus(skip);
    let room = if first.before(window.nxt) {
        0 // All of it is old.
    } else {
        window.wnd.saturating_sub(first.distance_from(window.nxt))
    };
    Trim { skip, keep: (len - skip).min(room) }
}
