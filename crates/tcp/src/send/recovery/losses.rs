//! What is lost, what follows from it, and what takes it back.

use rules::Instant;
use wire::SeqNumber;

use super::{AckInput, News, Phase, Recovery};
use crate::congestion::Controller;
use crate::send::frto::{Frto, Verdict};
use crate::send::prr::Prr;
use crate::send::scoreboard::Losses;

/// Duplicate ACKs that stand for a loss, without SACK (RFC 5681 3.2).
const DUP_THRESH: u32 = 3;

impl Recovery {
    /// What PRR lets leave for what arrived.
    pub(super) fn apportion(&mut self, delivered: u32, clean: bool) {
        if self.phase == Phase::Fast {
            let (pipe, mss) = (self.in_flight(), self.segment());
            self.prr.on_ack(delivered, pipe, self.congestion.ssthresh(), mss, clean);
        }
    }

    /// Without SACK every duplicate ACK stands for a segment that arrived (RFC 6937 section 3).
    pub(super) fn count_duplicates(&mut self, news: &mut News, newly_acked: u32, duplicate: bool) {
        let segment = self.segment();
        if newly_acked > 0 {
            // One segment filled the hole; the others had been counted.
            let counted = self.dup_octets.min(newly_acked.saturating_sub(segment));
            self.dup_octets -= counted;
            news.delivered = news.delivered.saturating_sub(counted);
            if self.phase == Phase::Open {
                self.dup_octets = 0;
            }
        } else if duplicate && self.phase != Phase::Loss {
            let most = self.board.in_flight().saturating_sub(segment);
            let more = segment.min(most.saturating_sub(self.dup_octets));
            self.dup_octets += more;
            news.delivered += more;
        }
        self.dup_octets = self.dup_octets.min(self.board.in_flight());
    }

    /// F-RTO's answer, if one is due.
    pub(super) fn judge_timeout(&mut self, input: &AckInput<'_>, news: &News, newly_acked: u32) -> bool {
        let beyond = !input.ack.before(self.recover);
        let (advanced, mss) = (newly_acked > 0, self.segment());
        if self.frto.on_ack(advanced, beyond, news.original, input.can_send_new, mss) != Verdict::Spurious {
            return false;
        }
        self.undo();
        true
    }

    /// All that was sent again in this episode came twice: there was no loss (RFC 3708's idea).
    pub(super) fn judge_duplicates(&mut self, dsack: Option<(SeqNumber, SeqNumber)>) -> bool {
        let Some((start, end)) = dsack else { return false };
        if self.undo_octets == 0 || end.after(self.recover) {
            return false;
        }
        self.undo_octets = self.undo_octets.saturating_sub(end.distance_from(start));
        if self.undo_octets > 0 || self.board.lost() > 0 {
            return false;
        }
        self.undo();
        true
    }

    pub(super) fn undo(&mut self) {
        self.board.restore();
        self.congestion.undo();
        self.rtt.reset_back_off();
        self.phase = Phase::Open;
        self.undo_octets = 0;
        self.rto_count = 0;
    }

    pub(super) fn reduce(&mut self, outstanding: u32) {
        self.congestion.on_congestion(outstanding);
        self.undo_octets = 0;
        self.cwr = true;
    }

    pub(super) fn find_losses(&mut self, now: Instant, newly_acked: u32, flight: u32) -> bool {
        let lost = if self.sack { self.lose_by_time(now) } else { self.lose_by_count(newly_acked) };
        if lost.octets == 0 {
            return false;
        }
        let another = match self.phase {
            Phase::Open => true,
            // What left after the recovery began is the next window, and a loss in it another congestion (RFC 5681
            // 4.3). So would be a lost retransmission, but under PRR no more leaves than arrives once something is
            // lost again, and RFC 8985 9.3 asks for a second reduction only where there is no PRR.
            Phase::Fast => lost.original_end.is_some_and(|end| end.after(self.recover)),
            // Such as here: in slow start after a timeout. All that is in flight left since; that it was lost, even
            // a retransmission, is a second congestion.
            Phase::Loss => true,
        };
        if another {
            self.begin_recovery(flight);
        }
        true
    }

    pub(super) fn lose_by_time(&mut self, now: Instant) -> Losses {
        self.reorder_at = super::NEVER;
        let Some(newest) = self.rack.newest() else { return Losses::default() };
        let hurry = self.phase != Phase::Open || self.board.sacked() > (DUP_THRESH - 1) * self.segment();
        let wait = self.rack.reordering_window(hurry, self.rtt.min_rtt(), self.rtt.srtt());
        let lost = self.board.lose(newest, now, self.rack.rtt() + wait);
        self.reorder_at = lost.next.unwrap_or(super::NEVER);
        lost
    }

    /// RFC 6582: the third duplicate ACK, and then every partial one.
    pub(super) fn lose_by_count(&mut self, newly_acked: u32) -> Losses {
        let segment = self.segment();
        let enough = match self.phase {
            Phase::Open => newly_acked == 0 && self.dup_octets >= self.least_duplicates(),
            Phase::Fast => newly_acked > 0,
            Phase::Loss => false,
        };
        let octets = if enough { self.board.lose_first(segment) } else { 0 };
        self.dup_octets = self.dup_octets.min(self.board.in_flight());
        Losses { octets, ..Losses::default() }
    }

    pub(super) fn least_duplicates(&self) -> u32 {
        self.segment() * DUP_THRESH
    }

    pub(super) fn begin_recovery(&mut self, flight: u32) {
        self.reduce(self.board.outstanding().max(flight));
        // What the probe had to say is known now: it must not reduce the window a second time.
        self.tlp.clear();
        self.phase = Phase::Fast;
        self.frto = Frto::Off;
        self.recover = self.board.nxt();
        self.ece_until = self.recover;
        self.prr = Prr::new(flight);
    }

    /// The path takes smaller segments only: what is in flight did not fit, and congestion has no part in it
    /// (RFC 1191 6.5).
    pub(crate) fn path_changed(&mut self) {
        self.board.lose_all();
        self.dup_octets = 0;
        (self.probe_at, self.reorder_at) = (super::NEVER, super::NEVER);
    }
}
