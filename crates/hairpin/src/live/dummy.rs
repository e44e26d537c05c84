//! To be removed: addresses rewritten, nothing else. For measuring until the engine is there.

use std::net::Ipv4Addr;

use nat::{BATCH, Checksum, Counters, Event, Packet, Realm, Transmit, Verdict};
use rules::Instant;
use wire::checksum::Delta;

use super::worker::Shard;

pub(crate) struct Dummy {
    external: Ipv4Addr,
    inside: Vec<Ipv4Addr>,
    counters: Counters,
}

impl Dummy {
    pub(crate) fn new(external: Ipv4Addr) -> Self {
        Self { external, inside: vec![Ipv4Addr::UNSPECIFIED; 65536], counters: Counters::default() }
    }

    fn translate(&mut self, packet: &mut Packet<'_>) -> Option<Realm> {
        let data = &mut *packet.data;
        if data.len() < 28 || data[0] != 0x45 {
            return None;
        }
        let (at, port_at, field) = match (packet.from, data[9]) {
            (Realm::Inside, 6) => (12, 20, 36),
            (Realm::Inside, 17) => (12, 20, 26),
            (Realm::Outside, 6) => (16, 22, 36),
            (Realm::Outside, 17) => (16, 22, 26),
            (Realm::Inside, _) => (12, 24, 0),
            (Realm::Outside, _) => (16, 24, 0),
        };
        let old = Ipv4Addr::from(*data[at..].first_chunk::<4>()?);
        let port = usize::from(u16::from_be_bytes(*data[port_at..].first_chunk::<2>()?));
        let new = match packet.from {
            Realm::Inside => {
                self.inside[port] = old;
                self.external
            }
            Realm::Outside => self.inside[port],
        };
        data[at..at + 4].copy_from_slice(&new.octets());
        let delta = Delta::address(old, new);
        let mut fix = |at: usize, partial: bool| {
            let old = u16::from_be_bytes([data[at], data[at + 1]]);
            let new = if partial { delta.apply_partial(old) } else { delta.apply(old) };
            data[at..at + 2].copy_from_slice(&new.to_be_bytes());
        };
        fix(10, false);
        if field != 0 {
            fix(field, packet.offload.checksum == Checksum::Partial);
        }
        self.counters.forwarded[packet.from as usize] += 1;
        Some(packet.from.other())
    }
}

impl Shard for Dummy {
    fn handle_batch(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict], _: Instant) {
        assert!(packets.len() <= BATCH);
        for (packet, verdict) in packets.iter_mut().zip(verdicts) {
            *verdict = self.translate(packet).map_or(Verdict::Held, Verdict::Forward);
        }
    }
    fn handle_hairpin(&mut self, _: &mut Packet<'_>, _: Instant) -> Verdict {
        Verdict::Held
    }
    fn poll_transmit(&mut self, _: &mut [u8]) -> Option<Transmit> {
        None
    }
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn handle_timeout(&mut self, _: Instant) {}
    fn poll_event(&mut self) -> Option<Event> {
        None
    }
    fn counters(&self) -> &Counters {
        &self.counters
    }
}
