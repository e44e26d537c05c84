//! Which connection a tuple belongs to. The hash is keyed: who does not know the key cannot make a chain long.
//!
//! Open addressing with entries of 16 octets, four to a cache line: among many connections a look-up waits for memory
//! once. A table that keeps tags or pointers apart from its entries waits twice, one behind the other.

use alloc::vec::Vec;
use core::hash::Hasher;

use siphasher::sip::SipHasher13;
use wire::prefetch::prefetch;

use crate::segment::Tuple;

/// What stands behind a tuple.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Connection(u32),
    TimeWait(u32),
}

/// Tuples and their places. An entry stands at its home, which its hash says, or behind it with no gap between.
pub(super) struct Demux {
    key: [u64; 2],
    /// A power of two of them, or none.
    entries: Vec<Entry>,
    len: usize,
    /// The one found last: segments come in bursts.
    last: Option<(Key, Word)>,
}

/// 12 octets rather than an address family, a scope and padding: addresses, and both ports.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key([u32; 3]);

/// A [`Place`] in one word: the highest bit says which kind, the others are its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Word(u32);

#[derive(Clone, Copy)]
struct Entry {
    key: Key,
    word: Word,
}

/// A key, and where its entry stands if nothing else does.
#[derive(Clone, Copy)]
pub(super) struct Home {
    key: Key,
    index: usize,
}

const TIME_WAIT: u32 = 1 << 31;
/// No place: there are not so many in TIME-WAIT.
const EMPTY: Word = Word(u32::MAX);
const VACANT: Entry = Entry { key: Key([0; 3]), word: EMPTY };
/// Entries of the smallest table.
const LEAST: usize = 16;

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

fn key(tuple: &Tuple) -> Key {
    let ports = u32::from(tuple.local.port()) << 16 | u32::from(tuple.remote.port());
    Key([tuple.local.ip().to_bits(), tuple.remote.ip().to_bits(), ports])
}

impl Demux {
    pub(super) const fn new(key: [u64; 2]) -> Self {
        Self { key, entries: Vec::new(), len: 0, last: None }
    }

    pub(super) fn find(&self, tuple: &Tuple) -> Option<Place> {
        self.find_at(self.home(key(tuple)))
    }

    /// Asks for the entry of `tuple`; [`find_at`](Self::find_at) looks at it.
    pub(super) fn anticipate(&self, tuple: &Tuple) -> Home {
        let home = self.home(key(tuple));
        prefetch(&self.entries, home.index);
        home
    }

    pub(super) fn find_at(&self, home: Home) -> Option<Place> {
        let word = self.word(self.seek(home)?);
        (word != EMPTY).then(|| word.into())
    }

    /// The same for a segment that arrives: likely the one of the segment before.
    pub(super) fn find_again(&mut self, tuple: &Tuple) -> Option<Place> {
        let key = key(tuple);
        if let Some((last, word)) = self.last
            && last == key
        {
            return Some(word.into());
        }
        let place = self.find(tuple)?;
        self.last = Some((key, place.into()));
        Some(place)
    }

    /// `tuple` is `place`'s from now on, whoever had it.
    pub(super) fn insert(&mut self, tuple: Tuple, place: Place) {
        // Three of four at most are taken, so that a gap is never far.
        if self.len >= self.entries.len() / 4 * 3 {
            self.grow();
        }
        self.last = None;
        self.put(Entry { key: key(&tuple), word: place.into() });
    }

    /// Removes the tuple, whoever has it.
    pub(super) fn remove_any(&mut self, tuple: &Tuple) {
        self.last = None;
        if let Some(gap) = self.seek(self.home(key(tuple)))
            && self.word(gap) != EMPTY
        {
            self.len -= 1;
            self.close(gap);
        }
    }

    /// Removes the tuple if it is still `place`'s: another incarnation may have taken it.
    pub(super) fn remove(&mut self, tuple: &Tuple, place: Place) {
        if self.find(tuple) == Some(place) {
            self.remove_any(tuple);
        }
    }

    fn home(&self, key: Key) -> Home {
        let Key([local, remote, ports]) = key;
        let mut hasher = SipHasher13::new_with_keys(self.key[0], self.key[1]);
        hasher.write_u64(u64::from(local) << 32 | u64::from(remote));
        hasher.write_u32(ports);
        Home { key, index: hasher.finish() as usize & self.mask() }
    }

    const fn mask(&self) -> usize {
        self.entries.len().wrapping_sub(1)
    }

    fn word(&self, index: usize) -> Word {
        self.entries.get(index).map_or(EMPTY, |entry| entry.word)
    }

    /// Where the key stands, or would be put. `None`: there is no table yet.
    fn seek(&self, Home { key, mut index }: Home) -> Option<usize> {
        loop {
            let entry = self.entries.get(index)?;
            if entry.word == EMPTY || entry.key == key {
                return Some(index);
            }
            index = (index + 1) & self.mask();
        }
    }

    fn put(&mut self, entry: Entry) {
        if let Some(index) = self.seek(self.home(entry.key))
            && let Some(place) = self.entries.get_mut(index)
        {
            self.len += usize::from(place.word == EMPTY);
            *place = entry;
        }
    }

    fn grow(&mut self) {
        let size = (self.entries.len() * 2).max(LEAST);
        let old = core::mem::replace(&mut self.entries, alloc::vec![VACANT; size]);
        self.len = 0;
        old.into_iter().filter(|entry| entry.word != EMPTY).for_each(|entry| self.put(entry));
    }

    /// `gap` is vacant now: what stands behind it without a gap, and may stand in it, comes forward.
    fn close(&mut self, mut gap: usize) {
        let mut index = gap;
        loop {
            index = (index + 1) & self.mask();
            let entry = self.entries.get(index).copied().unwrap_or(VACANT);
            if entry.word == EMPTY {
                break;
            }
            let Home { index: home, .. } = self.home(entry.key);
            let from_home = |at: usize| at.wrapping_sub(home) & self.mask();
            if from_home(gap) < from_home(index)
                && let Some(place) = self.entries.get_mut(gap)
            {
                *place = entry;
                gap = index;
            }
        }
        if let Some(place) = self.entries.get_mut(gap) {
            *place = VACANT;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use core::net::{Ipv4Addr, SocketAddrV4};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, Place),
        Remove(u16, Place),
        RemoveAny(u16),
    }

    fn place() -> impl Strategy<Value = Place> {
        (any::<bool>(), 0..4u32)
            .prop_map(|(waits, index)| if waits { Place::TimeWait(index) } else { Place::Connection(index) })
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few ports, so that the same come again; many enough that the table grows.
        let port = || 1..90u16;
        prop_oneof![
            5 => (port(), place()).prop_map(|(port, place)| Step::Insert(port, place)),
            2 => (port(), place()).prop_map(|(port, place)| Step::Remove(port, place)),
            3 => port().prop_map(Step::RemoveAny),
        ]
    }

    fn tuple(port: u16) -> Tuple {
        let at = |last, port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), port);
        Tuple { local: at(1, 80), remote: at(2, port) }
    }

    proptest! {
        // covers: T1
        #[test]
        fn the_table_is_a_map(key in any::<[u64; 2]>(), steps in prop::collection::vec(step(), 1..400)) {
            let (mut demux, mut model) = (Demux::new(key), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(port, place) => {
                        demux.insert(tuple(port), place);
                        model.insert(port, place);
                    }
                    Step::Remove(port, place) => {
                        demux.remove(&tuple(port), place);
                        if model.get(&port) == Some(&place) {
                            model.remove(&port);
                        }
                    }
                    Step::RemoveAny(port) => {
                        demux.remove_any(&tuple(port));
                        model.remove(&port);
                    }
                }
                prop_assert_eq!(demux.len, model.len());
                prop_assert!(demux.len * 4 <= demux.entries.len() * 3);
                for port in 1..90 {
                    prop_assert_eq!(demux.find(&tuple(port)), model.get(&port).copied());
                    prop_assert_eq!(demux.find_again(&tuple(port)), model.get(&port).copied());
                }
            }
        }
    }

    #[test]
    fn an_entry_is_a_quarter_of_a_cache_line() {
        assert_eq!(size_of::<Entry>(), 16);
    }
}
