//! HyStart++ (RFC 9406): slow start ends when the round trips grow, before anything is lost.

use wire::SeqNumber;

use super::Ack;

/// Most segments that one acknowledgment adds to the window in slow start (RFC 9406 4.3's L).
pub(super) const LIMIT: u32 = 8;
const SAMPLES: u8 = 8;
const GROWTH_DIVISOR: u32 = 4;
const CONSERVATIVE_ROUNDS: u8 = 5;
const LEAST_INCREASE: u32 = 4_000;
const MOST_INCREASE: u32 = 16_000;
const NONE: u32 = u32::MAX;

/// The state of one slow start. Round trips are in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct HyStart {
    last_round: u32,
    this_round: u32,
    /// The least round trip of the round that looked congested; [`NONE`]: plain slow start.
    baseline: u32,
    /// SND.NXT when the round began; `None` before the first.
    round_end: Option<SeqNumber>,
    samples: u8,
    conservative_rounds: u8,
    paced: bool,
}

impl HyStart {
    pub(super) fn new(paced: bool) -> Self {
        Self {
            last_round: NONE,
            this_round: NONE,
            baseline: NONE,
            round_end: None,
            samples: 0,
            conservative_rounds: 0,
            paced,
        }
    }

    /// The rounds of conservative slow start are through: congestion avoidance begins.
    pub(super) fn is_over(&self) -> bool {
        self.conservative_rounds >= CONSERVATIVE_ROUNDS
    }

    /// Octets by which the window grows.
    pub(super) fn on_ack(&mut self, ack: &Ack, mss: u32) -> u32 {
        self.round(ack);
        if let Some(rtt) = ack.rtt {
            self.this_round = self.this_round.min(u32::try_from(rtt.as_micros()).unwrap_or(NONE - 1));
            self.samples = self.samples.saturating_add(1);
        }
        self.judge();
        // What is paced cannot come as a burst, and needs no limit.
        let octets = if self.paced { ack.acked } else { ack.acked.min(mss.saturating_mul(LIMIT)) };
        if self.baseline == NONE { octets } else { octets / GROWTH_DIVISOR }
    }

    fn round(&mut self, ack: &Ack) {
        if self.round_end.is_some_and(|end| ack.snd_una.before(end)) {
            return;
        }
        if self.round_end.is_some() && self.baseline != NONE {
            self.conservative_rounds = self.conservative_rounds.saturating_add(1);
        }
        self.round_end = Some(ack.snd_nxt);
        self.last_round = self.this_round;
        self.this_round = NONE;
        self.samples = 0;
    }

    fn judge(&mut self) {
        if self.samples < SAMPLES || self.this_round == NONE {
            return;
        }
        if self.baseline != NONE {
            if self.this_round < self.baseline {
                // The increase was no queue.
                self.baseline = NONE;
                self.conservative_rounds = 0;
            }
        } else if self.last_round != NONE {
            let increase = (self.last_round / 8).clamp(LEAST_INCREASE, MOST_INCREASE);
            if self.this_round >= self.last_round.saturating_add(increase) {
                self.baseline = self.this_round;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rules::Instant;

    use super::*;

    const MSS: u32 = 1_000;

    /// One round trip of ten segments, each measured as `rtt` ms; returns the growth.
    fn round(hystart: &mut HyStart, number: u32, rtt: u64) -> u32 {
        let start = SeqNumber(number * 10 * MSS);
        (1..=10)
            .map(|i| {
                let ack = Ack {
                    now: Instant::ZERO,
                    acked: MSS,
                    rtt: Some(Duration::from_millis(rtt)),
                    srtt: None,
                    cwnd_limited: true,
                    snd_una: start.plus(i * MSS),
                    snd_nxt: start.plus(i * MSS).plus(10 * MSS),
                };
                hystart.on_ack(&ack, MSS)
            })
            .sum()
    }

    // covers: T7
    #[test]
    fn growing_round_trips_slow_the_start_and_end_it_after_five_rounds() {
        let mut hystart = HyStart::new(false);
        for number in 0..4 {
            assert_eq!(round(&mut hystart, number, 40), 10 * MSS);
        }
        assert!(round(&mut hystart, 4, 50) < 10 * MSS);
        for number in 5..9 {
            assert!(!hystart.is_over());
            assert_eq!(round(&mut hystart, number, 50), 10 * MSS / GROWTH_DIVISOR);
        }
        round(&mut hystart, 9, 50);
        round(&mut hystart, 10, 50);
        assert!(hystart.is_over());
    }

    // covers: T7
    #[test]
    fn a_passing_increase_resumes_slow_start() {
        let mut hystart = HyStart::new(false);
        for (number, rtt) in [40, 40, 60, 60, 40, 40].into_iter().enumerate() {
            round(&mut hystart, number as u32, rtt);
        }
        assert_eq!(round(&mut hystart, 6, 40), 10 * MSS);
        assert!(!hystart.is_over());
    }
}
