//! Time in ticks, and the wheel that finds what is due.
//!
//! The wheel is lazy: a packet only writes its session's `last_seen`; when the slot in which a
//! session was filed comes round, its real deadline is looked at and it is filed anew or ends. Only
//! a deadline that comes *nearer* (another state, a shorter timer) moves a session at once, so
//! expiry is on time to the tick.

use core::time::Duration;

use rules::Instant;
use zerocopy::FromZeros;

use crate::session::Ties;

/// The length of a tick.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Slots of the wheel: 13.7 minutes. What is due later is looked at once in that time.
const SLOTS: u32 = 1 << 13;

/// Where time ends, 13.6 years on: two turns of the wheel before the numbers do, so that a clock gone
/// wrong stops the timers and nothing else.
const LAST: u32 = u32::MAX - 2 * SLOTS;

/// The tick that `now` lies in.
pub(crate) fn tick_of(now: Instant) -> u32 {
    (now.as_nanos() / TICK.as_nanos() as u64).try_into().unwrap_or(LAST).min(LAST)
}

/// When `tick` begins.
pub(crate) fn start_of(tick: u32) -> Instant {
    Instant::from_nanos(TICK.as_nanos() as u64 * u64::from(tick))
}

/// `duration` in ticks, rounded up.
pub(crate) fn ticks(duration: Duration) -> u32 {
    duration.as_nanos().div_ceil(TICK.as_nanos()).try_into().unwrap_or(u32::MAX / 2)
}

/// A session's place in the wheel: in the doubly linked list of one slot.
#[derive(FromZeros, Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Link {
    /// 1 + index of the next session of the slot, 0: none.
    pub(crate) next: u32,
    /// 1 + index of the one before, 0: it is the first.
    previous: u32,
    /// The tick under which it is filed.
    filed: u32,
}

/// The wheel. It holds no session, only the heads of the lists that run through them.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Vec<u32>,
    /// A bit for each slot with something in it.
    occupied: Vec<u64>,
    /// All ticks before this one have been looked at.
    next: u32,
}

impl Wheel {
    pub(crate) fn new(now: u32) -> Self {
        Self { heads: vec![0; SLOTS as usize], occupied: vec![0; (SLOTS / 64) as usize], next: now }
    }

    /// Files session `index` under its `deadline`, or as far ahead as the wheel reaches.
    pub(crate) fn file(&mut self, ties: &mut [Ties], index: u32, deadline: u32) {
        let tick = deadline.clamp(self.next, self.next.saturating_add(SLOTS - 1));
        let slot = tick % SLOTS;
        let head = core::mem::replace(&mut self.heads[slot as usize], index + 1);
        self.occupied[(slot / 64) as usize] |= 1 << (slot % 64);
        if let Some(second) = head.checked_sub(1) {
            ties[second as usize].link.previous = index + 1;
        }
        ties[index as usize].link = Link { next: head, previous: 0, filed: tick };
    }

    /// Takes session `index` out.
    pub(crate) fn unfile(&mut self, ties: &mut [Ties], index: u32) {
        let Link { next, previous, filed } = ties[index as usize].link;
        if let Some(next) = next.checked_sub(1) {
            ties[next as usize].link.previous = previous;
        }
        if let Some(previous) = previous.checked_sub(1) {
            ties[previous as usize].link.next = next;
        } else {
            let slot = filed % SLOTS;
            self.heads[slot as usize] = next;
            if next == 0 {
                self.occupied[(slot / 64) as usize] &= !(1 << (slot % 64));
            }
        }
    }

    /// Session `index`'s deadline has changed: it is moved if it would be looked at too late.
    pub(crate) fn hasten(&mut self, ties: &mut [Ties], index: u32, deadline: u32) {
        if deadline < ties[index as usize].link.filed {
            self.unfile(ties, index);
            self.file(ties, index, deadline);
        }
    }

    /// The next session to look at, still filed, of all that were filed under `now` or before, and
    /// the tick under which it was.
    pub(crate) fn due(&mut self, now: u32) -> Option<(u32, u32)> {
        // The last tick of all never ends: time has stopped there.
        let now = now.min(u32::MAX - 1);
        while self.next <= now {
            if let Some(index) = self.heads[(self.next % SLOTS) as usize].checked_sub(1) {
                return Some((self.next, index));
            }
            // Everything filed lies within one turn from here, so an empty wheel ends the search.
            self.next = self.first_occupied().map_or(now + 1, |tick| tick.min(now + 1));
        }
        None
    }

    /// When [`Self::due`] will have something to say next.
    pub(crate) fn next_tick(&self) -> Option<u32> {
        self.first_occupied()
    }

    /// The first tick from `next` on, within a turn, whose slot is occupied.
    fn first_occupied(&self) -> Option<u32> {
        let start = self.next % SLOTS;
        let words = SLOTS / 64;
        // One word more than there are: the first is looked at twice, behind `start` and before it.
        for n in 0..=words {
            let word = (start / 64 + n) % words;
            let mut bits = self.occupied[word as usize];
            if n == 0 {
                bits &= u64::MAX << (start % 64);
            } else if n == words {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros();
                return Some(self.next + (slot + SLOTS - start) % SLOTS);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blank(count: usize) -> Vec<Ties> {
        vec![Ties::new_zeroed(); count]
    }

    // covers: N2
    #[test]
    fn ticks_round_up_and_begin_where_they_should() {
        assert_eq!(ticks(Duration::from_millis(100)), 1);
        assert_eq!(ticks(Duration::from_millis(101)), 2);
        assert_eq!(ticks(Duration::from_secs(7_440)), 74_400);
        assert_eq!(tick_of(Instant::from_millis(199)), 1);
        assert_eq!(start_of(tick_of(Instant::from_millis(200))), Instant::from_millis(200));
    }

    proptest! {
        // covers: N2
        #[test]
        fn everything_comes_round_at_its_tick(
            steps in proptest::collection::vec((0u32..40, 1u32..20_000, any::<bool>()), 1..200),
            start in 0u32..100_000,
        ) {
            let mut ties = blank(40);
            let mut wheel = Wheel::new(start);
            // The slow obvious wheel: the tick under which each is filed.
            let mut filed = std::collections::BTreeMap::new();
            let mut now = start;
            for (index, ahead, advance) in steps {
                if advance {
                    now += ahead;
                    while let Some((_, due)) = wheel.due(now) {
                        let tick = filed.remove(&due).expect("it was filed");
                        prop_assert!(tick <= now);
                        prop_assert!(filed.values().all(|&other| other >= tick), "out of order");
                        wheel.unfile(&mut ties, due);
                    }
                    prop_assert!(filed.values().all(|&tick| tick > now), "forgotten");
                } else {
                    let deadline = now + 1 + ahead;
                    let tick = deadline.min(now + 1 + SLOTS - 1).min(wheel.next + SLOTS - 1);
                    if let Some(old) = filed.get_mut(&index) {
                        wheel.hasten(&mut ties, index, deadline);
                        *old = if deadline < *old { tick } else { *old };
                    } else {
                        wheel.file(&mut ties, index, deadline);
                        filed.insert(index, tick);
                    }
                }
                prop_assert_eq!(wheel.next_tick(), filed.values().min().copied());
            }
        }
    }
}
