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
        mark: news.then(|| buffered.wrapping_add(mark.distance_from(rcv_nxt)).wrapping_sub(1)),
        cut: (field <= payload_len && !in_line).then(|| field - 1),
    }
}
