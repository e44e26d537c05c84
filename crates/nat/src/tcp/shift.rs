//! Numbers that differ on both sides of the gateway (N4): sequence numbers and timestamps go out higher
//! than the subscriber sent them, and everything that comes back about them is put back.
//!
//! What a signature covers is left alone: segments with TCP MD5 or TCP-AO (RFC 2385, RFC 5925).

use wire::checksum::Delta;
use wire::tcp::{Flags, OptionsIter, TcpOption};
use zerocopy::FromZeros;

use crate::brief::Brief;
use crate::engine::Engine;
use crate::free::FreeList;
use crate::ftp::place::{Inexact, Place, Way};
use crate::memory::Arena;
use crate::rewrite::change;
use crate::session::{CONTROL, NewSession};
use crate::{Checksum, Packet, Realm, Reason};

/// What is added to the subscriber's numbers on their way out.
#[derive(FromZeros, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shift {
    pub(crate) seq: u32,
    pub(crate) tsval: u32,
    /// Behind it `seq` is another.
    pub(crate) place: Place,
}

/// Whose numbers a segment has that are the subscriber's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Numbers {
    /// It is the subscriber's: SEG.SEQ and TSval.
    Own,
    /// It is the remote's, about the subscriber's: SEG.ACK, SACK edges, TSecr.
    Echoed,
}

impl Shift {
    /// One shift for the whole sequence.
    pub(crate) fn constant(seq: u32, tsval: u32) -> Self {
        Self { seq, tsval, ..Self::default() }
    }

    /// What was behind the place is everywhere: nothing before it is under way any more.
    pub(crate) fn settle(&mut self) {
        self.seq = self.seq.wrapping_add(self.place.growth());
        self.place = Place::default();
    }

    /// A SEG.SEQ of the subscriber's, as the remote counts. Inside the place: a probe of what it has sent before.
    pub(crate) fn out(&self, seq: u32) -> u32 {
        self.place.map(self.seq, seq, Way::Out, Inexact::Behind)
    }

    /// An acknowledgment of the remote's, as the subscriber counts. What is replaced is acknowledged as a whole.
    pub(crate) fn back(&self, ack: u32) -> u32 {
        self.place.map(self.seq, ack, Way::Back, Inexact::Before)
    }

    fn timestamp(&self, value: u32, way: Way) -> u32 {
        match way {
            Way::Out => value.wrapping_add(self.tsval),
            Way::Back => value.wrapping_sub(self.tsval),
        }
    }

    /// Changes a TCP header, as far as it is there; the answer is what that does to its checksum.
    pub(crate) fn apply(&self, header: &mut [u8], numbers: Numbers, way: Way) -> Delta {
        let mut delta = Delta::NONE;
        let options = options_of(header);
        if has_signature(options) {
            return delta;
        }
        let has_ack = header.get(13).is_some_and(|&flags| Flags(flags).contains(Flags::ACK));
        // At most three blocks of SACK and a timestamp.
        let mut places = [(0usize, Field::Seq); 16];
        let mut count = 0;
        let mut note = |at: usize, field: Field| {
            if let Some(place) = places.get_mut(count) {
                *place = (at, field);
                count += 1;
            }
        };
        match numbers {
            Numbers::Own => note(4, Field::Seq),
            Numbers::Echoed if has_ack => note(8, Field::Ack),
            Numbers::Echoed => {}
        }
        let mut all = OptionsIter::new(options);
        while let Some(Ok(option)) = all.next() {
            let at = 20 + all.offset();
            match (option, numbers) {
                (TcpOption::Timestamps { .. }, Numbers::Own) => note(at + 2, Field::Timestamp),
                (TcpOption::Timestamps { .. }, Numbers::Echoed) if has_ack => note(at + 6, Field::Timestamp),
                (TcpOption::Sack(blocks), Numbers::Echoed) => {
                    for (n, _) in blocks.enumerate() {
                        note(at + 2 + 8 * n, Field::Left);
                        note(at + 6 + 8 * n, Field::Ack);
                    }
                }
                _ => {}
            }
        }
        for &(at, field) in places.iter().take(count) {
            let new = |old| match field {
                Field::Seq => self.place.map(self.seq, old, way, Inexact::Behind),
                Field::Ack => self.place.map(self.seq, old, way, Inexact::Before),
                Field::Left => self.place.map(self.seq, old, way, Inexact::Behind),
                Field::Timestamp => self.timestamp(old, way),
            };
            delta = delta.and(change_number(header, at, new));
        }
        delta
    }
}

/// What a 32-bit field is.
#[derive(Clone, Copy)]
enum Field {
    Seq,
    /// Up to there: an acknowledgment, the right edge of a block.
    Ack,
    /// From there on: the left edge of a block.
    Left,
    Timestamp,
}

/// Changes a 32-bit field, if all of it is there.
fn change_number(header: &mut [u8], at: usize, new: impl FnOnce(u32) -> u32) -> Delta {
    let Some(field) = header.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) else {
        return Delta::NONE;
    };
    let old = u32::from_be_bytes(*field);
    let new = new(old);
    *field = new.to_be_bytes();
    // An option may begin at an odd octet; then its octets are the other halves of their words.
    let words = |value: u32| match at.is_multiple_of(2) {
        true => value,
        false => (value & 0xff00_ff00) >> 8 | (value & 0x00ff_00ff) << 8,
    };
    Delta::u32(words(old), words(new))
}

/// The options of a TCP header, as far as they are there.
pub(crate) fn options_of(header: &[u8]) -> &[u8] {
    let len = header.get(12).map_or(0, |&octet| usize::from(octet >> 4) * 4);
    header.get(20..len.min(header.len())).unwrap_or_default()
}

/// Whether the header is signed and must not be changed.
pub(crate) fn has_signature(options: &[u8]) -> bool {
    OptionsIter::new(options)
        .map_while(Result::ok)
        .any(|option| matches!(option, TcpOption::Md5(_) | TcpOption::Authentication { .. }))
}

/// The shifts of all sessions that have one.
#[derive(Debug)]
pub(crate) struct Shifts {
    lines: Arena<Shift>,
    free: FreeList,
}

impl Shifts {
    /// What one takes, its place in the free list included.
    pub(crate) const OCTETS: u64 = (size_of::<Shift>() + size_of::<u32>()) as u64;

    pub(crate) fn new(capacity: u32) -> std::io::Result<Self> {
        Ok(Self { lines: Arena::cold(capacity as usize)?, free: FreeList::new(capacity)? })
    }

    pub(crate) fn has_room(&self) -> bool {
        self.free.has_room(1)
    }

    /// 1 + the place of `shift`; 0: there is none left.
    pub(crate) fn insert(&mut self, shift: Shift) -> u32 {
        let Some(index) = self.free.take() else { return 0 };
        self.lines[index as usize] = shift;
        index + 1
    }

    /// The one at a place that [`Self::insert`] gave.
    pub(crate) fn get(&self, place: u32) -> Shift {
        (place & !CONTROL)
            .checked_sub(1)
            .and_then(|index| self.lines.get(index as usize))
            .copied()
            .unwrap_or_default()
    }

    /// Changes the one at a place.
    pub(crate) fn change(&mut self, place: u32, how: impl FnOnce(&mut Shift)) {
        if let Some(shift) = place.checked_sub(1).and_then(|index| self.lines.get_mut(index as usize)) {
            how(shift);
        }
    }

    pub(crate) fn remove(&mut self, place: u32) {
        if let Some(index) = place.checked_sub(1) {
            self.free.give(index);
        }
    }
}

impl Engine {
    /// What the numbers of a new session must be shifted by (`monotonic_rewrite`).
    pub(crate) fn plan_shift(
        &self,
        new: &NewSession,
        victim: Option<u32>,
        packet: &Packet<'_>,
        brief: &Brief,
    ) -> Result<Shift, Reason> {
        if !self.config.tcp_checks.monotonic_rewrite || !brief.is_tcp || new.hairpin {
            return Ok(Shift::default());
        }
        let [_, hash] = new.hashes;
        let flow = new.flow(Realm::Outside);
        self.continuation(victim, flow, hash, packet, brief).ok_or(Reason::TimeWaitSyn)
    }

    /// Session `index` is new, and its numbers are shifted from now on.
    pub(crate) fn set_shift(&mut self, index: u32, shift: Shift) {
        if shift != Shift::default() {
            let place = self.shifts.insert(shift);
            self.sessions.lines_mut()[index as usize].set_shift(place);
            self.output.counters.sessions_shifted += 1;
        }
    }

    /// Changes the numbers of a packet that came from `realm`.
    #[cold]
    pub(crate) fn apply_shift(
        &self,
        data: &mut [u8],
        brief: &Brief,
        checksum: Checksum,
        realm: Realm,
        place: u32,
    ) {
        let start = usize::from(brief.header_len);
        let Some(header) = data.get_mut(start..start + usize::from(brief.transport_len)) else { return };
        let shift = self.shifts.get(place);
        let delta = match realm {
            Realm::Inside => shift.apply(header, Numbers::Own, Way::Out),
            Realm::Outside => shift.apply(header, Numbers::Echoed, Way::Back),
        };
        // A partial checksum covers the pseudo-header alone, which has not changed.
        if checksum != Checksum::Partial {
            change(header, 16, |field| delta.apply(field));
        }
    }
}
