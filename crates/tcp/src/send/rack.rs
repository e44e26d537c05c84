//! RACK-TLP (RFC 8985): loss is what left before something that arrived, by more than reordering explains.

use core::time::Duration;

use rules::Instant;
use wire::SeqNumber;

use super::scoreboard::{Record, sent_after};

/// Recoveries without a D-SACK after which a widened reordering window is narrow again.
const PERSIST: u8 = 16;
/// The widest multiple of a quarter of the minimal round trip; SRTT bounds it anyway.
const MOST_WIDENED: u8 = 64;

/// The newest delivery, and how much reordering is to be expected.
#[derive(Clone, Debug)]
pub(crate) struct Rack {
    newest: (Instant, SeqNumber),
    /// The round trip of the newest delivery, in nanoseconds; 0: nothing was delivered yet.
    rtt: u64,
    /// The highest end that was acknowledged in either way.
    fack: SeqNumber,
    reordering_seen: bool,
    widened: u8,
    persist: u8,
    dsack_round: Option<SeqNumber>,
}

impl Rack {
    pub(crate) fn new(iss: SeqNumber) -> Self {
        Self {
            newest: (Instant::ZERO, iss),
            rtt: 0,
            fack: iss,
            reordering_seen: false,
            widened: 1,
            persist: 0,
            dsack_round: None,
        }
    }

    /// `record` was delivered (RFC 8985 6.2 steps 1 to 3). `echoed` is the age of the echoed timestamp if
    /// it tells which transmission arrived: only at SND.UNA does the echo belong to the segment itself.
    pub(crate) fn delivered(
        &mut self,
        record: &Record,
        now: Instant,
        min_rtt: Option<Duration>,
        echoed: Option<Duration>,
    ) {
        if record.end.after(self.fack) {
            self.fack = record.end;
        } else if record.end.before(self.fack) && !record.resent {
            self.reordering_seen = true;
        }
        let rtt = now.since(record.sent_at);
        if record.resent {
            // A timestamp clock that ticks in milliseconds is off by one at the most.
            let older = echoed.is_some_and(|age| age > rtt + Duration::from_millis(1));
            // Faster than the path: it was the first transmission that arrived.
            if older || min_rtt.is_some_and(|min_rtt| rtt < min_rtt) {
                return;
            }
        }
        if self.rtt == 0 || sent_after((record.sent_at, record.end), self.newest) {
            self.newest = (record.sent_at, record.end);
            self.rtt = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX).max(1);
        }
    }

    /// The newest delivery, once there was one.
    pub(crate) fn newest(&self) -> Option<(Instant, SeqNumber)> {
        (self.rtt != 0).then_some(self.newest)
    }

    /// The newest delivery's round trip.
    pub(crate) fn rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt)
    }

    /// The peer reported a duplicate: the window was too narrow, once a round trip.
    pub(crate) fn on_ack(&mut self, una: SeqNumber, nxt: SeqNumber, dsack: bool) {
        if self.dsack_round.is_some_and(|round| !una.before(round)) {
            self.dsack_round = None;
        }
        if dsack && self.dsack_round.is_none() {
            self.dsack_round = Some(nxt);
            self.widened = (self.widened + 1).min(MOST_WIDENED);
            self.persist = PERSIST;
        }
    }

    /// A recovery is over.
    pub(crate) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.widened = 1;
        }
    }

    /// How much longer than a round trip to wait (RFC 8985 6.2 step 4). `hurry`: in recovery, or as much is
    /// acknowledged selectively as three duplicate ACKs would tell.
    pub(crate) fn reordering_window(
        &self,
        hurry: bool,
        min_rtt: Option<Duration>,
        srtt: Option<Duration>,
    ) -> Duration {
        if !self.reordering_seen && hurry {
            return Duration::ZERO;
        }
        let (Some(min_rtt), Some(srtt)) = (min_rtt, srtt) else { return Duration::ZERO };
        (min_rtt * u32::from(self.widened) / 4).min(srtt)
    }
}

/// The probe of the tail (RFC 8985 section 7).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tlp {
    /// SND.NXT when the probe left; `None`: none is out.
    end: Option<SeqNumber>,
    resent: bool,
    /// The timer expired, the probe has yet to leave.
    due: bool,
}

impl Tlp {
    /// A probe is to be sent.
    pub(crate) fn call(&mut self) {
        self.due = true;
    }

    /// Something left: if a probe was due, that was it.
    pub(crate) fn on_transmit(&mut self, nxt: SeqNumber, resent: bool) {
        if self.due {
            *self = Self { end: Some(nxt), resent, due: false };
        }
    }

    /// Another probe must wait until this one is answered.
    pub(crate) fn is_out(&self) -> bool {
        self.due || self.end.is_some()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// An acknowledgment came (RFC 8985 7.4.2). True: the probe has repaired a loss, of which nothing else
    /// will ever tell.
    pub(crate) fn on_ack(
        &mut self,
        ack: SeqNumber,
        dsack: Option<(SeqNumber, SeqNumber)>,
        duplicate_without_sack: bool,
    ) -> bool {
        let Some(end) = self.end else { return false };
        if ack.before(end) {
            return false;
        }
        if !self.resent || dsack.is_some_and(|(_, dsack_end)| dsack_end == end) {
            self.clear();
        } else if ack.after(end) {
            self.clear();
            return true;
        } else if duplicate_without_sack {
            self.clear();
        }
        false
    }
}
