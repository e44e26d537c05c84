//! The client, played by hand.

use std::net::Ipv4Addr;

use wire::SeqNumber;
use wire::craft::{self, Header};
use wire::tcp::{Flags, Tcp};

use super::Host;
use super::cases::Segment;

/// The client's address.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The address of the host that is looked at.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Its port.
pub(crate) const PORT: u16 = 5_000;

/// An IPv4 packet.
pub(crate) type Packet = Vec<u8>;

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    port: u16,
    /// The sequence number of the SYN.
    start: SeqNumber,
    /// What the host has sent, its SYN included.
    ack: SeqNumber,
}

impl Client {
    pub(crate) fn new(port: u16, start: SeqNumber) -> Self {
        Self { port, start, ack: SeqNumber(0) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn syn(&self) -> Packet {
        // An MSS, or the kernel would think that of a path of 576 octets.
        self.packet(self.start, Flags::SYN, 0, &[2, 4, 0x05, 0xb4], &[])
    }

    /// Takes the SYN-ACK, and gives the ACK of it.
    pub(crate) fn open(&mut self, answer: &[u8]) -> Packet {
        let answer = tcp(answer).expect("a segment");
        assert_eq!(answer.flags(), Flags::SYN | Flags::ACK, "the answer to a SYN");
        self.ack = answer.seq().plus(1);
        self.packet(self.start.plus(1), Flags::ACK, 0, &[], &[])
    }

    pub(crate) fn segment(&self, segment: &Segment) -> Packet {
        let mut flags = Flags::ACK;
        if segment.urgent.is_some() {
            flags = flags | Flags::URG;
        }
        if segment.fin {
            flags = flags | Flags::FIN;
        }
        let seq = self.start.plus(1).plus(segment.at);
        self.packet(seq, flags, segment.urgent.unwrap_or(0), &[], &segment.text)
    }

    /// A segment that lies left of the window and so must be answered with an ACK.
    pub(crate) fn probe(&self) -> Packet {
        self.packet(self.start, Flags::ACK, 0, &[], &[])
    }

    /// Octets that the host has acknowledged; fails unless the last thing that it sent is an ACK.
    pub(crate) fn await_acknowledgment(&self, host: &mut dyn Host) -> u32 {
        let sent = host.sent();
        let last = sent.last().expect("a segment left of the window is answered");
        let last = tcp(last).expect("a segment");
        assert!(
            last.flags().contains(Flags::ACK) && !last.flags().contains(Flags::RST),
            "{:?}",
            last.flags()
        );
        last.ack().distance_from(self.start.plus(1))
    }

    fn packet(&self, seq: SeqNumber, flags: Flags, urgent: u16, options: &[u8], text: &[u8]) -> Packet {
        let header = Header::new(CLIENT, HOST);
        let segment = craft::Segment {
            seq,
            ack: self.ack,
            window: 65_535,
            urgent,
            options,
            ..craft::Segment::new(self.port, PORT, flags)
        };
        let mut packet = vec![0; 60 + 60 + text.len()];
        let len = craft::tcp(&mut packet, &header, &segment, text).expect("it fits");
        packet.truncate(len);
        packet
    }
}

/// The TCP segment of a packet, if it is one.
pub(crate) fn tcp(packet: &[u8]) -> Option<Tcp<&[u8]>> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    (packet.get(9) == Some(&wire::tcp::PROTOCOL)).then_some(())?;
    Tcp::new(packet.get(header..)?).ok()
}

pub(crate) fn is_reset(packet: &[u8]) -> bool {
    tcp(packet).is_some_and(|segment| segment.flags().contains(Flags::RST))
}
