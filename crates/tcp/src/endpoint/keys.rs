//! Keys for everything that strangers must not foresee, from one seed.

use core::hash::Hasher;

use rules::{Instant, isn};
use siphasher::sip::SipHasher24;
use wire::SeqNumber;

use crate::segment::Tuple;

/// One key a purpose: what leaks of one says nothing of another.
pub(super) struct Keys {
    isn: [u8; 16],
    pub(super) cookie: [u64; 2],
    pub(super) demux: [u64; 2],
    pub(super) ports: [u8; 32],
}

impl Keys {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let word = |purpose: u64| {
            let mut hasher = SipHasher24::new_with_keys(purpose, 0x6861_6972_7069_6e00);
            hasher.write(&seed);
            hasher.finish()
        };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&word(1).to_le_bytes());
        key[8..].copy_from_slice(&word(2).to_le_bytes());
        let mut ports = [0; 32];
        for (to, purpose) in ports.chunks_exact_mut(8).zip(7..) {
            to.copy_from_slice(&word(purpose).to_le_bytes());
        }
        Self { isn: key, cookie: [word(3), word(4)], demux: [word(5), word(6)], ports }
    }

    pub(super) fn isn(&self, tuple: &Tuple, now: Instant) -> SeqNumber {
        isn::isn(&self.isn, &rules_tuple(tuple), now)
    }

    pub(super) fn timestamp_offset(&self, tuple: &Tuple) -> u32 {
        isn::timestamp_offset(&self.isn, &rules_tuple(tuple))
    }
}

fn rules_tuple(tuple: &Tuple) -> isn::Tuple {
    isn::Tuple {
        local: (*tuple.local.ip(), tuple.local.port()),
        remote: (*tuple.remote.ip(), tuple.remote.port()),
    }
}
