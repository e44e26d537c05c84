//! Eighth step: FIN (RFC 9293 3.10.7.4).

use wire::tcp::Flags;

use super::Step;
use crate::State;
use crate::connection::{Connection, Context, Events};
use crate::segment::Segment;

impl Connection {
    /// Remembers where the FIN is, before the text: what a peer has sent beyond it is not part of the stream. Were
    /// it kept, the text of this segment could join with it, and RCV.NXT go past the FIN without ever meeting it.
    /// Of two FINs the nearer one counts, as it is met first.
    pub(super) fn note_fin(&mut self, segment: &Segment<'_>, cx: &mut Context<'_>) {
        if !segment.has(Flags::FIN) || !self.takes_text() {
            return;
        }
        let at = segment.seq.plus(segment.payload.len() as u32);
        if self.fin_at.is_none_or(|known| at.before(known)) {
            self.fin_at = Some(at);
            cx.counters.text_behind_fin += u64::from(self.assembler.cut(at, self.rcv_nxt));
        }
    }

    /// Takes the FIN when everything before it is there.
    pub(super) fn check_fin<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        // Behind a gap: the peer is told at once what is missing (RFC 5681 4.2).
        if segment.has(Flags::FIN) && self.takes_text() && self.fin_at != Some(self.rcv_nxt) {
            self.ack_now();
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

    /// In TIME-WAIT: the FIN that was taken before.
    pub(super) fn is_fin_again(&self, segment: &Segment<'_>) -> bool {
        let ack = segment.has(Flags::ACK).then_some(segment.ack);
        segment.has(Flags::FIN)
            && rules::time_wait::is_fin_again(segment.end(), ack, self.rcv_nxt, self.snd_nxt)
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
