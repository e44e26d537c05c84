//! Where ports come from: addresses that are full (N9), ranges and parity (RFC 4787 REQ-3a and REQ-4, N15).

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use hairpin_nat::config::{Pool, Pooling};
use hairpin_nat::{Endpoint, Protocol};

use crate::nat::Model;

impl Model {
    pub(crate) fn pooling(&self, address: Ipv4Addr) -> Pooling {
        let has = |range: &RangeInclusive<Ipv4Addr>| range.contains(&address);
        let pool = self.config.pools.iter().find(|pool| pool.addresses.iter().any(has));
        pool.map_or(Pooling::Paired, |pool| pool.pooling)
    }

    /// The one address that a subscriber's next port must be of, if there is one (RFC 7857 4).
    pub(crate) fn home_of(&self, protocol: Protocol, subscriber: Ipv4Addr) -> Option<Ipv4Addr> {
        let Some(home) = self.subscribers.get(&subscriber).map(|subscriber| subscriber.external) else {
            if let Some(home) = self.block_home(subscriber).filter(|_| self.computed(subscriber).is_none()) {
                return Some(home);
            }
            let (home, _) = self.computed(subscriber)?;
            return (self.owner(home) == Some(self.config.shard.index)).then_some(home);
        };
        let stays = match self.pooling(home) {
            Pooling::Paired => true,
            Pooling::PairedSoft => self.has_free(protocol, (subscriber, home)),
            Pooling::Arbitrary => false,
        };
        if !stays && let Some(home) = self.block_home(subscriber) {
            return Some(home);
        }
        // With nothing free anywhere it is refused where it is at home.
        let free = |home| self.has_free(protocol, (subscriber, home));
        let none = || !self.homes(subscriber).into_iter().any(free);
        (stays || none()).then_some(home)
    }

    /// RFC 7422: the address and the ports of the subscribers of a deterministic pool, dealt out one after the
    /// other in the order of the configuration.
    pub(crate) fn computed(&self, subscriber: Ipv4Addr) -> Option<(Ipv4Addr, RangeInclusive<u16>)> {
        let names = |pool: &&Pool| pool.subscribers.iter().any(|net| net.contains(&subscriber));
        let pool = self.config.pools.iter().find(names)?;
        let blocks = pool.blocks.filter(|blocks| blocks.deterministic)?;
        let hosts = pool
            .subscribers
            .iter()
            .flat_map(|net| (net.network().to_bits()..=net.broadcast().to_bits()).map(Ipv4Addr::from));
        let mut subscribers: Vec<_> = hosts.map(|host| self.whose(Endpoint::new(host, 0))).collect();
        subscribers.dedup();
        let width = usize::from(blocks.size) * usize::from(blocks.max_per_subscriber);
        let ports: Vec<u16> = pool.ports.clone().collect();
        let ranges: Vec<_> = ports.chunks_exact(width).map(|chunk| chunk[0]..=chunk[width - 1]).collect();
        let addresses = pool
            .addresses
            .iter()
            .flat_map(|range| (range.start().to_bits()..=range.end().to_bits()).map(Ipv4Addr::from));
        let slots = addresses.flat_map(|address| ranges.iter().map(move |range| (address, range.clone())));
        subscribers.into_iter().zip(slots).find(|(of, _)| *of == subscriber).map(|(_, slot)| slot)
    }

    /// The ports of `address` that subscriber `of` may be given.
    pub(crate) fn ports_for(
        &self,
        of: Ipv4Addr,
        protocol: Protocol,
        address: Ipv4Addr,
    ) -> Vec<RangeInclusive<u16>> {
        let Some(ports) = self.ports(protocol, address) else { return Vec::new() };
        if let Some(scopes) = self.scopes(of, protocol, address) {
            return scopes.concat();
        }
        match self.computed(of) {
            Some((home, range)) if home == address && protocol != Protocol::Icmp => vec![range],
            _ => vec![ports],
        }
    }

    /// Where the next port of `address` for subscriber `of` must be, as things are: any of these ranges.
    pub(crate) fn next_scopes(
        &self,
        of: Ipv4Addr,
        protocol: Protocol,
        address: Ipv4Addr,
    ) -> Vec<RangeInclusive<u16>> {
        let Some([own, new, shared]) = self.scopes(of, protocol, address) else {
            return self.ports_for(of, protocol, address);
        };
        let has_free = |range: &RangeInclusive<u16>| self.count_free(protocol, address, range) > 0;
        match own.into_iter().find(has_free) {
            Some(own) => vec![own],
            None if new.is_empty() => shared,
            None => new,
        }
    }

    /// How many ports of `range` are free, whoever may have them.
    pub(crate) fn count_free(
        &self,
        protocol: Protocol,
        address: Ipv4Addr,
        range: &RangeInclusive<u16>,
    ) -> usize {
        let used = self.used(protocol, address);
        range.len() - used.iter().filter(|port| range.contains(port)).count()
    }

    /// A soft subscriber moves to where its newest port is.
    pub(crate) fn move_home(&mut self, subscriber: Ipv4Addr, external: Ipv4Addr) {
        if self.pooling(external) == Pooling::PairedSoft
            && let Some(subscriber) = self.subscribers.get_mut(&subscriber)
        {
            subscriber.external = external;
        }
    }

    /// Whether a port is of the right kind: of the same range if that is wanted and has one, and in it of the
    /// same parity. Identifiers have neither.
    pub(crate) fn check_kind(
        &self,
        protocol: Protocol,
        internal: Endpoint,
        external: Endpoint,
        scope: &RangeInclusive<u16>,
    ) -> Result<(), String> {
        if protocol == Protocol::Icmp {
            return Ok(());
        }
        let settings = &self.config.ports;
        let same = if internal.port < 1024 { 0..=1023 } else { 1024..=u16::MAX };
        let both = *scope.start().max(same.start())..=*scope.end().min(same.end());
        let of_same = settings.preserve_range && self.count_free(protocol, external.address, &both) > 0;
        let kind = if of_same { same } else { 0..=u16::MAX };
        if !kind.contains(&external.port) {
            return Err(format!("{protocol} {external} for {internal}: one of the same range is free"));
        }
        let parity = |port: u16| port % 2 == internal.port % 2;
        let could = || {
            let used = self.used(protocol, external.address);
            scope
                .clone()
                .filter(|port| kind.contains(port) && parity(*port))
                .any(|port| !used.contains(&port))
        };
        if settings.preserve_parity && !parity(external.port) && could() {
            return Err(format!("{protocol} {external} for {internal}: one of the same parity is free"));
        }
        Ok(())
    }
}
