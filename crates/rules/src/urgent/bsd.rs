//! What 4.4BSD and its children (FreeBSD, NetBSD, OpenBSD) do with urgent data, to the octet.
//!
//! The octet is cut out of the segment when that arrives, and only if the segment has URG and
//! contains it. Nothing gives it back: the next one overwrites it. One that arrives in a segment
//! without URG, or behind the segment that announced it, stays in the stream.

use wire::SeqNumber;

/// The receiving side of the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receiver {
    /// RCV.NXT before this segment.
    pub rcv_nxt: SeqNumber,
    /// RCV.UP; see [`Check::rcv_up`].
    pub rcv_up: SeqNumber,
    /// Octets in the receive buffer.
    pub buffered: u32,
    /// A pointer that would make the buffer larger than this is ignored (`sb_max`).
    pub buffer_max: u32,
    /// SO_OOBINLINE.
    pub in_line: bool,
    /// The peer's FIN has arrived: URG is ignored.
    pub fin_received: bool,
}

/// What a segment does to the urgent state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Check {
    /// RCV.UP from now on. It follows RCV.NXT while nothing is urgent.
    pub rcv_up: SeqNumber,
    /// The mark moved: SIGURG is sent, an unread octet is forgotten, and a read stops after so many
    /// octets of the buffer.
    pub mark: Option<u32>,
    /// The octet at this offset of the trimmed segment's data is cut out and kept, in place of any
    /// other.
    pub cut: Option<u32>,
}

/// What is left of the pointer field when `skipped` octets are trimmed off the front; 0: URG is gone.
pub const fn trimmed_field(field: u16, skipped: u32) -> u16 {
    (field as u32).saturating_sub(skipped) as u16
}

/// What a segment does, trimmed to the window: `seq` its first octet, `payload_len` its data.
///
/// `urgent` is the field as [`trimmed_field`] leaves it, `None` without URG.
pub fn check_urgent(seq: SeqNumber, urgent: Option<u16>, payload_len: u32, receiver: Receiver) -> Check {
    let Receiver { rcv_nxt, rcv_up, buffered, buffer_max, in_line, fin_received } = receiver;
    let Some(field) = urgent.filter(|&field| field > 0 && !fin_received) else {
        return Check { rcv_up: if rcv_nxt.after(rcv_up) { rcv_nxt } else { rcv_up }, mark: None, cut: None };
    };
    let field = u32::from(field);
    if field.saturating_add(buffered) > buffer_max {
        return Check { rcv_up, mark: None, cut: None };
    }
    let mark = seq.plus(field);
    let news = mark.after(rcv_up);
    Check {
        rcv_up: if news { mark } else { rcv_up },
        mark: news.then(|| buffered.saturating_add(mark.distance_from(rcv_nxt).saturating_sub(1))),
        cut: (field <= payload_len && !in_line).then(|| field - 1),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    const BASES: [u32; 4] = [0, 100, (1 << 31) - 3, u32::MAX - 3];

    /// A socket that takes segments in order and is read to the end.
    struct Socket {
        receiver: Receiver,
        buffer: Vec<u8>,
        out_of_band: Option<u8>,
        marks: usize,
    }

    impl Socket {
        fn new(base: u32, in_line: bool) -> Self {
            let rcv_nxt = SeqNumber(base);
            let receiver = Receiver {
                rcv_nxt,
                rcv_up: rcv_nxt,
                buffered: 0,
                buffer_max: 1 << 18,
                in_line,
                fin_received: false,
            };
            Self { receiver, buffer: Vec::new(), out_of_band: None, marks: 0 }
        }

        fn arrive(&mut self, urgent: Option<u16>, text: &[u8]) {
            let seq = self.receiver.rcv_nxt;
            let check = check_urgent(seq, urgent, text.len() as u32, self.receiver);
            self.receiver.rcv_up = check.rcv_up;
            if check.mark.is_some() {
                (self.out_of_band, self.marks) = (None, self.marks + 1);
            }
            for (offset, &octet) in (0..).zip(text) {
                if check.cut == Some(offset) {
                    self.out_of_band = Some(octet);
                } else {
                    self.buffer.push(octet);
                }
            }
            self.receiver.rcv_nxt = seq.plus(text.len() as u32);
            self.receiver.buffered = self.buffer.len() as u32;
        }
    }

    type Segments = &'static [(Option<u16>, &'static [u8])];

    // covers: U9, U11
    #[test]
    fn an_octet_is_cut_out_if_its_own_segment_announces_it() {
        // (what arrives, what is read, what MSG_OOB gives, how often the application is told)
        let table: [(Segments, &str, Option<u8>, usize); 10] = [
            (&[(None, b"abc")], "abc", None, 0),
            (&[(Some(3), b"ab!")], "ab", Some(b'!'), 1),
            (&[(Some(1), b"!ab")], "ab", Some(b'!'), 1),
            (&[(Some(0), b"abc")], "abc", None, 0),
            // The next one overwrites it; Linux would give it back to the stream.
            (&[(Some(3), b"ab!"), (Some(3), b"cd?")], "abcd", Some(b'?'), 2),
            // It arrives later without URG, so it stays.
            (&[(Some(4), b"ab"), (None, b"c!d")], "abc!d", None, 1),
            // It arrives later with URG: the mark is not new, the octet is cut.
            (&[(Some(4), b"ab"), (Some(2), b"c!d")], "abcd", Some(b'!'), 1),
            (&[(Some(1), b""), (None, b"!a")], "!a", None, 1),
            (&[(Some(u16::MAX), b"ab"), (Some(1), b"!")], "ab", Some(b'!'), 1),
            // A mark never goes back, though an octet before it is cut.
            (&[(Some(9), b"ab"), (Some(1), b"?"), (Some(3), b"cd!")], "abcd", Some(b'!'), 1),
        ];
        for base in BASES {
            for (segments, stream, out_of_band, marks) in &table {
                let mut socket = Socket::new(base, false);
                segments.iter().for_each(|&(urgent, text)| socket.arrive(urgent, text));
                let read = String::from_utf8(socket.buffer.clone()).expect("ASCII");
                assert_eq!((read.as_str(), socket.out_of_band), (*stream, *out_of_band), "{segments:?}");
                assert_eq!(socket.marks, *marks, "{segments:?}");
            }
        }
    }

    // covers: U10, U11
    #[test]
    fn in_line_nothing_is_cut_out_and_the_mark_is_before_the_octet() {
        let mut socket = Socket::new(u32::MAX, true);
        socket.arrive(None, b"ab");
        let check = check_urgent(socket.receiver.rcv_nxt, Some(2), 3, socket.receiver);
        assert_eq!((check.mark, check.cut), (Some(3), None));
        socket.arrive(Some(2), b"c!d");
        assert_eq!(socket.buffer, b"abc!d");
    }

    // covers: U9
    #[test]
    fn urg_is_ignored_after_fin_and_beyond_the_largest_buffer() {
        let open = Socket::new(7, false).receiver;
        let closed = Receiver { fin_received: true, ..open };
        assert!(check_urgent(SeqNumber(7), Some(1), 1, open).mark.is_some());
        assert_eq!(check_urgent(SeqNumber(7), Some(1), 1, closed).mark, None);
        let full = Receiver { buffered: 10, buffer_max: 12, ..open };
        assert!(check_urgent(SeqNumber(7), Some(2), 3, full).cut.is_some());
        assert_eq!(check_urgent(SeqNumber(7), Some(3), 3, full).cut, None);
    }

    // covers: U9
    #[test]
    fn trimming_takes_from_the_pointer_what_it_takes_from_the_front() {
        for (field, skipped, left) in [(5, 0, 5), (5, 4, 1), (5, 5, 0), (5, 6, 0), (0, 1, 0)] {
            assert_eq!(trimmed_field(field, skipped), left);
        }
        assert_eq!(trimmed_field(u16::MAX, u32::MAX), 0);
        let idle = Receiver { rcv_up: SeqNumber(1), ..Socket::new(7, false).receiver };
        assert_eq!(check_urgent(SeqNumber(7), None, 3, idle).rcv_up, SeqNumber(7), "it follows RCV.NXT");
    }
}
