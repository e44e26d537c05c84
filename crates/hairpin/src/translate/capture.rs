//! Capture files: what pcap and pcapng have in common, and what is said when one is damaged.
//!
//! Own readers rather than the pcap-file crate's: what is not translated must come out octet for
//! octet (names, comments, statistics), a packet cut by the capture is normal and not an error, and
//! an error must know its packet and its offset. The crate is the oracle of the tests instead.

use std::io::Read;

use miette::Diagnostic;
use thiserror::Error;
use wire::link::LinkType;

use super::{pcap, pcapng};

/// The largest piece that a reader takes into memory: captures of super-segments have 256 KiB.
pub(crate) const MAX_PIECE: u32 = 16 << 20;

/// What is wrong with a capture file, and where.
#[derive(Debug, Error, Diagnostic)]
#[error("{file}: {problem} (packet {packet}, octet {offset})")]
pub struct CaptureError {
    /// The file.
    pub file: String,
    /// The packet that was to come, from 1.
    pub packet: u64,
    /// Where in the file the damaged piece begins.
    pub offset: u64,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    #[help]
    pub remedy: String,
}

/// Octets of the file, counted.
pub(crate) struct Source<R> {
    reader: R,
    name: String,
    /// Octets read.
    offset: u64,
    /// Where the piece begins that is being read.
    piece: u64,
    /// Packets read whole.
    pub(crate) packets: u64,
}

impl<R: Read> Source<R> {
    pub(crate) fn new(reader: R, name: &str) -> Self {
        Self { reader, name: name.to_owned(), offset: 0, piece: 0, packets: 0 }
    }

    /// Begins the next header, block or record: errors name its place from now on.
    pub(crate) fn begin(&mut self) {
        self.piece = self.offset;
    }

    pub(crate) fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> CaptureError {
        CaptureError {
            file: self.name.clone(),
            packet: self.packets + 1,
            offset: self.piece,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn damaged(&self, problem: impl Into<String>) -> CaptureError {
        let remedy = match self.packets {
            0 => "there is nothing whole before it: copy the file again, or capture it again",
            _ => "the packets before it are in the output; copy the file again, or capture it again",
        };
        self.error(problem, remedy)
    }

    /// `length` octets, or nothing at the end of the file.
    pub(crate) fn piece(&mut self, length: u32) -> Result<Option<Vec<u8>>, CaptureError> {
        let mut octets = Vec::new();
        // `take` grows the buffer by what is there, not by what a damaged length claims.
        let outcome = (&mut self.reader).take(length.into()).read_to_end(&mut octets);
        self.offset += octets.len() as u64;
        match outcome {
            Ok(0) if length > 0 => Ok(None),
            Ok(count) if count == length as usize => Ok(Some(octets)),
            Ok(_) => Err(self.cut_short()),
            Err(error) => Err(self.error(format!("cannot be read: {error}"), "see whether the disk is well")),
        }
    }

    /// `length` octets that have to be there.
    pub(crate) fn rest(&mut self, length: u32) -> Result<Vec<u8>, CaptureError> {
        self.piece(length)?.ok_or_else(|| self.cut_short())
    }

    fn cut_short(&self) -> CaptureError {
        self.damaged("the file is cut short")
    }
}

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    /// The 32-bit number at `at`; 0 beyond the end, which callers have excluded.
    pub(crate) fn u32(self, octets: &[u8], at: usize) -> u32 {
        let field = octets.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
        match self {
            Self::Little => u32::from_le_bytes(field),
            Self::Big => u32::from_be_bytes(field),
        }
    }

    /// The 16-bit number at `at`.
    pub(crate) fn u16(self, octets: &[u8], at: usize) -> u16 {
        let field = octets.get(at..).and_then(|rest| rest.first_chunk::<2>()).copied().unwrap_or_default();
        match self {
            Self::Little => u16::from_le_bytes(field),
            Self::Big => u16::from_be_bytes(field),
        }
    }

    pub(crate) fn octets(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

/// What a file consists of.
#[derive(Debug)]
pub(crate) enum Item {
    /// Octets that belong into the output as they are.
    Verbatim(Vec<u8>),
    /// A packet.
    Packet(Record),
}

/// A packet of a capture.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Where it was captured.
    pub(crate) place: Place,
    /// When, in nanoseconds of the capture's own clock; `None`: the format does not say.
    pub(crate) nanos: Option<u64>,
    /// The frame.
    pub(crate) data: Vec<u8>,
    /// The capture does not have all of it.
    pub(crate) cut: bool,
    /// The fields around the frame, to write it as it was.
    pub(crate) envelope: Envelope,
}

/// An interface of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The section of a pcapng file, from 0.
    pub(crate) section: u32,
    /// The interface in it; 0 in a pcap file.
    pub(crate) interface: u32,
    /// Its link layer.
    pub(crate) link: LinkType,
}

/// The fields around a frame.
#[derive(Clone, Debug)]
pub(crate) enum Envelope {
    /// The record header of a pcap file.
    Pcap([u8; 16]),
    /// A block of a pcapng file: its type, what stands before the frame, and its options.
    Block { kind: u32, head: Vec<u8>, options: Vec<u8> },
}

/// A capture file being read.
pub(crate) enum Capture<R> {
    Pcap(pcap::Reader<R>),
    Pcapng(pcapng::Reader<R>),
}

impl<R: Read> Capture<R> {
    /// Reads the first octets and what they announce.
    pub(crate) fn open(reader: R, name: &str) -> Result<Self, CaptureError> {
        let mut source = Source::new(reader, name);
        let magic = source.piece(4)?.ok_or_else(|| source.error("the file is empty", REMEDY))?;
        let magic = [magic[0], magic[1], magic[2], magic[3]];
        match (magic, pcap::kind(magic)) {
            (pcapng::SECTION_MAGIC, _) => pcapng::Reader::open(source).map(Self::Pcapng),
            (_, Some(kind)) => pcap::Reader::open(source, magic, kind).map(Self::Pcap),
            (_, None) => {
                let (problem, remedy) = no_capture(magic);
                Err(source.error(problem, remedy))
            }
        }
    }

    /// What comes next.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, CaptureError> {
        match self {
            Self::Pcap(reader) => reader.next(),
            Self::Pcapng(reader) => reader.next(),
        }
    }

    /// The name of the format.
    pub(crate) fn format(&self) -> &'static str {
        match self {
            Self::Pcap(_) => "pcap",
            Self::Pcapng(_) => "pcapng",
        }
    }

    /// A record whose frame is now `data`, of the same length as before, as octets of the file.
    pub(crate) fn encode(&self, record: &Record, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Pcap(_) => pcap::encode(record, data),
            Self::Pcapng(reader) => reader.encode(record, data),
        }
    }

    /// A frame that was not in the file, as octets of it.
    pub(crate) fn encode_made(&self, place: Place, nanos: u64, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Pcap(reader) => reader.encode_made(nanos, data),
            Self::Pcapng(reader) => reader.encode_made(place, nanos, data),
        }
    }
}

pub(crate) const REMEDY: &str = "write a pcap or pcapng file, e.g. tcpdump -w FILE";

/// What is wrong with a file that begins like this, and what to do.
pub(crate) fn no_capture(magic: [u8; 4]) -> (String, &'static str) {
    match magic {
        [0x1F, 0x8B, ..] => ("this is a gzip file".to_owned(), "unpack it first: gunzip"),
        [0x28, 0xB5, 0x2F, 0xFD] => ("this is a zstd file".to_owned(), "unpack it first: unzstd"),
        _ => (format!("begins with {magic:02x?}: no capture file"), REMEDY),
    }
}

/// What is wrong with a link layer that is not known here, and what to do.
pub(crate) fn no_link(number: u32) -> (String, &'static str) {
    (
        format!("link type {number} is not known here"),
        "capture on an interface with Ethernet (1), raw IP (101), Linux cooked (113, 276) or loopback (0)",
    )
}

/// The link layer with this number, or the error that says which ones there are.
pub(crate) fn link_type<R: Read>(source: &Source<R>, number: u32) -> Result<LinkType, CaptureError> {
    LinkType::from_number(number).ok_or_else(|| {
        let (problem, remedy) = no_link(number);
        source.error(problem, remedy)
    })
}
