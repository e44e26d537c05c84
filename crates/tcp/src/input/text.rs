//! Seventh step: the text (RFC 9293 3.10.7.4), and when it is acknowledged (RFC 9293 3.8.6.3, RFC 5681 4.2).

use core::time::Duration;

use wire::SeqNumber;
use wire::tcp::Flags;

use super::{Step, Stop};
use crate::Reason;
use crate::connection::{AckDue, Connection, Context, Events};
use crate::segment::Segment;

/// Segments of text in a row, with none of ours between them, that are a stream and no conversation.
const ONE_WAY: u8 = 16;

impl Connection {
    /// Text in order goes to the application, text out of order waits in its place.
    pub(super) fn take_text<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        self.note_congestion(&segment);
        if segment.payload.is_empty() || !self.takes_text() {
            return Ok(segment);
        }
        if self.released {
            return Err(self.refuse_text(&segment, cx));
        }
        let segment = self.cut_behind_fin(segment);
        let end = segment.seq.plus(segment.payload.len() as u32);
        let expected = self.rcv_nxt;
        if !self.store(&segment, cx) {
            cx.counters.buffers_full += 1;
            self.ack_now();
            return Err(Stop::Done);
        }
        let limit = cx.limits.out_of_order_ranges;
        let Some(inserted) = self.assembler.insert(segment.seq, end, expected, limit) else {
            cx.counters.ranges_full += 1;
            self.ack_now();
            return Err(Stop::Done);
        };
        self.find_urgent_in_text(&segment, cx);
        if inserted.duplicate.is_some() && self.negotiated.sack {
            self.dsack = inserted.duplicate;
        }
        if inserted.rcv_nxt != expected {
            self.last_text = Some(segment.sent_at);
        }
        self.advance_rcv_nxt(inserted.rcv_nxt, cx);
        self.owe_ack(expected, end, cx);
        Ok(segment)
    }

    /// Nothing follows a FIN, whatever a peer sends.
    fn cut_behind_fin<'a>(&self, mut segment: Segment<'a>) -> Segment<'a> {
        let end = segment.seq.plus(segment.payload.len() as u32);
        if let Some(fin) = self.fin_at.filter(|fin| fin.before(end)) {
            let keep = if fin.after(segment.seq) { fin.distance_from(segment.seq) as usize } else { 0 };
            segment.payload = segment.payload.get(..keep).unwrap_or(&[]);
        }
        segment
    }

    /// The application has let go of the connection: what comes now can reach nobody, and the peer has
    /// to know (RFC 9293 3.10.4, RFC 1122 4.2.2.13).
    fn refuse_text(&mut self, segment: &Segment<'_>, cx: &mut Context<'_>) -> Stop {
        let reset = rules::reset::Reset { seq: self.snd_nxt, ack: Some(segment.end()) };
        self.end(Reason::Aborted, cx.pool);
        Stop::Reset(reset)
    }

    fn store(&mut self, segment: &Segment<'_>, cx: &mut Context<'_>) -> bool {
        let offset = segment.seq.distance_from(self.rcv_read) as usize;
        self.deaf || self.recv.place(cx.pool, offset, segment.payload)
    }

    pub(super) fn advance_rcv_nxt(&mut self, rcv_nxt: SeqNumber, cx: &mut Context<'_>) {
        let octets = rcv_nxt.distance_from(self.rcv_nxt);
        if octets == 0 {
            return;
        }
        self.rcv_nxt = rcv_nxt;
        self.unacked_octets = self.unacked_octets.saturating_add(octets);
        if self.deaf {
            self.discard_unread(cx);
        } else {
            self.events.add(Events::READABLE);
        }
    }

    /// An ACK now for what is out of order, fills a hole, came twice, or is the second segment; later for
    /// the rest.
    pub(super) fn owe_ack(&mut self, expected: SeqNumber, end: SeqNumber, cx: &Context<'_>) {
        let in_order = self.rcv_nxt == end && expected != end;
        let enough = self.unacked_octets >= 2 * u32::from(self.peer_segment());
        if !in_order || !self.assembler.is_empty() || enough || self.config.delayed_ack.is_zero() {
            self.ack_now();
        } else if self.ack == AckDue::No {
            self.ack = AckDue::By(cx.now + self.ack_delay());
        }
        self.one_way = self.one_way.saturating_add(1);
    }

    /// How long an ACK may wait (RFC 9293 3.8.6.3: below half a second). It waits for text of ours to take it along,
    /// and for a second segment. Where text goes one way only the second segment is left to wait for, and in a
    /// stream that comes soon or, when the sender's window is used up, not before the ACK has gone.
    fn ack_delay(&self) -> Duration {
        let delay = self.config.delayed_ack;
        if self.one_way < ONE_WAY { delay } else { delay / 8 }
    }

    /// What the peer's full-sized segments are likely to be, in octets of text.
    fn peer_segment(&self) -> u16 {
        self.rcv_mss.min(self.peer_mss.max(536)).saturating_sub(if self.negotiated.timestamps {
            12
        } else {
            0
        })
    }

    /// RFC 3168 6.1.3: CE is echoed until CWR comes.
    fn note_congestion(&mut self, segment: &Segment<'_>) {
        if self.negotiated.ecn {
            self.ece = segment.congested || (self.ece && !segment.has(Flags::CWR));
        }
    }
}
