//! Ports taken from connections in TIME-WAIT when no other is free, the oldest first (N4).

use std::collections::VecDeque;

use rules::tracking::State;

use crate::batch::Refusal;
use crate::engine::Engine;
use crate::event::{DeleteReason, Limit};
use crate::open::Use;
use crate::pool::Port;
use crate::{Endpoint, Protocol};

/// Sessions of one address that are looked at, and addresses for a subscriber that has none yet.
const LOOKS: usize = 64;

/// Sessions in TIME-WAIT by external address, in the order in which they came to it. A place names a
/// session and how often it was there; what has moved on since is stepped over.
#[derive(Debug, Default)]
pub(crate) struct Resting {
    queues: Vec<VecDeque<(u32, u16)>>,
    /// Of each queue.
    max: usize,
}

impl Resting {
    /// What queues of `tombstones` places of `addresses` take. They grow by doubling.
    pub(crate) fn octets(tombstones: u64, addresses: u64) -> u64 {
        let place = 2 * size_of::<(u32, u16)>() as u64;
        (tombstones + addresses * LOOKS as u64) * place + addresses * size_of::<VecDeque<u64>>() as u64
    }

    pub(crate) fn new(tombstones: u32, addresses: usize) -> Self {
        let max = (tombstones as usize / addresses.max(1)).max(LOOKS);
        Self { queues: vec![VecDeque::new(); addresses], max }
    }
}

impl Engine {
    /// Session `index` has come to TIME-WAIT.
    pub(crate) fn rest(&mut self, index: u32) {
        let session = &mut self.sessions.lines_mut()[index as usize];
        if !self.config.tcp_checks.monotonic_rewrite || session.is_hairpin() {
            return;
        }
        session.epoch = session.epoch.wrapping_add(1);
        let epoch = session.epoch;
        let address = self.mappings.get(self.sessions.ties()[index as usize].mapping).address();
        let max = self.resting.max;
        if let Some(queue) = self.resting.queues.get_mut(address as usize) {
            if queue.len() >= max {
                queue.pop_front();
            }
            queue.push_back((index, epoch));
        }
    }

    fn still_rests(&self, (index, epoch): (u32, u16)) -> bool {
        let session = &self.sessions.lines()[index as usize];
        session.is_live()
            && session.protocol() == Protocol::Tcp
            && session.state() == State::TimeWait
            && session.epoch == epoch
    }

    /// The session of `address` that has rested longest and whose mapping is its alone.
    fn longest_resting(&mut self, address: u32) -> Option<u32> {
        while let Some(&place) = self.resting.queues.get(address as usize)?.front()
            && !self.still_rests(place)
        {
            self.resting.queues.get_mut(address as usize)?.pop_front();
        }
        let places = self.resting.queues.get(address as usize)?.iter().take(LOOKS);
        let alone = |index: u32| {
            let mapping = self.mappings.get(self.sessions.ties()[index as usize].mapping);
            mapping.sessions == 1 && !mapping.is_kept() && self.has_port_alone(mapping)
        };
        places.copied().find(|&place| self.still_rests(place) && alone(place.0)).map(|(index, _)| index)
    }

    /// No port is free for `internal`: that of a session in TIME-WAIT, if the settings say so; the answer
    /// names the session too. Nothing happens to it yet.
    pub(crate) fn plan_reuse(
        &mut self,
        protocol: Protocol,
        internal: Endpoint,
        remote: Endpoint,
        refusal: Refusal,
    ) -> Result<(Use, u32), Refusal> {
        let exhausted = refusal == Refusal::Limit(Limit::PortsExhausted);
        let key = self.mapping_key(protocol, internal, remote);
        let room = self.mappings.has_room(1) && self.endpoints.has_room(self.key.mapping(key));
        // A port that TCP and UDP have together is not one protocol's to take, nor one of a whole address.
        let together = self.config.mapping.protocol_independent || self.basic.serves(internal.address);
        // Nor one of somebody's block.
        let together = together || self.config.pools.iter().any(|pool| pool.blocks.is_some());
        let may = self.config.tcp_checks.monotonic_rewrite && protocol == Protocol::Tcp && !together;
        if !may || !exhausted || !room {
            return Err(refusal);
        }
        let address = self.subscriber_of(internal.address);
        let subscriber = self.find_subscriber(address);
        let victim = match subscriber {
            Some(index) => self.longest_resting(self.subscribers.get(index).external),
            None => {
                let of = core::net::Ipv4Addr::from_bits(address);
                let addresses: Vec<u32> = self.pool.homes(of).iter().copied().take(LOOKS).collect();
                addresses.into_iter().find_map(|address| self.longest_resting(address))
            }
        };
        let victim = victim.ok_or(refusal)?;
        let mapping = self.mappings.get(self.sessions.ties()[victim as usize].mapping);
        let port = Port { address: mapping.address(), protocol, port: mapping.external().port };
        if !self.has_share(port, remote.address) {
            return Err(refusal);
        }
        Ok((Use::New { key, subscriber, port }, victim))
    }

    /// Session `victim` ends for its port, which `mapping` is to have.
    pub(crate) fn vacate(&mut self, victim: u32, mapping: Use) {
        let Use::New { subscriber, .. } = mapping else { return };
        // Who takes the port may be who had it, and must not be forgotten in between.
        if let Some(index) = subscriber {
            self.subscribers.get_mut(index).take_port(Protocol::Tcp);
        }
        self.delete_session(victim, self.tick, DeleteReason::Reused);
        if let Some(index) = subscriber {
            self.subscribers.get_mut(index).give_port(Protocol::Tcp);
        }
    }
}
