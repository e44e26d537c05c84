//! MSS clamping (B7): a SYN's maximum segment size is lowered to what the path takes, for hosts
//! behind links whose ICMP messages get lost.

use wire::checksum::Delta;

use crate::Checksum;
use crate::brief::Brief;
use crate::rewrite::{change, write};

/// Option kinds of RFC 9293 3.1.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;

/// Lowers the MSS option of a SYN to `limit`, if it has one and it is larger.
pub(crate) fn clamp(data: &mut [u8], brief: &Brief, checksum: Checksum, limit: u16) {
    let start = usize::from(brief.header_len);
    let Some(segment) = data.get_mut(start..start + usize::from(brief.transport_len)) else { return };
    let mut at = 20;
    while let Some(&kind) = segment.get(at) {
        let len = match kind {
            END => return,
            NO_OPERATION => 1,
            _ => usize::from(segment.get(at + 1).copied().unwrap_or(0)),
        };
        if kind == MSS && len == 4 {
            return lower(segment, at + 2, checksum, limit);
        }
        if len == 0 {
            return;
        }
        at += len;
    }
}

fn lower(segment: &mut [u8], at: usize, checksum: Checksum, limit: u16) {
    let Some(field) = segment.get(at..at + 2) else { return };
    let old = u16::from_be_bytes([field[0], field[1]]);
    if old <= limit {
        return;
    }
    write(segment, at, limit);
    // A partial checksum covers the pseudo-header alone, which has not changed.
    if checksum != Checksum::Partial {
        // An option may begin at an odd octet; then its halves lie in two words.
        let (old, new) =
            if at.is_multiple_of(2) { (old, limit) } else { (old.swap_bytes(), limit.swap_bytes()) };
        change(segment, 16, |field| Delta::u16(old, new).apply(field));
    }
}
