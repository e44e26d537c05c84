//! What is remembered of TCP connections that have ended (N4, N6), by their tuple outside.
//!
//! A ring of fixed size: a new one takes the place of the oldest.

use wire::SeqNumber;
use wire::craft::{self, Header};
use wire::tcp::{Flags, TcpOption};
use zerocopy::FromZeros;

use crate::batch::{Arrival, Route};
use crate::brief::Brief;
use crate::engine::Engine;
use crate::event::DeleteReason;
use crate::hash::{Flow, HashKey};
use crate::memory::Arena;
use crate::session::Session;
use crate::table::Table;
use crate::tcp::shift::{Shift, options_of};
use crate::{Endpoint, Offload, Packet, Protocol, Realm};
use rules::tracking::{State, Timer};

/// One connection that is over, as the remote saw it.
#[derive(FromZeros, Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Tombstone {
    addresses: [u32; 2],
    ports: [u16; 2],
    /// What the subscriber sent ends here.
    pub(crate) end: u32,
    /// What the remote sent ends here.
    remote_end: u32,
    /// The subscriber's last timestamp.
    tsval: u32,
    /// The tick when the connection was last seen, and that from which on nothing is remembered.
    seen: u32,
    expires: u32,
    /// 1 + the tick of the last answer; 0: none yet.
    answered: u32,
    has_tsval: bool,
    /// The subscriber has acknowledged the remote's FIN.
    answers: bool,
    live: bool,
    reserved: bool,
}

const _: () = assert!(size_of::<Tombstone>() == 64);

/// Ticks between two answers for one connection: a second, the least that a FIN waits to be sent again.
const BETWEEN: u32 = 10;

/// What the last packets before the end may have been ahead of what was followed: a second.
const UNSEEN_MILLIS: u32 = 1_000;

impl Tombstone {
    fn flow(&self) -> Flow {
        let [remote, external] = [0, 1].map(|n| Endpoint::new(self.addresses[n].into(), self.ports[n]));
        Flow::new(Realm::Outside, Protocol::Tcp, remote, external)
    }

    pub(crate) fn tsval(&self) -> Option<u32> {
        self.has_tsval.then_some(self.tsval)
    }

    /// Milliseconds since its timestamp, at least.
    pub(crate) fn elapsed(&self, tick: u32) -> u32 {
        tick.saturating_sub(self.seen).saturating_mul(100).saturating_add(UNSEEN_MILLIS)
    }
}

/// All tombstones.
#[derive(Debug)]
pub(crate) struct Tombstones {
    ring: Arena<Tombstone>,
    by_flow: Table,
    next: usize,
}

impl Tombstones {
    /// What so many take.
    pub(crate) fn octets(capacity: u64) -> u64 {
        capacity * size_of::<Tombstone>() as u64 + Table::octets(capacity)
    }

    pub(crate) fn new(capacity: u32) -> std::io::Result<Self> {
        let capacity = capacity as usize;
        Ok(Self { ring: Arena::cold(capacity)?, by_flow: Table::new(capacity)?, next: 0 })
    }

    fn insert(&mut self, key: HashKey, tombstone: Tombstone) {
        let hash = key.flow(tombstone.flow());
        if let Some(index) = self.find(hash, tombstone.flow()) {
            self.remove(key, index);
        }
        if self.ring.is_empty() {
            return;
        }
        let place = self.next;
        self.next = (place + 1) % self.ring.len();
        self.remove(key, place as u32);
        // Where its bucket is full, it is not remembered.
        if self.by_flow.insert(hash, place as u32).is_ok() {
            self.ring[place] = Tombstone { live: true, ..tombstone };
        }
    }

    fn remove(&mut self, key: HashKey, index: u32) {
        let tombstone = &mut self.ring[index as usize];
        if tombstone.live {
            tombstone.live = false;
            self.by_flow.remove(key.flow(tombstone.flow()), index);
        }
    }

    fn find(&self, hash: u64, flow: Flow) -> Option<u32> {
        self.by_flow.find(hash, |index| self.ring[index as usize].flow() == flow)
    }

    /// What is remembered of `flow` at `tick`.
    pub(crate) fn get(&self, hash: u64, flow: Flow, tick: u32) -> Option<&Tombstone> {
        let index = self.find(hash, flow)?;
        self.ring.get(index as usize).filter(|tombstone| tombstone.expires > tick)
    }
}

impl Engine {
    /// What is to be remembered of `session` if it ends at `tick`.
    pub(crate) fn tombstone_of(&self, session: &Session, tick: u32) -> Option<Tombstone> {
        let over = matches!(session.state(), State::TimeWait | State::ClientFinLast | State::ServerFinLast);
        if session.protocol() != Protocol::Tcp || session.is_hairpin() || !over {
            return None;
        }
        let line = &session.line;
        let (end, remote_end) = (line.end(Realm::Inside)?, line.end(Realm::Outside)?);
        let shift = self.shifts.get(session.shift());
        let (remote, external) = (session.remote(), session.external());
        Some(Tombstone {
            addresses: [remote.address.to_bits(), external.address.to_bits()],
            ports: [remote.port, external.port],
            end: shift.out(end.0),
            remote_end: remote_end.0,
            tsval: line.tsval(Realm::Inside).unwrap_or(0).wrapping_add(shift.tsval),
            seen: session.last_seen,
            expires: tick.saturating_add(self.timers[Timer::TimeWait as usize]).saturating_add(1),
            answered: 0,
            has_tsval: line.tsval(Realm::Inside).is_some(),
            answers: line.passed(Realm::Outside).acknowledged == Some(remote_end),
            live: true,
            reserved: false,
        })
    }

    /// Session `index` ends at `tick`: its tuple is remembered where anybody may ask for it.
    pub(crate) fn bury(&mut self, session: &Session, tick: u32, reason: DeleteReason) {
        if self.remembers
            && reason != DeleteReason::Reset
            && let Some(tombstone) = self.tombstone_of(session, tick)
        {
            self.tombstones.insert(self.key, tombstone);
        }
    }

    /// A segment without a session: if it is the last FIN again of a connection whose end is remembered,
    /// it is answered as the subscriber would have (update-01 2.2.1.3).
    pub(crate) fn answer_fin(&mut self, arrival: Arrival, packet: &Packet<'_>, brief: &Brief) {
        let is_fin = brief.is_tcp
            && brief.flags.contains(Flags::FIN)
            && !brief.flags.intersects(Flags(Flags::SYN.0 | Flags::RST.0));
        if !is_fin || !self.config.tcp_checks.resend_last_ack || arrival != Arrival::From(Realm::Outside) {
            return;
        }
        let tick = self.tick;
        let Some(index) = self.tombstones.find(brief.hash, brief.flow) else { return };
        let Some(tombstone) = self.tombstones.ring.get_mut(index as usize) else { return };
        let again = tombstone.answered != 0 && tick < tombstone.answered - 1 + BETWEEN;
        if tombstone.expires <= tick || !tombstone.answers || brief.seen.end().0 != tombstone.remote_end {
            return;
        }
        if again || !self.output.may_send_ack(self.now) {
            self.output.counters.last_acks_limited += 1;
            return;
        }
        tombstone.answered = tick + 1;
        let tombstone = *tombstone;
        self.output.counters.last_acks_sent += 1;
        if let Some(ack) = last_ack(&tombstone, packet, brief) {
            self.output.send(Route::To(Realm::Outside), Offload::default(), ack);
        }
    }

    /// What a new session from `internal` to the tuple of `flow` outside must begin with, so that the
    /// remote takes it for a new one: a shift, or nothing. `None`: it would be refused there.
    pub(crate) fn continuation(
        &self,
        victim: Option<u32>,
        flow: Flow,
        hash: u64,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Option<Shift> {
        let lines = self.sessions.lines();
        let living = victim
            .filter(|&index| lines[index as usize].flow(Realm::Outside) == flow)
            .and_then(|index| self.tombstone_of(&lines[index as usize], self.tick));
        let last = match living {
            Some(tombstone) => tombstone,
            None => match self.tombstones.get(hash, flow, self.tick) {
                Some(tombstone) => *tombstone,
                None => return Some(Shift::default()),
            },
        };
        let ends = rules::middlebox::Last {
            end: SeqNumber(last.end),
            tsval: last.tsval(),
            elapsed: last.elapsed(self.tick),
        };
        let (seq, tsval) = (brief.seen.seq(), brief.seen.timestamp());
        let (seq_shift, ts_shift) = rules::middlebox::continuation(ends, seq, tsval);
        let shift = Shift::constant(seq_shift, ts_shift);
        if shift == Shift::default() {
            return Some(shift);
        }
        let header = packet.data.get(usize::from(brief.header_len)..).unwrap_or_default();
        let may_shift = self.shifts.has_room() && !super::shift::has_signature(options_of(header));
        let ended = rules::time_wait::Ended { rcv_nxt: ends.end, ts_recent: ends.tsval };
        let accepted =
            rules::time_wait::time_wait_syn(ended, rules::time_wait::NewSyn { seq, tsval }).is_accept();
        match (may_shift, accepted) {
            (true, _) => Some(shift),
            (false, true) => Some(Shift::default()),
            (false, false) => None,
        }
    }
}

/// The last ACK of a connection, in answer to its FIN in `packet`.
fn last_ack(tombstone: &Tombstone, packet: &Packet<'_>, brief: &Brief) -> Option<Vec<u8>> {
    let [remote, external] = [0, 1].map(|n| Endpoint::new(tombstone.addresses[n].into(), tombstone.ports[n]));
    let mut options = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
    let header = packet.data.get(usize::from(brief.header_len)..).unwrap_or_default();
    let tsecr = wire::tcp::OptionsIter::new(options_of(header))
        .map_while(Result::ok)
        .find_map(|option| if let TcpOption::Timestamps { value, .. } = option { Some(value) } else { None });
    let used = match (tombstone.tsval(), tsecr) {
        (Some(tsval), Some(tsecr)) => {
            options[4..8].copy_from_slice(&tsval.to_be_bytes());
            options[8..12].copy_from_slice(&tsecr.to_be_bytes());
            options.len()
        }
        _ => 0,
    };
    let segment = craft::Segment {
        seq: SeqNumber(tombstone.end),
        ack: SeqNumber(tombstone.remote_end),
        // Whoever has sent a FIN sends nothing more that would need room.
        window: 0,
        options: options.get(..used)?,
        ..craft::Segment::new(external.port, remote.port, Flags::ACK)
    };
    let mut data = vec![0; 52];
    let ip = Header { dont_fragment: true, ..Header::new(external.address, remote.address) };
    let len = craft::tcp(&mut data, &ip, &segment, &[])?;
    data.truncate(len);
    Some(data)
}
