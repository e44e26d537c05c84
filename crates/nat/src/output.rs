//! What the engine says and sends: events, counters, packets of its own.

use std::collections::VecDeque;

use rules::Instant;

use crate::batch::Route;
use crate::event::EventKind;
use crate::timer::start_of;
use crate::{Counters, Event, Offload, Realm, Reason, Transmit};

/// Packets waiting for `poll_transmit` at most. Nobody who polls after each batch reaches it.
const WAITING: usize = 4_096;

/// Everything on its way out.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) counters: Counters,
    events: VecDeque<Event>,
    packets: VecDeque<Outgoing>,
    limit: ErrorLimit,
    /// The same for the last ACKs of connections that are gone.
    ack_limit: ErrorLimit,
}

#[derive(Debug)]
struct Outgoing {
    route: Route,
    offload: Offload,
    data: Vec<u8>,
}

/// A token bucket for the ICMP errors that the engine makes (RFC 1812 4.3.2.8).
#[derive(Debug)]
struct ErrorLimit {
    per_second: u32,
    tokens: u64,
    last: Instant,
}

impl Output {
    pub(crate) fn new(errors_per_second: u32, now: Instant) -> Self {
        Self {
            counters: Counters::default(),
            events: VecDeque::with_capacity(1_024),
            packets: VecDeque::new(),
            limit: ErrorLimit::new(errors_per_second, now),
            ack_limit: ErrorLimit::new(errors_per_second, now),
        }
    }

    /// Something happened in `tick`.
    pub(crate) fn event(&mut self, tick: u32, kind: EventKind) {
        match kind {
            EventKind::MappingCreated(_) => self.counters.mappings_created += 1,
            EventKind::MappingDeleted(_) => self.counters.mappings_deleted += 1,
            EventKind::SessionCreated(_) => self.counters.sessions_created += 1,
            EventKind::SessionDeleted(..) => self.counters.sessions_deleted += 1,
            EventKind::LimitHit { .. } | EventKind::BlockAllocated(_) | EventKind::BlockReleased(_) => {}
        }
        self.events.push_back(Event { at: start_of(tick), kind });
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn drop(&mut self, reason: Reason) {
        self.counters.dropped[reason.index()] += 1;
    }

    /// Whether an ICMP error may be sent at `now`.
    pub(crate) fn may_send_error(&mut self, now: Instant) -> bool {
        let allowed = self.packets.len() < WAITING && self.limit.take(now);
        if allowed {
            self.counters.icmp_errors_sent += 1;
        } else {
            self.counters.icmp_errors_limited += 1;
        }
        allowed
    }

    /// Whether the last ACK of a connection may be sent again at `now`: as many as ICMP errors.
    pub(crate) fn may_send_ack(&mut self, now: Instant) -> bool {
        self.packets.len() < WAITING && self.ack_limit.take(now)
    }

    pub(crate) fn send(&mut self, route: Route, offload: Offload, data: Vec<u8>) {
        self.packets.push_back(Outgoing { route, offload, data });
    }

    pub(crate) fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let packet = self.packets.pop_front()?;
        let len = packet.data.len();
        buffer.get_mut(..len)?.copy_from_slice(&packet.data);
        let (to, shard) = match packet.route {
            Route::To(realm) => (realm, None),
            Route::Shard(shard) => (Realm::Inside, Some(shard)),
        };
        Some(Transmit { to, shard, len, offload: packet.offload })
    }
}

impl ErrorLimit {
    /// Billionths of an error.
    const ONE: u64 = 1_000_000_000;

    fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, tokens: u64::from(per_second) * Self::ONE, last: now }
    }

    /// A nanosecond earns `per_second` billionths; a second's worth may be saved.
    fn take(&mut self, now: Instant) -> bool {
        let elapsed = u64::try_from(now.since(self.last).as_nanos()).unwrap_or(u64::MAX);
        self.last = self.last.max(now);
        let full = u64::from(self.per_second) * Self::ONE;
        self.tokens =
            self.tokens.saturating_add(elapsed.saturating_mul(u64::from(self.per_second))).min(full);
        let allowed = self.tokens >= Self::ONE;
        if allowed {
            self.tokens -= Self::ONE;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: B1.5508-10f
    #[test]
    fn errors_are_limited_to_their_rate_with_a_burst_of_a_second() {
        let mut limit = ErrorLimit::new(10, Instant::ZERO);
        let taken = |limit: &mut ErrorLimit, at| (0..100).filter(|_| limit.take(at)).count();
        assert_eq!(taken(&mut limit, Instant::ZERO), 10);
        assert_eq!(taken(&mut limit, Instant::from_millis(99)), 0);
        assert_eq!(taken(&mut limit, Instant::from_millis(100)), 1);
        assert_eq!(taken(&mut limit, Instant::from_millis(350)), 2);
        assert_eq!(taken(&mut limit, Instant::from_secs(60)), 10);
        assert_eq!(taken(&mut limit, Instant::from_secs(1)), 0, "a clock that goes back earns nothing");
    }
}
