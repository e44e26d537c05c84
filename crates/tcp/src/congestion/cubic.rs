//! CUBIC (RFC 9438): the window grows by the time since the last loss, not by round trips.
//!
//! Windows are in segments here, as in the RFC, and times in seconds.

use rules::Instant;

use super::{Ack, Controller, Window};

const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Growth a round trip that is as aggressive as Reno's, given BETA (RFC 9438 4.3).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Cubic {
    window: Window,
    curve: Curve,
    /// `w_max` and `cwnd_prior` before the last reduction.
    saved: (f32, f32),
    /// When the last acknowledgment came: time in which the window was not in use is no time.
    last: Instant,
    /// Fraction of an octet that the window has grown by.
    fraction: f32,
}

/// What the window grows along.
#[derive(Clone, Copy, Debug, Default)]
struct Curve {
    /// When this congestion avoidance began; `None`: it has yet to.
    epoch: Option<Instant>,
    /// The window that Reno would have.
    w_est: f64,
    w_max: f32,
    /// Seconds from the epoch to `w_max`.
    k: f32,
    /// The window before the reduction.
    cwnd_prior: f32,
}

/// The cube root of a number that is not negative, by Newton: `core` has none.
fn cube_root(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    // A third of the exponent is a start that is off by less than a factor of two.
    let mut root = f64::from_bits(x.to_bits() / 3 + (0x3ff0_0000_0000_0000 / 3) * 2);
    for _ in 0..6 {
        root -= (root - x / (root * root)) / 3.0;
    }
    root
}

impl Cubic {
    pub(super) fn new(window: Window) -> Self {
        Self { window, curve: Curve::default(), saved: (0.0, 0.0), last: Instant::ZERO, fraction: 0.0 }
    }

    fn segments(&self) -> f64 {
        f64::from(self.window.cwnd) / f64::from(self.window.mss)
    }

    fn begin(&mut self, now: Instant) -> Instant {
        let cwnd = self.segments();
        let curve = &mut self.curve;
        curve.epoch = Some(now);
        curve.w_est = cwnd;
        if f64::from(curve.w_max) > cwnd {
            curve.k = cube_root((f64::from(curve.w_max) - cwnd) / C) as f32;
        } else {
            curve.k = 0.0;
            curve.w_max = cwnd as f32;
        }
        now
    }

    fn avoid(&mut self, ack: &Ack, acked: u32) {
        let epoch = match self.curve.epoch {
            Some(epoch) => epoch,
            None => self.begin(ack.now),
        };
        let cwnd = self.segments();
        let acked = f64::from(acked) / f64::from(self.window.mss);
        let curve = &mut self.curve;
        let at = |t: f64| {
            let away = t - f64::from(curve.k);
            C * away * away * away + f64::from(curve.w_max)
        };
        let t = ack.now.since(epoch).as_secs_f64();
        let target = at(t + ack.srtt.map_or(0.0, |srtt| srtt.as_secs_f64())).clamp(cwnd, 1.5 * cwnd);
        let now = at(t);
        let alpha = if curve.w_est >= f64::from(curve.cwnd_prior) { 1.0 } else { ALPHA };
        curve.w_est += alpha * acked / cwnd;
        let growth = if now < curve.w_est {
            // The Reno-friendly region.
            (curve.w_est - cwnd).max(0.0)
        } else {
            (target - cwnd) / cwnd * acked
        };
        let octets = growth * f64::from(self.window.mss) + f64::from(self.fraction);
        // Never more than slow start would add.
        let whole = (octets.min(acked * f64::from(self.window.mss))) as u32;
        self.fraction = (octets - f64::from(whole)).clamp(0.0, 1.0) as f32;
        self.window.grow(whole);
    }

    pub(super) fn window(&mut self) -> &mut Window {
        &mut self.window
    }
}

impl Controller for Cubic {
    fn on_ack(&mut self, ack: &Ack) {
        let since = ack.now.since(self.last);
        self.last = ack.now;
        if !ack.cwnd_limited {
            if let Some(epoch) = &mut self.curve.epoch {
                *epoch = *epoch + since;
            }
            return;
        }
        let left = self.window.slow_start(ack);
        if left > 0 && self.window.cwnd >= self.window.ssthresh {
            self.avoid(ack, left);
        }
    }

    fn on_congestion(&mut self, outstanding: u32) {
        self.window.save();
        self.saved = (self.curve.w_max, self.curve.cwnd_prior);
        let cwnd = self.segments() as f32;
        let beta = BETA as f32;
        // Fast convergence: a flow that reaches less than before leaves room for a new one.
        let w_max = if cwnd < self.curve.w_max { cwnd * (1.0 + beta) / 2.0 } else { cwnd };
        self.curve = Curve { w_max, cwnd_prior: cwnd, ..Curve::default() };
        self.fraction = 0.0;
        let used = f64::from(self.window.used(outstanding));
        self.window.reduce_to((used * BETA) as u32);
    }

    fn on_rto(&mut self, outstanding: u32, again: bool) {
        if !again {
            self.on_congestion(outstanding);
        }
        self.curve.epoch = None;
        self.window.cwnd = self.window.mss;
    }

    fn undo(&mut self) {
        if self.window.undo() {
            // The epoch begins anew where the window is: from there the curve to `w_max` is the same.
            let (w_max, cwnd_prior) = self.saved;
            self.curve = Curve { w_max, cwnd_prior, ..Curve::default() };
        }
    }

    fn on_idle_restart(&mut self) {
        self.window.restart();
        self.curve.epoch = None;
    }

    fn set_mss(&mut self, mss: u32) {
        self.window.set_mss(mss);
        self.curve.epoch = None;
    }

    fn cwnd(&self) -> u32 {
        self.window.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.window.ssthresh
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use wire::SeqNumber;

    use super::*;
    use crate::Config;

    const MSS: u32 = 1_000;

    fn cubic(segments: u32) -> Cubic {
        let mut cubic = Cubic::new(Window::new(&Config::default(), MSS));
        cubic.window.cwnd = segments * MSS;
        cubic
    }

    fn acknowledge(cubic: &mut Cubic, now: Instant, rtt: Duration, cwnd_limited: bool) {
        let acked = cubic.cwnd();
        let ack = Ack {
            now,
            acked,
            rtt: Some(rtt),
            srtt: Some(rtt),
            cwnd_limited,
            snd_una: SeqNumber(0),
            snd_nxt: SeqNumber(1),
        };
        cubic.on_ack(&ack);
    }

    // covers: T7
    #[test]
    fn the_window_is_back_where_it_was_after_k_seconds() {
        let mut cubic = cubic(1_000);
        cubic.on_congestion(1_000 * MSS);
        assert_eq!(cubic.cwnd(), 700 * MSS);
        let rtt = Duration::from_millis(100);
        let k = cube_root(300.0 / C);
        let mut now = Instant::from_secs(10);
        let end = now + Duration::from_secs_f64(k);
        let mut half = 0;
        while now < end {
            acknowledge(&mut cubic, now, rtt, true);
            now = now + rtt;
            if now.since(Instant::from_secs(10)).as_secs_f64() < k / 2.0 {
                half = cubic.cwnd();
            }
        }
        assert!((950 * MSS..1_050 * MSS).contains(&cubic.cwnd()), "{}", cubic.cwnd());
        assert!(half > 900 * MSS, "concave: most of it comes early, {half}");
    }

    // covers: T7
    #[test]
    fn on_a_short_path_it_is_no_slower_than_reno_would_be() {
        let mut cubic = cubic(20);
        cubic.on_congestion(20 * MSS);
        let rtt = Duration::from_millis(5);
        let mut now = Instant::from_secs(1);
        for _ in 0..20 {
            acknowledge(&mut cubic, now, rtt, true);
            now = now + rtt;
        }
        // ALPHA a round trip up to the window before the loss, then one.
        let expected = 20.0 + (20.0 - 6.0 / ALPHA);
        assert!((f64::from(cubic.cwnd()) / f64::from(MSS) - expected).abs() < 1.0, "{}", cubic.cwnd());
    }

    // covers: T7
    #[test]
    fn a_second_loss_below_the_first_makes_room_and_undo_brings_all_back() {
        let mut cubic = cubic(100);
        cubic.on_congestion(100 * MSS);
        let before = (cubic.cwnd(), cubic.ssthresh(), cubic.curve.w_max);
        cubic.on_congestion(70 * MSS);
        assert_eq!(cubic.curve.w_max, 70.0 * 0.85);
        cubic.undo();
        assert_eq!((cubic.cwnd(), cubic.ssthresh(), cubic.curve.w_max), before);
    }

    // covers: T7
    #[test]
    fn time_in_which_the_window_is_not_used_does_not_count() {
        let mut cubic = cubic(100);
        cubic.on_congestion(100 * MSS);
        let rtt = Duration::from_millis(50);
        acknowledge(&mut cubic, Instant::from_secs(1), rtt, true);
        let before = cubic.cwnd();
        acknowledge(&mut cubic, Instant::from_secs(100), rtt, false);
        assert_eq!(cubic.cwnd(), before);
        acknowledge(&mut cubic, Instant::from_secs(100) + rtt, rtt, true);
        assert!(cubic.cwnd() < before + 10 * MSS, "{before} {}", cubic.cwnd());
    }

    // covers: T7
    #[test]
    fn the_cube_root_is_one() {
        for x in [1e-9, 0.001, 0.5, 1.0, 8.0, 27.0, 1e6, 1e9] {
            let root = cube_root(x);
            assert!((root * root * root / x - 1.0).abs() < 1e-9, "{x} {root}");
        }
        assert_eq!(cube_root(0.0), 0.0);
    }
}
