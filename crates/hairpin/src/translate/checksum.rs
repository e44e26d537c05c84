//! Checksums that were not finished when the packet was captured.
//!
//! A host whose network card (or virtual link) computes TCP and UDP checksums captures what it sends
//! before that: the field holds the sum of the pseudo-header only. The gateway would drop it, rightly.

use core::net::Ipv4Addr;

use nat::{Checksum, Offload};
use wire::checksum::Sum;

/// What to make of the TCP and UDP checksums of a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Checksums {
    /// They are verified: packets with a wrong one are dropped.
    #[default]
    Verify,
    /// They are not: unfinished ones are finished as the card would have done it, wrong ones are
    /// translated and stay wrong.
    Trust,
}

impl Checksums {
    /// Prepares an IPv4 packet, and tells what the gateway is to be told of it.
    ///
    /// TCP beyond the MTU is a super-segment: the same card would have cut it. Its segments are given
    /// as small as any path takes them (RFC 9293, section 3.7.1: 536 octets), so that none is too big.
    pub(crate) fn prepare(self, packet: &mut [u8], mtu: u16) -> Offload {
        match self {
            Self::Verify => Offload::default(),
            Self::Trust => {
                // Where there is no checksum to finish, the gateway judges the packet as it is.
                let _ = finish(packet);
                let whole_tcp = packet.get(9) == Some(&6)
                    && packet.get(6..8).is_some_and(|field| field[0] & 0x3f == 0 && field[1] == 0);
                let gso_size = if whole_tcp && packet.len() > usize::from(mtu) { 536 } else { 0 };
                Offload { checksum: Checksum::Verified, gso_size }
            }
        }
    }
}

/// Finishes the checksum if it is an unfinished one.
fn finish(packet: &mut [u8]) -> Option<()> {
    let u16_at = |octets: &[u8], at: usize| octets.get(at..)?.first_chunk().copied().map(u16::from_be_bytes);
    let address = |at: usize| packet.get(at..)?.first_chunk::<4>().copied().map(Ipv4Addr::from);
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let length = usize::from(u16_at(packet, 2)?);
    // More fragments, or an offset: a checksum over what is not here. Kernels finish it before.
    if u16_at(packet, 6)? & 0x3fff != 0 {
        return None;
    }
    let protocol = *packet.get(9)?;
    let (source, destination) = (address(12)?, address(16)?);
    let field = match protocol {
        6 => 16,
        17 => 6,
        _ => return None,
    };
    let segment = packet.get_mut(header..length)?;
    let pseudo = Sum::pseudo_header(source, destination, protocol, u16::try_from(segment.len()).ok()?);
    // The field takes part in the sum: what it holds is the pseudo-header's.
    let sum = Sum::of(segment);
    // One in 65,536 right checksums looks like an unfinished one.
    if u16_at(segment, field)? != pseudo.folded() || pseudo.plus(sum).is_valid() {
        return None;
    }
    let checksum = if protocol == 17 { sum.checksum_udp() } else { sum.checksum() };
    segment.get_mut(field..field + 2)?.copy_from_slice(&checksum.to_be_bytes());
    Some(())
}
