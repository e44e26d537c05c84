//! Wars: two endpoints that answer one another without end and without progress (L3).
//!
//! A segment of a war says what its sender has said before (SEQ, ACK, flags, no text), and it begins left of what
//! the other side has acknowledged, or right of its window: to a host with the old sequence test it is not
//! acceptable and must be answered (draft-gont-tcpm-tcp-seq-validation 3). *Both* sides send such segments. That
//! tells a war from what is only like it: the answer to a keep-alive, a window probe or a retransmitted FIN begins
//! at SND.NXT and is acceptable, duplicate ACKs are as well, and whatever brings text or acknowledges more is
//! progress. Text that was sent before (a timer's doing) neither ends a war nor belongs to it.

use rules::Instant;
use serde::Serialize;
use wire::SeqNumber;
use wire::tcp::Flags;

use crate::segment::Segment;

/// Segments of a war at least, both sides together; as in the simulator.
pub const WAR: u64 = 8;

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

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Said {
    seq: SeqNumber,
    ack: SeqNumber,
    flags: Flags,
    /// Something was said at all.
    known: bool,
}

/// Looks for wars in one flow.
#[derive(Clone, Debug)]
pub(crate) struct Detector {
    last: [Said; 2],
    /// What goes on; of most flows, nothing.
    exchange: Option<Box<Exchange>>,
}

/// Empty repetitions since something else came.
#[derive(Clone, Debug)]
struct Exchange {
    /// Of each side.
    counts: [u64; 2],
    first: (u64, Instant),
    latest: (u64, Instant, Scenario),
}

impl Default for Detector {
    fn default() -> Self {
        let nothing = Said { seq: SeqNumber(0), ack: SeqNumber(0), flags: Flags::default(), known: false };
        Self { last: [nothing; 2], exchange: None }
    }
}

impl Detector {
    /// A segment of side `side`, before which things stood as `standing` says. The answer is a war that is over.
    #[inline]
    pub(crate) fn see(
        &mut self,
        side: usize,
        segment: &Segment<'_>,
        standing: impl FnOnce() -> Standing,
        to_itself: bool,
    ) -> Option<War> {
        let said = Said { seq: segment.seq, ack: segment.ack, flags: segment.flags, known: true };
        let again = core::mem::replace(&mut self.last[side & 1], said) == said;
        if !again && self.exchange.is_none() {
            return None;
        }
        self.see_again(side, segment, again, &standing(), to_itself)
    }

    #[cold]
    fn see_again(
        &mut self,
        side: usize,
        segment: &Segment<'_>,
        again: bool,
        standing: &Standing,
        to_itself: bool,
    ) -> Option<War> {
        let empty = segment.len == 0 && segment.has(Flags::ACK) && !segment.has(Flags::RST);
        if !(again && empty && standing.refuses(segment)) {
            let known = segment.len > 0 && standing.knows(segment);
            return if known { None } else { self.over(to_itself, false) };
        }
        let latest = (segment.frame, segment.at, scenario(segment, to_itself));
        let exchange = self.exchange.get_or_insert_with(|| {
            Box::new(Exchange { counts: [0; 2], first: (segment.frame, segment.at), latest })
        });
        exchange.counts[side & 1] += 1;
        exchange.latest = latest;
        None
    }

    /// What went on until now is over, or the flow is.
    pub(crate) fn over(&mut self, to_itself: bool, unfinished: bool) -> Option<War> {
        let Exchange { counts, first: (first, began), latest: (last, ended, scenario) } =
            *self.exchange.take()?;
        // The side that begins a stretch, or has the last word, says one more than the other.
        let mutual = to_itself || counts[0].min(counts[1]) + 1 >= WAR / 2;
        (mutual && counts[0] + counts[1] >= WAR).then(|| War {
            scenario,
            segments: counts[0] + counts[1],
            frames: (first, last),
            nanos: ended.since(began).as_nanos() as u64,
            unfinished,
        })
    }
}

impl Standing {
    /// Whether the other side takes the segment for unacceptable by the old test.
    fn refuses(&self, segment: &Segment<'_>) -> bool {
        // At the edge nothing is acceptable, but for what stands at RCV.NXT itself (a closed window).
        let beyond = self.edge.is_some_and(|edge| !segment.seq.before(edge));
        self.acked.is_some_and(|acked| segment.seq.before(acked) || beyond && segment.seq != acked)
    }

    /// Whether the segment brings and acknowledges nothing new.
    fn knows(&self, segment: &Segment<'_>) -> bool {
        let end = segment.seq.plus(segment.len);
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
