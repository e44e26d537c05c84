//! The pcapng format (draft-ietf-opsawg-pcapng): sections of either byte order, several interfaces,
//! any timestamp resolution. Blocks that hold no packets are handed on as they are.

use std::io::Read;

use super::capture::{CaptureError, Envelope, Item, MAX_PIECE, Order, Place, Record, Source, link_type};

/// The type of a section header block, the same in both byte orders.
pub(crate) const SECTION_MAGIC: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];

pub(crate) const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, laid out like the enhanced one except for a 16-bit interface number.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const OPTION_END: u16 = 0;
/// A hash of the frame, wrong once that is translated.
const OPTION_EPB_HASH: u16 = 3;
const OPTION_IF_TSRESOL: u16 = 9;
const OPTION_IF_TSOFFSET: u16 = 14;

/// A pcapng file being read.
pub(crate) struct Reader<R> {
    source: Source<R>,
    order: Order,
    /// Number of the current section.
    section: u32,
    interfaces: Vec<Interface>,
    /// The first section header, until it has been handed out.
    header: Option<Vec<u8>>,
}

/// What an interface description says that matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interface {
    pub(crate) link: u32,
    snaplen: u32,
    /// Timestamp units in one second.
    units: u64,
    /// Seconds to add to each timestamp.
    offset: i64,
}

/// The byte order that a section header announces.
pub(crate) fn order(magic: [u8; 4]) -> Option<Order> {
    match magic {
        [0x1A, 0x2B, 0x3C, 0x4D] => Some(Order::Big),
        [0x4D, 0x3C, 0x2B, 0x1A] => Some(Order::Little),
        _ => None,
    }
}

/// Where a packet block has its frame, and what it says of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// The number of its interface in the section.
    pub(crate) interface: u32,
    /// `None`: the format does not say.
    pub(crate) ticks: Option<u64>,
    /// Octets of the block's body before the frame, and of the frame as far as it was captured.
    pub(crate) at: usize,
    pub(crate) captured: usize,
    original: u32,
}

/// What a block of `kind` says of its packet; `None`: it has none.
pub(crate) fn fields(
    order: Order,
    kind: u32,
    body: &[u8],
    interfaces: &[Interface],
) -> Result<Option<Fields>, String> {
    let too_short = || Err("a packet block is too short".to_owned());
    let known = |number: u32| {
        interfaces
            .get(number as usize)
            .copied()
            .ok_or_else(|| format!("a packet of interface {number}, which the file does not describe"))
    };
    let fields = match kind {
        ENHANCED_PACKET | PACKET => {
            if body.len() < 20 {
                return too_short();
            }
            let interface = if kind == PACKET { order.u16(body, 0).into() } else { order.u32(body, 0) };
            known(interface)?;
            let ticks = u64::from(order.u32(body, 4)) << 32 | u64::from(order.u32(body, 8));
            let captured = order.u32(body, 12) as usize;
            let fields =
                Fields { interface, ticks: Some(ticks), at: 20, captured, original: order.u32(body, 16) };
            (fields, captured + padding(captured))
        }
        SIMPLE_PACKET => {
            if body.len() < 4 {
                return too_short();
            }
            let original = order.u32(body, 0);
            let captured = match known(0)?.snaplen {
                0 => original,
                snaplen => original.min(snaplen),
            } as usize;
            (Fields { interface: 0, ticks: None, at: 4, captured, original }, captured)
        }
        _ => return Ok(None),
    };
    let (fields, room) = fields;
    if body.len() - fields.at < room {
        return Err(format!("a packet of {} octets is larger than its block", fields.captured));
    }
    Ok(Some(fields))
}

/// What an interface description says.
pub(crate) fn interface(order: Order, body: &[u8]) -> Result<Interface, String> {
    if body.len() < 8 {
        return Err("an interface description is too short".to_owned());
    }
    let mut interface = Interface {
        link: order.u16(body, 0).into(),
        snaplen: order.u32(body, 4),
        units: 1_000_000,
        offset: 0,
    };
    for (code, value) in options(order, &body[8..]) {
        match (code, value) {
            (OPTION_IF_TSRESOL, &[resolution]) => {
                let units = match resolution & 0x80 {
                    0 => 10_u64.checked_pow(u32::from(resolution)),
                    _ => 1_u64.checked_shl(u32::from(resolution & 0x7F)),
                };
                interface.units = units
                    .ok_or_else(|| format!("a timestamp resolution of {resolution:#x} is impossible"))?;
            }
            (OPTION_IF_TSOFFSET, value) if value.len() == 8 => {
                let (first, second) = (order.u32(value, 0), order.u32(value, 4));
                let (low, high) = match order {
                    Order::Little => (first, second),
                    Order::Big => (second, first),
                };
                interface.offset = (u64::from(high) << 32 | u64::from(low)) as i64;
            }
            _ => {}
        }
    }
    Ok(interface)
}

/// The options of a block; what follows a damaged one is left out.
fn options(order: Order, octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = octets;
    core::iter::from_fn(move || {
        if rest.len() < 4 || order.u16(rest, 0) == OPTION_END {
            return None;
        }
        let (code, length) = (order.u16(rest, 0), usize::from(order.u16(rest, 2)));
        let value = rest.get(4..4 + length)?;
        rest = rest.get(4 + length + padding(length)..).unwrap_or_default();
        Some((code, value))
    })
}

impl<R: Read> Reader<R> {
    /// Reads the first section header behind its block type.
    pub(crate) fn open(source: Source<R>) -> Result<Self, CaptureError> {
        let mut reader =
            Self { source, order: Order::Little, section: 0, interfaces: Vec::new(), header: None };
        reader.header = Some(reader.section_header()?);
        Ok(reader)
    }

    pub(crate) fn next(&mut self) -> Result<Option<Item>, CaptureError> {
        if let Some(header) = self.header.take() {
            return Ok(Some(Item::Verbatim(header)));
        }
        self.source.begin();
        let Some(kind) = self.source.piece(4)? else {
            return Ok(None);
        };
        if kind == SECTION_MAGIC {
            self.section += 1;
            self.interfaces.clear();
            return self.section_header().map(|octets| Some(Item::Verbatim(octets)));
        }
        let kind = self.order.u32(&kind, 0);
        let body = self.body()?;
        match kind {
            INTERFACE_DESCRIPTION => {
                let interface = interface(self.order, &body).map_err(|told| self.source.damaged(told))?;
                self.interfaces.push(interface);
            }
            _ => {
                let found = fields(self.order, kind, &body, &self.interfaces);
                if let Some(fields) = found.map_err(|told| self.source.damaged(told))? {
                    return self.packet(kind, &body, fields).map(|record| Some(Item::Packet(record)));
                }
            }
        }
        Ok(Some(Item::Verbatim(self.block(kind, &body))))
    }

    /// A section header behind its block type, as it belongs into the output.
    fn section_header(&mut self) -> Result<Vec<u8>, CaptureError> {
        let mut head = self.source.rest(8)?;
        self.order = order([head[4], head[5], head[6], head[7]])
            .ok_or_else(|| self.source.damaged("the section header has no byte order"))?;
        let length = self.order.u32(&head, 0);
        if !(28..=MAX_PIECE).contains(&length) || !length.is_multiple_of(4) {
            return Err(self.source.damaged(format!("a section header of {length} octets is impossible")));
        }
        head.extend(self.source.rest(length - 12)?);
        if self.order.u32(&head, length as usize - 8) != length {
            return Err(self.source.damaged("the two lengths of the section header differ"));
        }
        let version = self.order.u16(&head, 8);
        if version != 1 {
            let remedy = "convert it: editcap -F pcapng IN OUT";
            return Err(self.source.error(format!("pcapng version {version} is not known here"), remedy));
        }
        // The section will have another length: -1 means that it is not given.
        head[12..20].fill(0xFF);
        let mut octets = SECTION_MAGIC.to_vec();
        octets.extend(head);
        Ok(octets)
    }

    /// What stands between the two lengths of a block.
    fn body(&mut self) -> Result<Vec<u8>, CaptureError> {
        let head = self.source.rest(4)?;
        let length = self.order.u32(&head, 0);
        if !(12..=MAX_PIECE).contains(&length) || !length.is_multiple_of(4) {
            return Err(self.source.damaged(format!("a block of {length} octets is impossible")));
        }
        let mut body = self.source.rest(length - 8)?;
        let tail = body.split_off(length as usize - 12);
        match self.order.u32(&tail, 0) == length {
            true => Ok(body),
            false => Err(self.source.damaged("the two lengths of a block differ")),
        }
    }

    fn packet(&mut self, kind: u32, body: &[u8], fields: Fields) -> Result<Record, CaptureError> {
        let (head, rest) = body.split_at(fields.at);
        let (frame, behind) = rest.split_at(fields.captured);
        let options = match kind {
            SIMPLE_PACKET => Vec::new(),
            _ => self.without_hash(behind.get(padding(fields.captured)..).unwrap_or_default()),
        };
        let (nanos, place) = match self.interfaces.get(fields.interface as usize) {
            Some(&interface) => {
                (fields.ticks.map(|ticks| interface.nanos(ticks)), self.place(fields.interface, interface)?)
            }
            None => return Err(self.source.damaged("a packet of no interface")),
        };
        self.source.packets += 1;
        Ok(Record {
            place,
            nanos,
            data: frame.to_vec(),
            cut: fields.captured < fields.original as usize,
            envelope: Envelope::Block { kind, head: head.to_vec(), options },
        })
    }

    fn place(&self, number: u32, interface: Interface) -> Result<Place, CaptureError> {
        let link = link_type(&self.source, interface.link)?;
        Ok(Place { section: self.section, interface: number, link })
    }

    fn without_hash(&self, octets: &[u8]) -> Vec<u8> {
        let mut kept = Vec::new();
        for (code, value) in options(self.order, octets).filter(|&(code, _)| code != OPTION_EPB_HASH) {
            let head = match self.order {
                Order::Little => u32::from(code) | (value.len() as u32) << 16,
                Order::Big => u32::from(code) << 16 | value.len() as u32,
            };
            kept.extend(self.order.octets(head));
            kept.extend_from_slice(value);
            kept.resize(kept.len() + padding(value.len()), 0);
        }
        if !kept.is_empty() {
            kept.extend([0; 4]);
        }
        kept
    }

    fn block(&self, kind: u32, body: &[u8]) -> Vec<u8> {
        let length = self.order.octets(body.len() as u32 + 12);
        let mut octets = self.order.octets(kind).to_vec();
        octets.extend(length);
        octets.extend_from_slice(body);
        octets.extend(length);
        octets
    }

    pub(crate) fn encode(&self, record: &Record, data: &[u8]) -> Vec<u8> {
        let Envelope::Block { kind, head, options } = &record.envelope else {
            return Vec::new();
        };
        let mut body = head.clone();
        body.extend_from_slice(data);
        body.resize(body.len() + padding(data.len()), 0);
        body.extend_from_slice(options);
        self.block(*kind, &body)
    }

    pub(crate) fn encode_made(&self, place: Place, nanos: u64, data: &[u8]) -> Vec<u8> {
        let ticks =
            self.interfaces.get(place.interface as usize).map_or(0, |interface| interface.ticks(nanos));
        let length = data.len() as u32;
        let fields = [place.interface, (ticks >> 32) as u32, ticks as u32, length, length];
        let mut body: Vec<u8> = fields.iter().flat_map(|&field| self.order.octets(field)).collect();
        body.extend_from_slice(data);
        body.resize(body.len() + padding(data.len()), 0);
        self.block(ENHANCED_PACKET, &body)
    }
}

impl Interface {
    /// Nanoseconds since 1970 of a timestamp; what does not fit is held at the nearest that does.
    pub(crate) fn nanos(self, ticks: u64) -> u64 {
        if self.offset == 0 && self.units == 1_000_000 && ticks < u64::MAX / 1_000 {
            return ticks * 1_000;
        }
        let nanos = i128::from(ticks) * 1_000_000_000 / i128::from(self.units);
        let nanos = nanos + i128::from(self.offset) * 1_000_000_000;
        u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
    }

    /// The timestamp of a moment.
    fn ticks(self, nanos: u64) -> u64 {
        let nanos = i128::from(nanos) - i128::from(self.offset) * 1_000_000_000;
        // Rounded up: a packet that was made must not come before its cause.
        let ticks =
            nanos.max(0).saturating_mul(self.units.into()).saturating_add(999_999_999) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// Octets behind `length` up to the next multiple of four.
const fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}
