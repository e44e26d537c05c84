//! The Identification of outgoing datagrams that may be in fragments (N17, RFC 6864 5.3.1).
//!
//! Subscribers behind one external address know nothing of each other's Identifications, so two of their
//! datagrams to one destination could be taken for one. Every non-atomic datagram (not whole, or without
//! DF) that leaves with another source than its own gets a new one, which does not come again for
//! the same source, destination and protocol before all 65,536 have been used.
//!
//! The counters are few and found by a keyed hash; tuples that share one waste numbers and repeat none.
//! Where one runs round faster than a datagram may live, 16 bits are too few (RFC 6864 5.3 says the same of
//! hosts): the datagrams go out all the same and are counted.
//!
//! What comes in keeps its own: its destination is one subscriber's alone, and its source chose it for one
//! destination. An ICMP error from outside may quote an Identification that was written here; it stays as it
//! is, for what it was is not kept, and hosts find what is theirs by addresses and ports (RFC 5508 asks for
//! no more). Path MTU discovery quotes atomic datagrams, whose field nobody has touched.

use core::net::Ipv4Addr;

use wire::checksum::Delta;

use crate::batch::{Decision, Fit};
use crate::brief::Brief;
use crate::engine::Engine;
use crate::hash::HashKey;
use crate::rewrite::change;
use crate::timer::TICK;
use crate::{Packet, Realm};

/// Counters: 4 octets each beside what is seldom asked for, so they stay in the cache.
const SLOTS: usize = 1 << 14;

/// The maximum datagram lifetime, two minutes (RFC 791, RFC 6864 4), in ticks; one more for those that go
/// out late in a tick.
const LIFETIME: u32 = (120_000 / TICK.as_millis()) as u32 + 1;

/// Identifications of a round, and of a quarter of it.
const ROUND: u32 = 1 << 16;
const QUARTER: u32 = ROUND / 4;

/// In [`Counter::start`]: the first round is over.
const ROUND_AGAIN: u16 = 1;

/// One counter.
#[derive(Clone, Copy, Debug)]
struct Counter {
    /// The next number.
    next: u16,
    /// Where the rounds begin: an even number, random, so that the first says nothing. And [`ROUND_AGAIN`].
    start: u16,
}

/// All counters.
#[derive(Clone, Debug)]
pub(crate) struct Identifications {
    counters: Vec<Counter>,
    /// 1 + the tick in which each quarter of the round was last entered.
    entered: Vec<[u32; 4]>,
}

impl Identifications {
    /// What they take.
    pub(crate) const OCTETS: u64 = (SLOTS * (size_of::<Counter>() + size_of::<[u32; 4]>())) as u64;

    pub(crate) fn new(key: HashKey) -> Self {
        let counter = |number| {
            let start = key.start(number) & !ROUND_AGAIN;
            Counter { next: start, start }
        };
        Self { counters: (0..SLOTS).map(counter).collect(), entered: vec![[0; 4]; SLOTS] }
    }

    /// The first of `count` numbers that follow one another, and whether they come again too early.
    #[inline(always)]
    fn take(&mut self, key: HashKey, tuple: (Ipv4Addr, Ipv4Addr, u8), count: u16, tick: u32) -> (u16, bool) {
        let number = key.datagram(tuple) as usize % SLOTS;
        let Counter { next, start } = self.counters[number];
        let first = u32::from(next.wrapping_sub(start & !ROUND_AGAIN));
        let count = count.max(1);
        let last = first + u32::from(count) - 1;
        self.counters[number].next = next.wrapping_add(count);
        if first % QUARTER == 0 || first / QUARTER != (last + 1) / QUARTER {
            self.enter(number, first, last, tick);
        }
        let again = start & ROUND_AGAIN != 0 || last >= ROUND;
        (next, again && self.is_early(number, last, tick))
    }

    /// The numbers `first` to `last` of the round enter quarters of it, or end one.
    #[cold]
    fn enter(&mut self, number: usize, first: u32, last: u32, tick: u32) {
        for quarter in first.div_ceil(QUARTER)..=last / QUARTER {
            self.entered[number][(quarter & 3) as usize] = tick.saturating_add(1);
        }
        if last + 1 >= ROUND {
            self.counters[number].start |= ROUND_AGAIN;
        }
    }

    /// Whether the quarter of the last number was left less than a lifetime ago, a round before.
    fn is_early(&self, number: usize, last: u32, tick: u32) -> bool {
        let left = self.entered[number][((last / QUARTER + 1) & 3) as usize];
        tick.saturating_add(1).saturating_sub(left) < LIFETIME
    }
}

impl Engine {
    /// A new Identification for a datagram with this source, destination and protocol, as they go out;
    /// `count` segments will have as many.
    pub(crate) fn new_id(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        count: u16,
    ) -> u16 {
        let (id, early) = self.ids.take(self.key, (source, destination, protocol), count, self.tick);
        if early {
            self.output.counters.ip_ids_reused += u64::from(count.max(1));
        }
        id
    }

    /// The Identification of a whole packet that was just translated, DF being 0.
    #[inline(always)]
    pub(crate) fn identify(&mut self, packet: &mut Packet<'_>, brief: &Brief, decision: &Decision) {
        let Decision { rewrite, fit, .. } = decision;
        if brief.flow.addresses >> 32 == rewrite.addresses >> 32 {
            // Not translated: its source knows what it has used.
            return;
        }
        let segment = if let Fit::Segment(size) = *fit { size } else { packet.offload.gso_size };
        let headers = u16::from(brief.header_len) + u16::from(brief.transport_len);
        // Whoever cuts a super-segment counts upwards from its Identification.
        let count = match segment {
            0 => 1,
            segment => brief.total_len.saturating_sub(headers).div_ceil(segment),
        };
        let protocol = packet.data.get(9).copied().unwrap_or(0);
        let id = self.new_id(rewrite.source().address, rewrite.destination().address, protocol, count);
        write_id(packet.data, id);
    }

    /// What all fragments of a datagram from `realm` will have, if it gets a new one.
    pub(crate) fn fragment_id(
        &mut self,
        realm: Realm,
        brief: &Brief,
        decision: &Decision,
        protocol: u8,
    ) -> Option<u16> {
        let rewrite = decision.rewrite;
        let translated = brief.flow.addresses >> 32 != rewrite.addresses >> 32;
        (self.config.rewrite_ip_id && realm == Realm::Inside && translated)
            .then(|| self.new_id(rewrite.source().address, rewrite.destination().address, protocol, 1))
    }
}

/// Writes an Identification; the header checksum follows.
pub(crate) fn write_id(data: &mut [u8], id: u16) {
    let mut delta = Delta::NONE;
    change(data, 4, |old| {
        delta = Delta::u16(old, id);
        id
    });
    change(data, 10, |field| delta.apply(field));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUPLE: (Ipv4Addr, Ipv4Addr, u8) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(203, 0, 113, 1), 17);

    // covers: N17
    #[test]
    fn a_round_has_every_number_once_and_the_next_is_early_for_two_minutes() {
        let (mut ids, key) = (Identifications::new(HashKey::new([3; 32])), HashKey::new([3; 32]));
        let mut seen = vec![false; 1 << 16];
        for n in 0..1u32 << 16 {
            let (id, early) = ids.take(key, TUPLE, 1, 1_000 + n / 65_536);
            assert!(!early && !std::mem::replace(&mut seen[usize::from(id)], true), "{n}: {id}");
        }
        // A datagram of the tick 1,000 may have left at its end and live for 1,200 ticks.
        let clone = || ids.clone();
        assert!(clone().take(key, TUPLE, 1, 2_200).1);
        assert!(!clone().take(key, TUPLE, 1, 2_201).1);
    }

    // covers: N17
    #[test]
    fn a_quarter_that_was_left_long_ago_may_be_used_again() {
        let (mut ids, key) = (Identifications::new(HashKey::new([3; 32])), HashKey::new([3; 32]));
        let quarter = |ids: &mut Identifications, tick| {
            (0..QUARTER).filter(|_| ids.take(key, TUPLE, 1, tick).1).count()
        };
        for tick in [0, 500, 1_000, 1_200] {
            assert_eq!(quarter(&mut ids, tick), 0);
        }
        // The first was left at 500, the second at 1,000.
        assert_eq!(quarter(&mut ids, 1_701), 0);
        assert_eq!(quarter(&mut ids, 2_200), QUARTER as usize);
    }

    // covers: N17
    #[test]
    fn a_super_segment_takes_as_many_as_it_has_segments() {
        let (mut ids, key) = (Identifications::new(HashKey::new([3; 32])), HashKey::new([3; 32]));
        let (first, _) = ids.take(key, TUPLE, 45, 0);
        assert_eq!(ids.take(key, TUPLE, 1, 0), (first.wrapping_add(45), false));
    }

    // covers: N17
    #[test]
    fn rounds_begin_anywhere() {
        let first = |seed| {
            let key = HashKey::new([seed; 32]);
            Identifications::new(key).take(key, TUPLE, 1, 0).0
        };
        let starts: std::collections::BTreeSet<_> = (0..64).map(first).collect();
        assert!(starts.len() > 60, "{starts:?}");
    }
}
