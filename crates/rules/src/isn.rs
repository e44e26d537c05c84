//! Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 5.4, T4).
//!
//! Both are a clock plus a keyed hash of the tuple: who does not know the key learns nothing about
//! another tuple, and within one tuple the numbers go on growing from one connection to the next,
//! which is what RFC 6191 counts on.

use core::hash::Hasher;
use core::net::Ipv4Addr;

use siphasher::sip::SipHasher24;
use wire::SeqNumber;

use crate::Instant;

/// Nanoseconds of a tick of the ISN clock: 4 us, so that it goes round in 4.77 hours.
const ISN_TICK: u64 = 4_000;
/// Nanoseconds of a tick of the timestamp clock: 1 ms.
const TIMESTAMP_TICK: u64 = 1_000_000;

/// Both endpoints of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tuple {
    /// Ours.
    pub local: (Ipv4Addr, u16),
    /// The peer's.
    pub remote: (Ipv4Addr, u16),
}

/// The initial sequence number of a connection opened now.
///
/// `key` comes from the operating system, stays secret and lives as long as the host.
pub fn isn(key: &[u8; 16], tuple: &Tuple, now: Instant) -> SeqNumber {
    let ticks = (now.as_nanos() / ISN_TICK) as u32;
    SeqNumber(keyed(key, Domain::Isn, tuple)).plus(ticks)
}

/// What is added to the millisecond clock to give the timestamps of a tuple.
pub fn timestamp_offset(key: &[u8; 16], tuple: &Tuple) -> u32 {
    keyed(key, Domain::Timestamp, tuple)
}

/// SEG.TSval at a moment: milliseconds plus `offset`. Never goes back for one tuple, not even from
/// one incarnation to the next.
pub const fn tsval(offset: u32, now: Instant) -> u32 {
    offset.wrapping_add((now.as_nanos() / TIMESTAMP_TICK) as u32)
}

/// What a hash is for: one key, unrelated values.
#[derive(Clone, Copy)]
enum Domain {
    Isn = 1,
    Timestamp = 2,
}

fn keyed(key: &[u8; 16], domain: Domain, tuple: &Tuple) -> u32 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write_u8(domain as u8);
    for (address, port) in [tuple.local, tuple.remote] {
        hasher.write_u32(address.to_bits());
        hasher.write_u16(port);
    }
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    extern crate std;
    use core::time::Duration;
    use std::collections::BTreeSet;

    use super::*;

    const KEY: [u8; 16] = [7; 16];
    const TUPLE: Tuple =
        Tuple { local: (Ipv4Addr::new(10, 0, 0, 1), 80), remote: (Ipv4Addr::new(10, 0, 0, 2), 4321) };

    fn others() -> [Tuple; 5] {
        let (address, port) = TUPLE.remote;
        [
            Tuple { local: TUPLE.remote, remote: TUPLE.local },
            Tuple { remote: (address, port + 1), ..TUPLE },
            Tuple { remote: (Ipv4Addr::new(10, 0, 0, 3), port), ..TUPLE },
            Tuple { local: (TUPLE.local.0, 81), ..TUPLE },
            Tuple { local: (Ipv4Addr::new(10, 0, 1, 1), 80), ..TUPLE },
        ]
    }

    // covers: T4
    #[test]
    fn the_isn_of_one_tuple_grows_by_one_in_four_microseconds_and_wraps() {
        let first = isn(&KEY, &TUPLE, Instant::ZERO);
        for micros in [0, 3, 4, 400, 1_000_000, 4 * (u64::from(u32::MAX) + 1), 4 << 33] {
            let later = isn(&KEY, &TUPLE, Instant::from_micros(micros));
            assert_eq!(later.distance_from(first), (micros / 4) as u32, "{micros}");
        }
    }

    // covers: T4
    #[test]
    fn another_tuple_or_another_key_gives_unrelated_numbers() {
        let mut isns = BTreeSet::from([isn(&KEY, &TUPLE, Instant::ZERO).0]);
        let mut offsets = BTreeSet::from([timestamp_offset(&KEY, &TUPLE)]);
        for tuple in others() {
            assert!(isns.insert(isn(&KEY, &tuple, Instant::ZERO).0), "{tuple:?}");
            assert!(offsets.insert(timestamp_offset(&KEY, &tuple)), "{tuple:?}");
        }
        assert!(isns.insert(isn(&[8; 16], &TUPLE, Instant::ZERO).0));
        assert!(offsets.insert(timestamp_offset(&[8; 16], &TUPLE)));
        assert!(isns.is_disjoint(&offsets), "an offset does not give an ISN away");
    }

    // covers: T4
    #[test]
    fn timestamps_of_a_tuple_never_go_back_not_even_across_incarnations() {
        let mut now = Instant::ZERO;
        let mut last = tsval(timestamp_offset(&KEY, &TUPLE), now);
        for step in [1, 999_999, 1_000_000, 7_000_000_000, (1 << 31) * 999_999] {
            now = now + Duration::from_nanos(step);
            let next = tsval(timestamp_offset(&KEY, &TUPLE), now);
            assert!(!SeqNumber(next).before(SeqNumber(last)), "{step}");
            last = next;
        }
        let offset = timestamp_offset(&KEY, &TUPLE);
        assert_eq!(tsval(offset, Instant::from_millis(5)), offset.wrapping_add(5));
        assert_eq!(tsval(u32::MAX, Instant::from_millis(2)), 1, "it wraps");
    }
}
