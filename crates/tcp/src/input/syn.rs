//! Fourth step: SYN (RFC 9293 3.10.7.4 with RFC 5961 section 4; S2).

use rules::acceptability::Edge;
use rules::rfc5961::is_known_syn;
use wire::tcp::Flags;

use super::{Step, Stop};
use crate::State;
use crate::connection::{Connection, Context};
use crate::segment::Segment;

impl Connection {
    /// A SYN draws a challenge ACK whatever its number, with one exception: the SYN that we know already,
    /// with an ACK. It is the SYN-ACK of a crossing open: without its ACK field no simultaneous open ends.
    pub(super) fn check_syn<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        if !segment.has(Flags::SYN) {
            return Ok(segment);
        }
        let known = is_known_syn(segment.seq, self.irs, self.rcv_nxt);
        if known && segment.has(Flags::ACK) && self.config.seq_validation == Edge::Seqval {
            // `trim` takes the SYN off, since it lies before the window.
            return Ok(segment);
        }
        if self.state == State::SynReceived && known {
            // The peer's SYN once more: our SYN-ACK was lost.
            self.syn_due = true;
            return Err(Stop::Done);
        }
        // In SYN-RECEIVED the standard would reset, and a stranger could make it do so.
        self.challenge_ack(cx);
        Err(Stop::Done)
    }
}
