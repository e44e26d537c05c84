//! Where the connections are: a place each, with a generation, so that an id is never mistaken.

use alloc::vec::Vec;

use super::BoxedConnection;
use crate::connection::Connection;
use crate::{ConnectionId, ListenerId};

/// The connections by index.
#[derive(Default)]
pub(super) struct Slab {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    connection: Option<BoxedConnection>,
    /// Counts the ids that this place has had.
    generation: u32,
    /// It is in the queue of those that have something to send.
    ready: bool,
    /// It is in the queue of those that have something to tell.
    noticed: bool,
}

impl Slab {
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, connection: BoxedConnection) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.connection = Some(connection);
        }
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<BoxedConnection> {
        let slot = self.slots.get_mut(index as usize)?;
        let connection = slot.connection.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(connection)
    }

    /// The application's id of this connection is void; the connection itself may go on.
    pub(super) fn retire(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get_mut(id.index as usize)
            && slot.generation == id.generation
        {
            slot.generation = slot.generation.wrapping_add(1);
        }
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Connection> {
        self.slots.get_mut(index as usize)?.connection.as_deref_mut()
    }

    pub(super) fn id(&self, index: u32) -> Option<ConnectionId> {
        let slot = self.slots.get(index as usize)?;
        slot.connection.is_some().then_some(ConnectionId { index, generation: slot.generation })
    }

    pub(super) fn index_of(&self, id: ConnectionId) -> Option<u32> {
        let slot = self.slots.get(id.index as usize)?;
        (slot.connection.is_some() && slot.generation == id.generation).then_some(id.index)
    }

    pub(super) fn find(&self, id: ConnectionId) -> Option<&Connection> {
        let index = self.index_of(id)?;
        self.slots.get(index as usize)?.connection.as_deref()
    }

    pub(super) fn find_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let index = self.index_of(id)?;
        self.get_mut(index)
    }

    /// Connections that came in by `listener` and were not accepted.
    pub(super) fn indices_of(&self, listener: ListenerId) -> Vec<u32> {
        let of_listener = |slot: &Slot| {
            slot.connection.as_ref().is_some_and(|connection| connection.listener == Some(listener))
        };
        (0..).zip(&self.slots).filter(|(_, slot)| of_listener(slot)).map(|(index, _)| index).collect()
    }

    pub(super) fn is_ready(&self, index: u32) -> bool {
        self.slots.get(index as usize).is_some_and(|slot| slot.ready)
    }

    /// True if that is a change.
    pub(super) fn set_ready(&mut self, index: u32, ready: bool) -> bool {
        self.slots
            .get_mut(index as usize)
            .is_some_and(|slot| core::mem::replace(&mut slot.ready, ready) != ready)
    }

    /// True if that is a change.
    pub(super) fn set_noticed(&mut self, index: u32, noticed: bool) -> bool {
        let slot = self.slots.get_mut(index as usize);
        slot.is_some_and(|slot| core::mem::replace(&mut slot.noticed, noticed) != noticed)
    }
}
