//! What the model does to octets: fields are set in a copy, checksums are summed up again.
//!
//! Nothing incremental, except where that is all that can be done: a checksum over octets that are
//! not here (a first fragment, a cut quote) or that was wrong before changes by the difference.

use std::net::Ipv4Addr;

use hairpin_nat::{Checksum, Endpoint};

use crate::basic::has_checksum;
use crate::ftp::{Edit, payload};
use crate::tombs::Change;

/// A packet's new ends; `None`: as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ends {
    pub(crate) source: Option<Endpoint>,
    pub(crate) destination: Option<Endpoint>,
}

pub(crate) fn get16(data: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([data[at], data[at + 1]])
}

/// Sets a field, if the octets go that far.
pub(crate) fn put16(data: &mut [u8], at: usize, value: u16) {
    if let Some(field) = data.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// RFC 1071, the slow way: big-endian words, an odd octet padded with zero, carries folded in.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for word in part.chunks(2) {
            sum += u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0));
        }
    }
    fold(sum)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn header_len(header: &[u8]) -> usize {
    usize::from(header[0] & 15) * 4
}

/// The pseudo-header of the packet that starts here, for a transport part of `len` octets.
fn pseudo_header(packet: &[u8], len: usize) -> Vec<u8> {
    let mut pseudo = packet[12..20].to_vec();
    pseudo.extend([0, packet[9]]);
    pseudo.extend((len as u16).to_be_bytes());
    pseudo
}

/// Computes the header checksum of the IPv4 packet that starts here.
pub(crate) fn fill_ip_checksum(packet: &mut [u8]) {
    put16(packet, 10, 0);
    let checksum = !sum(&[&packet[..header_len(packet)]]);
    put16(packet, 10, checksum);
}

/// What `field`, a checksum that covered all of `old`, is when they become `new` (RFC 1624).
fn differ(field: u16, old: &[u8], new: &[u8]) -> u16 {
    let mut total = u64::from(!field);
    for (old, new) in old.chunks(2).zip(new.chunks(2)) {
        if old != new {
            let word = |octets: &[u8]| u16::from_be_bytes([octets[0], octets.get(1).copied().unwrap_or(0)]);
            total += u64::from(!word(old)) + u64::from(word(new));
        }
    }
    !fold(total)
}

/// Sets the addresses and takes `age` hops off; the header checksum follows.
fn set_header(packet: &mut [u8], ends: Ends, age: u8) {
    if let Some(source) = ends.source {
        packet[12..16].copy_from_slice(&source.address.octets());
    }
    if let Some(destination) = ends.destination {
        packet[16..20].copy_from_slice(&destination.address.octets());
    }
    packet[8] -= age;
    fill_ip_checksum(packet);
}

/// Sets ports, or a query's one identifier: the receiver's where both ends are translated.
fn set_ports(transport: &mut [u8], protocol: u8, ends: Ends) {
    if !matches!(protocol, 1 | 6 | 17) {
        return;
    }
    if protocol == 1 {
        if let Some(endpoint) = ends.destination.or(ends.source) {
            put16(transport, 4, endpoint.port);
        }
        return;
    }
    if let Some(source) = ends.source {
        put16(transport, 0, source.port);
    }
    if let Some(destination) = ends.destination {
        put16(transport, 2, destination.port);
    }
}

/// Where the transport header has its checksum.
fn checksum_at(protocol: u8) -> usize {
    match protocol {
        6 => 16,
        17 | 33 | 136 => 6,
        _ => 2,
    }
}

/// Whether a protocol has no ports and no checksum that covers an address.
fn is_opaque(protocol: u8) -> bool {
    !matches!(protocol, 1 | 6 | 17) && !has_checksum(protocol)
}

/// Translates a packet that is no ICMP error.
pub(crate) fn translate(old: &[u8], ends: Ends, checksum: Checksum, age: u8) -> Vec<u8> {
    let mut new = old.to_vec();
    let (start, end) = (header_len(old), usize::from(get16(old, 2)));
    let protocol = old[9];
    set_header(&mut new, ends, age);
    if get16(old, 6) & 0x1fff != 0 {
        return new; // a later fragment
    }
    set_ports(&mut new[start..end], protocol, ends);
    if is_opaque(protocol) || has_checksum(protocol) && end < start + 8 {
        return new;
    }
    let field = get16(old, start + checksum_at(protocol));
    let covers_all = get16(old, 6) & 0x3fff == 0;
    let new_field = if checksum == Checksum::Partial && protocol != 1 {
        sum(&[&pseudo_header(&new, end - start)])
    } else if protocol == 17 && field == 0 {
        0
    } else {
        full_checksum(field, &old[..end], &new[..end], covers_all)
    };
    put16(&mut new, start + checksum_at(protocol), new_field);
    new
}

/// Changes a segment's numbers.
pub(crate) fn renumber(old: &[u8], change: Change, checksum: Checksum) -> Vec<u8> {
    let mut new = old.to_vec();
    let (start, end) = (header_len(old), usize::from(get16(old, 2)));
    change.apply(&mut new[start..end]);
    if checksum != Checksum::Partial {
        let covers_all = get16(old, 6) & 0x3fff == 0;
        let field = full_checksum(get16(old, start + 16), &old[..end], &new[..end], covers_all);
        put16(&mut new, start + 16, field);
    }
    new
}

/// A segment with other octets in its payload; where it is as long as before, what is behind it stays.
pub(crate) fn edited(old: &[u8], parsed: &wire::Packet, edit: &Edit, checksum: Checksum) -> Vec<u8> {
    let (start, end) = (header_len(old), usize::from(get16(old, 2)));
    let payload = payload(parsed, old);
    let mut new = old[..end - payload.len()].to_vec();
    new.extend(edit.apply(payload));
    let len = new.len() as u16;
    put16(&mut new, 2, len);
    fill_ip_checksum(&mut new);
    let partial = checksum == Checksum::Partial;
    put16(&mut new, start + 16, 0);
    let covered = pseudo_header(&new, new.len() - start);
    let field = if partial { sum(&[&covered]) } else { !sum(&[&covered, &new[start..]]) };
    put16(&mut new, start + 16, field);
    if new.len() == end {
        new.extend(&old[end..]);
    }
    new
}

/// A packet that passes as it is, one hop older.
pub(crate) fn untranslated(old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    set_header(&mut new, Ends::default(), 1);
    new
}

/// The transport checksum of `new`, which was `field` in `old`.
pub(crate) fn full_checksum(field: u16, old: &[u8], new: &[u8], covers_all: bool) -> u16 {
    let (start, protocol) = (header_len(old), old[9]);
    let covered = |packet: &[u8], field: u16| {
        let mut octets = if protocol == 1 { Vec::new() } else { pseudo_header(packet, packet.len() - start) };
        let from = octets.len();
        octets.extend(&packet[start..]);
        put16(&mut octets[from..], checksum_at(protocol), field);
        octets
    };
    let was_right = sum(&[&covered(old, field)]) == 0xffff;
    let result = if covers_all && was_right {
        !sum(&[&covered(new, 0)])
    } else {
        differ(field, &covered(old, 0), &covered(new, 0))
    };
    if matches!(protocol, 17 | 136) && result == 0 { 0xffff } else { result }
}

/// Makes a partial checksum a full one: what whoever fragments a packet has to do first.
pub(crate) fn complete(packet: &mut [u8]) {
    let (start, end) = (header_len(packet), usize::from(get16(packet, 2)));
    let protocol = packet[9];
    let at = start + checksum_at(protocol);
    put16(packet, at, 0);
    let checksum = !sum(&[&pseudo_header(packet, end - start), &packet[start..end]]);
    put16(packet, at, if protocol == 17 && checksum == 0 { 0xffff } else { checksum });
}

/// Whether a segment has an MD5 or a TCP-AO option.
pub(crate) fn has_signature(segment: &[u8]) -> bool {
    let end = usize::from(segment[12] >> 4) * 4;
    let mut at = 20;
    while at < end && segment[at] != 0 {
        if matches!(segment[at], 19 | 29) {
            return true;
        }
        at += if segment[at] == 1 { 1 } else { usize::from(segment[at + 1]) };
    }
    false
}

/// Translates an ICMP error: the quoted packet gets `quoted` ends, the error itself `outer` ones.
pub(crate) fn translate_error(
    old: &[u8],
    quoted: Ends,
    outer: Ends,
    age: u8,
    change: Option<Change>,
) -> Vec<u8> {
    let mut new = old.to_vec();
    let (icmp, end) = (header_len(old), usize::from(get16(old, 2)));
    let quote = icmp + 8;
    let transport = quote + header_len(&old[quote..]);
    let quote_end = quote_end(&old[..end], icmp).max(transport);
    set_header(&mut new[quote..], quoted, 0);
    let protocol = old[quote + 9];
    // The quote goes back to its sender, whose identifier a query has.
    let ports = if protocol == 1 {
        Ends { source: quoted.source.or(quoted.destination), destination: None }
    } else {
        quoted
    };
    set_ports(&mut new[transport..quote_end], protocol, ports);
    if let Some(change) = change.filter(|_| protocol == 6) {
        change.apply(&mut new[transport..quote_end]);
    }
    let at = transport + checksum_at(protocol);
    if at + 2 <= quote_end && !is_opaque(protocol) {
        let field = get16(old, at);
        // Of a quote only the difference can be known: addresses, ports or identifier.
        let covered = |packet: &[u8]| {
            let mut octets = if protocol == 1 { Vec::new() } else { packet[quote + 12..quote + 20].to_vec() };
            octets.extend(&packet[transport..quote_end]);
            octets
        };
        let field = match (protocol, field) {
            (17, 0) => 0,
            (17, _) => {
                Some(differ(field, &covered(old), &covered(&new))).filter(|&f| f != 0).unwrap_or(0xffff)
            }
            _ => differ(field, &covered(old), &covered(&new)),
        };
        put16(&mut new, at, field);
    }
    set_header(&mut new, outer, age);
    let field = full_checksum(get16(old, icmp + 2), &old[..end], &new[..end], true);
    put16(&mut new, icmp + 2, field);
    new
}

/// Where the quoted packet ends: padding (its own length) and extensions (RFC 4884) are no part of it.
fn quote_end(data: &[u8], icmp: usize) -> usize {
    let quote = icmp + 8;
    let mut end = data.len().min(quote + usize::from(get16(data, quote + 2)));
    let words = usize::from(data[icmp + 5]);
    if matches!(data[icmp], 3 | 11 | 12) && words != 0 {
        end = end.min(quote + words * 4);
    }
    end
}

/// An ICMP error of the gateway's own about `packet` (RFC 1812 4.3.2).
pub(crate) fn error(from: Ipv4Addr, packet: &[u8], kind: u8, code: u8, mtu: u16) -> Vec<u8> {
    let quoted = &packet[..usize::from(get16(packet, 2)).min(576 - 28).min(packet.len())];
    let mut error = vec![0x45, packet[1] & 0xfc, 0, 0, 0, 0, 0x40, 0, 64, 1, 0, 0];
    error.extend(from.octets());
    error.extend(&packet[12..16]);
    error.extend([kind, code, 0, 0, 0, 0]);
    error.extend(mtu.to_be_bytes());
    error.extend(quoted);
    let len = error.len() as u16;
    put16(&mut error, 2, len);
    fill_ip_checksum(&mut error);
    let checksum = !sum(&[&error[20..]]);
    put16(&mut error, 22, checksum);
    error
}

/// Cuts a packet into fragments of at most `mtu` octets (RFC 791 3.2). Options that are not marked
/// as copied stay in the first.
pub(crate) fn fragments(packet: &[u8], mtu: u16) -> Vec<Vec<u8>> {
    let header = header_len(packet);
    let payload = &packet[header..usize::from(get16(packet, 2))];
    let piece = (usize::from(mtu) - header) / 8 * 8;
    let field = get16(packet, 6);
    let mut all = Vec::new();
    let mut at = 0;
    while at < payload.len() {
        let end = payload.len().min(at + piece);
        let mut fragment = if at == 0 { packet[..header].to_vec() } else { later_header(&packet[..header]) };
        fragment.extend(&payload[at..end]);
        let more = if end < payload.len() { 0x2000 } else { field & 0x2000 };
        let len = fragment.len() as u16;
        put16(&mut fragment, 2, len);
        put16(&mut fragment, 6, ((field & 0x1fff) + (at / 8) as u16) | more);
        fill_ip_checksum(&mut fragment);
        all.push(fragment);
        at = end;
    }
    all
}

/// The header of a fragment that is not the first: copied options alone, padded.
fn later_header(header: &[u8]) -> Vec<u8> {
    let mut later = header[..20].to_vec();
    let mut at = 20;
    while at < header.len() && header[at] != 0 {
        let len = if header[at] == 1 { 1 } else { usize::from(header[at + 1]) };
        if header[at] & 0x80 != 0 {
            later.extend(&header[at..at + len]);
        }
        at += len;
    }
    later.resize(later.len().next_multiple_of(4), 0);
    later[0] = 0x40 | (later.len() / 4) as u8;
    later
}
