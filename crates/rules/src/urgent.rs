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

/// Out-of-band octets that a host keeps which queues them instead of overwriting (RFC 6093 3.3: such
/// a queue without a bound is how to be brought down).
pub const QUEUE_BOUND: u16 = 16;

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

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [u32; 6] = [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX];
    const BOTH: [Pointer; 2] = [Pointer::Following, Pointer::Last];

    // covers: U1, U2
    #[test]
    fn the_pointer_names_the_octet_behind_or_the_last_one() {
        let seq = SeqNumber(u32::MAX);
        assert_eq!(mark(seq, 1, Pointer::Following), SeqNumber(0), "octet 2^32-1 is urgent");
        assert_eq!(mark(seq, 0, Pointer::Last), SeqNumber(0), "the same octet");
        assert_eq!(field(seq, SeqNumber(0), Pointer::Following), Some(1));
        assert_eq!(field(seq, SeqNumber(0), Pointer::Last), Some(0));
    }

    // covers: U2, U3, U9
    #[test]
    fn a_host_reads_its_own_marks_whichever_way_it_points() {
        for base in BASES {
            let seq = SeqNumber(base);
            for pointer in BOTH {
                for ahead in [1, 2, 1460, 65_534, 65_535] {
                    let sent = field(seq, seq.plus(ahead), pointer).expect("ahead");
                    assert_eq!(mark(seq, sent, pointer), seq.plus(ahead), "{base} {ahead} {pointer:?}");
                }
                for ahead in [65_537, 1 << 20, (1 << 31) - 1] {
                    assert_eq!(field(seq, seq.plus(ahead), pointer), Some(u16::MAX), "clamped");
                }
                for behind in [0, 1, 65_535, (1 << 31) - 1, 1 << 31] {
                    assert_eq!(field(seq, seq.minus(behind), pointer), None, "{base} {behind}");
                }
            }
        }
    }

    // covers: U3
    #[test]
    fn urgent_data_longer_than_the_field_is_announced_by_a_pointer_that_moves_on() {
        for base in BASES {
            for pointer in BOTH {
                let (snd_up, start) = (SeqNumber(base).plus(200_000), SeqNumber(base));
                let (mut rcv_up, mut news) = (None, 0);
                for sent in (0..200_000).step_by(1460) {
                    let seq = start.plus(sent);
                    let told = mark(seq, field(seq, snd_up, pointer).expect("not yet there"), pointer);
                    assert!(!told.after(snd_up), "never beyond the urgent data");
                    if advances(told, rcv_up, seq) {
                        (rcv_up, news) = (Some(told), news + 1);
                    }
                }
                assert_eq!(rcv_up, Some(snd_up));
                assert!(news > 90, "told with each advance: {news}");
            }
        }
    }

    /// On a line where the application will read octet 0 next: the octets that are urgent.
    fn urgent_octets(mark: i64) -> i64 {
        (-20..20).filter(|octet| (0..mark).contains(octet)).count() as i64
    }

    // covers: U4, U5, U9
    #[test]
    fn news_is_what_makes_more_octets_urgent_than_before() {
        for base in BASES {
            for offset in -9..9 {
                let at = |offset: i64| SeqNumber(base).plus(offset as u32);
                assert_eq!(advances(at(offset), None, at(0)), urgent_octets(offset) > 0);
                assert_eq!(i64::from(remaining(Some(at(offset)), at(0))), urgent_octets(offset));
                for known in -9..9 {
                    let more = urgent_octets(offset) > urgent_octets(known);
                    assert_eq!(advances(at(offset), Some(at(known)), at(0)), more, "{base} {offset} {known}");
                }
            }
            let consumed = SeqNumber(base);
            assert!(advances(consumed.plus((1 << 31) - 1), None, consumed));
            assert!(!advances(consumed.plus(1 << 31), None, consumed), "half a circle is neither");
            assert!(!advances(consumed.plus((1 << 31) + 1), None, consumed));
            let long_ago = consumed.minus((1 << 31) - 1);
            assert!(
                advances(consumed.plus(5), Some(long_ago), consumed),
                "a mark long consumed counts for nothing"
            );
            assert_eq!(remaining(None, consumed), 0);
        }
    }
}
