//! Selection of an external port (RFC 6056 section 3.3; N16).
//!
//! Each of the five algorithms is a way to name the next port to try. Where the standard then
//! counts upwards to a free one, the caller's allocator is asked for the first free port from there
//! on, so that a nearly full pool does not cost a walk over every port.
//!
//! Randomness is a keyed SipHash of a counter: whoever does not know the key cannot run it too.

use core::hash::Hasher;
use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

use siphasher::sip::SipHasher13;

/// The algorithms of RFC 6056 section 3.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Algorithm {
    /// 3.3.1 A random port, then upwards.
    SimpleRandom,
    /// 3.3.2 A random port, drawn anew at each collision.
    RandomAgain,
    /// 3.3.3 A keyed offset for each endpoint, plus one counter.
    #[default]
    SimpleHash,
    /// 3.3.4 The same with a table of counters, so that one endpoint's count tells nothing of
    /// another's.
    DoubleHash,
    /// 3.3.5 The last port plus a random increment.
    RandomIncrements,
}

impl Algorithm {
    /// By the number of its subsection, 1 to 5.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::SimpleRandom,
            2 => Self::RandomAgain,
            3 => Self::SimpleHash,
            4 => Self::DoubleHash,
            5 => Self::RandomIncrements,
            _ => return None,
        })
    }

    /// The number of its subsection, 1 to 5.
    pub const fn number(self) -> u8 {
        match self {
            Self::SimpleRandom => 1,
            Self::RandomAgain => 2,
            Self::SimpleHash => 3,
            Self::DoubleHash => 4,
            Self::RandomIncrements => 5,
        }
    }
}

/// Counters of 3.3.4's table. The RFC suggests ten entries and allows more.
const COUNTERS: usize = 64;

/// How often 3.3.2 and 3.3.5 draw anew before they settle for the next free port: with half of the
/// ports taken, 16 draws fail once in 65,536 times.
const DRAWS: u32 = 16;

/// Mean distance of 3.3.5's increments, the RFC's suggested trade-off (`N = 500`).
const INCREMENT: u32 = 500;

/// What the algorithms remember from one selection to the next.
#[derive(Clone, Debug)]
pub struct Selector {
    algorithm: Algorithm,
    offset_key: [u64; 2],
    index_key: [u64; 2],
    random_key: [u64; 2],
    drawn: u64,
    counters: [u16; COUNTERS],
}

impl Selector {
    /// A selector keyed by `seed`, which comes from the operating system and stays secret.
    pub fn new(algorithm: Algorithm, seed: [u8; 32]) -> Self {
        let key = |domain| {
            let (half_a, half_b) = seed.split_at(16);
            let expand = |half: &[u8], n: u64| {
                let mut hasher = SipHasher13::new_with_keys(domain, n);
                hasher.write(half);
                hasher.write(half_b);
                hasher.finish()
            };
            [expand(half_a, 0), expand(half_a, 1)]
        };
        let mut selector = Self {
            algorithm,
            offset_key: key(1),
            index_key: key(2),
            random_key: key(3),
            drawn: 0,
            counters: [0; COUNTERS],
        };
        for n in 0..COUNTERS {
            selector.counters[n] = selector.random() as u16;
        }
        selector
    }

    /// Chooses a port of `range` for `flow`: what the algorithms hash; under endpoint-independent
    /// mapping the internal endpoint alone, else the remote one too.
    ///
    /// `free_from(port)` answers the first free port at `port` or after it, going round at the end
    /// of the range; `None` when all are taken.
    pub fn select(
        &mut self,
        range: RangeInclusive<u16>,
        flow: [u64; 2],
        mut free_from: impl FnMut(u16) -> Option<u16>,
    ) -> Option<u16> {
        let first = *range.start();
        let count = u32::from(*range.end()).checked_sub(u32::from(first))? + 1;
        let port = |n: u32| first + (n % count) as u16;
        match self.algorithm {
            Algorithm::SimpleRandom => free_from(port(self.random())),
            Algorithm::RandomAgain => {
                for _ in 1..DRAWS {
                    let candidate = port(self.random());
                    if free_from(candidate)? == candidate {
                        return Some(candidate);
                    }
                }
                free_from(port(self.random()))
            }
            Algorithm::SimpleHash => self.count_on(0, port, keyed(self.offset_key, flow), free_from),
            Algorithm::DoubleHash => {
                let index = keyed(self.index_key, flow) as usize % COUNTERS;
                self.count_on(index, port, keyed(self.offset_key, flow), free_from)
            }
            Algorithm::RandomIncrements => {
                let mut candidate = 0;
                for _ in 0..DRAWS {
                    let increment = self.random() % INCREMENT + 1;
                    self.counters[0] = self.counters[0].wrapping_add(increment as u16);
                    candidate = port(u32::from(self.counters[0]));
                    if free_from(candidate)? == candidate {
                        break;
                    }
                }
                free_from(candidate)
            }
        }
    }

    /// 3.3.3 and 3.3.4: offset plus counter; the counter goes on behind the port that was taken.
    fn count_on(
        &mut self,
        counter: usize,
        port: impl Fn(u32) -> u16,
        offset: u32,
        mut free_from: impl FnMut(u16) -> Option<u16>,
    ) -> Option<u16> {
        let candidate = port((offset % (1 << 24)) + u32::from(self.counters[counter]));
        let chosen = free_from(candidate)?;
        let skipped = chosen.wrapping_sub(candidate);
        self.counters[counter] = self.counters[counter].wrapping_add(skipped).wrapping_add(1);
        Some(chosen)
    }

    fn random(&mut self) -> u32 {
        self.drawn += 1;
        keyed(self.random_key, [self.drawn, 0])
    }
}

/// What a host hashes for an active open (3.3.3: local address, remote address, remote port): so each
/// remote endpoint has an order of ports of its own.
pub const fn host_flow(local: Ipv4Addr, (address, port): (Ipv4Addr, u16)) -> [u64; 2] {
    [(local.to_bits() as u64) << 32 | address.to_bits() as u64, port as u64]
}

fn keyed(key: [u64; 2], flow: [u64; 2]) -> u32 {
    let mut hasher = SipHasher13::new_with_keys(key[0], key[1]);
    hasher.write_u64(flow[0]);
    hasher.write_u64(flow[1]);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::*;

    const ALL: [Algorithm; 5] = [
        Algorithm::SimpleRandom,
        Algorithm::RandomAgain,
        Algorithm::SimpleHash,
        Algorithm::DoubleHash,
        Algorithm::RandomIncrements,
    ];

    /// The slow obvious allocator: walk up, one port at a time.
    fn free_from(range: &RangeInclusive<u16>, taken: &BTreeSet<u16>, from: u16) -> Option<u16> {
        (from..=*range.end()).chain(*range.start()..from).find(|port| !taken.contains(port))
    }

    fn select(
        selector: &mut Selector,
        range: &RangeInclusive<u16>,
        taken: &BTreeSet<u16>,
        flow: u64,
    ) -> Option<u16> {
        selector.select(range.clone(), [flow, 0], |from| {
            assert!(range.contains(&from), "asked outside the range: {from}");
            free_from(range, taken, from)
        })
    }

    // covers: N16
    #[test]
    fn every_algorithm_gives_out_every_port_once_and_then_none() {
        for algorithm in ALL {
            for range in [1024..=1024, 1024..=1100, 65_500..=65_535, 1..=300] {
                let mut selector = Selector::new(algorithm, [7; 32]);
                let mut taken = BTreeSet::new();
                for n in 0..range.len() as u64 {
                    let port = select(&mut selector, &range, &taken, n % 5).expect("one is free");
                    assert!(range.contains(&port) && taken.insert(port), "{algorithm:?} {port}");
                }
                assert_eq!(select(&mut selector, &range, &taken, 0), None);
            }
        }
    }

    // covers: N16
    #[test]
    fn another_key_gives_another_sequence_and_the_same_key_the_same() {
        for algorithm in ALL {
            let draw = |seed| {
                let mut selector = Selector::new(algorithm, [seed; 32]);
                let none = BTreeSet::new();
                (0..8).map(|n| select(&mut selector, &(1024..=65_535), &none, n)).collect::<Vec<_>>()
            };
            assert_eq!(draw(1), draw(1));
            assert_ne!(draw(1), draw(2), "{algorithm:?}");
        }
    }

    // covers: N16
    #[test]
    fn the_hashes_separate_endpoints_and_count_within_one() {
        for algorithm in [Algorithm::SimpleHash, Algorithm::DoubleHash] {
            let mut selector = Selector::new(algorithm, [3; 32]);
            let (range, mut taken) = (10_000..=60_000, BTreeSet::new());
            let mut of_one = Vec::new();
            for _ in 0..4 {
                let port = select(&mut selector, &range, &taken, 77).expect("free");
                taken.insert(port);
                of_one.push(port);
            }
            assert!(of_one.windows(2).all(|pair| pair[1] == pair[0] + 1), "{of_one:?}");
            let other = select(&mut selector, &range, &taken, 78).expect("free");
            assert!(other.abs_diff(of_one[3]) > 1);
        }
    }

    // covers: T4
    #[test]
    fn each_remote_endpoint_of_a_host_is_a_flow_of_its_own() {
        let addresses = [0, 1, 1 << 31, u32::MAX].map(Ipv4Addr::from_bits);
        let mut flows = BTreeSet::new();
        for local in addresses {
            for remote in addresses {
                for port in [0, 1, u16::MAX] {
                    assert!(flows.insert(host_flow(local, (remote, port))), "{local} {remote} {port}");
                }
            }
        }
    }

    // covers: N16
    #[test]
    fn random_selection_spreads_over_the_range() {
        let mut selector = Selector::new(Algorithm::SimpleRandom, [9; 32]);
        let mut quarters = [0; 4];
        for _ in 0..4_000 {
            let port = select(&mut selector, &(0..=65_535), &BTreeSet::new(), 0).expect("free");
            quarters[usize::from(port >> 14)] += 1;
        }
        assert!(quarters.iter().all(|&n| (800..1_200).contains(&n)), "{quarters:?}");
    }
}
