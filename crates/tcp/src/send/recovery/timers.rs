//! The three timers: reordering, probe and retransmission.

use core::time::Duration;

use rules::Instant;
use wire::SeqNumber;

use super::{Expired, NEVER, Phase, Recovery};
use crate::congestion::Controller;
use crate::send::frto::Frto;

/// How long a peer may hold back its ACK of a single segment (RFC 8985 7.2).
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);
/// The probe timeout before a round trip was measured (RFC 8985 7.2).
const BLIND_PROBE: Duration = Duration::from_secs(1);

impl Recovery {
    /// RFC 8985 7.2: only while nothing hints at a loss, and one probe at a time.
    pub(super) fn arm_probe(&mut self, now: Instant) {
        self.probe_at = NEVER;
        let quiet = self.phase == Phase::Open && self.board.sacked() == 0 && self.board.lost() == 0;
        // A SYN has no tail: its retransmission timer is all that it has.
        if self.handshake || !self.sack || !quiet || self.tlp.is_out() || self.board.is_empty() {
            return;
        }
        let wait = match self.rtt.srtt() {
            None => BLIND_PROBE,
            Some(srtt) if self.board.in_flight() <= self.segment() => srtt * 2 + MAX_ACK_DELAY,
            Some(srtt) => srtt * 2,
        };
        self.probe_at = self.rto_at.min(now + wait);
    }

    pub(super) fn arm(&mut self, now: Instant, newly_acked: u32) {
        if self.board.is_empty() {
            (self.rto_at, self.probe_at, self.reorder_at) = (NEVER, NEVER, NEVER);
            self.dup_octets = 0;
            self.tlp.clear();
        } else if newly_acked > 0 {
            self.rto_at = now + self.rtt.rto();
            self.arm_probe(now);
        } else if self.board.sacked() > 0 {
            self.probe_at = NEVER;
        }
    }

    /// When [`Self::on_timeout`] is to be called; `None` when nothing is in flight.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let next = self.reorder_at.min(self.probe_at).min(self.rto_at);
        (next != NEVER).then_some(next)
    }

    /// Time has come to `now`.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Expired {
        if self.reorder_at <= now {
            let flight = self.in_flight();
            if self.find_losses(now, 0, flight) {
                self.apportion(0, false);
                self.probe_at = NEVER;
                return Expired::Reorder;
            }
        }
        if self.probe_at <= now {
            self.probe_at = NEVER;
            self.tlp.call();
            self.rto_at = now + self.rtt.rto();
            return Expired::Probe;
        }
        if self.rto_at <= now {
            self.expire(now);
            return Expired::Rto;
        }
        Expired::Nothing
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let outstanding = self.board.outstanding();
        // Only what the timer has sent again itself is no new congestion (RFC 5681 3.1). A fast recovery that ends here
        // has lost a retransmission, of which nothing else told.
        let again = self.rto_count > 0;
        if !self.handshake {
            self.frto = if self.sack && self.phase == Phase::Open { Frto::Asked } else { Frto::Off };
            self.congestion.on_rto(outstanding, again);
            self.cwr = true;
            self.phase = Phase::Loss;
            self.undo_octets = 0;
        }
        self.board.lose_all();
        self.rtt.back_off();
        self.rto_count = self.rto_count.saturating_add(1);
        self.recover = self.board.nxt();
        self.ece_until = self.recover;
        self.dup_octets = 0;
        self.tlp.clear();
        (self.probe_at, self.reorder_at) = (NEVER, NEVER);
        self.rto_at = now + self.rtt.rto();
    }

    /// The last segment in flight: what a probe sends when there is no new text.
    pub(crate) fn tlp_range(&self) -> Option<(SeqNumber, SeqNumber)> {
        let last = self.board.last()?;
        let len = last.len().min(self.segment());
        Some((last.end.minus(len), last.end))
    }
}
