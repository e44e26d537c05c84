//! Wars between the ends of a connection, damped (C3): from the k-th segment on that says nothing new, what one
//! side says is dropped. Nobody answers what did not arrive, so both come to rest.
//!
//! Only connections under suspicion are remembered, in few places: the first segment that could belong to a war
//! takes one, the first that could not gives it back. Where two want the same place the later one has it; then
//! the earlier one's war goes on for a few segments more.

use rules::war::{Said, is_war};
use wire::tcp::Flags;

use super::engine::marks_of;
use crate::tcp::{Line, Seen};
use crate::{Realm, Reason};

/// Connections under suspicion.
const PLACES: usize = 4_096;

/// One of them.
#[derive(Clone, Copy, Debug, Default)]
struct Suspect {
    /// 1 + the number of the connection, 0: the place is free.
    number: u32,
    /// What each side has said last, and its window: another one would be news.
    last: [Option<(Said, u16)>; 2],
    /// Empty repetitions of each side since something else came.
    counts: [u64; 2],
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Wars {
    limit: u64,
    places: Vec<Suspect>,
    /// Places that are taken: as long as there is none, nobody looks.
    taken: u32,
}

/// What became of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It passes.
    Pass,
    /// It is dropped; it is the first of its war, which has so many segments by now.
    First(u64),
    /// It is dropped, as others were before.
    Again,
}

impl Outcome {
    pub(crate) fn reason(self) -> Option<Reason> {
        (self != Self::Pass).then_some(Reason::WarDamped)
    }
}

impl Wars {
    /// What all places take.
    pub(crate) const OCTETS: u64 = (PLACES * size_of::<Suspect>()) as u64;

    pub(crate) fn new(limit: u32) -> Self {
        Self { limit: limit.into(), places: vec![Suspect::default(); PLACES], taken: 0 }
    }

    /// A segment from `realm` of the connection `number`, before `line` is told of it.
    #[inline(always)]
    pub(crate) fn see(
        &mut self,
        number: u32,
        realm: Realm,
        seen: &Seen,
        flags: Flags,
        line: &Line,
    ) -> Outcome {
        // What can be part of a war stands left of what was acknowledged, or right of it while the windows of both
        // are closed. Nearly nothing does.
        let acked = line.passed(realm).acknowledged;
        let odd = acked
            .is_some_and(|acked| seen.seq().before(acked) || seen.window == 0 && seen.seq().after(acked));
        if self.taken == 0 && !odd { Outcome::Pass } else { self.look(number, realm, seen, flags, line) }
    }

    /// The connection `number` is over.
    pub(crate) fn forget(&mut self, number: u32) {
        if let Some(place) = self.places.get_mut(number as usize % PLACES)
            && place.number == number.wrapping_add(1)
        {
            *place = Suspect::default();
            self.taken -= 1;
        }
    }

    #[cold]
    fn look(&mut self, number: u32, realm: Realm, seen: &Seen, flags: Flags, line: &Line) -> Outcome {
        let limit = self.limit;
        let passed = line.passed(realm);
        let said = Said { seq: seen.seq(), ack: seen.ack(), flags };
        let has_text = seen.len > marks_of(flags);
        let own = realm as usize;
        let Some(place) = self.places.get_mut(number as usize % PLACES) else { return Outcome::Pass };
        let known = place.number == number.wrapping_add(1);
        let other = realm.other() as usize;
        // Where the other side's window is closed, its edge is what it acknowledges.
        let edge = match place.last[other].filter(|_| known) {
            Some((last, 0)) => Some(last.ack),
            _ => None,
        };
        let refused = said.is_empty_repetition(Some(said), passed.acknowledged, edge);
        // The first of a closed window's side: it may be refused once the other side's is known.
        let closed = seen.window == 0
            && said.is_empty_repetition(Some(said), passed.acknowledged, passed.acknowledged);
        let reopened = place.last[own].filter(|_| known).is_some_and(|(_, window)| window != seen.window);
        if has_text || !(refused || closed) || reopened {
            // Text that was sent before is a timer's doing; it neither ends a war nor belongs to it.
            let old_text = has_text && passed.sent.is_some_and(|sent| !seen.end().after(sent));
            if known && !old_text {
                *place = Suspect::default();
                self.taken -= 1;
            }
            return Outcome::Pass;
        }
        if !known {
            self.taken += u32::from(place.number == 0);
            *place = Suspect { number: number.wrapping_add(1), ..Suspect::default() };
        }
        // The first time cannot be told from a retransmission; what it says is remembered.
        if place.last[own].replace((said, seen.window)).is_none_or(|(last, _)| last != said) {
            place.counts = [0; 2];
            return Outcome::Pass;
        }
        if !refused {
            return Outcome::Pass;
        }
        let before = is_war(place.counts, limit, false);
        place.counts[own] = place.counts[own].saturating_add(1);
        match (before, is_war(place.counts, limit, false)) {
            (_, false) => Outcome::Pass,
            (false, true) => Outcome::First(place.counts[0].saturating_add(place.counts[1])),
            (true, true) => Outcome::Again,
        }
    }
}
