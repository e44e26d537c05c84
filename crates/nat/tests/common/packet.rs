//! Packets by their two ends: `udp(A, S)`, `tcp(A, S).syn().ttl(3)`, `icmp_error(R, A, 3, 1, &quoted)`.

use std::net::Ipv4Addr;

use nat::{Endpoint, Offload};
use wire::craft::{self, Header, Segment};
use wire::tcp::Flags;
use wire::{SeqNumber, Transport, Trust};

/// What can be written for an endpoint: `"192.0.2.1:80"`, or one that there is.
pub trait End {
    /// The endpoint.
    fn end(&self) -> Endpoint;
}

impl End for Endpoint {
    fn end(&self) -> Endpoint {
        *self
    }
}

impl End for &str {
    fn end(&self) -> Endpoint {
        let end: std::net::SocketAddrV4 = self.parse().expect("address:port");
        Endpoint::new(*end.ip(), end.port())
    }
}

/// An address by its text.
pub fn addr(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

/// An endpoint with another port.
pub fn port(end: impl End, port: u16) -> Endpoint {
    Endpoint { port, ..end.end() }
}

/// A packet to be built.
#[derive(Clone, Debug)]
pub struct Pkt {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    tos: u8,
    id: u16,
    dont_fragment: bool,
    options: Vec<u8>,
    payload: Vec<u8>,
    body: Body,
    offload: Offload,
}

#[derive(Clone, Debug)]
enum Body {
    Udp { ports: (u16, u16), checksum: bool },
    Tcp { ports: (u16, u16), flags: Flags, seq: u32, ack: u32, window: u16, options: Vec<u8> },
    Icmp { kind: u8, code: u8, rest: [u8; 4] },
    Raw { protocol: u8, offset: u16, more: bool },
}

/// Octets of a packet, and its offloads.
#[derive(Clone, Debug)]
pub struct Octets {
    /// From the IPv4 header on.
    pub data: Vec<u8>,
    /// Beyond its octets.
    pub offload: Offload,
}

impl From<Vec<u8>> for Octets {
    fn from(data: Vec<u8>) -> Self {
        Self { data, offload: Offload::default() }
    }
}

impl From<&[u8]> for Octets {
    fn from(data: &[u8]) -> Self {
        data.to_vec().into()
    }
}

impl From<Pkt> for Octets {
    fn from(packet: Pkt) -> Self {
        Self { data: packet.octets(), offload: packet.offload }
    }
}

impl From<&Pkt> for Octets {
    fn from(packet: &Pkt) -> Self {
        packet.clone().into()
    }
}

fn new(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8], body: Body) -> Pkt {
    Pkt {
        source,
        destination,
        ttl: 64,
        tos: 0,
        id: 0x1234,
        dont_fragment: false,
        options: Vec::new(),
        payload: payload.to_vec(),
        body,
        offload: Offload::default(),
    }
}

/// A UDP datagram that says hello.
pub fn udp(source: impl End, destination: impl End) -> Pkt {
    let (source, destination) = (source.end(), destination.end());
    let body = Body::Udp { ports: (source.port, destination.port), checksum: true };
    new(source.address, destination.address, b"hello", body)
}

/// A TCP segment with an ACK and nothing else. Both sides' octets begin at 1,000, their SYNs at 999.
pub fn tcp(source: impl End, destination: impl End) -> Pkt {
    let (source, destination) = (source.end(), destination.end());
    let ports = (source.port, destination.port);
    let body =
        Body::Tcp { ports, flags: Flags::ACK, seq: 1_000, ack: 1_000, window: 65_535, options: Vec::new() };
    new(source.address, destination.address, b"", body)
}

/// An echo request; the identifier is the source's port.
pub fn ping(source: impl End, destination: impl End) -> Pkt {
    echo(8, source.end().port, source, destination)
}

/// An echo reply; the identifier is the destination's port.
pub fn pong(source: impl End, destination: impl End) -> Pkt {
    echo(0, destination.end().port, source, destination)
}

fn echo(kind: u8, id: u16, source: impl End, destination: impl End) -> Pkt {
    let [a, b] = id.to_be_bytes();
    icmp(source.end().address, destination.end().address, kind, 0, [a, b, 0, 1], b"abcdefg")
}

/// Any ICMP message.
pub fn icmp(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    kind: u8,
    code: u8,
    rest: [u8; 4],
    payload: &[u8],
) -> Pkt {
    new(source, destination, payload, Body::Icmp { kind, code, rest })
}

/// An ICMP error without anything in octets 4 to 7; what it quotes is given whole.
pub fn icmp_error(source: Ipv4Addr, destination: Ipv4Addr, kind: u8, code: u8, quoted: &[u8]) -> Pkt {
    icmp(source, destination, kind, code, [0; 4], quoted)
}

/// A packet of another protocol.
pub fn raw(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Pkt {
    new(source, destination, payload, Body::Raw { protocol, offset: 0, more: false })
}

impl Pkt {
    fn tcp_mut(&mut self) -> (&mut Flags, &mut u32, &mut Vec<u8>) {
        match &mut self.body {
            Body::Tcp { flags, seq, options, .. } => (flags, seq, options),
            other => panic!("{other:?} is no TCP segment"),
        }
    }

    /// With these flags.
    pub fn flags(mut self, new: Flags) -> Self {
        *self.tcp_mut().0 = new;
        self
    }

    /// A SYN.
    pub fn syn(self) -> Self {
        self.seq(999).flags(Flags::SYN)
    }

    /// A SYN-ACK.
    pub fn syn_ack(self) -> Self {
        self.seq(999).flags(Flags::SYN | Flags::ACK)
    }

    /// An ACK.
    pub fn ack(self) -> Self {
        self.flags(Flags::ACK)
    }

    /// A FIN-ACK.
    pub fn fin(self) -> Self {
        self.flags(Flags::FIN | Flags::ACK)
    }

    /// A RST.
    pub fn rst(self) -> Self {
        self.flags(Flags::RST)
    }

    /// With this sequence number.
    pub fn seq(mut self, seq: u32) -> Self {
        *self.tcp_mut().1 = seq;
        self
    }

    /// With this acknowledgment number.
    pub fn acks(mut self, number: u32) -> Self {
        match &mut self.body {
            Body::Tcp { ack, .. } => *ack = number,
            other => panic!("{other:?} is no TCP segment"),
        }
        self
    }

    /// With this window.
    pub fn window(mut self, octets: u16) -> Self {
        match &mut self.body {
            Body::Tcp { window, .. } => *window = octets,
            other => panic!("{other:?} is no TCP segment"),
        }
        self
    }

    /// With timestamps.
    pub fn timestamps(self, value: u32, echo_reply: u32) -> Self {
        let [value, echo_reply] = [value, echo_reply].map(u32::to_be_bytes);
        self.tcp_options(&[&[1, 1, 8, 10][..], &value, &echo_reply].concat())
    }

    /// With TCP options, padded by the caller.
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        *self.tcp_mut().2 = options.to_vec();
        self
    }

    /// With this payload.
    pub fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// With so many octets of payload, no two words alike.
    pub fn len(self, len: usize) -> Self {
        let payload: Vec<u8> = (0..len).map(|n| (n * 7 + n / 256) as u8).collect();
        self.payload(&payload)
    }

    /// With this time to live.
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// With this type of service.
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// With this identification.
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// Must not be fragmented.
    pub fn df(mut self) -> Self {
        self.dont_fragment = true;
        self
    }

    /// With IPv4 options, padded by the caller.
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// A UDP datagram without a checksum.
    pub fn no_checksum(mut self) -> Self {
        match &mut self.body {
            Body::Udp { checksum, .. } => *checksum = false,
            other => panic!("{other:?} is no UDP datagram"),
        }
        self
    }

    /// With other octets 4 to 7 of an ICMP message.
    pub fn rest(mut self, new: [u8; 4]) -> Self {
        match &mut self.body {
            Body::Icmp { rest, .. } => *rest = new,
            other => panic!("{other:?} is no ICMP message"),
        }
        self
    }

    /// A fragment of a [`raw`] packet.
    pub fn fragment(mut self, at: u16, has_more: bool) -> Self {
        match &mut self.body {
            Body::Raw { offset, more, .. } => (*offset, *more) = (at, has_more),
            other => panic!("{other:?} is no raw packet"),
        }
        self
    }

    /// With offloads. A partial checksum holds the sum of the pseudo-header alone.
    pub fn offload(mut self, offload: Offload) -> Self {
        self.offload = offload;
        self
    }

    /// As it is one hop later.
    pub fn one_hop_less(self) -> Self {
        let ttl = self.ttl - 1;
        self.ttl(ttl)
    }

    /// Its source.
    pub fn source(&self) -> Ipv4Addr {
        self.source
    }

    /// The whole packet, cut into fragments of `piece` octets of payload (a multiple of 8).
    pub fn fragments(&self, piece: usize) -> Vec<Pkt> {
        let whole = self.octets();
        let header = usize::from(whole[0] & 15) * 4;
        let count = (whole.len() - header).div_ceil(piece);
        let part = |(n, octets): (usize, &[u8])| {
            let body = Body::Raw { protocol: whole[9], offset: (n * piece) as u16, more: n + 1 < count };
            Pkt { payload: octets.to_vec(), body, ..self.clone() }
        };
        whole[header..].chunks(piece).enumerate().map(part).collect()
    }

    /// Its octets.
    pub fn octets(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_535];
        let header = Header {
            source: self.source,
            destination: self.destination,
            ttl: self.ttl,
            tos: self.tos,
            identification: self.id,
            dont_fragment: self.dont_fragment,
            options: &self.options,
        };
        let at = 20 + self.options.len();
        let len = match &self.body {
            Body::Udp { ports, .. } => craft::udp(&mut buffer, &header, ports.0, ports.1, &self.payload),
            Body::Tcp { ports, flags, seq, ack, window, options } => {
                let mut segment = Segment::new(ports.0, ports.1, *flags);
                segment.seq = SeqNumber(*seq);
                segment.window = *window;
                segment.ack = SeqNumber(if flags.contains(Flags::ACK) { *ack } else { 0 });
                let segment = Segment { options, ..segment };
                craft::tcp(&mut buffer, &header, &segment, &self.payload)
            }
            Body::Icmp { kind, code, rest } => {
                craft::icmp(&mut buffer, &header, *kind, *code, *rest, &self.payload)
            }
            Body::Raw { protocol, offset, more } => {
                craft::fragment(&mut buffer, &header, *protocol, *offset, *more, &self.payload)
            }
        };
        buffer.truncate(len.expect("it fits"));
        let field = match self.body {
            Body::Udp { checksum: false, .. } => Some((at + 6, 0)),
            Body::Udp { .. } if self.is_partial() => Some((at + 6, self.pseudo(17, buffer.len() - at))),
            Body::Tcp { .. } if self.is_partial() => Some((at + 16, self.pseudo(6, buffer.len() - at))),
            _ => None,
        };
        if let Some((at, value)) = field {
            buffer[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        buffer
    }

    fn is_partial(&self) -> bool {
        self.offload.checksum == nat::Checksum::Partial
    }

    fn pseudo(&self, protocol: u8, len: usize) -> u16 {
        slow_pseudo(self.source, self.destination, protocol, len)
    }
}

/// The sum of 16-bit words as RFC 1071 says it, one word at a time.
pub fn slow_sum(octets: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in octets.chunks(2) {
        sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn slow_pseudo(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, len: usize) -> u16 {
    let mut header = Vec::new();
    header.extend(source.octets());
    header.extend(destination.octets());
    header.extend([0, protocol]);
    header.extend((len as u16).to_be_bytes());
    slow_sum(&header)
}

/// Makes the checksums of a packet right that was changed by hand, as far as it has them: IPv4's, and
/// the transport's.
pub fn fix(octets: &mut [u8]) {
    fix_ip(octets);
    let header = usize::from(octets[0] & 15) * 4;
    if header < 20 || octets.len() < header + 20 {
        return;
    }
    let (protocol, len) = (octets[9], octets.len() - header);
    let at = match protocol {
        6 => header + 16,
        17 => header + 6,
        _ => header + 2,
    };
    octets[at..at + 2].fill(0);
    let mut all = Vec::new();
    if protocol != 1 {
        let pseudo = slow_pseudo(address(octets, 12), address(octets, 16), protocol, len);
        all.extend(pseudo.to_be_bytes());
    }
    all.extend(&octets[header..]);
    let sum = !slow_sum(&all);
    octets[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Makes the IPv4 header checksum right.
pub fn fix_ip(octets: &mut [u8]) {
    let header = usize::from(octets[0] & 15) * 4;
    octets[10..12].fill(0);
    let sum = !slow_sum(&octets[..header.min(octets.len())]);
    octets[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn address(octets: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3])
}

/// A packet whose checksums are right and whose fields make sense.
pub fn parse(octets: &[u8]) -> wire::Packet {
    wire::Packet::parse(octets, Trust::Verify).unwrap_or_else(|e| panic!("{e}: {octets:02x?}"))
}

/// Its checksums are right.
pub fn assert_sound(octets: &[u8]) {
    parse(octets);
}

/// Its two ends; an ICMP query's identifier is the port of both.
pub fn ends_of(octets: &[u8]) -> (Endpoint, Endpoint) {
    let packet = wire::Packet::parse(octets, Trust::Skip).unwrap_or_else(|e| panic!("{e}: {octets:02x?}"));
    let (from, to) = match packet.transport {
        Transport::Tcp { source_port, destination_port, .. }
        | Transport::Udp { source_port, destination_port, .. } => (source_port, destination_port),
        Transport::IcmpQuery { identifier, .. } => (identifier, identifier),
        _ => (0, 0),
    };
    (Endpoint::new(packet.source, from), Endpoint::new(packet.destination, to))
}

/// For messages of failed tests.
pub fn show(octets: &[u8]) -> String {
    match wire::Packet::parse(octets, Trust::Skip) {
        Ok(packet) => format!("{packet:?}"),
        Err(malformed) => format!("{malformed}: {octets:02x?}"),
    }
}

/// Puts fragments together again; `None` while octets are missing or there are too many.
pub fn reassemble(fragments: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut payload: Vec<Option<u8>> = Vec::new();
    let mut end = None;
    let mut header = None;
    for fragment in fragments {
        let len = usize::from(fragment[0] & 15) * 4;
        assert_eq!(slow_sum(&fragment[..len]), 0xffff, "a fragment's header checksum is wrong");
        let field = u16::from_be_bytes([fragment[6], fragment[7]]);
        let at = usize::from(field & 0x1fff) * 8;
        let octets = &fragment[len..];
        payload.resize(payload.len().max(at + octets.len()), None);
        for (place, &octet) in payload[at..].iter_mut().zip(octets) {
            assert!(place.is_none(), "fragments overlap");
            *place = Some(octet);
        }
        if field & 0x2000 == 0 {
            end = Some(at + octets.len());
        }
        if at == 0 {
            header = Some(fragment[..len].to_vec());
        }
    }
    let payload: Option<Vec<u8>> = payload.into_iter().collect();
    let (mut whole, payload) = (header?, payload?);
    if end? != payload.len() {
        return None;
    }
    whole.extend(payload);
    let len = whole.len() as u16;
    whole[2..4].copy_from_slice(&len.to_be_bytes());
    whole[6..8].fill(0);
    fix_ip(&mut whole);
    Some(whole)
}
