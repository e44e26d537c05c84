//! Scrubbing of one packet in place: what is to be done is known, checksums follow by their difference.

use wire::checksum::{Delta, Sum};
use wire::tcp::Flags;

use super::finding::{Finding, Findings};
use crate::Checksum;
use crate::rewrite::change;

/// Kinds of options (RFC 9293 3.2, RFC 2385, RFC 5925).
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const MD5: u8 = 19;
const AUTHENTICATION: u8 = 29;

/// Offsets in the TCP header.
const OFFSET: usize = 12;
const CHECKSUM: usize = 16;
const URGENT: usize = 18;
const OPTIONS: usize = 20;

/// What is wanted of one TCP header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// URG off and the pointer 0.
    pub(crate) clear_urgent: bool,
    /// A pointer without URG to 0.
    pub(crate) clear_pointer: bool,
    pub(crate) clear_reserved: bool,
    /// Which flags it is to have, where those that it has are illegal.
    pub(crate) flags: Option<(Flags, Finding)>,
    /// The largest MSS of a SYN.
    pub(crate) mss: Option<u16>,
    /// Kinds of options that go.
    pub(crate) strip: &'a [u8],
}

/// The TCP header at the start of `segment`, `header_len` octets of it, as `wanted`. Of a segment whose
/// header is signed nothing is changed.
pub(crate) fn clean(
    segment: &mut [u8],
    header_len: usize,
    wanted: &Wanted<'_>,
    checksum: Checksum,
) -> Findings {
    let Some(header) = segment.get_mut(..header_len) else { return Findings::NONE };
    let Some(head) = header.first_chunk::<20>() else { return Findings::NONE };
    let word = u16::from_be_bytes([head[OFFSET], head[OFFSET + 1]]);
    let pointer = u16::from_be_bytes([head[URGENT], head[URGENT + 1]]);
    let (new_word, new_pointer, mut findings) = fixed_part(word, pointer, wanted);

    let signed = is_signed(header.get(OPTIONS..).unwrap_or_default());
    let mut options = [0; 40];
    let before = header.get(OPTIONS..).unwrap_or_default();
    let options = &mut options[..before.len().min(40)];
    options.copy_from_slice(&before[..options.len()]);
    findings = in_options(options, wanted.mss, wanted.strip, findings);

    if findings.is_empty() {
        return findings;
    }
    if signed {
        return Findings::NONE.with(Finding::Signed);
    }
    let mut delta = Delta::NONE;
    for (at, old, new) in [(OFFSET, word, new_word), (URGENT, pointer, new_pointer)] {
        if old != new {
            change(header, at, |_| new);
            delta = delta.and(Delta::u16(old, new));
        }
    }
    // The options begin at an even octet and fill whole words, so they are one number to the sum.
    if let Some(place) = header.get_mut(OPTIONS..)
        && *place != *options
    {
        delta = delta.and(Delta::u16(Sum::of(place).folded(), Sum::of(options).folded()));
        place.copy_from_slice(options);
    }
    // A partial checksum covers the pseudo-header alone, which has not changed.
    if checksum != Checksum::Partial {
        change(header, CHECKSUM, |field| delta.apply(field));
    }
    findings
}

/// The word of data offset and flags, and the urgent pointer.
fn fixed_part(word: u16, pointer: u16, wanted: &Wanted<'_>) -> (u16, u16, Findings) {
    const URG: u16 = Flags::URG.0 as u16;
    const RESERVED: u16 = (rules::flags::RESERVED as u16) << 8;
    let (mut new, mut new_pointer, mut findings) = (word, pointer, Findings::NONE);
    if wanted.clear_urgent && word & URG != 0 {
        (new, new_pointer) = (new & !URG, 0);
        findings = findings.with(Finding::Urgent);
    }
    if (wanted.clear_pointer || wanted.clear_urgent) && word & URG == 0 && pointer != 0 {
        new_pointer = 0;
        findings = findings.with(Finding::UrgentPointer);
    }
    if wanted.clear_reserved && word & RESERVED != 0 {
        new &= !RESERVED;
        findings = findings.with(Finding::ReservedBits);
    }
    if let Some((flags, finding)) = wanted.flags {
        new &= 0xff00 | u16::from(flags.0);
        findings = findings.with(finding);
    }
    (new, new_pointer, findings)
}

/// Lowers the first MSS option and overwrites those of the kinds `strip`.
fn in_options(options: &mut [u8], mss: Option<u16>, strip: &[u8], mut findings: Findings) -> Findings {
    let (mut at, mut mss) = (0, mss);
    while let Some((kind, len)) = option_at(options, at) {
        let Some(option) = options.get_mut(at..at + len) else { break };
        if kind == MSS
            && len == 4
            && let Some(limit) = mss.take()
            && u16::from_be_bytes([option[2], option[3]]) > limit
            && !strip.contains(&kind)
        {
            option[2..].copy_from_slice(&limit.to_be_bytes());
            findings = findings.with(Finding::Mss);
        }
        if kind != NO_OPERATION && strip.contains(&kind) {
            option.fill(NO_OPERATION);
            findings = findings.with(Finding::Options);
        }
        at += len;
    }
    findings
}

/// Kind and length of the option at `at`; nothing at the end of the list.
fn option_at(options: &[u8], at: usize) -> Option<(u8, usize)> {
    match *options.get(at)? {
        END => None,
        NO_OPERATION => Some((NO_OPERATION, 1)),
        kind => Some((kind, usize::from(*options.get(at + 1)?))).filter(|&(_, len)| len >= 2),
    }
}

fn is_signed(options: &[u8]) -> bool {
    let mut at = 0;
    while let Some((kind, len)) = option_at(options, at) {
        if matches!(kind, MD5 | AUTHENTICATION) {
            return true;
        }
        at += len;
    }
    false
}

/// Raises the time to live of the packet to `floor`; whether that was needed.
pub(crate) fn raise_ttl(packet: &mut [u8], floor: u8) -> bool {
    match packet.get(8) {
        Some(&ttl) if ttl < floor => wire::rewrite::ttl(packet, floor).is_some(),
        _ => false,
    }
}
