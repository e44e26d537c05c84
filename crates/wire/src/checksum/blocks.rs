//! The loops over whole blocks, where the time goes: as wide as the processor is.
//!
//! A copy is mostly stores, and a processor does one of them a cycle whatever its width. So there are vectors of 32
//! octets for those that have them, which is asked when the program runs.
#![allow(unsafe_code)]

use wide::u64x2;

/// A block: what one round of the loops takes.
type Block = [u8; 64];

/// Sums blocks as long as there are any; returns what is left.
#[inline]
pub(super) fn sum_blocks(octets: &[u8]) -> (u64, &[u8]) {
    let (blocks, rest) = octets.as_chunks();
    #[cfg(target_arch = "x86_64")]
    if let Some(sum) = avx2::sum(blocks) {
        return (sum, rest);
    }
    (sum(blocks), rest)
}

/// Copies as many blocks as both have, and sums them.
#[inline]
pub(super) fn copy_blocks(from: &[Block], to: &mut [Block]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(sum) = avx2::copy(from, to) {
        return sum;
    }
    copy(from, to)
}

/// What many words add up to, in lanes with no carry between them. The lanes are a library's, for what the
/// compiler makes of arrays is three times as fast in one build as in the next.
#[derive(Default)]
struct Lanes {
    /// The words, modulo 2^64.
    words: [u64x2; 4],
    /// Their upper halves.
    upper: [u64x2; 4],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, block: &[u64x2; 4]) {
        for (lane, word) in block.iter().enumerate() {
            self.words[lane] += *word;
            self.upper[lane] += *word >> 32_u32;
        }
    }

    #[inline]
    fn sum(self) -> u64 {
        let [words, upper] =
            [self.words, self.upper].map(|lanes| lanes.into_iter().sum::<u64x2>().to_array());
        words.into_iter().zip(upper).map(|(words, upper)| halves_of(words, upper)).sum()
    }
}

/// The sum of all halves of words that add up to `words` modulo 2^64, and their upper halves to `upper`: what the words
/// lack of the upper halves are the lower ones.
#[inline]
const fn halves_of(words: u64, upper: u64) -> u64 {
    words.wrapping_sub(upper << 32) + upper
}

fn sum(blocks: &[Block]) -> u64 {
    let mut lanes = Lanes::default();
    for block in blocks {
        lanes.add(&bytemuck::cast::<Block, _>(*block));
    }
    lanes.sum()
}

#[inline(never)]
fn copy(from: &[Block], to: &mut [Block]) -> u64 {
    let mut lanes = Lanes::default();
    for (block, to) in from.iter().zip(to) {
        let words = bytemuck::cast(*block);
        lanes.add(&words);
        *to = bytemuck::cast(words);
    }
    lanes.sum()
}

/// The same with vectors of 32 octets.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use core::arch::x86_64::{__m256i, _mm256_add_epi64, _mm256_setzero_si256, _mm256_srli_epi64};

    use super::{Block, halves_of};

    // Asked once, then remembered.
    cpufeatures::new!(has_avx2, "avx2");

    /// `None`: this processor does not have them.
    #[inline]
    pub(super) fn sum(blocks: &[Block]) -> Option<u64> {
        // SAFETY: the processor has AVX2.
        has_avx2::get().then(|| unsafe { sum_wide(blocks) })
    }

    /// `None`: this processor does not have them.
    #[inline]
    pub(super) fn copy(from: &[Block], to: &mut [Block]) -> Option<u64> {
        // SAFETY: the processor has AVX2.
        has_avx2::get().then(|| unsafe { copy_wide(from, to) })
    }

    struct Lanes {
        words: [__m256i; 2],
        upper: [__m256i; 2],
    }

    impl Lanes {
        #[target_feature(enable = "avx2")]
        #[inline]
        fn new() -> Self {
            Self { words: [_mm256_setzero_si256(); 2], upper: [_mm256_setzero_si256(); 2] }
        }

        #[target_feature(enable = "avx2")]
        #[inline]
        fn add(&mut self, block: [__m256i; 2]) {
            for (lane, word) in block.into_iter().enumerate() {
                self.words[lane] = _mm256_add_epi64(self.words[lane], word);
                self.upper[lane] = _mm256_add_epi64(self.upper[lane], _mm256_srli_epi64::<32>(word));
            }
        }

        #[target_feature(enable = "avx2")]
        #[inline]
        fn sum(self) -> u64 {
            let [words, upper] = [self.words, self.upper]
                .map(|[a, b]| bytemuck::cast::<__m256i, [u64; 4]>(_mm256_add_epi64(a, b)));
            words.into_iter().zip(upper).map(|(words, upper)| halves_of(words, upper)).sum()
        }
    }

    #[target_feature(enable = "avx2")]
    fn sum_wide(blocks: &[Block]) -> u64 {
        let mut lanes = Lanes::new();
        for block in blocks {
            lanes.add(bytemuck::cast(*block));
        }
        lanes.sum()
    }

    #[target_feature(enable = "avx2")]
    fn copy_wide(from: &[Block], to: &mut [Block]) -> u64 {
        let mut lanes = Lanes::new();
        for (block, to) in from.iter().zip(to) {
            let words = bytemuck::cast(*block);
            lanes.add(words);
            *to = bytemuck::cast(words);
        }
        lanes.sum()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Halves one by one.
    fn model(blocks: &[Block]) -> u64 {
        let halves = blocks.iter().flat_map(|block| block.as_chunks::<4>().0);
        halves.map(|half| u64::from(u32::from_ne_bytes(*half))).sum()
    }

    fn agrees(blocks: &[Block]) {
        let expected = model(blocks);
        let mut copied = vec![[0; 64]; blocks.len()];
        assert_eq!((sum(blocks), copy(blocks, &mut copied)), (expected, expected));
        assert_eq!(copied, blocks);
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            let mut copied = vec![[0; 64]; blocks.len()];
            assert_eq!(avx2::sum(blocks), Some(expected));
            assert_eq!(avx2::copy(blocks, &mut copied), Some(expected));
            assert_eq!(copied, blocks);
        }
    }

    proptest! {
        #[test]
        fn every_width_sums_the_halves(octets in prop::collection::vec(any::<u8>(), 0..2_000)) {
            agrees(octets.as_chunks().0);
        }
    }

    #[test]
    fn the_largest_packet_of_the_largest_octets_loses_no_carry() {
        agrees(&vec![[0xFF; 64]; 1_024]);
    }

    #[test]
    fn the_shorter_of_two_counts() {
        let from: Vec<Block> = (0..5).map(|n| [n; 64]).collect();
        let mut to = vec![[9; 64]; 3];
        assert_eq!(copy_blocks(&from, &mut to), model(&from[..3]));
        assert_eq!(to, from[..3]);
    }
}
