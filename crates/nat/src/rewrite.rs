//! Translation of one packet in place: new addresses and ports, one less to live, checksums kept.

use wire::checksum::Delta;
use wire::{Packet as Parsed, Transport};

use crate::{Checksum, Endpoint};

/// What a translation writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rewrite {
    /// The new source; `None` leaves it.
    pub(crate) source: Option<Endpoint>,
    /// The new destination; `None` leaves it.
    pub(crate) destination: Option<Endpoint>,
    /// What that does to the IP header checksum, without the time to live.
    pub(crate) ip: Delta,
    /// What it does to the transport checksum.
    pub(crate) transport: Delta,
}

/// Offsets in the IPv4 header.
const TTL: usize = 8;
const IP_CHECKSUM: usize = 10;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;

impl Rewrite {
    /// Writes it into `data`, which `parsed` was parsed from. `age` is taken off the time to live.
    #[inline(always)]
    pub(crate) fn apply(&self, data: &mut [u8], parsed: &Parsed, checksum: Checksum, age: u8) {
        self.apply_ip(data, age);
        let Some((_, transport)) = data.split_at_mut_checked(usize::from(parsed.header_len)) else {
            return;
        };
        match parsed.transport {
            Transport::Tcp { .. } => {
                self.write_ports(transport);
                self.update(transport, 16, checksum, Delta::apply);
            }
            Transport::Udp { has_checksum, .. } => {
                self.write_ports(transport);
                // A checksum of 0 says that there is none (RFC 768); it stays that way.
                if has_checksum || checksum == Checksum::Partial {
                    self.update(transport, 6, checksum, Delta::apply_udp);
                }
            }
            Transport::IcmpQuery { .. } => {
                // One identifier for both directions: where both are translated, what arrives counts.
                if let Some(endpoint) = self.destination.or(self.source) {
                    write(transport, 4, endpoint.port);
                    change(transport, 2, |field| self.transport.apply(field));
                }
            }
            Transport::IcmpError { .. } | Transport::IcmpOther | Transport::None | Transport::Other => {}
        }
    }

    /// The IP header alone.
    #[inline(always)]
    pub(crate) fn apply_ip(&self, data: &mut [u8], age: u8) {
        let Some(header) = data.first_chunk_mut::<20>() else { return };
        let lifetime = u16::from_be_bytes([header[TTL], header[TTL + 1]]);
        header[TTL] = header[TTL].saturating_sub(age);
        let aged = Delta::u16(lifetime, u16::from_be_bytes([header[TTL], header[TTL + 1]]));
        if let Some(source) = self.source {
            header[SOURCE..SOURCE + 4].copy_from_slice(&source.address.octets());
        }
        if let Some(destination) = self.destination {
            header[DESTINATION..DESTINATION + 4].copy_from_slice(&destination.address.octets());
        }
        change(header, IP_CHECKSUM, |field| self.ip.and(aged).apply(field));
    }

    #[inline(always)]
    fn write_ports(&self, transport: &mut [u8]) {
        if let Some(source) = self.source {
            write(transport, 0, source.port);
        }
        if let Some(destination) = self.destination {
            write(transport, 2, destination.port);
        }
    }

    #[inline(always)]
    fn update(&self, transport: &mut [u8], at: usize, checksum: Checksum, apply: fn(Delta, u16) -> u16) {
        change(transport, at, |field| match checksum {
            // A partial checksum covers the pseudo-header alone: addresses, no ports.
            Checksum::Partial => self.ip.apply_partial(field),
            Checksum::Full | Checksum::Verified => apply(self.transport, field),
        });
    }
}

/// Writes a 16-bit field; one that lies behind the end (a cut quote, a short fragment) is left out.
#[inline(always)]
pub(crate) fn write(data: &mut [u8], at: usize, value: u16) {
    if let Some(field) = data.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// Changes a 16-bit field, if it is there.
#[inline(always)]
pub(crate) fn change(data: &mut [u8], at: usize, new: impl FnOnce(u16) -> u16) {
    if let Some(field) = data.get_mut(at..at + 2) {
        let value = new(u16::from_be_bytes([field[0], field[1]]));
        field.copy_from_slice(&value.to_be_bytes());
    }
}
