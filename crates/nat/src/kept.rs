//! Mappings that live without sessions: until when.
//!
//! A static mapping is not in here, it has no end. What is in here was asked for explicitly
//! ([`crate::explicit`]); there is one entry for each such mapping, so it is bounded as they are.

use std::collections::BTreeSet;

use crate::memory::Arena;

/// When mappings stop to be kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// By mapping; of those that are not kept it means nothing.
    until: Arena<u32>,
    /// Tick and mapping, the next one first.
    order: BTreeSet<(u32, u32)>,
    /// The first tick of `order`, or never.
    next: u32,
}

/// No tick at all: time stops before it.
const NEVER: u32 = u32::MAX;

impl Kept {
    /// What one takes at most: a node of the tree holds from 5 to 11 entries in 104 octets.
    pub(crate) const OCTETS: u64 = 4 + 24;

    pub(crate) fn new(mappings: u32) -> std::io::Result<Self> {
        Ok(Self { until: Arena::cold(mappings as usize)?, order: BTreeSet::new(), next: NEVER })
    }

    /// Mapping `index` is kept until `tick`; `before`: it was kept already.
    pub(crate) fn keep(&mut self, index: u32, tick: u32, before: bool) {
        if before {
            self.order.remove(&(self.until[index as usize], index));
        }
        let tick = tick.min(NEVER - 1);
        self.until[index as usize] = tick;
        self.order.insert((tick, index));
        self.note_next();
    }

    /// Mapping `index`, which was kept, is so no longer.
    pub(crate) fn remove(&mut self, index: u32) {
        self.order.remove(&(self.until[index as usize], index));
        self.note_next();
    }

    /// Whether the time of one is over at `tick`.
    #[inline(always)]
    pub(crate) fn is_due(&self, tick: u32) -> bool {
        self.next <= tick
    }

    /// The one whose time is over first, and when.
    pub(crate) fn first(&self) -> Option<(u32, u32)> {
        self.order.first().copied()
    }

    pub(crate) fn next_tick(&self) -> Option<u32> {
        (self.next != NEVER).then_some(self.next)
    }

    fn note_next(&mut self) {
        self.next = self.order.first().map_or(NEVER, |&(tick, _)| tick);
    }
}
