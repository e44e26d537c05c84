//! Arrays of a fixed length whose pages come from the kernel as they are first touched.
//!
//! The engine's tables are sized once, by the limits of the configuration, and never move. They are
//! mapped anonymously and zeroed by the kernel, so that a large limit costs address space and not
//! memory; for the hot ones huge pages are asked for, because with 4 KiB pages every look-up in a
//! large table would miss the TLB as well as the caches.
#![allow(unsafe_code)]

use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use memmap2::{MmapMut, MmapOptions};
use zerocopy::FromZeros;

/// Below this, huge pages would only waste memory.
const HUGE_PAGE: usize = 2 << 20;

/// A zeroed array that never moves and never grows.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    items: NonNull<T>,
    len: usize,
    /// Owns the memory behind `items`.
    map: MmapMut,
}

// SAFETY: an arena owns its memory as a `Box<[T]>` would.
unsafe impl<T: Send> Send for Arena<T> {}
// SAFETY: as above; shared access gives out `&T` only.
unsafe impl<T: Sync> Sync for Arena<T> {}

impl<T: FromZeros> Arena<T> {
    /// `len` items, all zero, read at random for every packet: on huge pages where there are any.
    /// The error is the kernel's refusal of that much address space.
    pub(crate) fn hot(len: usize) -> std::io::Result<Self> {
        let octets = len.checked_mul(size_of::<T>()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        if octets < HUGE_PAGE {
            return Self::cold(len);
        }
        // Whole huge pages: then the kernel also begins at the border of one.
        let arena = Self::map(len, octets.next_multiple_of(HUGE_PAGE))?;
        #[cfg(target_os = "linux")]
        // A kernel without huge pages says no; the array is then merely slower.
        let _ = arena.map.advise(memmap2::Advice::HugePage);
        Ok(arena)
    }

    /// `len` items, all zero, of which large stretches may never be touched.
    pub(crate) fn cold(len: usize) -> std::io::Result<Self> {
        Self::map(len, len.checked_mul(size_of::<T>()).ok_or(std::io::ErrorKind::OutOfMemory)?)
    }

    /// `len` items in a map of `octets`, which are at least enough.
    fn map(len: usize, octets: usize) -> std::io::Result<Self> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let mut map = MmapOptions::new().len(octets.max(1)).no_reserve_swap().map_anon()?;
        let items = NonNull::new(map.as_mut_ptr().cast::<T>()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self { items, len, map })
    }
}

impl<T> Deref for Arena<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the map is page-aligned (at least `align_of::<T>()`), holds `len * size_of::<T>()`
        // octets, lives as long as `self`, and zeroes are a valid `T` (`FromZeros` in `hot` and `cold`).
        unsafe { core::slice::from_raw_parts(self.items.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Arena<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; `&mut self` makes it the only reference.
        unsafe { core::slice::from_raw_parts_mut(self.items.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: B10
    #[test]
    fn an_arena_is_zero_writable_and_of_its_length() {
        let mut arena = Arena::<u64>::hot(1 << 19).expect("4 MiB");
        assert_eq!(arena.len(), 1 << 19);
        assert!(arena.iter().all(|&item| item == 0));
        arena[(1 << 19) - 1] = 7;
        assert_eq!(arena[(1 << 19) - 1], 7);
        wire::prefetch::prefetch(&arena, 3);
        wire::prefetch::prefetch(&arena, usize::MAX);
        assert!(Arena::<u64>::cold(0).expect("nothing").is_empty());
        assert!(Arena::<u64>::hot(usize::MAX).is_err());
    }
}
