//! Mappings: which external endpoint stands for an internal one (RFC 4787 section 4).

use core::net::Ipv4Addr;

use zerocopy::FromZeros;

use crate::event::MappingId;
use crate::free::FreeList;
use crate::memory::{Arena, prefetch};
use crate::{Endpoint, Protocol};

/// One mapping. It lives as long as it has sessions.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct Mapping {
    internal_address: u32,
    external_address: u32,
    internal_port: u16,
    external_port: u16,
    protocol: u8,
    live: bool,
    reserved: u16,
    /// Sessions that use it.
    pub(crate) sessions: u32,
    /// Index of its subscriber.
    pub(crate) subscriber: u32,
    /// Index of its external address in the pool.
    pub(crate) address: u32,
    reserved2: u32,
}

const _: () = assert!(size_of::<Mapping>() == 32);

impl Mapping {
    #[inline(always)]
    pub(crate) fn new(id: MappingId, subscriber: u32, address: u32) -> Self {
        Self {
            internal_address: id.internal.address.to_bits(),
            external_address: id.external.address.to_bits(),
            internal_port: id.internal.port,
            external_port: id.external.port,
            protocol: id.protocol as u8,
            live: true,
            reserved: 0,
            sessions: 0,
            subscriber,
            address,
            reserved2: 0,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        Protocol::from_index(self.protocol)
    }

    pub(crate) fn internal(&self) -> Endpoint {
        Endpoint::new(Ipv4Addr::from_bits(self.internal_address), self.internal_port)
    }

    pub(crate) fn external(&self) -> Endpoint {
        Endpoint::new(Ipv4Addr::from_bits(self.external_address), self.external_port)
    }

    pub(crate) fn is(&self, protocol: Protocol, internal: Endpoint) -> bool {
        self.protocol == protocol as u8 && self.internal() == internal
    }

    pub(crate) fn id(&self) -> MappingId {
        MappingId { protocol: self.protocol(), internal: self.internal(), external: self.external() }
    }
}

/// All mappings.
#[derive(Debug)]
pub(crate) struct Mappings {
    lines: Arena<Mapping>,
    free: FreeList,
}

impl Mappings {
    /// What one takes, its place in the free list included.
    pub(crate) const OCTETS: u64 = (size_of::<Mapping>() + size_of::<u32>()) as u64;

    pub(crate) fn new(capacity: u32) -> std::io::Result<Self> {
        Ok(Self { lines: Arena::hot(capacity as usize)?, free: FreeList::new(capacity)? })
    }

    pub(crate) fn has_room(&self, count: u32) -> bool {
        self.free.has_room(count)
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, mapping: Mapping) -> Option<u32> {
        let index = self.free.take()?;
        self.lines[index as usize] = mapping;
        Some(index)
    }

    pub(crate) fn remove(&mut self, index: u32) {
        self.free.give(index);
        self.lines[index as usize].live = false;
    }

    pub(crate) fn get(&self, index: u32) -> &Mapping {
        &self.lines[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Mapping {
        &mut self.lines[index as usize]
    }

    /// Asks for the lines of the next `count` mappings to be made.
    pub(crate) fn prefetch_free(&self, count: usize) {
        for index in self.free.next(count) {
            prefetch(&self.lines, index as usize);
        }
    }

    pub(crate) fn lines(&self) -> &[Mapping] {
        &self.lines
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.lines[..self.free.used()].iter().filter(|mapping| mapping.live)
    }
}
