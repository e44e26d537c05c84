//! The twelve tags of a bucket of the hash table, compared at once.
#![allow(unsafe_code)]

/// Entries of a bucket.
pub(crate) const SLOTS: usize = 12;

/// The slots whose tag is `wanted`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn matches(tags: &[u8; SLOTS], wanted: u8) -> Hits {
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};

    const USED: u32 = (1 << SLOTS) - 1;
    // Two loads into registers: sixteen octets put together in memory would wait for their own stores.
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *tags;
    let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let high = u32::from_le_bytes([i, j, k, l]);
    // SAFETY: every x86-64 processor has SSE2, and none of these reads memory.
    let equal = unsafe {
        let tags = _mm_set_epi64x(i64::from(high), low as i64);
        _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(wanted as i8)))
    };
    Hits(equal as u32 & USED)
}

/// The slots whose tag is `wanted`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn matches(tags: &[u8; SLOTS], wanted: u8) -> Hits {
    Hits(one_by_one(tags, wanted))
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn one_by_one(tags: &[u8; SLOTS], wanted: u8) -> u32 {
    tags.iter().enumerate().fold(0, |hits, (slot, &tag)| hits | u32::from(tag == wanted) << slot)
}

/// Slots, one bit for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hits(u32);

impl Iterator for Hits {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (slot < SLOTS).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // covers: B10
        #[test]
        fn tags_compared_at_once_are_tags_compared_one_by_one(
            tags in proptest::array::uniform12(prop_oneof![0u8..4, Just(0x80), Just(0xff)]),
            wanted in prop_oneof![0u8..4, Just(0x80), Just(0xff)],
        ) {
            let slots: Vec<usize> = (0..SLOTS).filter(|&slot| tags[slot] == wanted).collect();
            prop_assert_eq!(matches(&tags, wanted).collect::<Vec<_>>(), slots);
            prop_assert_eq!(matches(&tags, wanted).0, one_by_one(&tags, wanted));
        }
    }
}
