//! Tests of the whole: behaviour case by case here, goodput in `path`, arbitrary input in `arbitrary`.

mod arbitrary;
mod path;

use core::time::Duration;
use std::vec::Vec;

use rules::Instant;
use wire::SeqNumber;

use super::*;
use crate::CongestionControl;
use crate::send::scoreboard::State;

const MSS: u32 = 1_000;
const RTT: Duration = Duration::from_millis(50);
const ISS: SeqNumber = SeqNumber(u32::MAX - 2_500);

/// A sender whose handshake is done: the first octet of text is 0, a round trip is measured.
struct Sender {
    recovery: Recovery,
    now: Instant,
    sent: u32,
}

fn at(octet: u32) -> SeqNumber {
    ISS.plus(1).plus(octet)
}

impl Sender {
    fn new(sack: bool) -> Self {
        Self::with(sack, &Config { congestion: CongestionControl::NewReno, ..Config::default() })
    }

    fn with(sack: bool, config: &Config) -> Self {
        let mut recovery = Recovery::new(config, MSS as u16, ISS);
        recovery.on_transmit(ISS, ISS.plus(1), Instant::from_secs(1));
        let mut sender = Self { recovery, now: Instant::from_secs(1) + RTT, sent: 0 };
        sender.recovery.set_sack(sack);
        sender.ack(0, &[]);
        sender
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// Sends segments, never sent before, one a millisecond.
    fn send(&mut self, segments: u32) {
        for _ in 0..segments {
            self.wait(1);
            self.recovery.on_transmit(at(self.sent), at(self.sent + MSS), self.now);
            self.sent += MSS;
        }
    }

    fn resend(&mut self) -> u32 {
        let (start, end) = self.recovery.next_retransmission().unwrap();
        let end = if end.distance_from(start) > MSS { start.plus(MSS) } else { end };
        self.recovery.on_transmit(start, end, self.now);
        start.distance_from(at(0)) / MSS
    }

    /// An ACK; `acked` and `sacks` in segments.
    fn ack(&mut self, acked: u32, sacks: &[(u32, u32)]) -> AckOutcome {
        let sacks: Vec<_> = sacks.iter().map(|&(a, b)| (at(a * MSS), at(b * MSS))).collect();
        self.recovery.on_ack(&AckInput {
            now: self.now,
            ack: at(acked * MSS),
            sacks: &sacks,
            tsecr_rtt: None,
            has_data: false,
            window_changed: false,
            ece: false,
            can_send_new: true,
        })
    }

    /// Waits in silence until the retransmission timer expires; a probe on the way is lost.
    fn time_out(&mut self) {
        loop {
            match self.expire() {
                Expired::Rto => return,
                Expired::Probe => {
                    let (start, end) = self.recovery.tlp_range().unwrap();
                    self.recovery.on_transmit(start, end, self.now);
                }
                Expired::Nothing | Expired::Reorder => {}
            }
        }
    }

    /// Goes to the deadline.
    fn expire(&mut self) -> Expired {
        self.now = self.recovery.deadline().unwrap().max(self.now);
        self.recovery.on_timeout(self.now)
    }
}

// covers: T6
#[test]
fn the_state_of_an_idle_connection_is_small_and_holds_no_timer() {
    let mut sender = Sender::new(true);
    assert!(size_of::<Recovery>() <= 416, "{}", size_of::<Recovery>());
    sender.send(3);
    assert!(sender.recovery.deadline().is_some());
    sender.wait(50);
    sender.ack(3, &[]);
    assert_eq!((sender.recovery.deadline(), sender.recovery.in_flight()), (None, 0));
    assert_eq!(sender.recovery.tlp_range(), None);
}

// covers: T6
#[test]
fn a_hole_is_lost_when_what_left_later_arrives_and_leaves_again_first() {
    let mut sender = Sender::new(true);
    sender.send(10);
    sender.wait(45);
    assert!(!sender.ack(0, &[(1, 2)]).lost_any, "it may be reordering");
    assert!(!sender.ack(0, &[(1, 3)]).lost_any);
    assert!(sender.ack(0, &[(1, 4)]).lost_any, "three make it a loss");
    assert!(sender.recovery.in_recovery());
    assert_eq!(sender.recovery.in_flight(), 6 * MSS);
    assert!(sender.recovery.allowance() >= MSS);
    assert_eq!(sender.resend(), 0);
    assert_eq!(sender.recovery.next_retransmission(), None);
    assert!(sender.recovery.take_cwr() && !sender.recovery.take_cwr());
    sender.wait(50);
    sender.ack(10, &[]);
    assert!(!sender.recovery.in_recovery());
    assert_eq!(sender.recovery.cwnd(), 5 * MSS);
}

// covers: T6
#[test]
fn a_hole_that_fills_within_the_reordering_window_costs_nothing() {
    let mut sender = Sender::new(true);
    sender.send(10);
    sender.wait(42);
    let cwnd = sender.recovery.cwnd();
    sender.ack(0, &[(1, 2)]);
    assert!(sender.recovery.deadline().unwrap().since(sender.now) < RTT, "the reordering timer runs");
    sender.wait(2);
    sender.ack(4, &[]);
    assert_eq!(sender.recovery.retransmissions(), 0);
    assert!(!sender.recovery.in_recovery() && sender.recovery.cwnd() >= cwnd);
}

// covers: T6
#[test]
fn the_reordering_timer_finds_the_loss_when_no_more_arrives() {
    let mut sender = Sender::new(true);
    sender.send(2);
    sender.wait(49);
    sender.ack(0, &[(1, 2)]);
    assert_eq!(sender.expire(), Expired::Reorder);
    assert_eq!(sender.resend(), 0);
}

// covers: T6
#[test]
fn a_retransmission_that_is_lost_is_found_without_a_timeout() {
    let mut sender = Sender::new(true);
    sender.send(10);
    sender.wait(45);
    sender.ack(0, &[(1, 4)]);
    assert_eq!(sender.resend(), 0);
    sender.send(1);
    sender.wait(5);
    sender.ack(0, &[(1, 10)]);
    sender.wait(50);
    let outcome = sender.ack(0, &[(1, 11)]);
    assert!(outcome.lost_any);
    assert_eq!(sender.resend(), 0);
    assert_eq!(sender.recovery.rto_count(), 0);
}

// covers: T6, T7
#[test]
fn a_retransmission_that_is_lost_after_a_timeout_reduces_the_window_again() {
    let mut sender = Sender::new(true);
    sender.send(10);
    sender.time_out();
    assert_eq!(sender.recovery.ssthresh(), 5 * MSS);
    assert_eq!(sender.resend(), 0);
    sender.wait(50);
    sender.ack(1, &[]);
    // A duplicate: the timeout was right (RFC 5682 step 2b).
    sender.ack(1, &[]);
    assert_eq!((sender.resend(), sender.resend()), (1, 2));
    sender.wait(50);
    assert!(sender.ack(1, &[(2, 3)]).lost_any, "the first of the two is lost again");
    assert_eq!(sender.recovery.ssthresh(), 2 * MSS);
    assert!(sender.recovery.cwnd() <= 2 * MSS, "slow start is over");
    assert!(sender.recovery.in_recovery());
    assert_eq!(sender.resend(), 1);
    sender.wait(50);
    sender.ack(10, &[]);
    assert!(!sender.recovery.in_recovery());
}

// covers: T6, T7
#[test]
fn a_recovery_that_ends_in_a_timeout_has_met_congestion_twice_and_a_second_timeout_is_none_more() {
    let mut sender = Sender::new(true);
    sender.send(20);
    sender.wait(45);
    sender.ack(0, &[(1, 20)]);
    let first = sender.recovery.ssthresh();
    assert_eq!(sender.resend(), 0);
    sender.time_out();
    let second = sender.recovery.ssthresh();
    assert!(second < first, "{second} after {first}: the retransmission was lost");
    assert_eq!(sender.resend(), 0);
    sender.time_out();
    assert_eq!(sender.recovery.ssthresh(), second, "the timer had sent it already");
}

// covers: T6, T7
#[test]
fn a_window_of_data_reduces_the_window_once_and_the_next_one_again() {
    let mut sender = Sender::new(true);
    sender.send(10);
    sender.wait(45);
    sender.ack(0, &[(1, 4)]);
    assert_eq!(sender.recovery.ssthresh(), 5 * MSS);
    assert_eq!(sender.resend(), 0);
    sender.send(1);
    sender.wait(50);
    assert!(sender.ack(0, &[(1, 11)]).lost_any, "the retransmission is lost");
    assert_eq!(sender.recovery.ssthresh(), 5 * MSS, "PRR holds back for it already");
    assert_eq!(sender.resend(), 0);
    sender.send(3);
    sender.wait(50);
    let before = sender.recovery.ssthresh();
    assert!(sender.ack(0, &[(12, 14), (1, 11)]).lost_any, "what left in the recovery is lost");
    assert!(sender.recovery.ssthresh() < before, "that is another window of data");
    assert!(sender.recovery.in_recovery());
}

// covers: T6
#[test]
fn a_lost_tail_is_probed_after_two_round_trips_and_the_probe_finds_the_rest() {
    let mut sender = Sender::new(true);
    sender.send(5);
    sender.wait(46);
    sender.ack(2, &[]);
    assert_eq!(sender.expire(), Expired::Probe);
    assert_eq!(sender.recovery.tlp_range(), Some((at(4 * MSS), at(5 * MSS))));
    let (start, end) = sender.recovery.tlp_range().unwrap();
    sender.recovery.on_transmit(start, end, sender.now);
    sender.wait(50);
    assert!(sender.ack(2, &[(4, 5)]).lost_any || (sender.expire() == Expired::Reorder));
    assert_eq!(sender.resend(), 2);
    assert_eq!(sender.recovery.rto_count(), 0);
}

// covers: T6
#[test]
fn a_probe_that_repairs_the_only_loss_still_reduces_the_window() {
    let mut sender = Sender::new(true);
    sender.send(5);
    sender.wait(46);
    sender.ack(4, &[]);
    assert_eq!(sender.expire(), Expired::Probe);
    let (start, end) = sender.recovery.tlp_range().unwrap();
    sender.recovery.on_transmit(start, end, sender.now);
    sender.wait(1);
    sender.send(1);
    let cwnd = sender.recovery.cwnd();
    sender.wait(50);
    sender.ack(6, &[]);
    assert!(sender.recovery.cwnd() < cwnd);
}

// covers: T6
#[test]
fn a_probe_that_was_not_needed_costs_nothing() {
    let mut sender = Sender::new(true);
    sender.send(5);
    sender.wait(46);
    sender.ack(4, &[]);
    assert_eq!(sender.expire(), Expired::Probe);
    let (start, end) = sender.recovery.tlp_range().unwrap();
    sender.recovery.on_transmit(start, end, sender.now);
    let cwnd = sender.recovery.cwnd();
    sender.wait(50);
    sender.ack(5, &[(4, 5)]);
    sender.send(1);
    sender.wait(50);
    sender.ack(6, &[]);
    assert!(sender.recovery.cwnd() >= cwnd);
}

// covers: T6
#[test]
fn a_timeout_loses_everything_and_doubles_until_an_answer() {
    let mut sender = Sender::new(false);
    sender.send(4);
    let first = sender.recovery.deadline().unwrap().since(sender.now);
    assert_eq!(sender.expire(), Expired::Rto);
    assert_eq!((sender.recovery.in_flight(), sender.recovery.cwnd()), (0, MSS));
    assert_eq!(sender.recovery.allowance(), MSS);
    assert_eq!(sender.resend(), 0);
    assert_eq!(sender.expire(), Expired::Rto);
    let second = sender.recovery.deadline().unwrap().since(sender.now);
    assert!(second >= first * 3, "{first:?} {second:?}");
    assert_eq!((sender.recovery.rto_count(), sender.recovery.ssthresh()), (2, 2 * MSS));
    assert_eq!(sender.resend(), 0);
    sender.wait(50);
    sender.ack(4, &[]);
    assert_eq!((sender.recovery.rto_count(), sender.recovery.in_recovery()), (0, false));
}

// covers: T6
#[test]
fn a_spurious_timeout_is_taken_back() {
    let mut sender = Sender::new(true);
    sender.send(8);
    let cwnd = sender.recovery.cwnd();
    while sender.expire() != Expired::Rto {}
    assert_eq!(sender.resend(), 0);
    sender.wait(5);
    sender.ack(1, &[]);
    assert_eq!((sender.recovery.next_retransmission(), sender.recovery.allowance()), (None, 2 * MSS));
    sender.send(2);
    assert_eq!(sender.recovery.allowance(), 0);
    assert!(sender.ack(2, &[]).undone);
    assert!(!sender.recovery.in_recovery() && sender.recovery.cwnd() >= cwnd);
    assert_eq!(sender.recovery.in_flight(), 8 * MSS);
    assert_eq!(sender.recovery.retransmissions(), 1);
}

// covers: T6
#[test]
fn new_text_that_arrives_is_no_proof_that_the_old_was_not_lost() {
    let mut sender = Sender::new(true);
    sender.send(8);
    while sender.expire() != Expired::Rto {}
    sender.resend();
    sender.wait(50);
    sender.ack(1, &[]);
    sender.send(2);
    sender.wait(50);
    assert!(!sender.ack(1, &[(8, 9)]).undone);
    assert_eq!(sender.resend(), 1, "it is sent again");
}

// covers: T6
#[test]
fn without_sack_three_duplicates_retransmit_and_partial_acks_go_on() {
    let mut sender = Sender::new(false);
    sender.send(10);
    sender.wait(45);
    let cwnd = sender.recovery.cwnd();
    for round in 0..2 {
        sender.ack(0, &[]);
        assert_eq!(sender.recovery.allowance(), cwnd - 10 * MSS + (round + 1) * MSS, "limited transmit");
        assert_eq!(sender.recovery.next_retransmission(), None);
    }
    assert!(sender.ack(0, &[]).lost_any);
    assert_eq!(sender.resend(), 0);
    for _ in 0..5 {
        sender.ack(0, &[]);
    }
    sender.wait(50);
    assert!(sender.ack(4, &[]).lost_any, "a partial ACK tells the next hole");
    assert!(sender.recovery.in_recovery());
    assert_eq!(sender.resend(), 4);
    sender.wait(50);
    sender.ack(10, &[]);
    assert_eq!((sender.recovery.in_recovery(), sender.recovery.in_flight()), (false, 0));
    assert_eq!(sender.recovery.cwnd(), 5 * MSS);
}

// covers: T6
#[test]
fn retransmissions_that_all_come_back_as_duplicates_are_undone() {
    let mut sender = Sender::new(true);
    sender.send(10);
    let cwnd = sender.recovery.cwnd();
    sender.wait(45);
    sender.ack(0, &[(1, 4)]);
    sender.resend();
    sender.wait(2);
    sender.ack(10, &[]);
    assert!(sender.recovery.cwnd() < cwnd);
    sender.wait(48);
    assert!(sender.ack(10, &[(0, 1)]).undone);
    assert!(sender.recovery.cwnd() >= cwnd);
}

// covers: T6
#[test]
fn a_peer_that_drops_what_it_acknowledged_is_sent_it_again() {
    let mut sender = Sender::new(true);
    sender.send(4);
    sender.wait(46);
    sender.ack(0, &[(1, 4)]);
    sender.resend();
    sender.wait(50);
    sender.ack(1, &[]);
    while sender.expire() != Expired::Rto {}
    let (start, end) = sender.recovery.next_retransmission().unwrap();
    assert_eq!((start, end), (at(MSS), at(4 * MSS)));
}

// covers: T7
#[test]
fn marks_of_congestion_reduce_the_window_once_a_round_trip() {
    let mut sender = Sender::new(true);
    sender.send(10);
    sender.wait(45);
    let mark = |sender: &mut Sender, acked: u32| {
        sender.recovery.on_ack(&AckInput {
            now: sender.now,
            ack: at(acked * MSS),
            sacks: &[],
            tsecr_rtt: None,
            has_data: false,
            window_changed: false,
            ece: true,
            can_send_new: true,
        })
    };
    mark(&mut sender, 1);
    assert!(sender.recovery.take_cwr());
    let reduced = sender.recovery.cwnd();
    assert_eq!(reduced, 5 * MSS);
    mark(&mut sender, 2);
    assert!(!sender.recovery.take_cwr() && sender.recovery.cwnd() >= reduced);
    mark(&mut sender, 10);
    assert!(!sender.recovery.take_cwr(), "all of this left before the reduction");
    sender.send(2);
    sender.wait(50);
    mark(&mut sender, 12);
    assert!(sender.recovery.take_cwr());
}

// covers: T7
#[test]
fn a_silence_and_a_lost_syn_leave_no_large_window() {
    let mut sender = Sender::new(true);
    for _ in 0..3 {
        let segments = sender.recovery.cwnd() / MSS;
        sender.send(segments);
        sender.wait(50);
        sender.ack(sender.sent / MSS, &[]);
    }
    assert!(sender.recovery.cwnd() > 10 * MSS);
    sender.wait(10_000);
    sender.recovery.on_idle(sender.now);
    assert_eq!(sender.recovery.cwnd(), 10 * MSS);

    let mut recovery = Recovery::new(&Config::default(), MSS as u16, ISS);
    recovery.on_transmit(ISS, ISS.plus(1), Instant::ZERO);
    let deadline = recovery.deadline().unwrap();
    assert_eq!(recovery.on_timeout(deadline), Expired::Rto);
    assert_eq!(recovery.next_retransmission(), Some((ISS, ISS.plus(1))));
    recovery.on_transmit(ISS, ISS.plus(1), deadline);
    let mut sender = Sender { recovery, now: deadline + RTT, sent: 0 };
    sender.ack(0, &[]);
    assert_eq!((sender.recovery.cwnd(), sender.recovery.ssthresh()), (MSS, u32::MAX));
}

// covers: T7
#[test]
fn pacing_follows_the_window() {
    let mut sender = Sender::with(true, &Config { pacing: true, ..Config::default() });
    let rate = sender.recovery.pacing_rate().unwrap();
    assert_eq!(rate, 2 * u64::from(sender.recovery.cwnd()) * 20);
    sender.recovery.set_mss(2_000);
    assert_eq!(sender.recovery.pacing_rate().unwrap(), 2 * rate);
}

// covers: T7
#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let mut sender = Sender::new(true);
    for _ in 0..20 {
        sender.send(2);
        sender.wait(50);
        sender.ack(sender.sent / MSS, &[]);
    }
    assert_eq!(sender.recovery.cwnd(), 10 * MSS);
    sender.send(10);
    sender.wait(50);
    sender.ack(sender.sent / MSS, &[]);
    assert!(sender.recovery.cwnd() > 10 * MSS);
}

// covers: T6
#[test]
fn a_super_segment_is_one_record_until_a_block_cuts_it() {
    let mut sender = Sender::new(true);
    sender.recovery.on_transmit(at(0), at(10 * MSS), sender.now);
    assert_eq!(sender.recovery.board.records().count(), 1);
    sender.wait(50);
    assert!(sender.ack(2, &[(3, 10)]).lost_any);
    assert_eq!(sender.recovery.next_retransmission(), Some((at(2 * MSS), at(3 * MSS))));
    assert_eq!(sender.recovery.board.records().count(), 2);
}

// covers: T6
#[test]
fn a_narrower_path_sends_everything_again_and_keeps_the_window() {
    let mut sender = Sender::new(true);
    sender.send(4);
    let cwnd = sender.recovery.cwnd();
    sender.recovery.set_mss(500);
    sender.recovery.path_changed();
    assert_eq!(sender.recovery.next_retransmission(), Some((at(0), at(4 * MSS))));
    assert_eq!((sender.recovery.allowance(), sender.recovery.in_recovery()), (cwnd.min(10 * 500), false));
}
