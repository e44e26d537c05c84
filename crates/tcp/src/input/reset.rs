//! Second step: RST, to the exact number only (RFC 9293 3.10.7.4 with RFC 5961 section 3).

use rules::rfc5961::{RstVerdict, rst_verdict};
use rules::time_wait::{RstInTimeWait, time_wait_rst};
use wire::tcp::Flags;

use super::{Step, Stop};
use crate::connection::{Connection, Context};
use crate::segment::Segment;
use crate::{Reason, State};

impl Connection {
    pub(super) fn check_reset<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        if !segment.has(Flags::RST) {
            return Ok(segment);
        }
        let verdict = rst_verdict(segment.seq, self.rcv_window());
        if self.state == State::TimeWait {
            match time_wait_rst(self.config.protect_time_wait, verdict) {
                RstInTimeWait::Close => self.end(Reason::Finished, cx.pool),
                RstInTimeWait::Challenge => self.challenge_ack(cx),
                RstInTimeWait::Ignore => cx.counters.rst_ignored += 1,
            }
            return Err(Stop::Done);
        }
        match verdict {
            RstVerdict::Reset => self.end(self.reason_of_reset(), cx.pool),
            RstVerdict::Challenge => self.challenge_ack(cx),
            RstVerdict::Ignore => cx.counters.rst_ignored += 1,
        }
        Err(Stop::Done)
    }

    /// "Connection refused" while it was being opened by us, "reset" otherwise; after both FINs it is neither.
    fn reason_of_reset(&self) -> Reason {
        match self.state {
            State::SynReceived if self.listener.is_none() => Reason::Refused,
            State::Closing | State::LastAck => Reason::Finished,
            _ => Reason::Reset,
        }
    }
}
