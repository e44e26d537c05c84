//! Before the first step: PAWS (RFC 7323 5.3), and TS.Recent.

use rules::paws::{PawsVerdict, TsRecent, drops_for_want_of_timestamp, paws, updates_ts_recent};
use wire::tcp::Flags;

use super::{Step, Stop};
use crate::connection::{Connection, Context};
use crate::segment::Segment;

impl Connection {
    /// Old duplicates go, answered with an ACK; RST is exempt.
    pub(super) fn check_timestamps<'a>(&mut self, segment: Segment<'a>, cx: &mut Context<'_>) -> Step<'a> {
        if !self.negotiated.timestamps {
            return Ok(segment);
        }
        let tsval = segment.options.timestamps.map(|(value, _)| value);
        if drops_for_want_of_timestamp(true, tsval, segment.flags) {
            cx.counters.timestamp_missing += 1;
            return Err(Stop::Done);
        }
        match tsval.map(|tsval| paws(tsval, self.ts_recent, segment.flags, cx.now)) {
            Some(PawsVerdict::Old) => {
                cx.counters.paws += 1;
                // What carries neither text nor FIN may be the answer to an answer (see `check_sequence`).
                match segment.payload.is_empty() && !segment.has(Flags::FIN) {
                    true => self.answer_now_and_then(cx),
                    false => self.ack_now(),
                }
                Err(Stop::Done)
            }
            _ => Ok(segment),
        }
    }

    /// The timestamp to echo from now on (RFC 7323 4.3): of a segment that has passed the sequence test and whose
    /// ACK can be believed. A stranger who guesses the window could otherwise set a timestamp that makes PAWS
    /// drop what the peer sends. Never of a RST (5.2).
    pub(super) fn keep_timestamp(&mut self, segment: &Segment<'_>, cx: &Context<'_>) {
        if let Some((value, _)) = segment.options.timestamps
            && self.negotiated.timestamps
            && updates_ts_recent(segment.sent_at, value, self.ts_recent, self.last_ack_sent, cx.now)
        {
            self.ts_recent = Some(TsRecent { value, seen: cx.now });
        }
    }
}
