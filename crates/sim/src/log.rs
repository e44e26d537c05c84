//! What happened: every packet with its fate, every change of state, in order.

use std::net::Ipv4Addr;

use rules::Instant;
use wire::ipv4::Ipv4;
use wire::tcp::Tcp;

use crate::{NodeId, Why};

/// A packet of a run, in the order of sending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PacketId(pub usize);

/// A packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sent it.
    pub from: NodeId,
    /// Who has the address it was sent to.
    pub to: Option<NodeId>,
    /// When.
    pub sent: Instant,
    /// What made its sender send it.
    pub cause: Cause,
    /// What became of it.
    pub fate: Fate,
    /// It is the link's copy of this one.
    pub copy_of: Option<PacketId>,
    /// A bit was turned over on the way: `octets` is what arrived.
    pub corrupted: bool,
    /// The IPv4 packet.
    pub octets: Box<[u8]>,
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nothing yet.
    InFlight,
    /// It arrived.
    Arrived(Instant),
    /// It was lost.
    Lost(Why),
}

/// What makes a node act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A packet arrived.
    Packet(PacketId),
    /// A timer went off.
    Timer,
    /// The application did something.
    Application,
}

/// One entry of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// What.
    pub moment: Moment,
}

/// What an entry tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Moment {
    /// A packet left its sender.
    Sent(PacketId),
    /// A packet arrived.
    Arrived(PacketId),
    /// A packet was lost.
    Lost(PacketId),
    /// A node is in another state now.
    State(NodeId, &'static str, Cause),
    /// Something worth a line, said by the scenario.
    Note(NodeId, String),
}

/// Everything that happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub(crate) names: Vec<String>,
    pub(crate) packets: Vec<Packet>,
    pub(crate) entries: Vec<Entry>,
    /// Where the part begins that is drawn and counted: the first entry, the first packet.
    pub(crate) begin: (usize, usize),
}

impl Log {
    /// A log of packets that another driver exchanged between two nodes, in their order: when, whether the first
    /// node sent it, what, and a word about it, if there is one. Each arrived at once.
    pub fn of_exchange<'a>(
        names: [&str; 2],
        packets: impl IntoIterator<Item = (Instant, bool, &'a [u8], Option<&'a str>)>,
    ) -> Self {
        let mut log = Self { names: names.map(str::to_owned).to_vec(), ..Self::default() };
        for (at, first, octets, note) in packets {
            let id = PacketId(log.packets.len());
            let (from, to) = if first { (NodeId(0), NodeId(1)) } else { (NodeId(1), NodeId(0)) };
            log.packets.push(Packet {
                from,
                to: Some(to),
                sent: at,
                cause: Cause::Application,
                fate: Fate::Arrived(at),
                copy_of: None,
                corrupted: false,
                octets: octets.into(),
            });
            log.push(at, Moment::Sent(id));
            log.push(at, Moment::Arrived(id));
            if let Some(note) = note {
                log.push(at, Moment::Note(from, note.to_owned()));
            }
        }
        log
    }

    /// Words at the end, a line each, beside the first node.
    pub fn conclude(&mut self, lines: impl IntoIterator<Item = String>) {
        let at = self.entries.last().map_or(Instant::ZERO, |entry| entry.at);
        for line in lines {
            self.push(at, Moment::Note(NodeId(0), line));
        }
    }

    /// The nodes' names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All packets, in the order of sending; their ids are their places.
    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    /// All entries since the log was begun, in order.
    pub fn entries(&self) -> &[Entry] {
        self.entries.get(self.begin.0..).unwrap_or_default()
    }

    /// The packets sent since the log was begun, with their ids.
    pub fn begun(&self) -> impl Iterator<Item = (PacketId, &Packet)> {
        self.packets.iter().enumerate().skip(self.begin.1).map(|(id, packet)| (PacketId(id), packet))
    }

    /// Packet `id`.
    pub fn packet(&self, id: PacketId) -> Option<&Packet> {
        self.packets.get(id.0)
    }

    pub(crate) fn push(&mut self, at: Instant, moment: Moment) {
        self.entries.push(Entry { at, moment });
    }
}

impl Packet {
    /// It as a TCP segment, if it is a whole one.
    pub fn segment(&self) -> Option<Tcp<&[u8]>> {
        let ip = Ipv4::new(&self.octets[..]).ok()?;
        if ip.protocol() != wire::tcp::PROTOCOL || !ip.fragment().is_whole() {
            return None;
        }
        Tcp::new(self.octets.get(ip.header_len()..usize::from(ip.total_len()))?).ok()
    }
}

/// The destination address of a packet.
pub(crate) fn destination(octets: &[u8]) -> Option<Ipv4Addr> {
    Ipv4::new(octets).ok().map(|ip| ip.destination())
}
