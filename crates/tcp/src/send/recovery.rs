//! Loss recovery: what has left, what of it is lost, and how much may leave now.
//!
//! The one thing of this folder that a connection talks to. It keeps the scoreboard, the timers and the
//! congestion window; the connection keeps the octets. SYN and FIN count as the octet of sequence space
//! that they are.

use core::time::Duration;

use rules::Instant;
use wire::SeqNumber;

use super::frto::{Frto, Verdict};
use super::prr::Prr;
use super::rack::{Rack, Tlp};
use super::scoreboard::{Losses, Record, Scoreboard};
use crate::Config;
use crate::congestion::{Ack, Congestion, Controller};
use crate::rtt::Rtt;

/// Duplicate ACKs that stand for a loss, without SACK (RFC 5681 3.2).
const DUP_THRESH: u32 = 3;
/// How long a peer may hold back its ACK of a single segment (RFC 8985 7.2).
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);
/// The probe timeout before a round trip was measured (RFC 8985 7.2).
const BLIND_PROBE: Duration = Duration::from_secs(1);

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
    /// ECE before this is about the same congestion (RFC 3168 6.1.2).
    ece_until: SeqNumber,
    /// Up to here the window was full when it left.
    limited_until: SeqNumber,
    /// Octets that duplicate ACKs without SACK stand for.
    dup_octets: u32,
    /// Octets sent again in this episode and not reported as duplicates: at 0 it was for nothing.
    undo_octets: u32,
    episode: Instant,
    last_sent: Instant,
    reorder_at: Option<Instant>,
    probe_at: Option<Instant>,
    rto_at: Option<Instant>,
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
            episode: Instant::ZERO,
            last_sent: Instant::ZERO,
            reorder_at: None,
            probe_at: None,
            rto_at: None,
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
        if self.board.is_empty() {
            return;
        }
        self.last_sent = now;
        if again > 0 {
            self.retransmissions += 1;
            self.undo_octets = self.undo_octets.saturating_add(again);
        }
        if self.phase == Phase::Fast {
            self.prr.on_transmit(again.saturating_add(new));
        }
        self.frto.on_new(new);
        self.tlp.on_transmit(self.board.nxt(), again > 0);
        let cwnd = self.congestion.cwnd();
        let start_is_slow = cwnd < self.congestion.ssthresh();
        let used = if start_is_slow { self.in_flight().saturating_mul(2) } else { self.in_flight() };
        if used.saturating_add(self.segment()) > cwnd {
            self.limited_until = self.board.nxt();
        }
        // The head sent again starts the timer again, as RFC 6675 section 6 allows: a recovery of several
        // round trips on a path much shorter than the timeout would end in one otherwise.
        if self.rto_at.is_none() || (again > 0 && !start.after(una)) {
            self.rto_at = Some(now + self.rtt.rto());
        }
        if new > 0 {
            self.arm_probe(now);
        }
    }

    /// RFC 8985 7.2: only while nothing hints at a loss, and one probe at a time.
    fn arm_probe(&mut self, now: Instant) {
        self.probe_at = None;
        let quiet = self.phase == Phase::Open && self.board.sacked() == 0 && self.board.lost() == 0;
        if !self.sack || !quiet || self.tlp.is_out() || self.board.is_empty() {
            return;
        }
        let wait = match self.rtt.srtt() {
            None => BLIND_PROBE,
            Some(srtt) if self.board.in_flight() <= self.segment() => srtt * 2 + MAX_ACK_DELAY,
            Some(srtt) => srtt * 2,
        };
        let at = now + wait;
        self.probe_at = Some(self.rto_at.map_or(at, |rto_at| rto_at.min(at)));
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
        if self.phase != Phase::Open && !input.ack.before(self.recover) && newly_acked > 0 {
            self.phase = Phase::Open;
            self.frto = Frto::Off;
            self.rack.on_recovered();
        }
        if input.ece && self.phase == Phase::Open && !input.ack.before(self.ece_until) {
            self.ece_until = self.board.nxt();
            self.reduce(self.board.outstanding().saturating_add(newly_acked));
        } else {
            self.grow(input, &news, newly_acked, rtt);
        }
        outcome.lost_any = self.find_losses(input.now, newly_acked, flight);
        if self.phase == Phase::Fast {
            let clean = newly_acked > 0 && !outcome.lost_any;
            let (pipe, mss) = (self.in_flight(), self.segment());
            self.prr.on_ack(news.delivered, pipe, self.congestion.ssthresh(), mss, clean);
        }
        self.arm(input.now, newly_acked);
        outcome
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

    /// Without SACK every duplicate ACK stands for a segment that arrived (RFC 6937 section 3).
    fn count_duplicates(&mut self, news: &mut News, newly_acked: u32, duplicate: bool) {
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

    /// F-RTO's answer, if one is due.
    fn judge_timeout(&mut self, input: &AckInput<'_>, news: &News, newly_acked: u32) -> bool {
        let beyond = !input.ack.before(self.recover);
        let (advanced, mss) = (newly_acked > 0, self.segment());
        if self.frto.on_ack(advanced, beyond, news.original, input.can_send_new, mss) != Verdict::Spurious {
            return false;
        }
        self.undo();
        true
    }

    /// All that was sent again in this episode came twice: there was no loss (RFC 3708's idea).
    fn judge_duplicates(&mut self, dsack: Option<(SeqNumber, SeqNumber)>) -> bool {
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

    fn undo(&mut self) {
        self.board.restore();
        self.congestion.undo();
        self.rtt.reset_back_off();
        self.phase = Phase::Open;
        self.undo_octets = 0;
        self.rto_count = 0;
    }

    fn reduce(&mut self, outstanding: u32) {
        self.congestion.on_congestion(outstanding);
        self.cwr = true;
    }

    fn grow(&mut self, input: &AckInput<'_>, news: &News, newly_acked: u32, rtt: Option<Duration>) {
        // A duplicate ACK does not open the window (RFC 5681 3.2), except where it is being rebuilt.
        let counts = match self.phase {
            Phase::Open => newly_acked > 0,
            Phase::Loss => true,
            Phase::Fast => false,
        };
        if !counts || news.delivered == 0 {
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

    fn find_losses(&mut self, now: Instant, newly_acked: u32, flight: u32) -> bool {
        let lost = if self.sack { self.lose_by_time(now) } else { self.lose_by_count(newly_acked) };
        if lost.octets == 0 {
            return false;
        }
        // A retransmission of this episode that is lost itself is another congestion (RFC 5681 4.3).
        let another = lost.resent_at.is_some_and(|at| at >= self.episode);
        if self.phase == Phase::Open || (self.phase == Phase::Fast && another) {
            self.begin_recovery(now, flight);
        }
        true
    }

    fn lose_by_time(&mut self, now: Instant) -> Losses {
        self.reorder_at = None;
        let Some(newest) = self.rack.newest() else { return Losses::default() };
        let hurry = self.phase != Phase::Open || self.board.sacked() > (DUP_THRESH - 1) * self.segment();
        let wait = self.rack.reordering_window(hurry, self.rtt.min_rtt(), self.rtt.srtt());
        let lost = self.board.lose(newest, now, self.rack.rtt() + wait);
        self.reorder_at = lost.next;
        lost
    }

    /// RFC 6582: the third duplicate ACK, and then every partial one.
    fn lose_by_count(&mut self, newly_acked: u32) -> Losses {
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

    fn least_duplicates(&self) -> u32 {
        self.segment() * DUP_THRESH
    }

    fn begin_recovery(&mut self, now: Instant, flight: u32) {
        self.reduce(self.board.outstanding().max(flight));
        if self.phase == Phase::Open {
            self.undo_octets = 0;
        }
        self.phase = Phase::Fast;
        self.recover = self.board.nxt();
        self.ece_until = self.recover;
        self.episode = now;
        self.prr = Prr::new(flight);
        self.prr.on_ack(0, self.in_flight(), self.congestion.ssthresh(), self.segment(), false);
    }

    fn arm(&mut self, now: Instant, newly_acked: u32) {
        if self.board.is_empty() {
            (self.rto_at, self.probe_at, self.reorder_at) = (None, None, None);
            self.dup_octets = 0;
        } else if newly_acked > 0 {
            self.rto_at = Some(now + self.rtt.rto());
            self.arm_probe(now);
        } else if self.board.sacked() > 0 {
            self.probe_at = None;
        }
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

    /// When [`Self::on_timeout`] is to be called; `None` when nothing is in flight.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.reorder_at, self.probe_at, self.rto_at].into_iter().flatten().min()
    }

    /// Time has come to `now`.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Expired {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.reorder_at) {
            let flight = self.in_flight();
            if self.find_losses(now, 0, flight) {
                self.probe_at = None;
                return Expired::Reorder;
            }
        }
        if due(self.probe_at) {
            self.probe_at = None;
            self.tlp.call();
            self.rto_at = Some(now + self.rtt.rto());
            return Expired::Probe;
        }
        if due(self.rto_at) {
            self.expire(now);
            return Expired::Rto;
        }
        Expired::Nothing
    }

    fn expire(&mut self, now: Instant) {
        let outstanding = self.board.outstanding();
        // One reduction for one loss: a recovery that ends in a timeout has had it.
        let again = self.rto_count > 0 || self.phase == Phase::Fast;
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
        (self.probe_at, self.reorder_at) = (None, None);
        self.rto_at = Some(now + self.rtt.rto());
    }

    /// The path takes smaller segments only: what is in flight did not fit, and congestion has no part in it
    /// (RFC 1191 6.5).
    pub(crate) fn path_changed(&mut self) {
        self.board.lose_all();
    }

    /// The last segment in flight: what a probe sends when there is no new text.
    pub(crate) fn tlp_range(&self) -> Option<(SeqNumber, SeqNumber)> {
        let last = self.board.last()?;
        let len = last.len().min(self.segment());
        Some((last.end.minus(len), last.end))
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
