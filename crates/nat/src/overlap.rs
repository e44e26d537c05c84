//! One external port for several internal endpoints, while their remote addresses differ (RFC 7857 3 and 13, N8).
//!
//! Such a port has no owner. A session finds its packets by the whole tuple as ever; whatever else comes from
//! outside finds the one mapping of the port that was made for that remote address, or none. Only mappings that
//! depend on the remote share; one that serves all remotes has its port to itself.

use core::net::Ipv4Addr;

use crate::config::Config;
use crate::engine::Engine;
use crate::mapping::Mapping;
use crate::pool::Port;
use crate::table::Table;
use crate::{Endpoint, Protocol};

/// Shared ports that are looked at for one without a mapping for a remote address.
const PROBES: usize = 64;

/// Mappings by external endpoint and remote address, where ports overlap.
#[derive(Debug)]
pub(crate) struct Shares(Option<Table>);

impl Shares {
    pub(crate) fn new(config: &Config) -> std::io::Result<Self> {
        let count = config.limits.mappings as usize;
        Ok(Self(if config.mapping.port_overlap { Some(Table::new(count)?) } else { None }))
    }

    /// What they take.
    pub(crate) fn octets(config: &Config) -> u64 {
        if config.mapping.port_overlap { Table::octets(config.limits.mappings.into()) } else { 0 }
    }

    pub(crate) fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Leaves room for one bucket.
    #[cfg(test)]
    pub(crate) fn shrink(&mut self) {
        self.0 = Table::new(0).ok();
    }
}

impl Engine {
    /// The mapping that `remote` reaches at `port`.
    pub(crate) fn mapping_at(&self, port: Port, remote: Ipv4Addr) -> Option<u32> {
        if self.basic.is(port.address) {
            return self.mapping_of_whole(port);
        }
        if port.protocol == Protocol::Other {
            return None;
        }
        self.pool.mapping(port).or_else(|| self.shared_with(port, remote))
    }

    /// The mapping of shared `port` for `remote`.
    fn shared_with(&self, port: Port, remote: Ipv4Addr) -> Option<u32> {
        let table = self.shares.0.as_ref()?;
        let (external, lines) = (self.pool.endpoint(port), self.mappings.lines());
        table.find(self.key.share(port.protocol, external, remote), |index| {
            let line = &lines[index as usize];
            line.external() == external
                && line.protocol() == port.protocol
                && line.key().remote.address == remote
        })
    }

    /// Whether a mapping for `remote` may have `port`.
    pub(crate) fn may_take(&self, port: Port, remote: Ipv4Addr) -> bool {
        self.pool.may_take(port) || self.pool.is_shared(port) && self.shared_with(port, remote).is_none()
    }

    /// Whether there is a place for what a mapping at `port` for `remote` is found by.
    pub(crate) fn has_share(&self, port: Port, remote: Ipv4Addr) -> bool {
        let hash = self.key.share(port.protocol, self.pool.endpoint(port), remote);
        self.shares.0.as_ref().is_none_or(|table| table.has_room(hash))
    }

    /// A port of `address` that others have, but none of them for `remote`: a bounded search from a drawn one on.
    pub(crate) fn choose_shared(
        &mut self,
        address: u32,
        protocol: Protocol,
        internal: Endpoint,
        remote: Ipv4Addr,
    ) -> Option<Port> {
        self.shares.are_on().then_some(())?;
        let range = self.pool.range(address, protocol);
        let flow = [u64::from(internal.address.to_bits()) << 16 | u64::from(internal.port), protocol as u64];
        let mut selector = self.selector.clone();
        let chosen = selector.select(range.clone(), flow, |from| {
            let ports = (from..=*range.end()).chain(*range.start()..from).take(PROBES);
            ports.into_iter().find(|&port| self.may_take(Port { address, protocol, port }, remote))
        });
        self.selector = selector;
        chosen.map(|port| Port { address, protocol, port })
    }

    /// Mapping `index` takes `port`: alone, or with others. `false`: it could not be found there.
    pub(crate) fn take_port(&mut self, port: Port, index: u32) -> bool {
        if self.basic.is(port.address) {
            return true;
        }
        let mapping = *self.mappings.get(index);
        match self.share_of(&mapping) {
            Some(hash) => {
                if let Some(table) = &mut self.shares.0
                    && table.insert(hash, index).is_err()
                {
                    return false;
                }
                self.pool.share(port);
            }
            None => {
                let subscriber = self.subscriber_of(mapping.internal().address);
                self.pool.take(port, index, subscriber);
            }
        }
        true
    }

    /// Mapping `index`, which is `mapping`, gives its port back.
    pub(crate) fn give_port(&mut self, mapping: &Mapping, index: u32, tick: u32) {
        let (address, protocol) = (mapping.address(), mapping.protocol());
        if self.basic.is(address) {
            return;
        }
        let port = Port { address, protocol, port: mapping.external().port };
        match self.share_of(mapping) {
            Some(hash) => {
                if let Some(table) = &mut self.shares.0 {
                    table.remove(hash, index);
                }
                self.pool.unshare(port, tick);
            }
            None => self.pool.give(port, tick),
        }
    }

    /// Whether no other mapping has the port of `mapping`.
    pub(crate) fn has_port_alone(&self, mapping: &Mapping) -> bool {
        let (address, protocol) = (mapping.address(), mapping.protocol());
        self.pool.sharers(Port { address, protocol, port: mapping.external().port }) <= 1
    }

    /// What a mapping that shares its port is found by.
    fn share_of(&self, mapping: &Mapping) -> Option<u64> {
        let remote = self.shares.are_on().then(|| mapping.key().depends_on())??.address;
        Some(self.key.share(mapping.protocol(), mapping.external(), remote))
    }
}
