//! Mappings: which external endpoint stands for an internal one (RFC 4787 section 4).

use core::net::Ipv4Addr;

use wire::prefetch::prefetch;
use zerocopy::FromZeros;

use crate::config::Behaviour;
use crate::event::MappingId;
use crate::free::FreeList;
use crate::memory::Arena;
use crate::{Endpoint, Protocol};

/// What a mapping is found by: the internal endpoint, and as much of the remote one as the mapping
/// behaviour says (RFC 4787 4.1, N8). The rest of the remote endpoint is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MappingKey {
    pub(crate) protocol: Protocol,
    pub(crate) internal: Endpoint,
    pub(crate) remote: Endpoint,
}

impl MappingKey {
    #[inline(always)]
    pub(crate) fn new(
        behaviour: Behaviour,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
    ) -> Self {
        let remote = match behaviour {
            Behaviour::EndpointIndependent => Endpoint::new(Ipv4Addr::UNSPECIFIED, 0),
            Behaviour::AddressDependent => Endpoint::new(remote.address, 0),
            Behaviour::AddressAndPortDependent => remote,
        };
        Self { protocol, internal, remote }
    }

    /// The key of a mapping that serves all remotes.
    pub(crate) fn independent(protocol: Protocol, internal: Endpoint) -> Self {
        Self { protocol, internal, remote: Endpoint::new(Ipv4Addr::UNSPECIFIED, 0) }
    }

    /// As much of the remote endpoint as it depends on; `None`: nothing.
    pub(crate) fn depends_on(&self) -> Option<Endpoint> {
        (!self.remote.address.is_unspecified()).then_some(self.remote)
    }
}

/// The line is in use.
const LIVE: u8 = 1;
/// It is there for ever.
const STATIC: u8 = 2;
/// It was asked for, and has its time in [`crate::kept::Kept`].
const KEPT: u8 = 4;
/// Filtering does not apply to it.
const OPEN: u8 = 8;

/// One mapping. It lives as long as it has sessions or is kept.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct Mapping {
    internal_address: u32,
    external_address: u32,
    internal_port: u16,
    external_port: u16,
    protocol: u8,
    flags: u8,
    /// Of its key.
    remote_port: u16,
    /// Sessions that use it.
    pub(crate) sessions: u32,
    /// Index of its subscriber.
    pub(crate) subscriber: u32,
    /// Index of its external address in the pool: there are at most 65,536.
    address: u16,
    /// Sessions that the outside has opened.
    pub(crate) inbound: u16,
    /// Of its key.
    remote_address: u32,
}

const _: () = assert!(size_of::<Mapping>() == 32);

impl Mapping {
    #[inline(always)]
    pub(crate) fn new(key: MappingKey, external: Endpoint, subscriber: u32, address: u32) -> Self {
        Self {
            internal_address: key.internal.address.to_bits(),
            external_address: external.address.to_bits(),
            internal_port: key.internal.port,
            external_port: external.port,
            protocol: key.protocol as u8,
            flags: LIVE,
            remote_port: key.remote.port,
            sessions: 0,
            subscriber,
            address: address as u16,
            inbound: 0,
            remote_address: key.remote.address.to_bits(),
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

    /// Index of its external address in the pool.
    pub(crate) fn address(&self) -> u32 {
        self.address.into()
    }

    pub(crate) fn key(&self) -> MappingKey {
        let remote = Endpoint::new(Ipv4Addr::from_bits(self.remote_address), self.remote_port);
        MappingKey { protocol: self.protocol(), internal: self.internal(), remote }
    }

    pub(crate) fn is(&self, key: MappingKey) -> bool {
        self.protocol == key.protocol as u8
            && self.internal() == key.internal
            && self.remote_address == key.remote.address.to_bits()
            && self.remote_port == key.remote.port
    }

    pub(crate) fn id(&self) -> MappingId {
        MappingId {
            protocol: self.protocol(),
            internal: self.internal(),
            external: self.external(),
            remote: self.key().depends_on(),
        }
    }

    /// It lives without sessions.
    pub(crate) fn is_kept(&self) -> bool {
        self.flags & (STATIC | KEPT) != 0
    }

    pub(crate) fn is_static(&self) -> bool {
        self.flags & STATIC != 0
    }

    /// Strangers may use it whatever the filter says: that is what it was asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.flags & OPEN != 0
    }

    pub(crate) fn set_static(&mut self) {
        self.flags |= STATIC | OPEN;
    }

    pub(crate) fn set_kept(&mut self, open: bool) {
        self.flags |= KEPT | if open { OPEN } else { 0 };
    }

    /// From now on it is as any other.
    pub(crate) fn set_ordinary(&mut self) {
        self.flags &= !(KEPT | OPEN);
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
        self.lines[index as usize].flags = 0;
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
        self.lines[..self.free.used()].iter().filter(|mapping| mapping.flags & LIVE != 0)
    }
}
