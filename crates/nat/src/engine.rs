//! The engine: one shard of the gateway.

use rules::Instant;

use crate::event::{MappingId, SessionId};
use crate::{Config, ConfigError, Counters, Event, Packet, Transmit, Verdict};

/// One shard of the gateway.
#[derive(Debug)]
pub struct Engine {
    counters: Counters,
}

impl Engine {
    /// An engine with these settings. `seed` keys its hashes and its port selection.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn new(config: &Config, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        let _ = (config, seed, now);
        Ok(Self { counters: Counters::default() })
    }

    /// Translates up to [`crate::BATCH`] packets in place, in their order; `verdicts[i]` says what
    /// became of `packets[i]`. Batches must not be longer than `BATCH`.
    pub fn handle_batch(&mut self, packets: &mut [Packet<'_>], verdicts: &mut [Verdict], now: Instant) {
        let _ = (packets, verdicts, now);
    }

    /// A packet that another shard translated outwards and whose destination is this shard's.
    pub fn handle_hairpin(&mut self, packet: &mut Packet<'_>, now: Instant) -> Verdict {
        let _ = (packet, now);
        Verdict::Held
    }

    /// The next packet that the engine itself wants sent, written into `buffer` (65,535 octets).
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let _ = buffer;
        None
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Ends what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next thing that happened. To be drained after each call that takes `now`.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Totals since the engine was made.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The mappings there are, in no order.
    pub fn mappings(&self) -> impl Iterator<Item = MappingId> + '_ {
        core::iter::empty()
    }

    /// The sessions there are, in no order.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        core::iter::empty()
    }

    /// New keys for port selection, for mappings made from now on (RFC 6056 3.3.3, N16).
    pub fn rekey(&mut self, seed: [u8; 32]) {
        let _ = seed;
    }
}
