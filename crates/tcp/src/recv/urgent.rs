//! The receiver's side of the urgent mechanism: one mark, and what a host profile makes of it.
//!
//! What a pointer means is decided in `rules::urgent`; here is the little state that goes with it. In line it
//! is RCV.UP alone. Out of band, the octets that left the stream are remembered by place until the
//! application has read past them, at most [`PLACES`] of them: one more stays in the stream (U7).

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use rules::urgent::profiles::{Extraction, HostProfile, Superseded};
use rules::urgent::{self, Delivery, bsd, linux};
use wire::SeqNumber;

use crate::Error;

/// Places of out-of-band octets that the application has not yet read past.
const PLACES: usize = 16;

/// Most of the stream that 4.4BSD lets a pointer announce (`sb_max`).
const BSD_BUFFER_MAX: u32 = 256 * 1024;

/// What is known of urgent data that the application has not read.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    /// RCV.UP: the octet that follows the urgent data. Kept until the application is past it.
    mark: Option<SeqNumber>,
    /// [`Self::mark`] was not reached yet: urgent mode.
    pending: bool,
    out_of_band: Option<Box<OutOfBand>>,
}

/// What only out-of-band delivery needs.
#[derive(Debug, Default)]
struct OutOfBand {
    /// Octets that are no part of the stream, oldest first.
    places: VecDeque<SeqNumber>,
    /// Octets that wait to be taken, oldest first, and which they are.
    octets: VecDeque<u8>,
    /// The one announced last: not yet seen in a segment.
    awaited: Option<SeqNumber>,
    /// Linux's own state.
    linux: linux::Urgent,
    /// Linux: the reader has to step over the octet that it stands at, now.
    skip_old: bool,
}

/// A segment with URG.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointer {
    /// SEG.SEQ as it was sent.
    pub(crate) seq: SeqNumber,
    /// The same, trimmed to the window, with the text that is left.
    pub(crate) text: (SeqNumber, u32),
    pub(crate) field: u16,
}

/// Where the receiver stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// The next octet for the application.
    pub(crate) rcv_read: SeqNumber,
    pub(crate) rcv_nxt: SeqNumber,
}

/// What a pointer changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum News {
    None,
    Entered,
    Advanced,
}

impl Receiver {
    /// A segment with URG arrived.
    pub(crate) fn on_pointer(&mut self, profile: &HostProfile, pointer: Pointer, at: Position) -> News {
        match family(profile) {
            Family::Linux => self.linux_pointer(profile, pointer, at),
            Family::Bsd => self.bsd_pointer(profile, pointer, at),
            Family::Standard => self.standard_pointer(profile, pointer, at),
        }
    }

    fn standard_pointer(&mut self, profile: &HostProfile, pointer: Pointer, at: Position) -> News {
        let mark = urgent::mark(pointer.seq, pointer.field, profile.receive);
        if !urgent::advances(mark, self.mark, at.rcv_read) {
            return News::None;
        }
        if let Delivery::OutOfBand { .. } = profile.delivery {
            self.expect(mark.minus(1));
        }
        self.news(mark)
    }

    fn bsd_pointer(&mut self, profile: &HostProfile, pointer: Pointer, at: Position) -> News {
        let (seq, len) = pointer.text;
        // The rules count to the octet that follows.
        let last = profile.receive == urgent::Pointer::Last;
        let told = pointer.field.saturating_add(u16::from(last));
        let field = bsd::trimmed_field(told, seq.distance_from(pointer.seq));
        let receiver = bsd::Receiver {
            rcv_nxt: at.rcv_nxt,
            rcv_up: self.mark.filter(|mark| mark.after(at.rcv_nxt)).unwrap_or(at.rcv_nxt),
            buffered: at.rcv_nxt.distance_from(at.rcv_read),
            buffer_max: BSD_BUFFER_MAX,
            in_line: false,
            fin_received: false,
        };
        let check = bsd::check_urgent(seq, Some(field), len, receiver);
        if let Some(offset) = check.cut {
            self.expect(seq.plus(offset));
        }
        match check.mark {
            Some(_) => self.news(check.rcv_up),
            None => News::None,
        }
    }

    fn linux_pointer(&mut self, profile: &HostProfile, pointer: Pointer, at: Position) -> News {
        let in_line = profile.delivery == Delivery::InLine;
        let stdurg = profile.receive == urgent::Pointer::Last;
        let receiver = linux::Receiver { copied_seq: at.rcv_read, rcv_nxt: at.rcv_nxt, in_line };
        let state = self.out_of_band.get_or_insert_default();
        match linux::check_urgent(state.linux, pointer.seq, pointer.field, stdurg, receiver) {
            linux::Check::News { urgent, skip_old } => {
                state.skip_old = skip_old;
                state.linux = urgent;
                self.news(urgent.seq.plus(1))
            }
            _ => News::None,
        }
    }

    fn news(&mut self, mark: SeqNumber) -> News {
        let news = if self.pending { News::Advanced } else { News::Entered };
        self.mark = Some(mark);
        self.pending = true;
        news
    }

    /// The octet that the reader stands at was out of band, and a newer one has come: it is lost, once.
    pub(crate) fn skips_old(&mut self) -> bool {
        self.out_of_band.as_mut().is_some_and(|state| core::mem::take(&mut state.skip_old))
    }

    /// The octet at `place` leaves the stream, if there is room to remember it.
    fn expect(&mut self, place: SeqNumber) {
        let state = self.out_of_band.get_or_insert_default();
        if state.places.back() != Some(&place) && state.places.len() < PLACES {
            state.places.push_back(place);
            state.awaited = Some(place);
        }
    }

    /// The octet that is awaited, if it lies in these `len` octets: its offset.
    pub(crate) fn awaits(&self, profile: &HostProfile, start: SeqNumber, len: u32) -> Option<u32> {
        let state = self.out_of_band.as_ref()?;
        if family(profile) == Family::Linux {
            return linux::octet_in_segment(state.linux, start, false, len);
        }
        let offset = state.awaited?.distance_from(start);
        (offset < len).then_some(offset)
    }

    /// The octet that [`Self::awaits`] asked for. Returns how many unread ones are lost by it.
    pub(crate) fn arrived(&mut self, profile: &HostProfile, octet: u8) -> u64 {
        let Some(state) = &mut self.out_of_band else { return 0 };
        if family(profile) == Family::Linux {
            state.linux.state = linux::State::Valid(octet);
            return 0;
        }
        state.awaited = None;
        let bound = match profile.delivery {
            Delivery::OutOfBand { octets } => usize::from(octets.max(1)),
            Delivery::InLine => return 0,
        };
        let lost = (state.octets.len() + 1).saturating_sub(bound);
        state.octets.drain(..lost.min(state.octets.len()));
        state.octets.push_back(octet);
        lost as u64
    }

    /// How many of `wanted` octets at `rcv_read` may be read in one go.
    pub(crate) fn limit(&self, profile: &HostProfile, rcv_read: SeqNumber, wanted: u32) -> u32 {
        let until = |place: SeqNumber| {
            if place.after(rcv_read) { wanted.min(place.distance_from(rcv_read)) } else { wanted }
        };
        match &self.out_of_band {
            Some(state) if family(profile) == Family::Linux => match state.linux.state {
                linux::State::None => wanted,
                _ => until(state.linux.seq),
            },
            Some(state) if !state.places.is_empty() => {
                state.places.iter().map(|&place| until(place)).min().unwrap_or(wanted)
            }
            _ if self.pending => self.mark.map_or(wanted, until),
            _ => wanted,
        }
    }

    /// The octet at `rcv_read` is no part of the stream.
    pub(crate) fn skips(&self, profile: &HostProfile, rcv_read: SeqNumber) -> bool {
        let Some(state) = &self.out_of_band else { return false };
        let linux = family(profile) == Family::Linux
            && profile.delivery != Delivery::InLine
            && state.linux.state != linux::State::None
            && state.linux.seq == rcv_read;
        linux || state.places.front() == Some(&rcv_read)
    }

    /// The application has read up to `rcv_read`. True: it has left urgent mode.
    pub(crate) fn on_read(&mut self, rcv_read: SeqNumber) -> bool {
        if let Some(state) = &mut self.out_of_band {
            while state.places.front().is_some_and(|place| place.before(rcv_read)) {
                state.places.pop_front();
            }
            state.linux = linux::after_read(state.linux, rcv_read);
        }
        let reached = self.mark.is_some_and(|mark| !mark.after(rcv_read));
        let left = reached && self.pending;
        self.pending &= !reached;
        if self.mark.is_some_and(|mark| mark.before(rcv_read)) {
            self.mark = None;
        }
        left
    }

    /// The next octet stands at the mark: in line the one behind the urgent data, out of band the one
    /// that left the stream.
    /// `copied_seq` is beyond `rcv_read` once the end of the stream has been read.
    pub(crate) fn at_mark(&self, profile: &HostProfile, rcv_read: SeqNumber, copied_seq: SeqNumber) -> bool {
        match &self.out_of_band {
            Some(state) if family(profile) == Family::Linux => linux::is_at_mark(state.linux, copied_seq),
            Some(state) if profile.delivery != Delivery::InLine => state.places.back() == Some(&rcv_read),
            _ => self.mark == Some(rcv_read),
        }
    }

    /// Octets of urgent data have left the stream, or may be about to.
    pub(crate) const fn is_out_of_band(&self) -> bool {
        self.out_of_band.is_some()
    }

    /// The octet at `rcv_read` is urgent.
    pub(crate) fn is_urgent(&self, rcv_read: SeqNumber) -> bool {
        self.remaining(rcv_read) > 0
    }

    /// Octets of urgent data not yet read (MUST-33).
    pub(crate) fn remaining(&self, rcv_read: SeqNumber) -> u32 {
        if self.pending { urgent::remaining(self.mark, rcv_read) } else { 0 }
    }

    /// Takes the out-of-band octet.
    pub(crate) fn take(&mut self, profile: &HostProfile, peek: bool, finished: bool) -> Result<u8, Error> {
        let state = self.out_of_band.as_mut().ok_or(Error::NoUrgent)?;
        if family(profile) == Family::Linux {
            let in_line = profile.delivery == Delivery::InLine;
            return match linux::read_out_of_band(state.linux, in_line, finished) {
                linux::OutOfBand::Octet(octet) => {
                    if !peek {
                        state.linux.state = linux::State::Read;
                    }
                    Ok(octet)
                }
                linux::OutOfBand::Invalid | linux::OutOfBand::Closed => Err(Error::NoUrgent),
                linux::OutOfBand::NotYet => Err(Error::WouldBlock),
            };
        }
        let octet = state.octets.front().copied();
        if octet.is_some() && !peek {
            state.octets.pop_front();
        }
        octet.ok_or(if state.awaited.is_some() && !finished { Error::WouldBlock } else { Error::NoUrgent })
    }
}

/// Whose receive rules a profile has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    /// The mark covers all that is not consumed (RFC 6093).
    Standard,
    Linux,
    Bsd,
}

fn family(profile: &HostProfile) -> Family {
    match (profile.extraction, profile.superseded) {
        (Extraction::WhenRead, Superseded::ReturnsToStream) => Family::Linux,
        (Extraction::OnArrival, _) if profile.delivery != Delivery::InLine => Family::Bsd,
        _ => Family::Standard,
    }
}
