//! Runs of free ports: for sets of mappings that are asked for explicitly (RFC 7753).

use core::ops::RangeInclusive;

use super::{Pool, Port};

/// Consecutive ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) first: u16,
    pub(crate) count: u16,
}

impl Pool {
    /// The first run of `count` free ports of `range` that begins at `from` or after it, going round; if there is
    /// none so long, the longest. With `odd`, its first port is odd or even.
    ///
    /// Every port is looked at twice at most, 64 that are taken at once.
    pub(crate) fn find_run(
        &self,
        from: Port,
        range: &RangeInclusive<u16>,
        odd: Option<bool>,
        count: u16,
    ) -> Option<Run> {
        let mut longest = None;
        for first in [from.port.max(*range.start()), *range.start()] {
            let found = self.longest_run(Port { port: first, ..from }, *range.end(), odd, count);
            if found.is_some_and(|run| run.count == count) {
                return found;
            }
            longest = longest.max_by_count(found);
        }
        longest
    }

    /// The run at `from`, of `count` ports at most.
    pub(crate) fn run_at(&self, from: Port, range: &RangeInclusive<u16>, count: u16) -> Option<Run> {
        let last = from.port.saturating_add(count.saturating_sub(1)).min(*range.end());
        let free = |port: &u16| range.contains(port) && self.is_free(Port { port: *port, ..from });
        let count = (from.port..=last).take_while(free).count() as u16;
        (count > 0).then_some(Run { first: from.port, count })
    }

    fn longest_run(&self, from: Port, last: u16, odd: Option<bool>, count: u16) -> Option<Run> {
        let mut longest: Option<Run> = None;
        let mut run: Option<Run> = None;
        let mut at = u32::from(from.port);
        while at <= u32::from(last) {
            let port = at as u16;
            let entry = self.entry(Port { port, ..from });
            if port.is_multiple_of(64) && self.taken[entry / 64] == u64::MAX {
                longest = longest.max_by_count(run.take());
                at += 64;
                continue;
            }
            at += 1;
            if !self.is_free(Port { port, ..from }) {
                longest = longest.max_by_count(run.take());
                continue;
            }
            match &mut run {
                Some(run) => run.count += 1,
                None if odd.is_some_and(|odd| odd != (port % 2 == 1)) => continue,
                None => run = Some(Run { first: port, count: 1 }),
            }
            if run.is_some_and(|run| run.count == count) {
                return run;
            }
        }
        longest.max_by_count(run)
    }
}

/// The longer of two runs, of equal ones the first.
trait MaxByCount {
    fn max_by_count(self, other: Self) -> Self;
}

impl MaxByCount for Option<Run> {
    fn max_by_count(self, other: Self) -> Self {
        let count = |run: Self| run.map_or(0, |run| run.count);
        if count(other) > count(self) { other } else { self }
    }
}
