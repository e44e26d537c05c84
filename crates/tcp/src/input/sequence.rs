//! First step: the sequence number (RFC 9293 3.10.7.4, with the edge of the seqval draft; S1, S6, S7).

use rules::acceptability::{Acceptability, Edge, Window, acceptability, is_ack_behind_probe, trim};
use wire::tcp::Flags;

use super::{Step, Stop};
use crate::State;
use crate::connection::{AckDue, Connection, Context};
use crate::segment::Segment;

impl Connection {
    /// Unacceptable segments are answered with an ACK, unless they are RSTs.
    pub(super) fn check_sequence<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        let window = self.rcv_window();
        match acceptability(segment.seq, segment.len(), window, self.config.seq_validation) {
            Acceptability::Acceptable => Ok(segment),
            // Nothing of it is taken, but its ACK, URG and RST are looked at (row 3), and it is answered:
            // that answer is what a window probe is for.
            Acceptability::ZeroWindow => {
                if !segment.has(Flags::RST) {
                    self.ack_now();
                }
                Ok(segment)
            }
            Acceptability::Unacceptable if self.is_ack_behind_probe(&segment) => Ok(segment),
            Acceptability::Unacceptable => {
                cx.counters.unacceptable += 1;
                if !segment.has(Flags::RST) {
                    self.answer_unacceptable(segment.len() == 0, cx);
                }
                Err(Stop::Done)
            }
        }
    }

    fn is_ack_behind_probe(&self, segment: &Segment<'_>) -> bool {
        self.config.any_probe && is_ack_behind_probe(segment.seq, segment.len(), self.last_text)
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`; the stacks that the wars were seen with repeat what they sent
    /// last instead, as the figures of the seqval draft show.
    ///
    /// A segment that occupies no sequence space may be such an answer itself: lwIP counts a probe's octet
    /// that was refused, and answers every ACK while its own window is closed. Answered each time that would
    /// never end, so it is answered now and then (Linux does so, too: tcp_invalid_ratelimit).
    fn answer_unacceptable(&mut self, empty: bool, cx: &mut Context<'_>) {
        if self.config.seq_validation == Edge::Rfc793 {
            self.ack_now();
            self.syn_due |= self.state == State::SynReceived;
            return;
        }
        if empty { self.answer_now_and_then(cx) } else { self.ack_now() }
    }

    /// An ACK, unless one went out just before for the same reason. A keep-alive and an empty window probe get
    /// theirs, as whoever sends them waits longer; who sends thousands gets two a second.
    pub(super) fn answer_now_and_then(&mut self, cx: &mut Context<'_>) {
        if self.ack == AckDue::Now {
            // One goes out anyway: that of the SYN-ACK which opens a connection is not counted here.
            return;
        }
        let interval = cx.limits.empty_answer_interval;
        if self.empty_answered.is_some_and(|at| cx.now.since(at) < interval) {
            cx.counters.empty_answers_withheld += 1;
            return;
        }
        self.empty_answered = Some(cx.now);
        self.ack_now();
    }

    /// What is left of the window's parts: old and excess text goes, and a SYN or FIN with it.
    ///
    /// What lies left of the window was received before: the sender has missed our ACK, or asks whether we
    /// are alive. Either way it wants an answer, although the segment is acceptable (S7). Text and FIN come again
    /// by the sender's timer only, and have to be answered each time; what has neither, a known SYN among them,
    /// may be an answer itself.
    pub(super) fn trim<'a>(&mut self, mut segment: Segment<'a>, cx: &mut Context<'_>) -> Segment<'a> {
        let len = segment.len();
        let Window { nxt, .. } = self.rcv_window();
        let trim = trim(segment.seq, len, self.rcv_window());
        if trim.is_whole(len) && !segment.seq.before(nxt) {
            return segment;
        }
        if segment.seq.before(nxt) {
            match segment.payload.is_empty() && !segment.has(Flags::FIN) {
                true => self.answer_now_and_then(cx),
                false => self.ack_now(),
            }
            // A D-SACK tells of text (RFC 2883 section 4); the SYN in front of it is none.
            let syn = u32::from(segment.has(Flags::SYN));
            let old = trim.skip.saturating_sub(syn).min(segment.payload.len() as u32);
            if self.negotiated.sack && old > 0 {
                let start = segment.seq.plus(syn);
                self.dsack = Some((start, start.plus(old)));
            }
        }
        let mut skip = trim.skip;
        if segment.has(Flags::SYN) && skip > 0 {
            segment.flags = segment.flags.without(Flags::SYN);
            skip -= 1;
        }
        let payload = segment.payload;
        let text = payload.get(skip as usize..).unwrap_or(&[]);
        let keep = (trim.keep as usize).min(text.len());
        if trim.keep as usize <= text.len() {
            segment.flags = segment.flags.without(Flags::FIN);
        }
        segment.payload = text.get(..keep).unwrap_or(&[]);
        segment.seq = segment.seq.plus(trim.skip);
        segment
    }
}
