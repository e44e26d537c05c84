//! Sixth step: URG (RFC 9293 3.10.7.4; RFC 6093).

use wire::tcp::Flags;

use super::Step;
use crate::connection::{Connection, Context, Events};
use crate::recv::urgent::{News, Pointer, Position};
use crate::segment::Segment;

impl Connection {
    /// After the peer's FIN URG is ignored, except by hosts that do not; any pointer is possible (U9).
    pub(super) fn check_urgent<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        let looks = self.takes_text() || (self.config.urgent.after_fin && self.peer_finished);
        if !segment.has(Flags::URG) || !looks || self.deaf {
            return Ok(segment);
        }
        let pointer = Pointer {
            seq: segment.sent_at,
            text: (segment.seq, segment.payload.len() as u32),
            field: segment.urgent,
        };
        let at = Position { rcv_read: self.copied_seq(), rcv_nxt: self.rcv_nxt };
        match self.urgent.on_pointer(&self.config.urgent, pointer, at) {
            News::None => return Ok(segment),
            News::Entered => self.events.add(Events::URGENT_ENTERED),
            News::Advanced => self.events.add(Events::URGENT_ADVANCED),
        }
        if self.urgent.skips_old() {
            self.drop_next_octet(cx);
        }
        self.find_urgent_in_buffer(cx);
        Ok(segment)
    }

    /// The octet that has just become urgent may have come as normal data before (U5).
    fn find_urgent_in_buffer(&mut self, cx: &mut Context<'_>) {
        if let Some(offset) = self.urgent.awaits(&self.config.urgent, self.rcv_read, self.unread()) {
            let mut octet = [0];
            self.recv.peek(offset as usize, &mut octet);
            cx.counters.urgent_lost += self.urgent.arrived(&self.config.urgent, octet[0]);
        }
    }

    /// The octet that is awaited may be in this segment's text, whether that has URG or not.
    pub(super) fn find_urgent_in_text(&mut self, segment: &Segment<'_>, cx: &mut Context<'_>) {
        let len = segment.payload.len() as u32;
        if let Some(offset) = self.urgent.awaits(&self.config.urgent, segment.seq, len)
            && let Some(&octet) = segment.payload.get(offset as usize)
        {
            cx.counters.urgent_lost += self.urgent.arrived(&self.config.urgent, octet);
        }
    }
}
