//! What becomes of each octet before a mark: one fold over the arrivals for each kind of host and reader.
//!
//! A fold sees what the host saw: segments in the order of arrival, with the place in the stream that each has.
//! It keeps no text, only the places of the octets that its reader does not find in the stream. Hosts that do
//! the same by [`rules::urgent`] share a fold ([`Kind`]).

use std::collections::BTreeSet;

use rules::urgent::{bsd, linux};
use serde::Serialize;
use wire::SeqNumber;

/// When and how the application reads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// At the end: everything has arrived before the first read.
    Lazy,
    /// After each segment, all that there is.
    Prompt,
    /// As `lazy`, and takes each octet with MSG_OOB as it comes.
    OutOfBand,
    /// With SO_OOBINLINE, or where there is nothing else.
    InLine,
}

/// What decides the fate of an octet before a mark.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// Nothing ever leaves the stream.
    InLine,
    /// Linux ([`linux`]), out of band.
    Linux {
        /// `tcp_stdurg`.
        stdurg: bool,
        /// It reads promptly.
        prompt: bool,
    },
    /// The children of 4.4BSD ([`bsd`]), out of band.
    Bsd {
        /// The pointer points at the last octet (RFC 1122).
        last: bool,
    },
    /// A sensor that takes the last octet of every segment with URG for out of band, as they arrive.
    Sensor,
}

/// A segment as it arrives at the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Offset of its first octet as it was sent; before the stream it is negative.
    pub(crate) sent_at: i64,
    /// Octets of text as it was sent.
    pub(crate) len: u32,
    /// The pointer, if URG is set.
    pub(crate) urgent: Option<u16>,
    /// RCV.NXT before it, as an offset.
    pub(crate) next: u64,
    /// RCV.NXT after it.
    pub(crate) next_after: u64,
    /// The peer's FIN had arrived in order before it.
    pub(crate) finished: bool,
}

/// Most of the stream that 4.4BSD lets a pointer announce (`sb_max`).
const BSD_BUFFER_MAX: u32 = 256 * 1024;
/// What a buffer holds at most without window scaling; a reader that comes late finds no more.
const BUFFER: u64 = 65_535;

/// One fold.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub(crate) kind: Kind,
    /// Places of the octets that are not in the stream.
    removed: BTreeSet<u64>,
    /// Places of octets that a reader of other habits would or would not find: Linux alone. They are
    /// in `removed` of the prompt reader and not of the lazy one.
    maybe: Vec<u64>,
    /// How far the reader has read.
    copied: u64,
    linux: linux::Urgent,
    /// RCV.UP of the BSDs.
    mark: u64,
    /// Places that were not kept because there were too many, and the first of them in the stream.
    lost: u64,
    lost_from: Option<u64>,
}

fn seq(offset: u64) -> SeqNumber {
    // Offsets on the circle of sequence numbers: `rules` compares by distance, so any start will do.
    SeqNumber(offset as u32)
}

impl Fold {
    /// A fold that begins at `next`, before the first mark: until then nothing depends on the host.
    pub(crate) fn new(kind: Kind, next: u64) -> Self {
        let copied = if kind.is_prompt() { next } else { 0 };
        Self {
            kind,
            removed: BTreeSet::new(),
            maybe: Vec::new(),
            copied,
            linux: linux::Urgent::default(),
            mark: 0,
            lost: 0,
            lost_from: None,
        }
    }

    /// The same, as if it had removed nothing yet.
    pub(crate) fn without_places(&self) -> Self {
        let Self { kind, removed: _, maybe: _, copied, linux, mark, lost: _, lost_from: _ } = *self;
        Self { copied, linux, mark, ..Self::new(kind, 0) }
    }

    /// Whether its reader finds what that of `other` does, now and whatever comes, once RCV.NXT is `next` for both.
    pub(crate) fn reads_as(&self, other: &Self, next: u64) -> bool {
        let state = |fold: &Self| {
            let Self { copied, linux, mark, lost, lost_from, .. } = *fold;
            // RCV.UP is never left of RCV.NXT.
            (copied, linux, mark.max(next), lost, lost_from)
        };
        state(self) == state(other) && self.removed == other.removed && self.maybe == other.maybe
    }

    /// Places of the octets that are not in the stream, sorted, once it has been read up to `next`.
    pub(crate) fn removed(&self, next: u64) -> Vec<u64> {
        let mut fold = self.clone();
        fold.read(next, usize::MAX);
        fold.removed.into_iter().collect()
    }

    /// Places that depend on when the reader reads.
    pub(crate) fn maybe(&self) -> &[u64] {
        &self.maybe
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// From this place on it is not known what the reader finds.
    pub(crate) fn lost_from(&self) -> Option<u64> {
        self.lost_from
    }

    fn lose(&mut self, octet: u64) {
        self.lost += 1;
        self.lost_from = Some(self.lost_from.map_or(octet, |first| first.min(octet)));
    }

    /// Entries that it holds.
    pub(crate) fn entries(&self) -> usize {
        self.removed.len() + self.maybe.len()
    }

    /// A segment arrives; `most` entries may be held.
    pub(crate) fn arrive(&mut self, arrival: Arrival, most: usize) {
        match self.kind {
            Kind::InLine => {}
            Kind::Linux { stdurg, prompt } => {
                if let Some(field) = arrival.urgent {
                    self.linux_pointer(arrival, field, stdurg, most);
                }
                if prompt {
                    self.read(arrival.next_after, most);
                }
            }
            Kind::Bsd { last } => {
                if let Some(field) = arrival.urgent {
                    self.bsd_pointer(arrival, field, last, most);
                }
            }
            Kind::Sensor => {
                let end = arrival.sent_at + i64::from(arrival.len);
                if arrival.urgent.is_some() && arrival.len > 0 && end > 0 {
                    self.remove(end as u64 - 1, most);
                }
            }
        }
    }

    fn linux_pointer(&mut self, arrival: Arrival, field: u16, stdurg: bool, most: usize) {
        let at = SeqNumber(arrival.sent_at as u32);
        let receiver =
            linux::Receiver { copied_seq: seq(self.copied), rcv_nxt: seq(arrival.next), in_line: false };
        let before = self.linux;
        let linux::Check::News { urgent, skip_old } =
            linux::check_urgent(before, at, field, stdurg, receiver)
        else {
            return;
        };
        if skip_old {
            self.remove(self.copied, most);
            self.copied += 1;
        } else if before.state != linux::State::None {
            // It returns to the stream of this reader; one that had read it would not have found it.
            let old = place(before.seq, arrival.next);
            if old < arrival.next {
                self.note_maybe(old, most);
            }
        }
        self.linux = urgent;
    }

    fn bsd_pointer(&mut self, arrival: Arrival, field: u16, last: bool, most: usize) {
        let told = field.saturating_add(u16::from(last));
        let skipped = (arrival.next as i64 - arrival.sent_at).clamp(0, i64::from(u32::MAX)) as u32;
        let field = bsd::trimmed_field(told, skipped);
        let start = arrival.sent_at.max(arrival.next as i64).max(0) as u64;
        let receiver = bsd::Receiver {
            rcv_nxt: seq(arrival.next),
            rcv_up: seq(self.mark.max(arrival.next)),
            buffered: (arrival.next - self.copied.min(arrival.next)).min(BUFFER) as u32,
            buffer_max: BSD_BUFFER_MAX,
            in_line: false,
            fin_received: arrival.finished,
        };
        let left = arrival.len.saturating_sub(skipped);
        let check = bsd::check_urgent(seq(start), Some(field), left, receiver);
        if let Some(offset) = check.cut {
            self.remove(start + u64::from(offset), most);
        }
        if check.mark.is_some() {
            self.mark = place(check.rcv_up, start);
        }
    }

    /// The reader reads on to `next`.
    fn read(&mut self, next: u64, most: usize) {
        if let Kind::Linux { .. } = self.kind
            && self.linux.state != linux::State::None
        {
            let octet = place(self.linux.seq, next);
            if (self.copied..next).contains(&octet) {
                self.remove(octet, most);
            }
        }
        self.copied = self.copied.max(next);
        self.linux = linux::after_read(self.linux, seq(self.copied));
    }

    fn remove(&mut self, octet: u64, most: usize) {
        if self.removed.len() < most {
            self.removed.insert(octet);
        } else if !self.removed.contains(&octet) {
            self.lose(octet);
        }
    }

    fn note_maybe(&mut self, octet: u64, most: usize) {
        if self.maybe.len() >= most {
            self.lost += 1;
        } else if self.maybe.last().is_none_or(|&last| last < octet) {
            self.maybe.push(octet);
        }
    }
}

/// The offset near `near` that has this sequence number.
fn place(seq_number: SeqNumber, near: u64) -> u64 {
    let ahead = seq_number.distance_from(seq(near)) as i32;
    near.saturating_add_signed(i64::from(ahead))
}

impl Kind {
    /// All that differ.
    pub(crate) const ALL: [Self; 8] = [
        Self::InLine,
        Self::Linux { stdurg: false, prompt: false },
        Self::Linux { stdurg: false, prompt: true },
        Self::Linux { stdurg: true, prompt: false },
        Self::Linux { stdurg: true, prompt: true },
        Self::Bsd { last: false },
        Self::Bsd { last: true },
        Self::Sensor,
    ];

    /// Whether it is at the end of the connection, and not where the capture was made.
    pub(crate) fn is_host(self) -> bool {
        self != Self::Sensor
    }

    fn is_prompt(self) -> bool {
        matches!(self, Self::Linux { prompt: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments in order: text and pointer. What the reader finds.
    fn reading(kind: Kind, segments: &[(&str, Option<u16>)]) -> String {
        let (mut fold, mut text) = (Fold::new(kind, 0), String::new());
        for (octets, urgent) in segments {
            let (next, len) = (text.len() as u64, octets.len() as u32);
            let next_after = next + u64::from(len);
            let arrival =
                Arrival { sent_at: next as i64, len, urgent: *urgent, next, next_after, finished: false };
            fold.arrive(arrival, 100);
            text += octets;
        }
        let removed = fold.removed(text.len() as u64);
        (0..).zip(text.chars()).filter(|(at, _)| !removed.contains(at)).map(|(_, octet)| octet).collect()
    }

    const LAZY: Kind = Kind::Linux { stdurg: false, prompt: false };
    const PROMPT: Kind = Kind::Linux { stdurg: false, prompt: true };
    const BSD: Kind = Kind::Bsd { last: false };

    // covers: L1, L2
    #[test]
    fn one_mark_is_read_in_two_ways_and_two_marks_in_three() {
        let one = [("maliciX", Some(7)), ("ous", None)];
        assert_eq!(reading(Kind::InLine, &one), "maliciXous");
        for kind in [LAZY, PROMPT, BSD, Kind::Sensor] {
            assert_eq!(reading(kind, &one), "malicious", "{kind:?}");
        }
        let two = [("ab!", Some(3)), ("cd?", Some(3)), ("ef", None)];
        assert_eq!(reading(LAZY, &two), "ab!cdef", "the first comes back");
        assert_eq!(reading(PROMPT, &two), "abcdef");
        assert_eq!(reading(BSD, &two), "abcdef");
    }

    // covers: L1, L2
    #[test]
    fn a_mark_in_the_middle_and_one_ahead() {
        let middle = [("a!b", Some(2)), ("c", None)];
        assert_eq!(reading(PROMPT, &middle), "abc");
        assert_eq!(reading(Kind::Sensor, &middle), "a!c", "a sensor takes the last octet");
        let ahead = [("ab", Some(3)), ("!cd", None)];
        assert_eq!(reading(PROMPT, &ahead), "abcd");
        assert_eq!(reading(BSD, &ahead), "ab!cd", "it came without URG");
    }

    // covers: L1
    #[test]
    fn the_two_readings_of_the_pointer_differ_by_one_octet() {
        let segments = [("ab!?cd", Some(3))];
        assert_eq!(reading(BSD, &segments), "ab?cd");
        assert_eq!(reading(Kind::Bsd { last: true }, &segments), "ab!cd");
        assert_eq!(reading(Kind::Linux { stdurg: true, prompt: true }, &segments), "ab!cd");
    }

    // covers: L4
    #[test]
    fn places_beyond_the_bound_are_counted() {
        let mut fold = Fold::new(Kind::Sensor, 0);
        for n in 0..10 {
            let arrival =
                Arrival { sent_at: n, len: 1, urgent: Some(1), next: 0, next_after: 0, finished: false };
            fold.arrive(arrival, 4);
        }
        assert_eq!((fold.entries(), fold.lost(), fold.lost_from()), (4, 6, Some(4)));
    }
}
