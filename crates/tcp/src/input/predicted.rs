//! The segment that was to be expected: the next text in order, and nothing else that is new.
//!
//! It is most of what a receiver gets, and of the eight steps only the one that takes its text would do anything
//! with it. And since nothing but that text depends on it, it may be copied to its place while it is summed, before
//! it is known to be undamaged: no octet of it is touched twice.

use rules::paws::{PawsVerdict, paws};
use wire::checksum::Sum;
use wire::tcp::Flags;

use crate::State;
use crate::connection::{Connection, Context};
use crate::segment::Segment;

/// What became of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Predicted {
    /// It was another one than expected: the steps have to look at it.
    No,
    /// Its text was taken.
    Taken,
    /// Its checksum is wrong.
    Damaged,
}

impl Connection {
    /// Takes `segment` if it is the expected one. `unsummed`: the sum of its headers, where the checksum is yet to
    /// be verified.
    pub(crate) fn take_predicted(
        &mut self,
        segment: &Segment<'_>,
        unsummed: Option<Sum>,
        cx: &mut Context<'_>,
    ) -> Predicted {
        if !self.predicts(segment, cx) {
            return Predicted::No;
        }
        let offset = self.unread() as usize;
        let Some(sum) = self.recv.place_and_sum(cx.pool, offset, segment.payload) else {
            return Predicted::No;
        };
        if unsummed.is_some_and(|headers| !headers.plus(sum).is_valid()) {
            self.tidy(cx);
            return Predicted::Damaged;
        }
        self.keep_timestamp(segment, cx);
        self.heard = cx.now;
        self.keep_alives = 0;
        (self.snd_wl1, self.snd_wl2) = (segment.seq, segment.ack);
        self.last_text = Some(segment.sent_at);
        let (expected, end) = (self.rcv_nxt, segment.end());
        self.advance_rcv_nxt(end, cx);
        self.owe_ack(expected, end, cx);
        Predicted::Taken
    }

    /// No step but the seventh would do anything with `segment`, and that one nothing but put its text behind
    /// what is there.
    fn predicts(&self, segment: &Segment<'_>, cx: &Context<'_>) -> bool {
        let len = segment.payload.len() as u32;
        segment.flags.without(Flags::PSH) == Flags::ACK
            && self.state == State::Established
            // In order, all of it in the window, with nothing beyond it.
            && segment.seq == self.rcv_nxt
            && (1..=self.rcv_window().wnd).contains(&len)
            && self.assembler.is_empty()
            && self.fin_at.is_none()
            && !(self.deaf || self.released)
            // An ACK without news: nothing of ours is on its way, and the window is as it was.
            && (segment.ack == self.snd_una && self.snd_una == self.snd_nxt)
            && self.window_of(segment) == self.snd_wnd
            && self.persist.is_none()
            && segment.options.sacks.is_none()
            && !self.negotiated.ecn
            && !self.urgent.is_out_of_band()
            && self.predicts_timestamp(segment, cx)
    }

    fn predicts_timestamp(&self, segment: &Segment<'_>, cx: &Context<'_>) -> bool {
        !self.negotiated.timestamps
            || segment.options.timestamps.is_some_and(|(value, _)| {
                paws(value, self.ts_recent, segment.flags, cx.now) == PawsVerdict::Accept
            })
    }
}
