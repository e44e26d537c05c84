//! Loss recovery: what has left, what of it is lost, and how much may leave now.
//!
//! The one thing of this folder that a connection talks to. It keeps the scoreboard, the timers and the
//! congestion window; the connection keeps the octets. SYN and FIN count as the octet of sequence space
//! that they are.

mod losses;
mod timers;

use core::time::Duration;

use rules::Instant;
use wire::SeqNumber;

use super::frto::Frto;
use super::prr::Prr;
use super::rack::{Rack, Tlp};
use super::scoreboard::{Record, Scoreboard};
use crate::congestion::{Ack, Congestion, Controller};
use crate::rtt::Rtt;
use crate::{Config, CongestionControl};

/// A timer that does not run. Half the size of an option, of which every connection would have three.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// Where the sender stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// Fast recovery, under PRR.
    Fast,
    /// After a timeout: slow start over what is lost.
    Loss,
}

/// The sender's state of loss recovery and congestion control.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    board: Scoreboard,
    congestion: Congestion,
    rtt: Rtt,
    rack: Rack,
    tlp: Tlp,
    prr: Prr,
    frto: Frto,
    phase: Phase,
    /// Nothing was acknowledged yet, not even the SYN.
    handshake: bool,
    sack: bool,
    pacing: bool,
    cwr: bool,
    mss: u16,
    rto_count: u16,
    /// SND.NXT when the recovery began: it ends when this is acknowledged.
    recover: SeqNumber,
    /// ECE up to this is about the same congestion (RFC 3168 6.1.2).
    ece_until: SeqNumber,
    /// Up to here the window was full when it left.
    limited_until: SeqNumber,
    /// Octets that duplicate ACKs without SACK stand for.
    dup_octets: u32,
    /// Octets sent again in this episode and not reported as duplicates: at 0 it was for nothing.
    undo_octets: u32,
    last_sent: Instant,
    /// Timers; [`NEVER`]: not running.
    reorder_at: Instant,
    probe_at: Instant,
    rto_at: Instant,
    retransmissions: u64,
}

/// An acknowledgment that passed the connection's tests: `ack` lies in [SND.UNA, SND.NXT].
pub(crate) struct AckInput<'a> {
    pub(crate) now: Instant,
    /// SEG.ACK: SND.UNA from now on.
    pub(crate) ack: SeqNumber,
    /// The blocks of the SACK option in their order, as the peer sent them: nothing is checked yet.
    pub(crate) sacks: &'a [(SeqNumber, SeqNumber)],
    /// Age of the echoed timestamp (RFC 7323), if there is one.
    pub(crate) tsecr_rtt: Option<Duration>,
    /// The segment brought text, SYN or FIN: then it is no duplicate ACK (RFC 5681 section 2).
    pub(crate) has_data: bool,
    /// It changed SND.WND: the same.
    pub(crate) window_changed: bool,
    /// ECE is set, and ECN was agreed on.
    pub(crate) ece: bool,
    /// There is text that was never sent and that the peer's window takes (RFC 5682 step 2b).
    pub(crate) can_send_new: bool,
}

/// What an acknowledgment brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct AckOutcome {
    /// Octets of sequence space that the cumulative acknowledgment moved over.
    pub(crate) newly_acked: u32,
    /// Octets that are now known to have arrived, by either kind of acknowledgment.
    pub(crate) delivered: u32,
    /// Something was found to be lost.
    pub(crate) lost_any: bool,
    /// The last reduction of the window turned out to have been for nothing, and was taken back.
    pub(crate) undone: bool,
}

/// What a timer asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expired {
    /// It was too early.
    Nothing,
    /// The reordering window is over, and ranges are lost: see [`Recovery::next_retransmission`].
    Reorder,
    /// Send one segment, whatever the congestion window says: text never sent if there is some and the
    /// peer's window takes it, else [`Recovery::tlp_range`].
    Probe,
    /// The retransmission timer: everything is lost, the timer is backed off.
    Rto,
}

/// What an acknowledgment delivered, gathered record by record.
#[derive(Default)]
struct News {
    delivered: u32,
    /// Octets that were sent more than once are among those that SND.UNA moved over.
    resent: bool,
    /// Octets that were in flight when the recovery began, and were sent once.
    original: bool,
    /// When the oldest and the newest octets left that were sent once.
    sent: Option<(Instant, Instant)>,
}

impl News {
    fn see(&mut self, record: &Record, recover: SeqNumber) {
        if record.resent {
            return;
        }
        self.original |= !record.end.after(recover);
        let (oldest, newest) = self.sent.unwrap_or((record.sent_at, record.sent_at));
        self.sent = Some((oldest.min(record.sent_at), newest.max(record.sent_at)));
    }
}

impl Recovery {
    /// For a connection whose first octet is `iss`. Until [`Self::set_sack`], without SACK.
    pub(crate) fn new(config: &Config, mss: u16, iss: SeqNumber) -> Self {
        Self {
            board: Scoreboard::new(iss),
            congestion: Congestion::new(config, u32::from(mss)),
            rtt: Rtt::new(config.initial_rto, config.min_rto, config.max_rto),
            rack: Rack::new(iss),
            tlp: Tlp::default(),
            prr: Prr::default(),
            frto: Frto::Off,
            phase: Phase::Open,
            handshake: true,
            sack: false,
            pacing: config.pacing,
            cwr: false,
            mss: mss.max(1),
            rto_count: 0,
            recover: iss,
            ece_until: iss,
            limited_until: iss,
            dup_octets: 0,
            undo_octets: 0,
            last_sent: Instant::ZERO,
            reorder_at: NEVER,
            probe_at: NEVER,
            rto_at: NEVER,
            retransmissions: 0,
        }
    }

    /// Whether SACK was agreed on: without it RACK and TLP rest, and duplicate ACKs are counted.
    pub(crate) fn set_sack(&mut self, agreed: bool) {
        self.sack = agreed;
    }

    /// The segment size changed: octets of text that a full segment takes.
    pub(crate) fn set_mss(&mut self, mss: u16) {
        self.mss = mss.max(1);
        self.congestion.set_mss(u32::from(self.mss));
    }

    fn segment(&self) -> u32 {
        u32::from(self.mss)
    }

    /// `start..end` leaves: new text at SND.NXT or a range that left before. A super-segment is one call.
    pub(crate) fn on_transmit(&mut self, start: SeqNumber, end: SeqNumber, now: Instant) {
        let (old_nxt, una) = (self.board.nxt(), self.board.una());
        let again = self.board.transmit(start, end, now);
        let new = self.board.nxt().distance_from(old_nxt);
        if again == 0 && new == 0 {
            return;
        }
        self.last_sent = now;
        if again > 0 {
            self.retransmissions += 1;
        }
        if self.phase != Phase::Open {
            self.undo_octets = self.undo_octets.saturating_add(again);
        }
        if self.phase == Phase::Fast {
            self.prr.on_transmit(again.saturating_add(new));
        }
        self.frto.on_new(new);
        self.tlp.on_transmit(self.board.nxt(), again > 0);
        self.note_limit();
        // The head sent again starts the timer again, as RFC 6675 section 6 allows: a recovery of several
        // round trips on a path much shorter than the timeout would end in one otherwise.
        if self.rto_at == NEVER || (again > 0 && !start.after(una)) {
            self.rto_at = now + self.rtt.rto();
        }
        if new > 0 {
            self.arm_probe(now);
        }
    }

    /// Up to here the window was used, or half of it where it doubles (RFC 9438 5.8).
    fn note_limit(&mut self) {
        let cwnd = self.congestion.cwnd();
        let start_is_slow = cwnd < self.congestion.ssthresh();
        let used = if start_is_slow { self.in_flight().saturating_mul(2) } else { self.in_flight() };
        if used.saturating_add(self.segment()) > cwnd {
            self.limited_until = self.board.nxt();
        }
    }

    /// New text that leaves now does nothing but add to what is in flight: no recovery counts it, and the probe timer
    /// does not depend on it any more.
    pub(crate) fn is_steady(&self) -> bool {
        self.phase == Phase::Open && self.board.in_flight() > self.segment()
    }

    /// As [`on_transmit`](Self::on_transmit), for new text up to `end` at the time of the text before it, while
    /// [`is_steady`](Self::is_steady).
    #[inline]
    pub(crate) fn on_steady_transmit(&mut self, end: SeqNumber, now: Instant) {
        self.board.append(end, now);
        self.note_limit();
    }

    /// An acknowledgment came: call it for every acceptable ACK, also when nothing is in flight.
    pub(crate) fn on_ack(&mut self, input: &AckInput<'_>) -> AckOutcome {
        if input.ack.before(self.board.una()) || input.ack.distance_from(self.board.una()) >= 1 << 31 {
            return AckOutcome::default();
        }
        let flight = self.in_flight();
        let newly_acked = input.ack.distance_from(self.board.una());
        let dsack = self.dsack(input);
        let mut news = self.take(input, newly_acked);
        let duplicate =
            newly_acked == 0 && !self.board.is_empty() && !input.has_data && !input.window_changed;
        if !self.sack {
            self.count_duplicates(&mut news, newly_acked, duplicate);
        }
        let rtt = self.measure(input, &news, newly_acked, flight);
        if newly_acked > 0 {
            self.rto_count = 0;
        }
        self.rack.on_ack(input.ack, self.board.nxt(), dsack.is_some());
        let mut outcome =
            AckOutcome { newly_acked, delivered: news.delivered, lost_any: false, undone: false };
        if self.leave_handshake(newly_acked, news.resent) {
            self.arm(input.now, newly_acked);
            return outcome;
        }
        outcome.undone = self.judge_timeout(input, &news, newly_acked) | self.judge_duplicates(dsack);
        if self.tlp.on_ack(input.ack, dsack, duplicate && input.sacks.is_empty()) {
            self.reduce(flight);
        }
        let phase = self.phase;
        if phase != Phase::Open && !input.ack.before(self.recover) && newly_acked > 0 {
            self.phase = Phase::Open;
            self.frto = Frto::Off;
            self.rack.on_recovered();
        }
        // Only what left with CWR or behind it brings news: an ACK of all that left before may still bear the old mark.
        if input.ece && self.phase == Phase::Open && input.ack.after(self.ece_until) {
            self.ece_until = self.board.nxt();
            self.reduce(self.board.outstanding().saturating_add(newly_acked));
        } else if phase != Phase::Fast {
            self.grow(input, &news, newly_acked, rtt);
        }
        outcome.lost_any = self.find_losses(input.now, newly_acked, flight);
        self.apportion(news.delivered, newly_acked > 0 && !outcome.lost_any);
        self.keep_up(input.ack);
        self.arm(input.now, newly_acked);
        outcome
    }

    /// Marks that lie behind SND.UNA come along: half a circle further they would seem to lie ahead.
    fn keep_up(&mut self, ack: SeqNumber) {
        for mark in [&mut self.ece_until, &mut self.limited_until] {
            if mark.before(ack) {
                *mark = ack;
            }
        }
        if self.phase == Phase::Open && self.recover.before(ack) {
            self.recover = ack;
        }
    }

    /// The first block, if it reports a duplicate (RFC 2883 section 4).
    fn dsack(&self, input: &AckInput<'_>) -> Option<(SeqNumber, SeqNumber)> {
        let (start, end) = *input.sacks.first()?;
        if !self.sack || !start.before(end) {
            return None;
        }
        let below = !end.after(input.ack);
        let inside = input
            .sacks
            .get(1)
            .is_some_and(|&(outer_start, outer_end)| !start.before(outer_start) && !end.after(outer_end));
        (below || inside).then_some((start, end))
    }

    /// Enters both kinds of acknowledgment into the board, and RACK.
    fn take(&mut self, input: &AckInput<'_>, newly_acked: u32) -> News {
        let Self { board, rack, rtt, recover, .. } = self;
        let (now, min_rtt) = (input.now, rtt.min_rtt());
        let echoed = input.tsecr_rtt.filter(|_| newly_acked > 0);
        let mut news = News::default();
        let mut delivered = board.acknowledge(input.ack, |record| {
            news.see(record, *recover);
            news.resent |= record.resent;
            rack.delivered(record, now, min_rtt, echoed);
        });
        if self.sack {
            // Cuts that a peer's blocks may cause: as many as there can be segments, twice, and some.
            let most = 64 + 2 * (board.outstanding() / u32::from(self.mss)) as usize;
            for &(start, end) in input.sacks.iter().take(4) {
                let valid = start.before(end) && !start.before(board.una()) && !end.after(board.nxt());
                if valid && !board.is_empty() {
                    delivered += board.sack(start, end, most, |record| {
                        news.see(record, *recover);
                        rack.delivered(record, now, min_rtt, None);
                    });
                }
            }
        }
        news.delivered = delivered;
        news
    }

    /// Round trips: of octets sent once (Karn), else of the timestamp. Returns the newest.
    fn measure(
        &mut self,
        input: &AckInput<'_>,
        news: &News,
        newly_acked: u32,
        flight: u32,
    ) -> Option<Duration> {
        let (oldest, newest) = match news.sent {
            // With a hole filled by a retransmission, the octets behind it may have waited for it.
            Some((oldest, newest)) if !news.resent => (input.now.since(oldest), input.now.since(newest)),
            _ => {
                let echoed = input.tsecr_rtt.filter(|_| newly_acked > 0 && news.delivered > 0)?;
                (echoed, echoed)
            }
        };
        self.rtt.sample(oldest, input.now, flight.div_ceil(self.segment() * 2));
        self.rtt.shortest(newest, input.now);
        self.rtt.reset_back_off();
        Some(newest)
    }

    /// The SYN is acknowledged: it is no text that a window could grow by. One that was lost leaves an
    /// initial window of one segment (RFC 6928 section 2).
    fn leave_handshake(&mut self, newly_acked: u32, resent: bool) -> bool {
        if !self.handshake {
            return false;
        }
        if newly_acked > 0 {
            self.handshake = false;
            self.phase = Phase::Open;
            self.undo_octets = 0;
            if resent {
                self.congestion.start_at_one_segment();
            }
        }
        true
    }

    fn grow(&mut self, input: &AckInput<'_>, news: &News, newly_acked: u32, rtt: Option<Duration>) {
        // A duplicate ACK does not open the window (RFC 5681 3.2), except where it is being rebuilt.
        if news.delivered == 0 || (self.phase == Phase::Open && newly_acked == 0) {
            return;
        }
        self.congestion.on_ack(&Ack {
            now: input.now,
            acked: news.delivered,
            rtt,
            srtt: self.rtt.srtt(),
            cwnd_limited: self.phase == Phase::Loss || !input.ack.after(self.limited_until),
            snd_una: input.ack,
            snd_nxt: self.board.nxt(),
        });
    }

    /// Octets that may leave now beyond what is in flight: new text or retransmissions. 0: none.
    pub(crate) fn allowance(&self) -> u32 {
        if let Some(left) = self.frto.allowance() {
            return left;
        }
        if self.phase == Phase::Fast {
            return self.prr.allowance(self.segment());
        }
        self.congestion.cwnd().saturating_sub(self.in_flight())
    }

    /// The oldest range that is lost and has not been sent again. The caller cuts it into segments.
    pub(crate) fn next_retransmission(&self) -> Option<(SeqNumber, SeqNumber)> {
        if self.frto.allowance().is_some() {
            return None;
        }
        self.board.first_lost()
    }

    /// Before new text is sent when nothing is in flight: after a silence of an RTO the window is the
    /// restart window (RFC 5681 4.1).
    pub(crate) fn on_idle(&mut self, now: Instant) {
        if self.board.is_empty() && !self.handshake && now.since(self.last_sent) > self.rtt.rto() {
            self.congestion.on_idle_restart();
        }
    }

    /// Timeouts in a row without an acknowledgment of new text, for R1 and R2 (RFC 9293 3.8.3).
    pub(crate) fn rto_count(&self) -> u32 {
        u32::from(self.rto_count)
    }

    /// Octets in flight (RFC 6675's pipe).
    pub(crate) fn in_flight(&self) -> u32 {
        self.board.in_flight().saturating_sub(self.dup_octets)
    }

    /// Which congestion control is at work.
    pub(crate) const fn congestion(&self) -> CongestionControl {
        self.congestion.kind()
    }

    /// The congestion window, in octets.
    pub(crate) fn cwnd(&self) -> u32 {
        self.congestion.cwnd()
    }

    /// The slow start threshold, in octets; `u32::MAX`: none yet.
    pub(crate) fn ssthresh(&self) -> u32 {
        self.congestion.ssthresh()
    }

    /// The round trip and the timeout made of it.
    pub(crate) fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// Ranges sent again.
    pub(crate) fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// In fast recovery, or after a timeout until what was in flight then is acknowledged.
    #[cfg(test)]
    pub(crate) fn in_recovery(&self) -> bool {
        self.phase != Phase::Open
    }

    /// The window was reduced since this was last asked: CWR is due (RFC 3168 6.1.2).
    pub(crate) fn take_cwr(&mut self) -> bool {
        core::mem::take(&mut self.cwr)
    }

    /// Octets a second to send at, if the settings ask for pacing and the round trip is known. Twice the
    /// window a round trip in slow start, a quarter more than it afterwards: pacing must not be what keeps
    /// the window from filling.
    pub(crate) fn pacing_rate(&self) -> Option<u64> {
        let srtt = self.rtt.srtt().filter(|_| self.pacing)?.as_micros().max(1);
        let cwnd = u128::from(self.congestion.cwnd());
        let share = if self.congestion.cwnd() < self.congestion.ssthresh() { 200 } else { 125 };
        u64::try_from(cwnd * share * 10_000 / srtt).ok()
    }
}

#[cfg(test)]
mod tests;
