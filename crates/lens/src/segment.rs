//! What the lens needs to know of a captured segment.

use core::net::Ipv4Addr;

use rules::Instant;
use wire::checksum::Sum;
use wire::tcp::{Flags, Tcp, TcpOption};
use wire::{Malformed, Packet, SeqNumber, Transport, Trust};

use crate::archive::NOWHERE;

/// A TCP segment with where it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    /// Number of its frame in the capture, from 1.
    pub(crate) frame: u64,
    pub(crate) at: Instant,
    pub(crate) from: (Ipv4Addr, u16),
    pub(crate) to: (Ipv4Addr, u16),
    pub(crate) seq: SeqNumber,
    pub(crate) ack: SeqNumber,
    pub(crate) flags: Flags,
    /// Unscaled.
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    /// Octets of text as it was sent.
    pub(crate) len: u32,
    /// All of its text; empty if the capture does not have all of it.
    pub(crate) text: &'a [u8],
    /// Where the text can be read again; [`NOWHERE`] if the capture has cut it off.
    pub(crate) position: u64,
    pub(crate) tsval: Option<u32>,
    /// Of a SYN.
    pub(crate) window_scale: Option<u8>,
}

/// Why a packet is not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skipped {
    /// It is not a well-formed packet, or its checksum is wrong and checksums are verified.
    Malformed(Malformed),
    /// It is a fragment.
    Fragment,
    /// It is not TCP.
    NotTcp,
}

impl<'a> Segment<'a> {
    /// Of an IPv4 packet, which stands at `position` of the capture; `data` may go on behind it.
    #[inline]
    pub(crate) fn parse(
        frame: u64,
        at: Instant,
        data: &'a [u8],
        position: u64,
        trust: Trust,
    ) -> Result<Self, Skipped> {
        if data.get(6..8).is_some_and(|field| field[0] & 0x3f != 0 || field[1] != 0) {
            return Err(Skipped::Fragment);
        }
        let packet = match Packet::parse(data, trust) {
            Ok(packet) => packet,
            Err(malformed) => return Self::cut(frame, at, data, malformed),
        };
        let Transport::Tcp { header_len, .. } = packet.transport else { return Err(Skipped::NotTcp) };
        let text_at = usize::from(packet.header_len) + usize::from(header_len);
        let header = data.get(packet.header_len.into()..text_at).unwrap_or_default();
        let text = data.get(text_at..packet.total_len.into()).unwrap_or_default();
        let mut segment = Self::of_header(frame, at, (packet.source, packet.destination), header)?;
        (segment.text, segment.len) = (text, text.len() as u32);
        segment.position = position.saturating_add(text_at as u64);
        Ok(segment)
    }

    /// Of a packet of which the capture has the headers and not all of the text (a short snap length): its place
    /// in the stream is known, and its octets are not.
    #[cold]
    fn cut(frame: u64, at: Instant, data: &'a [u8], malformed: Malformed) -> Result<Self, Skipped> {
        let refuse = Err(Skipped::Malformed(malformed));
        let Some(first) = data.first_chunk::<20>().filter(|_| malformed == Malformed::Ipv4TotalLength) else {
            return refuse;
        };
        let header_len = usize::from(first[0] & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([first[2], first[3]]));
        let Some((header, rest)) = data.split_at_checked(header_len) else { return refuse };
        if total_len <= data.len() || !Sum::of(header).is_valid() {
            return refuse;
        }
        if first[9] != wire::tcp::PROTOCOL {
            return Err(Skipped::NotTcp);
        }
        let tcp_len = rest.get(12).map_or(0, |octet| usize::from(octet >> 4) * 4);
        let Some(tcp) = rest.get(..tcp_len).filter(|_| header_len + tcp_len <= total_len) else {
            return refuse;
        };
        let address = |at: usize| Ipv4Addr::new(first[at], first[at + 1], first[at + 2], first[at + 3]);
        let mut segment = Self::of_header(frame, at, (address(12), address(16)), tcp)?;
        segment.len = (total_len - header_len - tcp_len) as u32;
        Ok(segment)
    }

    /// Without text yet. `header` is all of the TCP header.
    #[inline]
    fn of_header(
        frame: u64,
        at: Instant,
        (source, destination): (Ipv4Addr, Ipv4Addr),
        header: &'a [u8],
    ) -> Result<Self, Skipped> {
        let tcp = Tcp::new(header).map_err(Skipped::Malformed)?;
        let flags = tcp.flags();
        let (mut tsval, mut window_scale) = (None, None);
        match header.get(20..) {
            // What most segments of most connections have (RFC 7323 appendix A).
            Some(&[1, 1, 8, 10, a, b, c, d, _, _, _, _]) => tsval = Some(u32::from_be_bytes([a, b, c, d])),
            Some([]) | None => {}
            _ => {
                for option in tcp.options() {
                    match option {
                        Ok(TcpOption::Timestamps { value, .. }) => tsval = Some(value),
                        Ok(TcpOption::WindowScale(shift)) if flags.contains(Flags::SYN) => {
                            window_scale = Some(shift.min(14));
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(Self {
            frame,
            at,
            from: (source, tcp.source_port()),
            to: (destination, tcp.destination_port()),
            seq: tcp.seq(),
            ack: tcp.ack(),
            flags,
            window: tcp.window(),
            urgent: tcp.urgent(),
            len: 0,
            text: &[],
            position: NOWHERE,
            tsval,
            window_scale,
        })
    }

    pub(crate) fn has(&self, flags: Flags) -> bool {
        self.flags.contains(flags)
    }

    /// The same without text: it may stay behind.
    pub(crate) fn without_text(&self) -> Segment<'static> {
        Segment { text: &[], len: 0, position: NOWHERE, ..*self }
    }

    /// It opens a connection.
    pub(crate) fn is_first_syn(&self) -> bool {
        self.has(Flags::SYN) && !self.has(Flags::ACK)
    }
}
