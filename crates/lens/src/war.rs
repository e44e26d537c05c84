//! Wars: two endpoints that answer one another without end and without progress (L3).
//!
//! A segment of a war says what its sender has said before (SEQ, ACK, flags, no text), and it begins left of what
//! the other side has acknowledged, or right of its window: to a host with the old sequence test it is not
//! acceptable and must be answered (draft-gont-tcpm-tcp-seq-validation 3). *Both* sides send such segments. That
//! tells a war from what is only like it: the answer to a keep-alive, a window probe or a retransmitted FIN begins
//! at SND.NXT and is acceptable, duplicate ACKs are as well, and whatever brings text or acknowledges more is
//! progress. Text that was sent before (a timer's doing) neither ends a war nor belongs to it.

use rules::Instant;
use rules::war::{Said, is_war};
use serde::Serialize;
use wire::SeqNumber;
use wire::tcp::Flags;

use crate::segment::Segment;

/// Segments of a war at least, both sides together; as in the simulator.
pub const WAR: u64 = rules::war::LEAST;

/// Which of the draft's scenarios it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Section 3.1: a failed simultaneous open.
    SynAck,
    /// Section 3.2: a connection to itself.
    SelfConnect,
    /// Section 3.3: a failed simultaneous close.
    Fin,
    /// Section 3.4: crossing window probes.
    Ack,
}

/// A war.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct War {
    /// What it is about.
    pub scenario: Scenario,
    /// Segments of it.
    pub segments: u64,
    /// Its first and its last frame.
    pub frames: (u64, u64),
    /// How long it took, in nanoseconds.
    pub nanos: u64,
    /// It was still going on when the flow was last seen.
    pub unfinished: bool,
}

impl War {
    /// Segments a second.
    pub fn rate(&self) -> f64 {
        if self.nanos == 0 { 0.0 } else { (self.segments - 1) as f64 * 1e9 / self.nanos as f64 }
    }
}

/// How things stand before a segment: what its sender has sent and been told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// The most that the other side has acknowledged, and the right edge of its window.
    pub(crate) acked: Option<SeqNumber>,
    pub(crate) edge: Option<SeqNumber>,
    /// Behind the last octet that the sender has sent.
    pub(crate) end: Option<SeqNumber>,
    /// The most that the sender has acknowledged.
    pub(crate) ack: Option<SeqNumber>,
}

/// Looks for wars in one flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Detector {
    last: [Option<Said>; 2],
    /// Empty repetitions of each side since something else came.
    counts: [u64; 2],
    first: Option<(u64, Instant)>,
    latest: Option<(u64, Instant, Scenario)>,
}

impl Detector {
    /// A segment of side `side`. The answer is a war that is over.
    pub(crate) fn see(
        &mut self,
        side: usize,
        segment: &Segment<'_>,
        standing: &Standing,
        to_itself: bool,
    ) -> Option<War> {
        let said = Said { seq: segment.seq, ack: segment.ack, flags: segment.flags };
        let before = self.last[side & 1].replace(said);
        let again = said.is_empty_repetition(before, standing.acked, standing.edge);
        if !(again && segment.text.is_empty()) {
            let known = !segment.text.is_empty() && standing.knows(segment);
            return if known { None } else { self.over(to_itself, false) };
        }
        self.counts[side & 1] += 1;
        self.first.get_or_insert((segment.frame, segment.at));
        self.latest = Some((segment.frame, segment.at, scenario(segment, to_itself)));
        None
    }

    /// What went on until now is over, or the flow is.
    pub(crate) fn over(&mut self, to_itself: bool, unfinished: bool) -> Option<War> {
        let counts = core::mem::take(&mut self.counts);
        let (first, latest) = (self.first.take(), self.latest.take());
        let ((first, began), (last, ended, scenario)) = (first?, latest?);
        is_war(counts, WAR, to_itself).then(|| War {
            scenario,
            segments: counts[0] + counts[1],
            frames: (first, last),
            nanos: ended.since(began).as_nanos() as u64,
            unfinished,
        })
    }
}

impl Standing {
    /// Whether the segment brings and acknowledges nothing new.
    fn knows(&self, segment: &Segment<'_>) -> bool {
        let end = segment.seq.plus(segment.text.len() as u32);
        self.end.is_some_and(|sent| !end.after(sent))
            && self.ack.is_some_and(|given| !segment.ack.after(given))
    }
}

fn scenario(segment: &Segment<'_>, to_itself: bool) -> Scenario {
    if to_itself {
        Scenario::SelfConnect
    } else if segment.has(Flags::SYN) {
        Scenario::SynAck
    } else if segment.has(Flags::FIN) {
        Scenario::Fin
    } else {
        Scenario::Ack
    }
}
