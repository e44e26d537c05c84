//! TCP connections as the [`Scrubber`](super::Scrubber) follows them: a fixed number of lines, none of which
//! outlives its use.
//!
//! A SYN opens one; of what was running before there is nothing to measure a segment by. There are no
//! timers: a line whose time is up is taken when another connection needs one, and so is one that never got
//! beyond its first SYN, so a flood of SYNs does not keep connections out that come later.

use rules::Instant;
use rules::middlebox::{Rst, rst_is_exact};
use rules::tracking::{Segment, Side, State, step};
use wire::prefetch::prefetch;
use wire::tcp::Flags;
use zerocopy::FromZeros;

use crate::Realm;
use crate::brief::Brief;
use crate::config::Scrub;
use crate::config::TcpTimeouts;
use crate::free::FreeList;
use crate::hash::{Flow, HashKey};
use crate::memory::Arena;
use crate::table::{Guess, Table};
use crate::tcp::Line;
use crate::timer::{start_of, ticks};

/// Lines that are looked at for one that can be taken.
const LOOKS: usize = 16;

/// One connection, by both of its directions.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Entry {
    /// By side: the lower endpoint is [`Realm::Inside`]'s place, whichever side of the scrubber it is on.
    line: Line,
    addresses: u64,
    ports: u64,
    last_seen: u32,
    state: u8,
    /// The side that opened it.
    opener: u8,
    live: u8,
    spare: u8,
}

/// Which connection a segment belongs to, and which side has sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    flow: Flow,
    pub(crate) hash: u64,
    pub(crate) side: Realm,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Flows {
    table: Table,
    entries: Arena<Entry>,
    free: FreeList,
    /// The next to be looked at when a line is wanted.
    hand: usize,
    timeouts: [u32; 5],
}

impl Flows {
    /// What these settings take.
    pub(crate) fn octets(settings: &Scrub) -> u64 {
        let flows = u64::from(settings.flows.unwrap_or(0));
        if flows == 0 { 0 } else { flows * (size_of::<Entry>() + 4) as u64 + Table::octets(flows) }
    }

    pub(crate) fn new(flows: u32, timeouts: &TcpTimeouts) -> std::io::Result<Self> {
        let TcpTimeouts { opening, established, closing, time_wait, transitory } = *timeouts;
        Ok(Self {
            table: Table::new(flows as usize)?,
            entries: Arena::hot(flows as usize)?,
            free: FreeList::new(flows)?,
            hand: 0,
            timeouts: [opening, established, closing, time_wait, transitory].map(ticks),
        })
    }

    /// The key of a segment: the lower endpoint first, so that both directions have the same.
    #[inline(always)]
    pub(crate) fn key(key: HashKey, flow: Flow) -> Key {
        let source = (flow.addresses >> 32) << 16 | flow.ports >> 32;
        let destination = (flow.addresses & 0xffff_ffff) << 16 | flow.ports >> 16 & 0xffff;
        let swapped = source > destination;
        let (low, high) = (source.min(destination), source.max(destination));
        let flow =
            Flow { addresses: low >> 16 << 32 | high >> 16, ports: (low & 0xffff) << 16 | high & 0xffff };
        let side = if swapped { Realm::Outside } else { Realm::Inside };
        Key { flow, hash: key.flow(flow), side }
    }

    pub(crate) fn prefetch_bucket(&self, hash: u64) {
        self.table.prefetch(hash, 0);
    }

    pub(crate) fn prefetch_entry(&self, hash: u64) {
        if let Guess::Entry(index) = self.table.guess(hash, 0) {
            prefetch(&self.entries, index as usize);
            for other in self.table.other_guesses(hash, 0) {
                prefetch(&self.entries, other as usize);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn find(&self, key: &Key) -> Option<u32> {
        self.table.find(key.hash, |index| {
            let entry = &self.entries[index as usize];
            entry.addresses == key.flow.addresses && entry.ports == key.flow.ports
        })
    }

    pub(crate) fn len(&self) -> u32 {
        self.free.live()
    }

    pub(crate) fn line(&self, index: u32) -> &Line {
        &self.entries[index as usize].line
    }

    /// The port that the connection was opened to.
    pub(crate) fn service(&self, index: u32) -> u16 {
        let entry = &self.entries[index as usize];
        // The opener's peer: the high endpoint is in the low half.
        if entry.opener == Realm::Inside as u8 { entry.ports as u16 } else { (entry.ports >> 16) as u16 }
    }

    /// A line for the connection that a SYN opens; nothing if all are in use.
    pub(crate) fn open(&mut self, key: &Key, keys: HashKey, tick: u32) -> Option<u32> {
        if !self.free.has_room(1) {
            self.make_room(keys, tick);
        }
        if !self.table.has_room(key.hash) {
            return None;
        }
        let index = self.free.take()?;
        if self.table.insert(key.hash, index).is_err() {
            self.free.give(index);
            return None;
        }
        self.entries[index as usize] = Entry {
            line: Line::default(),
            addresses: key.flow.addresses,
            ports: key.flow.ports,
            last_seen: tick,
            state: State::Closed as u8,
            opener: key.side as u8,
            live: 1,
            spare: 0,
        };
        Some(index)
    }

    /// Takes a line whose time is up, or else one that has seen only a SYN.
    #[cold]
    fn make_room(&mut self, keys: HashKey, tick: u32) {
        let mut half_open = None;
        for _ in 0..LOOKS {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.entries.len().max(1);
            let Some(entry) = self.entries.get(at).filter(|entry| entry.live != 0) else { continue };
            let state = State::from_number(entry.state).unwrap_or(State::Closed);
            let timeout = self.timeouts[state.timer() as usize % self.timeouts.len()];
            if tick.saturating_sub(entry.last_seen) > timeout {
                return self.remove(at as u32, keys);
            }
            if state == State::Init {
                half_open.get_or_insert(at as u32);
            }
        }
        if let Some(index) = half_open {
            self.remove(index, keys);
        }
    }

    fn remove(&mut self, index: u32, keys: HashKey) {
        let entry = &mut self.entries[index as usize];
        entry.live = 0;
        let flow = Flow { addresses: entry.addresses, ports: entry.ports };
        self.table.remove(keys.flow(flow), index);
        self.free.give(index);
    }

    /// A segment that passes moves its connection.
    #[inline(always)]
    pub(crate) fn follow(&mut self, index: u32, side: Realm, brief: &Brief, tick: u32, now: Instant) {
        let entry = &mut self.entries[index as usize];
        let state = State::from_number(entry.state).unwrap_or(State::Closed);
        if brief.flags.intersects(Flags::SYN | Flags::RST) && !entry.take_rare(side, brief, state) {
            return;
        }
        if !brief.flags.contains(Flags::SYN) {
            entry.line.feed(side, &brief.seen, brief.flags, start_of(entry.last_seen), now);
        }
        let from = if side as u8 == entry.opener { Side::Client } else { Side::Server };
        let state = State::from_number(entry.state).unwrap_or(State::Closed);
        let moved = step(state, from, Segment::from_flags(brief.flags));
        entry.state = moved.state as u8;
        if moved.refresh {
            entry.last_seen = tick;
        }
    }
}

impl Entry {
    /// A SYN or a RST; whether it moves the state.
    #[cold]
    fn take_rare(&mut self, side: Realm, brief: &Brief, state: State) -> bool {
        if brief.flags.contains(Flags::RST) {
            let ack = brief.flags.contains(Flags::ACK).then(|| brief.seen.ack());
            return rst_is_exact(state, Rst { seq: brief.seen.seq(), ack }, self.line.passed(side));
        }
        let running = matches!(state, State::Established | State::ClientFin | State::ServerFin);
        let again = state == State::Init || state == State::Closed;
        if !running && !again && !brief.flags.contains(Flags::ACK) {
            // A connection that was over begins anew, perhaps from the other side.
            self.line = Line::default();
            (self.state, self.opener) = (State::Closed as u8, side as u8);
        }
        self.line.feed_syn(side, &brief.seen, brief.flags, !running);
        true
    }
}
