//! What the model remembers of connections that are over (N4, N6), in lists.

use std::net::Ipv4Addr;

use hairpin_nat::event::{DeleteReason, Limit, MappingId, SessionId};
use hairpin_nat::{Endpoint, Offload, Protocol, Realm, Reason};
use wire::SeqNumber;
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;

use crate::ftp::Shift;
use crate::judge::{Numbers, ends_time_wait, sequence_after, ts_before};
use crate::nat::{Model, Refusal, Route, Sent, Session, ticks};
use crate::tcp::Phase;

/// What the remote saw of a connection that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tomb {
    pub(crate) external: Endpoint,
    pub(crate) remote: Endpoint,
    end: u32,
    pub(crate) remote_end: u32,
    tsval: Option<u32>,
    /// The subscriber has acknowledged the remote's FIN.
    answers: bool,
    seen: u64,
    expires: u64,
    answered: Option<u64>,
    /// In a ring of so many.
    place: u64,
}

impl Model {
    fn tomb_of(&self, session: &Session, tick: u64) -> Option<Tomb> {
        let over = matches!(session.phase, Some(Phase::Closing { .. } | Phase::TimeWait));
        let hairpin = self.owner(session.id.remote.address).is_some();
        let ([one, other], shift) = (session.conn, session.shift);
        let (end, remote_end) = (one.end?, other.end?);
        (over && !hairpin).then_some(Tomb {
            external: session.id.mapping.external,
            remote: session.id.remote,
            end: shift.out(end, false),
            remote_end,
            tsval: one.tsval.map(|own| own.wrapping_add(shift.tsval)),
            answers: one.acked == Some(remote_end),
            seen: session.last_seen,
            expires: tick + ticks(self.config.tcp.time_wait) + 1,
            answered: None,
            place: self.buried % u64::from(self.config.limits.tombstones),
        })
    }

    /// A session is about to go.
    pub(crate) fn bury(&mut self, index: usize, tick: u64, reason: DeleteReason) {
        let checks = &self.config.tcp_checks;
        if reason == DeleteReason::Reset || !checks.resend_last_ack && !checks.monotonic_rewrite {
            return;
        }
        if let Some(tomb) = self.tomb_of(&self.sessions[index], tick) {
            self.tombs.retain(|old| (old.external, old.remote) != (tomb.external, tomb.remote));
            self.tombs.retain(|old| old.place != tomb.place);
            self.tombs.push(tomb);
            self.buried += 1;
        }
    }

    /// N6: the FIN that is sent again to nobody is answered, once in a second.
    pub(crate) fn answer_fin(&mut self, remote: Endpoint, external: Endpoint) {
        let Some(numbers) = self.numbers else { return };
        let only_fin =
            numbers.flags.contains(Flags::FIN) && !numbers.flags.intersects(Flags::SYN | Flags::RST);
        if !only_fin || !self.config.tcp_checks.resend_last_ack {
            return;
        }
        let tick = self.tick;
        let found = self.tombs.iter().position(|tomb| {
            (tomb.remote, tomb.external) == (remote, external)
                && tomb.expires > tick
                && tomb.answers
                && tomb.remote_end == numbers.end
        });
        let Some(index) = found else { return };
        let tomb = self.tombs[index];
        // The rate limit of all together: a token bucket like that for ICMP errors.
        let soon = tomb.answered.is_some_and(|last| tick < last + 10);
        if soon || !self.may_send_ack() {
            self.counters.last_acks_limited += 1;
            return;
        }
        self.tombs[index].answered = Some(tick);
        self.counters.last_acks_sent += 1;
        let mut options = Vec::new();
        if let (Some(tsval), Some(tsecr)) = (tomb.tsval, numbers.tsval) {
            options.extend([1, 1, 8, 10]);
            options.extend(tsval.to_be_bytes());
            options.extend(tsecr.to_be_bytes());
        }
        let segment = Segment {
            seq: SeqNumber(tomb.end),
            ack: SeqNumber(tomb.remote_end),
            window: 0,
            options: &options,
            ..Segment::new(external.port, remote.port, Flags::ACK)
        };
        let ip = Header { dont_fragment: true, ..Header::new(external.address, remote.address) };
        let mut data = vec![0; 100];
        let len = craft::tcp(&mut data, &ip, &segment, &[]).unwrap_or(0);
        data.truncate(len);
        self.sent.push(Sent { route: Route::To(Realm::Outside), offload: Offload::default(), data });
    }

    fn may_send_ack(&mut self) -> bool {
        std::mem::swap(&mut self.errors, &mut self.acks);
        let may = self.may_send_error();
        std::mem::swap(&mut self.errors, &mut self.acks);
        may
    }

    /// N4: whose port a new TCP mapping takes when no port is free, and the mapping.
    pub(crate) fn plan_reuse(
        &self,
        protocol: Protocol,
        internal: Endpoint,
        remote: Option<Endpoint>,
    ) -> Result<(MappingId, SessionId), Refusal> {
        let refusal = Refusal::Limit(Limit::PortsExhausted);
        let full = self.mappings.len() >= self.config.limits.mappings as usize;
        let blocks = self.config.pools.iter().any(|pool| pool.blocks.is_some());
        let checks = &self.config.tcp_checks;
        let may = checks.monotonic_rewrite && !self.config.mapping.protocol_independent && !blocks;
        if !may || protocol != Protocol::Tcp || full || self.is_basic(internal.address) {
            return Err(refusal);
        }
        let addresses: Vec<Ipv4Addr> = match self.subscribers.get(&self.whose(internal)) {
            Some(subscriber) => vec![subscriber.external],
            None => self.homes(self.whose(internal)),
        };
        let victim = addresses.into_iter().find_map(|address| {
            let resting = self.sessions.iter().filter(|session| {
                let id = session.id;
                session.phase == Some(Phase::TimeWait)
                    && id.mapping.external.address == address
                    && self.owner(id.remote.address).is_none()
                    && self.sessions.iter().filter(|other| other.id.mapping == id.mapping).count() == 1
                    && !self.kept.contains_key(&id.mapping)
                    && self.sharers(id.mapping) == 1
            });
            resting.min_by_key(|session| session.rested)
        });
        let victim = victim.ok_or(refusal)?.id;
        Ok((MappingId { protocol, internal, external: victim.mapping.external, remote }, victim))
    }

    /// Mappings that have this one's port.
    fn sharers(&self, id: MappingId) -> usize {
        let same = |other: &&MappingId| other.protocol == id.protocol && other.external == id.external;
        self.mappings.iter().filter(same).count()
    }

    /// What is added to the numbers of a new session, as far as they go out.
    pub(crate) fn plan_shift(
        &self,
        external: Endpoint,
        remote: Endpoint,
        victim: Option<SessionId>,
    ) -> Result<(u32, u32), Reason> {
        let Some(numbers) = self.numbers.filter(|_| self.config.tcp_checks.monotonic_rewrite) else {
            return Ok((0, 0));
        };
        let of_victim = victim.filter(|id| id.mapping.external == external && id.remote == remote);
        let living = of_victim
            .and_then(|id| self.session(id))
            .and_then(|index| self.tomb_of(&self.sessions[index], self.tick));
        let dead = self
            .tombs
            .iter()
            .find(|tomb| (tomb.external, tomb.remote) == (external, remote) && tomb.expires > self.tick);
        // A port that the engine drew and did not tell: any that would have been refused.
        let drawn = external.port == 0
            && !self.is_whole(external.address)
            && self.refused == Some(Reason::TimeWaitSyn);
        let may = |tomb: &&Tomb| {
            tomb.remote == remote
                && tomb.expires > self.tick
                && self.is_available(Protocol::Tcp, tomb.external, remote.address)
                && !ends_time_wait(tomb.end, tomb.tsval, &numbers)
        };
        let untold = if drawn { self.tombs.iter().find(may) } else { None };
        let Some(tomb) = living.or(dead.or(untold).copied()) else { return Ok((0, 0)) };
        let seq = if sequence_after(numbers.seq, tomb.end) {
            0
        } else {
            tomb.end.wrapping_add(65_536).wrapping_sub(numbers.seq)
        };
        let elapsed = (self.tick - tomb.seen) * 100 + 1_000;
        let tsval = match (tomb.tsval, numbers.tsval) {
            (Some(old), Some(new)) => {
                let floor = old.wrapping_add(elapsed as u32);
                if ts_before(floor, new) { 0 } else { floor.wrapping_add(1).wrapping_sub(new) }
            }
            _ => 0,
        };
        // As many can be changed at one time as are remembered, and control connections.
        let limits = &self.config.limits;
        let controls = if self.config.algs.ftp.is_empty() { 0 } else { limits.sessions };
        let shifted = self.sessions.iter().filter(|session| session.shifted).count();
        let room = shifted < (limits.tombstones + controls) as usize;
        if !numbers.signed && room {
            return Ok((seq, tsval));
        }
        let accepted = ends_time_wait(tomb.end, tomb.tsval, &numbers);
        if accepted || (seq, tsval) == (0, 0) { Ok((0, 0)) } else { Err(Reason::TimeWaitSyn) }
    }

    /// A session in TIME-WAIT loses its port to `subscriber`.
    pub(crate) fn vacate(&mut self, victim: SessionId, subscriber: Ipv4Addr) {
        let Some(index) = self.session(victim) else { return };
        // Who takes it may be who had it: that subscriber is never gone.
        let own = self.whose(victim.mapping.internal) == subscriber;
        let kept = if own { self.subscribers.remove(&subscriber) } else { None };
        self.delete_session(index, self.tick, DeleteReason::Reused);
        if let Some(kept) = kept {
            self.subscribers.insert(subscriber, kept);
        }
    }
}

/// What a number is: a sequence number or left edge, an acknowledgment or right edge, a timestamp.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    From,
    UpTo,
    Timestamp,
}

/// How a packet's numbers change: whose numbers they are, and what is added to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// SEQ and TSval; else ACK, SACK and TSecr.
    pub(crate) own: bool,
    shift: Shift,
    outwards: bool,
}

impl Change {
    /// Of a session's packet or, `quoted`, of one that an ICMP error quotes; both came from `realm`.
    pub(crate) fn of(shift: Shift, realm: Realm, quoted: bool) -> Option<Self> {
        let outwards = realm == Realm::Inside;
        (shift != Shift::default()).then_some(Self { own: outwards != quoted, shift, outwards })
    }

    fn number(&self, old: u32, kind: Kind) -> u32 {
        let (shift, tsval) = (&self.shift, self.shift.tsval);
        match (kind, self.outwards) {
            (Kind::Timestamp, true) => old.wrapping_add(tsval),
            (Kind::Timestamp, false) => old.wrapping_sub(tsval),
            (Kind::From | Kind::UpTo, true) => shift.out(old, kind == Kind::From),
            (Kind::From | Kind::UpTo, false) => shift.back(old, kind == Kind::From),
        }
    }

    /// Applies it to the TCP header that begins here, as far as it is there.
    pub(crate) fn apply(self, header: &mut [u8]) {
        let end = header.get(12).map_or(0, |octet| usize::from(octet >> 4) * 4).min(header.len());
        let ack = header.get(13).is_some_and(|flags| flags & 0x10 != 0);
        let mut places = vec![];
        let mut at = 20;
        while at < end && header[at] != 0 {
            if header[at] == 1 {
                at += 1;
                continue;
            }
            let Some(len) = header.get(at + 1).map(|len| usize::from(*len)) else { break };
            if len < 2 || at + len > end {
                break;
            }
            match (header[at], len) {
                (19, 18) | (29, 4..) => return,
                (8, 10) if self.own => places.push((at + 2, Kind::Timestamp)),
                (8, 10) if ack => places.push((at + 6, Kind::Timestamp)),
                (5, 10 | 18 | 26 | 34) if !self.own => {
                    let edges = (at + 2..at + len).step_by(8);
                    places.extend(edges.flat_map(|edge| [(edge, Kind::From), (edge + 4, Kind::UpTo)]));
                }
                _ => {}
            }
            at += len;
        }
        match self.own {
            true => places.push((4, Kind::From)),
            false if ack => places.push((8, Kind::UpTo)),
            false => {}
        }
        for (at, kind) in places {
            if let Some(field) = header.get_mut(at..at + 4) {
                let old = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
                field.copy_from_slice(&self.number(old, kind).to_be_bytes());
            }
        }
    }
}

impl Numbers {
    /// What came back to a session with this shift, as the subscriber knows it.
    pub(crate) fn restored(mut self, shift: Shift, realm: Realm) -> Self {
        if realm == Realm::Outside {
            self.ack = self.ack.map(|ack| shift.back(ack, false));
        }
        self
    }
}
