//! The most that RFC 9438 lets a sender reach under random loss: one that loses no time.
//!
//! Every loss is known a round trip after it happened and repaired in the next, no timer ever fires, no ACK waits,
//! and no retransmission is lost. What remains is the window: reduced to seven tenths once a round trip at most, held
//! for the round trip of the repair, and grown as sections 4.2 to 4.5 say. Who goes faster is more aggressive than
//! the standard, not better at repairing.

use std::collections::VecDeque;

use crate::many::next;

const C: f64 = 0.4;
const BETA: f64 = 0.7;
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// Segments that arrive.
const LENGTH: u32 = 400_000;

#[derive(Default)]
struct Window {
    cwnd: f64,
    ssthresh: f64,
    w_max: f64,
    cwnd_prior: f64,
    /// Since when, W_est, and K.
    epoch: Option<(f64, f64, f64)>,
}

impl Window {
    fn reduce(&mut self) {
        self.cwnd_prior = self.cwnd;
        let less = self.cwnd < self.w_max;
        self.w_max = if less { self.cwnd * (1.0 + BETA) / 2.0 } else { self.cwnd };
        self.ssthresh = (self.cwnd * BETA).round().max(2.0);
        self.cwnd = self.ssthresh;
        self.epoch = None;
    }

    fn grow(&mut self, now: f64, rtt: f64) {
        if self.cwnd < self.ssthresh {
            self.cwnd += 1.0;
            return;
        }
        self.w_max = self.w_max.max(if self.epoch.is_none() { self.cwnd } else { 0.0 });
        let (w_max, cwnd) = (self.w_max, self.cwnd);
        let (since, w_est, k) = self.epoch.get_or_insert_with(|| (now, cwnd, ((w_max - cwnd) / C).cbrt()));
        let at = |t: f64| C * (t - *k).powi(3) + w_max;
        *w_est += if *w_est >= self.cwnd_prior { 1.0 } else { ALPHA } / cwnd;
        let growth = if at(now - *since) < *w_est {
            *w_est - cwnd
        } else {
            (at(now - *since + rtt).clamp(cwnd, 1.5 * cwnd) - cwnd) / cwnd
        };
        self.cwnd += growth.clamp(0.0, 1.0);
    }
}

/// Segments a second, at a loss of `loss` in a million.
pub(crate) fn segments_a_second(rtt: f64, loss: u64) -> f64 {
    let mut window = Window { cwnd: 10.0, ssthresh: f64::MAX, ..Window::default() };
    let mut flight: VecDeque<(f64, u32, bool)> = VecDeque::new();
    let (mut random, mut now) = (9, 0.0);
    let (mut sent, mut arrived, mut recover) = (0, 0, 0);
    while arrived < LENGTH {
        while flight.len() < window.cwnd as usize {
            flight.push_back((now + rtt, sent, next(&mut random) % 1_000_000 < loss));
            sent += 1;
        }
        let Some((at, number, lost)) = flight.pop_front() else { break };
        now = at;
        match (lost, number < recover) {
            (true, false) => {
                window.reduce();
                recover = sent;
            }
            (true, true) => {}
            (false, in_recovery) => {
                arrived += 1;
                if !in_recovery {
                    window.grow(now, rtt);
                }
            }
        }
    }
    f64::from(arrived) / now
}
