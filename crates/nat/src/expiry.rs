//! The end of sessions and mappings.

use rules::tracking::State;

use crate::engine::Engine;
use crate::event::{DeleteReason, EventKind};
use crate::foresight::Ahead;
use crate::{Protocol, Realm};

impl Engine {
    /// Looks at what the wheel says is due, at most `budget` sessions.
    pub(crate) fn expire(&mut self, budget: usize) {
        let mut ahead = Ahead::default();
        for _ in 0..budget {
            let due = self.wheel.due(self.tick);
            if self.pool.tells() && self.release_one(due.map_or(self.tick, |(tick, _)| tick)) {
                continue;
            }
            if self.kept.is_due(due.map_or(self.tick, |(tick, _)| tick)) {
                self.expire_kept();
                continue;
            }
            let Some((tick, index)) = due else { return };
            self.foresee_ends(&mut ahead, tick, index);
            // No further than to the wheel's tick, however late it is: so everything ends in order.
            if self.settle_at(index, tick) {
                // It was seen since it was filed.
                let deadline = self.sessions.lines()[index as usize].deadline(&self.timers);
                self.wheel.unfile(self.sessions.ties_mut(), index);
                self.wheel.file(self.sessions.ties_mut(), index, deadline);
            }
        }
    }

    /// Lets go of one port that has rested by `tick`, and before the time of a mapping is over; a block that comes
    /// back with it does so on time.
    #[cold]
    fn release_one(&mut self, tick: u32) -> bool {
        let until = self.kept.next_tick().map_or(tick, |kept| kept.min(tick));
        let Some(rested) = self.pool.next_release().filter(|&rested| rested <= until) else { return false };
        self.pool.release_first();
        self.tell_blocks(rested);
        true
    }

    /// Lets everything happen to session `index` that its timers say until now. `true`: it lives.
    #[inline(always)]
    pub(crate) fn settle(&mut self, index: u32) -> bool {
        self.settle_at(index, self.tick)
    }

    #[inline(always)]
    fn settle_at(&mut self, index: u32, tick: u32) -> bool {
        self.sessions.lines()[index as usize].deadline(&self.timers) > tick || self.time_out(index, tick)
    }

    #[cold]
    fn time_out(&mut self, index: u32, tick: u32) -> bool {
        loop {
            let session = &mut self.sessions.lines_mut()[index as usize];
            let deadline = session.deadline(&self.timers);
            if deadline > tick {
                return true;
            }
            let next = match session.protocol() {
                Protocol::Tcp => session.state().timed_out(),
                Protocol::Udp | Protocol::Icmp | Protocol::Other => State::Closed,
            };
            if next == State::Closed {
                self.delete_session(index, deadline, DeleteReason::Idle);
                return false;
            }
            session.set_state(next);
            session.last_seen = deadline;
            // The time for which they were silent is forgotten with this.
            session.line.forget_timestamps();
        }
    }

    /// Ends session `index` at `tick`, and its mapping with it if it was the last.
    pub(crate) fn delete_session(&mut self, index: u32, tick: u32, reason: DeleteReason) {
        self.wheel.unfile(self.sessions.ties_mut(), index);
        let (session, ties) = (self.sessions.lines()[index as usize], self.sessions.ties()[index as usize]);
        for realm in [Realm::Inside, Realm::Outside] {
            self.flows.remove(self.key.flow(session.flow(realm)), index);
        }
        if let Some(partner) = ties.partner() {
            self.sessions.ties_mut()[partner as usize].set_partner(None);
        }
        self.bury(&session, tick, reason);
        self.shifts.remove(session.shift());
        self.sessions.remove(index);
        self.subscribers.get_mut(ties.subscriber).sessions -= 1;
        let mapping = self.mappings.get_mut(ties.mapping);
        mapping.sessions -= 1;
        self.output.event(tick, EventKind::SessionDeleted(session.id(mapping.id()), reason));
        self.forget_opening(&session, ties);
        self.delete_unused_mapping(ties.mapping, tick);
    }

    /// Ends mapping `index` if it has no session and is not kept (N18, RFC 7857 11), and forgets its
    /// subscriber if that was all it had.
    pub(crate) fn delete_unused_mapping(&mut self, index: u32, tick: u32) {
        let mapping = *self.mappings.get(index);
        if mapping.sessions != 0 || mapping.is_kept() {
            return;
        }
        let protocol = mapping.protocol();
        self.endpoints.remove(self.key.mapping(mapping.key()), index);
        self.give_port(&mapping, index, tick);
        self.mappings.remove(index);
        self.expected.forget(index);
        self.output.event(tick, EventKind::MappingDeleted(mapping.id()));
        self.tell_blocks(tick);
        let subscriber = self.subscribers.get_mut(mapping.subscriber);
        subscriber.give_port(protocol);
        if !subscriber.holds_ports() {
            let address = subscriber.address;
            self.hosts.remove(self.key.address(address), mapping.subscriber);
            self.subscribers.remove(mapping.subscriber);
            self.basic.release(mapping.address(), tick);
        }
    }
}
