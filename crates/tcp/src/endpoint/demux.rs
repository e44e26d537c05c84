//! Which connection a tuple belongs to. The hash is keyed: who does not know the key cannot make a chain long.

use core::hash::BuildHasher;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::segment::Tuple;

/// What stands behind a tuple.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Connection(u32),
    TimeWait(u32),
}

/// Tuples and their places.
pub(super) struct Demux {
    tuples: HashMap<(u64, u32), Place, Keyed>,
    /// The one found last: segments come in bursts.
    last: Option<((u64, u32), Place)>,
}

#[derive(Clone, Copy)]
struct Keyed([u64; 2]);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

/// 12 octets rather than an address family, a scope and padding.
fn key(tuple: &Tuple) -> (u64, u32) {
    let addresses = u64::from(tuple.local.ip().to_bits()) << 32 | u64::from(tuple.remote.ip().to_bits());
    (addresses, u32::from(tuple.local.port()) << 16 | u32::from(tuple.remote.port()))
}

impl Demux {
    pub(super) fn new(key: [u64; 2]) -> Self {
        Self { tuples: HashMap::with_hasher(Keyed(key)), last: None }
    }

    pub(super) fn find(&self, tuple: &Tuple) -> Option<Place> {
        self.tuples.get(&key(tuple)).copied()
    }

    /// The same for a segment that arrives: likely the one of the segment before.
    pub(super) fn find_again(&mut self, tuple: &Tuple) -> Option<Place> {
        let key = key(tuple);
        if let Some((last, place)) = self.last
            && last == key
        {
            return Some(place);
        }
        let place = self.tuples.get(&key).copied()?;
        self.last = Some((key, place));
        Some(place)
    }

    pub(super) fn insert(&mut self, tuple: Tuple, place: Place) {
        self.last = None;
        self.tuples.insert(key(&tuple), place);
    }

    /// Removes the tuple, whoever has it.
    pub(super) fn remove_any(&mut self, tuple: &Tuple) {
        self.last = None;
        self.tuples.remove(&key(tuple));
    }

    /// Removes the tuple if it is still `place`'s: another incarnation may have taken it.
    pub(super) fn remove(&mut self, tuple: &Tuple, place: Place) {
        if self.find(tuple) == Some(place) {
            self.remove_any(tuple);
        }
    }
}
