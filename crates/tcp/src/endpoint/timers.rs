//! Whose time comes next: a binary heap in which each connection stands at most once.
//!
//! A deadline that moves away, as the retransmission timer's does with every ACK, is not moved in the heap: when the
//! entry comes up early the connection says anew when its time is. Only one that comes nearer costs a move.

use alloc::vec::Vec;

use rules::Instant;

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;

/// Deadlines by index.
#[derive(Default)]
pub(super) struct Timers {
    heap: Vec<(Instant, u32)>,
    /// Where in the heap an index is.
    places: Vec<u32>,
}

impl Timers {
    /// The nearest deadline, or a time before it.
    pub(super) fn first(&self) -> Option<Instant> {
        self.heap.first().map(|&(time, _)| time)
    }

    /// Wakes `index` at `time` or before.
    pub(super) fn set(&mut self, index: u32, time: Instant) {
        if self.places.len() <= index as usize {
            self.places.resize(index as usize + 1, NOWHERE);
        }
        let place = self.place(index);
        match self.heap.get_mut(place as usize) {
            Some(entry) if place != NOWHERE => {
                if time < entry.0 {
                    entry.0 = time;
                    self.up(place as usize);
                }
            }
            _ => {
                self.heap.push((time, index));
                self.put(self.heap.len() - 1);
                self.up(self.heap.len() - 1);
            }
        }
    }

    /// `index` waits for nothing.
    pub(super) fn clear(&mut self, index: u32) {
        let place = self.place(index);
        if place != NOWHERE {
            self.remove(place as usize);
        }
    }

    /// The next one whose time has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<u32> {
        let &(time, index) = self.heap.first()?;
        if time > now {
            return None;
        }
        self.remove(0);
        Some(index)
    }

    /// The nearest, whether its time has come or not.
    pub(super) fn pop_first(&mut self) -> Option<u32> {
        let &(_, index) = self.heap.first()?;
        self.remove(0);
        Some(index)
    }

    #[cfg(test)]
    const fn len(&self) -> usize {
        self.heap.len()
    }

    fn place(&self, index: u32) -> u32 {
        self.places.get(index as usize).copied().unwrap_or(NOWHERE)
    }

    fn remove(&mut self, place: usize) {
        let last = self.heap.len() - 1;
        self.swap(place, last);
        if let Some((_, index)) = self.heap.pop()
            && let Some(slot) = self.places.get_mut(index as usize)
        {
            *slot = NOWHERE;
        }
        if place < self.heap.len() {
            self.down(place);
            self.up(place);
        }
    }

    fn up(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if !self.is_before(place, parent) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let child = if self.is_before(right, left) { right } else { left };
            if !self.is_before(child, place) {
                break;
            }
            self.swap(place, child);
            place = child;
        }
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        match (self.heap.get(a), self.heap.get(b)) {
            (Some(a), Some(b)) => a.0 < b.0,
            _ => false,
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.put(a);
        self.put(b);
    }

    fn put(&mut self, place: usize) {
        if let Some(&(_, index)) = self.heap.get(place)
            && let Some(slot) = self.places.get_mut(index as usize)
        {
            *slot = place as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        // covers: T10
        #[test]
        fn the_heap_wakes_whom_a_map_would_wake(
            steps in proptest::collection::vec((0u8..3, 0u32..20, 0u64..100), 1..200)
        ) {
            let (mut timers, mut model) = (Timers::default(), BTreeMap::new());
            for (kind, index, time) in steps {
                let at = Instant::from_nanos(time);
                match kind {
                    0 => {
                        timers.set(index, at);
                        let entry = model.entry(index).or_insert(time);
                        *entry = time.min(*entry);
                    }
                    1 => {
                        timers.clear(index);
                        model.remove(&index);
                    }
                    _ => {
                        let mut woken = alloc::vec![];
                        while let Some(index) = timers.pop(at) {
                            woken.push(index);
                        }
                        woken.sort_unstable();
                        let due: Vec<u32> = model.iter().filter(|(_, t)| **t <= time).map(|(i, _)| *i).collect();
                        due.iter().for_each(|index| { model.remove(index); });
                        prop_assert_eq!(woken, due);
                    }
                }
                prop_assert_eq!(timers.first().map(Instant::as_nanos), model.values().min().copied());
                prop_assert_eq!(timers.len(), model.len());
            }
        }
    }
}
