//! Timers: when the next one is due, and what it changes.

use core::time::Duration;

use rules::{Instant, user_timeout};

use super::{Link, Next};
use crate::connection::{AckDue, Connection, Context, Fin, Persist};
use crate::send::recovery::Expired;
use crate::{Reason, State};

/// The override timer of a sender that waits for a window worth sending into (RFC 9293 3.8.6.2.1: 0.1 to 1 s).
const OVERRIDE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

/// Longest time between two probes of a closed window.
const LONGEST_PERSIST: Duration = Duration::from_secs(60);

/// Reordering, tail probe, retransmission.
const RECOVERY_TIMERS: u8 = 3;

/// Least time between two keep-alives, whatever the settings say.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// Timeouts in a row after which a path may be a black hole for full segments (RFC 4821 7.7).
const BLACK_HOLE: u32 = 3;

impl Connection {
    /// The nearest of all timers that run.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let ack = match self.ack {
            AckDue::By(time) => Some(time),
            _ => None,
        };
        // One by one: an array of them would be stored to be read back at once, after each packet.
        let mut nearest = ack;
        let mut and = |time: Option<Instant>| {
            if let Some(time) = time {
                nearest = Some(nearest.map_or(time, |nearest| nearest.min(time)));
            }
        };
        and(self.recovery_deadline());
        and(self.persist.map(|persist| persist.at));
        and(self.keep_alive_at());
        and(self.user_timeout_at());
        and(self.linger_until);
        and(self.paced_until);
        nearest
    }

    /// When the timers of loss recovery want to be looked at. They rest while nothing is in flight: a connection that
    /// only receives does not touch them.
    fn recovery_deadline(&self) -> Option<Instant> {
        if self.snd_una == self.snd_nxt { None } else { self.recovery.deadline() }
    }

    /// Time has come to `now`: what is due changes the connection, and [`Connection::next`] says what to send.
    pub(crate) fn on_timeout(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if due(self.paced_until) {
            self.paced_until = None;
        }
        if due(self.linger_until) {
            return self.end(Reason::Finished, cx.pool);
        }
        if due(self.user_timeout_at()) {
            return self.end(Reason::TimedOut, cx.pool);
        }
        // Who was woken late may find several due; none of them is left in the past.
        for _ in 0..RECOVERY_TIMERS {
            if due(self.recovery.deadline()) && self.state != State::Closed {
                self.on_recovery_timeout(cx);
            }
        }
        if due(self.persist.map(|persist| persist.at)) {
            self.on_persist(cx);
        }
        if due(self.keep_alive_at()) {
            self.on_keep_alive(cx);
        }
    }

    fn on_recovery_timeout(&mut self, cx: &mut Context<'_>) {
        match self.recovery.on_timeout(cx.now) {
            Expired::Nothing | Expired::Reorder => {}
            Expired::Probe => self.due.tail_probe = true,
            Expired::Rto if matches!(self.state, State::SynSent | State::SynReceived) => {
                if self.recovery.rto_count() > u32::from(self.config.syn_retries) {
                    let reason = if self.unreachable { Reason::Unreachable } else { Reason::TimedOut };
                    return self.end(reason, cx.pool);
                }
                self.syn_due = true;
            }
            Expired::Rto => {
                // A peer that answers and keeps its window closed is not gone (RFC 9293 3.8.6.1: MUST-37).
                let heard = self.snd_wnd == 0 && cx.now.since(self.heard) < self.config.max_rto * 2;
                // A timeout that both ends agreed on stands for the number of tries.
                let agreed = self.agreed_user_timeout().is_some();
                if self.recovery.rto_count() > u32::from(self.config.retries) && !heard && !agreed {
                    return self.end(Reason::TimedOut, cx.pool);
                }
                self.due.window_probe |= self.snd_wnd == 0;
                if self.recovery.rto_count() >= BLACK_HOLE {
                    self.suspect_black_hole();
                }
            }
        }
    }

    /// Full segments may be lost to a link that is too narrow and does not say so.
    fn suspect_black_hole(&mut self) {
        if self.config.path_mtu_discovery && self.snd_mss > 1_024 {
            self.set_mss(1_024);
        } else if self.config.path_mtu_discovery && self.snd_mss > 536 {
            self.set_mss(536);
        }
    }

    /// Starts or stops the persist timer: text waits, nothing is in flight, and the window does not let it
    /// go (RFC 9293 3.8.6.1). To be called after every change.
    pub(crate) fn settle(&mut self, now: Instant, link: &Link) -> Next {
        let next = self.next(now, link);
        let lost = || self.snd_una != self.snd_nxt && self.recovery.next_retransmission().is_some();
        let blocked = !matches!(next, Next::Send(_))
            && (self.unsent() > 0 || lost())
            && self.recovery_deadline().is_none()
            && !matches!(self.state, State::Closed | State::SynSent | State::SynReceived)
            && self.paced_until.is_none();
        if !blocked {
            if !matches!(next, Next::Send(_)) {
                self.persist = None;
            }
            return next;
        }
        if self.persist.is_none() {
            let at = now + self.persist_interval(0);
            self.persist = Some(Persist { at, backoff: 0, unanswered: 0 });
            return self.next(now, link);
        }
        next
    }

    fn persist_interval(&self, backoff: u8) -> Duration {
        let rto = self.recovery.rtt().rto();
        if self.snd_wnd > 0 {
            return rto.clamp(OVERRIDE.0, OVERRIDE.1);
        }
        rto.saturating_mul(1 << backoff.min(16)).min(LONGEST_PERSIST)
    }

    fn on_persist(&mut self, cx: &mut Context<'_>) {
        let Some(persist) = self.persist else { return };
        if persist.unanswered > self.config.retries {
            return self.end(Reason::TimedOut, cx.pool);
        }
        self.due.window_probe = true;
        let backoff = persist.backoff.saturating_add(1);
        let at = cx.now + self.persist_interval(backoff);
        self.persist = Some(Persist { at, backoff, unanswered: persist.unanswered.saturating_add(1) });
    }

    /// When silence has lasted long enough for a keep-alive; none while data waits for its ACK.
    fn keep_alive_at(&self) -> Option<Instant> {
        let keep_alive = self.config.keep_alive?;
        let idle = matches!(self.state, State::Established | State::CloseWait | State::FinWait2)
            && self.snd_una == self.snd_nxt
            && !self.due.keep_alive;
        // From the last probe on, which may have been late; and a setting of 0 may not make a timer that is due
        // again as soon as it was handled.
        let (from, wait) = match self.keep_alives {
            0 => (self.heard, keep_alive.idle),
            _ => (self.kept_alive, keep_alive.interval),
        };
        // RFC 5482 section 4.2: not before the peer was away for longer than was agreed.
        let away = self.agreed_user_timeout().filter(|_| self.keep_alives == 0).unwrap_or_default();
        idle.then(|| from + wait.max(away + LEAST_INTERVAL))
    }

    fn on_keep_alive(&mut self, cx: &mut Context<'_>) {
        let Some(keep_alive) = self.config.keep_alive else { return };
        if self.keep_alives >= keep_alive.probes {
            return self.end(Reason::TimedOut, cx.pool);
        }
        self.keep_alives += 1;
        self.kept_alive = cx.now;
        self.due.keep_alive = true;
    }

    /// What both ends told (RFC 5482); the application's own setting goes before it.
    fn agreed_user_timeout(&self) -> Option<Duration> {
        let told = self.config.told_user_timeout.filter(|_| self.config.user_timeout.is_none())?;
        let heard = user_timeout::timeout(self.heard_user_timeout)?;
        Some(user_timeout::adopted(told, heard, self.recovery.rtt().rto()))
    }

    fn user_timeout_at(&self) -> Option<Instant> {
        let limit = self.config.user_timeout.or_else(|| self.agreed_user_timeout())?;
        let waiting = self.stalled_since.filter(|_| !self.send.is_empty() || self.fin != Fin::Open)?;
        Some(waiting + limit)
    }
}
