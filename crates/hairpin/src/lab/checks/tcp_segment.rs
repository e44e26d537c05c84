//! TCP segments as the checks write and read them: by hand, as [`super::icmp`] does with its messages.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::Failure;
use super::icmp::checksum;
use crate::lab::sockets::{RawSocket, at};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// A segment without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) source: SocketAddrV4,
    pub(super) destination: SocketAddrV4,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    /// Octets of data; what is sent has none.
    pub(super) len: usize,
}

impl Segment {
    /// As an IP packet. The kernel fills in the checksum of the IP header.
    pub(super) fn packet(&self) -> Vec<u8> {
        let mut segment = Vec::with_capacity(20);
        segment.extend(self.source.port().to_be_bytes());
        segment.extend(self.destination.port().to_be_bytes());
        segment.extend(self.seq.to_be_bytes());
        segment.extend(self.ack.to_be_bytes());
        segment.extend([0x50, self.flags]);
        segment.extend([0xff, 0xff, 0, 0, 0, 0]);
        let mut covered = [self.source.ip().octets(), self.destination.ip().octets()].concat();
        covered.extend([0, 6, 0, 20]);
        covered.extend(&segment);
        let sum = checksum(&covered);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
        packet.extend(self.source.ip().octets());
        packet.extend(self.destination.ip().octets());
        packet.extend(segment);
        packet
    }

    /// What an IP packet holds; `None` unless it is TCP and whole.
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let header = usize::from(packet.first()? & 15) * 4;
        let (ip, tcp) = packet.split_at_checked(header)?;
        if header < 20 || ip[9] != 6 || tcp.len() < 20 {
            return None;
        }
        let address = |at: usize| <[u8; 4]>::try_from(&ip[at..at + 4]).ok();
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let number = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
        Some(Self {
            source: at(address(12)?.into(), port(0)),
            destination: at(address(16)?.into(), port(2)),
            seq: number(4),
            ack: number(8),
            flags: tcp[13],
            len: tcp.len().saturating_sub(usize::from(tcp[12] >> 4) * 4),
        })
    }
}

/// The segments that `socket` receives within `time` and that `wanted` is true of.
pub(super) fn receive_all(
    socket: &RawSocket,
    time: Duration,
    wanted: impl Fn(&Segment) -> bool,
) -> Vec<Segment> {
    let deadline = Instant::now() + time;
    let mut seen = Vec::new();
    while let Ok(packet) = socket.receive(deadline, "segment") {
        seen.extend(Segment::parse(&packet).filter(&wanted));
    }
    seen
}

/// The next segment that `wanted` is true of.
pub(super) fn receive(
    socket: &RawSocket,
    what: &str,
    wanted: impl Fn(&Segment) -> bool,
) -> Result<Segment, Failure> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        if let Some(segment) = Segment::parse(&socket.receive(deadline, what)?).filter(&wanted) {
            return Ok(segment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: N7
    #[test]
    fn a_segment_is_read_as_it_was_written() {
        let endpoint = |last, port| at([192, 0, 2, last].into(), port);
        let segment = Segment {
            source: endpoint(1, 80),
            destination: endpoint(2, 50_000),
            seq: 0xffff_fffe,
            ack: 7,
            flags: RST | ACK,
            len: 0,
        };
        assert_eq!(Segment::parse(&segment.packet()), Some(segment));
        assert_eq!(Segment::parse(&segment.packet()[..39]), None);
        let packet = segment.packet();
        let slice = etherparse::TcpSlice::from_slice(&packet[20..]).expect("a segment");
        let header = slice.to_header();
        let sum = header.calc_checksum_ipv4_raw([192, 0, 2, 1], [192, 0, 2, 2], &[]).expect("a short one");
        assert_eq!(slice.checksum(), sum);
    }
}
