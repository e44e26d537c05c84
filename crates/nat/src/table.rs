//! A hash table of tags and 32-bit indices: the keys themselves live in the lines that it points to.
//!
//! One bucket is one cache line: twelve tags of one octet and twelve indices. An entry that finds
//! its bucket full goes to the next one and leaves a count in each that it passed (as F14 does), so
//! a search ends at the first bucket that nobody passed. The table never grows: its size follows
//! from the limits of the configuration.

use core::fmt;

use wire::prefetch::prefetch;
use zerocopy::FromZeros;

use crate::memory::Arena;
use crate::tags::{SLOTS, matches};

/// How far from its own bucket an entry may end up. Bounds the time of every call whatever keys
/// somebody manages to make collide.
const REACH: usize = 64;

/// Entries for every hundred slots. Above four fifths, one bucket in ten overflows.
const LOAD_PERCENT: usize = 80;

#[derive(FromZeros, Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    /// 0: the slot is free.
    tags: [u8; SLOTS],
    /// Entries that wanted to be here, or passed by, and are further on.
    passed: u32,
    indices: [u32; SLOTS],
}

/// The table.
pub(crate) struct Table {
    buckets: Arena<Bucket>,
    len: usize,
}

/// What one bucket lets one guess.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Guess {
    /// It is this entry.
    Entry(u32),
    /// It is in the next bucket, if anywhere.
    Further,
    /// There is none.
    None,
}

/// An entry found no place within reach of its bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

impl Table {
    /// A table for `entries` entries.
    pub(crate) fn new(entries: usize) -> std::io::Result<Self> {
        Ok(Self { buckets: Arena::hot(buckets(entries))?, len: 0 })
    }

    /// Octets of a table for `entries` entries.
    pub(crate) fn octets(entries: u64) -> u64 {
        buckets(entries as usize) as u64 * size_of::<Bucket>() as u64
    }

    /// Entries in it.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Asks for the line of bucket number `step` of `hash`'s way, 0 being its own.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u64, step: usize) {
        prefetch(&self.buckets, self.way(hash, step));
    }

    /// The first entry whose tag fits in bucket number `step` of `hash`'s way, 0 being its own: almost
    /// always the one that [`Self::find`] will find, good enough to prefetch what it points to.
    #[inline(always)]
    pub(crate) fn guess(&self, hash: u64, step: usize) -> Guess {
        let bucket = &self.buckets[self.way(hash, step)];
        match matches(&bucket.tags, tag(hash)).next() {
            Some(slot) => Guess::Entry(bucket.indices[slot]),
            None if bucket.passed != 0 => Guess::Further,
            None => Guess::None,
        }
    }

    /// What else it may be, where [`Self::guess`] has named one: the same tag means little.
    #[inline(always)]
    pub(crate) fn other_guesses(&self, hash: u64, step: usize) -> impl Iterator<Item = u32> {
        let bucket = &self.buckets[self.way(hash, step)];
        matches(&bucket.tags, tag(hash)).skip(1).map(|slot| bucket.indices[slot])
    }

    /// The entry of `hash` whose index `is_it`.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        for _ in 0..REACH {
            let bucket = &self.buckets[at];
            for slot in matches(&bucket.tags, tag(hash)) {
                let index = bucket.indices[slot];
                if is_it(index) {
                    return Some(index);
                }
            }
            if bucket.passed == 0 {
                return None;
            }
            at = self.next(at);
        }
        None
    }

    /// Whether [`Self::insert`] would find a place.
    pub(crate) fn has_room(&self, hash: u64) -> bool {
        let mut at = self.home(hash);
        for _ in 0..REACH {
            if matches(&self.buckets[at].tags, 0).next().is_some() {
                return true;
            }
            at = self.next(at);
        }
        false
    }

    /// Adds `index` under `hash`. The same pair must not be in the table already.
    pub(crate) fn insert(&mut self, hash: u64, index: u32) -> Result<(), Full> {
        let home = self.home(hash);
        let mut at = home;
        for _ in 0..REACH {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = matches(&bucket.tags, 0).next() {
                bucket.tags[slot] = tag(hash);
                bucket.indices[slot] = index;
                self.len += 1;
                return Ok(());
            }
            bucket.passed += 1;
            at = self.next(at);
        }
        self.forget_passing(home, REACH);
        Err(Full)
    }

    /// Takes `index` under `hash` out; `false` if it was not there.
    pub(crate) fn remove(&mut self, hash: u64, index: u32) -> bool {
        let home = self.home(hash);
        let mut at = home;
        for passed in 0..REACH {
            let bucket = &mut self.buckets[at];
            for slot in matches(&bucket.tags, tag(hash)) {
                if bucket.indices[slot] == index {
                    bucket.tags[slot] = 0;
                    self.len -= 1;
                    self.forget_passing(home, passed);
                    return true;
                }
            }
            if bucket.passed == 0 {
                return false;
            }
            at = self.next(at);
        }
        false
    }

    /// An entry that had passed `count` buckets from `home` on is gone.
    fn forget_passing(&mut self, home: usize, count: usize) {
        let mut at = home;
        for _ in 0..count {
            self.buckets[at].passed -= 1;
            at = self.next(at);
        }
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        // The high half of a product spreads over any number of buckets, not just powers of two.
        ((u128::from(hash) * self.buckets.len() as u128) >> 64) as usize
    }

    /// The bucket `step` behind `hash`'s own.
    #[inline(always)]
    fn way(&self, hash: u64, step: usize) -> usize {
        let at = self.home(hash) + step;
        if at < self.buckets.len() { at } else { at - self.buckets.len() }
    }

    #[inline(always)]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() { 0 } else { at + 1 }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("buckets", &self.buckets.len()).field("len", &self.len).finish()
    }
}

fn buckets(entries: usize) -> usize {
    (entries * 100).div_ceil(LOAD_PERCENT * SLOTS) + 1
}

/// The tag of a hash: from its low end, for the high end chooses the bucket. Never 0.
#[inline(always)]
fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        // covers: B10
        #[test]
        fn it_is_a_map_even_where_every_hash_collides(
            steps in proptest::collection::vec((any::<bool>(), 0u32..200), 1..600),
            spread in prop_oneof![Just(0u32), Just(1), Just(40), Just(64)],
        ) {
            let hash_of = |index: u32| {
                let hash = u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                if spread == 0 { 0x77 } else { hash.checked_shl(64 - spread).unwrap_or(0) | u64::from(index as u8) }
            };
            let mut table = Table::new(200).expect("memory");
            let mut model = HashMap::new();
            for (add, index) in steps {
                let hash = hash_of(index);
                if add && !model.contains_key(&index) {
                    if table.insert(hash, index).is_ok() {
                        model.insert(index, hash);
                    }
                } else if !add {
                    prop_assert_eq!(table.remove(hash, index), model.remove(&index).is_some());
                }
                prop_assert_eq!(table.len(), model.len());
                for other in 0..200 {
                    let found = table.find(hash_of(other), |candidate| candidate == other);
                    prop_assert_eq!(found, model.contains_key(&other).then_some(other));
                }
            }
        }
    }

    // covers: B10
    #[test]
    fn it_holds_what_it_was_made_for_and_refuses_more_without_harm() {
        let mut table = Table::new(10_000).expect("memory");
        let hash = |n: u32| {
            let x = (u64::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        for n in 0..10_000 {
            table.insert(hash(n), n).expect("room");
        }
        for n in 0..10_000 {
            assert_eq!(table.find(hash(n), |index| index == n), Some(n));
        }
        let mut refused = 0;
        for n in 10_000..20_000 {
            refused += u32::from(table.insert(hash(n), n).is_err());
        }
        assert!(refused > 5_000);
        for n in 0..10_000 {
            assert!(table.remove(hash(n), n));
        }
        assert!((0..10_000).all(|n| table.find(hash(n), |index| index == n).is_none()));
    }
}
