//! Which connection a tuple belongs to. The hash is keyed: who does not know the key cannot make a chain long.

use core::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::segment::Tuple;

/// What stands behind a tuple.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Connection(u32),
    TimeWait(u32),
}

/// Tuples and their places. With a place in one word an entry is 16 octets, four to a cache line.
pub(super) struct Demux {
    tuples: HashMap<Key, Word, Keyed>,
    /// The one found last: segments come in bursts.
    last: Option<(Key, Word)>,
}

/// 12 octets rather than an address family, a scope and padding: addresses, and both ports.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key([u32; 3]);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self([local, remote, ports]) = *self;
        state.write_u64(u64::from(local) << 32 | u64::from(remote));
        state.write_u32(ports);
    }
}

/// A [`Place`] in one word: the highest bit says which kind, the others are its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Word(u32);

const TIME_WAIT: u32 = 1 << 31;

impl From<Place> for Word {
    fn from(place: Place) -> Self {
        match place {
            Place::Connection(index) => Self(index & !TIME_WAIT),
            Place::TimeWait(index) => Self(index | TIME_WAIT),
        }
    }
}

impl From<Word> for Place {
    fn from(Word(word): Word) -> Self {
        if word & TIME_WAIT == 0 { Self::Connection(word) } else { Self::TimeWait(word & !TIME_WAIT) }
    }
}

#[derive(Clone, Copy)]
struct Keyed([u64; 2]);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

fn key(tuple: &Tuple) -> Key {
    let ports = u32::from(tuple.local.port()) << 16 | u32::from(tuple.remote.port());
    Key([tuple.local.ip().to_bits(), tuple.remote.ip().to_bits(), ports])
}

impl Demux {
    pub(super) fn new(key: [u64; 2]) -> Self {
        Self { tuples: HashMap::with_hasher(Keyed(key)), last: None }
    }

    pub(super) fn find(&self, tuple: &Tuple) -> Option<Place> {
        self.tuples.get(&key(tuple)).map(|&word| word.into())
    }

    /// The same for a segment that arrives: likely the one of the segment before.
    pub(super) fn find_again(&mut self, tuple: &Tuple) -> Option<Place> {
        let key = key(tuple);
        if let Some((last, word)) = self.last
            && last == key
        {
            return Some(word.into());
        }
        let word = self.tuples.get(&key).copied()?;
        self.last = Some((key, word));
        Some(word.into())
    }

    pub(super) fn insert(&mut self, tuple: Tuple, place: Place) {
        self.last = None;
        self.tuples.insert(key(&tuple), place.into());
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
