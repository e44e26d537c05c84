//! The congestion control of RFC 5681, with octets counted (RFC 3465).

use super::{Ack, Controller, Window};

/// Adds a segment for each window that arrives, and halves the window at a loss.
#[derive(Clone, Debug)]
pub(crate) struct NewReno {
    window: Window,
    /// Octets that arrived in congestion avoidance since the window last grew.
    counted: u32,
}

impl NewReno {
    pub(super) fn new(window: Window) -> Self {
        Self { window, counted: 0 }
    }

    pub(super) fn window(&mut self) -> &mut Window {
        &mut self.window
    }
}

impl Controller for NewReno {
    fn on_ack(&mut self, ack: &Ack) {
        if !ack.cwnd_limited {
            return;
        }
        self.counted = self.counted.saturating_add(self.window.slow_start(ack));
        if self.window.cwnd >= self.window.ssthresh && self.counted >= self.window.cwnd {
            self.counted -= self.window.cwnd;
            self.window.grow(self.window.mss);
        }
    }

    fn on_congestion(&mut self, outstanding: u32) {
        self.window.save();
        self.window.reduce_to(self.window.used(outstanding) / 2);
        self.counted = 0;
    }

    fn on_rto(&mut self, outstanding: u32, again: bool) {
        if !again {
            self.on_congestion(outstanding);
        }
        self.window.cwnd = self.window.mss;
    }

    fn undo(&mut self) {
        self.window.undo();
    }

    fn on_idle_restart(&mut self) {
        self.window.restart();
    }

    fn set_mss(&mut self, mss: u32) {
        self.window.set_mss(mss);
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
    use super::super::Window;
    use super::*;
    use crate::Config;
    use rules::Instant;
    use wire::SeqNumber;

    fn ack(acked: u32, cwnd_limited: bool) -> Ack {
        Ack {
            now: Instant::ZERO,
            acked,
            rtt: None,
            srtt: None,
            cwnd_limited,
            snd_una: SeqNumber(0),
            snd_nxt: SeqNumber(0),
        }
    }

    // covers: T7
    #[test]
    fn slow_start_doubles_and_avoidance_adds_a_segment_a_window() {
        let mut reno = NewReno::new(Window::new(&Config::default(), 1_000));
        assert_eq!(reno.cwnd(), 10_000);
        for _ in 0..10 {
            reno.on_ack(&ack(1_000, true));
        }
        assert_eq!(reno.cwnd(), 20_000);
        reno.on_ack(&ack(5_000, false));
        assert_eq!(reno.cwnd(), 20_000, "an unproven window does not grow");
        reno.on_congestion(20_000);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (10_000, 10_000));
        for _ in 0..10 {
            reno.on_ack(&ack(1_000, true));
        }
        assert_eq!(reno.cwnd(), 11_000);
        reno.on_rto(11_000, false);
        assert_eq!((reno.cwnd(), reno.ssthresh()), (1_000, 6_000), "whole segments");
        reno.on_rto(1_000, true);
        assert_eq!(reno.ssthresh(), 6_000, "one loss, one reduction");
        reno.undo();
        assert_eq!((reno.cwnd(), reno.ssthresh()), (11_000, 10_000));
    }

    // covers: T7
    #[test]
    fn a_loss_of_little_leaves_two_segments_and_a_silence_the_initial_window() {
        let mut reno = NewReno::new(Window::new(&Config::default(), 1_000));
        for _ in 0..10 {
            reno.on_ack(&ack(8_000, true));
        }
        reno.on_idle_restart();
        assert_eq!(reno.cwnd(), 10_000);
        reno.on_congestion(500);
        assert_eq!(reno.cwnd(), 2_000);
    }
}
