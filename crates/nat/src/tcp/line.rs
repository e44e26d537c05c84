//! What is followed of a TCP connection, in its session's cache line.
//!
//! Each side by its realm. What is written down has to be plausible, or anybody could move it to where
//! a forged RST of theirs would be exact: a segment must lie within a window of what the other side has
//! acknowledged, and its acknowledgment must be of something that was sent, not long ago.

use rules::Instant;
use rules::middlebox::{Passed, is_old_duplicate};
use rules::paws::{PawsVerdict, TsRecent, paws};
use rules::rfc5961::ack_verdict;
use wire::SeqNumber;
use wire::tcp::Flags;
use zerocopy::FromZeros;

use crate::Realm;
use crate::tcp::seen::Seen;

/// One side.
#[derive(FromZeros, Clone, Copy, Debug, Default)]
#[repr(C)]
struct Half {
    /// Highest SEG.SEQ + SEG.LEN.
    end: u32,
    /// Highest SEG.ACK.
    acked: u32,
    /// What its peer's TS.Recent is.
    tsval: u32,
}

/// One connection. A line that is all zero has seen nothing and judges nothing.
#[derive(FromZeros, Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Line {
    sides: [Half; 2],
    /// The largest window that it has offered, as a power of two.
    window: [u8; 2],
    /// What is known of it, and in the upper half 1 + window scale of its SYN, 0: none.
    flags: [u8; 2],
}

const _: () = assert!(size_of::<Line>() == 28);

/// Its SYN was seen, so `end` counts.
const SENT: u8 = 1;
/// It has acknowledged something that the other side sent, so `acked` counts.
const ACKED: u8 = 2;
/// Its SYN had a timestamp.
const TIMESTAMPS: u8 = 4;
/// Its last segment was so far ahead that part of the connection must be going another way; its
/// numbers are not measured until they fit again.
const LOST: u8 = 8;

/// Where the window scale is in the flags.
const SCALE: u32 = 4;

/// No window counts as less than this, 2^16: probes of a closed one have to pass.
const LEAST_WINDOW: u8 = 16;

impl Line {
    /// A segment of a running connection from `realm`.
    #[inline(always)]
    pub(crate) fn feed(&mut self, realm: Realm, seen: &Seen, flags: Flags, last: Instant, now: Instant) {
        let (own, other) = (realm as usize, realm.other() as usize);
        if self.flags[own] & SENT == 0 {
            return;
        }
        let acknowledged = self.flags[other] & ACKED != 0;
        let fixed = if acknowledged { self.sides[other].acked } else { self.sides[own].end };
        let ahead = seen.end().0.wrapping_sub(fixed) as i32;
        let window = self.window_of(other) as i32;
        if ahead > window {
            self.flags[own] |= LOST;
            return;
        }
        if ahead < -window || !self.may_acknowledge(own, other, seen, flags) {
            return;
        }
        if self.flags[own] & LOST != 0 {
            self.flags[own] &= !LOST;
        }
        let half = &mut self.sides[own];
        if seen.has_timestamp
            && self.flags[own] & TIMESTAMPS != 0
            && acknowledged
            && seen.tsval != half.tsval
            && rules::paws::updates_ts_recent(
                seen.seq(),
                seen.tsval,
                Some(TsRecent { value: half.tsval, seen: last }),
                SeqNumber(fixed),
                now,
            )
        {
            half.tsval = seen.tsval;
        }
        if seen.end().after(SeqNumber(half.end)) {
            half.end = seen.end().0;
        }
        if flags.contains(Flags::ACK) {
            self.acknowledge(own, other, seen, true);
        }
    }

    /// A SYN from `realm`. `restart`: the connection is not running. In one that is, a SYN may be
    /// anybody's, unless nothing of this side was acknowledged yet.
    pub(crate) fn feed_syn(&mut self, realm: Realm, seen: &Seen, flags: Flags, restart: bool) {
        let (own, other) = (realm as usize, realm.other() as usize);
        if !restart && self.flags[other] & ACKED != 0 {
            // The same SYN again, of a simultaneous open: it may acknowledge the other one.
            if flags.contains(Flags::ACK) && seen.end().0 == self.sides[own].end {
                self.acknowledge(own, other, seen, false);
            }
            return;
        }
        self.sides[own] = Half { end: seen.end().0, acked: 0, tsval: seen.tsval };
        self.flags[own] = SENT | if seen.has_timestamp { TIMESTAMPS } else { 0 } | seen.scale << SCALE;
        self.flags[other] &= !ACKED;
        // Nor does an old window, however large, help anybody to have it acknowledged by chance.
        self.window = [0; 2];
        if flags.contains(Flags::ACK) {
            self.acknowledge(own, other, seen, false);
        }
    }

    /// Whether the receiver of a segment from `own` would look at it for its ACK (RFC 5961 section 5). Without
    /// that, whoever guesses a place in the window alone has moved the end, and knows where a RST is exact.
    /// While the receiver's own SYN was not seen there is nothing to ask.
    #[inline(always)]
    fn may_acknowledge(&self, own: usize, other: usize, seen: &Seen, flags: Flags) -> bool {
        if self.flags[other] & SENT == 0 {
            return true;
        }
        let sent = self.sides[other].end;
        let una = if self.flags[own] & ACKED != 0 { self.sides[own].acked } else { sent };
        let verdict = ack_verdict(seen.ack(), SeqNumber(una), SeqNumber(sent), self.window_of(own));
        flags.contains(Flags::ACK) && verdict.is_acceptable()
    }

    #[inline(always)]
    fn acknowledge(&mut self, own: usize, other: usize, seen: &Seen, scaled: bool) {
        if self.flags[other] & SENT == 0 || seen.ack().after(SeqNumber(self.sides[other].end)) {
            return;
        }
        // A window counts once both SYNs had the option, and never in a SYN itself (RFC 7323 2.2).
        let [mine, theirs] = [own, other].map(|side| self.flags[side] >> SCALE);
        let scale = if scaled && theirs != 0 { mine.saturating_sub(1) } else { 0 };
        let bits = (32 - u32::from(seen.window).leading_zeros()) as u8 + scale;
        if bits > self.window[own] {
            self.window[own] = bits;
        }
        if self.flags[own] & ACKED == 0 {
            // The first one: of what is on its way, not of what was long ago.
            if self.sides[other].end.wrapping_sub(seen.ack) > self.window_of(own) {
                return;
            }
        } else if !seen.ack().after(SeqNumber(self.sides[own].acked)) {
            return;
        }
        self.flags[own] |= ACKED;
        self.sides[own].acked = seen.ack;
    }

    /// Octets: the largest window that a side has offered, 2^16 to 2^30.
    #[inline(always)]
    fn window_of(&self, side: usize) -> u32 {
        1 << self.window[side].clamp(LEAST_WINDOW, 30)
    }

    /// Whether a segment from `realm` is an old duplicate. `last`: when the session last saw one.
    #[inline(always)]
    pub(crate) fn is_old(
        &self,
        realm: Realm,
        seen: &Seen,
        flags: Flags,
        last: Instant,
        now: Instant,
    ) -> bool {
        let (own, other) = (realm as usize, realm.other() as usize);
        let exempt = flags.intersects(Flags(Flags::SYN.0 | Flags::RST.0));
        if exempt || self.flags[own] & self.flags[other] & SENT == 0 {
            return false;
        }
        if self.flags[other] & ACKED == 0 {
            // Nothing of it was acknowledged since its SYN, which may be anybody's: it judges nothing.
            return false;
        }
        let half = &self.sides[own];
        if seen.has_timestamp && self.flags[own] & TIMESTAMPS != 0 {
            let recent = TsRecent { value: half.tsval, seen: last };
            return seen.tsval != half.tsval
                && paws(seen.tsval, Some(recent), flags, now) == PawsVerdict::Old;
        }
        self.flags[own] & LOST == 0
            && is_old_duplicate(seen.end(), SeqNumber(self.sides[other].acked), self.window_of(other))
    }

    /// What the receiver of a segment from `realm` has acknowledged, and the largest window that it has offered;
    /// nothing as long as a part of the connection goes another way.
    pub(crate) fn offered(&self, realm: Realm) -> Option<(SeqNumber, u32)> {
        let (own, other) = (realm as usize, realm.other() as usize);
        let known = self.flags[own] & (SENT | LOST) == SENT && self.flags[other] & ACKED != 0;
        known.then(|| (SeqNumber(self.sides[other].acked), self.window_of(other)))
    }

    /// What a RST from `realm` is measured by.
    pub(crate) fn passed(&self, realm: Realm) -> Passed {
        let (own, other) = (realm as usize, realm.other() as usize);
        let has = |side: usize, flag: u8| self.flags[side] & flag != 0;
        Passed {
            sent: has(own, SENT).then_some(SeqNumber(self.sides[own].end)),
            acknowledged: has(other, ACKED).then_some(SeqNumber(self.sides[other].acked)),
            receiver_sent: has(other, SENT).then_some(SeqNumber(self.sides[other].end)),
        }
    }

    /// Where what the side of `realm` has sent ends, if its SYN was seen.
    pub(crate) fn end(&self, realm: Realm) -> Option<SeqNumber> {
        (self.flags[realm as usize] & SENT != 0).then_some(SeqNumber(self.sides[realm as usize].end))
    }

    /// The last timestamp of the side of `realm`, if it has them.
    pub(crate) fn tsval(&self, realm: Realm) -> Option<u32> {
        (self.flags[realm as usize] & TIMESTAMPS != 0).then_some(self.sides[realm as usize].tsval)
    }

    /// Both sides' timestamps are too old to forbid anything.
    pub(crate) fn forget_timestamps(&mut self) {
        self.flags.iter_mut().for_each(|flags| *flags &= !TIMESTAMPS);
    }
}
