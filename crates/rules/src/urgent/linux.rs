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
///
/// Linux counts from the start of the TCP header: an octet that came before it was announced, and lies less than a
/// header's length left of SEG.SEQ, is "found" in the header itself (seen on 6.18). That is not imitated.
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

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    const BASES: [u32; 5] = [0, 100, (1 << 31) - 3, 1 << 31, u32::MAX - 3];

    /// A socket that takes segments in order.
    #[derive(Clone)]
    struct Socket {
        urgent: Urgent,
        receiver: Receiver,
        /// From copied_seq to RCV.NXT.
        buffer: Vec<u8>,
        stdurg: bool,
        signals: usize,
    }

    impl Socket {
        fn new(base: u32, in_line: bool, stdurg: bool) -> Self {
            let start = SeqNumber(base);
            Self {
                urgent: Urgent::default(),
                receiver: Receiver { copied_seq: start, rcv_nxt: start, in_line },
                buffer: Vec::new(),
                stdurg,
                signals: 0,
            }
        }

        fn arrive(&mut self, field: Option<u16>, text: &[u8]) {
            let seq = self.receiver.rcv_nxt;
            let check = field.map(|field| check_urgent(self.urgent, seq, field, self.stdurg, self.receiver));
            if let Some(Check::News { urgent, skip_old }) = check {
                (self.urgent, self.signals) = (urgent, self.signals + 1);
                if skip_old {
                    self.buffer.remove(0);
                    self.receiver.copied_seq = self.receiver.copied_seq.plus(1);
                }
            }
            if let Some(at) = octet_in_segment(self.urgent, seq, false, text.len() as u32) {
                self.urgent.state = State::Valid(text[at as usize]);
            }
            self.buffer.extend(text);
            self.receiver.rcv_nxt = seq.plus(text.len() as u32);
        }

        fn advance(&mut self, octets: u32) -> Vec<u8> {
            self.receiver.copied_seq = self.receiver.copied_seq.plus(octets);
            self.buffer.drain(..octets as usize).collect()
        }

        fn read(&mut self, want: u32) -> Vec<u8> {
            let mut out = Vec::new();
            while (out.len() as u32) < want && !self.buffer.is_empty() {
                let (copied, available) = (out.len() as u32, self.buffer.len() as u32);
                let (at, in_line) = (self.receiver.copied_seq, self.receiver.in_line);
                match read_step(self.urgent, at, copied, available, want - copied, in_line) {
                    ReadStep::Stop => break,
                    ReadStep::Take { skip, copy } => {
                        self.advance(skip);
                        out.extend(self.advance(copy));
                    }
                }
                self.urgent = after_read(self.urgent, self.receiver.copied_seq);
            }
            out
        }

        /// The same, one octet after the other.
        fn read_slowly(&mut self, want: u32) -> Vec<u8> {
            let mut out = Vec::new();
            while (out.len() as u32) < want && !self.buffer.is_empty() {
                if is_at_mark(self.urgent, self.receiver.copied_seq) {
                    if !out.is_empty() {
                        break;
                    }
                    self.urgent.state = State::None;
                    if !self.receiver.in_line {
                        self.advance(1);
                        continue;
                    }
                }
                out.extend(self.advance(1));
            }
            out
        }
    }

    /// What happens to the socket, in order.
    #[derive(Clone, Copy, Debug)]
    enum Do {
        Arrive(Option<u16>, &'static [u8]),
        /// Read so many octets, and what that gives.
        Read(u32, &'static str),
        OutOfBand(OutOfBand),
    }
    use Do::{Arrive, Read};

    fn run(base: u32, in_line: bool, stdurg: bool, script: &[Do]) -> usize {
        let mut socket = Socket::new(base, in_line, stdurg);
        for &action in script {
            match action {
                Arrive(field, text) => socket.arrive(field, text),
                Read(want, gives) => {
                    let read = String::from_utf8(socket.read(want)).expect("ASCII");
                    assert_eq!(read, gives, "base {base} {script:?}");
                }
                Do::OutOfBand(gives) => {
                    let got = read_out_of_band(socket.urgent, in_line, false);
                    assert_eq!(got, gives, "base {base} {script:?}");
                    if let OutOfBand::Octet(_) = got {
                        socket.urgent.state = State::Read;
                    }
                }
            }
        }
        socket.signals
    }

    const OCTET: Do = Do::OutOfBand(OutOfBand::Octet(b'!'));
    const INVALID: Do = Do::OutOfBand(OutOfBand::Invalid);

    // The first five rows were also played on a socket of Linux 6.18, with the same outcome.
    // covers: U9, U11
    #[test]
    fn an_application_on_linux_reads_what_the_table_says() {
        let table: [(&[Do], usize); 14] = [
            (&[Arrive(Some(3), b"ab!"), Read(9, "ab"), OCTET, INVALID, Read(9, "")], 1),
            // The place is stepped over whether the octet was read out of band or not.
            (&[Arrive(Some(3), b"ab!cd"), OCTET, Read(9, "ab"), Read(9, "cd")], 1),
            (&[Arrive(Some(3), b"ab!cd"), Read(9, "ab"), Read(1, "c"), INVALID, Read(9, "d")], 1),
            // A lazy reader gets the older octet as data; reading on loses the newer one.
            (&[Arrive(Some(3), b"ab!"), Arrive(Some(3), b"cd?"), Read(9, "ab!cd"), Read(9, ""), INVALID], 2),
            // A reader that stands at the older octet loses it.
            (&[Arrive(Some(3), b"ab!"), Read(2, "ab"), Arrive(Some(3), b"cd?"), Read(9, "cd")], 2),
            // 0 means 1.
            (&[Arrive(Some(0), b"!ab"), OCTET, Read(9, "ab")], 1),
            (&[Arrive(Some(1), b"!ab"), OCTET, Read(9, "ab")], 1),
            // Announced ahead, it is taken from a later segment without URG.
            (&[Arrive(Some(4), b"ab"), Do::OutOfBand(OutOfBand::NotYet), Arrive(None, b"c!d"), OCTET], 1),
            (&[Arrive(Some(4), b"ab"), Arrive(None, b"c!d"), Read(9, "abc"), Read(9, "d")], 1),
            // An empty segment announces the next octet.
            (&[Arrive(Some(1), b""), Arrive(None, b"!a"), OCTET, Read(9, "a")], 1),
            // The same announcement again is no news, nor is an earlier one.
            (&[Arrive(Some(3), b"a"), Arrive(Some(2), b"b"), Arrive(Some(1), b"!"), Read(9, "ab")], 1),
            (&[Arrive(None, b"abc"), INVALID, Read(9, "abc")], 0),
            // Nothing was urgent before, so nothing is lost to the first announcement.
            (&[Arrive(None, b"abc"), Arrive(Some(3), b"de!"), OCTET, Read(9, "abcde")], 1),
            // The reader stands at an announced octet that has not come: it will be data.
            (&[Arrive(Some(1), b""), Arrive(Some(3), b"ab!"), OCTET, Read(9, "ab")], 2),
        ];
        for base in BASES {
            for (script, signals) in table {
                assert_eq!(run(base, false, false, script), signals, "{script:?}");
            }
        }
    }

    // covers: U10, U11
    #[test]
    fn in_line_every_octet_is_read_and_a_read_still_stops_at_the_mark() {
        for base in BASES {
            let script = [Arrive(Some(3), b"ab!cd"), INVALID, Read(9, "ab"), Read(9, "!cd")];
            assert_eq!(run(base, true, false, &script), 1);
            let (first, second) = (Arrive(Some(3), b"ab!"), Arrive(Some(3), b"cd?"));
            let script = [first, Read(2, "ab"), second, Read(9, "!cd"), Read(9, "?")];
            assert_eq!(run(base, true, false, &script), 2, "standing at the older one costs nothing");
        }
    }

    // covers: U2, U11
    #[test]
    fn with_stdurg_the_field_counts_from_zero() {
        for base in BASES {
            run(base, false, true, &[Arrive(Some(0), b"!ab"), OCTET, Read(9, "ab")]);
            run(base, false, true, &[Arrive(Some(2), b"ab!c"), OCTET, Read(9, "ab"), Read(9, "c")]);
            // What such a host sends itself with counts from one: the octet behind is taken instead.
            run(base, false, true, &[Arrive(Some(2), b"a?!c"), OCTET, Read(9, "a?"), Read(9, "c")]);
        }
    }

    // covers: U9
    #[test]
    fn marks_in_what_was_read_or_received_are_ignored() {
        for base in BASES {
            let at = |offset| SeqNumber(base).plus(offset);
            let receiver = Receiver { copied_seq: at(2), rcv_nxt: at(5), in_line: false };
            let check = |octet| check_urgent(Urgent::default(), at(octet), 1, false, receiver);
            assert_eq!([check(0), check(1)], [Check::AlreadyRead; 2]);
            assert_eq!([check(2), check(3), check(4)], [Check::AlreadyReceived; 3]);
            let urgent = Urgent { state: State::NotYet, seq: at(5) };
            assert_eq!(check(5), Check::News { urgent, skip_old: false });
            assert_eq!(check_urgent(urgent, at(5), 1, false, receiver), Check::NotNewer);
        }
    }

    // covers: U11
    #[test]
    fn reading_agrees_with_reading_octet_by_octet() {
        for base in BASES {
            for in_line in [false, true] {
                for field in 0..9 {
                    for (first, second) in (0..9).flat_map(|first| (1..9).map(move |second| (first, second)))
                    {
                        let mut fast = Socket::new(base, in_line, false);
                        fast.arrive(Some(field), b"abcdef");
                        let mut slow = fast.clone();
                        for want in [first, second, 9] {
                            let context = (base, in_line, field, first, second);
                            assert_eq!(fast.read(want), slow.read_slowly(want), "{context:?}");
                            assert_eq!(fast.urgent, slow.urgent, "{context:?}");
                        }
                    }
                }
            }
        }
    }

    // covers: U9
    #[test]
    fn a_closed_peer_ends_the_wait_for_the_octet() {
        let urgent = Urgent { state: State::NotYet, seq: SeqNumber(1) };
        assert_eq!(read_out_of_band(urgent, false, false), OutOfBand::NotYet);
        assert_eq!(read_out_of_band(urgent, false, true), OutOfBand::Closed);
        assert_eq!(octet_in_segment(urgent, SeqNumber(0), true, 1), Some(0), "the SYN is not an octet");
        assert_eq!(octet_in_segment(urgent, SeqNumber(2), false, u32::MAX), None);
    }
}
