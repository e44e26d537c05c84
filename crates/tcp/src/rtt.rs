//! The round trip, and the retransmission timeout that is made of it (RFC 6298, RFC 7323 section 4).

use core::time::Duration;

use rules::Instant;

/// How long a minimum is believed: RFC 8985 6.2 asks for a windowed one, for paths that grow longer.
const MIN_RTT_WINDOW: Duration = Duration::from_secs(60);
/// The timeout is doubled at most this often; what bounds it is the configured maximum.
const MAX_BACK_OFF: u8 = 16;

/// Estimates of the round trip. Microseconds in 32 bits: they reach an hour, and keep the state small.
#[derive(Clone, Debug)]
pub(crate) struct Rtt {
    /// 0: nothing was measured yet.
    srtt: u32,
    rttvar: u32,
    /// The timeout before back-off.
    rto: u32,
    least: u32,
    most: u32,
    /// The minima of the window before and of this one.
    minima: [u32; 2],
    window_start: Instant,
    backed_off: u8,
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn duration(micros: u32) -> Duration {
    Duration::from_micros(u64::from(micros))
}

impl Rtt {
    /// Nothing measured: the timeout is `initial`. It stays between `min` and `max`.
    pub(crate) fn new(initial: Duration, min: Duration, max: Duration) -> Self {
        let least = micros(min).max(1);
        let most = micros(max).max(least);
        Self {
            srtt: 0,
            rttvar: 0,
            rto: micros(initial).clamp(least, most),
            least,
            most,
            minima: [u32::MAX; 2],
            window_start: Instant::ZERO,
            backed_off: 0,
        }
    }

    /// A round trip was measured on octets that were sent once (Karn), or by a timestamp.
    ///
    /// `expected` is how many such samples a round trip brings: RFC 7323 appendix G spreads the weights of
    /// RFC 6298 over them, or else the variance forgets a peak within one round trip.
    pub(crate) fn sample(&mut self, rtt: Duration, now: Instant, expected: u32) {
        let sample = micros(rtt).clamp(1, self.most);
        self.minimum(sample, now);
        if self.srtt == 0 {
            self.srtt = sample;
            self.rttvar = sample / 2;
        } else {
            let expected = u64::from(expected.max(1));
            let weigh = |old: u32, new: u32, shift: u64| {
                let parts = shift.saturating_mul(expected);
                let sum = u64::from(old).saturating_mul(parts - 1).saturating_add(u64::from(new));
                // Rounded up: a small value would otherwise never rise again.
                u32::try_from(sum.div_ceil(parts)).unwrap_or(u32::MAX)
            };
            self.rttvar = weigh(self.rttvar, self.srtt.abs_diff(sample), 4);
            self.srtt = weigh(self.srtt, sample, 8);
        }
        // RFC 6298 2.4 bounds the sum. Bounding the variance instead would make the timeout at least
        // srtt + min; on paths with steady round trips that is what keeps it from firing by mistake.
        let rto = self.srtt.saturating_add(self.rttvar.saturating_mul(4).max(self.least));
        self.rto = rto.clamp(self.least, self.most);
    }

    /// The newest octets that arrived took this long: what a delayed ACK adds to the oldest is not in it.
    pub(crate) fn shortest(&mut self, rtt: Duration, now: Instant) {
        self.minimum(micros(rtt).clamp(1, self.most), now);
    }

    fn minimum(&mut self, sample: u32, now: Instant) {
        if now.since(self.window_start) >= MIN_RTT_WINDOW {
            self.minima = [self.minima[1], u32::MAX];
            self.window_start = now;
        }
        self.minima[1] = self.minima[1].min(sample);
    }

    /// SRTT, once there was a sample.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        (self.srtt != 0).then(|| duration(self.srtt))
    }

    /// RTTVAR.
    pub(crate) fn rttvar(&self) -> Duration {
        duration(self.rttvar)
    }

    /// The shortest round trip of the last one to two minutes with samples.
    pub(crate) fn min_rtt(&self) -> Option<Duration> {
        let least = self.minima[0].min(self.minima[1]);
        (least != u32::MAX).then(|| duration(least))
    }

    /// The timeout, backed off.
    pub(crate) fn rto(&self) -> Duration {
        let backed_off = u64::from(self.rto) << self.backed_off;
        Duration::from_micros(backed_off.min(u64::from(self.most)))
    }

    /// The timer expired: the next is twice as long (RFC 6298 5.5).
    pub(crate) fn back_off(&mut self) {
        self.backed_off = (self.backed_off + 1).min(MAX_BACK_OFF);
    }

    /// Text sent after the last timeout was acknowledged, or the timeout was for nothing.
    pub(crate) fn reset_back_off(&mut self) {
        self.backed_off = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn rtt() -> Rtt {
        Rtt::new(MS(1_000), MS(200), MS(60_000))
    }

    // covers: T6
    #[test]
    fn the_first_sample_sets_both_estimates_and_the_next_move_them_by_an_eighth_and_a_quarter() {
        let mut rtt = rtt();
        assert_eq!((rtt.srtt(), rtt.rto()), (None, MS(1_000)));
        rtt.sample(MS(80), Instant::ZERO, 1);
        assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.rto()), (Some(MS(80)), MS(40), MS(280)));
        rtt.sample(MS(160), Instant::ZERO, 1);
        assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.rto()), (Some(MS(90)), MS(50), MS(290)));
    }

    // covers: T6
    #[test]
    fn many_samples_a_round_trip_weigh_less_each() {
        let (mut one, mut many) = (rtt(), rtt());
        for rtt in [&mut one, &mut many] {
            rtt.sample(MS(100), Instant::ZERO, 1);
        }
        one.sample(MS(200), Instant::ZERO, 1);
        for _ in 0..10 {
            many.sample(MS(200), Instant::ZERO, 10);
        }
        let (one, many) = (one.srtt().unwrap().as_micros(), many.srtt().unwrap().as_micros());
        assert!(one.abs_diff(many) < 2_000, "{one} {many}");
    }

    // covers: T6
    #[test]
    fn the_timeout_doubles_up_to_its_maximum_and_comes_back() {
        let mut rtt = rtt();
        rtt.sample(MS(800), Instant::ZERO, 1);
        assert_eq!(rtt.rto(), MS(2_400));
        for times in 1..40_u32 {
            rtt.back_off();
            assert_eq!(rtt.rto(), MS(2_400 << times.min(10)).min(MS(60_000)));
        }
        rtt.reset_back_off();
        assert_eq!(rtt.rto(), MS(2_400));
    }

    // covers: T6
    #[test]
    fn an_old_minimum_is_forgotten_and_absurd_samples_are_bounded() {
        let mut rtt = rtt();
        rtt.sample(MS(10), Instant::from_secs(1), 1);
        rtt.sample(MS(50), Instant::from_secs(62), 1);
        assert_eq!(rtt.min_rtt(), Some(MS(10)));
        rtt.sample(MS(50), Instant::from_secs(123), 1);
        assert_eq!(rtt.min_rtt(), Some(MS(50)));
        rtt.sample(Duration::MAX, Instant::from_secs(124), u32::MAX);
        rtt.sample(Duration::ZERO, Instant::from_secs(124), 0);
        assert!(rtt.rto() <= MS(60_000) && rtt.rto() >= MS(200));
    }
}
