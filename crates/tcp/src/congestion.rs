//! How much may be in flight: congestion control behind one trait.
//!
//! It sees what was delivered and what was lost, never a segment. Windows are in octets.

pub(crate) mod cubic;
pub(crate) mod hystart;
pub(crate) mod new_reno;

use core::time::Duration;

use rules::Instant;
use wire::SeqNumber;

use crate::{Config, CongestionControl};
use cubic::Cubic;
use hystart::HyStart;
use new_reno::NewReno;

/// What an acknowledgment tells the congestion control.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    pub(crate) now: Instant,
    /// Octets that are newly known to have arrived.
    pub(crate) acked: u32,
    /// The round trip of the newest of them, if it is known.
    pub(crate) rtt: Option<Duration>,
    /// The smoothed round trip.
    pub(crate) srtt: Option<Duration>,
    /// The window was what kept more from being in flight. If not, it is unproven and must not grow
    /// (RFC 7661, RFC 9438 5.8).
    pub(crate) cwnd_limited: bool,
    /// Both tell where a round trip ends (RFC 9406 4.2).
    pub(crate) snd_una: SeqNumber,
    pub(crate) snd_nxt: SeqNumber,
}

/// A congestion control.
pub(crate) trait Controller {
    /// Octets arrived, outside of fast recovery.
    fn on_ack(&mut self, ack: &Ack);
    /// Octets were lost or marked: once for each window of data. `outstanding` is SND.NXT less SND.UNA.
    fn on_congestion(&mut self, outstanding: u32);
    /// The retransmission timer expired; `again`: it did before, and nothing new was acknowledged since.
    fn on_rto(&mut self, outstanding: u32, again: bool);
    /// The last reduction was for nothing.
    fn undo(&mut self);
    /// Nothing was sent for longer than the timeout (RFC 5681 4.1).
    fn on_idle_restart(&mut self);
    /// Octets of text in a full segment.
    fn set_mss(&mut self, mss: u32);
    /// The congestion window.
    fn cwnd(&self) -> u32;
    /// The slow start threshold; `u32::MAX`: none yet.
    fn ssthresh(&self) -> u32;
}

/// The congestion controls there are. An enum, so that a connection needs no allocation for it.
#[derive(Clone, Debug)]
pub(crate) enum Congestion {
    NewReno(NewReno),
    Cubic(Cubic),
}

impl Congestion {
    /// The one that the settings name.
    pub(crate) fn new(config: &Config, mss: u32) -> Self {
        let window = Window::new(config, mss);
        match config.congestion {
            CongestionControl::NewReno => Self::NewReno(NewReno::new(window)),
            CongestionControl::Cubic => Self::Cubic(Cubic::new(window)),
        }
    }

    /// Which it is.
    pub(crate) const fn kind(&self) -> CongestionControl {
        match self {
            Self::NewReno(_) => CongestionControl::NewReno,
            Self::Cubic(_) => CongestionControl::Cubic,
        }
    }

    /// The SYN was lost (RFC 6928 section 2).
    pub(crate) fn start_at_one_segment(&mut self) {
        let window = match self {
            Self::NewReno(it) => it.window(),
            Self::Cubic(it) => it.window(),
        };
        window.cwnd = window.mss;
    }
}

macro_rules! either {
    ($self:ident, $it:ident => $call:expr) => {
        match $self {
            Congestion::NewReno($it) => $call,
            Congestion::Cubic($it) => $call,
        }
    };
}

impl Controller for Congestion {
    fn on_ack(&mut self, ack: &Ack) {
        either!(self, it => it.on_ack(ack));
    }

    fn on_congestion(&mut self, outstanding: u32) {
        either!(self, it => it.on_congestion(outstanding));
    }

    fn on_rto(&mut self, outstanding: u32, again: bool) {
        either!(self, it => it.on_rto(outstanding, again));
    }

    fn undo(&mut self) {
        either!(self, it => it.undo());
    }

    fn on_idle_restart(&mut self) {
        either!(self, it => it.on_idle_restart());
    }

    fn set_mss(&mut self, mss: u32) {
        either!(self, it => it.set_mss(mss));
    }

    fn cwnd(&self) -> u32 {
        either!(self, it => it.cwnd())
    }

    fn ssthresh(&self) -> u32 {
        either!(self, it => it.ssthresh())
    }
}

/// Largest window that is ever used: what a scaled receive window can offer.
const MAX_WINDOW: u32 = 1 << 30;

/// What both have in common: the window, the threshold and slow start.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) cwnd: u32,
    pub(crate) ssthresh: u32,
    pub(crate) mss: u32,
    /// Segments of the initial window (RFC 6928).
    initial: u8,
    hystart: Option<HyStart>,
    /// Window and threshold before the last reduction.
    saved: Option<(u32, u32)>,
}

impl Window {
    pub(crate) fn new(config: &Config, mss: u32) -> Self {
        let mut window = Self {
            cwnd: 0,
            ssthresh: u32::MAX,
            mss: mss.max(1),
            initial: config.initial_window.max(1),
            hystart: config.hystart.then(|| HyStart::new(config.pacing)),
            saved: None,
        };
        window.cwnd = window.initial();
        window
    }

    fn initial(&self) -> u32 {
        self.mss.saturating_mul(u32::from(self.initial)).min(MAX_WINDOW)
    }

    /// Slow start: takes the octets of `ack` that are used by it, returns those left for avoidance.
    pub(crate) fn slow_start(&mut self, ack: &Ack) -> u32 {
        if self.cwnd >= self.ssthresh {
            return ack.acked;
        }
        let growth = match &mut self.hystart {
            // RFC 9406 4.3: only the first slow start, which does not know where it ends, needs it.
            Some(hystart) if self.ssthresh == u32::MAX => {
                let growth = hystart.on_ack(ack, self.mss);
                if hystart.is_over() {
                    self.ssthresh = self.cwnd;
                    return ack.acked;
                }
                growth
            }
            _ => ack.acked.min(self.mss.saturating_mul(hystart::LIMIT)),
        };
        let room = self.ssthresh - self.cwnd;
        self.grow(growth.min(room));
        growth.saturating_sub(room)
    }

    pub(crate) fn grow(&mut self, octets: u32) {
        self.cwnd = self.cwnd.saturating_add(octets).min(MAX_WINDOW);
    }

    /// Keeps what [`Self::undo`] brings back. A timeout after a timeout has nothing worth keeping.
    pub(crate) fn save(&mut self) {
        self.saved = Some((self.cwnd, self.ssthresh));
    }

    pub(crate) fn undo(&mut self) -> bool {
        let Some((cwnd, ssthresh)) = self.saved.take() else { return false };
        self.cwnd = self.cwnd.max(cwnd);
        self.ssthresh = self.ssthresh.max(ssthresh);
        true
    }

    /// The part of the window that was in use: a window that never was full says nothing of the path.
    pub(crate) fn used(&self, outstanding: u32) -> u32 {
        self.cwnd.min(outstanding)
    }

    /// In whole segments: the part of one would only lie idle, and of a window of four that is much.
    pub(crate) fn reduce_to(&mut self, octets: u32) {
        let segments = octets.saturating_add(self.mss / 2) / self.mss;
        self.ssthresh = segments.max(2).saturating_mul(self.mss);
        self.cwnd = self.ssthresh;
    }

    pub(crate) fn restart(&mut self) {
        self.cwnd = self.cwnd.min(self.initial());
    }

    /// A path that takes smaller segments keeps its number of octets; before anything was learnt, the
    /// initial window follows.
    pub(crate) fn set_mss(&mut self, mss: u32) {
        let untouched = self.cwnd == self.initial() && self.ssthresh == u32::MAX;
        self.mss = mss.max(1);
        if untouched {
            self.cwnd = self.initial();
        }
        self.cwnd = self.cwnd.max(self.mss);
    }
}
