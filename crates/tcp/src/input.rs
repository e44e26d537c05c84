//! A segment arrives: the steps of RFC 9293 3.10.7.4, one file each, in their order.
//!
//! Each step gives the segment on, perhaps trimmed, or stops. A segment that is stopped before its text has
//! changed nothing but what its step says.

use rules::reset::Reset;

use crate::State;
use crate::connection::{Connection, Context};
use crate::segment::Segment;

mod ack;
mod fin;
mod icmp;
mod predicted;
mod reset;
mod sequence;
mod syn;
mod syn_sent;
mod text;
mod timestamps;
mod urgent;

pub(crate) use icmp::{IcmpError, IcmpKind};
pub(crate) use predicted::Predicted;

/// What a step leaves: the segment for the next one, or nothing.
pub(crate) type Step<'a> = Result<Segment<'a>, Stop>;

/// The segment is done with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// What there was to do is done.
    Done,
    /// It is answered with a reset, and the connection stays as it is.
    Reset(Reset),
}

impl Connection {
    /// A segment arrived for this connection. Returns a reset to be sent in its place, if any.
    pub(crate) fn input(&mut self, segment: Segment<'_>, cx: &mut Context<'_>) -> Option<Reset> {
        let stop = match self.state {
            State::Closed => return None,
            State::SynSent => self.syn_sent(segment, cx),
            _ => self.synchronized(segment, cx),
        };
        match stop {
            Err(Stop::Reset(reset)) => Some(reset),
            Err(Stop::Done) | Ok(_) => None,
        }
    }

    /// RFC 5482 3.1. A segment without the option changes nothing.
    fn hear_user_timeout(&mut self, segment: &Segment<'_>) {
        if segment.options.user_timeout != 0 && self.config.told_user_timeout.is_some() {
            self.heard_user_timeout = segment.options.user_timeout;
        }
    }

    fn synchronized<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        let segment = self.check_timestamps(segment, cx)?;
        let segment = self.check_sequence(segment, cx)?;
        let segment = self.check_reset(segment, cx)?;
        let segment = self.check_syn(segment, cx)?;
        let fin_again = self.state == State::TimeWait && self.is_fin_again(&segment);
        let segment = self.trim(segment, cx);
        let segment = self.check_ack(segment, cx)?;
        if fin_again {
            // Our last ACK was lost, the time begins anew.
            self.time_wait(cx.now);
        }
        self.heard = cx.now;
        self.keep_alives = 0;
        self.hear_user_timeout(&segment);
        let segment = self.check_urgent(segment, cx)?;
        self.note_fin(&segment, cx);
        let segment = self.take_text(segment, cx)?;
        self.check_fin(segment, cx)
    }
}
