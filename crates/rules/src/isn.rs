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
