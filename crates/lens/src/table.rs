//! The flows that are open: records in pieces of memory that never move, found by their ends.

use core::hash::BuildHasher as _;
use std::hash::RandomState;

use hashbrown::HashTable;

use crate::flow::{Flow, Key};

/// Flows of one piece of memory.
const CHUNK: usize = 1_024;

/// The flows.
#[derive(Debug)]
pub(crate) struct Table {
    index: HashTable<Entry>,
    key: HashKey,
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

/// What the hash is keyed with, so that nobody who makes traffic can aim at one bucket.
#[derive(Clone, Copy, Debug)]
struct HashKey([u64; 2]);

impl HashKey {
    /// A multiply-and-fold hash; both halves of the product count.
    #[inline]
    fn hash(self, key: Key) -> u64 {
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        let Key((one, one_port), (other, other_port)) = key;
        let addresses = u64::from(one.to_bits()) << 32 | u64::from(other.to_bits());
        let ports = u64::from(one_port) << 16 | u64::from(other_port);
        fold(fold(addresses ^ self.0[0], ports ^ self.0[1]) ^ self.0[1], 0x9e37_79b9_7f4a_7c15)
    }
}

impl Table {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        let key = HashKey([random.hash_one(1_u8), random.hash_one(2_u8)]);
        Self { index: HashTable::new(), key, chunks: Vec::new(), free: Vec::new(), slots: 0 }
    }

    #[inline]
    pub(crate) fn find(&self, key: Key) -> Option<u32> {
        self.index.find(self.key.hash(key), |entry| entry.key == key).map(|entry| entry.number)
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
        let hash_key = self.key;
        self.index.insert_unique(hash_key.hash(key), Entry { key, number }, |entry| hash_key.hash(entry.key));
        number
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<Flow> {
        let slot = self.chunks.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)?;
        let flow = slot.take()?;
        let same = |entry: &Entry| entry.number == number;
        if let Ok(entry) = self.index.find_entry(self.key.hash(flow.key), same) {
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
