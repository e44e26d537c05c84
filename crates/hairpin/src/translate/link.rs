//! Link layers: on which side of the gateway a frame was captured, and headers for packets that
//! the gateway makes.

use core::net::Ipv4Addr;

use nat::Realm;
use wire::ethernet::Mac;
use wire::link::{Frame, LinkType};

use super::capture::{Place, Record};

/// How the side of a packet is found.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// Frames from these Ethernet addresses come from inside.
    pub inside_macs: Vec<Mac>,
    /// Frames captured on these interfaces of a pcapng file come from inside.
    pub inside_interfaces: Vec<u32>,
}

impl Sides {
    /// Where the packet at `frame.network_offset` of `record` comes from; `None` if nothing tells.
    pub(crate) fn side(&self, config: &nat::Config, record: &Record, frame: &Frame) -> Option<Realm> {
        if self.inside_macs.is_empty() && self.inside_interfaces.is_empty() {
            return by_address(config, record.data.get(frame.network_offset..).unwrap_or_default());
        }
        let mac = frame.source.is_some_and(|mac| self.inside_macs.contains(&mac));
        let inside = mac || self.inside_interfaces.contains(&record.place.interface);
        Some(if inside { Realm::Inside } else { Realm::Outside })
    }
}

fn by_address(config: &nat::Config, packet: &[u8]) -> Option<Realm> {
    let address =
        |at: usize| packet.get(at..).and_then(|rest| rest.first_chunk::<4>()).map(|&o| Ipv4Addr::from(o));
    let (source, destination) = (address(12)?, address(16)?);
    if config.inside.iter().any(|prefix| prefix.contains(&source)) {
        return Some(Realm::Inside);
    }
    // What answers an untranslated packet (`bypass`) comes to the subscriber itself.
    if !config.bypass.is_empty() && config.inside.iter().any(|prefix| prefix.contains(&destination)) {
        return Some(Realm::Outside);
    }
    let external =
        config.pools.iter().flat_map(|pool| &pool.addresses).any(|range| range.contains(&destination));
    external.then_some(Realm::Outside)
}

/// The link header of a packet, to be put before packets that the gateway makes because of it.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) place: Place,
    header: Vec<u8>,
}

impl Template {
    pub(crate) fn of(record: &Record, frame: &Frame) -> Self {
        let header = record.data.get(..frame.network_offset).unwrap_or_default().to_vec();
        Self { place: record.place, header }
    }

    /// The header of an IPv4 packet of nobody, where no packet was seen yet.
    pub(crate) fn blank(place: Place) -> Self {
        let mut header = match place.link {
            LinkType::Ethernet => vec![0; 14],
            LinkType::RawIp => Vec::new(),
            LinkType::LinuxSll => vec![0; 16],
            LinkType::LinuxSll2 => vec![0; 20],
            LinkType::Null => vec![2, 0, 0, 0],
        };
        match place.link {
            LinkType::Ethernet => header[12] = 0x08,
            // ARPHRD_ETHER, and the protocol.
            LinkType::LinuxSll => (header[3], header[14]) = (1, 0x08),
            LinkType::LinuxSll2 => (header[0], header[9]) = (0x08, 1),
            LinkType::RawIp | LinkType::Null => {}
        }
        Self { place, header }
    }

    /// A frame that goes on in the direction of the packet that caused it.
    pub(crate) fn onwards(&self, packet: &[u8]) -> Vec<u8> {
        [&self.header, packet].concat()
    }

    /// A frame that goes back to where the packet came from that caused it.
    pub(crate) fn back(&self, packet: &[u8]) -> Vec<u8> {
        let mut frame = self.onwards(packet);
        match self.place.link {
            LinkType::Ethernet if self.header.len() >= 12 => {
                let (destination, rest) = frame.split_at_mut(6);
                destination.swap_with_slice(&mut rest[..6]);
            }
            // Cooked headers have the sender only. It is this machine now: its address is not known.
            LinkType::LinuxSll if self.header.len() >= 16 => {
                frame[0..2].copy_from_slice(&OUTGOING);
                frame[6..14].fill(0);
            }
            LinkType::LinuxSll2 if self.header.len() >= 20 => {
                frame[10] = OUTGOING[1];
                frame[12..20].fill(0);
            }
            _ => {}
        }
        frame
    }
}

/// `PACKET_OUTGOING` of the cooked headers.
const OUTGOING: [u8; 2] = [0, 4];
