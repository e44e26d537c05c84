//! TCP connections followed by their numbers: what of a segment counts, and what is refused (N3, N7).
//!
//! A segment is *judged* before anything is written and may be refused as an old duplicate. Then it is
//! *followed*: it moves the connection's line, and says whether it may move the state.

mod line;
mod reuse;
mod seen;
pub(crate) mod shift;
mod tombstone;

use rules::middlebox::{Rst, RstEffect, rst_effect};
use rules::time_wait::{Ended, NewSyn, SynInTimeWait, time_wait_syn};
use rules::tracking::{Segment, State, Timer};
use wire::tcp::Flags;

use crate::batch::Refusal;
use crate::brief::Brief;
use crate::config::{RstPolicy, TimeWaitPolicy};
use crate::engine::Engine;
use crate::event::{DeleteReason, EventKind, OpenedFrom};
use crate::timer::start_of;
use crate::{Protocol, Realm, Reason};

pub(crate) use line::Line;
pub(crate) use reuse::Resting;
pub(crate) use seen::Seen;
use shift::Shift;
pub(crate) use shift::Shifts;
pub(crate) use tombstone::Tombstones;

/// What is rare enough to be looked at apart.
const RARE: Flags = Flags(Flags::SYN.0 | Flags::RST.0);

impl Engine {
    /// Whether a segment from `realm` may pass session `index`.
    #[inline(always)]
    pub(crate) fn judge(&mut self, index: u32, realm: Realm, brief: &Brief) -> Result<(), Refusal> {
        // The setting first: whether it is TCP is what nobody can foretell.
        if !(self.judges || self.scrub.follows) || !brief.is_tcp {
            return Ok(());
        }
        self.judge_segment(index, realm, brief)?;
        if self.scrub.follows { Ok(self.scrub_numbers(index, realm, brief)?) } else { Ok(()) }
    }

    fn judge_segment(&self, index: u32, realm: Realm, brief: &Brief) -> Result<(), Refusal> {
        let session = &self.sessions.lines()[index as usize];
        let line = &session.line;
        let checks = &self.config.tcp_checks;
        if brief.flags.contains(Flags::SYN) {
            let asks = checks.time_wait == TimeWaitPolicy::Rfc6191 && session.state() == State::TimeWait;
            if asks && !ends_time_wait(line, realm, brief) {
                return Err(Reason::TimeWaitSyn.into());
            }
            if asks && realm == Realm::Outside && session.opened_from() == OpenedFrom::Inside {
                // From now on it is one that the outside has opened (N10).
                let ties = &self.sessions.ties()[index as usize];
                let mapping = self.mappings.get(ties.mapping);
                self.check_inbound_counts(mapping, self.subscribers.get(ties.subscriber))?;
            }
            return Ok(());
        }
        let last = start_of(session.last_seen);
        let seen = self.restored(session.shift(), realm, &brief.seen);
        if checks.paws && line.is_old(realm, &seen, brief.flags, last, self.now) {
            return Err(Reason::OldDuplicate.into());
        }
        Ok(())
    }

    /// A segment's numbers as the subscriber knows them.
    pub(crate) fn restored(&self, shift: u32, realm: Realm, seen: &Seen) -> Seen {
        let mut seen = *seen;
        if shift != 0 && realm == Realm::Outside {
            seen.ack = self.shifts.get(shift).back(seen.ack);
        }
        seen
    }

    /// A segment from `realm` moves the line of session `index`. `true`: it may move the state too.
    #[inline(always)]
    pub(crate) fn follow(&mut self, index: u32, realm: Realm, brief: &Brief) -> bool {
        if brief.flags.intersects(RARE) {
            return self.follow_rare(index, realm, brief);
        }
        if brief.is_tcp {
            let session = &mut self.sessions.lines_mut()[index as usize];
            let last = start_of(session.last_seen);
            if session.shift() == 0 {
                session.line.feed(realm, &brief.seen, brief.flags, last, self.now);
            } else {
                self.follow_shifted(index, realm, brief);
            }
        }
        true
    }

    #[cold]
    fn follow_shifted(&mut self, index: u32, realm: Realm, brief: &Brief) {
        let session = &self.sessions.lines()[index as usize];
        let last = start_of(session.last_seen);
        let seen = self.restored(session.shift(), realm, &brief.seen);
        self.sessions.lines_mut()[index as usize].line.feed(realm, &seen, brief.flags, last, self.now);
    }

    /// A SYN or a RST. Of one that comes in fragments the length is not known: it is not measured.
    #[cold]
    fn follow_rare(&mut self, index: u32, realm: Realm, brief: &Brief) -> bool {
        let shift = self.sessions.lines()[index as usize].shift();
        let seen = self.restored(shift, realm, &brief.seen);
        if brief.flags.contains(Flags::RST) {
            if brief.is_tcp {
                self.reset(index, realm, &seen, brief.flags);
            }
            return false;
        }
        if !brief.is_tcp {
            return true;
        }
        let state = self.sessions.lines()[index as usize].state();
        let anew = state == State::TimeWait && self.config.tcp_checks.time_wait == TimeWaitPolicy::Rfc6191;
        if anew {
            self.reopen(index, realm);
        }
        let running = matches!(state, State::Established | State::ClientFin | State::ServerFin);
        self.sessions.lines_mut()[index as usize].line.feed_syn(realm, &seen, brief.flags, !running);
        true
    }

    /// Session `index` has another timer than before.
    pub(crate) fn moved(&mut self, index: u32) {
        self.hasten(index);
        let session = &self.sessions.lines()[index as usize];
        if session.protocol() == Protocol::Tcp && session.state() == State::TimeWait {
            self.rest(index);
        }
    }

    /// A RST passes; what it does is settled here.
    fn reset(&mut self, index: u32, realm: Realm, seen: &Seen, flags: Flags) {
        let state = self.sessions.lines()[index as usize].state();
        let rst = Rst { seq: seen.seq(), ack: flags.contains(Flags::ACK).then(|| seen.ack()) };
        let delete = self.config.tcp_checks.rst == RstPolicy::Delete;
        match rst_effect(state, rst, self.sessions.lines()[index as usize].line.passed(realm), delete) {
            RstEffect::None => {}
            RstEffect::Step => self.step_reset(index, realm),
            // Not before it was forwarded.
            RstEffect::End => self.resets.push(index),
        }
    }

    /// A RST puts session `index` on notice. It never lives longer for it (N13).
    fn step_reset(&mut self, index: u32, realm: Realm) {
        let (timers, tick) = (self.timers, self.tick);
        let session = &mut self.sessions.lines_mut()[index as usize];
        let (was, end) = (session.state(), session.deadline(&timers));
        if !session.track(realm, Segment::Rst, tick) {
            return;
        }
        if was.timed_out() == State::Closed {
            let latest = end.saturating_sub(timers[Timer::Transitory as usize]).saturating_sub(1);
            session.last_seen = session.last_seen.min(latest);
        }
        self.hasten(index);
    }

    /// Sessions end that the packet under way has reset.
    #[cold]
    pub(crate) fn end_resets(&mut self) {
        while let Some(index) = self.resets.pop() {
            if self.sessions.lines()[index as usize].is_live() {
                self.delete_session(index, self.tick, DeleteReason::Reset);
            }
        }
    }

    /// Session `index` is over and begins anew, opened from `realm`, on the same tuple.
    fn reopen(&mut self, index: u32, realm: Realm) {
        let (mut session, ties) =
            (self.sessions.lines()[index as usize], self.sessions.ties()[index as usize]);
        self.shifts.change(session.shift(), Shift::settle);
        let mapping = self.mappings.get(ties.mapping).id();
        let old = session.id(mapping);
        self.forget_opening(&session, ties);
        session.reopen(realm.into());
        session.last_seen = self.tick;
        let new = session.id(mapping);
        self.sessions.lines_mut()[index as usize] = session;
        self.note_opening(&session, ties);
        self.output.event(self.tick, EventKind::SessionDeleted(old, DeleteReason::Reopened));
        self.output.event(self.tick, EventKind::SessionCreated(new));
        // Its time may be shorter than TIME-WAIT's was.
        self.hasten(index);
    }
}

/// Whether a SYN from `realm` ends TIME-WAIT (RFC 6191). One that acknowledges something answers
/// another, and there is none.
fn ends_time_wait(line: &Line, realm: Realm, brief: &Brief) -> bool {
    // Who has not seen the connection judges nothing.
    let Some(rcv_nxt) = line.end(realm) else { return true };
    let ended = Ended { rcv_nxt, ts_recent: line.tsval(realm) };
    let syn = NewSyn { seq: brief.seen.seq(), tsval: brief.seen.timestamp() };
    !brief.flags.contains(Flags::ACK) && time_wait_syn(ended, syn) == SynInTimeWait::Accept
}
