//! The flows that are open: records in pieces of memory that never move, found by their ends.

use core::hash::Hasher as _;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::flow::{Flow, Key};

/// Flows of one piece of memory.
const CHUNK: usize = 1_024;

/// The flows.
#[derive(Debug)]
pub(crate) struct Table {
    index: HashTable<Entry>,
    seed: [u64; 2],
    chunks: Vec<Vec<Option<Flow>>>,
    free: Vec<u32>,
    slots: usize,
}

/// What the index holds: the key stands beside the number, so that a look-up need not go to the flow.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Key,
    number: u32,
}

/// Keyed, so that nobody who makes traffic can aim at one bucket.
fn hash(seed: [u64; 2], key: Key) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed[0], seed[1]);
    let Key((one, one_port), (other, other_port)) = key;
    hasher.write_u64(u64::from(one.to_bits()) << 32 | u64::from(other.to_bits()));
    hasher.write_u32(u32::from(one_port) << 16 | u32::from(other_port));
    hasher.finish()
}

impl Table {
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        Self { index: HashTable::new(), seed, chunks: Vec::new(), free: Vec::new(), slots: 0 }
    }

    #[inline]
    pub(crate) fn find(&self, key: Key) -> Option<u32> {
        self.index.find(hash(self.seed, key), |entry| entry.key == key).map(|entry| entry.number)
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Flow> {
        self.chunks.get(number as usize / CHUNK)?.get(number as usize % CHUNK)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Flow> {
        self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)?.as_mut()
    }

    /// Puts a flow in that is not there; the answer is its number.
    pub(crate) fn insert(&mut self, flow: Flow) -> u32 {
        let key = flow.key;
        let number = self.free.pop().unwrap_or_else(|| {
            if self.slots == self.chunks.len() * CHUNK {
                self.chunks.push(vec![const { None }; CHUNK]);
            }
            self.slots += 1;
            (self.slots - 1) as u32
        });
        self.chunks[number as usize / CHUNK][number as usize % CHUNK] = Some(flow);
        let seed = self.seed;
        self.index.insert_unique(hash(seed, key), Entry { key, number }, |entry| hash(seed, entry.key));
        number
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<Flow> {
        let slot = self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)?;
        let flow = slot.take()?;
        let same = |entry: &Entry| entry.number == number;
        if let Ok(entry) = self.index.find_entry(hash(self.seed, flow.key), same) {
            entry.remove();
        }
        self.free.push(number);
        Some(flow)
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Numbers that are or were in use: below this one.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }
}
