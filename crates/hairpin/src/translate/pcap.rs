//! The pcap format (draft-ietf-opsawg-pcap): both byte orders, microseconds and nanoseconds.

use std::io::Read;

use wire::link::LinkType;

use super::capture::{CaptureError, Envelope, Item, MAX_PIECE, Order, Place, Record, Source, link_type};

/// Byte order and units of a file, from its magic number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) order: Order,
    /// Nanoseconds in one unit of the second timestamp field.
    pub(crate) unit: u32,
}

/// What a magic number says, if it is one.
pub(crate) fn kind(magic: [u8; 4]) -> Option<Kind> {
    let (order, unit) = match magic {
        [0xA1, 0xB2, 0xC3, 0xD4] => (Order::Big, 1_000),
        [0xD4, 0xC3, 0xB2, 0xA1] => (Order::Little, 1_000),
        [0xA1, 0xB2, 0x3C, 0x4D] => (Order::Big, 1),
        [0x4D, 0x3C, 0xB2, 0xA1] => (Order::Little, 1),
        _ => return None,
    };
    Some(Kind { order, unit })
}

/// A pcap file being read.
pub(crate) struct Reader<R> {
    source: Source<R>,
    kind: Kind,
    link: LinkType,
    /// The file header, until it has been handed out.
    header: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// Reads the file header behind its magic number.
    pub(crate) fn open(mut source: Source<R>, magic: [u8; 4], kind: Kind) -> Result<Self, CaptureError> {
        let mut header = magic.to_vec();
        header.extend(source.rest(20)?);
        let version = (kind.order.u16(&header, 4), kind.order.u16(&header, 6));
        if version.0 != 2 {
            let problem = format!("pcap version {}.{} is not known here", version.0, version.1);
            return Err(source.error(problem, "convert it: editcap -F pcap IN OUT"));
        }
        // The upper four bits speak of a frame check sequence.
        let link = link_type(&source, kind.order.u32(&header, 20) & 0x0FFF_FFFF)?;
        Ok(Self { source, kind, link, header: Some(header) })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Item>, CaptureError> {
        if let Some(header) = self.header.take() {
            return Ok(Some(Item::Verbatim(header)));
        }
        self.source.begin();
        let Some(head) = self.source.piece(16)? else {
            return Ok(None);
        };
        let field = |at| self.kind.order.u32(&head, at);
        let (seconds, fraction, captured, original) = (field(0), field(4), field(8), field(12));
        if captured > MAX_PIECE {
            return Err(self
                .source
                .damaged(format!("a packet of {captured} octets: the file is damaged here")));
        }
        let data = self.source.rest(captured)?;
        self.source.packets += 1;
        let nanos = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * u64::from(self.kind.unit);
        let mut envelope = [0; 16];
        envelope.copy_from_slice(&head);
        Ok(Some(Item::Packet(Record {
            place: Place { section: 0, interface: 0, link: self.link },
            nanos: Some(nanos),
            data,
            cut: captured < original,
            envelope: Envelope::Pcap(envelope),
        })))
    }

    pub(crate) fn encode_made(&self, nanos: u64, data: &[u8]) -> Vec<u8> {
        let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        // Seconds of the format end in 2106.
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let fields = [seconds, fraction as u32 / self.kind.unit, length, length];
        let mut octets: Vec<u8> = fields.iter().flat_map(|&field| self.kind.order.octets(field)).collect();
        octets.extend_from_slice(data);
        octets
    }
}

/// A record as it was, with another frame of the same length.
pub(crate) fn encode(record: &Record, data: &[u8]) -> Vec<u8> {
    let mut octets = match &record.envelope {
        Envelope::Pcap(header) => header.to_vec(),
        Envelope::Block { head, .. } => head.clone(),
    };
    octets.extend_from_slice(data);
    octets
}
