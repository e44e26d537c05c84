//! Asking for memory before it is needed: what the packets of a batch will look at is then waited for together.
#![allow(unsafe_code)]

/// Octets of a cache line.
const LINE: usize = 64;

/// Asks for the cache line of `items[index]`, if there is one, without waiting for it.
#[inline(always)]
pub fn prefetch<T>(items: &[T], index: usize) {
    if let Some(item) = items.get(index) {
        line(core::ptr::from_ref(item).cast());
    }
}

/// Asks for the cache lines of the first `octets` of `item`.
#[inline(always)]
pub fn prefetch_lines<T>(item: &T, octets: usize) {
    let first = core::ptr::from_ref(item).cast::<i8>();
    for offset in (0..octets.min(size_of::<T>())).step_by(LINE) {
        line(first.wrapping_add(offset));
    }
}

#[inline(always)]
fn line(at: *const i8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on caches, whatever the address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
