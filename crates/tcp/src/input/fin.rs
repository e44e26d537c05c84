//! Eighth step: FIN (RFC 9293 3.10.7.4).

use wire::tcp::Flags;

use super::Step;
use crate::State;
use crate::connection::{Connection, Context, Events};
use crate::segment::Segment;

impl Connection {
    /// Takes the FIN when everything before it is there; one that comes early is remembered.
    pub(super) fn check_fin<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        if segment.has(Flags::FIN) && self.takes_text() {
            let at = *self.fin_at.get_or_insert(segment.seq.plus(segment.payload.len() as u32));
            // Behind a gap: the peer is told at once what is missing (RFC 5681 4.2).
            if at != self.rcv_nxt {
                self.ack_now();
            }
        }
        if self.fin_at == Some(self.rcv_nxt) && self.takes_text() {
            self.peer_finished = true;
            self.rcv_nxt = self.rcv_nxt.plus(1);
            // The octet of the FIN is part of the window that was offered.
            if self.rcv_adv.before(self.rcv_nxt) {
                self.rcv_adv = self.rcv_nxt;
            }
            self.ack_now();
            self.events.add(Events::READABLE);
            self.on_peer_finished(cx);
        }
        Ok(segment)
    }

    fn on_peer_finished(&mut self, cx: &Context<'_>) {
        match self.state {
            State::Established => self.state = State::CloseWait,
            // Our own FIN was not acknowledged, or `check_ack` would have moved on to FIN-WAIT-2.
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.time_wait(cx.now),
            _ => {}
        }
    }
}
