//! The header in front of every packet on a TUN queue with `IFF_VNET_HDR`: what offloads say of it.
//!
//! The layout is `struct virtio_net_hdr_mrg_rxbuf` of `linux/virtio_net.h`, in the machine's own
//! byte order (TUN speaks "legacy" virtio unless told otherwise).
//!
//! **Why a header that was read may be written back.** The engine translates in place: it changes
//! neither the length of the IP header nor that of the transport header, so `csum_start` and
//! `csum_offset` stay true, and it keeps a partial checksum field partial (the
//! pseudo-header sum of the new addresses), which is what `NEEDS_CSUM` promises. What
//! may change is `gso_size`, where the segments must become smaller; and `hdr_len`,
//! a hint that says how much of the sender's buffer happened to be in one piece, is given a value
//! that is useful to the other side: see [`Header::set_linear`].

use wire::offload::{Checksum, Offload};

/// Octets of the header. Ten would do; with twelve the IP header behind it is aligned to four.
pub const LENGTH: usize = 12;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_UDP_L4: u8 = 5;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The header's octets.
#[derive(Debug)]
pub struct Header<'a>(&'a mut [u8; LENGTH]);

impl<'a> Header<'a> {
    /// A frame cut into its header and its packet; `None` if it is too short to have one.
    pub fn split(frame: &'a mut [u8]) -> Option<(Self, &'a mut [u8])> {
        frame.split_first_chunk_mut().map(|(header, packet)| (Self(header), packet))
    }

    /// What the header says of its packet.
    ///
    /// Neither flag means that nobody vouches for the checksum: it is complete and to be verified.
    pub fn offload(&self) -> Offload {
        let checksum = match self.0[0] {
            flags if flags & NEEDS_CSUM != 0 => Checksum::Partial,
            flags if flags & DATA_VALID != 0 => Checksum::Verified,
            _ => Checksum::Full,
        };
        let gso_size = if self.0[1] == GSO_NONE { 0 } else { self.u16(4) };
        Offload { checksum, gso_size }
    }

    /// Describes `packet`, a well-formed IPv4 packet that the engine made or kept, anew.
    pub fn describe(&mut self, packet: &[u8], offload: Offload) {
        *self.0 = [0; LENGTH];
        let Some((protocol, start)) = transport(packet) else { return };
        let checksum_offset = match protocol {
            TCP => 16,
            UDP => 6,
            _ => return,
        };
        match offload.checksum {
            Checksum::Full => {}
            Checksum::Verified => self.0[0] = DATA_VALID,
            Checksum::Partial => {
                self.0[0] = NEEDS_CSUM;
                self.set_u16(6, start);
                self.set_u16(8, checksum_offset);
            }
        }
        if offload.gso_size != 0 {
            self.0[1] = if protocol == TCP { GSO_TCPV4 } else { GSO_UDP_L4 };
            self.set_u16(4, offload.gso_size);
            self.set_linear(packet);
        }
    }

    /// The engine may have asked for smaller segments, to fit the next link.
    pub fn set_segment(&mut self, gso_size: u16) {
        if gso_size != 0 {
            self.set_u16(4, gso_size);
        }
    }

    /// Tells the kernel to put the headers of a super-segment in one piece and its payload in pages.
    ///
    /// What was read there is how much of the sender's buffer was linear, which has nothing to do
    /// with the packet that is made from it here: written back, it would ask for up to a page of
    /// payload beside the headers. (No difference was measured beyond the noise, over veth.)
    pub fn set_linear(&mut self, packet: &[u8]) {
        if self.0[1] == GSO_NONE {
            return;
        }
        let Some((protocol, start)) = transport(packet) else { return };
        let header = match protocol {
            TCP => packet.get(usize::from(start) + 12).map_or(20, |octet| u16::from(octet >> 4) * 4),
            _ => 8,
        };
        self.set_u16(2, start + header);
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes([self.0[at], self.0[at + 1]])
    }

    fn set_u16(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }
}

/// Protocol and offset of the transport header of an IPv4 packet.
fn transport(packet: &[u8]) -> Option<(u8, u16)> {
    let header = u16::from(packet.first()? & 0x0f) * 4;
    Some((*packet.get(9)?, header))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as the kernel writes it.
    fn header(flags: u8, gso_type: u8, rest: [u16; 4]) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        octets[0] = flags;
        octets[1] = gso_type;
        for (place, value) in octets[2..].chunks_exact_mut(2).zip(rest) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
        octets
    }

    fn packet(protocol: u8) -> [u8; 44] {
        let mut packet = [0; 44];
        packet[0] = 0x46;
        packet[9] = protocol;
        packet[24 + 12] = 0x50;
        packet
    }

    // covers: B7
    #[test]
    fn flags_become_what_the_engine_calls_them() {
        for (flags, gso_type, expected) in [
            (0, GSO_NONE, Offload { checksum: Checksum::Full, gso_size: 0 }),
            (DATA_VALID, GSO_NONE, Offload { checksum: Checksum::Verified, gso_size: 0 }),
            (NEEDS_CSUM, GSO_NONE, Offload { checksum: Checksum::Partial, gso_size: 0 }),
            (NEEDS_CSUM, GSO_TCPV4, Offload { checksum: Checksum::Partial, gso_size: 1448 }),
            (NEEDS_CSUM, GSO_TCPV4 | 0x80, Offload { checksum: Checksum::Partial, gso_size: 1448 }),
            (NEEDS_CSUM, GSO_UDP_L4, Offload { checksum: Checksum::Partial, gso_size: 1448 }),
        ] {
            let mut frame = header(flags, gso_type, [66, 1448, 34, 16]).to_vec();
            frame.extend([0x45; 20]);
            let (header, packet) = Header::split(&mut frame).expect("long enough");
            assert_eq!(header.offload(), expected);
            assert_eq!(packet.len(), 20);
        }
        assert!(Header::split(&mut [0; LENGTH - 1]).is_none());
    }

    // covers: B7
    #[test]
    fn a_packet_is_described_as_it_is() {
        let partial = |gso_size| Offload { checksum: Checksum::Partial, gso_size };
        for (protocol, offload, expected) in [
            (TCP, partial(1448), header(NEEDS_CSUM, GSO_TCPV4, [44, 1448, 24, 16])),
            (UDP, partial(1200), header(NEEDS_CSUM, GSO_UDP_L4, [32, 1200, 24, 6])),
            (UDP, partial(0), header(NEEDS_CSUM, GSO_NONE, [0, 0, 24, 6])),
            (TCP, Offload { checksum: Checksum::Verified, gso_size: 0 }, header(DATA_VALID, 0, [0; 4])),
            (TCP, Offload::default(), [0; LENGTH]),
            (1, partial(0), [0; LENGTH]),
        ] {
            let mut octets = [0xff; LENGTH];
            Header(&mut octets).describe(&packet(protocol), offload);
            assert_eq!(octets, expected, "{protocol} {offload:?}");
        }
    }

    // covers: B7
    #[test]
    fn only_super_segments_get_a_linear_part() {
        let mut octets = header(NEEDS_CSUM, GSO_NONE, [1400, 0, 24, 16]);
        Header(&mut octets).set_linear(&packet(TCP));
        assert_eq!(octets, header(NEEDS_CSUM, GSO_NONE, [1400, 0, 24, 16]));
        let mut octets = header(NEEDS_CSUM, GSO_TCPV4, [1400, 1448, 24, 16]);
        Header(&mut octets).set_linear(&packet(TCP));
        assert_eq!(octets, header(NEEDS_CSUM, GSO_TCPV4, [44, 1448, 24, 16]));
    }
}
