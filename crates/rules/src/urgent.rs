//! The urgent mechanism (RFC 9293 3.8.5, RFC 6093): where the mark is, what to send, what is news.
//!
//! The *mark* is always the sequence number of the octet that follows the urgent data, whatever the
//! pointer field means to the host. [`profiles`] says what each host does with it; [`linux`] and
//! [`bsd`] are the receive rules of the two families, to the octet.

use wire::SeqNumber;

pub mod bsd;
pub mod linux;
pub mod profiles;

pub use profiles::{HostProfile, PROFILES, profile};

/// What the pointer field points at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pointer {
    /// The octet that follows the urgent data (RFC 6093 section 4, RFC 9293 MUST-62).
    #[default]
    Following,
    /// The last octet of the urgent data (RFC 1122 4.2.2.4).
    Last,
}

/// How a host hands over the octet before the mark.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Delivery {
    /// With everything else, in order (SO_OOBINLINE; RFC 6093 section 6).
    #[default]
    InLine,
    /// Taken out of the stream, to be read with MSG_OOB.
    OutOfBand {
        /// How many such octets are kept; one more takes the place of the oldest. Always bounded.
        octets: u16,
    },
}

/// The mark of a segment with URG: the sequence number of the octet *following* the urgent data, as
/// this reading of the field sees it.
///
/// Any value is possible: behind RCV.NXT, beyond the window, across 2^32. [`advances`] sorts them.
pub const fn mark(seq: SeqNumber, urg: u16, pointer: Pointer) -> SeqNumber {
    let following = seq.plus(urg as u32);
    match pointer {
        Pointer::Following => following,
        Pointer::Last => following.plus(1),
    }
}

/// SEG.UP of a segment at `seq` while the mark is `snd_up` (the octet following the urgent data).
///
/// `None`: the mark lies at `seq` or behind it. The field cannot say so (it counts forward only, and
/// some hosts take 0 for 1), so such a segment goes without URG. A mark further than the field
/// reaches is clamped to 65535: the pointer moves on with later segments (MUST-31).
pub fn field(seq: SeqNumber, snd_up: SeqNumber, pointer: Pointer) -> Option<u16> {
    if !seq.before(snd_up) {
        return None;
    }
    let ahead = snd_up.distance_from(seq);
    let points_at = match pointer {
        Pointer::Following => ahead,
        Pointer::Last => ahead - 1,
    };
    Some(u16::try_from(points_at).unwrap_or(u16::MAX))
}

/// Whether a received mark is news: something is urgent that the application has not consumed, and it
/// ends further on than was known (RFC 9293 MUST-32).
///
/// `consumed` is the next octet that the application will read, *not* RCV.NXT: octets that lie in the
/// buffer become urgent (RFC 6093 2.1). An old `rcv_up` that was consumed counts for nothing.
pub fn advances(mark: SeqNumber, rcv_up: Option<SeqNumber>, consumed: SeqNumber) -> bool {
    let known = rcv_up.filter(|up| up.after(consumed));
    mark.after(consumed) && known.is_none_or(|up| mark.after(up))
}

/// How many urgent octets the application has still to read (RFC 9293 MUST-33); 0 in normal mode.
pub fn remaining(rcv_up: Option<SeqNumber>, consumed: SeqNumber) -> u32 {
    rcv_up.filter(|up| up.after(consumed)).map_or(0, |up| up.distance_from(consumed))
}
