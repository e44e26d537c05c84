//! Where the connections are: a place each, with a generation, so that an id is never mistaken.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::offset_of;

use rules::Instant;
use wire::prefetch::prefetch_lines;

use crate::connection::Connection;
use crate::{ConnectionId, ListenerId};

/// Places that are allocated together: few enough that one connection does not cost much, and many enough that the
/// table of them stays in the cache.
const CHUNK: usize = 32;

/// A connection that waits for nothing.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// The connections by index. They lie in their places, not behind them: what is next to be fetched of a connection
/// is next in memory. A place never moves.
#[derive(Default)]
pub(super) struct Slab {
    chunks: Vec<Box<[Slot]>>,
    /// Places that were ever used.
    used: u32,
    free: Vec<u32>,
}

/// What is asked of every connection stands in front of it, in the same cache line.
#[repr(C, align(64))]
pub(super) struct Slot {
    /// When the timers have it woken.
    wakes: Instant,
    /// Counts the ids that this place has had.
    generation: u32,
    /// It is in the queue of those that have something to send.
    pub(super) ready: bool,
    /// It is in the queue of those that have something to tell.
    pub(super) noticed: bool,
    pub(super) connection: Option<Connection>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { wakes: NEVER, generation: 0, ready: false, noticed: false, connection: None }
    }
}

impl Slab {
    pub(super) const fn len(&self) -> usize {
        self.used as usize - self.free.len()
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.chunks.get(index as usize / CHUNK)?.get(index as usize % CHUNK)
    }

    pub(super) fn slot_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.chunks.get_mut(index as usize / CHUNK)?.get_mut(index as usize % CHUNK)
    }

    pub(super) fn insert(&mut self, connection: Connection) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            if self.used as usize == self.chunks.len() * CHUNK {
                self.chunks.push((0..CHUNK).map(|_| Slot::default()).collect());
            }
            self.used += 1;
            self.used - 1
        });
        if let Some(slot) = self.slot_mut(index) {
            slot.connection = Some(connection);
        }
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Connection> {
        let slot = self.slot_mut(index)?;
        let connection = slot.connection.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(connection)
    }

    /// The application's id of this connection is void; the connection itself may go on.
    pub(super) fn retire(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slot_mut(id.index)
            && slot.generation == id.generation
        {
            slot.generation = slot.generation.wrapping_add(1);
        }
    }

    /// Asks for what a segment with text and its ACK look at.
    pub(super) fn prefetch(&self, index: u32) {
        if let Some(slot) = self.slot(index) {
            prefetch_lines(slot, offset_of!(Slot, connection) + offset_of!(Connection, recovery));
        }
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Connection> {
        self.slot_mut(index)?.connection.as_mut()
    }

    pub(super) fn id(&self, index: u32) -> Option<ConnectionId> {
        let slot = self.slot(index)?;
        slot.connection.is_some().then_some(ConnectionId { index, generation: slot.generation })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.chunks.iter().flatten().filter_map(|slot| slot.connection.as_ref())
    }

    pub(super) fn index_of(&self, id: ConnectionId) -> Option<u32> {
        let slot = self.slot(id.index)?;
        (slot.connection.is_some() && slot.generation == id.generation).then_some(id.index)
    }

    pub(super) fn find(&self, id: ConnectionId) -> Option<&Connection> {
        let index = self.index_of(id)?;
        self.slot(index)?.connection.as_ref()
    }

    pub(super) fn find_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slot_mut(id.index).filter(|slot| slot.generation == id.generation)?;
        slot.connection.as_mut()
    }

    /// Connections that came in by `listener` and were not accepted.
    pub(super) fn indices_of(&self, listener: ListenerId) -> Vec<u32> {
        let of_listener = |slot: &Slot| {
            slot.connection.as_ref().is_some_and(|connection| connection.listener == Some(listener))
        };
        (0..)
            .zip(self.chunks.iter().flatten())
            .filter(|(_, slot)| of_listener(slot))
            .map(|(index, _)| index)
            .collect()
    }
}

impl Slot {
    /// The connection is to be woken at `time` (`None`: not at all). True if the timers have to be told: one that is
    /// woken early says anew when its time is.
    pub(super) fn set_wakes(&mut self, time: Option<Instant>) -> bool {
        let told = match time {
            Some(time) => time < self.wakes,
            None => self.wakes != NEVER,
        };
        if told {
            self.wakes = time.unwrap_or(NEVER);
        }
        told
    }
}
