//! What the lens needs to know of a captured segment.

use core::net::Ipv4Addr;

use rules::Instant;
use wire::tcp::{Flags, Tcp, TcpOption};
use wire::{Fragment, Malformed, Packet, SeqNumber, Transport, Trust};

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
    pub(crate) text: &'a [u8],
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
    /// Of an IPv4 packet; `data` may go on behind it.
    pub(crate) fn parse(frame: u64, at: Instant, data: &'a [u8], trust: Trust) -> Result<Self, Skipped> {
        let packet = Packet::parse(data, trust).map_err(Skipped::Malformed)?;
        let Transport::Tcp { source_port, destination_port, .. } = packet.transport else {
            let fragment = packet.fragment != Fragment::Whole;
            return Err(if fragment { Skipped::Fragment } else { Skipped::NotTcp });
        };
        if packet.fragment != Fragment::Whole {
            return Err(Skipped::Fragment);
        }
        let octets = data.get(packet.header_len.into()..packet.total_len.into()).unwrap_or_default();
        let (header, text) = octets.split_at(header_len(octets));
        let tcp = Tcp::new(header).map_err(Skipped::Malformed)?;
        let flags = tcp.flags();
        let (mut tsval, mut window_scale) = (None, None);
        for option in tcp.options() {
            match option {
                Ok(TcpOption::Timestamps { value, .. }) => tsval = Some(value),
                Ok(TcpOption::WindowScale(shift)) if flags.contains(Flags::SYN) => {
                    window_scale = Some(shift.min(14))
                }
                _ => {}
            }
        }
        Ok(Self {
            frame,
            at,
            from: (packet.source, source_port),
            to: (packet.destination, destination_port),
            seq: tcp.seq(),
            ack: tcp.ack(),
            flags,
            window: tcp.window(),
            urgent: tcp.urgent(),
            text,
            tsval,
            window_scale,
        })
    }

    pub(crate) fn has(&self, flags: Flags) -> bool {
        self.flags.contains(flags)
    }
}

/// What the data offset says, or all there is.
fn header_len(octets: &[u8]) -> usize {
    octets.get(12).map_or(0, |octet| usize::from(octet >> 4) * 4).min(octets.len())
}
