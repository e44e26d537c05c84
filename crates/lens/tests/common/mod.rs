//! Flows made by hand.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::Ipv4Addr;

use hairpin_lens::{FlowReport, Group, Lens, Limits, Reader, StreamReport};
use rules::Instant;
use wire::SeqNumber;
use wire::craft::{self, Header};
use wire::tcp::Flags;

pub(crate) const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 4_000);
pub(crate) const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 2), 80);

/// One TCP segment.
#[derive(Clone, Debug)]
pub(crate) struct Seg {
    pub(crate) client: bool,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) text: Vec<u8>,
    pub(crate) wait: u64,
}

/// From the client, with ACK.
pub(crate) fn client(seq: u32, text: &[u8]) -> Seg {
    Seg {
        client: true,
        seq,
        ack: 1,
        flags: Flags::ACK,
        window: 65_535,
        urgent: 0,
        options: Vec::new(),
        text: text.to_vec(),
        wait: 1_000_000,
    }
}

/// From the server, with ACK.
pub(crate) fn server(seq: u32, ack: u32) -> Seg {
    Seg { client: false, ack, ..client(seq, b"") }
}

impl Seg {
    pub(crate) fn urg(self, urgent: u16) -> Self {
        Self { urgent, flags: self.flags | Flags::URG, ..self }
    }

    pub(crate) fn flags(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn ack(self, ack: u32) -> Self {
        Self { ack, ..self }
    }

    pub(crate) fn tsval(self, tsval: u32) -> Self {
        let mut options = vec![1, 1, 8, 10];
        options.extend(tsval.to_be_bytes());
        options.extend([0; 4]);
        Self { options, ..self }
    }

    pub(crate) fn packet(&self) -> Vec<u8> {
        let (from, to) = if self.client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let segment = craft::Segment {
            seq: SeqNumber(self.seq),
            ack: SeqNumber(self.ack),
            window: self.window,
            urgent: self.urgent,
            options: &self.options,
            ..craft::Segment::new(from.1, to.1, self.flags)
        };
        let mut packet = vec![0; 120 + self.text.len()];
        let len = craft::tcp(&mut packet, &Header::new(from.0, to.0), &segment, &self.text).expect("it fits");
        packet.truncate(len);
        packet
    }
}

/// The SYNs of both: the client's text begins at `start`, the server's at 1.
pub(crate) fn handshake(start: u32) -> Vec<Seg> {
    vec![
        client(start.wrapping_sub(1), b"").flags(Flags::SYN),
        server(0, start).flags(Flags::SYN | Flags::ACK),
        client(start, b""),
    ]
}

pub(crate) fn see(limits: Limits, segments: &[Seg]) -> Vec<FlowReport> {
    let mut lens = Lens::new(limits, [7, 9]);
    let mut now = 0;
    for (frame, segment) in (1..).zip(segments) {
        now += segment.wait;
        lens.see(frame, Instant::from_nanos(now), &segment.packet());
    }
    lens.finish();
    std::iter::from_fn(|| lens.poll_report()).collect()
}

/// The one flow of a handshake and then `segments`; what its client sent.
pub(crate) fn stream(segments: Vec<Seg>) -> StreamReport {
    let mut all = handshake(100);
    all.extend(segments);
    let mut reports = see(Limits::default(), &all);
    assert_eq!(reports.len(), 1);
    let [stream, _] = reports.remove(0).streams;
    stream
}

pub(crate) fn group<'a>(stream: &'a StreamReport, host: &str, reader: Reader) -> &'a Group {
    let is_it = |group: &&Group| group.views.iter().any(|view| view.host == host && view.reader == reader);
    stream.groups.iter().find(is_it).expect("every view is in a group")
}

pub(crate) fn reading(stream: &StreamReport, host: &str, reader: Reader) -> String {
    String::from_utf8_lossy(&group(stream, host, reader).reading).into_owned()
}
