//! What Linux does with urgent data, to the octet: how an endpoint under the `linux` profile behaves,
//! and what an observer has to assume that an application on Linux read.
//!
//! Linux remembers one urgent octet by *its own* sequence number (`urg_seq`), not by the mark. It
//! keeps a copy aside, leaves the octet in the buffer, and has the reader step over it. So an octet
//! that is no longer the urgent one when the reader comes to it is read as data.
//!
//! Order on arrival, for segments that passed the sequence test: [`check_urgent`] if URG is set, then
//! [`octet_in_segment`] of every segment while [`State::NotYet`], then the data is queued and RCV.NXT
//! moves. On reading: [`read_step`] until it stops, [`after_read`] when copied_seq has moved.

use wire::SeqNumber;

/// What is known of the urgent octet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum State {
    /// There is none, or the reader has passed it.
    #[default]
    None,
    /// Announced; the octet has not been seen in a segment.
    NotYet,
    /// A copy is kept for MSG_OOB.
    Valid(u8),
    /// MSG_OOB has read the copy; the reader still steps over the place.
    Read,
}

/// The urgent state of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Urgent {
    /// What is known of the octet.
    pub state: State,
    /// `urg_seq`: the sequence number of the urgent octet itself. Keeps its value in [`State::None`].
    pub seq: SeqNumber,
}

/// The receiving side of the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receiver {
    /// The next octet that the application will read.
    pub copied_seq: SeqNumber,
    /// RCV.NXT before the data of this segment is queued.
    pub rcv_nxt: SeqNumber,
    /// SO_OOBINLINE.
    pub in_line: bool,
}

/// What a segment with URG does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Check {
    /// Nothing: the application has read beyond the octet.
    AlreadyRead,
    /// Nothing: the octet has been received. Data in the buffer does not become urgent later.
    AlreadyReceived,
    /// Nothing: an urgent octet at least as far on is known.
    NotNewer,
    /// A new urgent octet; SIGURG is sent.
    News {
        /// The new state: [`State::NotYet`] at the new place.
        urgent: Urgent,
        /// The reader stands at the old urgent octet, which is in the buffer: copied_seq moves over
        /// it by one, so it is lost. If not so, the old octet is now ordinary data.
        skip_old: bool,
    },
}

/// The sequence number of the urgent octet that a pointer field means.
///
/// By default the field counts from 1, and 0 means the same as 1; with `stdurg` it counts from 0.
pub const fn urgent_octet(seq: SeqNumber, field: u16, stdurg: bool) -> SeqNumber {
    let offset = if stdurg { field } else { field.saturating_sub(1) };
    seq.plus(offset as u32)
}

/// What a segment with URG does. `seq` is SEG.SEQ as sent, with its SYN if it has one.
pub fn check_urgent(urgent: Urgent, seq: SeqNumber, field: u16, stdurg: bool, receiver: Receiver) -> Check {
    let Receiver { copied_seq, rcv_nxt, in_line } = receiver;
    let octet = urgent_octet(seq, field, stdurg);
    let pending = urgent.state != State::None;
    if copied_seq.after(octet) {
        Check::AlreadyRead
    } else if octet.before(rcv_nxt) {
        Check::AlreadyReceived
    } else if pending && !octet.after(urgent.seq) {
        Check::NotNewer
    } else {
        let stands_at_old = urgent.seq == copied_seq && copied_seq != rcv_nxt;
        Check::News {
            urgent: Urgent { state: State::NotYet, seq: octet },
            skip_old: pending && !in_line && stands_at_old,
        }
    }
}

/// Where in a segment's data the awaited octet is: copy it and go to [`State::Valid`].
///
/// Every segment is asked, with URG or without, in order or not; `payload_len` counts its data.
pub fn octet_in_segment(urgent: Urgent, seq: SeqNumber, syn: bool, payload_len: u32) -> Option<u32> {
    let offset = urgent.seq.distance_from(seq.plus(u32::from(syn)));
    (urgent.state == State::NotYet && offset < payload_len).then_some(offset)
}

/// The next thing that a read does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReadStep {
    /// Return: the mark is here and something was read before it.
    Stop,
    /// Step over `skip` octets (0 or 1), then copy `copy` octets. Both move copied_seq.
    Take {
        /// The out-of-band octet, lost to this reader.
        skip: u32,
        /// Octets to hand over.
        copy: u32,
    },
}

/// The next step of a read without MSG_OOB.
///
/// `copied` octets were handed over by this call before; `available` lie in order at `copied_seq`, of
/// which the caller has room for `room`. Both are at least 1.
pub fn read_step(
    urgent: Urgent,
    copied_seq: SeqNumber,
    copied: u32,
    available: u32,
    room: u32,
    in_line: bool,
) -> ReadStep {
    let used = available.min(room);
    if urgent.state == State::None {
        return ReadStep::Take { skip: 0, copy: used };
    }
    match urgent.seq.distance_from(copied_seq) {
        0 if copied > 0 => ReadStep::Stop,
        // The octet counts against the room of this step, so a read of one octet yields none at first.
        0 if !in_line && used > 0 => ReadStep::Take { skip: 1, copy: used - 1 },
        0 => ReadStep::Take { skip: 0, copy: used },
        before => ReadStep::Take { skip: 0, copy: used.min(before) },
    }
}

/// The urgent state after copied_seq has moved: forgotten once the reader is beyond the octet.
pub fn after_read(urgent: Urgent, copied_seq: SeqNumber) -> Urgent {
    if copied_seq.after(urgent.seq) { Urgent { state: State::None, ..urgent } } else { urgent }
}

/// What MSG_OOB gives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OutOfBand {
    /// The octet. The state goes to [`State::Read`] unless the read was a peek.
    Octet(u8),
    /// EINVAL: there is none, it was read, or delivery is in line.
    Invalid,
    /// EAGAIN: announced, not there yet.
    NotYet,
    /// 0: announced, and it will never come since the peer has closed.
    Closed,
}

/// What a read with MSG_OOB gives; `closed` if the peer has sent FIN.
pub const fn read_out_of_band(urgent: Urgent, in_line: bool, closed: bool) -> OutOfBand {
    match urgent.state {
        _ if in_line => OutOfBand::Invalid,
        State::None | State::Read => OutOfBand::Invalid,
        State::Valid(octet) => OutOfBand::Octet(octet),
        State::NotYet if closed => OutOfBand::Closed,
        State::NotYet => OutOfBand::NotYet,
    }
}

/// SIOCATMARK: the reader stands at the urgent octet.
pub fn is_at_mark(urgent: Urgent, copied_seq: SeqNumber) -> bool {
    urgent.state != State::None && urgent.seq == copied_seq
}
