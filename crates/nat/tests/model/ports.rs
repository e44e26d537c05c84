//! Where ports come from: addresses that are full (N9), ranges and parity (RFC 4787 REQ-3a and REQ-4, N15).

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use hairpin_nat::config::Pooling;
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
        let home = self.subscribers.get(&subscriber)?.external;
        let stays = match self.pooling(home) {
            Pooling::Paired => true,
            Pooling::PairedSoft => self.has_free(protocol, home),
            Pooling::Arbitrary => false,
        };
        // With nothing free anywhere it is refused where it is at home.
        let none = || !self.homes(subscriber).into_iter().any(|address| self.has_free(protocol, address));
        (stays || none()).then_some(home)
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
    ) -> Result<(), String> {
        if protocol == Protocol::Icmp {
            return Ok(());
        }
        let settings = &self.config.ports;
        let same = if internal.port < 1024 { 0..=1023 } else { 1024..=u16::MAX };
        let of_same =
            settings.preserve_range && self.free_ports(protocol, external.address, same.clone()) > 0;
        let kind = if of_same { same } else { 0..=u16::MAX };
        if !kind.contains(&external.port) {
            return Err(format!("{protocol} {external} for {internal}: one of the same range is free"));
        }
        let parity = |port: u16| port % 2 == internal.port % 2;
        let could = || {
            let used = self.used(protocol, external.address);
            let ports = self.ports(protocol, external.address).into_iter().flatten();
            ports.filter(|port| kind.contains(port) && parity(*port)).any(|port| !used.contains(&port))
        };
        if settings.preserve_parity && !parity(external.port) && could() {
            return Err(format!("{protocol} {external} for {internal}: one of the same parity is free"));
        }
        Ok(())
    }
}
