//! A capture file read in large pieces, its packets where they lie: nothing is copied.
//!
//! The reader of `translate` keeps everything that a capture has, to write it out again. This one wants
//! the packets only, and says of damage exactly what that one says.

use std::io::Read;
use std::ops::Range;

use wire::link::LinkType;

use crate::translate::CaptureError;
use crate::translate::capture::{MAX_PIECE, Order, REMEDY, no_capture, no_link};
use crate::translate::pcap::{self, Kind};
use crate::translate::pcapng::{self, Interface};

/// Octets that are read at once: small enough for the second cache, so that headers are still in it.
const PIECE: usize = 512 << 10;

/// A packet of the piece that was read last.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// When, in nanoseconds of the capture's own clock; 0 if the format does not say.
    pub(crate) nanos: u64,
    pub(crate) link: LinkType,
    /// Its frame, in [`Scan::octets`].
    pub(crate) frame: Range<usize>,
}

/// A capture being read.
pub(crate) struct Scan<R> {
    reader: R,
    name: String,
    buffer: Vec<u8>,
    /// What of the buffer is read and not looked at.
    start: usize,
    end: usize,
    /// Where in the file the buffer begins.
    offset: u64,
    packets: u64,
    format: Format,
}

enum Format {
    /// Nothing was read yet.
    Unknown,
    Pcap {
        kind: Kind,
        link: LinkType,
    },
    Pcapng {
        order: Order,
        interfaces: Vec<Interface>,
    },
}

/// What is wrong, and what to do.
type Wrong = (String, &'static str);

/// What stands at the beginning of what was not looked at.
enum Next {
    /// So many octets without a packet.
    Other(usize),
    /// So many octets, and a packet among them.
    Packet(usize, Found),
    /// It needs so many octets in all to be known.
    More(usize),
}

impl<R: Read> Scan<R> {
    pub(crate) fn new(reader: R, name: &str) -> Self {
        Self {
            reader,
            name: name.to_owned(),
            buffer: vec![0; PIECE],
            start: 0,
            end: 0,
            offset: 0,
            packets: 0,
            format: Format::Unknown,
        }
    }

    /// What was read last: frames are parts of it.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    /// Where in the file [`octets`](Self::octets) begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Octets of the file that were looked at.
    pub(crate) fn position(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// Puts the next packets, at most `most`, into `batch`; none at the end of the file.
    ///
    /// # Errors
    /// The file is damaged behind the packets that are in `batch`.
    pub(crate) fn next(&mut self, batch: &mut Vec<Found>, most: usize) -> Result<(), CaptureError> {
        batch.clear();
        while batch.len() < most {
            let rest = self.buffer.get(self.start..self.end).unwrap_or_default();
            let next = if rest.is_empty() { Ok(Next::More(1)) } else { self.format.next(rest) };
            match next {
                Ok(Next::Other(len)) => self.start += len,
                Ok(Next::Packet(len, mut found)) => {
                    found.frame = self.start + found.frame.start..self.start + found.frame.end;
                    self.start += len;
                    self.packets += 1;
                    batch.push(found);
                }
                // Reading on would move what the batch points to.
                Ok(Next::More(_)) if !batch.is_empty() => return Ok(()),
                Ok(Next::More(len)) => {
                    if !self.read_on(len)? {
                        return Ok(());
                    }
                }
                Err(wrong) => return Err(self.error(wrong)),
            }
        }
        Ok(())
    }

    /// Reads until `len` octets are there that were not looked at. `false`: the file ends here.
    fn read_on(&mut self, len: usize) -> Result<bool, CaptureError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.offset += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        // A damaged length must not take memory: the buffer grows with what is there.
        while self.end < len {
            if self.end == self.buffer.len() {
                let larger = (2 * self.buffer.len()).min(len.max(PIECE));
                self.buffer.resize(larger, 0);
            }
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) if self.end == 0 && !matches!(self.format, Format::Unknown) => return Ok(false),
                Ok(0) if self.end == 0 => return Err(self.error(("the file is empty".to_owned(), REMEDY))),
                Ok(0) => return Err(self.error(("the file is cut short".to_owned(), DAMAGED))),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(
                        self.error((format!("cannot be read: {error}"), "see whether the disk is well"))
                    );
                }
            }
        }
        Ok(true)
    }

    fn error(&self, (problem, remedy): Wrong) -> CaptureError {
        CaptureError {
            file: self.name.clone(),
            packet: self.packets + 1,
            offset: self.position(),
            problem,
            remedy: remedy.to_owned(),
        }
    }
}

const DAMAGED: &str = "what comes before it was looked at; copy the file again, or capture it again";

fn damaged(problem: impl Into<String>) -> Wrong {
    (problem.into(), DAMAGED)
}

impl Format {
    fn next(&mut self, octets: &[u8]) -> Result<Next, Wrong> {
        match self {
            Self::Unknown => self.open(octets),
            Self::Pcap { kind, link } => record(*kind, *link, octets),
            Self::Pcapng { order, interfaces } => block(order, interfaces, octets),
        }
    }

    fn open(&mut self, octets: &[u8]) -> Result<Next, Wrong> {
        let Some(&magic) = octets.first_chunk::<4>() else { return Ok(Next::More(4)) };
        if magic == pcapng::SECTION_MAGIC {
            *self = Self::Pcapng { order: Order::Little, interfaces: Vec::new() };
            return self.next(octets);
        }
        let Some(kind) = pcap::kind(magic) else { return Err(no_capture(magic)) };
        let Some(header) = octets.get(..24) else { return Ok(Next::More(24)) };
        let version = (kind.order.u16(header, 4), kind.order.u16(header, 6));
        if version.0 != 2 {
            let problem = format!("pcap version {}.{} is not known here", version.0, version.1);
            return Err((problem, "convert it: editcap -F pcap IN OUT"));
        }
        // The upper four bits speak of a frame check sequence.
        let number = kind.order.u32(header, 20) & 0x0FFF_FFFF;
        let link = LinkType::from_number(number).ok_or_else(|| no_link(number))?;
        *self = Self::Pcap { kind, link };
        Ok(Next::Other(24))
    }
}

/// A record of a pcap file.
#[inline]
fn record(kind: Kind, link: LinkType, octets: &[u8]) -> Result<Next, Wrong> {
    let Some(head) = octets.first_chunk::<16>() else { return Ok(Next::More(16)) };
    let captured = kind.order.u32(head, 8);
    if captured > MAX_PIECE {
        return Err(damaged(format!("a packet of {captured} octets: the file is damaged here")));
    }
    let len = 16 + captured as usize;
    if octets.len() < len {
        return Ok(Next::More(len));
    }
    let (seconds, fraction) = (u64::from(kind.order.u32(head, 0)), u64::from(kind.order.u32(head, 4)));
    let nanos = seconds * 1_000_000_000 + fraction * u64::from(kind.unit);
    Ok(Next::Packet(len, Found { nanos, link, frame: 16..len }))
}

/// A block of a pcapng file.
fn block(order: &mut Order, interfaces: &mut Vec<Interface>, octets: &[u8]) -> Result<Next, Wrong> {
    let Some(head) = octets.first_chunk::<12>() else { return Ok(Next::More(12)) };
    let section = head[..4] == pcapng::SECTION_MAGIC;
    if section {
        *order = pcapng::order([head[8], head[9], head[10], head[11]])
            .ok_or_else(|| damaged("the section header has no byte order"))?;
    }
    let (kind, length) = (order.u32(head, 0), order.u32(head, 4));
    let least = if section { 28 } else { 12 };
    if !(least..=MAX_PIECE).contains(&length) || !length.is_multiple_of(4) {
        let what = if section { "section header" } else { "block" };
        return Err(damaged(format!("a {what} of {length} octets is impossible")));
    }
    let length = length as usize;
    let Some(block) = octets.get(..length) else { return Ok(Next::More(length)) };
    if order.u32(block, length - 4) as usize != length {
        let what = if section { "the section header" } else { "a block" };
        return Err(damaged(format!("the two lengths of {what} differ")));
    }
    if section {
        let version = order.u16(block, 12);
        if version != 1 {
            let problem = format!("pcapng version {version} is not known here");
            return Err((problem, "convert it: editcap -F pcapng IN OUT"));
        }
        interfaces.clear();
        return Ok(Next::Other(length));
    }
    let body = &block[8..length - 4];
    if kind == pcapng::INTERFACE_DESCRIPTION {
        interfaces.push(pcapng::interface(*order, body).map_err(damaged)?);
        return Ok(Next::Other(length));
    }
    let Some(fields) = pcapng::fields(*order, kind, body, interfaces).map_err(damaged)? else {
        return Ok(Next::Other(length));
    };
    let Some(&interface) = interfaces.get(fields.interface as usize) else {
        return Ok(Next::Other(length));
    };
    let link = LinkType::from_number(interface.link).ok_or_else(|| no_link(interface.link))?;
    let nanos = fields.ticks.map_or(0, |ticks| interface.nanos(ticks));
    let at = 8 + fields.at;
    Ok(Next::Packet(length, Found { nanos, link, frame: at..at + fields.captured }))
}
