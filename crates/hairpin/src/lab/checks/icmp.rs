//! ICMP messages as the checks write and read them: by hand, so that they are a second opinion on
//! what the engine does with the same fields.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{Failure, ensure};
use crate::lab::sockets::at;

/// Types of ICMP (RFC 792).
pub(in crate::lab) const ECHO_REPLY: u8 = 0;
pub(in crate::lab) const UNREACHABLE: u8 = 3;
pub(in crate::lab) const ECHO_REQUEST: u8 = 8;
pub(in crate::lab) const TIME_EXCEEDED: u8 = 11;
/// Codes of "unreachable".
pub(in crate::lab) const CODE_PORT: u8 = 3;
pub(in crate::lab) const CODE_TOO_BIG: u8 = 4;

/// The Internet checksum (RFC 1071) of `octets`: 0 over a header that holds the right one.
pub(in crate::lab) fn checksum(octets: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = octets.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An echo request.
pub(in crate::lab) fn echo_request(identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![ECHO_REQUEST, 0, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend(payload);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// An ICMP message with the address it came from.
#[derive(Debug)]
pub(in crate::lab) struct Received<'a> {
    pub(in crate::lab) source: Ipv4Addr,
    /// From the ICMP type on.
    pub(in crate::lab) message: &'a [u8],
}

/// Takes a packet apart; both checksums must be right.
pub(in crate::lab) fn received(packet: &[u8]) -> Result<Received<'_>, Failure> {
    let (source, _, message) = ip(packet)?;
    ensure!(message.len() >= 8, "an ICMP message of {} octets", message.len());
    ensure!(checksum(message) == 0, "an ICMP message from {source} with a wrong checksum");
    Ok(Received { source, message })
}

/// Source, destination and payload of an IP packet whose header is right.
fn ip(packet: &[u8]) -> Result<(Ipv4Addr, Ipv4Addr, &[u8]), Failure> {
    ensure!(packet.len() >= 20, "a packet of {} octets", packet.len());
    let header = usize::from(packet[0] & 15) * 4;
    ensure!((20..=packet.len()).contains(&header), "an IP header of {header} octets");
    ensure!(checksum(&packet[..header]) == 0, "an IP header with a wrong checksum");
    let address = |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    Ok((address(12), address(16), &packet[header..]))
}

/// An echo reply: identifier, sequence number, payload.
pub(in crate::lab) fn echo_reply<'a>(received: &Received<'a>) -> Option<(u16, u16, &'a [u8])> {
    let message = received.message;
    (message[0] == ECHO_REPLY).then(|| (word(message, 4), word(message, 6), &message[8..]))
}

/// An ICMP error and the two endpoints of the UDP or TCP packet that it quotes.
#[derive(Debug)]
pub(in crate::lab) struct IcmpError {
    /// Who sent it.
    pub(in crate::lab) source: Ipv4Addr,
    /// ICMP type.
    pub(in crate::lab) kind: u8,
    /// ICMP code.
    pub(in crate::lab) code: u8,
    /// Next-hop MTU, for "too big" (RFC 1191).
    pub(in crate::lab) mtu: u16,
    /// Source of the quoted packet.
    pub(in crate::lab) quoted_source: SocketAddrV4,
    /// Its destination.
    pub(in crate::lab) quoted_destination: SocketAddrV4,
}

/// The error in `received`, if it is one; what it quotes must have a right header checksum.
pub(in crate::lab) fn error(received: &Received<'_>) -> Result<Option<IcmpError>, Failure> {
    let message = received.message;
    if !matches!(message[0], UNREACHABLE | TIME_EXCEEDED) {
        return Ok(None);
    }
    let (source, destination, quoted) = ip(&message[8..])?;
    ensure!(quoted.len() >= 8, "{} octets of the transport header quoted, 8 are the least", quoted.len());
    Ok(Some(IcmpError {
        source: received.source,
        kind: message[0],
        code: message[1],
        mtu: word(message, 6),
        quoted_source: at(source, word(quoted, 0)),
        quoted_destination: at(destination, word(quoted, 2)),
    }))
}

fn word(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}
