//! When something is to happen, and whether it did.

use super::Runner;
use crate::ast::Event;
use crate::fault::{Fault, Result};

/// Microseconds since the start of the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    Any,
    At(i64),
    Range(i64, i64),
}

/// The moment of an event, and what it is counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    pub(super) moment: Moment,
    /// What a relative time is counted from.
    pub(super) base: i64,
    pub(super) relative: bool,
    /// The event before: tolerance grows with the time since then.
    pub(super) before: Option<i64>,
}

impl Window {
    /// The first moment of it.
    pub(super) fn first(&self) -> Option<i64> {
        match self.moment {
            Moment::Any => None,
            Moment::At(first) | Moment::Range(first, _) => Some(first),
        }
    }

    /// The last moment of it.
    pub(super) fn last(&self) -> Option<i64> {
        match self.moment {
            Moment::Any => None,
            Moment::At(last) | Moment::Range(_, last) => Some(last),
        }
    }

    /// `at` as the event's own time would be written.
    fn written(&self, at: i64) -> String {
        let (sign, at) = if self.relative { ("+", at - self.base) } else { ("", at) };
        format!("{sign}{:.6}", at as f64 / 1e6)
    }
}

impl Runner {
    /// Tolerance in microseconds: fixed, or a share of the time since the event before.
    fn tolerance(&self, window: &Window) -> i64 {
        let since = match (window.first(), window.before) {
            (Some(first), Some(before)) => first - before,
            _ => 0,
        };
        let share = (self.config.tolerance_percent / 100.0 * since as f64) as i64;
        share.max(self.config.tolerance_usecs)
    }

    /// `what` happened at `at`: was that its time?
    pub(super) fn check_time(&self, event: &Event, window: &Window, at: i64, what: &str) -> Result<()> {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return Ok(()) };
        let tolerance = self.tolerance(window);
        if at >= first - tolerance && at <= last + tolerance {
            return Ok(());
        }
        let expected = match window.moment {
            Moment::Range(..) => format!("{}~{}", window.written(first), window.written(last)),
            _ => window.written(first),
        };
        let message = format!("{what} at the wrong time");
        let label = format!("expected at {expected} s, happened at {} s", window.written(at));
        let help = format!("the tolerance here is {:.6} s", tolerance as f64 / 1e6);
        Err(Fault::failed(&event.span, message, label, help))
    }

    /// An event of the script begins now: not later than it should.
    pub(super) fn check_start(&self, event: &Event, window: &Window) -> Result<()> {
        if self.events == 0 {
            Ok(())
        } else {
            self.check_time(event, window, self.now(), "this event begins")
        }
    }
}
