//! What ends when: sessions by their timers, mappings with their sessions, and what is told of it.

use hairpin_nat::config::Behaviour;
use hairpin_nat::event::{DeleteReason, EventKind, MappingId};
use hairpin_nat::{Event, Protocol};
use rules::Instant;

use crate::nat::{Model, Session, TICK, ticks};
use crate::tcp::{Phase, Timer};

impl Model {
    /// Everything that is over by `now` ends, in the order in which it was due.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.tick = self.now.as_nanos() / TICK;
        loop {
            let session = self.next_deadline().filter(|&(tick, _)| tick <= self.tick);
            let kept = self.next_kept_deadline().filter(|&(tick, _)| tick <= self.tick);
            let first = [session.map(|(tick, _)| tick), kept.as_ref().map(|&(tick, _)| tick)];
            let first = first.into_iter().flatten().min().unwrap_or(self.tick);
            if self.next_release().is_some_and(|until| until <= first) {
                self.release_next();
                continue;
            }
            match (session, kept) {
                (Some((tick, index)), None) => self.time_out(index, tick),
                (Some((tick, index)), Some((kept, _))) if tick < kept => self.time_out(index, tick),
                (_, Some((tick, id))) => self.let_go(id, tick),
                (None, None) => break,
            }
        }
        self.expire_fragments();
        self.answer_syns();
    }

    /// When the next session times out, and which. Those of one tick may end in any order, but
    /// where not all of their ports can be held it matters: then they end as they did in the engine.
    pub(crate) fn next_deadline(&self) -> Option<(u64, usize)> {
        let turn =
            |session: &Session| self.ended.iter().position(|id| *id == session.id).unwrap_or(usize::MAX);
        let all = self.sessions.iter().enumerate();
        let (tick, _, index) =
            all.map(|(index, session)| (self.deadline(session), turn(session), index)).min()?;
        Some((tick, index))
    }

    /// The deadline that is number `pick` in time, beginning anew behind the last.
    pub(crate) fn deadline_number(&self, pick: u8) -> Option<u64> {
        let mut all: Vec<_> = self.sessions.iter().map(|session| self.deadline(session)).collect();
        all.extend(self.next_fragment_deadline());
        all.extend(self.next_answer());
        all.extend(self.kept.values().flatten());
        all.extend(self.held.iter().map(|(until, ..)| *until).filter(|until| *until > self.tick));
        all.sort_unstable();
        all.get(usize::from(pick) % all.len().max(1)).copied()
    }

    /// Never early: a packet may have come late in its tick.
    pub(crate) fn deadline(&self, session: &Session) -> u64 {
        let tcp = &self.config.tcp;
        let timeout = match (session.phase.map(Phase::timer), session.id.mapping.protocol) {
            (Some(Timer::Opening), _) => tcp.opening,
            (Some(Timer::Established), _) => tcp.established,
            (Some(Timer::Closing), _) => tcp.closing,
            (Some(Timer::TimeWait), _) => tcp.time_wait,
            (Some(Timer::Transitory), _) => tcp.transitory,
            (None, Protocol::Icmp) => self.config.icmp_timeout,
            (None, Protocol::Other) => self.config.other_timeout,
            (None, _) => self.udp_timeout(session),
        };
        session.last_seen + ticks(timeout) + 1
    }

    pub(crate) fn time_out(&mut self, index: usize, tick: u64) {
        let session = &mut self.sessions[index];
        if let Some(next) = session.phase.and_then(Phase::timed_out) {
            session.phase = Some(next);
            session.last_seen = tick;
            // How long they were silent is no longer known.
            session.conn.iter_mut().for_each(|side| side.tsval = None);
            return;
        }
        self.delete_session(index, tick, DeleteReason::Idle);
    }

    pub(crate) fn delete_session(&mut self, index: usize, tick: u64, reason: DeleteReason) {
        self.bury(index, tick, reason);
        let id = self.sessions.remove(index).id;
        self.reused += u64::from(reason == DeleteReason::Reused);
        self.event(tick, EventKind::SessionDeleted(id, reason));
        // RFC 7857 11: a mapping ends with its last session.
        self.delete_unused_mapping(id.mapping, tick);
    }

    pub(crate) fn delete_unused_mapping(&mut self, id: MappingId, tick: u64) {
        let used = self.sessions.iter().any(|other| other.id.mapping == id);
        if !used && !self.kept.contains_key(&id) {
            self.delete_mapping(id, tick);
        }
    }

    pub(crate) fn delete_mapping(&mut self, id: MappingId, tick: u64) {
        self.mappings.retain(|other| *other != id);
        self.expected.remove(&id);
        self.event(tick, EventKind::MappingDeleted(id));
        // RFC 6888 REQ-8: not for somebody else at once. TCP's state machine has held the port already.
        let hold = ticks(self.config.ports.hold);
        self.held.retain(|&(until, ..)| until > tick);
        let other = if id.protocol == Protocol::Tcp { Protocol::Udp } else { Protocol::Tcp };
        let together = self.go_together(id.protocol, other);
        // What both have together rests when neither has it.
        let protocol = if together { Protocol::Udp } else { id.protocol };
        let shared = self.mapping_at(id.protocol, id.external).is_some();
        let given = !shared && (!together || self.mapping_at(other, id.external).is_none());
        let room = self.held.len() < self.config.ports.hold_max as usize;
        // RFC 6888 REQ-8c: where strangers have no business there is nothing to wait for.
        let filtering = &self.config.filtering;
        let needless = filtering.udp == Behaviour::AddressAndPortDependent && filtering.udp_ports.is_empty();
        let whole = self.is_whole(id.external.address);
        if given && protocol != Protocol::Tcp && hold > 0 && room && !needless && !whole {
            self.held.push((tick + hold + 1, protocol, id.external));
        } else {
            self.give_block(id.protocol, id.external, tick);
        }
        let subscriber = self.whose(id.internal);
        if !self.mappings.iter().any(|other| self.whose(other.internal) == subscriber) {
            self.subscribers.remove(&subscriber);
            self.release_whole(id.external.address, tick);
        }
    }

    pub(crate) fn event(&mut self, tick: u64, kind: EventKind) {
        match kind {
            EventKind::MappingCreated(_) => self.counters.mappings_created += 1,
            EventKind::MappingDeleted(_) => self.counters.mappings_deleted += 1,
            EventKind::SessionCreated(_) => self.counters.sessions_created += 1,
            EventKind::SessionDeleted(..) => self.counters.sessions_deleted += 1,
            EventKind::LimitHit { .. } | EventKind::BlockAllocated(_) | EventKind::BlockReleased(_) => {}
        }
        self.events.push(Event { at: Instant::from_nanos(tick * TICK), kind });
    }
}
