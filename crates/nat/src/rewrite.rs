//! Translation of one packet in place: new addresses and ports, one less to live, checksums kept.

use core::net::Ipv4Addr;

use wire::checksum::Delta;

use crate::brief::{Brief, NONE};
use crate::{Checksum, Endpoint};

/// What a translation writes: both ends, of which one may be what it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rewrite {
    /// As they are written: that of the source high, of the destination low. (Put together here once; to
    /// load together what was stored apart waits for the stores.)
    pub(crate) addresses: u64,
    /// The same of the ports. For an ICMP query both are its identifier.
    pub(crate) ports: u32,
    /// What that does to the IP header checksum, without the time to live.
    pub(crate) ip: Delta,
    /// What it does to the transport checksum.
    pub(crate) transport: Delta,
    /// Where the shift of the session's numbers is, 0: it has none; and `session::CONTROL`.
    pub(crate) shift: u32,
}

/// Offsets in the IPv4 header.
const TTL: usize = 8;
const IP_CHECKSUM: usize = 10;
const ADDRESSES: usize = 12;

impl Rewrite {
    /// What changes nothing in a packet from `source` to `destination`.
    pub(crate) fn none(source: Endpoint, destination: Endpoint) -> Self {
        let rewrite = Self { addresses: 0, ports: 0, ip: Delta::NONE, transport: Delta::NONE, shift: 0 };
        rewrite.with(source, destination)
    }

    /// With other ends.
    pub(crate) fn with(mut self, source: Endpoint, destination: Endpoint) -> Self {
        self.addresses = u64::from(source.address.to_bits()) << 32 | u64::from(destination.address.to_bits());
        self.ports = u32::from(source.port) << 16 | u32::from(destination.port);
        self
    }

    pub(crate) fn source(&self) -> Endpoint {
        Endpoint::new(Ipv4Addr::from_bits((self.addresses >> 32) as u32), (self.ports >> 16) as u16)
    }

    pub(crate) fn destination(&self) -> Endpoint {
        Endpoint::new(Ipv4Addr::from_bits(self.addresses as u32), self.ports as u16)
    }

    /// Writes it into `data`, a packet that `brief` describes. `age` is taken off the time to live.
    #[inline(always)]
    pub(crate) fn apply(&self, data: &mut [u8], brief: &Brief, checksum: Checksum, age: u8) {
        write_ip(data, self.addresses, self.ip, age);
        let Some((_, transport)) = data.split_at_mut_checked(usize::from(brief.header_len)) else {
            return;
        };
        if brief.has_ports
            && let Some(ports) = transport.first_chunk_mut::<4>()
        {
            *ports = self.ports.to_be_bytes();
        }
        if brief.has_identifier {
            write(transport, 4, self.ports as u16);
        }
        if brief.checksum_at != NONE {
            change(transport, usize::from(brief.checksum_at), |field| match checksum {
                // A partial checksum covers the pseudo-header alone: addresses, no ports. ICMP has none,
                // so its checksum is a full one whatever was said.
                Checksum::Partial if brief.has_ports => self.ip.apply_partial(field),
                Checksum::Full | Checksum::Verified | Checksum::Partial => {
                    match self.transport.apply(field) {
                        0 if brief.is_udp => u16::MAX,
                        field => field,
                    }
                }
            });
        }
    }
}

/// Writes the IP header alone; `addresses` as in [`Rewrite`].
#[inline(always)]
pub(crate) fn write_ip(data: &mut [u8], addresses: u64, delta: Delta, age: u8) {
    let Some(header) = data.first_chunk_mut::<20>() else { return };
    let lifetime = u16::from_be_bytes([header[TTL], header[TTL + 1]]);
    header[TTL] = header[TTL].saturating_sub(age);
    let aged = Delta::u16(lifetime, u16::from_be_bytes([header[TTL], header[TTL + 1]]));
    header[ADDRESSES..].copy_from_slice(&addresses.to_be_bytes());
    change(header, IP_CHECKSUM, |field| delta.and(aged).apply(field));
}

/// Writes a 16-bit field; one that lies behind the end (a cut quote, a short fragment) is left out.
#[inline(always)]
pub(crate) fn write(data: &mut [u8], at: usize, value: u16) {
    change(data, at, |_| value);
}

/// Changes a 16-bit field, if it is there.
#[inline(always)]
pub(crate) fn change(data: &mut [u8], at: usize, new: impl FnOnce(u16) -> u16) {
    if let Some(field) = data.get_mut(at..at + 2) {
        let value = new(u16::from_be_bytes([field[0], field[1]]));
        field.copy_from_slice(&value.to_be_bytes());
    }
}
